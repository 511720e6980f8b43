//! The figures of a stream, for the API and for metrics.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::Ordering,
    time::SystemTime,
};

use serde::Serialize;
use tokio::time::{Duration, Instant};
use utoipa::ToSchema;

use super::{LastFailure, Origin, State, Stream, StreamName, lifecycle};
use crate::{
    error::{Code, Error},
    faults,
};

/// Window of the picture rate: long enough to measure one picture in five seconds.
const RATE_WINDOW: Duration = Duration::from_secs(20);

/// Most arrival times kept for the rate.
const RATE_SAMPLES: usize = 64;

/// A camera that is connected is late after this time without a picture, and after three times its usual gap.
const LATE: Duration = Duration::from_secs(3);

/// The figures of a stream at one moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stats {
    /// The stream's name.
    #[schema(value_type = String)]
    pub name: StreamName,
    /// The kind of its producer.
    pub kind: &'static str,
    /// Who made it: `file`, `api`, `upload`, `pull` or `mediamtx`.
    pub origin: Origin,
    /// `idle`, `starting`, `live`, `lingering` or `failing`.
    pub state: &'static str,
    /// The reason for the state, in words.
    pub reason: String,
    /// Why the producer failed last; null as soon as a picture arrives, and for a new definition.
    pub failure: Option<LastFailure>,
    /// Watchers at the moment.
    pub watchers: usize,
    /// Pictures since the stream was made.
    pub frames: u64,
    /// Bytes of those pictures.
    pub bytes: u64,
    /// Pictures a second, over the last 20 seconds.
    pub fps: f64,
    /// Frames that slow watchers skipped.
    pub dropped: u64,
    /// Pictures that arrived damaged, by reason.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    pub damaged: BTreeMap<&'static str, u64>,
    /// The held picture, if there is one.
    pub picture: Option<PictureInfo>,
}

impl Stats {
    /// The figures for everyone who can watch: without the words of a failure, which can name addresses of the network.
    pub fn for_everyone(mut self, stream: &Stream) -> Self {
        self.reason = stream.reason_for_everyone();
        self.failure = self.failure.map(|failure| LastFailure { reason: String::new(), ..failure });
        self
    }
}

impl Stream {
    /// Why the producer failed last, if no picture has arrived since.
    pub fn failure(&self) -> Option<LastFailure> {
        self.lock().failures.last()
    }

    /// Why the stream has its state, for everyone who can watch it: a failure by the meaning of its cause, because its words can name
    /// addresses of the network.
    pub fn reason_for_everyone(&self) -> String {
        match (self.failure(), self.state().1) {
            (Some(failure), _) => failure.title.to_owned(),
            (None, reason) if lifecycle::is_for_everyone(&reason) => reason,
            (None, _) => "the source has a problem".to_owned(),
        }
    }

    /// An error that says why the stream has no picture: `what` is the beginning of its sentence, and `words` are those of the failure,
    /// for administrators.
    pub fn no_picture(&self, what: &str, words: &str) -> Error {
        let cause = self.failure().and_then(|failure| failure.cause);
        Error::new(Code::NoPicture, format!("{what}: {}", self.reason_for_everyone()))
            .with_words(format!("{what}: {words}"))
            .because(cause)
    }

    /// Whether the source is connected and should bring pictures, and has brought none for some seconds: the picture that watchers
    /// see is frozen.
    pub fn is_stalled(&self) -> bool {
        let core = self.lock();
        let limit = LATE.max(3 * core.arrivals.usual_gap().unwrap_or_default());
        core.life.state() == State::Live
            && core.producer.is_steady()
            && core.last_sign.is_some_and(|at| at.elapsed() > limit)
    }

    /// The stream's figures.
    pub fn stats(&self) -> Stats {
        let frame = self.latest();
        let (state, reason) = self.state();
        let core = self.lock();
        faults::pass("figures of a stream", &self.name);
        Stats {
            name: self.name.clone(),
            kind: core.producer.kind(),
            origin: core.origin,
            state: state.as_str(),
            reason,
            failure: core.failures.last(),
            watchers: core.watchers,
            frames: self.frames.load(Ordering::Relaxed),
            bytes: self.received(),
            fps: core.arrivals.rate(Instant::now()),
            dropped: self.dropped.load(Ordering::Relaxed),
            damaged: core.damaged.clone(),
            picture: frame.as_deref().map(PictureInfo::of),
        }
    }
}

/// The held picture.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PictureInfo {
    /// Sequence number.
    pub seq: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Size of the JPEG in bytes; 0 while no watcher needs a JPEG of this size.
    pub bytes: usize,
    /// When the picture was taken or received (RFC 3339, UTC).
    pub captured_at: String,
    /// Seconds since then.
    pub age_seconds: f64,
}

impl PictureInfo {
    pub(super) fn of(frame: &crate::picture::Frame) -> Self {
        let age = SystemTime::now().duration_since(frame.captured_at).unwrap_or_default();
        PictureInfo {
            seq: frame.seq,
            width: frame.width,
            height: frame.height,
            bytes: frame.encoded_size(),
            captured_at: humantime::format_rfc3339_millis(frame.captured_at).to_string(),
            age_seconds: (age.as_secs_f64() * 1000.0).round() / 1000.0,
        }
    }
}

/// Arrival times of the latest pictures.
#[derive(Debug, Default)]
pub(super) struct Arrivals(VecDeque<Instant>);

impl Arrivals {
    pub(super) fn note(&mut self, now: Instant) {
        if self.0.len() == RATE_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// The median of the stored gaps; none before the first gap. A single pause does not change it.
    fn usual_gap(&self) -> Option<Duration> {
        let mut gaps: Vec<_> = self.0.iter().zip(self.0.iter().skip(1)).map(|(a, b)| b.duration_since(*a)).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }

    /// Pictures a second, from the gaps between arrivals in the window. The gap since the last arrival counts as soon as it is
    /// longer than the average gap.
    pub(super) fn rate(&self, now: Instant) -> f64 {
        let recent: Vec<_> = self.0.iter().filter(|at| now.duration_since(**at) <= RATE_WINDOW).collect();
        let (Some(first), Some(last)) = (recent.first(), recent.last()) else { return 0.0 };
        let gaps = (recent.len() - 1) as f64;
        if gaps == 0.0 {
            return 0.0;
        }
        let closed = last.duration_since(**first).as_secs_f64();
        let open = now.duration_since(**last).as_secs_f64();
        let span = if open > closed / gaps { closed + open } else { closed };
        let rate = gaps / span.max(0.001);
        (rate * 100.0).round() / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_arrivals_and_falls_when_they_cease() {
        let start = Instant::now();
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.rate(start), 0.0);
        for i in 0..=30 {
            arrivals.note(start + Duration::from_millis(100 * i));
        }
        assert_eq!(arrivals.rate(start + Duration::from_millis(3050)), 10.0);
        assert!(arrivals.rate(start + Duration::from_secs(13)) < 3.0);
        assert_eq!(arrivals.rate(start + Duration::from_secs(60)), 0.0);
    }

    #[test]
    fn the_usual_gap_is_that_of_most_pictures() {
        let start = Instant::now();
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.usual_gap(), None);
        arrivals.note(start);
        assert_eq!(arrivals.usual_gap(), None);
        for i in 1..=10 {
            arrivals.note(start + Duration::from_millis(200 * i));
        }
        arrivals.note(start + Duration::from_secs(60));
        assert_eq!(arrivals.usual_gap(), Some(Duration::from_millis(200)));
    }
}
