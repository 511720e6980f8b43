use super::*;
use crate::picture::testing;

fn media() -> (tempfile::TempDir, MediaRoots) {
    let outside = tempfile::tempdir().expect("a folder");
    let root = outside.path().join("media");
    std::fs::create_dir_all(root.join("show")).expect("makes");
    std::fs::write(outside.path().join("secret.jpg"), testing::photo(16, 16)).expect("writes");
    for name in ["one.jpg", "show/10.jpg", "show/2.JPG", "show/notes.txt", "show/.hidden.jpg"] {
        std::fs::write(root.join(name), testing::photo(16, 16)).expect("writes");
    }
    std::os::unix::fs::symlink("../one.jpg", root.join("show/3.jpg")).expect("links");
    std::os::unix::fs::symlink("../../secret.jpg", root.join("show/4.jpg")).expect("links");
    std::os::unix::fs::symlink("/etc", root.join("etc")).expect("links");
    let roots = MediaRoots::new(&MediaSettings { roots: vec![root], ..<_>::default() });
    (outside, roots)
}

async fn list(roots: &MediaRoots, path: &str) -> Result<Vec<String>> {
    let found = roots.run(Path::new(path), |dir, _, below| slides(dir, below, Order::Name)).await?;
    Ok(found.slides.into_iter().map(|s| s.below.display().to_string()).collect())
}

async fn content(roots: &MediaRoots, path: &Path) -> Result<bytes::Bytes> {
    roots.run(path, |dir, _, below| read(dir, below, 1 << 20)).await
}

#[tokio::test]
async fn folders_and_patterns_list_pictures_in_their_order() {
    let (_outside, roots) = media();
    let list = async |path: &str| list(&roots, path).await.expect("readable");
    assert_eq!(
        list("show").await,
        ["show/2.JPG", "show/3.jpg", "show/10.jpg"],
        "the link that leads out of the folder is ignored"
    );
    assert_eq!(list("show/*.jpg").await, ["show/3.jpg", "show/10.jpg"]);
    assert_eq!(list("one.jpg").await, ["one.jpg"]);
    assert_eq!(list("o*").await, ["./one.jpg"]);
    assert!(list("show/*.txt").await.len() == 1 && list("show/z*").await.is_empty());
}

#[tokio::test]
async fn a_name_that_exists_is_no_pattern() {
    let (outside, roots) = media();
    let root = outside.path().join("media");
    std::fs::create_dir_all(root.join("holiday [2019]")).expect("makes");
    let names_of_people =
        ["photo[1].jpg", "what?.jpg", "a*b.jpg", "[half.jpg", "{x}.jpg", "holiday [2019]/a[1].jpg", "photo1.jpg"];
    for (n, name) in names_of_people.iter().enumerate() {
        std::fs::write(root.join(name), [n as u8]).expect("writes");
    }
    for (n, name) in names_of_people.iter().enumerate() {
        assert_eq!(list(&roots, name).await.expect(name), [*name]);
        for path in [PathBuf::from(name), root.join(name)] {
            assert_eq!(content(&roots, &path).await.expect(name), [n as u8][..], "{}", path.display());
        }
    }
    for folder in ["holiday [2019]", "holiday [2019]/*.jpg"] {
        assert_eq!(list(&roots, folder).await.expect(folder), ["holiday [2019]/a[1].jpg"], "{folder}");
    }
    std::fs::remove_file(root.join("photo[1].jpg")).expect("removes");
    assert_eq!(list(&roots, "photo[1].jpg").await.expect("a pattern"), ["./photo1.jpg"]);
}

/// CWE-22, CWE-59: ways out that attackers try.
#[tokio::test]
async fn nothing_leads_out_of_the_media_folders() {
    let (outside, roots) = media();
    let secret = outside.path().join("secret.jpg");
    for path in [
        "../secret.jpg",
        "show/../../secret.jpg",
        "show/4.jpg",
        "etc/passwd",
        "etc",
        "/etc/passwd",
        &secret.to_string_lossy(),
    ] {
        assert!(content(&roots, Path::new(path)).await.is_err(), "{path} was read");
        assert!(list(&roots, path).await.is_err(), "{path} was listed");
    }
    let inside = outside.path().join("media/one.jpg");
    content(&roots, &inside).await.expect("an absolute path inside a media folder");
}

/// A FIFO would keep its reader waiting for a writer without end.
#[tokio::test]
async fn a_fifo_that_is_named_like_a_picture_is_refused_and_no_slide() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let (outside, roots) = media();
    let fifo = outside.path().join("media/show/1.jpg");
    mknodat(CWD, fifo, FileType::Fifo, Mode::RUSR, 0).expect("makes a FIFO");
    let error = content(&roots, Path::new("show/1.jpg")).await.expect_err("refused");
    assert!(error.to_string().contains("a FIFO, and only regular files are read"), "{error}");
    assert!(!list(&roots, "show").await.expect("readable").contains(&"show/1.jpg".to_owned()));
}

#[test]
fn a_slideshow_continues_when_pictures_appear_and_disappear() {
    let slide = |name: &str| Slide { below: name.into(), modified: None, length: 0 };
    let slides: Vec<_> = ["a", "c", "d"].map(slide).to_vec();
    let next = |shown: &str| after(&slides, Some(&slide(shown)), Order::Name).below.display().to_string();
    assert_eq!((&*next("a"), &*next("b"), &*next("d")), ("c", "c", "a"));
    assert_eq!(after(&slides, None, Order::Name).below, Path::new("a"));
}
