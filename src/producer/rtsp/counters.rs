//! Counters of all RTSP cameras together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What happened to an access unit of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// A decoded keyframe.
    Keyframe,
    /// Another decoded unit.
    Delta,
    /// A unit that was skipped, because no watcher needed it or because decoding was behind.
    Skipped,
}

/// Counters. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    connections: AtomicU64,
    units: [AtomicU64; 3],
    pictures: AtomicU64,
    ffmpegs: AtomicU64,
}

/// The values of the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sessions with cameras and MediaMTX.
    pub connections: u64,
    /// Keyframes decoded.
    pub keyframes: u64,
    /// Other units decoded.
    pub deltas: u64,
    /// Units skipped.
    pub skipped: u64,
    /// Pictures made from video, and pictures of MJPEG cameras.
    pub pictures: u64,
    /// Processes of ffmpeg started.
    pub ffmpegs: u64,
}

impl Counters {
    /// All values.
    pub fn figures(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [keyframes, deltas, skipped] = self.0.units.each_ref().map(read);
        let (connections, pictures, ffmpegs) =
            (read(&self.0.connections), read(&self.0.pictures), read(&self.0.ffmpegs));
        Figures { connections, keyframes, deltas, skipped, pictures, ffmpegs }
    }

    pub(super) fn connected(&self) {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn units(&self, which: UnitKind, n: usize) {
        self.0.units[which as usize].fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(super) fn picture(&self) {
        self.0.pictures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ffmpeg_started(&self) {
        self.0.ffmpegs.fetch_add(1, Ordering::Relaxed);
    }
}
