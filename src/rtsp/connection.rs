//! One connection: it reads requests, writes answers and video, and ends a peer that stalls.
//!
//! There is one queue, and a picture enters it only when the queue is empty: a slow reader gets fewer pictures, holds one of
//! them at most, and slows no other reader.

use std::{collections::VecDeque, io, net::SocketAddr, pin::Pin, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use rtsp_types::Response;
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    time::{Duration, Instant, sleep_until, timeout},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    message::{Fault, Incoming, MAX_REQUEST, Parser},
    session::{Session, not_understood},
};
use crate::{
    metrics::RtspCounters,
    server::{self, Place},
    state::State,
};

/// A connection that plays nothing is closed after this time without a whole message from the peer.
const IDLE: Duration = Duration::from_secs(30);

/// How long a message can take from its first byte, and the first message of a connection.
const HEAD: Duration = Duration::from_secs(10);

/// The same for [`Connections`](crate::server::Connections), which end the connection if this task does not.
pub(super) const HEAD_TICKS: u32 = 15;
const IDLE_TICKS: u32 = 40;

/// Bytes of unwritten answers at which we stop reading from a peer that does not read.
const MAX_WAITING: usize = 64 << 10;

/// Buffers for one vectored write (IOV_MAX is 1024).
const PIECES: usize = 256;

/// TCP_NOTSENT_LOWAT: bytes that the kernel holds unsent. Its default holds up to 4 MB of old pictures.
const UNSENT: u32 = 128 << 10;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DisconnectReason {
    Closed,
    Idle,
    Stalled,
    NotUnderstood,
    StreamEnded,
    ShuttingDown,
    Revoked,
    Displaced,
}

