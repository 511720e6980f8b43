use std::{os::unix::fs::PermissionsExt, time::UNIX_EPOCH};

use super::*;
use crate::picture::{Frame, Reserved, testing};

fn frame(number: u32) -> SharedFrame {
    let jpeg = testing::photo_numbered(16, 16, number).into();
    let captured_at = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + u64::from(number));
    let picture = Picture { jpeg, width: 16, height: 16, captured_at };
    Arc::new(Frame::new(&picture, 1, false, Reserved::default()))
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).expect("a name")
}

fn open(folder: &Path) -> Store {
    Store::open(folder, Durability::Background).expect("opens")
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("lists").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_last_picture_is_found_before_and_after_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let frames = folder.path().join("frames");
    let (limits, name) = (PictureLimits::default(), name("Front/Door.1"));
    let store = open(&frames);
    store.keep(&name, frame(1));
    store.keep(&name, frame(2));
    assert_eq!(store.load(&name, &limits).await.expect("waiting").jpeg, frame(2).jpeg());
    store.write_waiting().await;
    assert!(store.0.waiting.lock().is_empty());
    assert_eq!(files(&frames), ["Front,Door.1.jpg"]);
    let mode = fs::metadata(frames.join("Front,Door.1.jpg")).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for the owner only");

    let reopened = open(&frames);
    assert_eq!(reopened.names(), std::slice::from_ref(&name));
    let kept = reopened.load(&name, &limits).await.expect("kept");
    assert_eq!((kept.jpeg, kept.captured_at), (frame(2).jpeg(), frame(2).captured_at));

    reopened.forget(&name);
    assert!(reopened.load(&name, &limits).await.is_none(), "no longer found, before the file is deleted");
    reopened.write_waiting().await;
    assert!(reopened.names().is_empty());
}

#[tokio::test]
async fn damaged_and_foreign_files_are_ignored_and_temporary_ones_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = name("cam");
    fs::write(folder.path().join("cam.jpg"), &testing::photo(16, 16)[..200]).expect("writes");
    for file in ["not a name!.jpg", ",1.tmp", ",0123456789abcdef.tmp", ",notes.tmp"] {
        fs::write(folder.path().join(file), "x").expect("writes");
    }
    let store = open(folder.path());
    assert_eq!(store.names(), std::slice::from_ref(&name));
    assert!(store.load(&name, &PictureLimits::default()).await.is_none());
    assert_eq!(files(folder.path()), [",notes.tmp", "cam.jpg", "not a name!.jpg"]);
}

/// A folder in the place of the file stands for every disk that refuses a write.
#[tokio::test(start_paused = true)]
async fn a_failed_write_is_repeated_until_the_newest_picture_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, cam, other) = (open(folder.path()), name("cam"), name("other"));
    let file = folder.path().join("cam.jpg");
    fs::create_dir(&file).expect("makes");
    let writer = tokio::spawn({
        let store = store.clone();
        async move { store.write_forever().await }
    });
    store.keep(&cam, frame(1));
    while store.counts().1 < 3 {
        sleep(Duration::from_millis(100)).await;
    }
    let fault = store.fault().expect("a fault");
    assert_eq!(fault.streams, 1);
    assert!(fault.reason.contains("not kept for a restart"), "{fault:?}");
    assert_eq!(files(folder.path()), ["cam.jpg"], "a failed write leaves no temporary file");
    // Another stream is written meanwhile, and the failing one gets a newer picture.
    store.keep(&other, frame(7));
    store.keep(&cam, frame(2));
    while store.counts().0 == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    fs::remove_dir(&file).expect("removes");
    while store.fault().is_some() {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fs::read(&file).expect("kept"), frame(2).jpeg());
    assert!(store.0.waiting.lock().is_empty());
    writer.abort();
}

#[tokio::test]
async fn an_upload_is_acknowledged_when_its_picture_is_on_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), Durability::Ack).expect("opens");
    let cam = name("cam");
    store.keep(&cam, frame(1));
    store.acknowledge(&cam).await.expect("kept");
    assert_eq!(fs::read(folder.path().join("cam.jpg")).expect("kept"), frame(1).jpeg());
    // Nothing is pending now, because another writer was faster.
    store.acknowledge(&cam).await.expect("kept");
    let other = name("other");
    fs::create_dir(folder.path().join("other.jpg")).expect("makes");
    store.keep(&other, frame(2));
    let error = store.acknowledge(&other).await.expect_err("not kept");
    assert_eq!(error.code(), Code::Internal, "{error}");
}
