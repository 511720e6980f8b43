//! Pictures that a peer uploads, and [`Store`], which keeps the last picture of each stream on disk.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Duration};
use utoipa::ToSchema;

use super::ProducerContext;
use crate::{
    blocking::files,
    error::{Error, Result},
    picture::{Picture, PictureLimits, SharedFrame},
    stream::{Mode, Producer, ProducerFuture, Run, StreamName},
};

/// An upload stream has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UploadDefinition)]
pub struct Settings {}

pub(super) fn producer(
    _settings: &Settings,
    _name: &StreamName,
    context: &ProducerContext,
) -> Result<Arc<dyn Producer>> {
    Ok(Arc::new(Upload { store: context.uploads.clone(), limits: context.limits }))
}

struct Upload {
    store: Store,
    limits: PictureLimits,
}

impl Producer for Upload {
    fn kind(&self) -> &'static str {
        "upload"
    }

    fn mode(&self) -> Mode {
        Mode::Pushed
    }

    fn reloads(&self) -> bool {
        self.store.is_persistent()
    }

    /// Brings back the picture kept on disk. New pictures come from the upload routes and not from this producer.
    fn run(&self, run: Run) -> ProducerFuture {
        let (store, limits) = (self.store.clone(), self.limits);
        Box::pin(async move {
            if run.sink.latest().is_none()
                && let Some(picture) = store.load(&run.name, &limits).await
                && run.sink.latest().is_none()
            {
                run.sink.publish(&picture)?;
            }
            if run.sink.latest().is_some() {
                run.sink.still_current();
            }
            run.stop.cancelled().await;
            Ok(())
        })
    }
}

/// Pause between writes. A stream that gets 15 uploads a second writes only its last picture, because SD cards wear
/// out.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Keeps the last uploaded picture of each stream in a file, which a background task writes. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    /// The folder of the files; none keeps nothing.
    folder: Option<PathBuf>,
    /// Pending writes: at most one for each stream. None deletes the file.
    waiting: Mutex<HashMap<StreamName, Option<SharedFrame>>>,
    wake: Notify,
}

impl Store {
    /// Keeps pictures in this folder. Creates the folder if it does not exist.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Store::new(Some(folder.to_owned())))
    }

    /// Keeps nothing after the end of the program.
    pub fn none() -> Self {
        Store::new(None)
    }

    fn new(folder: Option<PathBuf>) -> Self {
        Store(Arc::new(Inner { folder, waiting: Mutex::default(), wake: Notify::new() }))
    }

    fn is_persistent(&self) -> bool {
        self.0.folder.is_some()
    }

    /// Keeps the frame and replaces an earlier one. Returns at once.
    pub fn keep(&self, name: &StreamName, frame: SharedFrame) {
        self.enqueue(name, Some(frame));
    }

    /// Deletes the stream's kept picture. Returns at once.
    pub fn forget(&self, name: &StreamName) {
        self.enqueue(name, None);
    }

    fn enqueue(&self, name: &StreamName, what: Option<SharedFrame>) {
        if self.is_persistent() {
            self.0.waiting.lock().insert(name.clone(), what);
            self.0.wake.notify_one();
        }
    }

    /// Names of the streams that have a kept picture.
    pub fn names(&self) -> Vec<StreamName> {
        let Some(entries) = self.0.folder.as_ref().and_then(|folder| std::fs::read_dir(folder).ok()) else {
            return vec![];
        };
        let name = |file: String| StreamName::parse(&file.strip_suffix(".jpg")?.replace(',', "/")).ok();
        entries.flatten().filter_map(|entry| name(entry.file_name().into_string().ok()?)).collect()
    }

    /// The kept picture, if it exists and is complete. Its time of capture is the modification time of the file.
    async fn load(&self, name: &StreamName, limits: &PictureLimits) -> Option<Picture> {
        if let Some(waiting) = self.0.waiting.lock().get(name) {
            return waiting.as_ref().map(|frame| Picture {
                jpeg: frame.jpeg(),
                width: frame.width,
                height: frame.height,
                captured_at: frame.captured_at,
            });
        }
        let path = self.path(name)?;
        let read = files().run(move || {
            let unreadable = |e| Error::internal("the kept picture cannot be read", e);
            let modified = std::fs::metadata(&path).and_then(|m| m.modified()).map_err(unreadable)?;
            Ok((std::fs::read(&path).map_err(unreadable)?, modified))
        });
        let picture = match read.await {
            Ok((data, modified)) => {
                Picture::from_upload(data.into(), limits).await.map(|picture| picture.captured_at(modified))
            }
            Err(e) => Err(e),
        };
        match picture {
            Ok(picture) => Some(picture),
            Err(e) => {
                tracing::debug!(stream = %name, "{}", e.chain());
                None
            }
        }
    }

    /// Writes pending pictures until the program ends.
    pub async fn write_forever(&self) {
        loop {
            self.0.wake.notified().await;
            self.write_waiting().await;
            tokio::time::sleep(WRITE_PAUSE).await;
        }
    }

    /// Writes all pending pictures now; for the end of the program and for tests.
    pub async fn write_waiting(&self) {
        let names: Vec<_> = self.0.waiting.lock().keys().cloned().collect();
        for name in names {
            // Stays in the map until it is on disk, so that a reader finds it in one of the two places.
            let what = self.0.waiting.lock().get(&name).cloned();
            let (Some(what), Some(path)) = (what, self.path(&name)) else { continue };
            let frame = what.clone();
            let work = move || match frame {
                Some(frame) => write(&path, &frame.jpeg(), frame.captured_at),
                None => std::fs::remove_file(&path).or_else(|e| match e.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(e),
                }),
            };
            let unwritten = |e| Error::internal("the uploaded picture cannot be kept for a restart", e);
            if let Err(e) = files().run(move || work().map_err(unwritten)).await {
                tracing::error!(stream = %name, "{}", e.chain());
            }
            let mut waiting = self.0.waiting.lock();
            let unchanged = match (waiting.get(&name), &what) {
                (Some(Some(now)), Some(then)) => Arc::ptr_eq(now, then),
                (Some(None), None) => true,
                _ => false,
            };
            if unchanged {
                waiting.remove(&name);
            } else {
                self.0.wake.notify_one();
            }
        }
    }

    /// The file of a stream. Slashes become commas, which no name contains. The grammar of names allows no other
    /// character that a file system refuses.
    fn path(&self, name: &StreamName) -> Option<PathBuf> {
        Some(self.0.folder.as_ref()?.join(format!("{}.jpg", name.replace('/', ","))))
    }
}

