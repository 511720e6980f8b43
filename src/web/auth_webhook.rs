//! `POST /mediamtx-auth`: MediaMTX's `authHTTPAddress`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Problem, State, extract::Body, origin, problem::OwnForm};
use crate::{
    error::{Code, Error},
    fleet,
    policy::{Action, Credentials, webhook::Question},
    query,
    traces::{self, Kind},
    units::any_contains,
};

/// Answers MediaMTX. It asks from the one loop that owns all of its paths and waits, so the answer comes from memory; only an
/// argon2 password that was not verified before is computed. 2xx allows, every other status denies. If the question has no
/// credentials, MediaMTX then asks its client for them.
#[utoipa::path(
    post, path = "/mediamtx-auth", tag = "mediamtx",
    request_body(content_type = "application/json", description = "The request that MediaMTX sends to authHTTPAddress"),
    responses(
        (status = 204, description = "Allowed"),
        (status = 401, description = "Denied; the body has the reason, for MediaMTX's log"),
        (status = 403, description = "The sender is not in auth.webhook_networks, or does not show the secret", body = super::problem::ProblemDocument),
        (status = 400, description = "Not MediaMTX's question", body = super::problem::ProblemDocument),
    )
)]
pub(super) async fn answer(request: HttpRequest, state: web::Data<State>, body: Body) -> Result<HttpResponse, Problem> {
    check_sender(&request, &state)?;
    let mut question = Question::parse(&body)
        .map_err(|e| Error::new(Code::InvalidBody, format!("not what MediaMTX sends to authHTTPAddress: {e}")))?;
    let mut span = state.traces.begin("MediaMTX's question", Kind::Internal, traces::current());
    span.set("mediamtx.action", &question.action);
    span.set("mediamtx.path", &question.path);
    span.set("mediamtx.protocol", &question.protocol);
    let reads = question.action() == Some(Action::Read);
    // The MediaMTX of another node, whose sidecar has admitted its reader.
    let has_ticket =
        reads && state.fleet.as_ref().is_some_and(|fleet| fleet.has_ticket(&question.path, &question.query));
    let is_pull = reads && state.fleet.is_some() && !is_own(&state, &question.path);
    let name = fleet::pulled(&question.path).filter(|_| is_pull).map(str::to_owned);
    if let Some(name) = name {
        // A path of another node is read with the permission that it needs there.
        question.path = name.into();
    }
    let refused = match has_ticket {
        true => None,
        false => {
            let verdict = state.access.answer(&question, request.peer_addr().map(|peer| peer.ip())).await;
            (!verdict.decision.is_allowed()).then_some(verdict.reason)
        }
    };
    let Some(reason) = refused else {
        // A reader of a UV4L camera's path wakes the camera. This does not wait.
        if reads {
            // MediaMTX is about to pull the stream of this path.
            let path = &*question.path;
            let below = path.strip_prefix(&state.settings.mediamtx.path_prefix).and_then(|rest| rest.strip_prefix('/'));
            state.traces.cause(below.unwrap_or(path), &span);
            state.uv4l.wake(&question.path);
        }
        return Ok(HttpResponse::NoContent().finish());
    };
    span.fail(reason);
    let mut denied = HttpResponse::build(StatusCode::UNAUTHORIZED).content_type("text/plain").body(reason);
    denied.extensions_mut().insert(OwnForm);
    Ok(denied)
}

/// Whether MediaMTX has a path of exactly this name.
fn is_own(state: &State, name: &str) -> bool {
    let is_it = |path: &serde_json::Value| path["name"] == name && path["confName"] == name;
    name.starts_with(fleet::PULL_PREFIX)
        && (state.paths.is_kept(name) || state.path_cache.paths().is_some_and(|paths| paths.iter().any(is_it)))
}

/// Checks that the sender is MediaMTX or one of its hooks: by address, and by the secret if one is configured.
pub(super) fn check_sender(request: &HttpRequest, state: &State) -> Result<(), Error> {
    // MediaMTX and its hooks connect directly, and are no browser. A proxy on an accepted address would otherwise let
    // every client of the proxy ask.
    if origin::is_proxied(request.headers()) || origin::is_from_browser(request.headers()) {
        return Err(Error::new(
            Code::Forbidden,
            "this request came through a proxy or from a browser, and not from MediaMTX",
        ));
    }
    // The address of the connection: a proxy's headers do not count here.
    let from = request.peer_addr().map(|a| a.ip());
    let auth = &state.settings.auth;
    if !from.is_some_and(|ip| any_contains(&auth.webhook_senders(), ip)) {
        let from = from.map_or_else(|| "this address".to_owned(), |ip| ip.to_canonical().to_string());
        let remedy = match auth.webhook_networks.is_none() && auth.webhook_secret.is_empty() {
            true => "set auth.webhook_secret, with which all private networks are accepted, or auth.webhook_networks",
            false => "add it to auth.webhook_networks if it is that of MediaMTX",
        };
        return Err(Error::new(
            Code::Forbidden,
            format!("{from} is not in auth.webhook_networks; in sidecar.yml, {remedy}"),
        ));
    }
    let secret = auth.webhook_secret.expose();
    if !secret.is_empty() && !shows(request, secret) {
        let message =
            "auth.webhook_secret is not shown, as ?secret= or as the password (authHTTPAddress in mediamtx.yml)";
        return Err(Error::new(Code::Forbidden, message));
    }
    Ok(())
}

/// Whether the request shows the secret, in one of the two ways in which MediaMTX can send it: its internal/auth/manager.go
/// posts to the configured URL as it is, and Go turns the user part of a URL into Basic authentication.
fn shows(request: &HttpRequest, secret: &str) -> bool {
    let same = |shown: &str| bool::from(Sha256::digest(shown).ct_eq(&Sha256::digest(secret)));
    // The administrator may have written a plus sign of the secret into the URL without encoding it.
    let mut in_query = query::pairs(request.query_string()).filter(|(name, _)| name == "secret");
    let in_query = in_query.any(|(_, value)| same(&value) || same(&value.replace(' ', "+")));
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let in_header = header.and_then(Credentials::from_basic);
    in_query || in_header.is_some_and(|shown| same(shown.password.expose()))
}
