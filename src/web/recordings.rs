//! MediaMTX's recordings, for callers with the permission `playback`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, State, addresses,
    caller::{Admin, CallerExtractor},
    endless::session_info,
    mediamtx::asking,
    nodes::{self, MissingNode, NodesQuery, Part},
    origin,
    problem::ProblemDocument,
};
use crate::{
    access::Role,
    cluster::Cluster,
    error::Error,
    mediamtx::{Client, Recorded},
    policy::Action,
    recordings::{self, Player, Recording, Timeline},
};

/// The topic of the questions of other nodes.
const TOPIC: &str = "recordings";

/// A recorded path. Its name can contain slashes.
const RECORDING: &str = "/api/v1/recordings/{path:.+}";

/// The path that the original program records.
const ORIGINAL_PATH: &str = "recording";

/// All recorded paths that the caller can play back.
#[derive(Serialize, ToSchema)]
pub struct RecordingList {
    /// By name; with `nodes=all` those of other nodes follow.
    recordings: Vec<RecordedPath>,
    /// With `nodes=all`: nodes of the cluster whose recordings, or some of them, are missing.
    missing: Vec<MissingNode>,
}

/// A recorded path, in a list.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RecordedPath {
    /// The path.
    path: String,
    /// The number of files.
    segments: usize,
    /// The start of the first file.
    first: Option<String>,
    /// The start of the last file.
    last: Option<String>,
    /// The size of all files in bytes. Missing if the sidecar beside them cannot read them all (`mediamtx.recordings`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// In a cluster, for a recording at another node: the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// The recorded paths of this node, with their sizes.
async fn described(state: &State, client: &Client, recorded: Vec<Recorded>) -> Vec<RecordedPath> {
    let sizes = recordings::sizes(client, &state.settings.mediamtx.recordings, &recorded).await;
    let described = recorded.into_iter().zip(sizes).map(|(recorded, sizes)| RecordedPath {
        path: recorded.name,
        segments: recorded.segments.len(),
        first: recorded.segments.first().map(|segment| segment.start.clone()),
        last: recorded.segments.last().map(|segment| segment.start.clone()),
        size: sizes.into_iter().sum(),
        node: None,
    });
    described.collect()
}

/// Answers the questions of other nodes, until the program ends.
pub(super) async fn answer(state: &State, cluster: &Cluster) {
    let list = async |(): ()| match state.mediamtx.recordings().await {
        Ok(recorded) => Part::new(described(state, &state.mediamtx, recorded).await, None),
        Err(e) => Part::new(vec![], Some(e.to_string())),
    };
    cluster.answer(TOPIC, list).await;
}

/// A part of a recording.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RangeQuery {
    /// Its start (RFC 3339).
    start: Option<String>,
    /// Its end (RFC 3339).
    end: Option<String>,
}

/// A range to download.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DownloadQuery {
    /// Its start (RFC 3339).
    start: String,
    /// Its duration in seconds.
    #[param(value_type = f64)]
    duration: String,
}

/// A day.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DayQuery {
    /// The date, such as `2026-01-31`.
    day: String,
    /// The offset from UTC, such as `+09:00`. Default: `Z`.
    offset: Option<String>,
}

/// A file of a recording.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SegmentQuery {
    /// Its start, exactly as listed.
    start: String,
}

/// Lists the recorded paths. With `nodes=all` those of other nodes follow; a node that does not answer is in `missing`.
#[utoipa::path(get, path = "/api/v1/recordings", tag = "recordings", params(NodesQuery), responses((status = 200, body = RecordingList), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument), (status = 502, body = ProblemDocument)))]
pub(super) async fn list(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<NodesQuery>,
) -> Result<HttpResponse, Problem> {
    state.access.authorize_some("http", &caller, Action::Playback).await?;
    let is_all = query.is_all()?;
    let client = asking(&state, &caller).await;
    let (mut own, mut missing) = (vec![], vec![]);
    match client.recordings().await {
        Ok(all) => {
            for recorded in all {
                if state.access.may(&caller, Action::Playback, &recorded.name).await {
                    own.push(recorded);
                }
            }
        }
        Err(e) if is_all && state.cluster.is_some() => missing.push(nodes::without_own(&state, &e)),
        Err(e) => return Err(e.into()),
    }
    let mut recordings = described(&state, &client, own).await;
    if is_all {
        let others = nodes::ask::<RecordedPath>(&state, TOPIC).await;
        for (node, recorded) in others.found {
            if state.access.may(&caller, Action::Playback, &recorded.path).await {
                recordings.push(RecordedPath { node: Some(node), ..recorded });
            }
        }
        missing.extend(others.missing);
    }
    Ok(HttpResponse::Ok().json(RecordingList { recordings, missing }))
}

