//! Starts that cannot succeed: one reason in words on standard error, and the exit code 1. And starts that can, on poor machines.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{eventually, free_port, skip::skip};

/// Settings of ports that no test uses.
fn ports(command: &mut Command) {
    for key in ["HTTP", "RTSP"] {
        command.env(format!("SIDECAR__{key}__LISTEN"), format!("127.0.0.1:{}", free_port()));
    }
    command.env("SIDECAR__UDP__LISTEN", "127.0.0.1:0");
}

/// Starts the program in the folder; it must end by itself.
fn start(folder: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.arg("serve").current_dir(folder).stdin(Stdio::null());
    ports(&mut command);
    command.envs(variables.iter().copied());
    command.output().expect("runs")
}

/// That the program ended with the reason, which names the setting, and not with a panic.
fn assert_refused(output: &Output, says: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    let last = told.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(last.starts_with("mtx-sidecar: ") && !told.contains("panicked"), "{told}");
    for part in says {
        assert!(last.contains(part), "no {part:?} in {told}");
    }
}

#[test]
fn a_port_in_use_is_named_with_its_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let taken = listener.local_addr().expect("an address").to_string();
    for (variable, setting) in [
        ("SIDECAR__HTTP__LISTEN", "http.listen"),
        ("SIDECAR__RTSP__LISTEN", "rtsp.listen"),
        ("SIDECAR__MQTT_VIDEO__LISTEN", "mqtt_video.listen"),
        ("SIDECAR__UV4L__LISTEN", "uv4l.listen"),
    ] {
        assert_refused(&start(folder.path(), &[(variable, &taken)]), &[&taken, setting, "in use"]);
    }
}

/// Its password would be shown by no later start.
#[test]
fn a_first_start_that_fails_leaves_no_administrator() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("an address").to_string();
    for variable in ["SIDECAR__HTTP__LISTEN", "SIDECAR__UV4L__LISTEN"] {
        assert_refused(&start(folder.path(), &[(variable, &address)]), &["in use"]);
        let connection = rusqlite::Connection::open(folder.path().join("data/sidecar.db")).expect("opens");
        let count = "SELECT count(*) FROM facts WHERE key = 'admin_password_hash'";
        let hashes: i64 = connection.query_row(count, [], |row| row.get(0)).expect("reads");
        assert_eq!(hashes, 0, "{variable}");
    }
}

#[test]
fn an_address_that_this_machine_does_not_have_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    // RFC 3849: an address for documents, which no machine has. Where there is no IPv6 at all, the reason is another one.
    let output = start(folder.path(), &[("SIDECAR__HTTP__LISTEN", "[2001:db8::1]:9995")]);
    assert_refused(&output, &["[2001:db8::1]:9995", "http.listen"]);
    let output = start(folder.path(), &[("SIDECAR__HTTP__LISTEN", "192.0.2.1:9995")]);
    assert_refused(&output, &["192.0.2.1:9995", "http.listen"]);
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "x").expect("writes");
    let below_a_file = folder.path().join("file/data");
    let below_a_file = below_a_file.to_str().expect("text");
    assert_refused(&start(folder.path(), &[("SIDECAR__DATA_DIR", below_a_file)]), &[below_a_file, "data_dir"]);
    assert_refused(&start(folder.path(), &[("SIDECAR__DATA_DIR", "/proc/data")]), &["/proc/data", "data_dir"]);
}

/// Whether this process can mount folders that nothing else sees. Else the test is skipped.
fn has_mounts() -> bool {
    let probe = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let can = probe.is_ok_and(|output| output.status.success());
    if !can {
        skip("no mount namespace can be made here (unshare, mount)");
    }
    can
}

#[test]
fn a_read_only_disk_is_named_with_and_without_a_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, program) = (folder.path().display(), env!("CARGO_BIN_EXE_mtx-sidecar"));
    let run = |prepare: &str| {
        let script = format!(
            "mkdir -p '{path}/data' && mount -t tmpfs none '{path}/data' && cd '{path}' && {prepare} \
             mount -o remount,ro '{path}/data' && exec '{program}' serve"
        );
        let mut command = Command::new("unshare");
        ports(&mut command);
        command.args(["-m", "sh", "-c", &script]).current_dir(folder.path()).stdin(Stdio::null()).output()
    };
    if !has_mounts() {
        return;
    }
    assert_refused(&run("").expect("runs"), &["sidecar.db", "Read-only file system"]);
    // A user makes the database.
    let prepare = format!("printf 'correct horse\\n' | '{program}' user add alice --role user > /dev/null &&");
    assert_refused(&run(&prepare).expect("runs"), &["sidecar.db"]);
    // SQLite reads a database with the files that a killed program has left beside it.
    let prepare = format!(
        "{{ '{program}' serve > /dev/null 2>&1 & }} && \
         for _ in $(seq 600); do [ -e data/sidecar.db-shm ] && break; sleep 0.05; done; kill -KILL $!; wait $!;"
    );
    assert_refused(&run(&prepare).expect("runs"), &["sidecar.db", "cannot be written", "read-only", "data_dir"]);
}

/// A database of this version, changed by SQL.
fn database(folder: &Path, sql: &str) {
    let made = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"))
        .args(["user", "list"])
        .env("SIDECAR__DATA_DIR", folder.join("data"))
        .current_dir(folder)
        .output()
        .expect("runs");
    assert!(made.status.success(), "{made:?}");
    let connection = rusqlite::Connection::open(folder.join("data/sidecar.db")).expect("opens");
    connection.execute_batch(sql).expect("changes");
}

