//! Taking, keeping and giving up holdings.

use tokio::time::Instant;

use super::{Action, Answer, Holding, Key, Role, Session, Table, Value, View, Write};

/// Whose a stream is, as far as this node can see.
enum Whose {
    /// No node's.
    Free,
    Own(Holding),
    Others(Holding),
    /// A record that is not understood.
    Foreign,
}

impl Table {
    /// Does what is due, for one stream or for all.
    pub(super) fn advance(&mut self, only: Option<&str>, now: Instant, out: &mut Vec<Action>) {
        let streams: Vec<_> = match only {
            Some(stream) => vec![stream.to_owned()],
            None => self.wants.keys().cloned().collect(),
        };
        if self.is_synced {
            self.renew(now, out);
            if only.is_none() {
                self.end_dead_sessions(now, out);
            }
            for stream in &streams {
                self.write_holding(stream, now, out);
            }
        }
        for stream in streams {
            self.tell_role(stream, now, out);
        }
    }

    pub(super) fn answered(&mut self, key: Key, attempt: u64, answer: Answer, now: Instant, out: &mut Vec<Action>) {
        let times = self.times;
        let written = match &key {
            Key::Session(node) if *node == self.me => {
                if self.own.answered(attempt, answer, now, &times) {
                    self.read(key, out);
                }
                return;
            }
            Key::Session(node) => match self.ending.get_mut(node) {
                Some(writing) => writing.end(attempt, answer, now, &times),
                None => return,
            },
            Key::Stream(stream) => match self.wants.get_mut(stream) {
                Some(want) => want.writing.end(attempt, answer, now, &times),
                None => return,
            },
        };
        match (answer, written) {
            (Answer::Written(revision), Some(value)) => self.see(key, revision, Some(value), false, now),
            (Answer::Refused, Some(_)) => {
                // Until it is read, another try would be refused, too.
                let writing = match &key {
                    Key::Session(node) => self.ending.get_mut(node),
                    Key::Stream(stream) => self.wants.get_mut(stream).map(|want| &mut want.writing),
                };
                if let Some(writing) = writing {
                    writing.not_before = Some(now + times.retry / 5);
                }
                self.read(key, out);
            }
            _ => {}
        }
    }

    fn renew(&mut self, now: Instant, out: &mut Vec<Action>) {
        let (attempt, times) = (self.attempts + 1, self.times);
        let Some(beat) = self.own.beat(attempt, now, &times) else { return };
        self.attempts = attempt;
        let key = Key::Session(self.me.clone());
        let expected = beat.expected.unwrap_or_else(|| self.views.get(&key).map_or(0, |view| view.revision));
        out.push(Action::Write(Write { key, value: Value::Session(beat.session), expected, attempt }));
    }

    /// Ends the sessions of nodes that hold a stream which is wanted here, and that have not moved for too long.
    fn end_dead_sessions(&mut self, now: Instant, out: &mut Vec<Action>) {
        let times = self.times;
        let is_able = self.own.is_confirmed(now, &times);
        let mut dead = vec![];
        for (stream, want) in &self.wants {
            let Whose::Others(holding) = self.whose(stream, now) else { continue };
            let key = Key::Session(holding.node.clone());
            if let Some(view) = self.views.get(&key)
                && let Some(Value::Session(session)) = view.value
            {
                let patience = if view.is_gone { times.take_when_gone } else { times.take_after };
                if want.is_wanted && want.can_run && now >= view.since + patience {
                    dead.push((holding.node, session, view.revision));
                }
            }
        }
        dead.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        dead.dedup_by(|(a, ..), (b, ..)| a == b);
        self.ending.retain(|node, _| dead.iter().any(|(dead, ..)| dead == node));
        for (node, session, expected) in dead.into_iter().filter(|_| is_able) {
            let attempt = self.attempts + 1;
            let writing = self.ending.entry(node.clone()).or_default();
            if writing.is_free(now, &times) {
                let value = Value::Session(Session { ended: true, ..session });
                writing.begin(attempt, value.clone(), now);
                self.attempts = attempt;
                out.push(Action::Write(Write { key: Key::Session(node), value, expected, attempt }));
            }
        }
    }

