//! UV4L cameras: the signalling of viewers, the connections of agents, and the list for administrators.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, State, auth_webhook,
    caller::{Admin, CallerExtractor},
    endless::Endless,
    events,
    extract::{Body, SMALL},
    problem::ProblemDocument,
    routes::pattern,
    watch_params::flag,
    ws::{check, ending, switching_protocols},
};
use crate::{
    access::Role,
    error::{Code, Error, Result},
    policy::{Action, Caller},
    secret::Secret,
    shutdown::Shutdown,
    stream::StreamName,
    uv4l::{
        BridgeStatus, CameraStatus, Form, Hold,
        relay::{self, Viewer},
    },
};

/// Our WebSocket protocol, for pages that must name one because they send their token as another.
const PROTOCOL: &str = "mtx.uv4l";

/// The protocol of agents.
const AGENT: &str = "mtx.agent";

/// Pause between two lines of a request that is held open. The next write to a caller that has vanished fails, and ends the call.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// How often the state of its path is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Parameters of the signalling.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SignallingQuery {
    /// The form of `data` in messages to the viewer: `encoded` (default: a text that has JSON, as UV4L sends it) or `plain`. The
    /// viewer can send both.
    data: Option<String>,
    /// `1` for an agent at the camera, which carries the calls of viewers to UV4L. It needs the permission to publish.
    agent: Option<String>,
}

/// The signalling of a camera by WebSocket, in UV4L's messages. Each viewer has a connection to the camera of its own, from `call`
/// on; the camera gets a `hangup` at every end.
#[utoipa::path(
    get, path = pattern(&relay::KIND), summary = relay::KIND.about, tag = "uv4l", params(("name" = String, Path, description = "The camera; can contain slashes"), SignallingQuery),
    responses((status = 101, description = "Messages follow"), (status = 404, body = ProblemDocument), (status = 426, body = ProblemDocument))
)]
pub(super) async fn connect(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    query: web::Query<SignallingQuery>,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(&name)?;
    if flag("agent", query.agent.as_deref())? {
        return agent(&request, &state, &caller, name).await;
    }
    let form = match query.data.as_deref() {
        None | Some("encoded") => Form::Encoded,
        Some("plain") => Form::Plain,
        Some(other) => return Err(Error::parameter("data", format!("must be encoded or plain, not {other:?}")).into()),
    };
    view(&request, &state, &caller, name, form).await
}

/// The camera at `/`, as the server of the original page has it.
pub(super) async fn root(
    request: &HttpRequest,
    state: &web::Data<State>,
    caller: &Caller,
) -> Result<HttpResponse, Problem> {
    let name = state.settings.uv4l.root().ok_or_else(|| {
        Error::new(
            Code::UnknownStream,
            "there is no camera at /: set uv4l.root, or define one camera under uv4l.cameras",
        )
    })?;
    view(request, state, caller, state.catalog.name(name)?, Form::Encoded).await
}

fn unknown(name: &StreamName) -> Error {
    Error::new(
        Code::UnknownStream,
        format!("there is no UV4L camera {name}; define it under uv4l.cameras or as a path"),
    )
}

async fn view(
    request: &HttpRequest,
    state: &web::Data<State>,
    caller: &Caller,
    name: StreamName,
    form: Form,
) -> Result<HttpResponse, Problem> {
    check(request, state).await?;
    let endless = Endless::admit(request, state, caller, Role::Watcher, &relay::KIND, &name).await?;
    if state.uv4l.get(&name).is_none() {
        return Err(unknown(&name).into());
    }
    let may_publish = state.access.may(caller, Action::Publish, &name).await;
    let viewer = Viewer { name, may_publish, form, timeout: *state.settings.uv4l.viewer_timeout };
    let state = state.clone();
    Ok(endless.respond(switching_protocols(request, PROTOCOL), async move |connection| {
        let stop = connection.stop();
        let left = relay::serve(connection, viewer, &state.uv4l, stop, || ending(&state.shutdown)).await;
        tracing::debug!("left: {}", left.reason());
        None
    }))
}

