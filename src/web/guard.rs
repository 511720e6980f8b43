//! What happens to every request: a log line, a count, and the refusal of other web sites.

use actix_web::{
    Error, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    web,
};
use tokio::time::Instant;
use tracing::Instrument;

use super::{Problem, State};
use crate::error::{Code, Error as OurError};

/// One span for each request; its line is louder the worse it ended. The query is left out: it may hold
/// a token.
pub(super) async fn log_and_count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let metrics = request.app_data::<web::Data<State>>().expect("the application has its state").metrics.clone();
    let span = tracing::debug_span!("request", method = %request.method(), path = %request.path());
    let result = next.call(request).instrument(span.clone()).await;
    let _entered = span.enter();
    let elapsed = began.elapsed();
    match &result {
        Ok(response) => {
            let status = response.status().as_u16();
            let request = response.request();
            metrics.count_request(request.match_pattern().as_deref().unwrap_or("other"), status, elapsed);
            let (method, path, ms) = (request.method(), request.path(), elapsed.as_secs_f64() * 1000.0);
            let ms = (ms * 10.0).round() / 10.0;
            match status {
                500.. => tracing::warn!("{method} {path} -> {status} ({ms} ms)"),
                400..500 if status != 401 => tracing::info!("{method} {path} -> {status} ({ms} ms)"),
                _ => tracing::debug!("{method} {path} -> {status} ({ms} ms)"),
            }
        }
        Err(e) => tracing::warn!("failed: {e}"),
    }
    result
}

/// Refuses what changes something and comes from a page of another origin: a browser sends Basic
/// credentials it knows, and 127.0.0.1's rights, along with any page's request. A page cannot forge
/// `Origin` or `Sec-Fetch-Site`; programs that are no browsers send neither.
pub(super) async fn refuse_other_sites(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    if is_foreign(&request) {
        let problem = Problem::from(OurError::new(
            Code::CrossSite,
            "pages of other web sites may not change anything here; the Origin header does not name this server",
        ));
        return Ok(request.into_response(problem.error_response()).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

fn is_foreign(request: &ServiceRequest) -> bool {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let text = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    if let Some(origin) = text(header::ORIGIN.as_str()) {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        return text(header::HOST.as_str()) != Some(host);
    }
    matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"))
}
