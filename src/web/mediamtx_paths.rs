//! All paths of MediaMTX, kept here or not, for administrators.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::Admin,
    extract::{Body, SMALL, read},
    problem::ProblemDocument,
};
use crate::{
    error::{Code, Error},
    mediamtx::Fields,
    paths::{Condition, Kind, PathStatus},
    secret::shown_url,
};

/// All paths of MediaMTX.
#[derive(Serialize, ToSchema)]
pub struct MediaMtxPaths {
    /// By name.
    paths: Vec<MediaMtxPath>,
    /// The reason, if MediaMTX does not answer: then only kept paths are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A path that MediaMTX has or can have.
#[derive(Serialize, ToSchema)]
pub struct MediaMtxPath {
    /// Its name; one that begins with `~` is a regular expression, and stands for all paths that match it.
    name: String,
    /// Whether the sidecar keeps it.
    kept: bool,
    /// For a kept path: its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Condition>,
    /// For a kept path: the settings that differ at MediaMTX.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differs: Vec<String>,
    /// The stream of the sidecar that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    /// The entry of MediaMTX's configuration that it has its settings from: its own name, a regular expression, or `all_others`.
    #[serde(skip_serializing_if = "Option::is_none")]
    configured_as: Option<String>,
    /// The source in that entry: `publisher`, a URL, or another word of MediaMTX.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Whether it has a publisher or an active source.
    available: bool,
    /// Since when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Whether a reader starts its source.
    on_demand: bool,
    /// Whether MediaMTX records it.
    record: bool,
    /// The publisher or source.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Peer>,
    /// The readers.
    readers: Vec<Peer>,
    /// Its tracks.
    tracks: Vec<Track>,
    /// Bytes that came in.
    inbound_bytes: u64,
    /// Bytes that went out.
    outbound_bytes: u64,
}

/// A client of a path, or its source.
#[derive(Serialize, ToSchema)]
pub struct Peer {
    /// MediaMTX's word, such as `rtspSession` or `rtspSource`.
    kind: String,
    /// Its id, which sources have not.
    id: String,
    /// The protocol of `DELETE /api/v1/sessions/{protocol}/{id}`, if it can be disconnected.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
}

/// A track of a path.
#[derive(Serialize, ToSchema)]
pub struct Track {
    /// Such as `H264` or `Opus`.
    codec: String,
    /// Width of a video, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u64>,
    /// Height of a video, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
}

/// A change of a path at MediaMTX.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PathChange {
    /// Whether MediaMTX records the path.
    record: bool,
}

/// The result of a change.
#[derive(Serialize, ToSchema)]
pub struct PathChanged {
    /// Whether the change outlasts MediaMTX: that of a kept path does. MediaMTX forgets any other one when it starts again and when
    /// its file changes.
    lasting: bool,
}

/// Lists all paths of MediaMTX: those that the sidecar keeps, those of its configuration, and those that clients have made.
#[utoipa::path(
    get, path = "/api/v1/mediamtx/paths", tag = "paths",
    responses((status = 200, body = MediaMtxPaths), (status = 403, body = ProblemDocument))
)]
pub(super) async fn list(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    let asked = async { Ok::<_, Error>((state.mediamtx.paths().await?, state.mediamtx.configured_paths().await?)) };
    let (live, configured, error) = match asked.await {
        Ok((live, configured)) => (live, configured, None),
        Err(e) => (vec![], vec![], Some(e.to_string())),
    };
    let kept = state.paths.list().await;
    let prefix = state.settings.mediamtx.path_prefix.as_str();
    let streams: BTreeMap<String, String> = state
        .catalog
        .registry()
        .list()
        .iter()
        .map(|stream| {
            let name = stream.name().to_string();
            (if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") }, name)
        })
        .collect();
    let paths = merged(&live, &configured, kept, &streams);
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(MediaMtxPaths { paths, error }))
}

