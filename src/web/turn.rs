//! Bodies at the peer's pace: what a request or a response waits for, and for how long.
//!
//! [`Turn`] tells the connection whether the server or the client has to move next; the connection ends a client that
//! does not (`server/connection.rs`). A body of a request must arrive at `http.min_rate` on average. A body of a response
//! is given to actix in portions, because actix copies everything it is given: an unread answer of 16 MB would be held
//! twice.

use std::{
    fmt::Display,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error as ActixError, HttpRequest,
    body::{BodySize, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Duration, Instant, timeout_at};

use super::State;
use crate::{
    access::{Access, SessionInfo},
    error::{Code, Error, Result},
    policy::Authorized,
    server::{TICK, Turn},
    settings::HttpSettings,
};

/// Bytes that actix copies of a response at a time. Its own buffer is as large.
const PORTION: usize = 32 << 10;

/// How long a body can take before its rate counts: a mobile link that is lost for half a minute keeps its upload.
const GRACE: Duration = Duration::from_secs(30);

/// Marks the begin and the end of each answer for the connection. The outermost middleware: a request is over when nothing
/// of its response is left.
pub(super) async fn take_turns(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Answer<impl MessageBody + 'static>>, ActixError> {
    let turn = request.conn_data::<Turn>().cloned();
    if let Some(turn) = &turn {
        turn.request_begins();
    }
    let mut response = match next.call(request).await {
        Ok(response) => response,
        Err(e) => {
            if let Some(turn) = &turn {
                turn.response_ends();
            }
            return Err(e);
        }
    };
    let listed = response.response_mut().extensions_mut().remove::<Listed>();
    Ok(response.map_body(|_, body| Answer { body, left: Bytes::new(), listed: Listing::of(listed), turn }))
}

/// A response that is listed as a session while it is sent, so that it ends when its principal loses the permission. In the
/// extensions of the response.
pub(super) struct Listed {
    pub(super) access: Access,
    pub(super) principal: Authorized,
    pub(super) info: SessionInfo,
}

pin_project_lite::pin_project! {
    /// The body of every response.
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        // What the inner body gave and actix did not get yet.
        left: Bytes,
        listed: Listing,
        turn: Option<Turn>,
    }

    impl<B> PinnedDrop for Answer<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Listing::Listed(task) = &this.listed {
                task.abort();
            }
            if let Some(turn) = &this.turn {
                turn.response_ends();
            }
        }
    }
}

enum Listing {
    None,
    /// Listed when its second portion is due: most responses have only one.
    Later(Box<Listed>),
    Listed(actix_web::rt::task::JoinHandle<()>),
}

impl Listing {
    fn of(listed: Option<Listed>) -> Self {
        listed.map_or(Listing::None, |listed| Listing::Later(Box::new(listed)))
    }

    fn begin(&mut self, turn: Option<&Turn>) {
        if !matches!(self, Listing::Later(_)) {
            return;
        }
        let (Listing::Later(listed), Some(turn)) = (mem::replace(self, Listing::None), turn.cloned()) else { return };
        let Listed { access, principal, info } = *listed;
        let session = access.begin(principal, info);
        // A task of its own: while the socket is full, the body is not asked.
        *self = Listing::Listed(actix_web::rt::spawn(async move {
            session.end().cancelled().await;
            turn.end();
        }));
    }
}

impl<B: MessageBody> MessageBody for Answer<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        let this = self.project();
        if !this.left.is_empty() {
            this.listed.begin(this.turn.as_ref());
        } else {
            match ready!(this.body.poll_next(cx)) {
                Some(Ok(bytes)) => *this.left = bytes,
                other => return Poll::Ready(other),
            }
        }
        let portion = this.left.split_to(this.left.len().min(PORTION));
        Poll::Ready(Some(Ok(portion)))
    }
}

/// Reads the body of a request at its sender's pace.
///
/// The sender can be silent for `http.upload_timeout`, and from [`GRACE`] on must have sent `http.min_rate` on average.
/// While the body is awaited, the connection counts as waiting and makes room for others when all places are taken.
pub(super) struct Paced<S> {
    body: S,
    silence: Duration,
    min_rate: u64,
    /// When the rate began to count; none until the next byte.
    began: Option<Instant>,
    received: u64,
    turn: Option<Turn>,
}

