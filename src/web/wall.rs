//! All streams and paths that the caller can read, in one answer: everything that a page of pictures needs before its first
//! paint.

use std::collections::HashSet;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Problem, State,
    addresses::{self, Addresses},
    caller::CallerExtractor,
    problem::ProblemDocument,
    uv4l::{self, IceServer},
};
use crate::{
    mediamtx::PathCache,
    policy::{Action, Caller},
    stream::{LastFailure, Origin, Stream, lifecycle::is_for_everyone},
};

/// All streams and paths that the caller can read.
#[derive(Serialize, ToSchema)]
pub struct Wall {
    /// Our streams, then MediaMTX's other paths; each sorted by name.
    items: Vec<Item>,
    /// Whether MediaMTX answered within the last two seconds.
    mediamtx: bool,
    /// MediaMTX's base URLs.
    #[serde(flatten)]
    addresses: Addresses,
    /// The id of the latest event before the list was made: `since` of `/api/v1/events` for a client that misses none.
    event: u64,
    /// STUN and TURN servers for the calls of UV4L cameras.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ice_servers: Vec<IceServer>,
}

/// A stream, a path, or both.
#[derive(Serialize, ToSchema)]
pub struct Item {
    /// The name of the stream or path.
    name: String,
    /// What people read in place of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// Our stream, which has snapshots and MJPEG.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<Brief>,
    /// MediaMTX's path, which has WebRTC and HLS, if the caller can read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathState>,
    /// A UV4L camera, which browsers call by `/uv4l/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    uv4l: Option<Uv4lState>,
}

/// A UV4L camera.
#[derive(Serialize, ToSchema)]
pub struct Uv4lState {
    /// The calls in progress.
    sessions: usize,
    /// The calls that it can have at a time.
    max_sessions: u16,
}

/// The part of a stream that a tile shows; `/api/v1/streams/{name}` has all of it.
#[derive(Serialize, ToSchema)]
pub struct Brief {
    /// The kind of its producer.
    kind: &'static str,
    /// `idle`, `starting`, `live`, `lingering` or `failing`.
    state: &'static str,
    /// The reason in words.
    reason: String,
    /// Whether the stream has a picture, or can have one.
    picture: bool,
    /// Whether the source is connected and has brought no picture for some seconds: what is shown is frozen.
    stalled: bool,
    /// Why the producer failed last, if no picture has arrived since. Its `reason` is empty for callers without the permission
    /// `api`, because it can contain addresses of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<LastFailure>,
}

/// The state of a path of MediaMTX.
#[derive(Serialize, ToSchema)]
pub struct PathState {
    /// Its name.
    name: String,
    /// Whether it has a publisher or an active source.
    available: bool,
    /// Whether a reader starts its source.
    on_demand: bool,
    /// Its codecs, such as `H264` and `Opus`.
    tracks: Vec<String>,
    /// The number of readers.
    readers: usize,
    /// Whether the path has recordings that the caller can play back.
    recordings: bool,
}

