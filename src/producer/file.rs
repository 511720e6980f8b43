//! A picture file in a media folder, or a folder or pattern of picture files as a slideshow.

use std::{
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use cap_std::{ambient_authority, fs::Dir};
use notify::{RecursiveMode, Watcher};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until},
};
use utoipa::ToSchema;

use super::ProducerContext;
use crate::{
    blocking::files,
    error::{Code, Error, Result},
    nas::NasSettings,
    picture::{Picture, PictureLimits},
    stream::{FrameSink, Producer, ProducerFuture, Run, StreamName},
    units::HumanDuration,
};

/// Pause between checks for changes. They are needed beside notices, because inotify does not report changes that
/// another machine makes on a network mount. A check costs one `stat` for each watched file.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Most pictures in one slideshow. The rest is ignored, with a warning in the log.
const MAX_SLIDES: usize = 10_000;

/// The folders from which files may be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaSettings {
    /// The folders, in the order in which relative paths are searched.
    pub roots: Vec<PathBuf>,
    /// Folders on NAS.
    pub nas: Vec<NasSettings>,
}

impl Default for MediaSettings {
    fn default() -> Self {
        MediaSettings { roots: vec!["media".into()], nas: vec![] }
    }
}

/// Opens files in the media folders only. Neither `..` nor a symbolic link leads out, because the kernel resolves
/// paths beneath the folder (`openat2` with `RESOLVE_BENEATH`).
#[derive(Clone, Debug)]
pub struct MediaRoots(Arc<Vec<PathBuf>>);

impl MediaRoots {
    /// The roots of the settings.
    pub fn new(settings: &MediaSettings) -> Self {
        MediaRoots(Arc::new(settings.roots.clone()))
    }

    /// Finds what a path means. A relative path is searched in each root; an absolute path must begin with the path of a
    /// root. A file or folder of exactly this name wins in every root, because names of people contain `[`, `*` and `?`;
    /// only otherwise is the last part a pattern.
    fn locate(&self, path: &Path) -> io::Result<Located> {
        let mut first_error = None;
        for as_pattern in [false, true] {
            if as_pattern && !has_pattern(path.file_name()) {
                break;
            }
            for root in self.0.iter() {
                let below = if path.is_absolute() {
                    let Some(below) = strip_root(path, root) else { continue };
                    below
                } else {
                    path.to_owned()
                };
                // For a pattern its folder, otherwise the path itself.
                let there = if as_pattern { below.parent().unwrap_or(Path::new("")).to_owned() } else { below.clone() };
                let there = if there.as_os_str().is_empty() { PathBuf::from(".") } else { there };
                let pattern = as_pattern.then(|| pattern_of(&below).ok_or(io::ErrorKind::NotFound)).transpose();
                let found = Dir::open_ambient_dir(root, ambient_authority()).and_then(|dir| {
                    dir.metadata(&there)?;
                    Ok(Located { dir, root: root.clone(), pattern: pattern?, there, below })
                });
                match found {
                    Ok(located) => return Ok(located),
                    Err(e) => first_error = first_error.or(Some(e)),
                }
            }
        }
        Err(first_error
            .unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the path is in none of the media folders")))
    }

    /// Whether a file or folder of exactly this name exists.
    fn has(&self, path: &Path) -> bool {
        self.locate(path).is_ok_and(|located| located.pattern.is_none())
    }
}

/// What a path means.
struct Located {
    /// The media folder, opened, and its path.
    dir: Dir,
    root: PathBuf,
    /// The path below it.
    below: PathBuf,
    /// The file or folder that exists: for a pattern its folder, otherwise `below`.
    there: PathBuf,
    /// The names of the files, if the path is a pattern.
    pattern: Option<glob::Pattern>,
}

fn strip_root(path: &Path, root: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(root).ok()?;
    path.strip_prefix(&absolute).or_else(|_| path.strip_prefix(root)).map(Path::to_owned).ok()
}

/// The files of the stream, and the pace of its slideshow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FileDefinition)]
pub struct Settings {
    /// A picture, a folder, or a pattern such as `holiday/*.jpg`; relative to a media folder, or absolute inside one. A file or
    /// folder of exactly this name has precedence over a pattern.
    pub path: String,
    /// How long a slideshow shows each picture.
    #[serde(default = "default_interval", alias = "every")]
    #[schema(value_type = String, example = "5s")]
    pub interval: HumanDuration,
    /// The order of a slideshow.
    #[serde(default)]
    pub order: Order,
}

impl Settings {
    /// Shows this path, with all other settings at their defaults.
    pub fn new(path: String) -> Self {
        Settings { path, interval: default_interval(), order: Order::default() }
    }
}

fn default_interval() -> HumanDuration {
    HumanDuration::secs(5)
}

/// The order of a slideshow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// By name, with numbers by value: `2.jpg` before `10.jpg`.
    #[default]
    Name,
    /// Newest first.
    Newest,
}

