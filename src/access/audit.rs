//! The audit: every decision with its reason, in memory for administrators and in the log. It never holds a credential.
//! Names and paths come from strangers, so they are cut and escaped when they enter ([`foreign`]).
//!
//! Answering a question only queues the entry. A task of its own ([`Audit::run`]) writes the log and stores the latest
//! entries, so that no answer waits for a lock or a disk. What administrators change, who signs in and who is refused is also kept on
//! the disk (`journal`).

mod change;
mod denials;
mod journal;

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    time::{Duration, sleep, sleep_until},
};

pub use self::change::Change;
use self::{denials::Denials, journal::Journal};
use crate::{
    error::Result,
    events::{Bus, Kind, RateLimiter},
    foreign,
    policy::{Caller, Decision, Lease, Principal, Verdict},
    store::{
        Store,
        audit::{AuditFilter, AuditRow},
    },
};

/// Entries in memory of allowed decisions, and as many of denied ones, and of changes by administrators, so that a flood of one
/// kind does not evict the others.
const KEPT: usize = 1000;

/// Length of the queue; an entry that does not fit is counted as lost.
const WAITING: usize = 8192;

/// Pause between two batches, in which entries collect.
const PAUSE: Duration = Duration::from_millis(20);

/// Requests of administrators that change nothing, although they have a body.
const QUESTIONS: [&str; 7] = [
    "POST stream-test",
    "POST graph-preview",
    "POST mediamtx/check",
    "POST discover/onvif",
    "POST qr",
    "PUT paths?dry_run=1",
    "POST paths/import?dry_run=1",
];

/// One decision.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Counts up, also over restarts.
    pub seq: u64,
    /// Time of the decision (RFC 3339).
    pub at: SystemTime,
    /// `allowed`, `ask`, `wrong_credentials`, `throttled`, `not_verified` or `not_permitted`.
    pub decision: Decision,
    /// The reason in words; for a change that was allowed and not made, what came of it.
    pub reason: &'static str,
    /// The principal that was recognized.
    pub who: Principal,
    /// The user name of the request, or empty. A text of more than 200 characters is cut.
    pub user: Box<str>,
    /// The caller's address, if it is known (see `http.trusted_proxies`).
    pub ip: Option<IpAddr>,
    /// The action.
    pub action: Box<str>,
    /// The path or stream.
    pub path: Box<str>,
    /// MediaMTX's word for the protocol; `http`, `rtsp` or `websocket` for our own addresses.
    pub protocol: Box<str>,
    /// MediaMTX's id of the session (of the connection for an RTSP DESCRIBE).
    pub session: Option<Box<str>>,
    /// For a request of an administrator: what it does, such as `PUT users/alice`.
    pub request: Option<Box<str>>,
    /// The end of the caller's token, share or sign-in.
    pub lease: Option<Arc<Lease>>,
}

impl Entry {
    fn new(caller: &Caller, asked: Asked<'_>, verdict: &Verdict) -> Self {
        Entry {
            seq: 0,
            at: SystemTime::now(),
            decision: verdict.decision,
            reason: verdict.reason,
            who: verdict.who.clone(),
            user: cut(&caller.credentials.user),
            ip: caller.ip,
            action: cut(asked.action),
            path: cut(asked.object.unwrap_or(asked.path)),
            protocol: cut(asked.protocol),
            session: asked.session.map(cut),
            request: asked.request.map(cut),
            lease: verdict.lease.clone(),
        }
    }

    /// The entry as a row of the database.
    pub fn row(&self) -> AuditRow {
        journal::row(self)
    }

    /// Whether an administrator has changed something.
    fn is_change(&self) -> bool {
        let request = self.request.as_deref().unwrap_or_default();
        let only_reads = request.starts_with("GET ") || request.starts_with("HEAD ") || QUESTIONS.contains(&request);
        self.decision.is_allowed() && !request.is_empty() && !only_reads
    }
}

/// The part of a request that the audit stores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The action's word.
    pub action: &'a str,
    /// The path or stream.
    pub path: &'a str,
    /// MediaMTX's word for the protocol; `http`, `rtsp` or `websocket` for our own addresses.
    pub protocol: &'a str,
    /// MediaMTX's id of the session.
    pub session: Option<&'a str>,
    /// What a request of an administrator does: method and resource.
    pub request: Option<&'a str>,
    /// The stream, path, user or other object of a request of an administrator, which takes the place of `path`.
    pub object: Option<&'a str>,
}

/// The latest decisions. Cheap to clone.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    to: mpsc::Sender<Entry>,
    /// Locked by the task that stores entries, which can be started again.
    from: tokio::sync::Mutex<mpsc::Receiver<Entry>>,
    kept: Mutex<Kept>,
    lost: AtomicU64,
    journal: Journal,
}

#[derive(Default)]
struct Kept {
    seq: u64,
    allowed: VecDeque<Entry>,
    denied: VecDeque<Entry>,
    changes: VecDeque<Entry>,
}

