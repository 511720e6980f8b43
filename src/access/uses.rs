//! When each token and share was used last: in memory, since the start of the program.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

use super::audit::Entry;
use crate::policy::Principal;

/// Most tokens and shares whose use is remembered: those that can be valid at a time.
const MAX_USES: usize = 20_000;

/// The last use of a token or a share, since the start of the program.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LastUse {
    /// When (RFC 3339).
    pub at: String,
    /// Whether it was allowed. A token that is used for something else than its permissions is refused.
    pub allowed: bool,
    /// The action.
    pub action: String,
    /// The path or stream.
    pub path: String,
    /// MediaMTX's word for the protocol; `http`, `rtsp` or `websocket` for our own addresses.
    pub protocol: String,
    /// The caller's address, if it is known.
    pub ip: Option<String>,
}

#[derive(Debug)]
struct Use {
    at: SystemTime,
    allowed: bool,
    action: Box<str>,
    path: Box<str>,
    protocol: Box<str>,
    ip: Option<std::net::IpAddr>,
}

/// The last uses, by the id of the token or the share.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<HashMap<Arc<str>, Use>>);

impl Uses {
    /// Notes the decision if it is about a token or a share.
    pub(super) fn note(&self, entry: &Entry) {
        let (Principal::Token(id) | Principal::Share(id)) = &entry.who else { return };
        let mut uses = self.0.lock();
        if uses.len() >= MAX_USES && !uses.contains_key(id) {
            let oldest = uses.iter().min_by_key(|(_, one)| one.at).map(|(id, _)| id.clone());
            oldest.and_then(|id| uses.remove(&id));
        }
        let Entry { at, decision, action, path, protocol, ip, .. } = entry;
        let (action, path, protocol) = (action.clone(), path.clone(), protocol.clone());
        uses.insert(id.clone(), Use { at: *at, allowed: decision.is_allowed(), action, path, protocol, ip: *ip });
    }

    pub(super) fn last(&self, id: &str) -> Option<LastUse> {
        let uses = self.0.lock();
        let Use { at, allowed, action, path, protocol, ip } = uses.get(id)?;
        Some(LastUse {
            at: humantime::format_rfc3339_millis(*at).to_string(),
            allowed: *allowed,
            action: action.to_string(),
            path: path.to_string(),
            protocol: protocol.to_string(),
            ip: ip.map(|ip| ip.to_canonical().to_string()),
        })
    }
}
