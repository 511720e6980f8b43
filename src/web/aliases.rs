//! Addresses that other programs expect: those of mjpg-streamer, ustreamer, ESP32-CAM and Frigate (`go2rtc.rs` has go2rtc's).
//!
//! Each alias resolves its stream, and then does the same as our own address: the same policy, limits and parameters. An address
//! without a name uses `aliases.webcams`.

use actix_web::{
    HttpRequest, HttpResponse,
    guard::GuardContext,
    http::header::{self, HeaderMap},
    web,
};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::{
    Problem, State, caller::CallerExtractor, endless, problem::ProblemDocument, uv4l, watch, watch_params::requester,
};
use crate::{
    error::{Code, Error, Result},
    output::{http::TransformQuery, mjpeg},
    policy::{Action, Caller, token_in_query},
    query,
    stream::{State as Life, StreamName},
};

/// mjpg-streamer's parameters.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ActionQuery {
    /// `stream` or `snapshot`; `stream_1` and `snapshot_1` for the second webcam.
    action: Option<String>,
    /// A stream by name instead of a webcam; mjpg-streamer does not have this.
    name: Option<String>,
}

/// Whether a request to `/` is one for mjpg-streamer, or for a UV4L camera, and not for our first page.
pub(super) fn has_action(request: &GuardContext<'_>) -> bool {
    is_websocket(&request.head().headers)
        || query::first(request.head().uri.query().unwrap_or_default(), "action").is_some()
}

fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// mjpg-streamer's address: `/?action=stream` and `/?action=snapshot`. For a WebSocket, the signalling of the UV4L camera `uv4l.root`.
/// Otherwise this is the first page.
#[utoipa::path(
    method(get, head), path = "/", tag = "aliases", params(ActionQuery, TransformQuery),
    responses((status = 101, description = "Signalling"), (status = 200, description = "MJPEG, a picture, or the page"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn root(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<ActionQuery>,
) -> Result<HttpResponse, Problem> {
    if is_websocket(request.headers()) && query.action.is_none() {
        return uv4l::root(&request, &state, &caller).await;
    }
    act(&request, &state, &caller, &query, 0).await
}

/// mjpg-streamer's address behind the proxy of OctoPi and Mainsail: `/webcam/?action=stream`, `/webcam2/?action=snapshot`.
#[utoipa::path(
    method(get, head), path = "/webcam{n:[0-9]?}", tag = "aliases", params(("n" = String, Path, description = "Empty or 1 for the first webcam"), ActionQuery, TransformQuery),
    responses((status = 200, description = "MJPEG or a picture"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn webcam(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    n: web::Path<String>,
    query: web::Query<ActionQuery>,
) -> Result<HttpResponse, Problem> {
    act(&request, &state, &caller, &query, index(&n)).await
}

/// camera-streamer's and ustreamer's addresses behind the same proxy: `/webcam/stream`, `/webcam2/snapshot`.
#[utoipa::path(
    method(get, head), path = "/webcam{n:[0-9]?}/{what:stream|snapshot|state}", tag = "aliases",
    params(("n" = String, Path, description = "Empty or 1 for the first webcam"), ("what" = String, Path, description = "stream, snapshot or state"), TransformQuery),
    responses((status = 200, description = "MJPEG, a picture, or JSON"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn webcam_part(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (n, what) = path.into_inner();
    let name = webcam_name(&state, index(&n))?;
    part(&request, &state, &caller, &name, &what).await
}

/// MJPEG of the first webcam: ustreamer's and camera-streamer's address, and that of an ESP32-CAM at its port 81.
#[utoipa::path(
    method(get, head), path = "/stream", tag = "aliases", params(TransformQuery),
    responses((status = 200, content_type = "multipart/x-mixed-replace"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn stream(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    part(&request, &state, &caller, &webcam_name(&state, 0)?, "stream").await
}

/// One picture of the first webcam: ustreamer's address.
#[utoipa::path(
    method(get, head), path = "/snapshot", tag = "aliases", params(TransformQuery),
    responses((status = 200, content_type = "image/jpeg"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn snapshot(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    part(&request, &state, &caller, &webcam_name(&state, 0)?, "snapshot").await
}

/// One picture of the first webcam: an ESP32-CAM's address.
#[utoipa::path(
    method(get, head), path = "/capture", tag = "aliases", params(TransformQuery),
    responses((status = 200, content_type = "image/jpeg"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn capture(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    part(&request, &state, &caller, &webcam_name(&state, 0)?, "snapshot").await
}

/// The state of the first webcam, in ustreamer's format.
#[utoipa::path(
    method(get, head), path = "/state", tag = "aliases",
    responses((status = 200, content_type = "application/json"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn state(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    part(&request, &state, &caller, &webcam_name(&state, 0)?, "state").await
}

/// ustreamer's addresses of any stream.
#[utoipa::path(
    method(get, head), path = "/ustreamer/{name:.+}/{what:stream|snapshot|state}", tag = "aliases",
    params(("name" = String, Path, description = "Can contain slashes"), ("what" = String, Path, description = "stream, snapshot or state"), TransformQuery),
    responses((status = 200, description = "MJPEG, a picture, or JSON"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn ustreamer(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (name, what) = path.into_inner();
    part(&request, &state, &caller, &name, &what).await
}

/// Frigate's snapshot, for streams without a slash in their name.
#[utoipa::path(
    method(get, head), path = "/api/{camera}/latest.{kind:jpg|jpeg}", tag = "aliases",
    params(("camera" = String, Path), ("kind" = String, Path, description = "jpg or jpeg"), TransformQuery),
    responses((status = 200, content_type = "image/jpeg"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn frigate_latest(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    watch::take(&request, &state, &caller, &path.0, None).await
}

/// Frigate's MJPEG, for streams without a slash in their name.
#[utoipa::path(
    method(get, head), path = "/api/{camera}", tag = "aliases", params(("camera" = String, Path), TransformQuery),
    responses((status = 200, content_type = "multipart/x-mixed-replace"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn frigate_stream(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    camera: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    endless::watch(&request, &state, &caller, &camera, &mjpeg::OUTPUT).await
}

async fn act(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    query: &ActionQuery,
    webcam: usize,
) -> Result<HttpResponse, Problem> {
    let action = query.action.as_deref().unwrap_or_default();
    let Some((what, plugin)) = action_of(action) else {
        return Err(Error::parameter("action", format!("must be stream or snapshot, not {action:?}")).into());
    };
    let plugin = plugin.unwrap_or(webcam);
    match &query.name {
        Some(name) => part(request, state, caller, name, what).await,
        None => part(request, state, caller, &webcam_name(state, plugin)?, what).await,
    }
}

/// What an action asks for, and the input plugin, counted from 0. mjpg-streamer compares only the beginning
/// (its plugins/output_http/httpd.c), so that addresses such as `/?action=stream?dummy=param.mjpg` work, which OpenCV needs,
/// and `/?action=snapshot?1699` against caches.
fn action_of(action: &str) -> Option<(&'static str, Option<usize>)> {
    let action = action.trim_start().to_ascii_lowercase();
    let (what, behind) =
        ["stream", "snapshot"].into_iter().find_map(|what| Some((what, action.strip_prefix(what)?)))?;
    let Some(plugin) = behind.strip_prefix('_') else { return Some((what, None)) };
    let digits = plugin.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    Some((what, Some(digits.parse().ok()?)))
}

async fn part(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    name: &str,
    what: &str,
) -> Result<HttpResponse, Problem> {
    let mut response = match what {
        "stream" => endless::watch(request, state, caller, name, &mjpeg::OUTPUT).await,
        "snapshot" => watch::take(request, state, caller, name, None).await,
        _ => describe(request, state, caller, name).await,
    }?;
    // mjpg-streamer and ustreamer let every page read. Here that needs a token in the address: without one, a page of any
    // web site could read with the rights that its visitor's address gives.
    if token_in_query(request.query_string()).is_some() && request.headers().contains_key(header::ORIGIN) {
        let every = header::HeaderValue::from_static("*");
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, every);
    }
    Ok(response)
}

/// ustreamer's /state (its src/ustreamer/http/server.c), without the list of clients.
async fn describe(request: &HttpRequest, state: &State, caller: &Caller, name: &str) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(name)?;
    let who = state.access.authorize("http", caller, Action::Read, &name).await?;
    let by = requester(request, state, &who, caller);
    let stream = state.catalog.find_or_relay(&name, &by).await?;
    let stats = stream.stats();
    let (width, height) = stats.picture.as_ref().map_or((0, 0), |picture| (picture.width, picture.height));
    // Integers, as ustreamer's own; its clients read them as such.
    let fps = stats.fps.round() as u64;
    let is_online = stats.picture.is_some() && !matches!(stream.state().0, Life::Starting | Life::Failing { .. });
    Ok(HttpResponse::Ok().json(json!({
        "ok": true,
        "result": {
            "instance_id": name,
            "encoder": {"type": "CPU", "quality": state.settings.variants.quality},
            "source": {
                "resolution": {"width": width, "height": height},
                "online": is_online,
                "desired_fps": 0,
                "captured_fps": fps,
            },
            "stream": {"queued_fps": fps, "clients": stats.watchers, "clients_stat": {}},
        },
    })))
}

/// The index of a webcam from the digit of its address: none, 0 and 1 are the first webcam.
fn index(n: &str) -> usize {
    n.parse::<usize>().unwrap_or(1).saturating_sub(1)
}

fn webcam_name(state: &State, index: usize) -> Result<StreamName> {
    let webcams = &state.settings.aliases.webcams;
    webcams.get(index).cloned().ok_or_else(|| {
        let which = match (index, webcams.len()) {
            (_, 0) => "no webcam is configured".to_owned(),
            (_, count) => format!("{count} webcams are configured, and this is number {}", index + 1),
        };
        Error::new(Code::UnknownStream, format!("{which} in aliases.webcams of sidecar.yml"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_an_action_counts() {
        for (action, expected) in [
            ("stream", Some(("stream", None))),
            ("stream_1", Some(("stream", Some(1)))),
            ("snapshot?t=123", Some(("snapshot", None))),
            ("stream?dummy=param.mjpg", Some(("stream", None))),
            ("snapshot_0?1699", Some(("snapshot", Some(0)))),
            ("streamer", Some(("stream", None))),
            ("Stream", Some(("stream", None))),
            ("snapshot_x", None),
            ("snapshot/", Some(("snapshot", None))),
            ("stream_99999999999999999999", None),
            ("take", None),
            ("", None),
        ] {
            assert_eq!(action_of(action), expected, "{action:?}");
        }
    }
}
