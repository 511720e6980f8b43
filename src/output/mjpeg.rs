//! MJPEG over HTTP (`multipart/x-mixed-replace`), as browsers, ffmpeg, Home Assistant and OctoPrint read it.
//!
//! [`Pacer`] decides which part is sent when. [`serve`] writes the parts to a connection that was taken over from the HTTP
//! server. Every frame is laid out once (see [`Frame::part`](crate::picture::Frame::part)), and every socket gets the same
//! bytes without a copy.

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Duration, Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::form::Sent;
pub use self::{
    form::Form,
    request::{OUTPUT, interval_in, opened},
};
use super::{
    DisconnectReason, Report,
    connection::{closed, end, write_all},
};
use crate::{
    error::{Error, Result},
    picture::{PREAMBLE, PREAMBLE_WITH_HEAD, SharedFrame},
    stream::Watch,
};

mod form;
mod request;

/// How long a decoder gets pictures more often than its interval. ffmpeg forwards the pictures that it gets, and
/// MediaMTX keeps no keyframe, so a reader that joins MediaMTX in the first seconds would otherwise wait for the
/// next repeat.
const WARM_UP: Duration = Duration::from_secs(10);

/// Longest interval during the warm-up.
const WARM_UP_INTERVAL: Duration = Duration::from_millis(500);

/// Longest interval for a client that [`keeps_fresh`](Options::keeps_fresh).
const FRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Copies of the first picture for a decoder that probes its input before it starts. One part with its closing
/// boundary is enough for ffmpeg 5.1; three are enough for versions that compare timestamps, too.
const COPIES_FOR_PROBES: usize = 3;

/// Copies of the first picture for other clients: Safari shows a part only when the next one is complete (ustreamer
/// calls this "dual final frames").
const COPIES: usize = 2;

/// A picture counts as the last one for a while if none follows within this time.
const FINAL_AFTER: Duration = Duration::from_millis(100);

/// Most bytes for the copies of a large picture.
const MAX_COPIED_BYTES: usize = 8 << 20;

/// The options of one watcher.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pause between repeats of an unchanged picture.
    pub interval: Duration,
    /// Whether the client is a decoder that probes its input and publishes it again, as ffmpeg in MediaMTX's
    /// runOnDemand does.
    pub for_decoder: bool,
    /// Whether the picture is repeated at least each second for as long as the client watches, because others join what
    /// the client makes of it, and need a keyframe.
    pub keeps_fresh: bool,
    /// Bytes that the client takes at a time, before it looks at them. The first picture is repeated at once until so many
    /// were sent.
    pub reads_at_once: Option<usize>,
    /// The form of the parts.
    pub form: Form,
    /// How long to wait for a first picture before the "waiting" picture is sent.
    pub placeholder_after: Duration,
    /// How long the client can take no bytes before it is disconnected.
    pub stall_timeout: Duration,
}

/// Checks an interval between repeats.
pub fn check_interval(interval: Duration) -> Result<()> {
    if (Duration::from_millis(40)..=Duration::from_secs(3600)).contains(&interval) {
        return Ok(());
    }
    Err(Error::parameter("interval", format!("must be from 40 to 3600000 milliseconds, not {}", interval.as_millis())))
}

/// Decides which bytes one client gets next, and when.
pub struct Pacer {
    watch: Watch,
    options: Options,
    stage: Stage,
    began: Instant,
    copies_left: usize,
    sent: Sent,
    /// Set by a new picture, until the picture was repeated or another one arrived.
    may_be_last: bool,
}

enum Stage {
    Preamble,
    First,
    /// Holds the last frame, which is repeated.
    Running(SharedFrame),
}

impl Pacer {
    /// A pacer that begins with the multipart preamble.
    pub fn new(watch: Watch, options: Options) -> Self {
        Pacer {
            watch,
            options,
            stage: Stage::Preamble,
            began: Instant::now(),
            copies_left: 0,
            sent: Sent::default(),
            may_be_last: false,
        }
    }

    /// Waits until bytes are due and returns them. None when the stream has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        match &self.stage {
            Stage::Preamble => {
                self.stage = Stage::First;
                Some(Bytes::from_static(if self.options.form.advance_heads { PREAMBLE_WITH_HEAD } else { PREAMBLE }))
            }
            Stage::First => {
                let first = match timeout(self.options.placeholder_after, self.watch.next()).await {
                    Ok(frame) => frame.ok()?,
                    Err(_) => self.watch.placeholder(),
                };
                self.copies_left = self.copies_of(first.size()).saturating_sub(1);
                Some(self.show(first))
            }
            Stage::Running(shown) => {
                let shown = shown.clone();
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

    /// Frames that this client missed because it was slow.
    pub fn dropped(&self) -> u64 {
        self.watch.dropped()
    }

    fn show(&mut self, frame: SharedFrame) -> Bytes {
        let part = match self.options.form {
            Form { advance_heads: true, zero_data: false, .. } => frame.part_with_next_head(),
            Form { advance_heads: false, extra_headers: false, zero_data: false, .. } => frame.part(),
            form => form.part(&frame, self.watch.dropped(), self.sent.a_second(Instant::now())),
        };
        self.stage = Stage::Running(frame);
        part
    }

    /// How often the first picture is sent.
    fn copies_of(&self, size: usize) -> usize {
        let Options { for_decoder, form, reads_at_once, .. } = &self.options;
        let usual = if *for_decoder || form.dual_final_frames { COPIES_FOR_PROBES } else { COPIES };
        // The client takes whole portions: a picture that is larger than one is whole in the next.
        let portions = reads_at_once.map(|portion| (size.div_ceil(portion.max(1)) * portion).div_ceil(size.max(1)) + 1);
        usual.max(portions.unwrap_or(0)).min(MAX_COPIED_BYTES / size.max(1))
    }

    fn pause(&self) -> Duration {
        let Options { interval, for_decoder, keeps_fresh, .. } = self.options;
        if for_decoder && self.began.elapsed() < WARM_UP {
            interval.min(WARM_UP_INTERVAL)
        } else if keeps_fresh {
            interval.min(FRESH_INTERVAL)
        } else {
            interval
        }
    }
}

/// Serves one client until it disconnects or stalls, the stream ends, or `stop` is cancelled.
pub async fn serve<T>(mut io: T, watch: Watch, options: Options, stop: CancellationToken) -> Report
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let stall_timeout = options.stall_timeout;
    let mut pacer = Pacer::new(watch, options);
    let mut report = Report { parts: 0, bytes: 0, dropped: 0, left: DisconnectReason::Closed };
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    report.left = loop {
        let part = tokio::select! {
            part = pacer.next() => part,
            () = closed(&mut io) => break DisconnectReason::Closed,
            () = &mut stopped => break DisconnectReason::ToldToEnd,
        };
        let Some(part) = part else { break DisconnectReason::StreamEnded };
        // A part is sent to its end, or the connection is closed: a client would show a picture that was cut off as
        // a broken one.
        if let Err(left) = write_all(&mut io, &part, stall_timeout).await {
            break left;
        }
        report.parts += 1;
        report.bytes += part.len() as u64;
    };
    report.dropped = pacer.dropped();
    end(&mut io).await;
    report
}

#[cfg(test)]
mod tests;
