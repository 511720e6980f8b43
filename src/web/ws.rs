//! WebSocket: watching, publishing, and go2rtc's address for watching.

use actix_http::ws::{hash_key, verify_handshake};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::header, web};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::{
    Problem, State,
    caller::CallerExtractor,
    endless::{Connection, Endless},
    guard::acts_for_another_site,
    problem::ProblemDocument,
    routes::pattern,
    watch_params::{flag, requester, share_of},
};
use crate::{
    access::Role,
    catalog::{Catalog, Upload},
    error::{Code, Error, Result},
    numbers::{Taken, read},
    output::{
        DisconnectReason, fmp4,
        h264::Want,
        http::TransformQuery,
        variants::Watching,
        websocket::{self, Dialect, MAX_WINDOW, Source},
    },
    picture::{Picture, PictureLimits, transform::Transform},
    policy::Caller,
    producer::Definition,
    shutdown::Shutdown,
    stream::{Demand, StreamName},
    websocket::{Ending, Incoming, Socket},
};

/// Our WebSocket protocol, for clients that must name one because they send their token as another.
const PROTOCOL: &str = "mtx.jpeg";

/// Parameters of a WebSocket.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SocketQuery {
    /// `1` to publish instead of watching: pictures in binary messages, or numbers for a graph as JSON in text messages.
    push: Option<String>,
    /// Pictures sent beyond the last acknowledged one, 1 to 64. Default: 2 from the first acknowledgement on.
    window: Option<String>,
    /// `1` for video: a text message `{"type":"mse","value":"video/mp4; codecs=…"}`, and then binary messages for a browser's
    /// MediaSource, an init segment and a fragment for each picture or frame of sound. The message has a `note` with the reason if the
    /// source has sound that is left out. Of the other parameters, `w`, `h` (even numbers from 32 to 3840) and `fps` (0.2 to 30) are
    /// those of the video.
    video: Option<String>,
    /// With `video=1`: the codecs that the client plays, such as `avc1.640029,mp4a.40.2,opus`; only the names before the dots count.
    /// Sound that is not among them is left out. Default: all.
    codecs: Option<String>,
    /// `1` for a notice before each picture, with its number, time and size.
    meta: Option<String>,
}

/// go2rtc's parameter.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SourceQuery {
    /// The stream's name.
    src: Option<String>,
}

/// Watches or publishes.
#[utoipa::path(
    get, path = pattern(&websocket::KIND), summary = websocket::KIND.about, tag = "pictures out", params(("name" = String, Path, description = "Can contain slashes"), SocketQuery, TransformQuery),
    responses((status = 101, description = "Messages follow, each of this type", content_type = websocket::KIND.content_type), (status = 404, body = ProblemDocument), (status = 426, body = ProblemDocument))
)]
pub(super) async fn connect(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    query: web::Query<SocketQuery>,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(&name)?;
    if flag("push", query.push.as_deref())? {
        return push(&request, &state, &caller, &name).await;
    }
    let window = query.window.as_deref().map(window).transpose()?;
    let (meta, video) = (flag("meta", query.meta.as_deref())?, flag("video", query.video.as_deref())?);
    let video = video.then(|| fmp4::Accepts::parse(query.codecs.as_deref().unwrap_or_default()));
    watch(&request, &state, &caller, &name, Wish { dialect: Dialect::Own, window, meta, video }).await
}

/// go2rtc's WebSocket. The answer to `{"type":"mjpeg"}` is the same message, and pictures follow. The answer to `{"type":"mse"}` has the
/// media type, and fragments of MP4 follow; after `{"type":"mp4"}`, a file with one keyframe for each picture.
#[utoipa::path(
    get, path = "/api/ws", tag = "aliases", params(SourceQuery, TransformQuery),
    responses((status = 101, description = "Messages follow"), (status = 404, body = ProblemDocument), (status = 426, body = ProblemDocument))
)]
pub(super) async fn go2rtc(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<SourceQuery>,
) -> Result<HttpResponse, Problem> {
    let name = query.src.as_deref().ok_or_else(|| Error::parameter("src", "is required: /api/ws?src=…"))?;
    let name = state.catalog.name(name)?;
    let wish = Wish { dialect: Dialect::Go2rtc, window: None, meta: false, video: None };
    watch(&request, &state, &caller, &name, wish).await
}

