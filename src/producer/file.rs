//! A picture file in a media folder, or a folder or pattern of picture files as a slideshow.

mod roots;
mod slides;

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use notify::{RecursiveMode, Watcher};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until},
};
use utoipa::ToSchema;

pub(super) use self::slides::is_picture_name;
use self::slides::{Found, Slide, after, exists, pattern_of, read, slides};
pub use self::{roots::MediaRoots, slides::natural};
use super::ProducerContext;
use crate::{
    error::{Cause, Code, Error, Result},
    nas::NasSettings,
    picture::{Picture, PictureLimits},
    stream::{FrameSink, Producer, ProducerFuture, Run, StreamName},
    units::HumanDuration,
};

/// Pause between checks for changes. They are needed beside notices, because inotify does not report changes that
/// another machine makes on a network mount. A check costs one `stat` for each watched file.
const LOOK_EVERY: Duration = Duration::from_secs(2);

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
    if path.is_absolute() && !context.media.contains(path) {
        return refuse("path", format!("{} is in none of the media folders (media.roots)", settings.path));
    }
    if let Some(Err(e)) = pattern_of(path)
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

/// Shows the slides in turn. Shows a single slide again whenever it changes.
async fn show(settings: &Settings, roots: &MediaRoots, sink: &FrameSink, limits: PictureLimits) -> Result<()> {
    let path = Path::new(&settings.path);
    let unreadable =
        |e: Error| Error::new(e.code(), format!("{} cannot be read: {e}", settings.path)).because(e.cause());
    let watched = roots.run(path, |dir, root, below| {
        let watched = if exists(dir, below) { below } else { below.parent().unwrap_or(below) };
        Ok(Changes::watch(&root.join(watched)))
    });
    let mut changes = watched.await.map_err(unreadable)?;
    let mut shown: Option<Slide> = None;
    let mut is_warned = false;
    loop {
        let order = settings.order;
        let found =
            roots.run(path, move |dir, root, below| Ok((slides(dir, below, order)?, std::path::absolute(root)?)));
        let (slides, root) = match found.await {
            Ok((Found { slides, left_out }, root)) if !slides.is_empty() => {
                if left_out > 0 && !std::mem::replace(&mut is_warned, true) {
                    let (path, shown) = (&settings.path, slides.len());
                    tracing::warn!("{path} has more pictures than a slideshow shows; it has the first {shown}");
                }
                (slides, root)
            }
            result => {
                let why = match result {
                    Ok(_) => Error::new(Code::Unavailable, format!("{} contains no picture", settings.path))
                        .because(Cause::UnknownFile),
                    Err(e) => unreadable(e),
                };
                if shown.is_none() {
                    return Err(why);
                }
                sink.report_problem(why.to_string());
                changes.next(Instant::now() + LOOK_EVERY).await;
                continue;
            }
        };
        let many = slides.len() > 1;
        let slide = after(&slides, shown.as_ref(), settings.order).clone();
        if many || shown.as_ref() != Some(&slide) {
            // In the folder in which it was found: another one can have a file of the same name.
            let (file, max) = (root.join(&slide.below), limits.frame_size.0);
            let picture = match roots.run(&file, move |dir, _, below| read(dir, below, max)).await {
                Ok(data) => Picture::from_upload(data, &limits).await.map(|picture| taken_at(picture, slide.modified)),
                Err(e) => Err(Error::new(e.code(), format!("cannot be read: {e}")).because(e.cause())),
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

fn taken_at(picture: Picture, modified: Option<SystemTime>) -> Picture {
    match modified {
        Some(modified) => picture.captured_at(modified),
        None => picture,
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
