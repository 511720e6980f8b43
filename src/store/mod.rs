//! State that survives a restart, in one SQLite file in the data folder.
//!
//! Calls block for the duration of a disk write; async code calls them through [`Store::run`].

pub mod identity;
pub mod paths;

use std::{path::Path, sync::Arc};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    blocking::Pool,
    error::{Error, Result},
};

/// Each step migrates the database from one version to the next. A released step is never edited.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE streams (name TEXT PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
",
    identity::TABLES,
    paths::TABLES,
];

/// The database. Cheap to clone. One connection is enough: writes are rare, and most reads happen at the start.
#[derive(Clone)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    pool: Pool,
}

impl Store {
    /// Opens the file; creates or migrates it if necessary.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = |e| Error::internal(format!("the database {} cannot be opened", path.display()), e);
        let connection = Connection::open(path).map_err(cannot)?;
        // With WAL a power cut loses at most the last writes; it does not damage the file.
        connection.pragma_update(None, "journal_mode", "WAL").map_err(cannot)?;
        restrict(path);
        Store::migrate(connection).map_err(cannot)
    }

    /// A database in memory, for tests.
    pub fn in_memory() -> Result<Self> {
        let cannot = |e| Error::internal("the database cannot be created", e);
        Store::migrate(Connection::open_in_memory().map_err(cannot)?).map_err(cannot)
    }

    fn migrate(mut connection: Connection) -> rusqlite::Result<Self> {
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "busy_timeout", 5000)?;
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for (i, step) in MIGRATIONS.iter().enumerate().skip(version as usize) {
            let transaction = connection.transaction()?;
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", i as u32 + 1)?;
            transaction.commit()?;
        }
        // One at a time: a second thread would only wait for the lock of the connection.
        Ok(Store { connection: Arc::new(Mutex::new(connection)), pool: Pool::new("the database call", 1) })
    }

    /// Runs blocking work on the database away from the async threads.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Store) -> Result<T> + Send + 'static) -> Result<T> {
        let store = self.clone();
        self.pool.run(move || work(&store)).await
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.connection.lock();
        work(&connection).map_err(|e| Error::internal("the database cannot be read or written", e))
    }

    fn transaction(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<()> {
        let mut connection = self.connection.lock();
        let done = connection.transaction().and_then(|transaction| {
            work(&transaction)?;
            transaction.commit()
        });
        done.map_err(|e| Error::internal("the database cannot be read or written", e))
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

    /// Stores a fact; replaces one with the same key.
    pub fn put_fact(&self, key: &str, value: &str) -> Result<()> {
        self.with(|c| {
            let sql = "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            c.execute(sql, params![key, value]).map(drop)
        })
    }
}

/// Makes the file readable for its owner only: it holds password hashes and signing keys. SQLite gives the files beside it
/// the same mode.
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Err(e) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!("{} cannot be made readable for its owner only: {e}", path.display());
    }
}

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
    fn a_file_that_is_not_a_database_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sidecar.db");
        std::fs::write(&path, "not a database, but long enough to be read as one").expect("writes");
        let error = Store::open(&path).err().expect("refused").to_string();
        assert!(error.contains("sidecar.db"), "{error}");
    }
}
