//! Snapshots, and the original recipe's MJPEG. Other MJPEG is an output that [`endless`](super::endless) answers with.

use actix_web::{HttpRequest, HttpResponse, http::Method, web};
use serde::Deserialize;
use tokio::time::Duration;
use utoipa::IntoParams;

use super::{
    Problem, State,
    caller::CallerExtractor,
    endless::{Endless, for_output, head, session_info},
    problem::ProblemDocument,
    routes::pattern,
    still,
    turn::Listed,
    watch_params::{requester, share_of},
};
use crate::{
    access::Role,
    error::{Error, Result},
    output::{
        http::{Opened, TransformQuery},
        mjpeg, snapshot,
    },
    picture::transform::Transform,
    policy::{Action, Caller},
    producer::Definition,
    stream::{Form, StreamName},
};

/// Parameters of the original recipe.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RecipeQuery {
    /// The stream's name. For `type=udp` and an unknown stream: the camera's address.
    name: Option<String>,
    /// `file` for uploads, which is the default, or `udp` for a camera.
    r#type: Option<String>,
    /// How often an unchanged picture is repeated, in milliseconds (40 to 3600000); for `type=udp` also how often the camera is
    /// asked. Without it, decoders (ffmpeg, GStreamer, VLC, OpenCV, Frigate) get the picture at least each second.
    interval: Option<String>,
}

/// Parameters of a snapshot.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SnapshotQuery {
    /// The maximum age of the picture, in seconds or as `500ms`, `10s`. For an older picture, the next one is awaited.
    max_age: Option<String>,
}

/// MJPEG of a stream that is made if it does not exist, as the original recipe's ffmpeg asks for it. HEAD makes and starts nothing.
#[utoipa::path(
    method(get, head), path = "/mjpeg-get", tag = "pictures out", params(RecipeQuery, TransformQuery),
    responses((status = 200, content_type = "multipart/x-mixed-replace"), (status = 409, body = ProblemDocument))
)]
pub(super) async fn recipe(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<RecipeQuery>,
) -> Result<HttpResponse, Problem> {
    let (name, wanted) = recipe_parameters(&state, &query)?;
    let opened = recipe_response(&request, &state)?;
    if request.method() == Method::HEAD {
        state.access.authorize(mjpeg::OUTPUT.kind.word, &caller, Action::Read, &name).await?;
        state.catalog.check_recipe(&name, &wanted)?;
        return Ok(head(&opened).finish());
    }
    let endless = Endless::admit(&request, &state, &caller, Role::Watcher, &mjpeg::OUTPUT.kind, &name).await?;
    let by = requester(&request, &state, endless.principal(), &caller);
    let watch = state.catalog.watch_own(&name, Some(&wanted), &by)?;
    Ok(endless.serve(&state, &caller, opened, watch)?)
}

/// One picture, with `ETag` and `Last-Modified`. Never a stream.
#[utoipa::path(
    method(get, head), path = pattern(&snapshot::KIND), summary = snapshot::KIND.about, tag = "pictures out", params(("name" = String, Path, description = "Can contain slashes"), SnapshotQuery, TransformQuery),
    responses(
        (status = 200, content_type = snapshot::KIND.content_type), (status = 304, description = "The picture that If-None-Match names"),
        (status = 404, body = ProblemDocument), (status = 504, description = "The camera gave no picture in time", body = ProblemDocument),
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

/// One picture of a stream; used by all addresses of snapshots.
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
    let form = if transform.keeps_pictures() { Form::Jpeg } else { Form::Raster };
    let by = requester(request, state, &who, caller);
    let frame = match state.catalog.snapshot(&name, form, &by, &options).await {
        Ok(frame) => frame,
        Err(error) => return Err(told_to(state, caller, error).await),
    };
    let mut response = still::respond(request, state, &name, &frame, &transform, &share_of(&who, caller)).await?;
    let info = session_info(request, snapshot::KIND.word, &name, Role::Watcher);
    response.extensions_mut().insert(Listed { access: state.access.clone(), principal: who, info });
    Ok(response)
}

/// The error as this caller can have it: only administrators read the words of a source, which can name addresses of the network.
pub(super) async fn told_to(state: &State, caller: &Caller, error: Error) -> Problem {
    match state.access.may(caller, Action::Api, "").await {
        true => error.in_full().into(),
        false => error.into(),
    }
}

fn recipe_parameters(state: &State, query: &RecipeQuery) -> Result<(StreamName, Definition)> {
    let name = query.name.as_deref().ok_or_else(|| Error::parameter("name", "is required: /mjpeg-get?name=…"))?;
    let name = state.catalog.name(name)?;
    let kind = query.r#type.as_deref().unwrap_or("file");
    Ok((name, Definition::of_recipe(kind, query.interval.as_deref())?))
}

/// The recipe's clients are decoders, unless they are browsers.
fn recipe_response(request: &HttpRequest, state: &State) -> Result<Opened> {
    let transform = Transform::from_query(request.query_string())?;
    let request = for_output(request, state);
    let mut options = mjpeg::Options::new(&request, mjpeg::interval_in(&request)?);
    options.for_decoder = !options.form.advance_heads;
    Ok(mjpeg::opened(options, transform))
}

/// Seconds, or a duration with its unit.
pub(super) fn max_age(field: &'static str, text: &str) -> Result<Duration> {
    let plain = text.parse::<f64>().ok().filter(|s| (0.0..=1e9).contains(s)).map(Duration::from_secs_f64);
    plain
        .or_else(|| text.parse::<crate::units::HumanDuration>().ok().map(|span| *span))
        .ok_or_else(|| Error::parameter(field, format!("must be seconds, or a duration such as 500ms, not {text:?}")))
}
