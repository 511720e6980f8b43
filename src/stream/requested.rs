//! [`Requested`]: the streams that requests made, such as `/mjpeg-get?name=…`. A request needs no more than the permission to
//! read, so these streams have a share of `limits.streams`, each caller has a part of that share, and the oldest ones without
//! a watcher give way.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use lru::LruCache;
use parking_lot::Mutex;

use super::{Mode, Origin, Stream, StreamName};

/// The share of `limits.streams` for streams that requests made, and the part of one caller: a half and a quarter.
const SHARE: usize = 2;
const PART: usize = 4;

/// The streams of one caller, by their last use.
type OfCaller = LruCache<StreamName, Weak<Stream>>;

/// The streams that requests made, by the caller whose request made them.
pub(super) struct Requested {
    max: usize,
    max_each: usize,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    /// No entry is empty.
    by_caller: HashMap<Box<str>, OfCaller>,
    count: usize,
}

impl Requested {
    /// With this `limits.streams`.
    pub(super) fn new(streams: usize) -> Self {
        Requested { max: (streams / SHARE).max(1), max_each: (streams / PART).max(1), made: Mutex::default() }
    }

    /// Notes that a request of the caller made this stream.
    pub(super) fn note(&self, stream: &Arc<Stream>, caller: &str) {
        let mut made = self.made.lock();
        let of_caller = made.by_caller.entry(caller.into()).or_insert_with(LruCache::unbounded);
        let is_new = of_caller.put(stream.name().clone(), Arc::downgrade(stream)).is_none();
        made.count += usize::from(is_new);
    }

    /// Notes that the caller used this stream again.
    pub(super) fn used(&self, name: &StreamName, caller: &str) {
        if let Some(of_caller) = self.made.lock().by_caller.get_mut(caller) {
            of_caller.promote(name);
        }
    }

    /// Makes room for one more stream of this caller. Returns the closed streams, and whether there is room now.
    pub(super) fn make_room(&self, caller: &str) -> (Vec<Arc<Stream>>, bool) {
        let mut made = self.made.lock();
        let mut closed = vec![];
        while made.by_caller.get(caller).is_some_and(|own| own.len() >= self.max_each) {
            match made.close_oldest(caller) {
                Some(stream) => closed.extend(stream),
                None => return (closed, false),
            }
        }
        while made.count >= self.max {
            match made.close_one() {
                Some(stream) => closed.extend(stream),
                None => return (closed, false),
            }
        }
        (closed, true)
    }

    /// Closes a stream to make room for one that no request makes. None if all are watched.
    pub(super) fn give_way(&self) -> Option<Arc<Stream>> {
        let mut made = self.made.lock();
        loop {
            if let Some(stream) = made.close_one()? {
                return Some(stream);
            }
        }
    }
}

/// Whether a stream gave way to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivesWay {
    /// It is closed now.
    Closed,
    /// It is watched.
    No,
    /// It never will: it has a picture that a publisher sent, or it was defined meanwhile.
    Kept,
}

impl Made {
    /// As [`Made::close_oldest`], for the caller with the most streams whose streams are not all watched.
    fn close_one(&mut self) -> Option<Option<Arc<Stream>>> {
        let mut callers: Vec<_> = self.by_caller.iter().map(|(caller, own)| (own.len(), caller.clone())).collect();
        callers.sort_unstable_by(|a, b| b.cmp(a));
        callers.into_iter().find_map(|(_, caller)| self.close_oldest(&caller))
    }

    /// Removes the caller's entry with the oldest use that can be removed: closes its stream, or forgets a stream that is
    /// gone or that belongs to a publisher or an administrator by now. None if all are watched.
    fn close_oldest(&mut self, caller: &str) -> Option<Option<Arc<Stream>>> {
        let of_caller = self.by_caller.get_mut(caller)?;
        let mut removed = None;
        // Each watched one is passed over once, and counts as used.
        for _ in 0..of_caller.len() {
            let (name, stream) = of_caller.pop_lru()?;
            match stream.upgrade().map(|stream| (stream.close_if_replaceable(), stream)) {
                Some((GivesWay::Closed, stream)) => removed = Some(Some(stream)),
                Some((GivesWay::No, stream)) => {
                    of_caller.put(name, Arc::downgrade(&stream));
                    continue;
                }
                Some((GivesWay::Kept, _)) | None => removed = Some(None),
            }
            self.count -= 1;
            break;
        }
        if of_caller.is_empty() {
            self.by_caller.remove(caller);
        }
        removed
    }
}

impl Stream {
    /// Closes the stream unless it is watched.
    pub(super) fn close_if_unwatched(self: &Arc<Self>, why: &'static str) -> bool {
        let mut core = self.lock();
        if core.watchers > 0 {
            return false;
        }
        self.close_locked(&mut core, why);
        true
    }

    /// Closes the stream if a request made it, it has no watcher, and the next request would make it again as it is.
    fn close_if_replaceable(self: &Arc<Self>) -> GivesWay {
        let mut core = self.lock();
        let is_pushed = core.producer.mode() == Mode::Pushed;
        if core.closed || core.origin != Origin::Pull || (is_pushed && core.last_seq > 0) {
            return GivesWay::Kept;
        }
        if core.watchers > 0 {
            return GivesWay::No;
        }
        self.close_locked(&mut core, "it made room for another stream");
        GivesWay::Closed
    }
}