#[test]
fn a_data_folder_of_a_newer_version_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    database(folder.path(), "PRAGMA user_version = 99");
    assert_refused(&start(folder.path(), &[]), &["has version 99", "use the newer mtx-sidecar", ".backup"]);
    // Commands say the same.
    for arguments in [&["backup", "x.tar.gz"][..], &["user", "list"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
        command.args(arguments).env("SIDECAR__DATA_DIR", folder.path().join("data")).current_dir(folder.path());
        assert_refused(&command.output().expect("runs"), &["has version 99"]);
    }
    assert!(!folder.path().join("x.tar.gz").exists());
}

#[test]
fn a_data_folder_of_an_earlier_version_is_migrated_after_a_backup() {
    let folder = tempfile::tempdir().expect("a folder");
    // The first version had these tables alone.
    let drop = "SELECT 'DROP TABLE ' || name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('streams', 'facts') \
                AND name NOT LIKE 'sqlite_%'";
    database(folder.path(), "INSERT INTO streams VALUES ('kept', '{\"kind\":\"test-card\"}')");
    {
        let connection = rusqlite::Connection::open(folder.path().join("data/sidecar.db")).expect("opens");
        connection.pragma_update(None, "foreign_keys", false).expect("sets");
        let mut select = connection.prepare(drop).expect("is right");
        let drops: Vec<String> =
            select.query_map([], |row| row.get(0)).expect("reads").collect::<Result<_, _>>().expect("reads");
        std::mem::drop(select);
        assert!(drops.len() > 3, "{drops:?}");
        connection.execute_batch(&drops.join(";")).expect("drops");
        connection.pragma_update(None, "user_version", 1).expect("sets");
    }
    // The port is in use: the start ends behind the migration.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("an address").to_string();
    let output = start(folder.path(), &[("SIDECAR__HTTP__LISTEN", &address)]);
    assert_refused(&output, &["http.listen"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("migrated from version 1"), "{output:?}");
    assert!(folder.path().join("data/sidecar.db.v1.backup").exists());
    let connection = rusqlite::Connection::open(folder.path().join("data/sidecar.db")).expect("opens");
    let kept: i64 = connection.query_row("SELECT count(*) FROM streams", [], |row| row.get(0)).expect("reads");
    assert_eq!(kept, 1);
}

/// The library that makes a machine of 1970 without IPv6 for one program, if there is a C compiler.
fn old_machine(folder: &Path) -> Option<std::path::PathBuf> {
    let library = folder.join("old.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machine/old.c");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).output();
    match made {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(e) => {
            skip(&format!("there is no C compiler: {e}"));
            return None;
        }
    }
    Some(library)
}

#[tokio::test]
async fn a_machine_with_a_clock_in_1970_and_without_ipv6_serves_after_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(library) = old_machine(folder.path()) else { return };
    let library = library.to_str().expect("text");
    let output = start(folder.path(), &[("LD_PRELOAD", library), ("SIDECAR__HTTP__LISTEN", "[::1]:9995")]);
    assert_refused(&output, &["[::1]:9995", "http.listen", "Address family not supported"]);

    let check = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"))
        .arg("check")
        .env("LD_PRELOAD", library)
        .current_dir(folder.path())
        .output()
        .expect("runs");
    assert!(check.status.success(), "{check:?}");
    let told = [check.stdout, check.stderr].concat();
    assert!(String::from_utf8_lossy(&told).contains("the clock of this machine says 1970-01-01T"), "{told:?}");

    let http = format!("127.0.0.1:{}", free_port());
    let (log, mut command) = (folder.path().join("log"), Command::new(env!("CARGO_BIN_EXE_mtx-sidecar")));
    ports(&mut command);
    command.arg("serve").current_dir(folder.path()).stdin(Stdio::null());
    command.env("SIDECAR__HTTP__LISTEN", &http).env("LD_PRELOAD", library);
    command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).expect("makes"));
    let mut server = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("starts");
    let health = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
        command.arg("health").env("SIDECAR__HTTP__LISTEN", &http).current_dir(folder.path());
        command.output().is_ok_and(|output| output.status.success())
    };
    let text = || std::fs::read_to_string(&log).expect("reads");
    eventually("the server is ready", async || health()).await;
    assert!(text().contains("the clock of this machine says 1970-01-01T"), "{}", text());
    let pid = rustix::process::Pid::from_raw(server.id().expect("runs") as i32).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("ends");
    assert!(server.wait().await.expect("ends").success(), "{}", text());
}

#[test]
fn a_machine_without_fonts_is_told_by_check_which_characters_it_cannot_draw() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("sidecar.yml"), "streams: {door: {kind: test-card, overlay: [{text: 前門}]}}\n")
        .expect("writes");
    if !has_mounts() {
        return;
    }
    // Empty folders over those of fonts.
    let hide = "for place in /usr/share/fonts /usr/local/share/fonts; do [ ! -d $place ] || mount -t tmpfs none $place || exit; done";
    let script = format!("{hide}; exec '{}' check", env!("CARGO_BIN_EXE_mtx-sidecar"));
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).current_dir(folder.path()).output();
    let output = output.expect("runs");
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && told.contains("no font has a glyph") && told.contains('前'), "{told}");
}
