use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::Store;

/// A data folder in use, with a picture and the points of a graph.
fn used() -> (tempfile::TempDir, DataFolder, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = DataFolder::open(&folder.path().join("data")).expect("makes");
    let store = Store::open(&data.database()).expect("makes");
    store.put_fact("k", "v").expect("writes");
    for (path, text) in [
        (data.frames().join("Front,Door.jpg"), "picture".to_owned()),
        (data.frames().join(format!("{}.jpg", "x".repeat(200))), "of a long name".to_owned()),
        (data.frames().join(",0123456789abcdef.tmp"), "half a pict".to_owned()),
        (data.points().join("oven.points"), "points".to_owned()),
        (data.points().join("oven.new"), "half".to_owned()),
    ] {
        data_folder::make(path.parent().expect("a folder")).expect("makes");
        fs::write(path, text).expect("writes");
    }
    (folder, data, store)
}

fn written(data: &DataFolder) -> Vec<u8> {
    let mut archive = vec![];
    write(data, data.path(), &mut archive).expect("writes");
    archive
}

/// An archive of these files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        // Not `append_data`, which refuses names that leave the folder.
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *data).expect("appends");
    }
    tar.into_inner().and_then(GzEncoder::finish).expect("writes")
}

fn manifest(format: u32) -> Vec<u8> {
    serde_json::to_vec(&Manifest { format, version: "9.0.0".into(), database: 3, made: "2026-01-01T00:00:00Z".into() })
        .expect("JSON")
}

#[test]
fn a_backup_of_a_folder_in_use_is_restored_into_another_one() {
    let (folder, data, store) = used();
    let _lock = data.lock().expect("a server uses it");
    let packed = written(&data);
    store.put_fact("k", "changed afterwards").expect("the server goes on");
    assert!(
        fs::read_dir(data.path()).expect("lists").flatten().all(|e| !e.file_name().to_string_lossy().ends_with(".new"))
    );

    let to = folder.path().join("new/data");
    let contents = restore(&to, &*packed).expect("restores");
    assert_eq!((contents.pictures, contents.graphs), (2, 1));
    let restored = DataFolder::existing(&to).expect("is there");
    assert_eq!(fs::read_to_string(restored.frames().join("Front,Door.jpg")).expect("reads"), "picture");
    assert_eq!(fs::read_to_string(restored.points().join("oven.points")).expect("reads"), "points");
    let mut names: Vec<_> = fs::read_dir(&to).expect("lists").flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["frames", "points", "sidecar.db", "sidecar.lock"]);
    for path in [restored.database(), restored.frames().join("Front,Door.jpg")] {
        assert_eq!(fs::metadata(path).expect("is there").permissions().mode() & 0o777, 0o600);
    }
    let store = Store::open(&restored.database()).expect("opens");
    assert_eq!(store.fact("k").expect("reads").as_deref(), Some("v"), "as it was at the backup");
}

#[test]
fn restoring_overwrites_nothing_and_not_under_a_server() {
    let (folder, data, store) = used();
    let packed = written(&data);
    let error = restore(data.path(), &*packed).expect_err("has a database").to_string();
    assert!(error.contains("sidecar.db exists"), "{error}");
    assert_eq!(store.fact("k").expect("reads").as_deref(), Some("v"));
    let pictures = folder.path().join("pictures");
    data_folder::make(&pictures.join("frames")).expect("makes");
    restore(&pictures, &*packed).expect("an empty folder is no obstacle");
    let other = DataFolder::open(&folder.path().join("other")).expect("makes");
    let _lock = other.lock().expect("a server uses it");
    let error = restore(other.path(), &*packed).expect_err("in use").to_string();
    assert!(error.contains("in use by pid"), "{error}");
}

#[test]
fn what_is_no_whole_backup_is_refused_and_leaves_nothing() {
    let (folder, data, _store) = used();
    let whole = written(&data);
    let cut = whole.len() / 2;
    let ours = manifest(1);
    for (name, packed, says) in [
        ("cut", whole[..cut].to_vec(), "cannot be read"),
        ("no archive", b"picture".to_vec(), "cannot be read"),
        ("empty", vec![], "cannot be read"),
        ("another archive", archive(&[("readme", b"x")]), "does not begin with"),
        ("newer", archive(&[(MANIFEST, &manifest(2))]), "made by version \"9.0.0\""),
        ("no database", archive(&[(MANIFEST, &ours)]), "has no database"),
        (
            "a foreign database",
            archive(&[(MANIFEST, &ours), ("sidecar.db", &[7; 5000])]),
            "is no database of mtx-sidecar",
        ),
        ("an empty database", archive(&[(MANIFEST, &ours), ("sidecar.db", b"")]), "is empty"),
        ("above", archive(&[(MANIFEST, &ours), ("frames/../../x.jpg", b"x")]), "it has \"frames/../../x.jpg\""),
        ("absolute", archive(&[(MANIFEST, &ours), ("/tmp/x.jpg", b"x")]), "it has \"/tmp/x.jpg\""),
        ("hidden", archive(&[(MANIFEST, &ours), ("frames/.x.jpg", b"x")]), "it has"),
        ("twice", archive(&[(MANIFEST, &ours), ("frames/x.jpg", b"x"), ("frames/x.jpg", b"x")]), "cannot be written"),
    ] {
        let to = folder.path().join("to");
        let error = restore(&to, &*packed).expect_err(name).chain();
        assert!(error.contains(says), "{name}: {error}");
        let left: Vec<_> = fs::read_dir(&to).expect("lists").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["sidecar.lock"], "{name}");
    }
    assert!(!folder.path().join("x.jpg").exists());
}

/// Its header announces a name of a terabyte; its gigabytes of zeros are some kilobytes of gzip.
#[test]
fn an_archive_whose_parts_are_larger_than_they_can_be_ends_early() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let endless = header.as_bytes().chain(io::repeat(b'x').take(1 << 22));
    let mut packed = vec![];
    flate2::read::GzEncoder::new(endless, Compression::fast()).read_to_end(&mut packed).expect("packs");
    let error = restore(&folder.path().join("to"), &*packed).expect_err("refused").chain();
    assert!(error.contains("larger than in any backup"), "{error}");
}

#[test]
fn a_link_is_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tar = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    add(&mut tar, MANIFEST, manifest(1).len() as u64, SystemTime::now(), &*manifest(1)).expect("adds");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "frames/x.jpg", "/etc/passwd").expect("adds");
    let packed = tar.into_inner().and_then(GzEncoder::finish).expect("writes");
    let error = restore(&folder.path().join("to"), &*packed).expect_err("refused").to_string();
    assert!(error.contains("is no file"), "{error}");
}
