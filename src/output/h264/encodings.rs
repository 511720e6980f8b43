//! [`Encodings`]: finds or starts the encoding that readers with equal parameters share.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
};

use futures_util::FutureExt;
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::{
    encode_task::{Context, Counters, EncodeTask},
    group::{Encoding, Reader, Shared},
    settings::H264Settings,
    want::Want,
};
use crate::{
    picture::PictureLimits,
    stream::{StreamName, Watch},
};

/// One encoding at one moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = VideoStats)]
pub struct Stats {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `still`, `video` or `waiting`.
    pub mode: &'static str,
    /// Readers at the moment.
    pub readers: usize,
    /// Pictures encoded.
    pub encoded: u64,
    /// Bytes of the picture encoded last.
    pub last_bytes: usize,
}

type Key = (StreamName, Want);

/// All encodings that have a reader. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Encodings(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Arc<Context>,
    epoch: Instant,
    /// Entries without a reader stay until the next encoding starts.
    encodings: Mutex<HashMap<Key, Weak<Encoding>>>,
}

impl Encodings {
    /// Starts with no encoding. A reader of an `upload` stream without a picture gets a "waiting" picture after
    /// `placeholder_after`. Large pictures are decoded within `limits.conversion_memory`.
    pub fn new(settings: H264Settings, placeholder_after: Duration, limits: PictureLimits) -> Self {
        let context = Arc::new(Context { settings, placeholder_after, limits, counters: Counters::default() });
        Encodings(Arc::new(Inner { context, epoch: Instant::now(), encodings: Mutex::default() }))
    }

    /// The settings.
    pub fn settings(&self) -> &H264Settings {
        &self.0.context.settings
    }

    /// Counters since the program started.
    pub fn counters(&self) -> &Counters {
        &self.0.context.counters
    }

    /// Number of encodings that have a reader.
    pub fn len(&self) -> usize {
        self.lock().values().filter(|encoding| encoding.strong_count() > 0).count()
    }

    /// Whether no encoding has a reader.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All encodings by stream, without those that have no picture yet.
    pub fn stats(&self) -> HashMap<StreamName, Vec<Stats>> {
        let encodings: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        let mut all = HashMap::<_, Vec<_>>::new();
        for encoding in &encodings {
            if let Some(stats) = stats(encoding) {
                all.entry(encoding.name.clone()).or_default().push(stats);
            }
        }
        all
    }

    /// Joins the encoding of the watched stream, or starts it. Must be called within a tokio runtime.
    pub fn join(&self, watch: Watch, want: Want) -> Reader {
        let stream = watch.stream().clone();
        let key = (stream.name().clone(), want);
        let mut encodings = self.lock();
        let present = encodings.get(&key).and_then(Weak::upgrade).filter(|encoding| {
            // A removed stream can have a successor of the same name.
            encoding.stream.as_ptr() == Arc::as_ptr(&stream) && encoding.shared.gop.borrow().ended.is_none()
        });
        if let Some(encoding) = present {
            return Reader::new(encoding);
        }
        encodings.retain(|_, encoding| encoding.strong_count() > 0);
        let (stop, shared) = (CancellationToken::new(), Arc::new(Shared::new()));
        let encoding = Arc::new(Encoding {
            name: key.0.clone(),
            stream: Arc::downgrade(&stream),
            shared: shared.clone(),
            epoch: self.0.epoch,
            _stop: stop.clone().drop_guard(),
        });
        encodings.insert(key, Arc::downgrade(&encoding));
        let encode_task = EncodeTask::new(self.0.context.clone(), shared.clone(), watch, want);
        tokio::spawn(async move {
            // Readers of an encoding that crashed must not wait for ever, and the next reader gets a new one.
            let run = AssertUnwindSafe(encode_task.run()).catch_unwind();
            let why = tokio::select! {
                ended = run => ended.map_or("the encoder crashed (see the log)", |why| why.0),
                () = stop.cancelled() => return,
            };
            shared.gop.send_modify(|gop| gop.ended = Some(why));
        });
        Reader::new(encoding)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Weak<Encoding>>> {
        self.0.encodings.lock()
    }
}

fn stats(encoding: &Arc<Encoding>) -> Option<Stats> {
    let canvas = encoding.shared.canvas.get()?;
    let gop = encoding.shared.gop.borrow();
    let last = gop.pictures.last()?;
    Some(Stats {
        width: canvas.width(),
        height: canvas.height(),
        mode: match (last.placeholder, gop.pictures.len()) {
            (true, _) => "waiting",
            (false, ..=1) => "still",
            (false, _) => "video",
        },
        // The caller holds one of the references.
        readers: Arc::strong_count(encoding) - 1,
        encoded: gop.encoded,
        last_bytes: last.access_unit.size(),
    })
}
