//! What somebody may watch, in one answer: what a page of pictures has to know before its first paint.

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
};
use crate::{error::Code, policy::Action, stream::Origin};

/// All that the caller may watch.
#[derive(Serialize, ToSchema)]
pub struct Wall {
    /// Our streams, then MediaMTX's paths that are none of them; each by name.
    items: Vec<Item>,
    /// Whether MediaMTX answers; looked at every two seconds.
    mediamtx: bool,
    /// Where browsers find it.
    #[serde(flatten)]
    addresses: Addresses,
}

/// Something to watch.
#[derive(Serialize, ToSchema)]
pub struct Item {
    /// The name of the stream or path.
    name: String,
    /// Our stream: it has snapshots and MJPEG.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<Brief>,
    /// MediaMTX's path, by which it is WebRTC and HLS, if the caller may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathState>,
}

/// Of a stream, what a tile shows; `/api/v1/streams/{name}` has the rest.
#[derive(Serialize, ToSchema)]
pub struct Brief {
    /// The kind of its producer.
    kind: &'static str,
    /// `idle`, `starting`, `live`, `lingering` or `failing`.
    state: &'static str,
    /// Why, in words.
    reason: String,
    /// Whether there is a picture, or may be one.
    picture: bool,
}

/// What is known of a path of MediaMTX.
#[derive(Serialize, ToSchema)]
pub struct PathState {
    /// Its name.
    name: String,
    /// Whether somebody publishes, or its source is there.
    available: bool,
    /// Whether its source comes when somebody reads it.
    on_demand: bool,
    /// What it has, such as `H264` and `Opus`.
    tracks: Vec<String>,
    /// How many read it.
    readers: usize,
}

/// Everything the caller may watch.
#[utoipa::path(get, path = "/api/v1/wall", tag = "streams", responses((status = 200, body = Wall), (status = 401, body = ProblemDocument)))]
pub(super) async fn get(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    let addresses = addresses::of(&request, &state);
    let seen = state.path_cache.paths();
    let mediamtx = seen.is_some();
    let paths = seen.as_deref().map(Vec::as_slice).unwrap_or_default();
    let find = |name: &str| paths.iter().find(|path| path["name"] == name);
    let mut refused = None;
    let (mut items, mut ours) = (vec![], HashSet::new());
    for stream in state.catalog.registry().list() {
        let verdict = state.access.decide(&caller, Action::Read, stream.name()).await;
        if !verdict.decision.is_allowed() {
            refused = Some(verdict.refusal(Action::Read, ""));
            continue;
        }
        let name = stream.name().to_string();
        let path = match addresses.path_prefix.as_str() {
            "" => name.clone(),
            above => format!("{above}/{name}"),
        };
        // A path may have the stream's own name, too; one of the two that MediaMTX has at the moment is better.
        let path = if find(&path).is_none() && find(&name).is_some() { name.clone() } else { path };
        ours.extend([path.clone(), name.clone()]);
        let may = mediamtx && state.access.decide(&caller, Action::Read, &path).await.decision.is_allowed();
        // What MediaMTX does not list is pulled when somebody reads it.
        let path = may.then(|| match find(&path) {
            Some(known) => describe(known),
            None => PathState { name: path, available: false, on_demand: true, tracks: vec![], readers: 0 },
        });
        let (at, reason) = stream.state();
        let stats = stream.stats();
        // What was uploaded before a restart is read when somebody wants it; what was only asked for never had one.
        let picture = stats.picture.is_some() || stats.origin != Origin::Pull;
        let brief = Brief { kind: stream.kind(), state: at.as_str(), reason, picture };
        items.push(Item { name, stream: Some(brief), path });
    }
    for path in paths {
        let name = path["name"].as_str().unwrap_or_default();
        if ours.contains(name) {
            continue;
        }
        let verdict = state.access.decide(&caller, Action::Read, name).await;
        if verdict.decision.is_allowed() {
            items.push(Item { name: name.to_owned(), stream: None, path: Some(describe(path)) });
        } else {
            refused = Some(verdict.refusal(Action::Read, ""));
        }
    }
    match refused {
        // Nothing to see because of who asks is a different thing from nothing there.
        Some(e) if items.is_empty() && e.code() != Code::Forbidden => Err(e.into()),
        _ => Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(Wall {
            items,
            mediamtx,
            addresses,
        })),
    }
}

fn describe(path: &Value) -> PathState {
    let tracks = path["tracks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is = |key: &str| path[key].as_bool().unwrap_or_default();
    PathState {
        name: path["name"].as_str().unwrap_or_default().to_owned(),
        // `ready` until 1.16.
        available: is("available") || is("ready"),
        // True of an idle source on demand (internal/core/path.go, isOnline).
        on_demand: is("online"),
        tracks: tracks.iter().filter_map(|track| track.as_str().map(str::to_owned)).collect(),
        readers: path["readers"].as_array().map_or(0, Vec::len),
    }
}
