//! The MediaMTX sessions that the sidecar has allowed, so that a revocation can end them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Client, SessionKind};
use crate::policy::Principal;

/// Most sessions of one principal. Older sessions of a user are found by the user name in MediaMTX's lists.
const MAX_EACH: usize = 200;

/// Most sessions of all principals.
const MAX_ALL: usize = 20_000;

/// Sessions by principal. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SessionIndex(Arc<Mutex<Inner>>);

/// The protocol of a session, as in an auth request, and its id.
type Session = (Box<str>, Box<str>);

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<Principal, VecDeque<Session>>,
    /// The principal of each session, oldest first; for removal.
    order: VecDeque<Principal>,
}

impl SessionIndex {
    /// Adds a session that the sidecar has allowed. `protocol` and `session` are those of MediaMTX's auth request.
    pub fn note(&self, principal: &Principal, protocol: &str, session: &str) {
        if matches!(principal, Principal::Anonymous | Principal::Internal) {
            return;
        }
        let mut inner = self.0.lock();
        let sessions = inner.sessions.entry(principal.clone()).or_default();
        if sessions.len() == MAX_EACH {
            sessions.pop_front();
        }
        sessions.push_back((protocol.into(), session.into()));
        inner.order.push_back(principal.clone());
        if inner.order.len() > MAX_ALL
            && let Some(first) = inner.order.pop_front()
        {
            let is_empty = inner.sessions.get_mut(&first).is_some_and(|sessions| {
                sessions.pop_front();
                sessions.is_empty()
            });
            if is_empty {
                inner.sessions.remove(&first);
            }
        }
    }

    /// Ends all sessions of a principal that are known here, and those of a user that MediaMTX lists. Returns their number.
    pub async fn kick(&self, client: &Client, principal: &Principal) -> crate::error::Result<usize> {
        let known = {
            let inner = self.0.lock();
            inner
                .sessions
                .get(principal)
                .map(|sessions| sessions.iter().cloned().collect::<Vec<_>>())
                .unwrap_or_default()
        };
        let mut ended = 0;
        for (protocol, id) in known {
            for kind in SessionKind::of_protocol(&protocol) {
                ended += usize::from(client.kick(kind, &id).await?);
            }
        }
        if let Principal::User(name) = principal {
            for kind in SessionKind::ALL {
                for id in client.sessions_of(kind, name).await? {
                    ended += usize::from(client.kick(kind, &id).await?);
                }
            }
        }
        Ok(ended)
    }
}
