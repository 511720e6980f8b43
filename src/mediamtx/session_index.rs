//! The sessions that MediaMTX admitted because we said yes, so that they can be ended when we would say no.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Client, SessionKind};
use crate::policy::Principal;

/// Sessions remembered of each; those before are found by the user's name in MediaMTX's lists.
const EACH: usize = 200;

/// Sessions remembered in all.
const ALL: usize = 20_000;

/// Who was admitted where. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SessionIndex(Arc<Mutex<Inner>>);

/// A session's protocol, in the words of MediaMTX's question, and its id.
type Session = (Box<str>, Box<str>);

#[derive(Debug, Default)]
struct Inner {
    of: HashMap<Principal, VecDeque<Session>>,
    /// In the order in which they came, for forgetting.
    order: VecDeque<Principal>,
}

impl SessionIndex {
    /// Remembers a session that MediaMTX admitted for this principal. `protocol` and `session` are the words of its
    /// question.
    pub fn note(&self, principal: &Principal, protocol: &str, session: &str) {
        if matches!(principal, Principal::Anonymous | Principal::Internal) {
            return;
        }
        let mut inner = self.0.lock();
        let sessions = inner.of.entry(principal.clone()).or_default();
        if sessions.len() == EACH {
            sessions.pop_front();
        }
        sessions.push_back((protocol.into(), session.into()));
        inner.order.push_back(principal.clone());
        if inner.order.len() > ALL
            && let Some(first) = inner.order.pop_front()
        {
            let is_empty = inner.of.get_mut(&first).is_some_and(|sessions| {
                sessions.pop_front();
                sessions.is_empty()
            });
            if is_empty {
                inner.of.remove(&first);
            }
        }
    }

    /// Ends all sessions of somebody, as far as they are known here or to MediaMTX; says how many.
    pub async fn kick(&self, client: &Client, who: &Principal) -> crate::error::Result<usize> {
        let known = {
            let inner = self.0.lock();
            inner.of.get(who).map(|sessions| sessions.iter().cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        let mut ended = 0;
        for (protocol, id) in known {
            for kind in SessionKind::of_protocol(&protocol) {
                ended += usize::from(client.kick(kind, &id).await?);
            }
        }
        if let Principal::User(name) = who {
            for kind in SessionKind::ALL {
                for id in client.sessions_of(kind, name).await? {
                    ended += usize::from(client.kick(kind, &id).await?);
                }
            }
        }
        Ok(ended)
    }
}
