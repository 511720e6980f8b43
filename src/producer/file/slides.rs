//! The slides of a slideshow: which files they are, and their order.

use std::{
    cmp::{Ordering, Reverse},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use cap_std::fs::Dir;

use super::Order;
use crate::regular;

/// Most pictures in one slideshow. The rest is ignored, with a warning in the log.
const MAX_SLIDES: usize = 10_000;

/// Most entries of a folder that are read. A folder of millions would take minutes and a gigabyte.
const MAX_ENTRIES: usize = 50_000;

/// A file to show, with the attributes that change with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slide {
    pub(super) below: PathBuf,
    pub(super) modified: Option<SystemTime>,
    pub(super) length: u64,
}

/// The slides of a folder, in order.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) slides: Vec<Slide>,
    /// Pictures beyond the limit.
    pub(super) left_out: usize,
}

/// The last part of a path as a pattern, if it can be one. A file or folder of exactly this name has precedence: names that
/// browsers, phones and people give contain `[`, `*` and `?`.
pub(super) fn pattern_of(path: &Path) -> Option<Result<glob::Pattern, glob::PatternError>> {
    let name = path.file_name()?.to_string_lossy();
    name.contains(['*', '?', '[']).then(|| glob::Pattern::new(&name))
}

/// Whether a media folder has a file or folder of exactly this name.
pub(super) fn exists(root: &Dir, below: &Path) -> bool {
    root.metadata(whole(below)).is_ok()
}

/// The path of an entry, or of the media folder itself.
pub(super) fn whole(below: &Path) -> &Path {
    if below.as_os_str().is_empty() { Path::new(".") } else { below }
}

/// Whether the extension of a file name is that of a picture.
pub(in crate::producer) fn is_picture_name(name: &str) -> bool {
    let extension = Path::new(name).extension().map(|e| e.to_ascii_lowercase());
    extension.is_some_and(|e| ["jpg", "jpeg", "png", "webp", "gif", "bmp"].iter().any(|known| e == *known))
}

/// The slide after the one shown last, by the order of the slideshow. A picture that appears or disappears does not
/// restart the slideshow.
pub(super) fn after<'a>(slides: &'a [Slide], shown: Option<&Slide>, order: Order) -> &'a Slide {
    let Some(shown) = shown else { return &slides[0] };
    slides.iter().find(|slide| compare(shown, slide, order).is_lt()).unwrap_or(&slides[0])
}

fn compare(a: &Slide, b: &Slide, order: Order) -> Ordering {
    let by_name = || by_name(a).cmp(&by_name(b));
    match order {
        Order::Name => by_name(),
        Order::Newest => b.modified.cmp(&a.modified).then_with(by_name),
    }
}

fn by_name(slide: &Slide) -> Vec<(u64, String)> {
    natural(&slide.below.to_string_lossy())
}

/// A sort key that orders numbers in names by value.
pub fn natural(name: &str) -> Vec<(u64, String)> {
    let mut key = vec![];
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (before, behind) = rest.split_at(text);
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let (digits, behind) = behind.split_at(digits);
        key.push((0, before.to_lowercase()));
        key.push((digits.parse().unwrap_or(u64::MAX), digits.to_owned()));
        rest = behind;
    }
    key
}

/// The slides of a path below a media folder: of a folder, of a pattern, or the one file.
pub(super) fn slides(root: &Dir, below: &Path, order: Order) -> io::Result<Found> {
    let (folder, pattern) = match (root.metadata(whole(below)), pattern_of(below)) {
        (Ok(metadata), _) if metadata.is_dir() => (whole(below).to_owned(), None),
        (Ok(metadata), _) => {
            let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
            let slide = Slide { below: below.to_owned(), modified, length: metadata.len() };
            return Ok(Found { slides: vec![slide], left_out: 0 });
        }
        (Err(_), Some(Ok(pattern))) => (whole(below.parent().unwrap_or(Path::new(""))).to_owned(), Some(pattern)),
        (Err(e), _) => return Err(e),
    };
    let mut slides = vec![];
    for entry in root.read_dir(&folder)?.take(MAX_ENTRIES) {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let wanted = match &pattern {
            Some(pattern) => pattern.matches(&text),
            None => is_picture_name(&text),
        };
        if !wanted || text.starts_with('.') {
            continue;
        }
        // Through the root and not by `entry.metadata()`, so that a link is followed, and refused if it leads out.
        let Ok(metadata) = root.metadata(folder.join(&name)) else { continue };
        if metadata.is_file() {
            let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
            slides.push(Slide { below: folder.join(&name), modified, length: metadata.len() });
        }
    }
    match order {
        Order::Name => slides.sort_by_cached_key(by_name),
        Order::Newest => slides.sort_by_cached_key(|slide| (Reverse(slide.modified), by_name(slide))),
    }
    let left_out = slides.len().saturating_sub(MAX_SLIDES);
    slides.truncate(MAX_SLIDES);
    Ok(Found { slides, left_out })
}

/// Reads a file, at most one byte more than `max`: enough to see that it is too large.
pub(super) fn read(root: &Dir, below: &Path, max: u64) -> io::Result<Bytes> {
    let mut data = vec![];
    regular::open_below(root, below)?.take(max.saturating_add(1)).read_to_end(&mut data)?;
    Ok(data.into())
}