impl Kept {
    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn take(&mut self, batch: &mut Vec<Entry>) {
        // Entry 0 has no number.
        for entry in batch.drain(..).filter(|entry| entry.seq > 0) {
            let ring = match entry.decision.is_allowed() {
                true if entry.is_change() => &mut self.changes,
                true => &mut self.allowed,
                false => &mut self.denied,
            };
            if ring.len() == KEPT {
                ring.pop_front();
            }
            ring.push_back(entry);
        }
    }
}

impl Audit {
    /// The audit of this database. Entries on the disk are deleted after `retention`.
    pub fn new(store: Store, retention: Duration) -> Result<Self> {
        let (to, from) = mpsc::channel(WAITING);
        let journal = Journal::new(store, retention);
        Ok(Audit(Arc::new(Inner {
            to,
            from: tokio::sync::Mutex::new(from),
            kept: Mutex::new(Kept { seq: journal.last_seq()?, ..Kept::default() }),
            lost: AtomicU64::new(0),
            journal,
        })))
    }

    /// Queues a decision.
    pub fn note(&self, caller: &Caller, asked: Asked<'_>, verdict: &Verdict) {
        self.queue(Entry::new(caller, asked, verdict));
    }

    /// Queues a decision at once, or when it is done if it is a change by an administrator.
    pub fn begin(&self, caller: &Caller, asked: Asked<'_>, verdict: &Verdict) -> Option<Change> {
        let entry = Entry::new(caller, asked, verdict);
        if entry.is_change() {
            return Some(Change::new(self, entry));
        }
        self.queue(entry);
        None
    }