pub(super) fn producer(
    settings: &Settings,
    _name: &StreamName,
    context: &ProducerContext,
) -> Result<Arc<dyn Producer>> {
    let refuse = |field: &'static str, rule: String| {
        Err(Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field))
    };
    if settings.path.is_empty() {
        return refuse("path", "must not be empty".into());
    }
    let path = Path::new(&settings.path);
    if path.components().any(|c| c == Component::ParentDir) {
        return refuse("path", "must not contain ..".into());
    }
    if path.is_absolute() && !context.media.0.iter().any(|root| strip_root(path, root).is_some()) {
        return refuse("path", format!("{} is in none of the media folders (media.roots)", settings.path));
    }
    if has_pattern(path.file_name())
        && let Err(e) = glob::Pattern::new(&name_of(path))
        && !context.media.has(path)
    {
        return refuse("path", format!("the pattern is not valid, and no file has this name: {e}"));
    }
    // Brackets alone are taken for a part of the folder's name.
    if let Some(folder) = path.parent()
        && folder.to_string_lossy().contains(['*', '?'])
        && !context.media.has(folder)
    {
        return refuse("path", "only the last part can be a pattern".into());
    }
    if !(HumanDuration::millis(40)..=HumanDuration::secs(86_400)).contains(&settings.interval) {
        return refuse("interval", format!("must be from 40ms to 1day, not {}", settings.interval));
    }
    Ok(Arc::new(File { settings: settings.clone(), roots: context.media.clone(), limits: context.limits }))
}

fn has_pattern(name: Option<&std::ffi::OsStr>) -> bool {
    name.is_some_and(|name| name.to_string_lossy().contains(['*', '?', '[']))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn pattern_of(path: &Path) -> Option<glob::Pattern> {
    glob::Pattern::new(&name_of(path)).ok()
}

struct File {
    settings: Settings,
    roots: MediaRoots,
    limits: PictureLimits,
}

impl Producer for File {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn ages(&self) -> bool {
        false
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let (settings, roots, limits) = (self.settings.clone(), self.roots.clone(), self.limits);
        Box::pin(async move {
            tokio::select! {
                () = run.stop.cancelled() => Ok(()),
                end = show(&settings, &roots, &run.sink, limits) => end,
            }
        })
    }
}

/// A file to show, with the attributes that change with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slide {
    below: PathBuf,
    modified: Option<SystemTime>,
    length: u64,
}

/// Shows the slides in turn. Shows a single slide again whenever it changes.
async fn show(settings: &Settings, roots: &MediaRoots, sink: &FrameSink, limits: PictureLimits) -> Result<()> {
    let path = PathBuf::from(&settings.path);
    let missing =
        |e: io::Error| Error::new(Code::Unavailable, format!("{} cannot be read: {}", settings.path, plain(&e)));
    let found = roots.locate(&path).map_err(missing)?;
    let mut changes = Changes::watch(&found.root.join(&found.there));
    let mut shown: Option<Slide> = None;
    loop {
        let (from, wanted, order) = (roots.clone(), path.clone(), settings.order);
        let slides = files().run(move || Ok(slides(&from, &wanted, order))).await?;
        let slides = match slides {
            Ok(slides) if !slides.is_empty() => slides,
            result => {
                let why = match result {
                    Ok(_) => format!("{} contains no picture", settings.path),
                    Err(e) => format!("{} cannot be read: {}", settings.path, plain(&e)),
                };
                if shown.is_none() {
                    return Err(Error::new(Code::Unavailable, why));
                }
                sink.report_problem(why);
                changes.next(Instant::now() + LOOK_EVERY).await;
                continue;
            }
        };
        let many = slides.len() > 1;
        let slide = after(&slides, shown.as_ref(), settings.order).clone();
        if many || shown.as_ref() != Some(&slide) {
            let (from, file, max) = (roots.clone(), slide.below.clone(), limits.frame_size.0);
            let picture = match files().run(move || read(&from, &file, max)).await {
                Ok(data) => Picture::from_upload(data, &limits).await.map(|picture| taken_at(picture, slide.modified)),
                Err(e) => Err(e),
            };
            match picture.and_then(|picture| sink.publish(&picture).map(drop)) {
                Ok(()) => {}
                // The file is perhaps half-written. Another notice arrives when it is complete.
                Err(e) if shown.is_some() || many => sink.report_problem(format!("{}: {e}", slide.below.display())),
                Err(e) => return Err(Error::new(e.code(), format!("{}: {e}", slide.below.display()))),
            }
            shown = Some(slide);
        }
        if many {
            // The slideshow keeps its pace. A changed file is read when its turn comes.
            tokio::time::sleep(*settings.interval).await;
        } else {
            changes.next(Instant::now() + LOOK_EVERY).await;
        }
    }
}

