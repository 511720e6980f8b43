//! `multipart/x-mixed-replace`: MJPEG over HTTP, as browsers, ffmpeg, Home Assistant and OctoPrint read it.
//!
//! [`Pacer`] decides what is sent when; [`serve`] writes it to a connection that was taken over from the
//! HTTP server. Every frame is laid out once (see [`Frame::part`](crate::picture::Frame::part)), and its
//! bytes go from there to every socket without a copy.

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Duration, Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::form::Form;
use self::form::Sent;
use super::{DisconnectReason, Report};
use crate::{
    error::{Error, Result},
    picture::{PREAMBLE, PREAMBLE_WITH_HEAD, SharedFrame},
    stream::Watch,
};

mod form;

/// How long a connection is given pictures more often than it asked: ffmpeg sends on what it gets,
/// MediaMTX keeps no keyframe, and so whoever joins in the first seconds would wait for the next repeat.
const WARM_UP: Duration = Duration::from_secs(10);

/// How often during the warm-up.
const WARM_UP_INTERVAL: Duration = Duration::from_millis(500);

/// Copies of the first picture sent to a decoder that probes its input before it starts. One part
/// with its closing boundary is enough for ffmpeg 5.1; three leave room for versions that compare
/// timestamps.
const COPIES_FOR_PROBES: usize = 3;

/// Copies of the first picture for everybody else: Safari shows a part when the next one is complete
/// (ustreamer calls it "dual final frames").
const COPIES: usize = 2;

/// A picture after which nothing came for so long may be the last for a while.
const FINAL_AFTER: Duration = Duration::from_millis(100);

/// The copies of a large picture may not take more than this.
const MAX_COPIED_BYTES: usize = 8 << 20;

/// What one watcher wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often a picture that does not change is repeated.
    pub interval: Duration,
    /// Whether the peer is a decoder that probes and re-publishes, as ffmpeg in MediaMTX's runOnDemand is.
    pub for_decoder: bool,
    /// How parts look.
    pub form: Form,
    /// How long to wait for a first picture before "waiting" is shown.
    pub placeholder_after: Duration,
    /// How long the peer may take nothing.
    pub stall_timeout: Duration,
}

/// Whether the interval, in milliseconds, can be kept.
pub fn check_interval(interval: Duration) -> Result<()> {
    if (Duration::from_millis(40)..=Duration::from_secs(3600)).contains(&interval) {
        return Ok(());
    }
    Err(Error::parameter("interval", format!("must be from 40 to 3600000 milliseconds, not {}", interval.as_millis())))
}

/// Decides which bytes one watcher gets next, and when.
pub struct Pacer {
    watch: Watch,
    options: Options,
    stage: Stage,
    began: Instant,
    /// The frame last given, which is the one to repeat.
    shown: Option<SharedFrame>,
    copies_left: usize,
    sent: Sent,
    /// Set by a new picture, until it was sent once more or another one came.
    may_be_last: bool,
}

#[derive(PartialEq)]
enum Stage {
    Preamble,
    First,
    Running,
}

impl Pacer {
    /// Begins with the multipart preamble.
    pub fn new(watch: Watch, options: Options) -> Self {
        Pacer {
            watch,
            options,
            stage: Stage::Preamble,
            began: Instant::now(),
            shown: None,
            copies_left: 0,
            sent: Sent::default(),
            may_be_last: false,
        }
    }

