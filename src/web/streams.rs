//! Streams: their state, and their definitions for administrators.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::{Admin, CallerExtractor, administrator},
    condition::only_if_new,
    extract::{Body, SMALL, read},
    problem::ProblemDocument,
};
use crate::{
    camera_paths::{CameraPath, CameraPaths, NewCameraPath},
    catalog::{Members, invalid},
    error::{Code, Result},
    output::{h264, variants::VariantStats},
    paths::PathStatus,
    policy::{Action, Caller},
    producer::StreamDefinition,
    stream::{Stats, Stream},
};

/// A stream. Its name can contain slashes.
const STREAM: &str = "/api/v1/streams/{name:.+}";

/// All streams that the caller can read.
#[derive(Serialize, ToSchema)]
pub struct StreamList {
    /// By name.
    streams: Vec<StreamState>,
}

/// The state of a stream.
#[derive(Serialize, ToSchema)]
pub struct StreamState {
    #[serde(flatten)]
    stats: Stats,
    /// What people read in place of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// Its encodings for RTSP readers.
    video: Vec<h264::Stats>,
    /// Its variants. Their watchers count as watchers of the stream, too.
    variants: Vec<VariantStats>,
}

/// One stream, for administrators with its definition.
#[derive(Serialize, ToSchema)]
pub struct StreamDetail {
    #[serde(flatten)]
    state: StreamState,
    /// The definition, for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<StreamDefinition>,
}

/// A path of MediaMTX that reads the camera of a stream.
#[derive(Serialize, ToSchema)]
pub struct StreamsPath {
    /// The path, as `/api/v1/paths` has it.
    path: PathStatus,
    /// The stream.
    stream: StreamDetail,
    /// The result and the next step, in words.
    advice: String,
}

/// Lists the streams that the caller can read. A caller that can read none at all is refused.
#[utoipa::path(
    get, path = "/api/v1/streams", tag = "streams",
    responses((status = 200, body = StreamList), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument))
)]
pub(super) async fn list(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    state.access.authorize_some("http", &caller, Action::Read).await?;
    let is_admin = state.access.may(&caller, Action::Api, "").await;
    let mut streams = vec![];
    let mut videos = state.encodings.stats();
    let mut variants = state.variants.stats();
    for stream in state.catalog.registry().list() {
        if state.access.may(&caller, Action::Read, stream.name()).await {
            let video = videos.remove(stream.name()).unwrap_or_default();
            let variants = variants.remove(stream.name()).unwrap_or_default();
            let title = title_of(&state, stream.name());
            streams.push(StreamState { stats: stats_for(&stream, is_admin), title, video, variants });
        }
    }
    Ok(HttpResponse::Ok().json(StreamList { streams }))
}

/// One stream.
#[utoipa::path(
    get, path = STREAM, tag = "streams", params(("name" = String, Path, description = "Can contain slashes")),
    responses((status = 200, body = StreamDetail), (status = 404, body = ProblemDocument))
)]
pub(super) async fn get(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(&name)?;
    state.access.authorize("http", &caller, Action::Read, &name).await?;
    let stream = state.catalog.registry().find(&name)?;
    let is_admin = state.access.may(&caller, Action::Api, "").await;
    let definition = if is_admin { state.catalog.definition(&name).await? } else { None };
    let stats = stats_for(&stream, is_admin);
    Ok(HttpResponse::Ok().json(StreamDetail { state: StreamState { stats, ..state_of(&state, &stream) }, definition }))
}

/// Defines a stream, or redefines it while its watchers stay connected. The definition survives restarts. With `If-None-Match: *` a
/// stream that exists is not redefined.
#[utoipa::path(
    put, path = STREAM, tag = "streams", params(("name" = String, Path, description = "Can contain slashes")),
    request_body = StreamDefinition,
    responses(
        (status = 200, description = "Redefined", body = StreamDetail), (status = 201, description = "Defined", body = StreamDetail),
        (status = 409, description = "Defined in the configuration file", body = ProblemDocument),
        (status = 412, description = "The stream exists, and the request has `If-None-Match: *`", body = ProblemDocument),
        (status = 422, description = "Not valid", body = ProblemDocument),
    )
)]
pub(super) async fn put(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(&name)?;
    administrator(&request, &state, &caller).await?;
    let members: Members = serde_json::from_slice(&body).map_err(invalid)?;
    let (is_new, stream, definition) = state
        .catalog
        .put(&name, members, only_if_new(&request)?, async |made| may_read_parents(&state, &caller, made).await)
        .await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(StreamDetail { state: state_of(&state, &stream), definition: Some(definition) }))
}