/// The slide after the one shown last, by the order of the slideshow. A picture that appears or disappears does not
/// restart the slideshow.
fn after<'a>(slides: &'a [Slide], shown: Option<&Slide>, order: Order) -> &'a Slide {
    let Some(shown) = shown else { return &slides[0] };
    slides.iter().find(|slide| compare(shown, slide, order).is_lt()).unwrap_or(&slides[0])
}

fn compare(a: &Slide, b: &Slide, order: Order) -> std::cmp::Ordering {
    let by_name = || natural(&a.below.to_string_lossy()).cmp(&natural(&b.below.to_string_lossy()));
    match order {
        Order::Name => by_name(),
        Order::Newest => b.modified.cmp(&a.modified).then_with(by_name),
    }
}

/// A sort key that orders numbers in names by value.
pub fn natural(name: &str) -> Vec<(u64, String)> {
    let mut key = vec![];
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (before, behind) = rest.split_at(text);
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        key.push((0, before.to_lowercase()));
        key.push((behind[..digits].parse().unwrap_or(u64::MAX), behind[..digits].to_owned()));
        rest = &behind[digits..];
    }
    key
}

fn slides(roots: &MediaRoots, path: &Path, order: Order) -> io::Result<Vec<Slide>> {
    let Located { dir: root, below, there: folder, pattern, .. } = roots.locate(path)?;
    if pattern.is_none() {
        let metadata = root.metadata(&folder)?;
        if !metadata.is_dir() {
            let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
            return Ok(vec![Slide { below, modified, length: metadata.len() }]);
        }
    }
    let mut slides = vec![];
    for entry in root.read_dir(&folder)? {
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
    slides.sort_by(|a, b| compare(a, b, order));
    if slides.len() > MAX_SLIDES {
        tracing::warn!(
            "{} contains {} pictures; the slideshow has the first {MAX_SLIDES}",
            path.display(),
            slides.len()
        );
        slides.truncate(MAX_SLIDES);
    }
    Ok(slides)
}

/// Whether the extension of a file name is that of a picture.
pub(super) fn is_picture_name(name: &str) -> bool {
    let extension = Path::new(name).extension().map(|e| e.to_ascii_lowercase());
    extension.is_some_and(|e| ["jpg", "jpeg", "png", "webp", "gif", "bmp"].iter().any(|known| e == *known))
}

/// Reads a file, at most one byte more than `max`: enough to see that it is too large.
fn read(roots: &MediaRoots, path: &Path, max: u64) -> Result<Bytes> {
    let unreadable = |e: io::Error| Error::new(Code::Unavailable, format!("cannot be read: {}", plain(&e)));
    let found = roots.locate(path).map_err(unreadable)?;
    let file = found.dir.open(&found.there).map_err(unreadable)?;
    let mut data = vec![];
    file.take(max + 1).read_to_end(&mut data).map_err(unreadable)?;
    Ok(data.into())
}

fn taken_at(picture: Picture, modified: Option<SystemTime>) -> Picture {
    match modified {
        Some(modified) => picture.captured_at(modified),
        None => picture,
    }
}

fn plain(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder in the media folders".into(),
        io::ErrorKind::PermissionDenied => "permission denied, or a link leads out of the media folders".into(),
        _ => e.to_string(),
    }
}

/// Notices of changes below a path, if the system has them.
struct Changes {
    notices: mpsc::Receiver<()>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Changes {
    fn watch(path: &Path) -> Self {
        let (send, notices) = mpsc::channel(1);
        let handler = move |event: notify::Result<notify::Event>| {
            // The channel is full when a notice waits already.
            if event.is_ok_and(|e| !e.kind.is_access()) {
                let _ = send.try_send(());
            }
        };
        // The folder and not the file: an editor writes another file and renames it, and a watch on the file would
        // stay with the removed file.
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(e) = &watcher {
            tracing::debug!("no change notices for {}: {e}", folder.display());
        }
        Changes { notices, _watcher: watcher.ok() }
    }

    /// Returns at a notice, and at `due` at the latest.
    async fn next(&mut self, due: Instant) {
        tokio::select! {
            Some(()) = self.notices.recv() => {}
            () = sleep_until(due) => {}
        }
    }
}

#[cfg(test)]
mod tests;