/// Switches recording of a path on or off. The definition of a kept path is changed; a path of MediaMTX's file is changed until MediaMTX
/// starts again or reads its file again.
#[utoipa::path(
    patch, path = "/api/v1/mediamtx/paths/{name:.+}", tag = "paths",
    params(("name" = String, Path, description = "Can contain slashes")), request_body = PathChange,
    responses(
        (status = 200, body = PathChanged),
        (status = 404, description = "MediaMTX has no entry of this name; keep the path to give it one", body = ProblemDocument),
        (status = 502, body = ProblemDocument),
    )
)]
pub(super) async fn patch(
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let PathChange { record } = read(&body, Code::InvalidPath)?;
    if state.paths.is_kept(&name) {
        let mut change = recording(record);
        if let Kind::Raw { fields } = &state.paths.get(&name).await?.wanted.kind
            && fields.contains_key("record")
        {
            // The switch of the definition has it.
            change.insert("fields".into(), json!({"record": null}));
        }
        state.paths.patch(&name, change).await?;
        // A path that MediaMTX has from its own file is not corrected to its definition, so both are changed.
        if let Err(e) = state.mediamtx.patch_path(&name, &recording(record)).await {
            tracing::debug!(path = %name, "MediaMTX gets the change later: {}", e.chain());
        }
        return Ok(HttpResponse::Ok().json(PathChanged { lasting: true }));
    }
    if !state.mediamtx.patch_path(&name, &recording(record)).await? {
        let message = format!("MediaMTX's configuration has no entry {name}; keep the path to give it one");
        return Err(Error::new(Code::UnknownPath, message).into());
    }
    Ok(HttpResponse::Ok().json(PathChanged { lasting: false }))
}

fn recording(record: bool) -> Fields {
    Fields::from_iter([("record".to_owned(), json!(record))])
}