/// The recording of a path: its files, and its playable parts with URLs that are valid for some minutes.
#[utoipa::path(
    get, path = RECORDING, tag = "recordings",
    params(("path" = String, Path, description = "Can contain slashes"), RangeQuery),
    responses((status = 200, body = Recording), (status = 403, body = ProblemDocument), (status = 502, body = ProblemDocument))
)]
pub(super) async fn get(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    path: web::Path<String>,
    query: web::Query<RangeQuery>,
) -> Result<HttpResponse, Problem> {
    state.access.authorize("http", &caller, Action::Playback, &path).await?;
    let player = player(&request, &state, &path)?;
    let client = asking(&state, &caller).await;
    let folder = &state.settings.mediamtx.recordings;
    let found = recordings::get(&client, &path, query.start.as_deref(), query.end.as_deref(), &player, folder).await?;
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(found))
}

/// A range of a recording as an MP4 file with a name. `download_url` in the list is such an address, with a token.
#[utoipa::path(
    get, path = "/api/v1/recordings/{path:.+}/download", tag = "recordings",
    params(("path" = String, Path, description = "Can contain slashes"), DownloadQuery),
    responses((status = 200, content_type = "video/mp4"), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument), (status = 502, body = ProblemDocument))
)]
pub(super) async fn download(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    path: web::Path<String>,
    query: web::Query<DownloadQuery>,
) -> Result<HttpResponse, Problem> {
    let by = state.access.authorize("http", &caller, Action::Playback, &path).await?;
    // A plus sign that was not encoded arrives as a space.
    let start = query.start.replace(' ', "+");
    let seconds = recordings::range(&start, &query.duration)?;
    let session = session_info(&request, "recording", &path, Role::Watcher);
    let permit = state.access.permit(Role::Watcher, &caller, by, session).await?;
    let file = state.downloads.open(&path, &start, seconds).await?;
    // The token of the address is for the beginning, as at MediaMTX itself: a long file takes longer than the token is valid.
    let body = futures_util::stream::try_unfold((file, permit), async |(mut file, permit)| {
        let next = file.chunk().await?;
        permit.session().sent(next.as_ref().map_or(0, |data| data.len()));
        Ok::<_, Error>(next.map(|data| (data, (file, permit))))
    });
    Ok(HttpResponse::Ok()
        .content_type("video/mp4")
        .insert_header(("Cache-Control", "no-store"))
        .insert_header((
            "Content-Disposition",
            format!("attachment; filename=\"{}\"", recordings::file_name(&path, &start)),
        ))
        .streaming(Box::pin(body)))
}

/// The recorded parts of a day, as offsets and durations.
#[utoipa::path(
    get, path = "/api/v1/recordings/{path:.+}/timeline", tag = "recordings",
    params(("path" = String, Path, description = "Can contain slashes"), DayQuery),
    responses((status = 200, body = Timeline), (status = 400, body = ProblemDocument))
)]
pub(super) async fn timeline(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    path: web::Path<String>,
    query: web::Query<DayQuery>,
) -> Result<HttpResponse, Problem> {
    state.access.authorize("http", &caller, Action::Playback, &path).await?;
    let offset = query.offset.as_deref().unwrap_or("Z");
    // A plus sign that was not encoded arrives as a space.
    let offset = offset.replace(' ', "+");
    Ok(HttpResponse::Ok().json(recordings::timeline(&asking(&state, &caller).await, &path, &query.day, &offset).await?))
}

/// Deletes a file of a recording.
#[utoipa::path(
    delete, path = RECORDING, tag = "recordings",
    params(("path" = String, Path, description = "Can contain slashes"), SegmentQuery),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 403, body = ProblemDocument))
)]
pub(super) async fn delete(
    state: web::Data<State>,
    _: Admin,
    path: web::Path<String>,
    query: web::Query<SegmentQuery>,
) -> Result<HttpResponse, Problem> {
    recordings::delete(&state.mediamtx, &path, &query.start.replace(' ', "+")).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The original program's list of playable parts, with `url_view` for the browser.
#[utoipa::path(post, path = "/mediamtx-get-recording", tag = "mediamtx", responses((status = 200), (status = 401, body = ProblemDocument)))]
pub(super) async fn original(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    state.access.authorize("http", &caller, Action::Playback, ORIGINAL_PATH).await?;
    let player = player(&request, &state, ORIGINAL_PATH)?;
    let found = recordings::get(&asking(&state, &caller).await, ORIGINAL_PATH, None, None, &player, "").await?;
    let list: Vec<Value> = found
        .ranges
        .into_iter()
        .map(|range| json!({"start": range.start, "duration": range.duration, "url": range.url, "url_view": range.url}))
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "list": list })))
}

/// The base URL of playback for the browser: configured, or the playback server's port at the host name of the request.
fn player(request: &HttpRequest, state: &State, path: &str) -> Result<Player, Error> {
    let base = addresses::of(request, state).playback;
    Ok(Player { base, downloads: origin::of(request, state), token: state.identity.playback_token(path)? })
}
