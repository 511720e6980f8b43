//! [`Journal`]: the part of the audit that is on the disk, and survives a restart. It has what administrators change, who signs in,
//! and who is refused. What is only read is counted, because a page that is open asks all the time.
//!
//! Refusals of one cause within a minute share their rows, and so do those of one address, so that a stranger fills neither the disk
//! nor the list.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, MissedTickBehavior, interval},
};

use super::Entry;
use crate::{
    error::Result,
    policy::now,
    store::{
        Store,
        audit::{AuditFilter, AuditRow, AuditWrite},
    },
    units::host_network,
};

/// Entries on the disk of changes and sign-ins, and of refusals. A row takes about 300 bytes.
const MOST_ALLOWED: u64 = 50_000;
const MOST_REFUSED: u64 = 20_000;

/// How often rows that are too old or too many are deleted.
const TRIM_INTERVAL: Duration = Duration::from_secs(600);

/// Writes that wait for the disk. One that does not fit is counted as lost.
const WAITING: usize = 4096;

/// What a user does with its own account; the other actions of callers only read or publish.
const ACCOUNT: [&str; 5] = ["sign in", "sign in by ingress", "sign out", "open share", "change password"];

/// The part of the audit on the disk.
pub(super) struct Journal {
    store: Store,
    /// For how many seconds entries are kept.
    retention: u64,
    to: mpsc::Sender<AuditWrite>,
    /// Locked by the task that writes, which can be started again.
    from: tokio::sync::Mutex<mpsc::Receiver<AuditWrite>>,
    refusals: Mutex<Refusals>,
    /// How often each action was allowed, of those that have no entries.
    counted: Mutex<BTreeMap<Box<str>, u64>>,
    lost: AtomicU64,
}

impl Journal {
    pub(super) fn new(store: Store, retention: Duration) -> Self {
        let (to, from) = mpsc::channel(WAITING);
        Journal {
            store,
            retention: retention.as_secs(),
            to,
            from: tokio::sync::Mutex::new(from),
            refusals: Mutex::default(),
            counted: Mutex::default(),
            lost: AtomicU64::new(0),
        }
    }

    /// The number of the newest entry.
    pub(super) fn last_seq(&self) -> Result<u64> {
        self.store.last_audit_seq()
    }

    /// Takes an entry: keeps it, or counts it.
    pub(super) fn take(&self, entry: &Entry) {
        if !entry.decision.is_allowed() {
            if self.refusals.lock().is_listed(entry) {
                self.send(AuditWrite::Entry(Box::new(row(entry))));
            }
        } else if entry.is_change() || ACCOUNT.contains(&&*entry.action) {
            self.send(AuditWrite::Entry(Box::new(row(entry))));
        } else {
            // Words of strangers are refused, so these are the actions that the program knows.
            *self.counted.lock().entry(entry.action.clone()).or_default() += 1;
        }
    }

    /// Writes how often refusals were repeated in the minute that has passed. `next` gives the number of a new entry.
    pub(super) fn settle(&self, next: impl FnOnce() -> u64) {
        let Some((repeated, others)) = self.refusals.lock().settle() else { return };
        for (seq, times) in repeated {
            self.send(AuditWrite::Repeated(seq, times));
        }
        if others > 0 {
            self.send(AuditWrite::Entry(Box::new(AuditRow {
                seq: next(),
                at: milliseconds(),
                decision: "throttled".into(),
                reason: "refusals of further users and addresses".into(),
                who: "anonymous".into(),
                times: others,
                ..AuditRow::default()
            })));
        }
    }

    /// When the minute of the present refusals is over; a long time ahead without refusals.
    pub(super) fn due(&self) -> Instant {
        let since = self.refusals.lock().since;
        since.map_or_else(|| Instant::now() + 60 * Refusals::INTERVAL, |since| since + Refusals::INTERVAL)
    }

    fn send(&self, write: AuditWrite) {
        if self.to.try_send(write).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what waits, and deletes what is too old, until the program ends.
    pub(super) async fn run(&self) {
        let mut from = self.from.lock().await;
        let mut batch = Vec::with_capacity(WAITING);
        let mut trim = interval(TRIM_INTERVAL);
        trim.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                came = from.recv_many(&mut batch, WAITING) => if came == 0 { return },
                _ = trim.tick() => {
                    let oldest = now().saturating_sub(self.retention) * 1000;
                    let trimmed = self.store.run(move |s| s.trim_audit(oldest, MOST_ALLOWED, MOST_REFUSED)).await;
                    if let Err(e) = trimmed {
                        tracing::warn!("old entries of the audit cannot be deleted: {}", e.chain());
                    }
                    continue;
                }
            }
            let writes = std::mem::take(&mut batch);
            let count = writes.len() as u64;
            if let Err(e) = self.store.run(move |store| store.write_audit(&writes)).await {
                self.lost.fetch_add(count, Ordering::Relaxed);
                tracing::warn!("{count} entries of the audit are lost: {}", e.chain());
            }
        }
    }

    /// The entries that the filter selects, newest first.
    pub(super) async fn find(&self, filter: AuditFilter, most: usize) -> Result<Vec<AuditRow>> {
        self.store.run(move |store| store.audit(&filter, most)).await
    }

    /// How often each action was allowed since the start, of those that have no entries.
    pub(super) fn counted(&self) -> BTreeMap<Box<str>, u64> {
        self.counted.lock().clone()
    }

    /// Entries that could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn milliseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// An entry as a row.