fn text(of: &Value, key: &str) -> Option<String> {
    of[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The paths of all origins, each once, by name.
fn merged(
    live: &[Value],
    configured: &[Fields],
    kept: Vec<PathStatus>,
    streams: &BTreeMap<String, String>,
) -> Vec<MediaMtxPath> {
    let entries: BTreeMap<String, Value> = configured
        .iter()
        .filter_map(|fields| Some((fields.get("name")?.as_str()?.to_owned(), Value::Object(fields.clone()))))
        .collect();
    let live: BTreeMap<String, &Value> = live.iter().filter_map(|path| Some((text(path, "name")?, path))).collect();
    let kept: BTreeMap<String, PathStatus> = kept.into_iter().map(|path| (path.name.clone(), path)).collect();
    // The settings of all other paths are no path.
    let of_file = entries.keys().filter(|name| !matches!(name.as_str(), "all" | "all_others" | "~^.*$"));
    let names: BTreeSet<&String> = live.keys().chain(of_file).chain(kept.keys()).collect();
    let nothing = Value::Null;
    let describe = |name: &String| {
        let path = live.get(name).copied().unwrap_or(&nothing);
        let configured_as = text(path, "confName").or_else(|| entries.contains_key(name).then(|| name.clone()));
        let entry = configured_as.as_ref().and_then(|name| entries.get(name)).unwrap_or(&nothing);
        let kept = kept.get(name);
        let is = |key: &str| path[key].as_bool().unwrap_or_default();
        let count = |key: &str| path[key].as_u64().unwrap_or_default();
        MediaMtxPath {
            name: name.clone(),
            kept: kept.is_some(),
            state: kept.map(|path| path.state),
            differs: kept.map(|path| path.differs.clone()).unwrap_or_default(),
            stream: streams.get(name).cloned(),
            from: text(entry, "source").map(|source| shown_url(&source)),
            configured_as,
            // MediaMTX before 1.17 has `ready`.
            available: is("available") || is("ready"),
            since: text(path, "availableTime").or_else(|| text(path, "readyTime")),
            on_demand: entry["sourceOnDemand"] == true || text(entry, "runOnDemand").is_some(),
            record: entry["record"] == true || kept.is_some_and(|path| path.wanted.record),
            source: peer(&path["source"]),
            readers: path["readers"].as_array().into_iter().flatten().filter_map(peer).collect(),
            tracks: tracks(path),
            inbound_bytes: count("inboundBytes"),
            outbound_bytes: count("outboundBytes"),
        }
    };
    names.into_iter().map(describe).collect()
}

fn peer(of: &Value) -> Option<Peer> {
    let kind = text(of, "type")?;
    // MediaMTX's words (internal/defs/api_path.go) for what its API can end.
    let protocol = match kind.as_str() {
        "rtspSession" => Some("rtsp"),
        "rtspsSession" => Some("rtsps"),
        "webRTCSession" | "webrtcSession" => Some("webrtc"),
        "rtmpConn" => Some("rtmp"),
        "rtmpsConn" => Some("rtmps"),
        "srtConn" => Some("srt"),
        "hlsSession" => Some("hls"),
        "moqSession" => Some("moq"),
        _ => None,
    };
    Some(Peer { kind, id: text(of, "id").unwrap_or_default(), protocol })
}

/// The tracks: with sizes from MediaMTX 1.16 on (`tracks2`), and their codecs before.
fn tracks(path: &Value) -> Vec<Track> {
    let list = |key: &str| path[key].as_array().cloned().unwrap_or_default();
    let known: Vec<_> = list("tracks2")
        .iter()
        .filter_map(|track| {
            let properties = &track["codecProps"];
            let (width, height) = (properties["width"].as_u64(), properties["height"].as_u64());
            Some(Track { codec: text(track, "codec")?, width, height })
        })
        .collect();
    if !known.is_empty() {
        return known;
    }
    let codecs = list("tracks");
    let track = |codec: &Value| Some(Track { codec: codec.as_str()?.to_owned(), width: None, height: None });
    codecs.iter().filter_map(track).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_all_origins_are_listed_once_with_their_settings() {
        let live = [
            json!({"name": "yard", "confName": "yard", "available": true, "availableTime": "2026-01-31T12:00:00Z",
                "source": {"type": "rtspSession", "id": "a-b"}, "readers": [{"type": "hlsMuxer", "id": ""}],
                "tracks2": [{"codec": "H264", "codecProps": {"width": 640, "height": 360}}, {"codec": "Opus"}],
                "inboundBytes": 7, "outboundBytes": 9}),
            json!({"name": "pictures/door", "confName": "~^pictures/", "ready": true, "tracks": ["M-JPEG"]}),
        ];
        let configured: Vec<Fields> = serde_json::from_value(json!([
            {"name": "all_others", "source": "publisher"},
            {"name": "yard", "source": "publisher", "record": true},
            {"name": "gate", "source": "rtsp://root:hunter2@192.168.1.9/s", "sourceOnDemand": true},
            {"name": "~^pictures/", "source": "rtsp://127.0.0.1:9554/$G1", "sourceOnDemand": true},
        ]))
        .expect("objects");
        let streams = BTreeMap::from([("pictures/door".to_owned(), "door".to_owned())]);
        let found = merged(&live, &configured, vec![], &streams);
        let names: Vec<_> = found.iter().map(|path| path.name.as_str()).collect();
        assert_eq!(names, ["gate", "pictures/door", "yard", "~^pictures/"]);
        let [gate, door, yard, _] = &found[..] else { panic!("four") };
        assert_eq!((gate.from.as_deref(), gate.on_demand), (Some("rtsp://root:***@192.168.1.9/s"), true));
        assert_eq!((door.stream.as_deref(), door.configured_as.as_deref()), (Some("door"), Some("~^pictures/")));
        assert_eq!((door.available, door.tracks[0].codec.as_str()), (true, "M-JPEG"));
        assert_eq!((yard.record, yard.tracks[0].width, yard.tracks.len()), (true, Some(640), 2));
        assert_eq!(yard.source.as_ref().and_then(|peer| peer.protocol), Some("rtsp"));
        assert_eq!((yard.readers[0].protocol, yard.inbound_bytes, yard.outbound_bytes), (None, 7, 9));
    }
}
