//! How each stream was in the last day: live, stalled or failing, in slots of a quarter of an hour. In memory, since the start of the program.
//!
//! A stream that nothing asks for is none of these: its camera is not asked either.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

/// Seconds of a slot.
pub const SLOT: u64 = 900;

/// Slots of a day. With 16 bytes each, a stream that is always watched has 1.5 KB.
const SLOTS: u64 = 96;

/// What a stream is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Pictures arrive.
    Live,
    /// The source is connected and brings no pictures.
    Stalled,
    /// The source has failed.
    Failing,
}

/// Seconds in which a stream was live, stalled and failing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Slot {
    /// The beginning of the slot, in seconds since 1970.
    pub start: u64,
    /// Seconds in which pictures arrived.
    pub live: u32,
    /// Seconds in which the source was connected and brought no pictures.
    pub stalled: u32,
    /// Seconds in which the source had failed.
    pub failing: u32,
}

/// The slots of all streams. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Uptime(Arc<Mutex<HashMap<String, VecDeque<Slot>>>>);

impl Uptime {
    /// Notes what the streams are for the next `seconds`; `now` is in seconds since 1970. Streams that are not among them are forgotten.
    pub fn note(&self, now: u64, seconds: u32, streams: &BTreeMap<&str, Option<Seen>>) {
        let oldest = now.saturating_sub(SLOT * SLOTS);
        let start = now - now % SLOT;
        let mut days = self.0.lock();
        days.retain(|name, slots| {
            while slots.front().is_some_and(|slot| slot.start < oldest) {
                slots.pop_front();
            }
            !slots.is_empty() && streams.contains_key(name.as_str())
        });
        for (name, seen) in streams {
            let Some(seen) = seen else { continue };
            if !days.contains_key(*name) {
                days.insert((*name).to_owned(), VecDeque::new());
            }
            let Some(slots) = days.get_mut(*name) else { continue };
            // A clock that is set back goes on with the last slot.
            if slots.back().is_none_or(|slot| slot.start < start) {
                slots.push_back(Slot { start, ..Slot::default() });
            }
            let Some(slot) = slots.back_mut() else { continue };
            let counter = match seen {
                Seen::Live => &mut slot.live,
                Seen::Stalled => &mut slot.stalled,
                Seen::Failing => &mut slot.failing,
            };
            *counter = counter.saturating_add(seconds);
        }
    }

    /// The slots of a stream, oldest first, without those in which nothing asked for it.
    pub fn of(&self, name: &str) -> Vec<Slot> {
        self.0.lock().get(name).map(|slots| slots.iter().copied().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_counted_in_the_slot_of_their_time_for_a_day() {
        let uptime = Uptime::default();
        let note = |now, seen| uptime.note(now, 2, &BTreeMap::from([("door", seen), ("yard", None)]));
        note(SLOT, Some(Seen::Live));
        note(SLOT + 2, Some(Seen::Failing));
        note(SLOT + 4, None);
        note(2 * SLOT, Some(Seen::Stalled));
        let first = Slot { start: SLOT, live: 2, stalled: 0, failing: 2 };
        let second = Slot { start: 2 * SLOT, live: 0, stalled: 2, failing: 0 };
        assert_eq!(uptime.of("door"), [first, second]);
        assert_eq!(uptime.of("yard"), []);
        // The clock is set back.
        note(SLOT, Some(Seen::Stalled));
        assert_eq!(uptime.of("door"), [first, Slot { stalled: 4, ..second }]);
        // A day later the first slot is gone.
        note(SLOT * (SLOTS + 1) + 1, Some(Seen::Live));
        assert_eq!(uptime.of("door").len(), 2);
        uptime.note(SLOT, 2, &BTreeMap::new());
        assert_eq!(uptime.of("door"), [], "it was removed");
    }
}
