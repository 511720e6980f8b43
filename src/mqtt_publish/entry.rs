//! One publication that runs, and what is told of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::mqtt::{Publication, Subject};

/// A stream that was not found counts as gone after this time. Until then, MediaMTX or a camera's topic may not have been
/// asked after a start, and Home Assistant would forget what its users have set for a device that is removed.
const GRACE: Duration = Duration::from_secs(60);

/// One publication.
pub(super) struct Entry {
    pub(super) publication: Publication,
    /// The key of the settings or of the API: the name, or the regular expression that selects it.
    pub(super) subject: Subject,
    pub(super) is_from_file: bool,
    /// Asks for a picture now.
    pub(super) request: Notify,
    /// Width and quality that the last request asks for, until a picture has been published.
    asked: Mutex<Size>,
    /// Asks whether the stream exists now.
    pub(super) look: Notify,
    presence: Mutex<Presence>,
    pub(super) figures: Figures,
    pub(super) ended: CancellationToken,
}

/// A size that a request asks for, other than that of the publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    /// Width in pixels.
    pub(super) w: Option<u32>,
    /// Quality of the JPEG, 1 to 100.
    pub(super) quality: Option<u8>,
}

/// Whether the stream exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Unknown,
    Missing { since: Instant },
    Present,
    Absent,
}

#[derive(Default)]
pub(super) struct Figures {
    pub(super) published: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) oversize: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) last: Mutex<Option<SystemTime>>,
    pub(super) problem: Mutex<Option<String>>,
}

/// Pictures of all publications since the start.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// Pictures that were published.
    pub published: u64,
    /// Pictures that could not be published.
    pub failed: u64,
    /// Those of them that the broker takes in no size.
    pub oversize: u64,
}

impl Figures {
    pub(super) fn read(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals { published: read(&self.published), failed: read(&self.failed), oversize: read(&self.oversize) }
    }
}

impl Entry {
    /// Asks for a picture now, in this size.
    pub(super) fn ask(&self, size: Size) {
        *self.asked.lock() = size;
        self.request.notify_one();
    }

    /// The publication for the next picture, in the size that was asked for.
    pub(super) fn next(&self) -> Publication {
        let Size { w, quality } = std::mem::take(&mut *self.asked.lock());
        let mut next = self.publication.clone();
        next.w = w.or(next.w);
        next.quality = quality.or(next.quality);
        next
    }

    pub(super) fn new(subject: Subject, publication: Publication, is_from_file: bool) -> Arc<Self> {
        Arc::new(Entry {
            publication,
            subject,
            is_from_file,
            request: Notify::new(),
            asked: Mutex::default(),
            look: Notify::new(),
            presence: Mutex::new(Presence::Unknown),
            figures: Figures::default(),
            ended: CancellationToken::new(),
        })
    }

    /// Notes that the stream exists; returns whether that is news.
    pub(super) fn found(&self) -> bool {
        std::mem::replace(&mut *self.presence.lock(), Presence::Present) != Presence::Present
    }

    /// Notes that the stream was not found; returns whether it counts as gone now.
    pub(super) fn missed(&self) -> bool {
        let mut presence = self.presence.lock();
        match *presence {
            Presence::Unknown | Presence::Present => *presence = Presence::Missing { since: Instant::now() },
            Presence::Missing { since } if since.elapsed() >= GRACE => {
                *presence = Presence::Absent;
                return true;
            }
            Presence::Missing { .. } | Presence::Absent => {}
        }
        false
    }

    /// Notes that the stream is gone; returns whether that is news.
    pub(super) fn gone(&self) -> bool {
        std::mem::replace(&mut *self.presence.lock(), Presence::Absent) != Presence::Absent
    }

    /// As [`Entry::missed`], for a stream that is already missing.
    pub(super) fn is_overdue(&self) -> bool {
        let is_missing = matches!(*self.presence.lock(), Presence::Missing { .. });
        is_missing && self.missed()
    }

    pub(super) fn is_present(&self) -> bool {
        *self.presence.lock() == Presence::Present
    }

    pub(super) fn is_absent(&self) -> bool {
        *self.presence.lock() == Presence::Absent
    }

    /// Whether it was looked for and not found.
    pub(super) fn is_missing(&self) -> bool {
        matches!(*self.presence.lock(), Presence::Missing { .. } | Presence::Absent)
    }

    /// After a new connection, the broker may have forgotten what it was told.
    pub(super) fn forget_presence(&self) {
        *self.presence.lock() = Presence::Unknown;
    }

    /// The state for the API.
    pub(super) fn state(&self, name: &str, topic: String) -> PublicationState {
        let Figures { published, bytes, oversize, failed, last, problem } = &self.figures;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PublicationState {
            name: name.to_owned(),
            pattern: self.subject.name().is_none().then(|| self.subject.to_string()),
            publication: self.publication.clone(),
            is_from_file: self.is_from_file,
            topic,
            published: read(published),
            bytes: read(bytes),
            oversize: read(oversize),
            failed: read(failed),
            last_at: last.lock().map(|at| humantime::format_rfc3339_millis(at).to_string()),
            problem: problem.lock().clone(),
        }
    }
}

/// A publication with its figures.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = MqttPublication)]
pub struct PublicationState {
    /// The stream, or the path of MediaMTX.
    pub name: String,
    /// The regular expression, with `~`, that selects it; without one, it is published by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "~^cameras/")]
    pub pattern: Option<String>,
    /// How it is published.
    pub publication: Publication,
    /// Whether sidecar.yml has it, so that the API cannot change it.
    pub is_from_file: bool,
    /// The topic of its pictures.
    pub topic: String,
    /// Pictures that were published.
    pub published: u64,
    /// Bytes of those pictures.
    pub bytes: u64,
    /// Pictures that were left out because the broker takes no message of their size.
    pub oversize: u64,
    /// Pictures that could not be taken.
    pub failed: u64,
    /// When the last picture was published (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// Why the last picture was not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A regular expression in the publications.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = MqttPattern)]
pub struct PatternState {
    /// The regular expression with `~`.
    #[schema(example = "~^cameras/")]
    pub pattern: String,
    /// How the streams and paths that it selects are published.
    pub publication: Publication,
    /// Whether sidecar.yml has it, so that the API cannot change it.
    pub is_from_file: bool,
    /// The number of streams and paths that are published by it.
    pub selected: usize,
    /// The number of those that it selects and that are not published, because there are too many publications.
    pub left_out: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_not_found_is_gone_after_a_while_and_a_deleted_one_at_once() {
        let entry = Entry::new("a".parse().expect("a name"), Publication::default(), false);
        assert!(!entry.is_overdue() && !entry.missed() && entry.is_missing() && !entry.is_absent());
        assert!(entry.found() && !entry.found(), "news once");
        assert!(!entry.missed(), "perhaps MediaMTX starts again");
        tokio::time::advance(GRACE).await;
        assert!(entry.is_overdue() && entry.is_absent() && !entry.is_overdue() && !entry.missed(), "once");
        assert!(entry.found() && entry.gone() && !entry.gone());
        entry.forget_presence();
        assert!(!entry.is_missing() && entry.gone(), "the broker may know of it");
    }
}