/// Changes some settings of a defined stream (JSON merge patch, RFC 7396).
#[utoipa::path(
    patch, path = STREAM, tag = "streams", params(("name" = String, Path, description = "Can contain slashes")),
    request_body(content_type = "application/merge-patch+json", description = "Members of the definition; null restores the default"),
    responses((status = 200, body = StreamDetail), (status = 404, body = ProblemDocument), (status = 422, body = ProblemDocument))
)]
pub(super) async fn patch(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(&name)?;
    administrator(&request, &state, &caller).await?;
    let changes: Members = serde_json::from_slice(&body).map_err(invalid)?;
    let (stream, definition) =
        state.catalog.patch(&name, changes, async |made| may_read_parents(&state, &caller, made).await).await?;
    Ok(HttpResponse::Ok().json(StreamDetail { state: state_of(&state, &stream), definition: Some(definition) }))
}

/// Removes a stream and its stored picture. Its watchers are disconnected.
#[utoipa::path(
    delete, path = STREAM, tag = "streams", params(("name" = String, Path, description = "Can contain slashes")),
    responses(
        (status = 204), (status = 404, body = ProblemDocument),
        (status = 409, description = "Defined in the configuration file", body = ProblemDocument),
    )
)]
pub(super) async fn delete(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(&name)?;
    administrator(&request, &state, &caller).await?;
    state.catalog.remove(&name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Who makes a stream of other streams must be able to read them: the new stream shows their pictures, or the numbers of a graph, under
/// another name.
async fn may_read_parents(state: &State, caller: &Caller, definition: &StreamDefinition) -> Result<()> {
    for parent in definition.parents() {
        state.access.authorize("http", caller, Action::Read, &parent).await?;
    }
    if definition.has_patterns() {
        // A pattern shows streams that do not exist yet. Only a rule for all paths matches the empty one.
        state.access.authorize("http", caller, Action::Read, "").await?;
    }
    for key in definition.values() {
        for graph in state.catalog.context().numbers.meant_by(&key) {
            state.access.authorize("http", caller, Action::Read, &graph).await?;
        }
    }
    Ok(())
}

/// Lets MediaMTX read the camera of a stream of kind `rtsp`, on demand: makes a kept path with the camera's address and password. With
/// `replace` the stream reads that path from now on. All members of the body can be left out, and so can the body.
#[utoipa::path(
    post, path = "/api/v1/streams/{name:.+}/mediamtx-path", tag = "streams",
    params(("name" = String, Path, description = "Can contain slashes")), request_body = NewCameraPath,
    responses(
        (status = 201, description = "The path is new", body = StreamsPath),
        (status = 200, description = "The same path was kept before", body = StreamsPath),
        (status = 404, body = ProblemDocument),
        (status = 409, description = "Another path has the name, the stream has no RTSP camera, or `replace` is not possible because \
                                      sidecar.yml defines the stream", body = ProblemDocument),
    )
)]
pub(super) async fn mediamtx_path(
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let new: NewCameraPath = if body.is_empty() { NewCameraPath::default() } else { read(&body, Code::InvalidBody)? };
    let name = state.catalog.name(&name)?;
    let camera_paths = CameraPaths { catalog: &state.catalog, paths: &state.paths };
    let CameraPath { name: path, is_new, advice } = camera_paths.create(&name, new).await?;
    let path = state.paths.get(&path).await?;
    let stream = state.catalog.registry().find(&name)?;
    let definition = state.catalog.definition(&name).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(StreamsPath {
        path,
        stream: StreamDetail { state: state_of(&state, &stream), definition },
        advice,
    }))
}

/// The words of a failure are for administrators.
fn stats_for(stream: &Stream, is_admin: bool) -> Stats {
    let stats = stream.stats();
    if is_admin { stats } else { stats.for_everyone(stream) }
}

fn state_of(state: &State, stream: &Stream) -> StreamState {
    let video = state.encodings.stats().remove(stream.name()).unwrap_or_default();
    let variants = state.variants.stats().remove(stream.name()).unwrap_or_default();
    StreamState { stats: stream.stats(), title: title_of(state, stream.name()), video, variants }
}

fn title_of(state: &State, name: &str) -> Option<String> {
    state.catalog.title(name).map(|title| title.to_string())
}