pub(super) fn row(entry: &Entry) -> AuditRow {
    let since = entry.at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    AuditRow {
        seq: entry.seq,
        at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        decision: entry.decision.as_str().into(),
        reason: entry.reason.into(),
        who: entry.who.to_string(),
        user: entry.user.to_string(),
        ip: entry.ip.map(|ip| ip.to_string()),
        action: entry.action.to_string(),
        path: entry.path.to_string(),
        protocol: entry.protocol.to_string(),
        session: text(&entry.session),
        request: text(&entry.request),
        times: 1,
    }
}

/// Refusals of the present minute.
#[derive(Default)]
struct Refusals {
    since: Option<Instant>,
    causes: HashMap<String, Cause>,
    /// Causes that each address has.
    addresses: HashMap<String, usize>,
    others: u64,
}

#[derive(Default)]
struct Cause {
    /// The last row.
    seq: u64,
    rows: u32,
    left_out: u64,
}

impl Refusals {
    const INTERVAL: Duration = Duration::from_secs(60);
    /// Rows of one cause, so that a few guesses are seen one by one.
    const ROWS: u32 = 5;
    /// Causes of one address: its user names, mostly.
    const CAUSES_OF_AN_ADDRESS: usize = 10;
    /// Causes of all addresses.
    const CAUSES: usize = 100;

    /// Whether the refusal gets a row; it is counted otherwise.
    fn is_listed(&mut self, entry: &Entry) -> bool {
        self.since.get_or_insert_with(Instant::now);
        let address = entry.ip.map(|ip| host_network(ip).to_string()).unwrap_or_default();
        let key = format!("{address} {} {} {}", entry.user, entry.action, entry.reason);
        if let Some(cause) = self.causes.get_mut(&key) {
            if cause.rows == Refusals::ROWS {
                cause.left_out += 1;
                return false;
            }
            (cause.rows, cause.seq) = (cause.rows + 1, entry.seq);
            return true;
        }
        let of_address = self.addresses.get(&address).copied().unwrap_or_default();
        if of_address == Refusals::CAUSES_OF_AN_ADDRESS || self.causes.len() == Refusals::CAUSES {
            self.others += 1;
            return false;
        }
        self.addresses.insert(address, of_address + 1);
        self.causes.insert(key, Cause { seq: entry.seq, rows: 1, left_out: 0 });
        true
    }

    /// What was left out in a minute that has passed: rows and their further times, and the number of the others.
    fn settle(&mut self) -> Option<(Vec<(u64, u64)>, u64)> {
        self.since.filter(|since| since.elapsed() >= Refusals::INTERVAL)?;
        let past = std::mem::take(self);
        let repeated = past.causes.into_values().filter(|cause| cause.left_out > 0);
        Some((repeated.map(|cause| (cause.seq, cause.left_out)).collect(), past.others))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::policy::{Decision, Principal};

    fn refusal(seq: u64, ip: &str, user: &str) -> Entry {
        Entry {
            seq,
            at: std::time::SystemTime::UNIX_EPOCH,
            decision: Decision::WrongCredentials,
            reason: "because",
            who: Principal::Anonymous,
            user: user.into(),
            ip: ip.parse::<IpAddr>().ok(),
            action: "read".into(),
            path: "door".into(),
            protocol: "http".into(),
            session: None,
            request: None,
            lease: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_guesses_have_rows_and_a_flood_has_numbers() {
        let mut refusals = Refusals::default();
        let listed = (1..=400).filter(|seq| refusals.is_listed(&refusal(*seq, "192.0.2.1", "alice"))).count();
        assert_eq!(listed, 5, "of one cause");
        let listed = (0..400).filter(|n| refusals.is_listed(&refusal(500 + n, "192.0.2.1", &n.to_string()))).count();
        assert_eq!(listed, 9, "of one address");
        let listed = (0..400).filter(|n| refusals.is_listed(&refusal(1000, &format!("10.0.{n}.1"), "eve"))).count();
        assert_eq!(listed, 90, "of all addresses; {} of these are none", 400 - 256);
        assert!(refusals.settle().is_none(), "the minute has not passed");
        tokio::time::advance(Refusals::INTERVAL).await;
        let (mut repeated, others) = refusals.settle().expect("a minute");
        repeated.sort_unstable();
        assert_eq!((repeated[0], others > 600), ((5, 395), true), "{repeated:?} {others}");
        assert!(refusals.is_listed(&refusal(2000, "192.0.2.1", "alice")), "a new minute");
    }

    #[tokio::test]
    async fn what_is_read_is_counted_and_what_is_changed_is_kept() {
        let store = Store::in_memory().expect("opens");
        let journal = Journal::new(store.clone(), Duration::from_secs(3600));
        let allowed = |seq, action: &str, request: Option<&str>| Entry {
            decision: Decision::Allowed,
            action: action.into(),
            request: request.map(Into::into),
            at: std::time::SystemTime::now(),
            ..refusal(seq, "192.0.2.1", "alice")
        };
        for entry in [
            allowed(1, "read", None),
            allowed(2, "api", Some("GET streams")),
            allowed(3, "api", Some("DELETE streams/door")),
            allowed(4, "sign in", None),
            allowed(5, "refresh", None),
            allowed(6, "read", None),
        ] {
            journal.take(&entry);
        }
        let all = async || journal.find(AuditFilter::default(), 10).await.expect("reads");
        tokio::select! {
            () = journal.run() => unreachable!("the sender is kept"),
            () = async { while all().await.len() < 2 { tokio::task::yield_now().await } } => {}
        }
        let kept: Vec<_> = all().await.iter().map(|row| row.seq).collect();
        assert_eq!(kept, [4, 3]);
        let counted = journal.counted();
        assert_eq!((counted.get("read"), counted.get("api"), counted.get("refresh")), (Some(&2), Some(&1), Some(&1)));
        assert_eq!(journal.last_seq().expect("reads"), 4);
    }
}
