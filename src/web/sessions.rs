//! Sessions, here and at MediaMTX: listed and ended.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::Admin,
    nodes::{self, MissingNode, NodeQuery, NodesQuery, Part},
    problem::ProblemDocument,
};
use crate::{
    access::SessionSnapshot,
    cluster::Cluster,
    error::{Code, Error},
    mediamtx::{Connected, SessionKind},
    policy::Principal,
};

/// The topics of the questions of other nodes.
const SESSIONS: &str = "sessions";
const END: &str = "end_session";

/// The word in place of a protocol for our own sessions.
const OURS: &str = "sidecar";

/// All sessions.
#[derive(Serialize, ToSchema)]
pub struct SessionList {
    /// Our sessions, then MediaMTX's.
    sessions: Vec<SessionInfo>,
    /// The reason if MediaMTX's sessions are missing.
    error: Option<String>,
    /// With `nodes=all`: nodes of the cluster whose sessions, or some of them, are missing.
    missing: Vec<MissingNode>,
}

/// One session.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct SessionInfo {
    /// `sidecar` or `mediamtx`.
    server: String,
    /// `mjpeg`, `rtsp`, `upload`, `media`, `events`, `uv4l`, `signal`; at MediaMTX `rtsp`, `rtsps`, `webrtc`, `hls`, `moq`, `rtmp`, `rtmps`, `srt`.
    protocol: String,
    /// The id for `DELETE /api/v1/sessions/{protocol}/{id}`; for our own sessions the protocol is `sidecar`.
    id: String,
    /// `read`, `publish` or `idle`.
    state: String,
    /// The path or stream, or empty.
    path: String,
    /// The principal, if known.
    user: String,
    /// The peer's address, `IP:port`.
    remote: String,
    /// The start (RFC 3339).
    since: String,
    /// Bytes received from the peer.
    inbound_bytes: u64,
    /// Bytes sent to the peer.
    outbound_bytes: u64,
    /// The user agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    agent: String,
    /// In a cluster, for a session of another node: the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

impl From<SessionSnapshot> for SessionInfo {
    fn from(session: SessionSnapshot) -> Self {
        let publishes = session.info.publishes;
        SessionInfo {
            server: OURS.into(),
            protocol: session.info.protocol.into(),
            id: session.id.to_string(),
            state: if publishes { "publish" } else { "read" }.into(),
            path: session.info.path,
            user: match session.principal {
                Principal::Anonymous => String::new(),
                who => who.to_string(),
            },
            remote: session.info.remote,
            since: humantime::format_rfc3339_seconds(session.since).to_string(),
            inbound_bytes: if publishes { session.bytes } else { 0 },
            outbound_bytes: if publishes { 0 } else { session.bytes },
            agent: String::new(),
            node: None,
        }
    }
}

impl From<Connected> for SessionInfo {
    /// The query is left out, because it can contain a token.
    fn from(Connected { kind, fields }: Connected) -> Self {
        let text = |key: &str| fields[key].as_str().unwrap_or_default().to_owned();
        let count = |key: &str| fields[key].as_u64().unwrap_or_default();
        let state = match fields["state"].as_str() {
            Some(word) => word.to_owned(),
            // An HLS session has no state: it always reads.
            None => "read".into(),
        };
        SessionInfo {
            server: "mediamtx".into(),
            protocol: kind.protocol().into(),
            id: text("id"),
            state,
            path: text("path"),
            user: text("user"),
            remote: text("remoteAddr"),
            since: match &fields["created"] {
                Value::String(created) => created.clone(),
                _ => String::new(),
            },
            inbound_bytes: count("inboundBytes"),
            outbound_bytes: count("outboundBytes"),
            agent: text("userAgent"),
            node: None,
        }
    }
}

/// The sessions of this node, and the reason if MediaMTX's are missing.
async fn sessions_here(state: &State) -> (Vec<SessionInfo>, Option<String>) {
    let mut sessions: Vec<SessionInfo> = state.access.sessions().list().into_iter().map(Into::into).collect();
    let error = match state.mediamtx.sessions().await {
        Ok(theirs) => {
            sessions.extend(theirs.into_iter().map(SessionInfo::from));
            None
        }
        Err(e) => Some(e.to_string()),
    };
    (sessions, error)
}

