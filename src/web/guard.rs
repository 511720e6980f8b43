//! Middlewares of every request: log line, counter, security headers, and the refusal of other web sites.

use actix_web::{
    Error, HttpMessage, HttpRequest, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, Uri, header},
    middleware::Next,
};
use tokio::time::Instant;
use tracing::Instrument;

use super::{Problem, State, addresses, caller::shows_its_sender, ingress, origin, pages, state_in};
use crate::{
    access::audit::Change,
    error::{Code, Error as OurError},
    foreign,
    server::Only,
    traces::{self, Context, Kind, Traces},
};

/// Opens a span for each request, and logs it at a level that depends on the status. The query is left out, because it can
/// contain a token.
pub(super) async fn log_and_count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let state = state_in(request.app_data());
    let metrics = state.metrics.clone();
    // Health checks and scrapes would be most of the traces.
    let is_traced = state.traces.is_on() && !matches!(request.path(), "/healthz" | "/readyz" | "/metrics");
    let parent = request.headers().get("traceparent").and_then(|value| Context::parse(value.to_str().ok()?));
    let mut trace = match is_traced {
        true => state.traces.begin("request", Kind::Server, parent),
        false => Traces::default().begin("request", Kind::Server, None),
    };
    let span = tracing::debug_span!("request", method = %request.method(), path = %foreign::shown(request.path()));
    let result = traces::within(&trace, next.call(request).instrument(span.clone())).await;
    let _entered = span.enter();
    let elapsed = began.elapsed();
    match &result {
        Ok(response) => {
            let status = response.status().as_u16();
            let request = response.request();
            if let Some(change) = request.extensions_mut().remove::<Change>() {
                change.end(status);
            }
            let pattern = request.match_pattern();
            let route = pattern.as_deref().unwrap_or("other");
            metrics.count_request(route, status, elapsed);
            trace.rename(&format!("{} {route}", request.method()));
            trace.set("http.request.method", request.method());
            trace.set("http.route", route);
            trace.set("url.path", request.path());
            trace.set("http.response.status_code", status);
            if status >= 500 {
                trace.fail(&status.to_string());
            }
            let (method, path, ms) = (request.method(), foreign::shown(request.path()), elapsed.as_secs_f64() * 1000.0);
            let ms = (ms * 10.0).round() / 10.0;
            match status {
                500.. => tracing::warn!("{method} {path} -> {status} ({ms} ms)"),
                // The audit has its own lines about refused callers, so that a flood of guesses does not fill the log.
                400..500 if !matches!(status, 401 | 429) => tracing::info!("{method} {path} -> {status} ({ms} ms)"),
                _ => tracing::debug!("{method} {path} -> {status} ({ms} ms)"),
            }
        }
        Err(e) => tracing::warn!("failed: {e}"),
    }
    result
}

/// Refuses changes by pages of another origin: a browser adds stored Basic credentials, and the rights of 127.0.0.1, to the
/// requests of every page. A page cannot forge `Origin` or `Sec-Fetch-Site`; other programs send neither.
pub(super) async fn refuse_other_sites(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    if is_foreign(&request).await {
        let problem = Problem::from(OurError::new(
            Code::CrossSite,
            "pages of other web sites cannot change anything here, and the Origin header does not name this server; behind a \
             proxy, set http.public_url, or http.trusted_proxies and have the proxy send X-Forwarded-Host",
        ));
        return Ok(request.into_response(problem.error_response()).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

async fn is_foreign(request: &ServiceRequest) -> bool {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    acts_for_another_site(request.request(), state_in(request.app_data())).await
}

/// Whether a page of another origin makes the request, with rights that the browser or the address gives it.
pub(super) async fn acts_for_another_site(request: &HttpRequest, state: &State) -> bool {
    let peer = request.peer_addr().map(|addr| addr.ip());
    let is_elsewhere = origin::comes_from_elsewhere(peer, request.headers(), &state.settings.http);
    is_elsewhere && !shows_its_sender(request, state).await
}

/// Allows pages of these origins to use the API with a token. Cookies are left to our own pages.
pub(super) fn cors(origins: &[String]) -> actix_cors::Cors {
    let cors = actix_cors::Cors::default().block_on_origin_mismatch(false);
    let (sites, others): (Vec<_>, Vec<_>) = origins.iter().cloned().partition(|origin| origin.starts_with("http"));
    let cors = sites.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
    // `file://` and `null` are no URLs, which the library wants.
    let cors =
        cors.allowed_origin_fn(move |origin, _| others.iter().any(|known| known.as_bytes() == origin.as_bytes()));
    cors.allow_any_method()
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_NONE_MATCH])
        .expose_headers(["X-Timestamp", "X-Mtx-Frame-Age", "X-Mtx-Placeholder", "ETag", "Retry-After"])
        .max_age(600)
}

/// Adds security headers: pages run our own scripts only, browsers do not guess media types, and addresses, which can contain
/// tokens, are in no Referer. A refused script gets a Bearer challenge, so that the browser does not open its own password
/// dialog; the page asks for the password.
pub(super) async fn secure(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_script = request.headers().get("sec-fetch-dest").is_some_and(|dest| dest == "empty");
    let mut response = next.call(request).await?;
    let is_page = |kind: &header::HeaderValue| kind.as_bytes().starts_with(b"text/html");
    let is_page = response.headers().get(header::CONTENT_TYPE).is_some_and(is_page);
    let is_foreign = response.response().extensions().get::<pages::Foreign>().is_some();
    // Home Assistant shows pages in a frame of its own page, at the same origin.
    let is_framed = ingress::path(response.request(), state_in(response.request().app_data())).is_some();
    let content_security_policy = is_page.then(|| {
        let request = response.request();
        let policy = match is_foreign {
            true => addresses::FOREIGN_PAGES.to_owned(),
            false => addresses::of(request, state_in(request.app_data())).content_security_policy(),
        };
        if is_framed { policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'") } else { policy }
    });
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    if let Some(policy) = content_security_policy.and_then(|policy| header::HeaderValue::try_from(policy).ok()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::REFERRER_POLICY, header::HeaderValue::from_static("no-referrer"));
        let frames = if is_framed { "SAMEORIGIN" } else { "DENY" };
        headers.insert(header::X_FRAME_OPTIONS, header::HeaderValue::from_static(frames));
    }
    if is_script && headers.contains_key(header::WWW_AUTHENTICATE) {
        headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"mtx-sidecar\""));
    }
    Ok(response)
}

/// Removes `http.base_path` from the front of an address. Addresses without it work as well: some proxies remove it
/// themselves, and MediaMTX on the same machine uses none.
pub(super) async fn strip_base_path(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let state = state_in(request.app_data());
    // A port of its own has one address, whatever path a client asks for: brokers ignore it as well.
    if let Some(Only(path)) = request.conn_data::<Only>().copied() {
        request.match_info_mut().get_mut().update(&Uri::from_static(path));
        request.head_mut().uri = Uri::from_static(path);
        return next.call(request).await;
    }
    let base = &state.settings.http.base_path;
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with(['/', '?']);
    let text = request.uri().path_and_query().map(|target| target.as_str()).unwrap_or_default();
    let rest = text.strip_prefix(base.as_str()).filter(|rest| !base.is_empty() && is_below(rest));
    if let Some(rest) = rest {
        let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        if let Ok(uri) = rest.parse::<Uri>() {
            request.match_info_mut().get_mut().update(&uri);
            request.head_mut().uri = uri;
        }
    }
    next.call(request).await
}
