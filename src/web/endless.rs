//! The one way to open an endless response.
//!
//! The order is always the same: the request is checked, the caller is authorized and takes a permit, and only then does
//! the handler watch a stream, which may start a camera. The response takes the connection over from the HTTP server
//! (docs/decisions/0002-takeover.md), counts the bytes of its session, ends on revocation and at shutdown, and reports to
//! the log and the metrics.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder, Route,
    http::{Method, header},
    web,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    Problem, State,
    caller::CallerExtractor,
    watch_params::{requester, share_of},
};
use crate::{
    access::{Permit, Role, SessionInfo},
    error::{Code, Error, Result},
    metrics::Metrics,
    output::{
        Report,
        http::{EndlessOutput, Joining, Opened, OutputKind, Request},
    },
    policy::{Action, Authorized, Caller, Principal},
    server::{Io, Place, TakenOver, Takeover, TakeoverBody},
    shutdown::Shutdown,
    stream::{Demand, StreamName, Watch},
};

/// An admitted caller whose connection can be taken over.
pub(super) struct Endless {
    output: &'static OutputKind,
    role: Role,
    principal: Authorized,
    permit: Permit,
    takeover: Takeover,
    span: tracing::Span,
    shutdown: Shutdown,
    metrics: Metrics,
}

/// The connection of an endless response, with its permit. Bytes count for the session while they move, and not when the
/// connection is closed: sent bytes of a watcher, received bytes of a publisher.
pub(super) struct Connection {
    io: Box<dyn Io>,
    permit: Permit,
    role: Role,
    /// Its place among the open connections.
    _place: Option<Place>,
}

impl Connection {
    /// Cancelled when the response must end.
    pub(super) fn stop(&self) -> CancellationToken {
        self.permit.session().end().clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if self.role == Role::Publisher {
            self.permit.session().received(buffer.filled().len() - before);
        }
        read
    }
}

impl Connection {
    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let (Role::Watcher, Poll::Ready(Ok(written))) = (self.role, written) {
            self.permit.session().sent(*written);
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, data);
        self.count(&written);
        written
    }

    /// Without it, the head of a message and its content would be two packets.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        self.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Endless {
    /// Admits the caller to watch or to publish `name`. The output's word is the protocol in the audit, the list of sessions
    /// and the log.
    pub(super) async fn admit(
        request: &HttpRequest,
        state: &State,
        caller: &Caller,
        role: Role,
        output: &'static OutputKind,
        name: &StreamName,
    ) -> Result<Self> {
        let takeover = request.conn_data::<Takeover>().cloned();
        let takeover = takeover.ok_or_else(|| Error::new(Code::Internal, "this connection cannot be taken over"))?;
        let session = session_info(request, output.word, name, role);
        let span = tracing::info_span!("endless", protocol = output.word, stream = %name, peer = %session.remote);
        let (principal, permit) = state.access.admit(role, caller, session).await?;
        Ok(Endless {
            output,
            role,
            principal,
            permit,
            takeover,
            span,
            shutdown: state.shutdown.clone(),
            metrics: state.metrics.clone(),
        })
    }

    /// The admitted principal.
    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Joins the watched stream, and gives the connection to the output.
    pub(super) fn serve(self, state: &State, caller: &Caller, opened: Opened, watch: Watch) -> Result<HttpResponse> {
        let (variants, encodings) = (&state.variants, &state.encodings);
        let head = head(&opened);
        let share = share_of(&self.principal, caller);
        let serve = (opened.join)(Joining { watch, variants, encodings, caller: &share })?;
        Ok(self.respond(head, async move |connection| {
            let stop = connection.stop();
            Some(serve(Box::new(connection), stop).await)
        }))
    }

    /// Sends `head`, and gives the connection to `serve`. A returned report is counted and logged.
    pub(super) fn respond<F>(self, mut head: HttpResponseBuilder, serve: F) -> HttpResponse
    where
        F: AsyncFnOnce(Connection) -> Option<Report> + Unpin + 'static,
    {
        let Endless { output, role, permit, takeover, span, shutdown, metrics, .. } = self;
        let then = move |(io, place): TakenOver| {
            let serve = async move {
                tracing::debug!("the response begins");
                if let Some(report) = serve(Connection { io, permit, role, _place: place }).await {
                    metrics.count_watched(output, &report);
                    tracing::debug!(report.parts, report.bytes, report.dropped, "left: {}", report.left.reason());
                }
            };
            actix_web::rt::spawn(shutdown.track(serve.instrument(span)));
        };
        let mut response = head.body(TakeoverBody::new(takeover, then));
        // The response ends with the connection: chunks would have to be framed for each watcher apart.
        response.head_mut().no_chunking(true);
        response
    }
}

/// The route of an endless output, for one method.
pub(super) fn route(method: Method, output: &'static EndlessOutput) -> Route {
    let answer = move |request: HttpRequest,
                       state: web::Data<State>,
                       caller: CallerExtractor,
                       name: web::Path<String>| async move {
        watch(&request, &state, &caller.0, &name, output).await
    };
    web::method(method).to(answer)
}

/// Answers with an endless output of a stream; to HEAD with the headers, without starting anything.
pub(super) async fn watch(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    name: &str,
    output: &'static EndlessOutput,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(name)?;
    let opened = (output.open)(&for_output(request, state))?;
    if request.method() == Method::HEAD {
        state.access.authorize(output.kind.word, caller, Action::Read, &name).await?;
        state.catalog.exists(&name).await?;
        return Ok(head(&opened).finish());
    }
    let endless = Endless::admit(request, state, caller, Role::Watcher, &output.kind, &name).await?;
    let by = requester(request, state, endless.principal(), caller);
    let watch = state.catalog.watch(&name, Demand::Continuous, &by).await?;
    Ok(endless.serve(state, caller, opened, watch)?)
}

/// The parts of a request that outputs read.
pub(super) fn for_output<'a>(request: &'a HttpRequest, state: &'a State) -> Request<'a> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    Request {
        query: request.query_string(),
        user_agent: text(header::USER_AGENT).unwrap_or_default(),
        accept: text(header::ACCEPT),
        settings: &state.settings.output,
        placeholder_after: *state.catalog.registry().settings().placeholder_after,
    }
}

/// The head of an endless response.
pub(super) fn head(opened: &Opened) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    for (name, value) in &opened.headers {
        response.insert_header((*name, value.as_str()));
    }
    response.force_close();
    response
}

/// A session as the console lists it.
pub(super) fn session_info(request: &HttpRequest, protocol: &'static str, name: &str, role: Role) -> SessionInfo {
    let remote = request.peer_addr().map(|addr| addr.to_string()).unwrap_or_default();
    SessionInfo { protocol, path: name.to_owned(), remote, publishes: role == Role::Publisher }
}
