//! `POST /mediamtx-auth`: MediaMTX's `authHTTPAddress`.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};

use super::{Problem, State};
use crate::{
    error::{Code, Error},
    policy::{Decision, webhook::Question},
    units::any_contains,
};

/// Answers MediaMTX. It asks from the one loop that owns all of its paths and waits for us, so this does
/// nothing but remember (and, for an argon2 password seen for the first time, verify it once). 2xx allows,
/// everything else denies; MediaMTX itself decides from the empty credentials whether to ask for some.
#[utoipa::path(
    post, path = "/mediamtx-auth", tag = "mediamtx",
    request_body(content_type = "application/json", description = "What MediaMTX sends to authHTTPAddress"),
    responses(
        (status = 204, description = "Allowed"),
        (status = 401, description = "Denied; the body says why, for MediaMTX's log"),
        (status = 403, description = "Asked from outside of auth.webhook_from", body = super::problem::ProblemDocument),
        (status = 400, description = "Not MediaMTX's question", body = super::problem::ProblemDocument),
    )
)]
pub(super) async fn answer(
    request: HttpRequest,
    state: web::Data<State>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    // The connection's own address: a proxy has no business here, and what it claims is not believed.
    let from = request.peer_addr().map(|a| a.ip());
    if !from.is_some_and(|ip| any_contains(&state.settings.auth.webhook_from, ip)) {
        return Err(Error::new(Code::Forbidden, "this address may not ask (auth.webhook_from)").into());
    }
    let question = Question::parse(&body)
        .map_err(|e| Error::new(Code::InvalidBody, format!("not what MediaMTX sends to authHTTPAddress: {e}")))?;
    let caller = question.caller();
    let decision = match question.action() {
        Some(action) => state.policy.decide(&caller, action, &question.path).await,
        None if caller.credentials.is_empty() => Decision::AskCredentials,
        None => Decision::NotPermitted,
    };
    state.metrics.count_decision(&question.action, decision);
    tracing::debug!(
        user = %caller.credentials.user, ip = %question.ip, action = %question.action, path = %question.path,
        protocol = %question.protocol, id = question.id.as_deref(), "{}", decision.reason()
    );
    if decision.is_allowed() {
        return Ok(HttpResponse::NoContent().finish());
    }
    if decision != Decision::AskCredentials {
        tracing::info!(
            user = %caller.credentials.user, ip = %question.ip, action = %question.action, path = %question.path,
            "denied: {}", decision.reason()
        );
    }
    Ok(HttpResponse::build(StatusCode::UNAUTHORIZED).content_type("text/plain").body(decision.reason()))
}
