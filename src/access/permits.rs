//! [`Permit`]: a place among the callers that stay connected.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Session;
use crate::error::{Code, Error, Result};

/// What a caller that stays connected does. Each role has a limit of its own, so that publishers never take the places of
/// watchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives pictures or events (`limits.watchers`).
    Watcher,
    /// Sends pictures in one request without end, or by WebSocket (`limits.publishers`).
    Publisher,
}

/// One caller's place and its session; both end when this is dropped.
#[derive(Debug)]
pub struct Permit {
    session: Session,
    _place: OwnedSemaphorePermit,
}

impl Permit {
    /// The session, which is cancelled when the caller must be disconnected.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

/// The places of one role.
pub(super) struct Permits {
    role: Role,
    max: usize,
    places: Arc<Semaphore>,
}

impl Permits {
    pub(super) fn new(role: Role, max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Permits { role, max, places: Arc::new(Semaphore::new(max)) }
    }

    pub(super) fn taken(&self) -> usize {
        self.max - self.places.available_permits()
    }

    /// Takes a place, and begins the session if there is one.
    pub(super) fn take(&self, begin: impl FnOnce() -> Session) -> Result<Permit> {
        match self.places.clone().try_acquire_owned() {
            Ok(place) => Ok(Permit { session: begin(), _place: place }),
            Err(_) => {
                let max = self.max;
                Err(match self.role {
                    Role::Watcher => {
                        Error::new(Code::TooManyWatchers, format!("there are {max} watchers already (limits.watchers)"))
                    }
                    Role::Publisher => Error::new(
                        Code::TooManyPublishers,
                        format!("there are {max} publishers already (limits.publishers)"),
                    ),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        access::{SessionInfo, Sessions},
        policy::Principal,
    };

    #[test]
    fn a_refused_caller_begins_no_session_and_a_dropped_permit_gives_its_place_back() {
        let (sessions, permits) = (Sessions::default(), Permits::new(Role::Publisher, 1));
        let begin = || sessions.begin(Principal::Anonymous, SessionInfo::default(), &CancellationToken::new());
        let first = permits.take(begin).expect("a place is free");
        let refused = permits.take(begin).expect_err("the only place is taken");
        assert_eq!((refused.code(), sessions.len(), permits.taken()), (Code::TooManyPublishers, 1, 1));
        drop(first);
        assert_eq!((sessions.len(), permits.taken()), (0, 0));
        assert!(permits.take(begin).is_ok());
    }
}
