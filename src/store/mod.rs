//! State that survives a restart, in one SQLite file in the data folder.
//!
//! Calls block for the duration of a disk write; async code calls them through [`Store::run`].

pub mod audit;
pub mod identity;
mod open;
pub mod paths;
pub mod shared;

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use parking_lot::{Mutex, ReentrantMutex};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::{
    blocking::Pool,
    error::{Code, Error, Result},
};

/// Each step migrates the database from one version to the next. A released step is never edited.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE streams (name TEXT PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
",
    identity::TABLES,
    paths::TABLES,
    identity::MUST_CHANGE,
    audit::TABLES,
];

/// Copies a database into a new file, as it is at one moment, while other processes use it. Returns its version.
pub fn copy(from: &Path, to: &Path) -> Result<usize> {
    open::copy(from, to)
}

/// Checks a database that no process uses: whole, of this program, and not of a later version. Returns its version.
pub fn check(path: &Path) -> Result<usize> {
    open::check(path)
}

/// The database. Cheap to clone. One connection is enough: writes are rare, and most reads happen at the start.
#[derive(Clone)]
pub struct Store {
    /// Reentrant: the work of a rehearsal calls methods that take it again.
    connection: Arc<ReentrantMutex<Connection>>,
    pool: Pool,
    place: Place,
    /// Why the last write failed, until a write succeeds.
    fault: Arc<Mutex<Option<String>>>,
    /// In a cluster: where changes of shared rows are agreed on.
    agreement: Arc<OnceLock<Arc<dyn shared::Agreement>>>,
    /// Held during a change of shared rows in a cluster.
    changing: Arc<tokio::sync::Mutex<()>>,
}

/// Where the database is, and who can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In its file, shared with other processes.
    Shared,
    /// In its file, for this process alone: the disk had no room for the memory that processes share.
    Alone,
    /// In memory.
    Memory,
    /// In memory, because the disk had no room for a new file. It takes no writes.
    Lost,
}

impl Store {
    /// Opens the file; creates or migrates it if necessary. A file that is not a database of this version or an earlier one
    /// is refused, and the error says what to do. On a disk without room for a new file the error has the code
    /// `storage_full`.
    pub fn open(path: &Path) -> Result<Self> {
        let (connection, is_shared) = open::open(path)?;
        Ok(Store::of(connection, if is_shared { Place::Shared } else { Place::Alone }))
    }

    /// Opens a database of this version that is there; makes and migrates none.
    pub fn open_present(path: &Path) -> Result<Self> {
        open::open_present(path).map(|connection| Store::of(connection, Place::Shared))
    }

    /// A database in memory, for tests.
    pub fn in_memory() -> Result<Self> {
        open::in_memory().map(|connection| Store::of(connection, Place::Memory))
    }

    /// A database in memory for a server whose disk has no room for a new file. After [`Store::refuse_writes`] nothing can be
    /// changed, so that nothing is acknowledged that the next start does not know.
    pub fn lost() -> Result<Self> {
        open::in_memory().map(|connection| Store::of(connection, Place::Lost))
    }

    fn of(connection: Connection, place: Place) -> Self {
        // One at a time: a second thread would only wait for the lock of the connection.
        Store {
            connection: Arc::new(ReentrantMutex::new(connection)),
            pool: Pool::disk("the database", 1),
            place,
            fault: Arc::default(),
            agreement: Arc::default(),
            changing: Arc::default(),
        }
    }

    /// Ends the writes to a database that will be lost; others are not changed.
    pub fn refuse_writes(&self) -> Result<()> {
        match self.place {
            Place::Lost => self.with(|c| c.pragma_update(None, "query_only", true)),
            _ => Ok(()),
        }
    }

    /// What does not work, for `/readyz` and the log.
    pub fn problem(&self) -> Option<String> {
        match (self.place, self.fault.lock().clone()) {
            (Place::Lost, _) => Some(LOST.into()),
            (_, Some(fault)) => Some(fault),
            (Place::Alone, None) => Some(
                "the disk was full at the start: until a restart, mtx-sidecar user cannot change the database".into(),
            ),
            (Place::Shared | Place::Memory, None) => None,
        }
    }

