//! Pictures out.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{Method, header},
    web,
};
use serde::Deserialize;
use tokio::time::Duration;
use utoipa::IntoParams;

use super::{
    Problem, State,
    caller::CallerExtractor,
    endless::Endless,
    problem::ProblemDocument,
    still,
    watch_params::{TransformQuery, share_of},
};
use crate::{
    access::Role,
    error::{Error, Result},
    output::{
        mjpeg::{self, Form, check_interval},
        snapshot,
        variants::Watching,
    },
    picture::{BOUNDARY, transform::Transform},
    policy::{Action, Caller},
    producer::Definition,
    stream::{Demand, StreamName},
};

/// The original recipe.
const RECIPE: &str = "/mjpeg-get";

/// The output's word: for the audit, the list of sessions and the log.
const MJPEG: &str = "mjpeg";

/// Parameters of an MJPEG stream.
#[derive(Deserialize, IntoParams)]
pub struct MjpegQuery {
    /// How often a picture that does not change is repeated, in milliseconds (40 to 3600000).
    interval: Option<String>,
    /// `1` sends the head of the next part along with each picture (which then has no Content-Length), `0` does not;
    /// browsers, which need it, are recognised.
    #[allow(dead_code, reason = "read with the other flags of the form")]
    advance_headers: Option<String>,
}

/// Parameters of the original recipe.
#[derive(Deserialize, IntoParams)]
pub struct RecipeQuery {
    /// The stream's name; for `type=udp` of a stream not defined yet, the camera's address.
    name: Option<String>,
    /// `file` for uploads, which is the default, or `udp` for a camera.
    r#type: Option<String>,
    /// How often a picture that does not change is repeated, in milliseconds (40 to 3600000).
    interval: Option<String>,
}

/// Parameters of a snapshot.
#[derive(Deserialize, IntoParams)]
pub struct SnapshotQuery {
    /// The oldest picture that will do, in seconds or as `500ms`, `10s`; an older one is waited for to be replaced.
    max_age: Option<String>,
}

/// MJPEG of a stream: for `<img>`, ffmpeg, Home Assistant, OctoPrint.
#[utoipa::path(
    method(get, head), path = "/stream/{name:.+}.mjpeg", tag = "pictures out", params(("name" = String, Path, description = "May contain slashes"), MjpegQuery, TransformQuery),
    responses((status = 200, content_type = "multipart/x-mixed-replace"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn mjpeg(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    query: web::Query<MjpegQuery>,
) -> Result<HttpResponse, Problem> {
    show(&request, &state, &caller, &name, query.interval.as_deref()).await
}

/// MJPEG of a stream, at whichever address; to HEAD the headers, without starting anything.
pub(super) async fn show(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    name: &str,
    interval_asked: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(name)?;
    let mut options = options(state, request, interval(state, interval_asked)?);
    options.form.set_flags(request.query_string())?;
    let transform = Transform::from_query(request.query_string())?;
    if request.method() == Method::HEAD {
        state.access.authorize(MJPEG, caller, Action::Read, &name).await?;
        state.catalog.exists(&name).await?;
        return Ok(mjpeg_headers().finish());
    }
    let endless = Endless::admit(request, state, caller, Role::Watcher, MJPEG, &name).await?;
    let watch = state.catalog.watch(&name, Demand::Continuous).await?;
    let watching = state.variants.join(watch, transform, &share_of(endless.principal(), caller))?;
    Ok(stream(endless, watching, options))
}

/// MJPEG of a stream that is made if there is none, as the original recipe's ffmpeg asks for it.
#[utoipa::path(
    get, path = RECIPE, tag = "pictures out", params(RecipeQuery, TransformQuery),
    responses((status = 200, content_type = "multipart/x-mixed-replace"), (status = 409, body = ProblemDocument))
)]
pub(super) async fn recipe(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<RecipeQuery>,
) -> Result<HttpResponse, Problem> {
    let (name, wanted, interval) = recipe_parameters(&state, &query)?;
    let transform = Transform::from_query(request.query_string())?;
    let endless = Endless::admit(&request, &state, &caller, Role::Watcher, MJPEG, &name).await?;
    let watch = state.catalog.watch_own(&name, Some(&wanted))?;
    let watching = state.variants.join(watch, transform, &share_of(endless.principal(), &caller))?;
    let mut options = options(&state, &request, interval);
    options.for_decoder = !options.form.advance_heads;
    Ok(stream(endless, watching, options))
}

/// The headers of the recipe's stream, without making or starting anything.
#[utoipa::path(
    head, path = RECIPE, tag = "pictures out", params(RecipeQuery, TransformQuery),
    responses((status = 200, content_type = "multipart/x-mixed-replace"), (status = 409, body = ProblemDocument))
)]
pub(super) async fn recipe_head(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<RecipeQuery>,
) -> Result<HttpResponse, Problem> {
    let (name, wanted, _) = recipe_parameters(&state, &query)?;
    Transform::from_query(request.query_string())?;
    state.access.authorize(MJPEG, &caller, Action::Read, &name).await?;
    state.catalog.check_recipe(&name, &wanted)?;
    Ok(mjpeg_headers().finish())
}

