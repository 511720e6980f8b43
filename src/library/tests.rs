use super::*;

fn library() -> (tempfile::TempDir, Library) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("media");
    std::fs::create_dir_all(root.join("holiday")).expect("makes");
    for (name, data) in [
        ("media/10.jpg", "ten"),
        ("media/9.jpg", "nine"),
        ("media/clip.mp4", "clip"),
        ("media/.hidden", "x"),
        ("secret", "secret"),
    ] {
        std::fs::write(folder.path().join(name), data).expect("writes");
    }
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, root.join(name)).expect("links");
    link("../secret", "out");
    link("/etc", "etc");
    link("9.jpg", "in.jpg");
    let settings = MediaSettings { roots: vec![root, folder.path().join("other/media")], ..<_>::default() };
    let library = Library::new(&settings, &AllNas::default());
    (folder, library)
}

fn at(path: &str) -> Location {
    Location { root: "media".into(), path: path.into() }
}

#[tokio::test]
async fn folders_are_listed_in_parts_and_by_kind() {
    let (_folder, library) = library();
    let roots = library.roots().await;
    let names: Vec<_> = roots.iter().map(|root| (root.name.as_str(), root.available)).collect();
    assert_eq!(names, [("media", true), ("media-2", false)]);
    let list = async |kinds, start, limit| {
        let listing = library.list(&at(""), kinds, start, limit).await.expect("lists");
        (listing.total, listing.entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>())
    };
    // Without the links that lead out of the folder.
    assert_eq!(
        list(None, 0, 100).await,
        (5, ["holiday", "9.jpg", "10.jpg", "clip.mp4", "in.jpg"].map(String::from).to_vec())
    );
    assert_eq!(list(Some(FileKind::Picture), 1, 2).await, (4, ["9.jpg", "10.jpg"].map(String::from).to_vec()));
    assert!(list(None, 99, 5).await.1.is_empty());
}

#[tokio::test]
async fn no_file_outside_of_a_media_folder_is_opened_written_or_deleted() {
    let (folder, library) = library();
    for path in ["../secret", "holiday/../../secret", "/etc/passwd", "..", "./9.jpg/..", "a\0b"] {
        assert!(library.locate(&at(path)).is_err(), "{path:?}");
    }
    for path in ["out", "etc/passwd", "etc", "holiday", "none", ""] {
        assert!(library.open(&at(path), None).await.is_err(), "{path}");
    }
    assert!(library.create(&at("etc/new")).await.is_err() && library.delete(&at("etc/passwd")).await.is_err());
    assert!(library.locate(&Location { root: "elsewhere".into(), path: String::new() }).is_err());
    let Content::File(file) = library.open(&at("in.jpg"), None).await.expect("opens") else { panic!("a file") };
    assert_eq!(file.read_at(1, 100).await.expect("reads"), "ine");
    assert_eq!(std::fs::read_to_string(folder.path().join("secret")).expect("exists"), "secret");
}

#[tokio::test]
async fn an_upload_is_visible_only_when_it_is_complete() {
    let (folder, library) = library();
    let begin = async || library.create(&at("holiday/new.jpg")).await;
    let mut upload = begin().await.expect("starts");
    upload.write("half".into()).await.expect("writes");
    assert!(library.open(&at("holiday/new.jpg"), None).await.is_err(), "not complete");
    assert_eq!(library.list(&at("holiday"), None, 0, 10).await.expect("lists").total, 0, "not listed");
    drop(upload);
    let holiday = folder.path().join("media/holiday");
    let began = std::time::Instant::now();
    while std::fs::read_dir(&holiday).expect("reads").count() > 0 {
        assert!(began.elapsed().as_secs() < 20, "an aborted upload leaves no file");
        tokio::task::yield_now().await;
    }
    let mut upload = begin().await.expect("starts");
    upload.write("whole".into()).await.expect("writes");
    upload.finish().await.expect("finishes");
    assert_eq!(std::fs::read_dir(&holiday).expect("reads").count(), 1, "without the temporary name");
    assert_eq!(library.read(&at("holiday/new.jpg"), 10).await.expect("reads"), "whole");
    assert!(library.read(&at("holiday/new.jpg"), 4).await.is_err(), "too large");
    assert_eq!(begin().await.map(drop).expect_err("taken").code(), Code::FileExists);
    assert_eq!(library.delete(&at("holiday")).await.expect_err("not empty").code(), Code::FileExists);
    library.delete(&at("holiday/new.jpg")).await.expect("deletes");
    library.delete(&at("holiday")).await.expect("deletes");
    assert_eq!(library.delete(&at("holiday")).await.expect_err("gone").code(), Code::UnknownFile);
}

/// A FIFO would keep its reader waiting for a writer without end, and a device can do anything.
#[tokio::test]
async fn only_regular_files_are_opened_and_listed() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let (folder, library) = library();
    let holiday = folder.path().join("media/holiday");
    mknodat(CWD, holiday.join("fifo.jpg"), FileType::Fifo, Mode::RUSR, 0).expect("makes a FIFO");
    let _socket = std::os::unix::net::UnixListener::bind(holiday.join("socket.jpg")).expect("binds");
    for (file, says) in [("fifo.jpg", "a FIFO"), ("socket.jpg", "a socket")] {
        let path = at(&format!("holiday/{file}"));
        for error in [library.open(&path, None).await.map(drop), library.read(&path, 10).await.map(drop)] {
            let error = error.expect_err(file);
            assert_eq!(error.code(), Code::UnknownFile);
            assert!(error.to_string().contains(says) && error.to_string().contains(file), "{error}");
        }
    }
    assert_eq!(library.list(&at("holiday"), None, 0, 10).await.expect("lists").total, 0);
}
