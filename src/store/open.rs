//! Opening the file of the database: a new one, one of an earlier version, and files that are refused.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::MIGRATIONS;
use crate::{
    data_folder::{self, is_full},
    error::{Code, Error, Result},
};

/// How long a process waits for another one that writes, in milliseconds.
const BUSY_TIMEOUT: u32 = 5000;

/// Opens a database file. Returns the connection, and whether other processes can use the file at the same time.
pub(super) fn open(path: &Path) -> Result<(Connection, bool)> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 => return Err(refused(path, "is empty")),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(e) => return Err(Error::internal(cannot(path), e)),
    }
    let (mut connection, is_shared) = connect(path)?;
    migrate_file(&mut connection, path)?;
    Ok((connection, is_shared))
}

pub(super) fn in_memory() -> Result<Connection> {
    let open = || {
        let mut connection = Connection::open_in_memory()?;
        migrate(&mut connection)?;
        Ok(connection)
    };
    open().map_err(|e: rusqlite::Error| Error::internal("the database cannot be created", e))
}

fn cannot(path: &Path) -> String {
    format!("the database {} cannot be opened", path.display())
}

/// A file that is left as it is. The error says what its owner can do.
fn refused(path: &Path, fault: &str) -> Error {
    let (file, backups) = (path.display(), backup_name(path, "N"));
    let message = format!(
        "the database {file} {fault}. Restore a backup of it ({} is made before an upgrade), or move the file away to begin \
         anew, with no users, tokens and definitions of the API; in both cases without the -wal and -shm beside it",
        backups.display()
    );
    Error::new(Code::Internal, message)
}

/// Makes a new database under another name and gives it its name when it is complete, so that a first start that is killed
/// leaves no half of one.
fn create(path: &Path) -> Result<()> {
    set_aside_wal(path)?;
    let suffix = getrandom::u64().map_err(|e| Error::internal("the system gives no random numbers", e))?;
    let temporary = path.with_file_name(format!("sidecar.{suffix:016x}.new"));
    let made = (|| {
        data_folder::new_file(&temporary).map_err(|e| unmade(path, e))?;
        let mut connection = Connection::open(&temporary).map_err(|e| failed(path, e))?;
        migrate(&mut connection).map_err(|e| failed(path, e))?;
        // With WAL a power cut loses at most the last writes; it does not damage the file.
        connection.pragma_update(None, "journal_mode", "WAL").map_err(|e| failed(path, e))?;
        connection.close().map_err(|(_, e)| failed(path, e))?;
        // Not a rename, which would replace a database that another process has made at the same time.
        match fs::hard_link(&temporary, path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) if is_full(&e) => Err(unmade(path, e)),
            // A file system without links.
            Err(_) => fs::rename(&temporary, path).map_err(|e| unmade(path, e)),
            Ok(()) => Ok(()),
        }
    })();
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut name = temporary.clone().into_os_string();
        name.push(suffix);
        // Most of them do not exist.
        let _ = fs::remove_file(name);
    }
    made
}

/// Moves the WAL of a database that is no longer there. SQLite would write its pages into the new one.
fn set_aside_wal(path: &Path) -> Result<()> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    match fs::rename(beside("-wal"), beside("-wal.left")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::internal(cannot(path), e)),
        Ok(()) => tracing::warn!("{} has no database and is renamed to -wal.left", beside("-wal").display()),
    }
    match fs::remove_file(beside("-shm")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::internal(cannot(path), e)),
        _ => Ok(()),
    }
}

fn unmade(path: &Path, e: io::Error) -> Error {
    Error::unwritten(format!("the database {} cannot be made", path.display()), e)
}

fn failed(path: &Path, e: rusqlite::Error) -> Error {
    match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Error::new(Code::StorageFull, format!("{}: the disk has no room", cannot(path))).caused_by(e)
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            refused(path, "is no database of mtx-sidecar, or it is damaged").caused_by(e)
        }
        _ => Error::internal(cannot(path), e),
    }
}

/// Connects, for all processes if possible. On a full disk there is no room for the memory that they share (`-shm`), and
/// SQLite reads the file only for one process alone (sqlite.org/wal.html, section 8).
fn connect(path: &Path) -> Result<(Connection, bool)> {
    let connect = |is_shared: bool| -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "busy_timeout", BUSY_TIMEOUT)?;
        if !is_shared {
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        }
        connection.pragma_update(None, "foreign_keys", true)?;
        // The first look into the file, which changes nothing in it.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
        Ok(connection)
    };
    let first = match connect(true) {
        Ok(connection) => return Ok((connection, true)),
        Err(e) => e,
    };
    use ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
    if !matches!(first.sqlite_error_code(), Some(CannotOpen | DiskFull | SystemIoFailure)) {
        return Err(failed(path, first));
    }
    match connect(false) {
        Ok(connection) => {
            tracing::error!(
                "the database is opened for this process alone ({first}); free room on the disk of {} and start again",
                path.display()
            );
            Ok((connection, false))
        }
        Err(_) => Err(failed(path, first)),
    }
}

