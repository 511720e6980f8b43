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

fn names(slides: io::Result<Vec<Slide>>) -> Vec<String> {
    slides.expect("readable").into_iter().map(|s| s.below.display().to_string()).collect()
}

#[test]
fn folders_and_patterns_list_pictures_in_their_order() {
    let (_outside, roots) = media();
    let list = |path: &str| names(slides(&roots, Path::new(path), Order::Name));
    assert_eq!(
        list("show"),
        ["show/2.JPG", "show/3.jpg", "show/10.jpg"],
        "the link that leads out of the folder is ignored"
    );
    assert_eq!(list("show/*.jpg"), ["show/3.jpg", "show/10.jpg"]);
    assert_eq!(list("one.jpg"), ["one.jpg"]);
    assert_eq!(list("o*"), ["./one.jpg"]);
    assert!(list("show/*.txt").len() == 1 && list("show/z*").is_empty());
}

#[test]
fn a_name_that_exists_is_no_pattern() {
    let (outside, roots) = media();
    let root = outside.path().join("media");
    std::fs::create_dir_all(root.join("holiday [2019]")).expect("makes");
    let names_of_people =
        ["photo[1].jpg", "what?.jpg", "a*b.jpg", "[half.jpg", "{x}.jpg", "holiday [2019]/a[1].jpg", "photo1.jpg"];
    for (n, name) in names_of_people.iter().enumerate() {
        std::fs::write(root.join(name), [n as u8]).expect("writes");
    }
    for (n, name) in names_of_people.iter().enumerate() {
        assert_eq!(names(slides(&roots, Path::new(name), Order::Name)), [*name]);
        assert_eq!(read(&roots, Path::new(name), 10).expect(name), [n as u8][..], "{name}");
        let absolute = root.join(name);
        assert_eq!(read(&roots, &absolute, 10).expect(name), [n as u8][..], "{}", absolute.display());
    }
    assert_eq!(
        names(slides(&roots, Path::new("holiday [2019]"), Order::Name)),
        ["holiday [2019]/a[1].jpg"],
        "a folder"
    );
    assert_eq!(names(slides(&roots, Path::new("holiday [2019]/*.jpg"), Order::Name)), ["holiday [2019]/a[1].jpg"]);
    std::fs::remove_file(root.join("photo[1].jpg")).expect("removes");
    assert_eq!(names(slides(&roots, Path::new("photo[1].jpg"), Order::Name)), ["./photo1.jpg"], "and else a pattern");
}

/// CWE-22, CWE-59: ways out that attackers try.
#[test]
fn nothing_leads_out_of_the_media_folders() {
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
        assert!(read(&roots, Path::new(path), 1 << 20).is_err(), "{path} was read");
        assert!(slides(&roots, Path::new(path), Order::Name).is_err(), "{path} was listed");
    }
    let inside = outside.path().join("media/one.jpg");
    read(&roots, &inside, 1 << 20).expect("an absolute path inside a media folder");
}

#[test]
fn a_slideshow_continues_when_pictures_appear_and_disappear() {
    let slide = |name: &str| Slide { below: name.into(), modified: None, length: 0 };
    let slides: Vec<_> = ["a", "c", "d"].map(slide).to_vec();
    let next = |shown: &str| after(&slides, Some(&slide(shown)), Order::Name).below.display().to_string();
    assert_eq!((&*next("a"), &*next("b"), &*next("d")), ("c", "c", "a"));
    assert_eq!(after(&slides, None, Order::Name).below, Path::new("a"));
}
