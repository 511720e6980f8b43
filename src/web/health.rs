//! Operations: whether we live, whether we are ready, and what was counted.

use actix_web::{HttpResponse, web};

use super::{Problem, State, caller::CallerExtractor, problem::ProblemDocument};
use crate::{
    error::{Code, Error},
    policy::Action,
};

/// Whether the process answers at all.
#[utoipa::path(method(get, head), path = "/healthz", tag = "operations", responses((status = 200, description = "It does")))]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// Whether requests should be sent here: no longer once a shutdown has begun.
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
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}

/// Everything counted, in OpenMetrics text.
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