/// All streams and paths that the caller can read.
#[utoipa::path(get, path = "/api/v1/wall", tag = "streams", responses((status = 200, body = Wall), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument)))]
pub(super) async fn get(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    state.access.authorize_some("http", &caller, Action::Read).await?;
    let event = state.events.latest();
    let addresses = addresses::of(&request, &state);
    let seen = state.path_cache.paths();
    let mediamtx = seen.is_some();
    let paths = seen.as_deref().map(Vec::as_slice).unwrap_or_default();
    let find = |name: &str| paths.iter().find(|path| path["name"] == name);
    let (mut items, mut ours) = (vec![], HashSet::new());
    let is_admin = state.access.may(&caller, Action::Api, "").await;
    for stream in state.catalog.registry().list() {
        // A path that is read at the moment, for a still of it, is listed with the other paths.
        if stream.origin() == Origin::MediaMtx {
            continue;
        }
        if !state.access.may(&caller, Action::Read, stream.name()).await {
            continue;
        }
        let name = stream.name().to_string();
        let path = match addresses.path_prefix.as_str() {
            "" => name.clone(),
            above => format!("{above}/{name}"),
        };
        // The path can also have the stream's own name. The one that MediaMTX lists is preferred.
        let path = if find(&path).is_none() && find(&name).is_some() { name.clone() } else { path };
        ours.extend([path.clone(), name.clone()]);
        let may = mediamtx && state.access.may(&caller, Action::Read, &path).await;
        // MediaMTX pulls an unlisted path when a reader asks for it.
        let path = may.then(|| match find(&path) {
            Some(known) => describe(known, &state.path_cache),
            None => PathState {
                name: path,
                available: false,
                on_demand: true,
                tracks: vec![],
                readers: 0,
                recordings: false,
            },
        });
        let title = state.catalog.title(&name).map(|title| title.to_string());
        items.push(Item { name, title, stream: Some(brief(&stream, is_admin)), path, uv4l: None });
    }
    for path in paths {
        let name = path["name"].as_str().unwrap_or_default();
        if ours.contains(name) {
            continue;
        }
        if state.access.may(&caller, Action::Read, name).await {
            let mut described = describe(path, &state.path_cache);
            if state.uv4l.is_on_demand(name) {
                // Such a path is always available, with a picture that says "offline": only its publisher is live.
                (described.available, described.on_demand) = (path["online"] == true, true);
            }
            let title = state.paths.title(name);
            items.push(Item { name: name.to_owned(), title, stream: None, path: Some(described), uv4l: None });
        }
    }
    for path in items.iter_mut().filter_map(|item| item.path.as_mut()) {
        path.recordings =
            state.path_cache.is_recorded(&path.name) && state.access.may(&caller, Action::Playback, &path.name).await;
    }
    add_cameras(&mut items, &state, &caller).await;
    let wall = Wall { items, mediamtx, addresses, event, ice_servers: uv4l::ice_servers(&state) };
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(wall))
}

/// Adds the UV4L cameras that are no path of MediaMTX: those that are get their video there, for any number of viewers.
async fn add_cameras(items: &mut Vec<Item>, state: &State, caller: &Caller) {
    for name in state.uv4l.names() {
        let Some(camera) = state.uv4l.get(&name).filter(|_| !state.uv4l.is_bridged(&name)) else { continue };
        if !state.access.may(caller, Action::Read, &name).await {
            continue;
        }
        let uv4l = Some(Uv4lState { sessions: state.uv4l.sessions(&name), max_sessions: camera.max_sessions });
        match items.iter_mut().find(|item| *item.name == *name) {
            Some(item) => item.uv4l = uv4l,
            None => {
                items.push(Item {
                    name: name.to_string(),
                    title: state.paths.title(&name),
                    stream: None,
                    path: None,
                    uv4l,
                });
            }
        }
    }
}

fn brief(stream: &Stream, is_admin: bool) -> Brief {
    let (at, reason) = stream.state();
    let failure = stream.failure().map(|failure| match is_admin {
        true => failure,
        false => LastFailure { reason: String::new(), ..failure },
    });
    // The words of a failure name addresses.
    let reason = if is_admin || (failure.is_none() && is_for_everyone(&reason)) { reason } else { String::new() };
    // A stream that a request made without an upload has no picture; one of before a restart is loaded for the first watcher.
    let picture = stream.latest().is_some() || stream.origin() != Origin::Pull;
    Brief { kind: stream.kind(), state: at.as_str(), reason, picture, stalled: stream.is_stalled(), failure }
}

fn describe(path: &Value, known: &PathCache) -> PathState {
    let tracks = path["tracks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is = |key: &str| path[key].as_bool().unwrap_or_default();
    PathState {
        name: path["name"].as_str().unwrap_or_default().to_owned(),
        // MediaMTX before 1.17 has `ready`.
        available: is("available") || is("ready"),
        on_demand: known.is_on_demand(path),
        tracks: tracks.iter().filter_map(|track| track.as_str().map(str::to_owned)).collect(),
        readers: path["readers"].as_array().map_or(0, Vec::len),
        recordings: false,
    }
}