/// Ends a session of this node. Returns whether it was there.
async fn end_here(state: &State, protocol: &str, id: &str) -> Result<bool, Error> {
    match (protocol, SessionKind::named(protocol)) {
        (OURS, _) => Ok(id.parse().is_ok_and(|id| state.access.sessions().end_one(id))),
        (_, Some(kind)) => state.mediamtx.kick(kind, id).await,
        (_, None) => Err(Error::parameter("protocol", format!("{protocol:?} is not a listed protocol"))),
    }
}

/// The session that another node ends.
#[derive(Serialize, Deserialize)]
struct End {
    protocol: String,
    id: String,
    by: String,
}

/// Whether it was there, or why it could not be ended.
#[derive(Serialize, Deserialize)]
struct Ended {
    ended: bool,
    #[serde(default)]
    error: Option<String>,
}

/// Ends a session at another node. Returns whether it was there.
async fn end_at(state: &State, node: &str, protocol: &str, id: &str, by: &str) -> Result<bool, Error> {
    let unknown = || Error::parameter("node", format!("{node:?} is no node of the cluster"));
    let cluster = state.cluster.as_ref().ok_or_else(unknown)?;
    if !cluster.nodes().list().iter().any(|known| known.told.node == node) {
        return Err(unknown());
    }
    let question = End { protocol: protocol.into(), id: id.into(), by: format!("{by} at {}", cluster.node()) };
    let Ended { ended, error } = cluster.ask(node, END, &question, nodes::PATIENCE).await?;
    match error {
        Some(error) => Err(Error::new(Code::MediaMtxAway, format!("the node {node}: {error}"))),
        None => Ok(ended),
    }
}

/// Answers the questions of other nodes, until the program ends.
pub(super) async fn answer(state: &State, cluster: &Cluster) {
    let end = async |End { protocol, id, by }: End| match end_here(state, &protocol, &id).await {
        Ok(ended) => {
            if ended {
                tracing::info!(by, protocol, id, "a session was ended");
            }
            Ended { ended, error: None }
        }
        Err(e) => Ended { ended: false, error: Some(e.to_string()) },
    };
    let list = async |(): ()| {
        let (sessions, error) = sessions_here(state).await;
        Part::new(sessions, error)
    };
    tokio::join!(cluster.answer(SESSIONS, list), cluster.answer(END, end));
}

/// Lists the sessions, here and at MediaMTX. With `nodes=all` those of other nodes follow; a node that does not answer is in `missing`.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "operations", params(NodesQuery), responses((status = 200, body = SessionList), (status = 403, body = ProblemDocument)))]
pub(super) async fn list(
    state: web::Data<State>,
    _: Admin,
    query: web::Query<NodesQuery>,
) -> Result<HttpResponse, Problem> {
    let (is_all, mut missing) = (query.is_all()?, vec![]);
    let (mut sessions, error) = sessions_here(&state).await;
    if is_all {
        let others = nodes::ask::<SessionInfo>(&state, SESSIONS).await;
        sessions.extend(others.found.into_iter().map(|(node, session)| SessionInfo { node: Some(node), ..session }));
        missing = others.missing;
    }
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(SessionList { sessions, error, missing }))
}

/// Disconnects a session. Permissions are unchanged, so the client can connect again.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{protocol}/{id}", tag = "operations",
    params(("protocol" = String, Path, description = "As listed; `sidecar` for our own sessions"), ("id" = String, Path), NodeQuery),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 502, body = ProblemDocument), (status = 503, body = ProblemDocument))
)]
pub(super) async fn kick(
    state: web::Data<State>,
    Admin(who): Admin,
    of: web::Path<(String, String)>,
    query: web::Query<NodeQuery>,
) -> Result<HttpResponse, Problem> {
    let (protocol, id) = of.into_inner();
    let own = state.cluster.as_ref().map(Cluster::node);
    let ended = match query.into_inner().node.filter(|node| own.as_ref() != Some(node)) {
        Some(node) => end_at(&state, &node, &protocol, &id, &who.to_string()).await?,
        None => end_here(&state, &protocol, &id).await?,
    };
    if !ended {
        return Err(Error::new(Code::UnknownSession, format!("there is no {protocol} session {id}")).into());
    }
    tracing::info!(by = %who, protocol, id, "a session was ended");
    Ok(HttpResponse::NoContent().finish())
}
