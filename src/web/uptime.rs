//! How streams were in the last day.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, State, caller::CallerExtractor, problem::ProblemDocument};
use crate::{
    policy::Action,
    uptime::{SLOT, Slot},
};

/// The last day of all streams that the caller can read.
#[derive(Serialize, ToSchema)]
pub struct UptimeList {
    /// Seconds of a slot.
    slot: u64,
    /// By name, the slots in which something asked for the stream, oldest first. Streams without any are left out.
    streams: BTreeMap<String, Vec<Slot>>,
}

/// How streams were in the last day, since the start of the program: for how many seconds of each quarter of an hour they were live,
/// stalled and failing. A stream that nothing asked for was none of these.
#[utoipa::path(get, path = "/api/v1/uptime", tag = "streams", responses((status = 200, body = UptimeList), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument)))]
pub(super) async fn get(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    state.access.authorize_some("http", &caller, Action::Read).await?;
    let mut streams = BTreeMap::new();
    for stream in state.catalog.registry().list() {
        let slots = state.uptime.of(stream.name());
        if !slots.is_empty() && state.access.may(&caller, Action::Read, stream.name()).await {
            streams.insert(stream.name().to_string(), slots);
        }
    }
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(UptimeList { slot: SLOT, streams }))
}
