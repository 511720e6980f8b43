//! Paths that MediaMTX shall have, and those that it has from us. What they mean is `paths`' to know.

use rusqlite::params;

use super::Store;
use crate::error::Result;

pub(super) const TABLES: &str = "
    CREATE TABLE paths (name TEXT PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE applied_paths (name TEXT PRIMARY KEY, started TEXT NOT NULL, fields TEXT NOT NULL) STRICT;
";

/// A path that MediaMTX has from us.
#[derive(Clone, Debug)]
pub struct AppliedRow {
    /// Its name.
    pub name: String,
    /// When the MediaMTX was started that has it; another one has forgotten it.
    pub started: String,
    /// What we have set, as JSON.
    pub fields: String,
}

impl Store {
    /// The wanted paths, as JSON by name.
    pub fn paths(&self) -> Result<Vec<(String, String)>> {
        self.with(|c| {
            let mut select = c.prepare("SELECT name, definition FROM paths ORDER BY name")?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Keeps all of these in place of earlier ones of their names, and forgets those; all of it or nothing.
    pub fn change_paths(&self, keep: &[(String, String)], forget: &[String]) -> Result<()> {
        self.transaction(|c| {
            for (name, definition) in keep {
                c.execute("INSERT OR REPLACE INTO paths VALUES (?1, ?2)", params![name, definition])?;
            }
            for name in forget {
                c.execute("DELETE FROM paths WHERE name = ?1", [name])?;
            }
            Ok(())
        })
    }

    /// The paths that MediaMTX has from us, as far as we know.
    pub fn applied_paths(&self) -> Result<Vec<AppliedRow>> {
        self.with(|c| {
            let mut select = c.prepare("SELECT name, started, fields FROM applied_paths")?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(AppliedRow { name: row.get(0)?, started: row.get(1)?, fields: row.get(2)? })
            };
            select.query_map([], row)?.collect()
        })
    }

    /// Notes what MediaMTX has from us now, and what it has no more.
    pub fn note_applied_paths(&self, has: &[AppliedRow], has_not: &[String]) -> Result<()> {
        self.transaction(|c| {
            for AppliedRow { name, started, fields } in has {
                c.execute("INSERT OR REPLACE INTO applied_paths VALUES (?1, ?2, ?3)", params![name, started, fields])?;
            }
            for name in has_not {
                c.execute("DELETE FROM applied_paths WHERE name = ?1", [name])?;
            }
            Ok(())
        })
    }
}
