//! Rows of `paths`: the paths that MediaMTX must have, and those that this program has added to it.

use rusqlite::params;

use super::Store;
use crate::error::Result;

pub(super) const TABLES: &str = "
    CREATE TABLE paths (name TEXT PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE applied_paths (name TEXT PRIMARY KEY, started TEXT NOT NULL, fields TEXT NOT NULL) STRICT;
";

/// A path that this program has added to MediaMTX.
#[derive(Clone, Debug)]
pub struct AppliedRow {
    /// The path name.
    pub name: String,
    /// The start time of the MediaMTX that has it; a restarted MediaMTX has lost it.
    pub started: String,
    /// The fields that were set, as JSON.
    pub fields: String,
}

impl Store {
    /// The paths that MediaMTX must have: names, and definitions as JSON.
    pub fn paths(&self) -> Result<Vec<(String, String)>> {
        self.with(|c| {
            let mut select = c.prepare("SELECT name, definition FROM paths ORDER BY name")?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Stores and deletes path definitions in one transaction. A stored one replaces one of the same name.
    pub fn change_paths(&self, put: &[(String, String)], delete: &[String]) -> Result<()> {
        self.transaction(|c| {
            for (name, definition) in put {
                c.execute("INSERT OR REPLACE INTO paths VALUES (?1, ?2)", params![name, definition])?;
            }
            for name in delete {
                c.execute("DELETE FROM paths WHERE name = ?1", [name])?;
            }
            Ok(())
        })
    }

    /// The paths that this program has added to MediaMTX.
    pub fn applied_paths(&self) -> Result<Vec<AppliedRow>> {
        self.with(|c| {
            let mut select = c.prepare("SELECT name, started, fields FROM applied_paths")?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(AppliedRow { name: row.get(0)?, started: row.get(1)?, fields: row.get(2)? })
            };
            select.query_map([], row)?.collect()
        })
    }

    /// Records in one transaction which paths were added to MediaMTX, and which were removed.
    pub fn note_applied_paths(&self, added: &[AppliedRow], removed: &[String]) -> Result<()> {
        self.transaction(|c| {
            for AppliedRow { name, started, fields } in added {
                c.execute("INSERT OR REPLACE INTO applied_paths VALUES (?1, ?2, ?3)", params![name, started, fields])?;
            }
            for name in removed {
                c.execute("DELETE FROM applied_paths WHERE name = ?1", [name])?;
            }
            Ok(())
        })
    }
}
