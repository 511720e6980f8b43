//! Another name for a stream.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::Admin,
    extract::{Body, SMALL, read},
    problem::ProblemDocument,
};
use crate::{
    error::Code,
    renaming::{Renamed, Renaming},
};

/// The names.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewName {
    /// The present name.
    from: String,
    /// The new one.
    to: String,
    /// Whether nothing is changed: the answer says what would be.
    #[serde(default)]
    dry_run: bool,
}

/// Gives a stream another name. Its picture and its points stay; definitions of other streams, kept paths, publications by MQTT and
/// permissions of users follow. The answer lists these, and what cannot follow. Watchers are disconnected, and the old address no longer exists.
#[utoipa::path(
    post, path = "/api/v1/stream-rename", tag = "streams", request_body = NewName,
    responses(
        (status = 200, body = Renamed), (status = 404, body = ProblemDocument),
        (status = 409, description = "Defined in the configuration file", body = ProblemDocument),
        (status = 412, description = "A stream of the new name exists", body = ProblemDocument),
    )
)]
pub(super) async fn rename(state: web::Data<State>, _: Admin, body: Body<SMALL>) -> Result<HttpResponse, Problem> {
    let NewName { from, to, dry_run } = read(&body, Code::InvalidDefinition)?;
    let named = |field: &'static str, name: &str| {
        state.catalog.name(name).map_err(|e| crate::error::Error::new(e.code(), e.to_string()).in_field(field))
    };
    let (from, to) = (named("from", &from)?, named("to", &to)?);
    let renaming = Renaming {
        catalog: &state.catalog,
        paths: &state.paths,
        publisher: &state.publisher,
        identity: &state.identity,
        path_prefix: &state.settings.mediamtx.path_prefix,
    };
    Ok(HttpResponse::Ok().json(renaming.rename(&from, &to, dry_run).await?))
}