/// What a watcher asks for.
struct Wish {
    dialect: Dialect,
    window: Option<u64>,
    meta: bool,
    /// Video from the beginning, for a client that plays these codecs.
    video: Option<fmp4::Accepts>,
}

async fn watch(
    request: &HttpRequest,
    state: &web::Data<State>,
    caller: &Caller,
    name: &StreamName,
    Wish { dialect, window, meta, video }: Wish,
) -> Result<HttpResponse, Problem> {
    let query = request.query_string();
    // The same parameters have other limits for video. A client of go2rtc says only later which of both it wants.
    let transform = if video.is_some() { Transform::NONE } else { Transform::from_query(query)? };
    let want = if video.is_some() { fmp4::Options::parse(query)?.want } else { Want::default() };
    check(request, state).await?;
    let endless = Endless::admit(request, state, caller, Role::Watcher, &websocket::KIND, name).await?;
    let by = requester(request, state, endless.principal(), caller);
    // Video can need single pictures only. A client of go2rtc says later whether it wants video.
    let needs_single = video.is_some() || dialect == Dialect::Go2rtc && transform.is_none();
    let demand = if needs_single { Demand::Single } else { Demand::Continuous };
    let watch = state.catalog.watch(name, demand, &by).await?;
    let watching = state.variants.join(watch, transform, &share_of(endless.principal(), caller))?;
    let (stream, states) = (watching.parent().stream().clone(), watching.parent().states());
    let Watching { watch, held } = watching;
    let source = Source { watch, states, video: fmp4::feeds(state.encodings.clone(), stream, want) };
    let options = websocket::Options {
        dialect,
        video,
        window,
        meta,
        placeholder_after: *state.catalog.registry().settings().placeholder_after,
        stall_timeout: *state.settings.output.stall_timeout,
    };
    let shutdown = state.shutdown.clone();
    Ok(endless.respond(switching_protocols(request, PROTOCOL), async move |connection| {
        let stop = connection.stop();
        let report = websocket::serve(connection, source, options, stop, || ending(&shutdown)).await;
        drop(held);
        Some(report)
    }))
}

/// Takes pictures, one in each binary message, and numbers in text messages. Answers each.
async fn push(
    request: &HttpRequest,
    state: &web::Data<State>,
    caller: &Caller,
    name: &StreamName,
) -> Result<HttpResponse, Problem> {
    check(request, state).await?;
    let endless = Endless::admit(request, state, caller, Role::Publisher, &websocket::KIND, name).await?;
    // Either kind is made by its first message, if there is no stream of the name.
    let is_graph = state.catalog.registry().get(name).is_some_and(|stream| stream.kind() == Definition::graph().kind());
    let upload = if is_graph { None } else { Some(state.catalog.upload(name)?) };
    let mut receiver = Receiver {
        catalog: state.catalog.clone(),
        name: name.clone(),
        upload,
        limits: state.catalog.context().limits,
        shutdown: state.shutdown.clone(),
    };
    let patience = *state.settings.output.stall_timeout;
    Ok(endless.respond(switching_protocols(request, PROTOCOL), async move |connection| {
        let stop = connection.stop();
        let mut socket = Socket::new(connection, receiver.limits.frame_size.bytes(), patience);
        let reason = receiver.run(&mut socket, &stop).await;
        tracing::debug!("left: {}", reason.reason());
        None
    }))
}

/// Receives the pictures or numbers of one publisher.
struct Receiver {
    catalog: Catalog,
    name: StreamName,
    /// None for a graph, until its first picture is refused.
    upload: Option<Upload>,
    limits: PictureLimits,
    shutdown: Shutdown,
}

