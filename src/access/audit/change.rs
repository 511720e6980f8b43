//! [`Change`]: a change by an administrator, which the audit has when it is done, with its outcome.

use super::{Audit, Entry};

/// A change that was allowed and is being made. The audit gets it when this is dropped, also if the client has gone meanwhile.
pub struct Change {
    audit: Audit,
    entry: Option<Entry>,
}

impl Change {
    pub(super) fn new(audit: &Audit, entry: Entry) -> Self {
        Change { audit: audit.clone(), entry: Some(entry) }
    }

    /// Ends it with the HTTP status of the response.
    pub fn end(mut self, status: u16) {
        if let Some(entry) = &mut self.entry {
            match status {
                500.. => entry.reason = "the request failed",
                400.. => entry.reason = "the request was refused",
                _ => {}
            }
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.audit.queue(entry);
        }
    }
}
