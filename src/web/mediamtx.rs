//! What we tell about MediaMTX to those who may not ask it themselves.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Problem, State, caller::From, problem::ProblemDocument};
use crate::policy::Action;

/// MediaMTX's paths, in the shape of the original program.
#[derive(Serialize, ToSchema)]
pub struct PathList {
    /// As MediaMTX's `/v3/paths/list` has them.
    #[schema(value_type = Vec<Object>)]
    list: Vec<Value>,
}

/// The original program's list of paths, but only of those that the caller may watch.
#[utoipa::path(
    post, path = "/mediamtx-get-path", tag = "mediamtx",
    responses((status = 200, body = PathList), (status = 401, body = ProblemDocument), (status = 502, body = ProblemDocument))
)]
pub(super) async fn paths(state: web::Data<State>, From(caller): From) -> Result<HttpResponse, Problem> {
    let mut list = vec![];
    let mut refused = None;
    for mut path in state.mediamtx.paths().await? {
        let name = path["name"].as_str().unwrap_or_default().to_owned();
        let verdict = state.decide(&caller, Action::Read, &name).await;
        if verdict.decision.is_allowed() {
            // Addresses with passwords in them are for administrators.
            if let Some(path) = path.as_object_mut() {
                path.remove("forward");
            }
            list.push(path);
        } else {
            refused = Some(verdict.refusal(Action::Read, ""));
        }
    }
    match refused {
        Some(e) if list.is_empty() && e.code() != crate::error::Code::Forbidden => Err(e.into()),
        _ => Ok(HttpResponse::Ok().json(PathList { list })),
    }
}