impl DisconnectReason {
    fn reason(self) -> &'static str {
        match self {
            DisconnectReason::Closed => "connection closed",
            DisconnectReason::Idle => "sent no whole message in time",
            DisconnectReason::Stalled => "took nothing for too long",
            DisconnectReason::NotUnderstood => "not understood",
            DisconnectReason::StreamEnded => "the stream ended",
            DisconnectReason::ShuttingDown => "shutting down",
            DisconnectReason::Revoked => "the permission was revoked",
            DisconnectReason::Displaced => "made room for others",
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(io: TcpStream, peer: SocketAddr, place: Place, state: Arc<State>) {
    server::tune(&io);
    // A kernel without this option refuses it; the connection then holds more memory.
    let _ = SockRef::from(&io).set_tcp_notsent_lowat(UNSENT);
    let stop = state.shutdown.token().clone();
    let mut connection = Connection {
        io,
        counters: state.metrics.rtsp().clone(),
        stall_timeout: *state.settings.output.stall_timeout,
        session: Session::new(state, peer),
        parser: Parser::default(),
        read: BytesMut::new(),
        outbox: Outbox::default(),
        expected_by: Instant::now() + HEAD,
        moved_at: Instant::now(),
        place,
        revoked: None,
    };
    let reason = tokio::select! {
        reason = connection.run() => reason.unwrap_or(DisconnectReason::Closed),
        () = stop.cancelled() => DisconnectReason::ShuttingDown,
    };
    // The last answer is delivered if the peer still reads.
    let _ = timeout(Duration::from_millis(500), connection.drain()).await;
    match reason {
        DisconnectReason::NotUnderstood | DisconnectReason::Stalled => tracing::info!("left: {}", reason.reason()),
        _ => tracing::debug!("left: {}", reason.reason()),
    }
}

struct Connection {
    io: TcpStream,
    counters: RtspCounters,
    stall_timeout: Duration,
    session: Session,
    parser: Parser,
    read: BytesMut,
    outbox: Outbox,
    /// When the next whole message must have arrived, while nothing plays.
    expected_by: Instant,
    /// When the peer last took bytes, or the queue was empty.
    moved_at: Instant,
    place: Place,
    /// Kept from sample to sample: to wait anew for each would take locks.
    revoked: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// A step of the loop.
enum Step {
    Readable,
    Writable,
    Deadline,
}

impl Connection {
    async fn run(&mut self) -> io::Result<DisconnectReason> {
        loop {
            let writes = !self.outbox.is_empty();
            let is_playing = self.session.is_playing();
            let deadline = if writes { self.moved_at + self.stall_timeout } else { self.expected_by };
            if self.revoked.is_none() {
                self.revoked = self.session.end().map(|end| Box::pin(end.cancelled_owned()));
            }
            let revoked = async {
                match &mut self.revoked {
                    Some(revoked) => revoked.await,
                    None => std::future::pending().await,
                }
            };
            let step = tokio::select! {
                biased;
                ready = self.io.writable(), if writes => ready.map(|()| Step::Writable)?,
                ready = self.io.readable(), if self.outbox.answers < MAX_WAITING => ready.map(|()| Step::Readable)?,
                sample = self.session.next(), if !writes => {
                    let Ok(sample) = sample else { return Ok(DisconnectReason::StreamEnded) };
                    for piece in self.session.packets(&sample, &self.counters) {
                        self.outbox.push(piece);
                    }
                    self.moved_at = Instant::now();
                    Step::Writable
                }
                () = revoked => return Ok(DisconnectReason::Revoked),
                () = self.place.ended() => return Ok(DisconnectReason::Displaced),
                // Writing video finds out whether the peer is still there.
                () = sleep_until(deadline), if writes || !is_playing => Step::Deadline,
            };
            match step {
                Step::Writable => self.flush()?,
                Step::Deadline if writes => return Ok(DisconnectReason::Stalled),
                Step::Deadline => return Ok(DisconnectReason::Idle),
                Step::Readable => {
                    if let Some(reason) = self.take().await? {
                        return Ok(reason);
                    }
                    self.flush()?;
                }
            }
        }
    }

    /// Reads the available bytes and answers their requests.
    async fn take(&mut self) -> io::Result<Option<DisconnectReason>> {
        // At most one request is held; further bytes wait in the kernel.
        let room = (MAX_REQUEST + 4).saturating_sub(self.read.len()).max(1);
        let was_empty = self.read.is_empty();
        let mut limited = bytes::BufMut::limit(&mut self.read, room);
        match self.io.try_read_buf(&mut limited) {
            Ok(0) => return Ok(Some(DisconnectReason::Closed)),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(e),
        }
        loop {
            match self.parser.next(&mut self.read) {
                Ok(None) => {
                    if was_empty && !self.read.is_empty() {
                        self.expected_by = self.expected_by.min(Instant::now() + HEAD);
                    }
                    return Ok(None);
                }
                Ok(Some(Incoming::Frame)) => self.expects(),
                Ok(Some(Incoming::Request(request))) => {
                    self.place.serve();
                    let answer = self.session.answer(&request).await;
                    self.counters.request(name(request.method()), answer.status().into());
                    self.queue(&answer);
                    self.expects();
                    // The request can have opened another stream.
                    self.revoked = None;
                }
                Err(fault) => {
                    self.counters.request("none", 400);
                    self.queue(&not_understood(fault == Fault::TooLong));
                    return Ok(Some(DisconnectReason::NotUnderstood));
                }
            }
        }
    }

    /// A whole message has arrived. While nothing plays, the next one is awaited.
    fn expects(&mut self) {
        self.expected_by = Instant::now() + IDLE;
        match self.session.is_playing() {
            true => self.place.serve(),
            false => self.place.wait(IDLE_TICKS),
        }
    }

    #[expect(clippy::expect_used, reason = "a Vec takes everything that is written into it")]
    fn queue(&mut self, answer: &Response<Vec<u8>>) {
        let mut text = vec![];
        answer.write(&mut text).expect("a Vec takes everything");
        if self.outbox.is_empty() {
            self.moved_at = Instant::now();
        }
        self.outbox.answers += text.len();
        self.outbox.push(text.into());
    }

    /// Writes as much as the peer takes.
    fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            let pieces = self.outbox.front();
            match self.io.try_write_vectored(&pieces) {
                Ok(written) => {
                    drop(pieces);
                    self.outbox.advance(written);
                    self.counters.sent(written);
                    self.session.sent(written);
                    self.moved_at = Instant::now();
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    async fn drain(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            self.io.writable().await?;
            self.flush()?;
        }
        Ok(())
    }
}

/// Bytes that are not written yet.
#[derive(Default)]
struct Outbox {
    pieces: VecDeque<Bytes>,
    /// Bytes of answers queued since the queue was empty.
    answers: usize,
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn push(&mut self, piece: Bytes) {
        self.pieces.push_back(piece);
    }

    fn front(&self) -> Vec<io::IoSlice<'_>> {
        self.pieces.iter().take(PIECES).map(|piece| io::IoSlice::new(piece)).collect()
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.pieces.front_mut() {
            if first.len() > written {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
        self.answers = 0;
    }
}

/// The method's name as a label. Unknown methods share one, because each label costs the monitoring system memory.
fn name(method: &rtsp_types::Method) -> &'static str {
    use rtsp_types::Method;
    match method {
        Method::Options => "OPTIONS",
        Method::Describe => "DESCRIBE",
        Method::Setup => "SETUP",
        Method::Play => "PLAY",
        Method::Pause => "PAUSE",
        Method::GetParameter => "GET_PARAMETER",
        Method::Teardown => "TEARDOWN",
        _ => "other",
    }
}