/// One picture, with `ETag` and `Last-Modified`. Never a stream.
#[utoipa::path(
    method(get, head), path = "/snapshot/{name:.+}.jpg", tag = "pictures out", params(("name" = String, Path, description = "May contain slashes"), SnapshotQuery, TransformQuery),
    responses(
        (status = 200, content_type = "image/jpeg"), (status = 304, description = "The picture that If-None-Match names"),
        (status = 404, body = ProblemDocument), (status = 504, description = "A camera gave nothing in time", body = ProblemDocument),
    )
)]
pub(super) async fn snapshot(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    query: web::Query<SnapshotQuery>,
) -> Result<HttpResponse, Problem> {
    let max_age = query.max_age.as_deref().map(|text| max_age("max_age", text)).transpose()?;
    take(&request, &state, &caller, &name, max_age).await
}

/// One picture of a stream, at whichever address.
pub(super) async fn take(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    name: &str,
    max_age: Option<Duration>,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(name)?;
    let transform = Transform::from_query(request.query_string())?;
    let who = state.access.authorize("http", caller, Action::Read, &name).await?;
    let output = &state.settings.output;
    let options =
        snapshot::Options { max_age, usual_max_age: *output.snapshot_max_age, timeout: *output.snapshot_timeout };
    let watch = state.catalog.watch(&name, Demand::Single).await?;
    let frame = snapshot::take(watch, &options).await?;
    Ok(still::respond(request, state, &name, &frame, &transform, &share_of(&who, caller)).await?)
}

fn recipe_parameters(state: &State, query: &RecipeQuery) -> Result<(StreamName, Definition, Duration)> {
    let name = query.name.as_deref().ok_or_else(|| Error::parameter("name", "is needed: /mjpeg-get?name=…"))?;
    let name = state.catalog.name(name)?;
    let wanted = Definition::of_recipe(query.r#type.as_deref().unwrap_or("file"))?;
    Ok((name, wanted, interval(state, query.interval.as_deref())?))
}

fn interval(state: &State, text: Option<&str>) -> Result<Duration> {
    let Some(text) = text else { return Ok(*state.settings.output.interval) };
    let millis: u64 = text.parse().map_err(|_| {
        Error::parameter("interval", format!("must be a whole number of milliseconds from 40 to 3600000, not {text:?}"))
    })?;
    let interval = Duration::from_millis(millis);
    check_interval(interval)?;
    Ok(interval)
}

/// Seconds, or a duration with its unit.
pub(super) fn max_age(field: &'static str, text: &str) -> Result<Duration> {
    let plain = text.parse::<f64>().ok().filter(|s| (0.0..=1e9).contains(s)).map(Duration::from_secs_f64);
    plain
        .or_else(|| text.parse::<crate::units::HumanDuration>().ok().map(|span| *span))
        .ok_or_else(|| Error::parameter(field, format!("must be seconds, or a duration such as 500ms, not {text:?}")))
}

fn user_agent(request: &HttpRequest) -> &str {
    request.headers().get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Every browser begins its name like this, and nothing that counts on `Content-Length` does.
fn is_browser(request: &HttpRequest) -> bool {
    user_agent(request).starts_with("Mozilla/")
}

fn options(state: &State, request: &HttpRequest, interval: Duration) -> mjpeg::Options {
    mjpeg::Options {
        interval,
        for_decoder: user_agent(request).starts_with("Lavf/"),
        form: Form { advance_heads: is_browser(request), ..Form::default() },
        placeholder_after: *state.catalog.registry().settings().placeholder_after,
        stall_timeout: *state.settings.output.stall_timeout,
    }
}

fn mjpeg_headers() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    // mjpg-streamer's and ustreamer's own words, which every client of theirs is known to accept.
    response
        .insert_header((header::CONTENT_TYPE, format!("multipart/x-mixed-replace;boundary={BOUNDARY}")))
        .insert_header((
            header::CACHE_CONTROL,
            "no-store, no-cache, must-revalidate, proxy-revalidate, pre-check=0, post-check=0, max-age=0",
        ))
        .insert_header((header::PRAGMA, "no-cache"))
        .insert_header((header::EXPIRES, "Mon, 3 Jan 2000 12:34:56 GMT"))
        // nginx buffers otherwise, and a still would never get through.
        .insert_header(("X-Accel-Buffering", "no"))
        .force_close();
    response
}

/// Sends the head, and gives the connection to the MJPEG output.
fn stream(endless: Endless, Watching { watch, held }: Watching, options: mjpeg::Options) -> HttpResponse {
    endless.respond(mjpeg_headers(), async move |connection| {
        let stop = connection.stop();
        let report = mjpeg::serve(connection, watch, options, stop).await;
        drop(held);
        Some(report)
    })
}
