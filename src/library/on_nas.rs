//! Folders on a NAS.

use std::time::{Duration, SystemTime};

use super::{Entry, FileKind, Listing, Location, MAX_ENTRIES};
use crate::{
    error::Result,
    nas::{Item, Nas},
};

/// Timeout for a whole file of a NAS.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Entries that are read at a time when only some kinds are listed.
const STEP: usize = 1000;

/// A part of the entries of a folder, in the order of the NAS.
pub(super) async fn list_nas(
    nas: &Nas,
    location: &Location,
    kinds: Option<FileKind>,
    start: usize,
    limit: usize,
) -> Result<Listing> {
    let entry = |item: Item| {
        let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(item.modified));
        let modified = modified.filter(|_| item.modified > 0 && item.modified < 1 << 36);
        Entry {
            kind: if item.is_folder { FileKind::Folder } else { FileKind::of(&item.name) },
            size: item.size,
            modified: modified.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
            name: item.name,
        }
    };
    let listing = |total, entries| Listing {
        root: location.root.clone(),
        path: location.path.clone(),
        writable: false,
        total,
        entries,
    };
    if kinds.is_none() {
        let page = nas.list(&location.path, start, limit.min(MAX_ENTRIES)).await?;
        return Ok(listing(page.total, page.items.into_iter().map(entry).collect()));
    }
    // In parts, so that only the listed entries are held.
    let (mut at, mut total, mut entries) = (0, 0, vec![]);
    loop {
        let page = nas.list(&location.path, at, STEP).await?;
        at += page.spans;
        let is_listed = |entry: &Entry| entry.kind == FileKind::Folder || Some(entry.kind) == kinds;
        for entry in page.items.into_iter().map(entry).filter(is_listed) {
            if (start..start.saturating_add(limit)).contains(&total) {
                entries.push(entry);
            }
            total += 1;
        }
        if page.spans == 0 || at >= page.total.min(MAX_ENTRIES) {
            return Ok(listing(total, entries));
        }
    }
}
