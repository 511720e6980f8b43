//! The call of one viewer: carries out the steps of a `Conversation`.

use actix_http::ws::CloseCode;
use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Cameras, Form,
    cameras::{Call, Party, Refused},
    conversation::{Close, Conversation, Step, Terms},
    message::MAX_MESSAGE,
    upstream::{CAMERA_TIMEOUT, Received},
};
use crate::{
    disconnect::DisconnectReason,
    output::http::OutputKind,
    stream::StreamName,
    websocket::{Ending, Fault, Incoming, Socket},
};

/// `/uv4l/{name}`.
pub const KIND: OutputKind = OutputKind {
    word: "uv4l",
    path: "/uv4l/{name}",
    content_type: "application/json",
    about: "The signalling of a UV4L camera by WebSocket, for one viewer.",
};

/// A viewer.
pub struct Viewer {
    /// The camera.
    pub name: StreamName,
    /// Whether the viewer may publish: it may send sound, video and data, and take the camera over.
    pub may_publish: bool,
    /// The form of `data` in its messages.
    pub form: Form,
    /// The time after which a viewer that answers no ping has vanished.
    pub timeout: tokio::time::Duration,
}

/// Connects to the camera.
type Open = Box<dyn FnMut() -> BoxFuture<'static, Result<Call, Refused>> + Send>;

/// Serves a viewer until one side ends the call, or `stop` is cancelled; `ending` then gives the reason. The camera gets a
/// `hangup` at every end.
pub async fn serve<T>(
    io: T,
    viewer: Viewer,
    cameras: &Cameras,
    stop: CancellationToken,
    ending: impl Fn() -> Ending,
) -> DisconnectReason
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let camera = cameras.get(&viewer.name).unwrap_or_default();
    let terms = Terms {
        fixed: camera.fixed(),
        audio: camera.audio.unwrap_or(true),
        may_send: viewer.may_publish,
        form: viewer.form,
    };
    let socket = Socket::new(io, MAX_MESSAGE, viewer.timeout).strict();
    let (cameras, name, may_publish) = (cameras.clone(), viewer.name, viewer.may_publish);
    let open = move || {
        let (cameras, name) = (cameras.clone(), name.clone());
        async move { cameras.open(&name, Party::Viewer, may_publish).await }.boxed()
    };
    let relay = Relay {
        socket,
        conversation: Conversation::new(terms, Instant::now()),
        open: Box::new(open),
        opening: None,
        call: None,
    };
    relay.run(&stop, ending).await
}

struct Relay<T> {
    socket: Socket<T>,
    conversation: Conversation,
    open: Open,
    opening: Option<BoxFuture<'static, Result<Call, Refused>>>,
    call: Option<Call>,
}

/// What happens next.
enum Event {
    Viewer(Result<Incoming, Fault>),
    Camera(Result<Received, String>),
    Opened(Result<Call, Refused>),
    Deadline,
    ViewerPing,
    CameraPing,
    TakenOver,
    Stop,
}

/// The end of the relay.
struct Over {
    /// How the viewer's connection is closed; none if it is gone.
    close: Option<Ending>,
    reason: DisconnectReason,
}