/// Checks that the database is one of ours before anything in it is changed, and migrates it after a backup if it is of an
/// earlier version.
fn migrate_file(connection: &mut Connection, path: &Path) -> Result<()> {
    // SQLite opens what it cannot write for reading (sqlite.org/c3ref/open.html), if a killed program has left -wal and -shm.
    if connection.is_readonly("main").map_err(|e| failed(path, e))? {
        let message = format!(
            "the database {} cannot be written: the file, or its file system, is read-only (data_dir)",
            path.display()
        );
        return Err(Error::new(Code::Internal, message));
    }
    let version = known_version(connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(|e| failed(path, e))?;
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    let backup = back_up(connection, path, version)?;
    tracing::info!("the database is migrated from version {version}; a backup is in {}", backup.display());
    migrate(connection).map_err(|e| failed(path, e))
}

/// The version of the database. One that is not ours, or newer than this program, is an error that says what to do.
fn known_version(connection: &Connection, path: &Path) -> Result<usize> {
    let version = version(connection).map_err(|e| failed(path, e))?;
    let tables = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| failed(path, e));
    let ours = tables("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('streams', 'facts')")?;
    if version > MIGRATIONS.len() {
        let (file, newest) = (path.display(), MIGRATIONS.len());
        let message = format!(
            "the database {file} has version {version}, and this mtx-sidecar knows versions up to {newest}: use the newer \
             mtx-sidecar that has written it, or restore the backup from before the upgrade ({})",
            backup_name(path, &newest.to_string()).display()
        );
        return Err(Error::new(Code::Internal, message));
    }
    if version == 0 || ours < 2 {
        let is_empty = tables("SELECT count(*) FROM sqlite_schema")? == 0;
        return Err(refused(path, if is_empty { "is empty" } else { "is no database of mtx-sidecar" }));
    }
    Ok(version)
}

/// Opens a database of this version that is there, and changes nothing.
pub(super) fn open_present(path: &Path) -> Result<Connection> {
    fs::metadata(path).map_err(|e| Error::internal(cannot(path), e))?;
    let (connection, _) = connect(path)?;
    match known_version(&connection, path)? {
        version if version == MIGRATIONS.len() => Ok(connection),
        version => Err(Error::new(Code::Internal, format!("{} has version {version}", path.display()))),
    }
}

/// Copies a database into a new file, as it is at one moment, while other processes use it. Returns its version.
pub(super) fn copy(from: &Path, to: &Path) -> Result<usize> {
    if let Err(e) = fs::metadata(from) {
        return Err(Error::internal(cannot(from), e));
    }
    let (connection, _) = connect(from)?;
    let version = known_version(&connection, from)?;
    let unmade = |e: io::Error| Error::unwritten(format!("{} cannot be written", to.display()), e);
    // VACUUM INTO takes an empty file, and keeps its mode. It reads in one transaction, with everything that is in the WAL.
    let file = data_folder::new_file(to).map_err(unmade)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map_err(|e| failed(from, e))?;
    file.sync_all().map_err(unmade)?;
    Ok(version)
}

/// Checks a copy that no process uses: whole, ours, and of this version or an earlier one, which it returns.
pub(super) fn check(path: &Path) -> Result<usize> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|e| failed(path, e))?;
    let version = known_version(&connection, path)?;
    let said: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| failed(path, e))?;
    if said == "ok" { Ok(version) } else { Err(refused(path, "is damaged")) }
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version as usize)
}

/// Runs the steps that the database does not have yet.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    for (i, step) in MIGRATIONS.iter().enumerate() {
        // Immediate: another process can migrate the same file at the same time.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if version(&transaction)? > i {
            continue;
        }
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", i as u32 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

fn backup_name(path: &Path, version: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{version}.backup"));
    name.into()
}