async fn agent(
    request: &HttpRequest,
    state: &web::Data<State>,
    caller: &Caller,
    name: StreamName,
) -> Result<HttpResponse, Problem> {
    check(request, state).await?;
    let endless = Endless::admit(request, state, caller, Role::Publisher, &relay::KIND, &name).await?;
    match state.uv4l.get(&name) {
        None => return Err(unknown(&name).into()),
        Some(camera) if !camera.url.is_empty() => {
            return Err(
                Error::new(Code::KindConflict, format!("the camera {name} has a url, and needs no agent")).into()
            );
        }
        Some(_) => {}
    }
    let state = state.clone();
    Ok(endless.respond(switching_protocols(request, AGENT), async move |connection| {
        let stop = connection.stop();
        state.uv4l.serve_agent(connection, &name, stop, || ending(&state.shutdown)).await;
        None
    }))
}

/// Calls the UV4L camera of a path, and gives its video to MediaMTX, while the request is open: for `runOnDemand` of a path in
/// mediamtx.yml (`mtx-sidecar hook demand`). The same senders as for `/mediamtx-auth` are accepted. The answer has a line of JSON for each
/// state of the path, and empty lines between them.
#[utoipa::path(
    post, path = "/api/v1/hooks/demand", tag = "uv4l", request_body(content_type = "application/json", description = "MTX_PATH, the name of the path and of the camera"),
    responses((status = 200, content_type = "application/x-ndjson", body = BridgeStatus), (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument))
)]
pub(super) async fn demand(
    request: HttpRequest,
    state: web::Data<State>,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    auth_webhook::check_sender(&request, &state)?;
    let variables = events::variables(&body)?;
    let path = variables.get("MTX_PATH").and_then(Value::as_str).unwrap_or_default();
    let name = state.catalog.name(path)?;
    let hold = state.uv4l.hold(&name).ok_or_else(|| unknown(&name))?;
    let held = Held { hold, told: None, shutdown: state.shutdown.clone() };
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(stream::unfold(held, |mut held| async move {
            let line = held.next().await?;
            Some((Ok::<_, actix_web::Error>(line), held))
        })))
}

/// A request that is held open.
struct Held {
    hold: Hold,
    told: Option<BridgeStatus>,
    shutdown: Shutdown,
}

impl Held {
    /// The next line; none when the program ends.
    async fn next(&mut self) -> Option<Bytes> {
        let due = Instant::now() + SIGN_OF_LIFE;
        loop {
            let status = self.hold.status();
            if status != self.told {
                self.told = status;
                if let Some(mut line) = self.told.as_ref().and_then(|status| serde_json::to_vec(status).ok()) {
                    line.push(b'\n');
                    return Some(line.into());
                }
            }
            if Instant::now() >= due {
                return Some(Bytes::from_static(b"\n"));
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.shutdown.asked() => return None,
            }
        }
    }
}

/// The UV4L cameras.
#[derive(Serialize, ToSchema)]
pub struct Uv4lCameras {
    /// By name.
    cameras: Vec<CameraStatus>,
}

/// Lists the UV4L cameras, with their calls and states.
#[utoipa::path(get, path = "/api/v1/uv4l", tag = "uv4l", responses((status = 200, body = Uv4lCameras), (status = 403, body = ProblemDocument)))]
pub(super) async fn list(state: web::Data<State>, _: Admin) -> HttpResponse {
    HttpResponse::Ok().json(Uv4lCameras { cameras: state.uv4l.list() })
}

/// A STUN or TURN server, in the form of browsers.
#[derive(Serialize, ToSchema)]
#[schema(as = BrowserIceServer)]
pub struct IceServer {
    /// Its URL.
    urls: String,
    /// The user, for TURN.
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    /// The password, for TURN.
    #[serde(skip_serializing_if = "Secret::is_empty", serialize_with = "exposed")]
    #[schema(value_type = String)]
    credential: Secret,
}

/// Writes a password as it is: browsers need it, and the administrator gives it to all viewers.
fn exposed<S: serde::Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose())
}

/// `uv4l.ice_servers` for browsers.
pub(super) fn ice_servers(state: &State) -> Vec<IceServer> {
    let servers = state.settings.uv4l.ice_servers.iter();
    let servers = servers.map(|server| IceServer {
        urls: server.url.clone(),
        username: server.user.clone(),
        credential: server.pass.clone(),
    });
    servers.collect()
}
