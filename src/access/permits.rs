//! [`Permit`]: a place among the callers that stay connected.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use super::Session;
use crate::{
    error::{Code, Error, Result},
    policy::Principal,
    units::host_network,
};

/// One in this many places is kept for administrators and this machine.
const KEPT: usize = 16;

/// What a caller that stays connected does. Each role has a limit of its own, so that publishers never take the places of
/// watchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives pictures or events (`limits.watchers`).
    Watcher,
    /// Sends pictures in one request without end, or by WebSocket (`limits.publishers`).
    Publisher,
}

impl Role {
    fn plural(self) -> &'static str {
        match self {
            Role::Watcher => "watchers",
            Role::Publisher => "publishers",
        }
    }
}

/// One caller's place and its session; both end when this is dropped.
#[derive(Debug)]
pub struct Permit {
    session: Session,
    _place: Place,
}

impl Permit {
    /// The session, which is cancelled when the caller must be disconnected.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

/// Who takes a place: each place counts for the principal, if it is a known one, and for the address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Principal(Principal),
    /// IPv6: the /64.
    Address(Option<IpAddr>),
}

/// The places of one role.
pub(super) struct Permits {
    role: Role,
    max: usize,
    /// Most places of one holder.
    share: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_holder: HashMap<Holder, usize>,
}

#[derive(Debug)]
struct Place {
    holders: [Option<Holder>; 2],
    taken: Arc<Mutex<Taken>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.all -= 1;
        for holder in self.holders.iter().flatten() {
            if let Some(count) = taken.by_holder.get_mut(holder) {
                *count -= 1;
                if *count == 0 {
                    taken.by_holder.remove(holder);
                }
            }
        }
    }
}

/// Why a place is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// All places are taken.
    Full,
    /// The free places are kept, or the caller has its share; an administrator is not refused for this.
    ForOthers(&'static str),
}

impl Permits {
    /// `max` places, of which one caller gets `percent`.
    pub(super) fn new(role: Role, max: usize, percent: u8) -> Self {
        let share = (max.saturating_mul(usize::from(percent)) / 100).max(1);
        Permits { role, max, share, taken: Arc::default() }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.lock().all
    }

    /// Takes a place, and begins the session if there is one. `preferred` callers are administrators and callers of this
    /// machine: only the total limits them.
    pub(super) fn take(
        &self,
        principal: &Principal,
        ip: Option<IpAddr>,
        preferred: bool,
        begin: impl FnOnce() -> Session,
    ) -> Result<Permit, Refusal> {
        let known = (!matches!(principal, Principal::Anonymous)).then(|| Holder::Principal(principal.clone()));
        let holders = [known, Some(Holder::Address(ip.map(host_network)))];
        let mut taken = self.taken.lock();
        if taken.all >= self.max {
            return Err(Refusal::Full);
        }
        if !preferred {
            if taken.all >= self.max - self.max / KEPT {
                return Err(Refusal::ForOthers("the last places are kept for administrators and this machine"));
            }
            let has_share = |holder: &Holder| taken.by_holder.get(holder).is_some_and(|count| *count >= self.share);
            if holders.iter().flatten().any(has_share) {
                return Err(Refusal::ForOthers("one caller or address cannot have more (limits.caller_share)"));
            }
        }
        taken.all += 1;
        for holder in holders.iter().flatten() {
            *taken.by_holder.entry(holder.clone()).or_default() += 1;
        }
        drop(taken);
        let place = Place { holders, taken: self.taken.clone() };
        Ok(Permit { session: begin(), _place: place })
    }

    /// The error that the caller is told.
    pub(super) fn error(&self, refusal: Refusal) -> Error {
        let (role, max, share) = (self.role.plural(), self.max, self.share);
        let code = match self.role {
            Role::Watcher => Code::TooManyWatchers,
            Role::Publisher => Code::TooManyPublishers,
        };
        match refusal {
            Refusal::Full => Error::new(code, format!("there are {max} {role} already (limits.{role})")),
            Refusal::ForOthers(why) => {
                Error::new(code, format!("the limit is {share} {role} of {max} (limits.{role}): {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::access::{SessionInfo, Sessions};

    fn begin(sessions: &Sessions) -> Session {
        sessions.begin(Principal::Anonymous, SessionInfo::default(), &CancellationToken::new())
    }

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn a_refused_caller_begins_no_session_and_a_dropped_permit_gives_its_place_back() {
        let (sessions, permits) = (Sessions::default(), Permits::new(Role::Publisher, 1, 25));
        let take = || permits.take(&Principal::Anonymous, None, false, || begin(&sessions));
        let first = take().expect("a place is free");
        let refused = take().expect_err("the only place is taken");
        assert_eq!((refused, sessions.len(), permits.taken()), (Refusal::Full, 1, 1));
        assert_eq!(permits.error(refused).code(), Code::TooManyPublishers);
        drop(first);
        assert_eq!((sessions.len(), permits.taken()), (0, 0));
        assert!(take().is_ok());
    }

    #[test]
    fn one_caller_gets_its_share_and_the_last_places_are_for_administrators() {
        let (sessions, permits) = (Sessions::default(), Permits::new(Role::Watcher, 32, 50));
        let alice = Principal::User("alice".into());
        let take = |who: &Principal, ip, preferred| permits.take(who, ip, preferred, || begin(&sessions));
        // One user from many addresses.
        let of_alice: Vec<_> =
            (0..16).map(|n| take(&alice, ip(&format!("192.0.2.{n}")), false).expect("within her share")).collect();
        assert!(matches!(take(&alice, ip("192.0.2.99"), false), Err(Refusal::ForOthers(_))));
        // The address of one of her watchers has room for others.
        let others: Vec<_> =
            (0..14).map(|_| take(&Principal::Anonymous, ip("2001:db8::1"), false).expect("within the share")).collect();
        let refused = take(&Principal::Anonymous, ip("192.0.2.77"), false).expect_err("30 of 32 places are taken");
        assert!(permits.error(refused).to_string().contains("kept for administrators"), "{refused:?}");
        let admins: Vec<_> = (0..2).map(|_| take(&alice, ip("192.0.2.1"), true).expect("a kept place")).collect();
        assert_eq!(take(&alice, ip("192.0.2.1"), true).err(), Some(Refusal::Full));
        drop((of_alice, others, admins));
        assert_eq!((permits.taken(), permits.taken.lock().by_holder.len()), (0, 0));
    }

    #[test]
    fn addresses_of_one_64_are_one_holder() {
        let (sessions, permits) = (Sessions::default(), Permits::new(Role::Watcher, 100, 2));
        let take = |at: &str| permits.take(&Principal::Anonymous, ip(at), false, || begin(&sessions));
        let _held = (take("2001:db8::1").expect("free"), take("2001:db8::2").expect("free"));
        assert!(matches!(take("2001:db8::3"), Err(Refusal::ForOthers(_))));
        assert!(take("2001:db8:0:1::3").is_ok());
    }
}