    /// Runs blocking work on the database away from the async threads.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Store) -> Result<T> + Send + 'static) -> Result<T> {
        let store = self.clone();
        self.pool.run(move || work(&store)).await
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.connection.lock();
        let before = connection.total_changes();
        let done = work(&connection);
        self.judge(&connection, before, done)
    }

    fn transaction(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<()> {
        let connection = self.connection.lock();
        let before = connection.total_changes();
        // A savepoint, because it can stand within a rehearsal.
        let done = connection.execute_batch("SAVEPOINT change").and_then(|()| {
            let done = work(&connection).and_then(|()| connection.execute_batch("RELEASE change"));
            if done.is_err() {
                // After some failures SQLite has taken everything back already (lang_transaction.html, section 3).
                let _ = connection.execute_batch("ROLLBACK TO change; RELEASE change");
            }
            done
        });
        self.judge(&connection, before, done)
    }

    /// Turns a failure into an error, and notes whether writes work.
    fn judge<T>(&self, connection: &Connection, before: u64, done: rusqlite::Result<T>) -> Result<T> {
        match done {
            Ok(value) => {
                if connection.total_changes() != before && self.fault.lock().take().is_some() {
                    tracing::info!("the database can be written again");
                }
                Ok(value)
            }
            Err(e) => {
                let error = self.failure(e);
                // One line for each full disk, and not for each change that is refused.
                if error.code() == Code::StorageFull && self.fault.lock().replace(error.to_string()).is_none() {
                    tracing::error!("the database cannot be written: {}", error.chain());
                }
                Err(error)
            }
        }
    }

    fn failure(&self, e: rusqlite::Error) -> Error {
        match e.sqlite_error_code() {
            Some(ErrorCode::ReadOnly) if self.place == Place::Lost => Error::new(Code::StorageFull, LOST).caused_by(e),
            Some(ErrorCode::DiskFull) => {
                let message = "the disk of data_dir has no room, so the change was not made";
                Error::new(Code::StorageFull, message).caused_by(e)
            }
            _ => Error::internal("the database cannot be read or written", e),
        }
    }

    /// The tables with their numbers of rows.
    pub fn counts(&self) -> Result<Vec<(String, u64)>> {
        self.with(|c| {
            let mut select = c.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
            let names: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let count = |name: String| {
                let quoted = name.replace('"', "\"\"");
                let rows = c.query_row(&format!("SELECT count(*) FROM \"{quoted}\""), [], |row| row.get(0))?;
                Ok((name, rows))
            };
            names.into_iter().map(count).collect()
        })
    }

    /// A number that changes whenever another process has changed the database.
    pub fn version(&self) -> Result<i64> {
        self.with(|c| c.pragma_query_value(None, "data_version", |row| row.get(0)))
    }

    /// Stream definitions made through the API, as JSON by name.
    pub fn streams(&self) -> Result<Vec<(String, String)>> {
        self.with(|c| {
            let mut select = c.prepare("SELECT name, definition FROM streams ORDER BY name")?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// One stream definition, as JSON.
    pub fn stream(&self, name: &str) -> Result<Option<String>> {
        self.with(|c| {
            let select = "SELECT definition FROM streams WHERE name = ?1";
            c.query_row(select, [name], |row| row.get(0)).optional()
        })
    }

    /// Stores a definition; replaces one of the same name.
    pub fn put_stream(&self, name: &str, definition: &str) -> Result<()> {
        self.with(|c| {
            let sql =
                "INSERT INTO streams VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET definition = excluded.definition";
            c.execute(sql, params![name, definition]).map(drop)
        })
    }

    /// Deletes a definition.
    pub fn delete_stream(&self, name: &str) -> Result<()> {
        self.with(|c| c.execute("DELETE FROM streams WHERE name = ?1", [name]).map(drop))
    }

    /// A fact by its key.
    pub fn fact(&self, key: &str) -> Result<Option<String>> {
        self.with(|c| c.query_row("SELECT value FROM facts WHERE key = ?1", [key], |row| row.get(0)).optional())
    }

    /// Deletes a fact.
    pub fn delete_fact(&self, key: &str) -> Result<()> {
        self.with(|c| c.execute("DELETE FROM facts WHERE key = ?1", [key]).map(drop))
    }

    /// Stores a fact; replaces one with the same key.
    pub fn put_fact(&self, key: &str, value: &str) -> Result<()> {
        self.with(|c| {
            let sql = "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            c.execute(sql, params![key, value]).map(drop)
        })
    }
}

const LOST: &str = "the disk had no room for the database at the start: nothing can be changed until mtx-sidecar is started with room \
     on the disk";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_values_are_there_after_reopening() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sidecar.db");
        let store = Store::open(&path).expect("opens");
        store.put_stream("cam", "1").expect("writes");
        store.put_stream("cam", "2").expect("writes");
        store.put_stream("Cam", "3").expect("writes");
        store.put_stream("gone", "4").expect("writes");
        store.delete_stream("gone").expect("writes");
        store.put_fact("k", "v").expect("writes");
        drop(store);
        let store = Store::open(&path).expect("opens again");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(store.streams().expect("reads"), [pair("Cam", "3"), pair("cam", "2")]);
        assert_eq!(store.stream("cam").expect("reads").as_deref(), Some("2"));
        assert_eq!(store.stream("gone").expect("reads"), None);
        assert_eq!(store.fact("k").expect("reads").as_deref(), Some("v"));
        assert_eq!(store.fact("none").expect("reads"), None);
    }

    #[test]
    fn a_database_that_will_be_lost_takes_no_changes_and_says_why() {
        let store = Store::lost().expect("opens");
        store.put_fact("k", "v").expect("the first values are made at the start");
        store.refuse_writes().expect("works");
        assert_eq!(store.fact("k").expect("reads").as_deref(), Some("v"));
        for error in [store.put_fact("k", "w"), store.change_paths(&[("p".into(), "{}".into())], &[])] {
            let error = error.expect_err("refused");
            assert_eq!((error.code(), error.to_string().as_str()), (Code::StorageFull, LOST));
        }
        assert_eq!(store.problem().as_deref(), Some(LOST));
    }

    #[test]
    fn a_full_disk_is_a_problem_until_a_write_succeeds() {
        let store = Store::in_memory().expect("opens");
        // The largest size that SQLite may give the database stands for the end of the disk.
        let pages = |n: i64| store.with(|c| c.pragma_update(None, "max_page_count", n)).expect("sets");
        pages(1);
        let error = store.put_fact("k", &"v".repeat(100_000)).expect_err("no room");
        assert_eq!(error.code(), Code::StorageFull, "{}", error.chain());
        assert!(store.problem().is_some_and(|problem| problem.contains("no room")));
        assert_eq!(store.fact("k").expect("reads go on"), None);
        pages(10_000);
        store.put_fact("k", "v").expect("room again");
        assert_eq!(store.problem(), None);
    }
}