    fn queue(&self, entry: Entry) {
        match self.0.to.try_reserve() {
            Ok(place) => place.send(entry),
            Err(_) => drop(self.0.lost.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Stores and logs queued entries, and passes each to `also`, until the program ends.
    pub async fn run(&self, mut also: impl FnMut(&Entry)) {
        let mut from = self.0.from.lock().await;
        let mut batch = Vec::with_capacity(WAITING);
        let mut denials = Denials::default();
        loop {
            tokio::select! {
                came = from.recv_many(&mut batch, WAITING) => if came == 0 { return },
                () = sleep_until(denials.due().min(self.0.journal.due())) => {}
            }
            self.number(&mut batch);
            for entry in &batch {
                log(entry, &mut denials);
                also(entry);
                if entry.seq > 0 {
                    self.0.journal.take(entry);
                }
            }
            self.0.journal.settle(|| self.0.kept.lock().next());
            for line in denials.summaries() {
                tracing::info!("{line}");
            }
            self.0.kept.lock().take(&mut batch);
            // Entries that arrive during the pause wake no task, which would take longer than the answer itself.
            sleep(PAUSE).await;
        }
    }

    fn number(&self, batch: &mut [Entry]) {
        let mut kept = self.0.kept.lock();
        // Our own requests to MediaMTX, one every two seconds, would evict all other entries within the hour.
        let is_own = |entry: &Entry| entry.who == Principal::Internal && entry.decision.is_allowed();
        for entry in batch.iter_mut().filter(|entry| !is_own(entry)) {
            entry.seq = kept.next();
        }
    }

    /// Writes entries to the disk until the program ends.
    pub async fn write_forever(&self) {
        self.0.journal.run().await;
    }

    /// The entries on the disk that the filter selects, newest first.
    pub async fn find(&self, filter: AuditFilter, most: usize) -> Result<Vec<AuditRow>> {
        self.0.journal.find(filter, most).await
    }

    /// How often each action was allowed since the start, of those that have no entries on the disk.
    pub fn counted(&self) -> BTreeMap<Box<str>, u64> {
        self.0.journal.counted()
    }

    /// The latest entries in memory, newest first. `denied` selects denied or allowed entries; both without.
    pub fn latest(&self, most: usize, denied: Option<bool>, matches: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let kept = self.0.kept.lock();
        let none = VecDeque::new();
        let (allowed, changes) = if denied == Some(true) { (&none, &none) } else { (&kept.allowed, &kept.changes) };
        let refused = if denied == Some(false) { &none } else { &kept.denied };
        let mut all: Vec<_> = allowed.iter().chain(changes).chain(refused).filter(|e| matches(e)).collect();
        all.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        all.into_iter().take(most).cloned().collect()
    }

    /// Decisions that were lost, because the queue was full or the disk did not take them.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed) + self.0.journal.lost()
    }
}

/// Publishes failed sign-ins as events: once a minute for each user name and address.
#[derive(Default)]
pub(super) struct FailureEvents(RateLimiter);

impl FailureEvents {
    const INTERVAL: Duration = Duration::from_secs(60);

    pub(super) fn publish(&mut self, events: &Bus, entry: &Entry) {
        if !matches!(entry.decision, Decision::WrongCredentials | Decision::TooManyFailures) {
            return;
        }
        let about = format!("{} {:?}", entry.user, entry.ip);
        if self.0.allow(&about, Self::INTERVAL) {
            let Entry { user, ip, protocol, reason, .. } = entry;
            let data = serde_json::json!({"user": user, "ip": ip, "protocol": protocol, "reason": reason});
            // The object of an administrator's request is no path.
            let path = if entry.request.is_none() { &*entry.path } else { "" };
            events.tell(Kind::LoginFailed, path, data);
        }
    }
}

fn cut(text: &str) -> Box<str> {
    foreign::shown(text).into()
}

fn log(entry: &Entry, denials: &mut Denials) {
    let Entry { who, user, action, path, protocol, reason, .. } = entry;
    let ip = entry.ip.map(|ip| ip.to_string()).unwrap_or_default();
    let (session, request) = (entry.session.as_deref(), entry.request.as_deref());
    match entry.decision {
        Decision::Allowed if entry.is_change() => {
            let outcome = if *reason == "allowed" { String::new() } else { format!(": {reason}") };
            tracing::info!(%who, ip, "{}{outcome}", request.unwrap_or_default());
        }
        Decision::Allowed | Decision::AskCredentials => {
            tracing::debug!(%who, %user, ip, %action, %path, %protocol, session, request, "{reason}");
        }
        _ if denials.is_due(user, &ip, reason) => {
            tracing::info!(%who, %user, ip, %action, %path, %protocol, session, request, "denied: {reason}");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Credentials;

    fn audit() -> Audit {
        Audit::new(Store::in_memory().expect("opens"), Duration::from_secs(60)).expect("opens")
    }

    fn verdict(decision: Decision) -> Verdict {
        Verdict { decision, who: Principal::Anonymous, reason: "because", lease: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_denials_leaves_what_was_allowed() {
        let audit = audit();
        let caller = Caller { credentials: Credentials::from_token("eve:hunter2"), ..Caller::default() };
        let asked =
            Asked { action: "read", path: "door", protocol: "rtsp", session: Some("1"), request: None, object: None };
        let seen = Arc::new(AtomicU64::new(0));
        let keeping = tokio::spawn({
            let (audit, seen) = (audit.clone(), seen.clone());
            async move {
                let note = |_: &Entry| {
                    seen.fetch_add(1, Ordering::Relaxed);
                };
                audit.run(note).await;
            }
        });
        audit.note(&caller, asked, &verdict(Decision::Allowed));
        for _ in 0..3 * KEPT {
            audit.note(&caller, asked, &verdict(Decision::WrongCredentials));
            tokio::time::advance(PAUSE).await;
        }
        while seen.load(Ordering::Relaxed) < 3 * KEPT as u64 + 1 {
            tokio::time::advance(PAUSE).await;
        }
        keeping.abort();
        let allowed = audit.latest(10, Some(false), |_| true);
        assert_eq!((allowed.len(), allowed[0].seq), (1, 1));
        let denied = audit.latest(10_000, Some(true), |_| true);
        assert_eq!((denied.len(), denied[0].seq), (KEPT, 3 * KEPT as u64 + 1));
        assert_eq!(audit.latest(5, None, |e| &*e.path == "door").len(), 5);
        assert!(audit.latest(5, None, |e| &*e.path == "gate").is_empty());
        let text = format!("{:?}", denied[0].row());
        assert!(text.contains("wrong_credentials") && !text.contains("hunter2"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn foreign_text_is_cut_and_escaped_and_changes_outlast_what_is_only_read() {
        let audit = audit();
        let keeping = tokio::spawn({
            let audit = audit.clone();
            async move { audit.run(|_| {}).await }
        });
        let long = "x".repeat(44 << 10);
        let forged = "eve\nINFO alice signed in\u{1b}[2J";
        let caller = Caller { credentials: Credentials::from_token(&format!("{forged}:guess")), ..Caller::default() };
        let asked =
            Asked { action: forged, path: &long, protocol: &long, session: Some(&long), request: None, object: None };
        audit.note(&caller, asked, &verdict(Decision::WrongCredentials));
        let asked = |request| Asked { action: "api", request: Some(request), ..Asked::default() };
        audit.note(&Caller::default(), asked("PUT users/alice"), &verdict(Decision::Allowed));
        for _ in 0..2 * KEPT {
            audit.note(&Caller::default(), asked("GET streams"), &verdict(Decision::Allowed));
        }
        tokio::time::sleep(2 * PAUSE).await;
        keeping.abort();
        let denied = audit.latest(10, Some(true), |_| true);
        let text = format!("{:?}", denied.iter().map(Entry::row).collect::<Vec<_>>());
        assert!(text.len() < 2000, "{text}");
        assert_eq!(&*denied[0].user, "eve\\nINFO alice signed in\\u{1b}[2J");
        let changes = audit.latest(10, Some(false), |entry| entry.request.as_deref() == Some("PUT users/alice"));
        assert_eq!(changes.len(), 1);
    }

    #[test]
    fn entries_that_do_not_fit_into_the_queue_are_counted() {
        let audit = audit();
        let asked = Asked { action: "api", ..Asked::default() };
        for _ in 0..WAITING + 7 {
            audit.note(&Caller::default(), asked, &verdict(Decision::Allowed));
        }
        assert_eq!(audit.lost(), 7);
    }
}