    fn write_holding(&mut self, stream: &str, now: Instant, out: &mut Vec<Action>) {
        let times = self.times;
        let is_confirmed = self.own.is_confirmed(now, &times);
        // To others, a stream of a session without a record is free.
        let is_recorded = match self.views.get(&Key::Session(self.me.clone())).and_then(|view| view.value.as_ref()) {
            Some(Value::Session(session)) => session.run == self.own.run && !session.ended,
            _ => false,
        };
        let whose = self.whose(stream, now);
        // After a loss of the storage it must be another one than before, because pictures are told apart by it.
        let epoch = self.holding(stream).map_or(self.own.run, |holding| holding.epoch);
        // A node that drains runs what no other node takes, for those who watch here.
        let fresh = Holding { node: self.me.clone(), run: self.own.run, epoch: epoch + 1, leaving: self.is_draining };
        let Some(want) = self.wants.get_mut(stream) else { return };
        let is_free = want.writing.is_free(now, &times);
        let can_take = want.is_wanted && want.can_run && is_confirmed && is_recorded;
        let next = match whose {
            // Written also without a confirmed session: the record says whose it is.
            Whose::Own(holding) if !want.is_wanted => {
                Holding { node: String::new(), run: 0, leaving: false, ..holding }
            }
            Whose::Own(holding) if self.is_draining && !holding.leaving => Holding { leaving: true, ..holding },
            Whose::Own(_) if want.is_given_up && can_take => fresh,
            Whose::Own(holding) => {
                want.is_leaving = holding.leaving;
                return;
            }
            Whose::Free if can_take => fresh,
            Whose::Others(holding) if can_take && holding.leaving && !self.is_draining => fresh,
            _ if !want.is_wanted && is_free => {
                self.wants.remove(stream);
                return;
            }
            _ => return,
        };
        if !is_free {
            return;
        }
        let attempt = self.attempts + 1;
        want.is_leaving |= next.leaving;
        want.is_given_up |= next.node.is_empty();
        let value = Value::Stream(next);
        want.writing.begin(attempt, value.clone(), now);
        self.attempts = attempt;
        let key = Key::Stream(stream.to_owned());
        let expected = self.views.get(&key).map_or(0, |view| view.revision);
        out.push(Action::Write(Write { key, value, expected, attempt }));
    }

    fn whose(&self, stream: &str, now: Instant) -> Whose {
        let Some(view) = self.views.get(&Key::Stream(stream.to_owned())) else { return Whose::Free };
        let holding = match &view.value {
            Some(Value::Stream(holding)) => holding,
            Some(_) => return Whose::Foreign,
            None => return Whose::Free,
        };
        if self.is_own(holding) {
            return Whose::Own(holding.clone());
        }
        // A record that was read can be newer than what the watch has delivered of the session.
        let is_dead = match self.views.get(&Key::Session(holding.node.clone())) {
            Some(View { value: Some(Value::Session(session)), revision, .. }) => {
                let is_later = session.run != holding.run && *revision > view.revision;
                is_later || session.ended && session.run == holding.run
            }
            // Not understood: the node is of a later version, and lives as far as is known.
            Some(View { value: Some(_), .. }) => false,
            Some(View { value: None, .. }) | None => now >= view.since + self.times.take_after,
        };
        if holding.node.is_empty() || holding.node == self.me || is_dead {
            return Whose::Free;
        }
        Whose::Others(holding.clone())
    }

    fn tell_role(&mut self, stream: String, now: Instant, out: &mut Vec<Action>) {
        let is_confirmed = self.own.is_confirmed(now, &self.times);
        let whose = self.whose(&stream, now);
        let Some(want) = self.wants.get_mut(&stream).filter(|want| want.is_wanted) else { return };
        let role = match whose {
            _ if !is_confirmed => Role::CutOff,
            // It is wanted again before the write that gives it up was answered.
            Whose::Own(_) if want.is_given_up => Role::Waiting,
            Whose::Own(holding) => Role::Holder { epoch: holding.epoch },
            Whose::Others(Holding { node, epoch, .. }) => Role::Follower { node, epoch, handed_over: want.is_leaving },
            Whose::Free | Whose::Foreign => Role::Waiting,
        };
        if matches!(role, Role::Waiting | Role::CutOff) {
            want.is_leaving = false;
        }
        if role != want.role {
            want.role = role.clone();
            out.push(Action::Role { stream, role });
        }
    }
}
