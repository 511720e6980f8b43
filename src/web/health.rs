//! Operations: liveness, readiness and metrics.

use actix_web::{HttpResponse, web};

use super::{Problem, State, caller::CallerExtractor, problem::ProblemDocument};
use crate::{
    error::{Code, Error},
    policy::Action,
    producer::upload::Fault,
};

/// Liveness: the process answers.
#[utoipa::path(method(get, head), path = "/healthz", tag = "operations", responses((status = 200, description = "The process answers")))]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// Readiness: the database answers, and no shutdown has begun. Lines that begin with `degraded:` name what does not work:
/// writes to the database, uploaded pictures that are not kept, and a cluster whose state is not the newest. They are no reason for 503, because pictures,
/// sign-ins and MediaMTX's question go on.
#[utoipa::path(method(get, head), path = "/readyz", tag = "operations", responses((status = 200), (status = 503, body = ProblemDocument)))]
pub(super) async fn ready(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    if state.shutdown.is_asked() {
        return Err(Error::new(Code::Unavailable, "shutting down").into());
    }
    state
        .store
        .run(|store| store.fact("ready").map(drop))
        .await
        .map_err(|e| Error::new(Code::Unavailable, "the database does not answer").caused_by(e))?;
    let pictures = state
        .catalog
        .context()
        .uploads
        .fault()
        .map(|Fault { streams, reason }| format!("the pictures of {streams} streams are not written: {reason}"));
    let mut text = String::from("ready\n");
    let cluster = state.cluster.as_ref().map(|cluster| cluster.problems()).unwrap_or_default();
    for problem in [state.store.problem(), pictures].into_iter().flatten().chain(cluster) {
        text.push_str(&format!("degraded: {problem}\n"));
    }
    Ok(HttpResponse::Ok().content_type("text/plain").body(text))
}

/// All metrics, as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, content_type = "application/openmetrics-text"), (status = 401, body = ProblemDocument)))]
pub(super) async fn metrics(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    state.access.authorize("http", &caller, Action::Metrics, "").await?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(state.metrics.text()))
}