impl Over {
    fn gone(reason: DisconnectReason) -> Self {
        Over { close: None, reason }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Relay<T> {
    async fn run(mut self, stop: &CancellationToken, ending: impl Fn() -> Ending) -> DisconnectReason {
        let over = loop {
            let event = self.next(stop).await;
            let done = match event {
                Event::Stop => Err(Over { close: Some(ending()), reason: DisconnectReason::ToldToEnd }),
                event => self.handle(event).await,
            };
            if let Err(over) = done {
                break over;
            }
        };
        // At the same time: neither side waits for the other one's answer.
        let hanging_up = OptionFuture::from(self.call.as_mut().map(|call| call.upstream.hang_up()));
        let closing = async {
            if let Some(Ending { code, reason }) = over.close {
                self.socket.close(code, reason).await;
            }
        };
        tokio::join!(hanging_up, closing);
        over.reason
    }

    /// Waits for the next event. Cancel-safe parts only: what answers something is in `handle`.
    async fn next(&mut self, stop: &CancellationToken) -> Event {
        let Relay { socket, conversation, opening, call, .. } = self;
        let (deadline, viewer_ping) = (conversation.deadline(), socket.ping_due());
        let camera_ping =
            call.as_ref().map_or_else(|| Instant::now() + CAMERA_TIMEOUT, |call| call.upstream.ping_due());
        let evicted = call.as_ref().map(|call| call.place.evicted().clone());
        let (is_opening, has_call) = (opening.is_some(), call.is_some());
        let opened = OptionFuture::from(opening.as_mut());
        let camera = OptionFuture::from(call.as_mut().map(|call| call.upstream.next()));
        tokio::select! {
            incoming = socket.receive() => Event::Viewer(incoming),
            Some(received) = camera, if has_call => Event::Camera(received),
            Some(opened) = opened, if is_opening => Event::Opened(opened),
            () = sleep_until(deadline.unwrap_or(viewer_ping)), if deadline.is_some() => Event::Deadline,
            () = sleep_until(viewer_ping) => Event::ViewerPing,
            () = sleep_until(camera_ping), if has_call => Event::CameraPing,
            Some(()) = OptionFuture::from(evicted.as_ref().map(CancellationToken::cancelled)), if has_call => Event::TakenOver,
            () = stop.cancelled() => Event::Stop,
        }
    }

    async fn handle(&mut self, event: Event) -> Result<(), Over> {
        let now = Instant::now();
        let steps = match event {
            Event::Viewer(Ok(Incoming::Text(text))) => self.conversation.by_viewer(&text, now),
            Event::Viewer(Ok(Incoming::Ping(data))) => {
                self.socket.pong(&data).await.map_err(Over::gone)?;
                vec![]
            }
            Event::Viewer(Ok(Incoming::Pong)) => vec![],
            Event::Viewer(Ok(Incoming::Close)) => {
                self.socket.answer_close().await;
                return Err(Over::gone(DisconnectReason::Closed));
            }
            Event::Viewer(Ok(Incoming::Binary(_))) => {
                let close = Ending { code: CloseCode::Unsupported, reason: "messages are texts" };
                return Err(Over { close: Some(close), reason: DisconnectReason::Closed });
            }
            Event::Viewer(Err(fault)) => {
                let close = fault.close().map(|(code, reason)| Ending { code, reason });
                return Err(Over { close, reason: DisconnectReason::Closed });
            }
            Event::Camera(received) => {
                let taken = match (received, &mut self.call) {
                    (Ok(received), Some(call)) => call.upstream.take(received).await,
                    (Ok(_), None) => Ok(None),
                    (Err(why), _) => Err(why),
                };
                match taken {
                    Ok(Some(text)) => self.conversation.by_camera(&text, now),
                    Ok(None) => vec![],
                    Err(why) => self.lost(&why),
                }
            }
            Event::Opened(Ok(call)) => {
                (self.opening, self.call) = (None, Some(call));
                self.conversation.opened()
            }
            Event::Opened(Err(refused)) => {
                self.opening = None;
                match refused {
                    Refused::Busy(why) => self.conversation.failed(why, Close::BUSY),
                    Refused::Failed(why) => self.conversation.failed(why, Close::CAMERA),
                }
            }
            Event::Deadline => self.conversation.expired(now),
            Event::ViewerPing => {
                self.socket.keep_alive().await.map_err(Over::gone)?;
                vec![]
            }
            Event::CameraPing => match &mut self.call {
                Some(call) => match call.upstream.keep_alive().await {
                    Ok(()) => vec![],
                    Err(why) => self.lost(&why),
                },
                None => vec![],
            },
            Event::TakenOver => {
                self.conversation.failed("another viewer has taken the camera over".into(), Close::TAKEN_OVER)
            }
            Event::Stop => vec![],
        };
        self.carry_out(steps).await
    }

    /// The camera's connection is gone, and needs no `hangup`.
    fn lost(&mut self, why: &str) -> Vec<Step> {
        self.call = None;
        self.conversation.camera_gone(why)
    }

    async fn carry_out(&mut self, steps: Vec<Step>) -> Result<(), Over> {
        let mut steps = std::collections::VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Open => self.opening = Some((self.open)()),
                Step::ToViewer(text) => self.socket.text(&text).await.map_err(Over::gone)?,
                Step::ToCamera(text) => {
                    let sent = match &mut self.call {
                        Some(Call { upstream, .. }) => upstream.send(text).await,
                        None => Ok(()),
                    };
                    if let Err(why) = sent {
                        steps = self.lost(&why).into();
                    }
                }
                Step::End(close) => {
                    return Err(Over { close: Some(close.into()), reason: DisconnectReason::Complete });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