impl<S, E> Paced<S>
where
    S: Stream<Item = std::result::Result<Bytes, E>> + Unpin,
    E: Display,
{
    /// For a body of limited size.
    pub(super) fn new(request: &HttpRequest, body: S) -> Self {
        let mut paced = Paced::endless(request, body);
        paced.began = Some(Instant::now());
        paced.turn = request.conn_data::<Turn>().cloned();
        paced.waits();
        paced
    }

    /// For pictures without an end. The rate counts from the first byte of each picture (see [`Self::begin_anew`]). The
    /// sender has a permit, so it makes no room.
    pub(super) fn endless(request: &HttpRequest, body: S) -> Self {
        let settings = request.app_data::<web::Data<State>>().map(|state| &state.settings.http);
        let (silence, min_rate) = match settings {
            Some(http) => (*http.upload_timeout, http.min_rate.0),
            None => (*HttpSettings::default().upload_timeout, HttpSettings::default().min_rate.0),
        };
        Paced { body, silence, min_rate, began: None, received: 0, turn: None }
    }

    /// A whole picture has arrived: the rate counts again from the next byte on.
    pub(super) fn begin_anew(&mut self) {
        (self.began, self.received) = (None, 0);
    }

    /// The next chunk; none at the end. An error when the sender is silent, too slow, or disconnects.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        let silent_at = Instant::now() + self.silence;
        let slow_at = self.began.map(|began| began + self.allowed());
        let deadline = slow_at.map_or(silent_at, |slow_at| slow_at.min(silent_at));
        match timeout_at(deadline, self.body.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(chunk))) => {
                self.began.get_or_insert_with(Instant::now);
                self.received += chunk.len() as u64;
                self.waits();
                Ok(Some(chunk))
            }
            Ok(Some(Err(e))) => Err(Error::new(Code::InvalidBody, format!("the body broke off: {e}"))),
            Err(_) if slow_at.is_some_and(|slow_at| slow_at < silent_at) => Err(Error::new(
                Code::SlowBody,
                format!("the body came at less than {} bytes a second (http.min_rate)", self.min_rate),
            )),
            Err(_) => Err(Error::new(
                Code::SlowBody,
                format!("nothing came for {} s (http.upload_timeout)", self.silence.as_secs_f64()),
            )),
        }
    }

    /// How long the bytes so far can have taken.
    fn allowed(&self) -> Duration {
        GRACE + Duration::from_secs(self.received.checked_div(self.min_rate).unwrap_or(u64::from(u32::MAX)))
    }

    /// Tells the connection that it waits, for longer than the error of [`Self::next`] takes to be answered.
    fn waits(&self) {
        if let Some(turn) = &self.turn {
            let ticks = (self.silence + GRACE).as_secs() / TICK.as_secs();
            turn.waits_for_body(u32::try_from(ticks).unwrap_or(u32::MAX));
        }
    }
}

impl<S> Drop for Paced<S> {
    fn drop(&mut self) {
        if let Some(turn) = &self.turn {
            turn.body_ends();
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use futures_util::stream;

    use super::*;

    type Chunk = std::result::Result<Bytes, std::convert::Infallible>;

    /// A sender of `count` pieces, one every `pause`.
    fn sender(piece: &'static [u8], count: usize, pause: Duration) -> impl Stream<Item = Chunk> + Unpin {
        Box::pin(stream::unfold(0, move |sent| async move {
            tokio::time::sleep(pause).await;
            (sent < count).then(|| (Ok(Bytes::from_static(piece)), sent + 1))
        }))
    }

    async fn received(mut body: Paced<impl Stream<Item = Chunk> + Unpin>) -> Result<usize> {
        let mut received = 0;
        while let Some(chunk) = body.next().await? {
            received += chunk.len();
        }
        Ok(received)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_least_rate_and_a_longest_silence() {
        let request = TestRequest::default().to_http_request();
        let second = Duration::from_secs(1);
        // 1 KiB a second is accepted for ever.
        let steady = Paced::new(&request, sender(&[0; 1024], 600, second));
        assert_eq!(received(steady).await.expect("fast enough"), 600 * 1024);
        // A small body can take as long as the grace.
        let small = Paced::new(&request, sender(b"x", 25, second));
        assert_eq!(received(small).await.expect("within the grace"), 25);
        let began = Instant::now();
        let slow = received(Paced::new(&request, sender(b"x", 10_000, second))).await.expect_err("a byte a second");
        assert_eq!((slow.code(), began.elapsed().as_secs()), (Code::SlowBody, 30));
        assert!(slow.to_string().contains("http.min_rate"), "{slow}");
        let silent = received(Paced::endless(&request, sender(b"x", 1, Duration::from_secs(3600)))).await;
        let silent = silent.expect_err("silent for a minute");
        assert!(silent.code() == Code::SlowBody && silent.to_string().contains("http.upload_timeout"), "{silent}");
    }

    #[tokio::test(start_paused = true)]
    async fn pictures_without_an_end_can_be_rare() {
        let request = TestRequest::default().to_http_request();
        // A small picture every 50 seconds: 20 bytes a second.
        let mut body = Paced::endless(&request, sender(&[0; 1000], 100, Duration::from_secs(50)));
        while body.next().await.expect("each picture is fast").is_some() {
            body.begin_anew();
        }
        let mut body = Paced::endless(&request, sender(b"x", 100, Duration::from_secs(1)));
        let fault = loop {
            match body.next().await {
                Ok(chunk) => assert!(chunk.is_some(), "the picture is never whole"),
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.code(), Code::SlowBody);
    }

    #[tokio::test]
    async fn actix_gets_a_large_answer_in_portions() {
        let body = Bytes::from(vec![7; 100_000]);
        let answer = Answer { body: body.clone(), left: Bytes::new(), listed: Listing::None, turn: None };
        assert_eq!(answer.size(), BodySize::Sized(100_000));
        let mut answer = Box::pin(answer);
        let mut portions = vec![];
        while let Some(portion) = std::future::poll_fn(|cx| answer.as_mut().poll_next(cx)).await {
            portions.push(portion.expect("bytes in memory"));
        }
        assert!(portions.iter().all(|portion| portion.len() <= PORTION), "{}", portions.len());
        assert_eq!(portions.concat(), body);
    }
}
