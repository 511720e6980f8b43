use std::io::Read as _;

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
    assert!(library.create(&at("etc/new")).is_err() && library.delete(&at("etc/passwd")).is_err());
    assert!(library.locate(&Location { root: "elsewhere".into(), path: String::new() }).is_err());
    let mut text = String::new();
    let Content::File(mut file) = library.open(&at("in.jpg"), None).await.expect("opens") else { panic!("a file") };
    file.read_to_string(&mut text).expect("reads");
    assert_eq!(text, "nine");
    assert_eq!(std::fs::read_to_string(folder.path().join("secret")).expect("exists"), "secret");
}

#[tokio::test]
async fn an_upload_is_visible_only_when_it_is_complete() {
    let (folder, library) = library();
    let mut upload = library.create(&at("holiday/new.jpg")).expect("starts");
    upload.write(b"half").expect("writes");
    assert!(library.open(&at("holiday/new.jpg"), None).await.is_err(), "not complete");
    drop(upload);
    let left = std::fs::read_dir(folder.path().join("media/holiday")).expect("reads").count();
    assert_eq!(left, 0, "an aborted upload leaves no file");
    let mut upload = library.create(&at("holiday/new.jpg")).expect("starts");
    upload.write(b"whole").expect("writes");
    upload.finish().expect("finishes");
    assert_eq!(library.read(&at("holiday/new.jpg"), 10).await.expect("reads"), "whole");
    assert!(library.read(&at("holiday/new.jpg"), 4).await.is_err(), "too large");
    assert_eq!(library.create(&at("holiday/new.jpg")).map(drop).expect_err("taken").code(), Code::FileExists);
    assert_eq!(library.delete(&at("holiday")).expect_err("not empty").code(), Code::FileExists);
    library.delete(&at("holiday/new.jpg")).expect("deletes");
    library.delete(&at("holiday")).expect("deletes");
    assert_eq!(library.delete(&at("holiday")).expect_err("gone").code(), Code::UnknownFile);
}
