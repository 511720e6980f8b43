//! [`Own`]: the session of this node.

use tokio::time::Instant;

use super::{Answer, Pending, Session, Times, Value};

/// The own session.
#[derive(Debug)]
pub(super) struct Own {
    /// The number of the session.
    pub(super) run: u64,
    beat: u64,
    /// The revision of the last write that is known to be accepted.
    revision: u64,
    /// Whether a write of this session was accepted, and none has ended it.
    is_established: bool,
    /// When the last accepted write was sent.
    pub(super) confirmed: Option<Instant>,
    pending: Option<Pending>,
    /// The beat and the time of the last write, whether its answer is waited for or not.
    last: (u64, Option<Instant>),
    next: Option<Instant>,
    is_ending: bool,
}

/// What must be written: the session, and the revision that it replaces. None for one that begins: it replaces whatever is known.
pub(super) struct Beat {
    pub(super) session: Session,
    pub(super) expected: Option<u64>,
}

impl Own {
    pub(super) fn new(run: u64) -> Self {
        Own {
            run,
            beat: 0,
            revision: 0,
            is_established: false,
            confirmed: None,
            pending: None,
            last: (0, None),
            next: None,
            is_ending: false,
        }
    }

    pub(super) fn is_confirmed(&self, now: Instant, times: &Times) -> bool {
        self.is_established && self.confirmed.is_some_and(|sent| now < sent + times.stop_after)
    }

    /// The node ends: the next write is the last one.
    pub(super) fn end(&mut self) {
        (self.is_ending, self.next) = (true, None);
    }

    /// The answer to the write on its way is not waited for.
    pub(super) fn forget_pending(&mut self) {
        (self.pending, self.next) = (None, None);
    }

    /// The write that is due now, if there is one.
    pub(super) fn beat(&mut self, attempt: u64, now: Instant, times: &Times) -> Option<Beat> {
        if self.pending.is_some_and(|pending| now >= pending.sent + times.answer) {
            self.pending = None;
        }
        let is_due = self.pending.is_none() && self.next.is_none_or(|at| now >= at);
        if !is_due || (self.is_ending && !self.is_established) {
            return None;
        }
        if !self.is_established {
            // A number is used once: the write that began the last one can still come through.
            self.run += u64::from(self.beat > 0);
        }
        self.beat += 1;
        self.pending = Some(Pending { attempt, sent: now });
        self.last = (self.beat, Some(now));
        self.next = Some(now + times.renew);
        let session = Session { run: self.run, beat: self.beat, ended: self.is_ending };
        Some(Beat { session, expected: self.is_established.then_some(self.revision) })
    }

    /// The answer to a write. Returns whether the record must be read.
    pub(super) fn answered(&mut self, attempt: u64, answer: Answer, now: Instant, times: &Times) -> bool {
        let Some(pending) = self.pending.take_if(|pending| pending.attempt == attempt) else { return false };
        match answer {
            Answer::Written(revision) => {
                self.revision = revision;
                self.is_established = !self.is_ending;
                self.confirmed = Some(pending.sent);
                false
            }
            Answer::Refused => {
                self.next = Some(now + times.retry);
                true
            }
            Answer::Failed => {
                self.next = Some(now + times.retry);
                false
            }
        }
    }

    /// The record of the own session, as it is now.
    pub(super) fn seen(&mut self, revision: u64, value: Option<&Value>) {
        match value {
            Some(Value::Session(session)) if session.run == self.run && !session.ended => {
                self.revision = revision;
                if let (beat, Some(sent)) = self.last
                    && beat == session.beat
                {
                    self.is_established = true;
                    self.confirmed = self.confirmed.max(Some(sent));
                }
            }
            // The storage was lost. The session goes on, if no other node has ended it before the next write.
            None => (self.revision, self.next) = (revision, None),
            Some(_) if self.is_established => {
                (self.is_established, self.confirmed) = (false, None);
                // At once.
                self.next = None;
            }
            Some(_) => {}
        }
    }

    /// When the next write, or the end of the wait for an answer, is due.
    pub(super) fn due(&self, times: &Times) -> Option<Instant> {
        let stop = self.confirmed.map(|sent| sent + times.stop_after).filter(|_| self.is_established);
        let write = self.pending.map(|pending| pending.sent + times.answer).or(self.next);
        match (stop, write) {
            (Some(stop), Some(write)) => Some(stop.min(write)),
            (one, other) => one.or(other),
        }
    }
}