impl Receiver {
    async fn run(&mut self, socket: &mut Socket<Connection>, stop: &CancellationToken) -> DisconnectReason {
        loop {
            let ping_due = socket.ping_due();
            let step = tokio::select! {
                incoming = socket.receive() => match incoming {
                    Ok(Incoming::Binary(data)) => {
                        let answer = self.take(data).await.unwrap_or_else(|e| refusal(&e));
                        socket.text(&answer.to_string()).await
                    }
                    Ok(Incoming::Text(text)) => {
                        let answer = self.take_points(&text).unwrap_or_else(|e| refusal(&e));
                        socket.text(&answer.to_string()).await
                    }
                    Ok(Incoming::Ping(data)) => socket.pong(&data).await,
                    Ok(Incoming::Pong) => Ok(()),
                    Ok(Incoming::Close) => {
                        socket.answer_close().await;
                        Err(DisconnectReason::Closed)
                    }
                    Err(fault) => {
                        if let Some((code, reason)) = fault.close() {
                            socket.close(code, reason).await;
                        }
                        Err(DisconnectReason::Closed)
                    }
                },
                () = sleep_until(ping_due) => socket.keep_alive().await,
                () = stop.cancelled() => {
                    let Ending { code, reason } = ending(&self.shutdown);
                    socket.close(code, reason).await;
                    Err(DisconnectReason::ToldToEnd)
                }
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    async fn take(&mut self, data: bytes::Bytes) -> Result<Value> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => self.upload.insert(self.catalog.upload(&self.name)?),
        };
        let picture = Picture::from_whole(data, &self.limits).await?;
        let frame = upload.publish(&picture)?;
        upload.acknowledge().await?;
        Ok(json!({
            "type": "taken", "seq": frame.seq, "width": frame.width, "height": frame.height, "bytes": frame.size(),
        }))
    }

    fn take_points(&self, text: &str) -> Result<Value> {
        let samples = read::json(text, "value").map_err(|why| {
            let message = format!("a picture must be sent as a binary message, and numbers as JSON: {why}");
            Error::new(Code::InvalidBody, message)
        })?;
        let Taken { points, skipped, reason } = self.catalog.add_points(&self.name, samples)?;
        Ok(match reason {
            None => json!({"type": "taken", "points": points}),
            Some(reason) => json!({"type": "taken", "points": points, "skipped": skipped, "reason": reason}),
        })
    }
}

fn refusal(error: &Error) -> Value {
    json!({"type": "error", "code": error.code().as_str(), "detail": error.to_string()})
}

/// How the server ends a connection.
pub(super) fn ending(shutdown: &Shutdown) -> Ending {
    if shutdown.is_asked() { Ending::SHUTDOWN } else { Ending::NOT_PERMITTED }
}

/// Refuses requests that are no handshake, and pages of other sites: a browser adds stored Basic credentials, and the rights of
/// 127.0.0.1, to the WebSocket of every page, and the same-origin policy does not prevent reading (RFC 6455, section 10.2).
pub(super) async fn check(request: &HttpRequest, state: &State) -> Result<()> {
    verify_handshake(request.head()).map_err(|e| Error::new(Code::NotAWebSocket, e.to_string()))?;
    if acts_for_another_site(request, state).await {
        return Err(Error::new(
            Code::CrossSite,
            "pages of other web sites cannot connect here without a token, and the Origin header does not name this server; \
             list the origin in http.cors_origins",
        ));
    }
    Ok(())
}

/// The answer to the handshake, with our sub-protocol if the client offers it.
pub(super) fn switching_protocols(request: &HttpRequest, protocol: &'static str) -> HttpResponseBuilder {
    switching_protocols_with(request, Some(protocol).filter(|protocol| offers(request, protocol)))
}

/// Whether the client offers a protocol.
pub(super) fn offers(request: &HttpRequest, protocol: &str) -> bool {
    let mut offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    offered.any(|value| value.split(',').any(|word| word.trim() == protocol))
}

/// The answer to the handshake, with the chosen protocol.
pub(super) fn switching_protocols_with(request: &HttpRequest, protocol: Option<&'static str>) -> HttpResponseBuilder {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).map(|key| hash_key(key.as_bytes()));
    let mut response = HttpResponse::SwitchingProtocols();
    response.upgrade("websocket");
    response.insert_header((header::SEC_WEBSOCKET_ACCEPT, &key.unwrap_or_default()[..]));
    if let Some(protocol) = protocol {
        response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, protocol));
    }
    response
}

fn window(text: &str) -> Result<u64> {
    let rule = || Error::parameter("window", format!("must be a whole number from 1 to {MAX_WINDOW}, not {text:?}"));
    text.parse().ok().filter(|window| (1..=MAX_WINDOW).contains(window)).ok_or_else(rule)
}
