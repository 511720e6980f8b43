//! Facts about MediaMTX for callers without access to its API.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::{Admin, CallerExtractor},
    extract::{Body, CONFIGURATION},
    problem::ProblemDocument,
};
use crate::{
    blocking::documents,
    error::{Code, Error},
    mediamtx::{
        Client,
        config_check::{self, Finding},
    },
    policy::{Action, Caller},
    yaml,
};

/// The check of a mediamtx.yml: of one in the body, and of the running MediaMTX.
pub(super) const CHECK: &str = "/api/v1/mediamtx/check";

/// The state of MediaMTX.
#[derive(Serialize, ToSchema)]
pub struct MediaMtxState {
    /// Whether its control API answers.
    reachable: bool,
    /// Its version, such as `v1.20.1`, if it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// When it was started, if it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    /// The reason, if it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Findings in a MediaMTX configuration.
#[derive(Serialize, ToSchema)]
pub struct Checked {
    /// The most severe first. Empty: no finding.
    pub(super) findings: Vec<Finding>,
}

/// The state of MediaMTX.
#[utoipa::path(get, path = "/api/v1/mediamtx", tag = "mediamtx", responses((status = 200, body = MediaMtxState), (status = 401, body = ProblemDocument)))]
pub(super) async fn get(state: web::Data<State>, _: Admin) -> HttpResponse {
    let known = match state.mediamtx.info().await {
        Ok(info) => {
            MediaMtxState { reachable: true, version: Some(info.version), started: Some(info.started), problem: None }
        }
        Err(e) => MediaMtxState { reachable: false, version: None, started: None, problem: Some(e.chain()) },
    };
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(known)
}

/// Checks a mediamtx.yml, as `mtx-sidecar check` does. The file is neither stored nor logged.
#[utoipa::path(
    post, path = CHECK, tag = "mediamtx", request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, body = Checked), (status = 422, body = ProblemDocument))
)]
pub(super) async fn check(
    state: web::Data<State>,
    _: Admin,
    body: Body<CONFIGURATION>,
) -> Result<HttpResponse, Problem> {
    let wrong = |reason: String| Error::new(Code::InvalidBody, reason);
    let text = std::str::from_utf8(&body).map_err(|e| wrong(format!("the file is not UTF-8: {e}")))?.to_owned();
    let parsed =
        documents().run(move || yaml::parse(&text).map_err(|e| wrong(format!("the file is not valid YAML: {e}"))));
    let findings = config_check::examine(&parsed.await?, &state.settings.for_config_check());
    Ok(HttpResponse::Ok().json(Checked { findings }))
}

/// MediaMTX's paths, in the original program's format.
#[derive(Serialize, ToSchema)]
pub struct PathList {
    /// The items of MediaMTX's `/v3/paths/list`.
    #[schema(value_type = Vec<Object>)]
    list: Vec<Value>,
}

/// The original program's list of paths, limited to those that the caller can read.
#[utoipa::path(
    post, path = "/mediamtx-get-path", tag = "mediamtx",
    responses((status = 200, body = PathList), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument), (status = 502, body = ProblemDocument))
)]
pub(super) async fn paths(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    state.access.authorize_some("http", &caller, Action::Read).await?;
    let mut list = vec![];
    for mut path in asking(&state, &caller).await.paths().await? {
        let name = path["name"].as_str().unwrap_or_default().to_owned();
        if state.access.may(&caller, Action::Read, &name).await {
            // URLs with passwords are for administrators only.
            if let Some(path) = path.as_object_mut() {
                path.remove("forward");
            }
            list.push(path);
        }
    }
    Ok(HttpResponse::Ok().json(PathList { list }))
}

/// MediaMTX's API for a request of this caller, who was authorized before. Requests of administrators do not wait behind
/// those of other callers.
pub(super) async fn asking(state: &State, caller: &Caller) -> Client {
    match state.access.may(caller, Action::Api, "").await {
        true => state.mediamtx.clone(),
        false => state.mediamtx.for_callers(),
    }
}
