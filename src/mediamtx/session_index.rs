//! The MediaMTX sessions that the sidecar has allowed, so that a revocation or the end of a token can end them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Client, SessionKind};
use crate::policy::{Authorized, Lease, Principal, Revoked};

/// Most sessions of one principal. Older sessions of a user are found by the user name in MediaMTX's lists.
const MAX_EACH: usize = 200;

/// Most sessions of all principals.
const MAX_ALL: usize = 20_000;

/// Sessions by principal. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SessionIndex(Arc<Mutex<Inner>>);

/// A session of MediaMTX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedSession {
    /// The protocol, as in an auth request.
    protocol: Box<str>,
    id: Box<str>,
    lease: Option<Arc<Lease>>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<Principal, VecDeque<IndexedSession>>,
    /// The number of sessions.
    count: usize,
    /// The principal of each session, oldest first, for removal. Sessions that have ended leave theirs here.
    order: VecDeque<Principal>,
}

impl Inner {
    /// Removes the oldest session of a principal.
    fn pop(&mut self, principal: &Principal) {
        if let Some(sessions) = self.sessions.get_mut(principal) {
            self.count -= usize::from(sessions.pop_front().is_some());
            if sessions.is_empty() {
                self.sessions.remove(principal);
            }
        }
    }
}

impl SessionIndex {
    /// Adds a session that the sidecar has allowed. `protocol` and `session` are those of MediaMTX's auth request.
    pub fn note(&self, by: &Authorized, protocol: &str, session: &str) {
        if matches!(by.who, Principal::Anonymous | Principal::Internal) {
            return;
        }
        let inner = &mut *self.0.lock();
        if inner.sessions.get(&by.who).is_some_and(|sessions| sessions.len() >= MAX_EACH) {
            inner.pop(&by.who);
        }
        let session = IndexedSession { protocol: protocol.into(), id: session.into(), lease: by.lease.clone() };
        let sessions = inner.sessions.entry(by.who.clone()).or_default();
        // MediaMTX asks again for a session, for example at each SETUP.
        if sessions.back() == Some(&session) {
            return;
        }
        sessions.push_back(session);
        inner.count += 1;
        inner.order.push_back(by.who.clone());
        if inner.order.len() > MAX_ALL
            && let Some(first) = inner.order.pop_front()
        {
            inner.pop(&first);
        }
    }

    /// Ends all sessions of revoked credentials that are known here, and those of a user that MediaMTX lists. Returns their
    /// number.
    pub async fn kick(&self, client: &Client, revoked: &Revoked) -> crate::error::Result<usize> {
        let known = {
            let inner = self.0.lock();
            let covered = |who: &Principal, session: &IndexedSession| revoked.covers(who, session.lease.as_deref());
            let all = inner.sessions.iter().flat_map(|(who, all)| all.iter().map(move |session| (who, session)));
            all.filter(|(who, session)| covered(who, session)).map(|(_, session)| session.clone()).collect()
        };
        let mut ended = self.kick_sessions(client, known).await?;
        if let Revoked::Principal(Principal::User(name)) = revoked {
            for kind in SessionKind::ALL {
                for id in client.sessions_of(kind, name).await? {
                    ended += usize::from(client.kick(kind, &id).await?);
                }
            }
        }
        Ok(ended)
    }

    /// Removes the sessions whose lease is over at that time, in seconds of the Unix epoch.
    pub fn take_expired(&self, now: u64) -> Vec<IndexedSession> {
        let inner = &mut *self.0.lock();
        let mut over = vec![];
        let is_over = |session: &IndexedSession| session.lease.as_ref().is_some_and(|lease| lease.expires <= now);
        inner.sessions.retain(|_, sessions| {
            if sessions.iter().any(is_over) {
                over.extend(sessions.iter().filter(|session| is_over(session)).cloned());
                sessions.retain(|session| !is_over(session));
            }
            !sessions.is_empty()
        });
        inner.count -= over.len();
        over
    }

    /// Ends sessions. Returns the number of those that MediaMTX still had.
    pub async fn kick_sessions(&self, client: &Client, all: Vec<IndexedSession>) -> crate::error::Result<usize> {
        let mut ended = 0;
        for IndexedSession { protocol, id, .. } in all {
            for kind in SessionKind::of_protocol(&protocol) {
                ended += usize::from(client.kick(kind, &id).await?);
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(who: Principal, expires: Option<u64>) -> Authorized {
        Authorized { who, lease: expires.map(|expires| Arc::new(Lease { expires, ..Lease::default() })) }
    }

    #[test]
    fn sessions_are_taken_at_the_end_of_their_lease_and_the_index_is_bounded() {
        let index = SessionIndex::default();
        let token = |n: usize| Principal::Token(n.to_string().into());
        index.note(&by(token(1), Some(100)), "webrtc", "a");
        index.note(&by(token(1), Some(200)), "webrtc", "b");
        index.note(&by(Principal::User("alice".into()), None), "rtsp", "c");
        index.note(&by(Principal::Anonymous, None), "rtsp", "d");
        assert!(index.take_expired(99).is_empty());
        let over: Vec<_> = index.take_expired(100).into_iter().map(|session| session.id).collect();
        assert_eq!(over, ["a".into()]);
        assert!(index.take_expired(100).is_empty());
        for n in 0..2 * MAX_ALL {
            index.note(&by(token(n), Some(1000)), "srt", &n.to_string());
        }
        for n in 0..2 * MAX_EACH {
            index.note(&by(token(7), Some(1000)), "srt", &n.to_string());
        }
        let inner = index.0.lock();
        assert!(inner.order.len() <= MAX_ALL && inner.count <= MAX_ALL, "{} {}", inner.order.len(), inner.count);
        assert_eq!(inner.count, inner.sessions.values().map(VecDeque::len).sum::<usize>());
        assert_eq!(inner.sessions[&token(7)].len(), MAX_EACH);
    }
}