/// Writes a temporary file and renames it: a crash leaves the old picture or the new one, and never a part of one.
fn write(path: &Path, data: &[u8], modified: SystemTime) -> io::Result<()> {
    // No stream has a file whose name begins with a comma, because no stream name begins with a slash.
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = folder.join(format!(",{}.tmp", std::process::id()));
    let file = std::fs::File::create(&temporary)?;
    io::Write::write_all(&mut &file, data)?;
    file.set_modified(modified)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::picture::{Frame, Reserved, testing};

    fn frame(number: u32) -> SharedFrame {
        let jpeg = testing::photo_numbered(16, 16, number).into();
        let captured_at = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + u64::from(number));
        let picture = Picture { jpeg, width: 16, height: 16, captured_at };
        Arc::new(Frame::new(&picture, 1, false, Reserved::default()))
    }

    #[tokio::test]
    async fn the_last_picture_is_found_before_and_after_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = PictureLimits::default();
        let name = StreamName::parse("Front/Door.1").expect("a name");
        let store = Store::open(&folder.path().join("frames")).expect("opens");
        store.keep(&name, frame(1));
        store.keep(&name, frame(2));
        assert_eq!(store.load(&name, &limits).await.expect("waiting").jpeg, frame(2).jpeg());
        store.write_waiting().await;
        assert!(store.0.waiting.lock().is_empty());

        let reopened = Store::open(&folder.path().join("frames")).expect("opens");
        assert_eq!(reopened.names(), std::slice::from_ref(&name));
        let kept = reopened.load(&name, &limits).await.expect("kept");
        assert_eq!((kept.jpeg, kept.captured_at), (frame(2).jpeg(), frame(2).captured_at));

        reopened.forget(&name);
        assert!(reopened.load(&name, &limits).await.is_none(), "no longer found, before the file is deleted");
        reopened.write_waiting().await;
        assert!(reopened.names().is_empty());
    }

    #[tokio::test]
    async fn damaged_and_foreign_files_are_ignored() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("opens");
        let name = StreamName::parse("cam").expect("a name");
        std::fs::write(folder.path().join("cam.jpg"), &testing::photo(16, 16)[..200]).expect("writes");
        std::fs::write(folder.path().join(",123.tmp"), "x").expect("writes");
        std::fs::write(folder.path().join("not a name!.jpg"), "x").expect("writes");
        assert_eq!(store.names(), std::slice::from_ref(&name));
        assert!(store.load(&name, &PictureLimits::default()).await.is_none());
    }
}
