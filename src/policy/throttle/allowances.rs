//! [`Allowances`]: many rate limits, each a single point in time (the generic cell rate algorithm of ATM, ITU-T I.371).

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// Most allowances that are remembered. Beyond it, those that are full again are forgotten; if that does not help, new
/// ones share [`SHARED`] allowances.
pub(super) const MAX: usize = 20_000;

/// Allowances that are shared when there are too many.
pub(super) const SHARED: u64 = 16;

/// Pause between two searches for allowances that are full again, each of which looks at all of them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Guesses at once, and the time in which one more is added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) interval: Duration,
    burst: u32,
}

impl Quota {
    pub(super) fn per_minute(rate: u32, burst: u32) -> Self {
        Quota { interval: Duration::from_secs(60) / rate.max(1), burst: burst.max(1) }
    }
}

/// The allowances that are not full, by key. The value is the time at which the allowance is full again.
#[derive(Default)]
pub(super) struct Allowances {
    full_at: HashMap<u64, Instant>,
    swept: Option<Instant>,
}

impl Allowances {
    /// When the next guess is due: now if the allowance is not used up.
    pub(super) fn due(&self, key: u64, quota: &Quota, now: Instant) -> Instant {
        let full_at = self.full_at.get(&self.place(key)).copied().unwrap_or(now);
        let reserve = quota.interval.saturating_mul(quota.burst - 1);
        full_at.checked_sub(reserve).map_or(now, |due| due.max(now))
    }

    /// Takes one guess.
    pub(super) fn take(&mut self, key: u64, interval: Duration, now: Instant) {
        if self.full_at.len() >= MAX && self.swept.is_none_or(|at| now >= at + SWEEP_INTERVAL) {
            self.swept = Some(now);
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        let full_at = self.full_at.entry(self.place(key)).or_insert(now);
        *full_at = (*full_at).max(now) + interval;
    }

    /// Gives one guess back.
    pub(super) fn give_back(&mut self, key: u64, interval: Duration) {
        if let Some(full_at) = self.full_at.get_mut(&self.place(key)) {
            *full_at = full_at.checked_sub(interval).unwrap_or(*full_at);
        }
    }

    /// The number of allowances that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.full_at.len()
    }

    fn place(&self, key: u64) -> u64 {
        if self.full_at.len() < MAX || self.full_at.contains_key(&key) { key } else { key % SHARED }
    }
}