/// Copies the database with everything that is still in its WAL.
fn back_up(connection: &Connection, path: &Path, version: usize) -> Result<PathBuf> {
    let backup = backup_name(path, &version.to_string());
    let temporary = backup.with_extension("new");
    let unmade = |e: io::Error| {
        Error::unwritten(format!("the backup {} cannot be made before the database is migrated", backup.display()), e)
    };
    let copy = || -> Result<()> {
        let _ = fs::remove_file(&temporary);
        // VACUUM INTO takes an empty file, and keeps its mode.
        let file = data_folder::new_file(&temporary).map_err(unmade)?;
        connection.execute("VACUUM INTO ?1", [temporary.to_string_lossy()]).map_err(|e| failed(path, e))?;
        file.sync_all().map_err(unmade)?;
        fs::rename(&temporary, &backup).map_err(unmade)
    };
    if let Err(e) = copy() {
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    Ok(backup)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::Store;
    use super::*;

    /// A folder, and the path of a database in it that does not exist.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sidecar.db");
        (folder, path)
    }

    fn files(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(folder.path()).expect("lists").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_database_is_private_and_leaves_no_other_file() {
        let (folder, path) = place();
        drop(Store::open(&path).expect("makes"));
        assert_eq!(files(&folder), ["sidecar.db"]);
        let store = Store::open(&path).expect("opens");
        store.put_fact("k", "v").expect("writes");
        for name in files(&folder) {
            let mode = std::fs::metadata(folder.path().join(&name)).expect("exists").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn files_that_are_no_database_of_ours_are_refused_unchanged_with_the_way_out() {
        let (folder, path) = place();
        let foreign = folder.path().join("foreign.db");
        let other = Connection::open(&foreign).expect("makes");
        other.execute_batch("CREATE TABLE songs (title TEXT)").expect("makes");
        drop(other);
        let bare = folder.path().join("bare.db");
        Connection::open(&bare).and_then(|c| c.pragma_update(None, "journal_mode", "WAL")).expect("makes");
        std::fs::write(&path, "not a database, but long enough to be read as one").expect("writes");
        let empty = folder.path().join("empty.db");
        std::fs::write(&empty, "").expect("writes");
        for (path, fault) in [
            (&path, "is no database of mtx-sidecar, or it is damaged"),
            (&empty, "is empty"),
            (&bare, "is empty"),
            (&foreign, "is no database of mtx-sidecar"),
        ] {
            let before = std::fs::read(path).expect("reads");
            let error = Store::open(path).err().expect("refused").to_string();
            assert!(error.contains(&format!("{} {fault}", path.display())), "{error}");
            assert!(error.contains("Restore a backup") && error.contains("move the file away"), "{error}");
            assert_eq!(std::fs::read(path).expect("reads"), before, "{fault}: the file is left as it is");
        }
    }

    /// Its pages would become a part of the new database.
    #[test]
    fn the_wal_of_a_database_that_was_moved_away_is_set_aside() {
        let (folder, path) = place();
        let store = Store::open(&path).expect("makes");
        store.put_fact("k", "of the old one").expect("writes");
        let moved = folder.path().join("moved.db");
        std::fs::rename(&path, moved).expect("renames");
        let new = Store::open(&path).expect("makes a new one");
        assert_eq!(new.fact("k").expect("reads"), None);
        assert!(files(&folder).contains(&"sidecar.db-wal.left".into()));
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused_with_the_way_out() {
        let (_folder, path) = place();
        let store = Store::open(&path).expect("makes");
        store.with(|c| c.pragma_update(None, "user_version", 99)).expect("writes");
        drop(store);
        let error = Store::open(&path).err().expect("refused").to_string();
        assert!(error.contains("has version 99") && error.contains("use the newer mtx-sidecar"), "{error}");
    }

    #[test]
    fn an_earlier_version_is_copied_aside_and_migrated() {
        let (folder, path) = place();
        let old = Connection::open(&path).expect("makes");
        old.execute_batch(MIGRATIONS[0]).expect("makes");
        old.execute("INSERT INTO facts VALUES ('k', 'v')", []).expect("writes");
        old.pragma_update(None, "user_version", 1).expect("writes");
        drop(old);
        let store = Store::open(&path).expect("migrates");
        assert_eq!(store.fact("k").expect("reads").as_deref(), Some("v"));
        assert!(store.users().expect("has the table").is_empty());
        drop(store);
        let backup = folder.path().join("sidecar.db.v1.backup");
        assert_eq!(files(&folder), ["sidecar.db", "sidecar.db.v1.backup"]);
        assert_eq!(std::fs::metadata(&backup).expect("exists").permissions().mode() & 0o777, 0o600);
        let copy = Connection::open(&backup).expect("opens");
        assert_eq!(version(&copy).expect("reads"), 1);
        let value: String = copy.query_row("SELECT value FROM facts", [], |row| row.get(0)).expect("reads");
        assert_eq!(value, "v");
        drop(Store::open(&path).expect("opens without another backup"));
    }
}