    /// The bytes to send next, when it is time for them; none when the stream has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Preamble => {
                self.stage = Stage::First;
                Some(Bytes::from_static(if self.options.form.advance_heads { PREAMBLE_WITH_HEAD } else { PREAMBLE }))
            }
            Stage::First => {
                let first = match timeout(self.options.placeholder_after, self.watch.next()).await {
                    Ok(frame) => frame.ok()?,
                    Err(_) => self.watch.placeholder(),
                };
                self.stage = Stage::Running;
                let copies = if self.options.for_decoder { COPIES_FOR_PROBES } else { COPIES };
                self.copies_left = copies.min(MAX_COPIED_BYTES / first.size().max(1)).saturating_sub(1);
                Some(self.show(first))
            }
            Stage::Running => {
                let shown = self.shown.clone().expect("something is shown in this stage");
                if self.copies_left > 0 {
                    self.copies_left -= 1;
                    return Some(self.show(shown));
                }
                let is_last = std::mem::take(&mut self.may_be_last) && self.options.form.dual_final_frames;
                let pause = if is_last { self.pause().min(FINAL_AFTER) } else { self.pause() };
                let repeat_at = Instant::now() + pause;
                let frame = tokio::select! {
                    frame = self.watch.next() => {
                        self.may_be_last = true;
                        frame.ok()?
                    }
                    () = sleep_until(repeat_at) => if shown.placeholder { self.watch.placeholder() } else { shown },
                };
                Some(self.show(frame))
            }
        }
    }

    /// Frames that this watcher lost by being slow.
    pub fn dropped(&self) -> u64 {
        self.watch.dropped()
    }

    fn show(&mut self, frame: SharedFrame) -> Bytes {
        let part = match self.options.form {
            Form { advance_heads: true, zero_data: false, .. } => frame.part_with_next_head(),
            Form { advance_heads: false, extra_headers: false, zero_data: false, .. } => frame.part(),
            form => form.part(&frame, self.watch.dropped(), self.sent.a_second(Instant::now())),
        };
        self.shown = Some(frame);
        part
    }

    fn pause(&self) -> Duration {
        if self.options.for_decoder && self.began.elapsed() < WARM_UP {
            self.options.interval.min(WARM_UP_INTERVAL)
        } else {
            self.options.interval
        }
    }
}

/// Serves one watcher until it leaves, stalls, the stream ends or `stop` is cancelled.
pub async fn serve<T>(mut io: T, watch: Watch, options: Options, stop: CancellationToken) -> Report
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let stall_timeout = options.stall_timeout;
    let mut pacer = Pacer::new(watch, options);
    let mut report = Report { parts: 0, bytes: 0, dropped: 0, left: DisconnectReason::Closed };
    report.left = loop {
        let part = tokio::select! {
            part = pacer.next() => part,
            () = closed(&mut io) => break DisconnectReason::Closed,
            () = stop.cancelled() => break DisconnectReason::ToldToEnd,
        };
        let Some(part) = part else { break DisconnectReason::StreamEnded };
        // The rest of a part that was begun is always sent, or the connection is lost: a picture cut
        // off in the middle would be shown as a broken one.
        if let Err(left) = write_all(&mut io, &part, stall_timeout).await {
            break left;
        }
        report.parts += 1;
        report.bytes += part.len() as u64;
    };
    report.dropped = pacer.dropped();
    // Bounded, because a peer that takes nothing would not take the end either.
    let _ = timeout(Duration::from_millis(500), io.shutdown()).await;
    report
}

async fn write_all<T: AsyncWrite + Unpin>(
    io: &mut T,
    mut data: &[u8],
    stall_timeout: Duration,
) -> Result<(), DisconnectReason> {
    while !data.is_empty() {
        match timeout(stall_timeout, io.write(data)).await {
            Ok(Ok(n)) if n > 0 => data = &data[n..],
            Ok(_) => return Err(DisconnectReason::Closed),
            Err(_) => return Err(DisconnectReason::Stalled),
        }
    }
    // TLS holds the end of a record back otherwise.
    match timeout(stall_timeout, io.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(DisconnectReason::Closed),
        Err(_) => Err(DisconnectReason::Stalled),
    }
}

/// Returns when the peer has closed. What it sends meanwhile is no business of ours.
async fn closed<T: AsyncRead + Unpin>(io: &mut T) {
    let mut ignored = [0; 256];
    while let Ok(1..) = io.read(&mut ignored).await {}
}

#[cfg(test)]
mod tests;
