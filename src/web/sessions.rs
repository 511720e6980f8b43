//! Sessions, here and at MediaMTX: listed and ended.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Problem, State, caller::Admin, problem::ProblemDocument};
use crate::{
    access::SessionSnapshot,
    error::{Code, Error},
    mediamtx::{Connected, SessionKind},
    policy::Principal,
};

/// The word in place of a protocol for our own sessions.
const OURS: &str = "sidecar";

/// All sessions.
#[derive(Serialize, ToSchema)]
pub struct SessionList {
    /// Our sessions, then MediaMTX's.
    sessions: Vec<SessionInfo>,
    /// The reason if MediaMTX's sessions are missing.
    error: Option<String>,
}

/// One session.
#[derive(Serialize, ToSchema)]
pub struct SessionInfo {
    /// `sidecar` or `mediamtx`.
    server: &'static str,
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
    #[serde(skip_serializing_if = "String::is_empty")]
    agent: String,
}

impl From<SessionSnapshot> for SessionInfo {
    fn from(session: SessionSnapshot) -> Self {
        let publishes = session.info.publishes;
        SessionInfo {
            server: OURS,
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
            server: "mediamtx",
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
        }
    }
}

/// Lists the sessions, here and at MediaMTX.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "operations", responses((status = 200, body = SessionList), (status = 403, body = ProblemDocument)))]
pub(super) async fn list(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    let mut sessions: Vec<SessionInfo> = state.access.sessions().list().into_iter().map(Into::into).collect();
    let error = match state.mediamtx.sessions().await {
        Ok(theirs) => {
            sessions.extend(theirs.into_iter().map(SessionInfo::from));
            None
        }
        Err(e) => Some(e.to_string()),
    };
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(SessionList { sessions, error }))
}

/// Disconnects a session. Permissions are unchanged, so the client can connect again.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{protocol}/{id}", tag = "operations",
    params(("protocol" = String, Path, description = "As listed; `sidecar` for our own sessions"), ("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 502, body = ProblemDocument))
)]
pub(super) async fn kick(
    state: web::Data<State>,
    Admin(who): Admin,
    of: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (protocol, id) = of.into_inner();
    let ended = match (protocol.as_str(), SessionKind::named(&protocol)) {
        (OURS, _) => id.parse().is_ok_and(|id| state.access.sessions().end_one(id)),
        (_, Some(kind)) => state.mediamtx.kick(kind, &id).await?,
        (_, None) => return Err(Error::parameter("protocol", format!("{protocol:?} is not a listed protocol")).into()),
    };
    if !ended {
        return Err(Error::new(Code::UnknownSession, format!("there is no {protocol} session {id}")).into());
    }
    tracing::info!(by = %who, protocol, id, "a session was ended");
    Ok(HttpResponse::NoContent().finish())
}
