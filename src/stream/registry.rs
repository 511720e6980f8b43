//! [`Registry`]: finds streams by name.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use dashmap::{DashMap, Entry};
use tokio::{runtime::Handle, time::Duration};
use tokio_util::task::TaskTracker;

use super::{
    Demand, Origin, Producer, State, Stats, Stream, StreamLimits, StreamName, StreamSettings, Watch,
    context::SharedContext, stream::UNWATCHED,
};
use crate::{
    error::{Code, Error, Result},
    picture::FrameMemory,
    units::HumanDuration,
};

/// How often streams made in passing are looked over for expiry.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// All streams by name. Cheap to clone; the only concurrent map of the program. No guard of it is
/// ever held across an await or while a stream's own lock is wanted by its holder.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    streams: DashMap<StreamName, Arc<Stream>>,
    /// Entries of `streams`, counted apart because asking the map for its length locks all of it.
    count: AtomicUsize,
    closed: AtomicBool,
    ctx: Arc<SharedContext>,
    /// Of streams that are made of others.
    derived: Arc<SharedContext>,
}

/// How long the producer of a derived stream runs on: long enough for a page that is reloaded.
const DERIVED_LINGER: Duration = Duration::from_secs(1);

impl Registry {
    /// An empty registry whose producers run on the present runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(settings: StreamSettings, limits: StreamLimits) -> Self {
        let (memory, tasks) = (FrameMemory::new(limits.frame_memory.bytes()), TaskTracker::new());
        let context = |settings| {
            Arc::new(SharedContext {
                memory: memory.clone(),
                settings,
                limits: limits.clone(),
                runtime: Handle::current(),
                tasks: tasks.clone(),
                make_room: OnceLock::new(),
            })
        };
        let derived =
            context(StreamSettings { linger: HumanDuration(DERIVED_LINGER.min(*settings.linger)), ..settings.clone() });
        let ctx = context(settings);
        let inner = Arc::new(Inner {
            streams: DashMap::new(),
            count: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            ctx,
            derived,
        });
        // Weak: the streams hold their surroundings, which must not hold the streams.
        for ctx in [&inner.ctx, &inner.derived] {
            let weak = Arc::downgrade(&inner);
            let make_room = move |bytes| weak.upgrade().is_some_and(|inner| Registry(inner).make_room(bytes));
            let _ = ctx.make_room.set(Box::new(make_room));
        }
        Registry(inner)
    }

    /// The memory that held pictures share.
    pub fn memory(&self) -> &Arc<FrameMemory> {
        &self.0.ctx.memory
    }

    /// How streams live.
    pub fn settings(&self) -> &StreamSettings {
        &self.0.ctx.settings
    }

    /// Checks the text against the grammar and the configured length.
    pub fn name(&self, text: &str) -> Result<StreamName> {
        let name = StreamName::parse(text)?;
        let longest = self.0.ctx.limits.name_length;
        if name.len() > longest {
            return Err(Error::new(
                Code::InvalidName,
                format!(
                    "name: must have at most {longest} characters (limits.name_length), this one has {}",
                    name.len()
                ),
            )
            .in_field("name"));
        }
        Ok(name)
    }

    /// The stream of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Stream>> {
        self.0.streams.get(name).map(|entry| entry.value().clone())
    }

    /// The stream of that name, or an error that says there is none.
    pub fn find(&self, name: &StreamName) -> Result<Arc<Stream>> {
        self.get(name).ok_or_else(|| Error::new(Code::UnknownStream, format!("there is no stream {name}")))
    }

    /// The stream of that name, made with the producer if there is none. Whether a stream that was
    /// there is of the wanted kind is the caller's question.
    pub fn get_or_create(
        &self,
        name: &StreamName,
        origin: Origin,
        producer: impl FnOnce() -> Result<Arc<dyn Producer>>,
    ) -> Result<Arc<Stream>> {
        if let Some(stream) = self.get(name) {
            return Ok(stream);
        }
        // Built before the map is locked: it may look at configuration.
        let producer = producer()?;
        match self.0.streams.entry(name.clone()) {
            Entry::Occupied(there) => Ok(there.get().clone()),
            Entry::Vacant(place) => {
                self.take_place()?;
                let stream = Arc::new(Stream::new(name.clone(), producer, origin, self.0.ctx.clone()));
                place.insert(stream.clone());
                if origin == Origin::MediaMtx {
                    self.0.ctx.tasks.spawn_on(self.clone().forget_at_rest(stream.clone()), &self.0.ctx.runtime);
                }
                Ok(stream)
            }
        }
    }

    /// A stream made of the one of that name: in no list, ended by its producer, gone with the last who holds it.
    pub fn derive(&self, name: &StreamName, producer: Arc<dyn Producer>) -> Arc<Stream> {
        Arc::new(Stream::new(name.clone(), producer, Origin::Pull, self.0.derived.clone()))
    }

    /// Makes the stream, or gives the one of that name another producer.
    pub fn define(&self, name: &StreamName, origin: Origin, producer: Arc<dyn Producer>) -> Result<Arc<Stream>> {
        let mut made = false;
        let stream = self.get_or_create(name, origin, || {
            made = true;
            Ok(producer.clone())
        })?;
        if !made {
            stream.redefine(producer, origin);
        }
        Ok(stream)
    }

    /// Takes a watch. A stream that expires in the same instant is looked up again by `find`, which
    /// may make it anew.
    pub fn watch(&self, find: impl Fn() -> Result<Arc<Stream>>) -> Result<Watch> {
        self.watch_for(Demand::Continuous, find)
    }

    /// The same for somebody with that demand.
    pub fn watch_for(&self, demand: Demand, find: impl Fn() -> Result<Arc<Stream>>) -> Result<Watch> {
        for _ in 0..3 {
            if let Ok(watch) = find()?.watch_for(demand) {
                return Ok(watch);
            }
        }
        Err(Error::new(Code::Unavailable, "the stream is being removed; try again"))
    }

    /// Removes the stream; those who watch it are told.
    pub fn remove(&self, name: &StreamName, why: &'static str) -> bool {
        let Some((_, stream)) = self.0.streams.remove(name) else { return false };
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        stream.close(why);
        true
    }

    /// Number of streams.
    pub fn len(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Whether there is no stream.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All streams, by name.
    pub fn list(&self) -> Vec<Arc<Stream>> {
        let mut all: Vec<_> = self.0.streams.iter().map(|entry| entry.value().clone()).collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// What all streams have counted, by name.
    pub fn stats(&self) -> Vec<Stats> {
        self.list().iter().map(|stream| stream.stats()).collect()
    }

    /// Looks streams over for expiry until the program ends; `forgotten` hears each name.
    pub async fn sweep_forever(&self, forgotten: impl Fn(&StreamName)) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.sweep(&forgotten);
        }
    }

    /// Forgets streams that were made in passing and not used for long.
    pub fn sweep(&self, forgotten: impl Fn(&StreamName)) {
        for stream in self.list() {
            if stream.close_if_expired() && self.forget(&stream) {
                tracing::info!(stream = %stream.name(), "forgotten: not used for a long time");
                forgotten(stream.name());
            }
        }
    }

    /// Forgets a stream of MediaMTX's path as soon as nobody watches it. Ends with the stream, or when somebody has
    /// defined the name.
    async fn forget_at_rest(self, stream: Arc<Stream>) {
        let mut status = stream.status.subscribe();
        while stream.origin() == Origin::MediaMtx && !stream.is_closed() {
            if status.wait_for(|status| status.state == State::Idle).await.is_err() {
                return;
            }
            if stream.close_if_expired() {
                self.forget(&stream);
                return;
            }
            tokio::time::sleep(*UNWATCHED / 4).await;
        }
    }

    /// Takes a closed stream out.
    fn forget(&self, stream: &Arc<Stream>) -> bool {
        // Only this very stream: a new one may have taken the name since.
        let same = |_: &StreamName, there: &Arc<Stream>| Arc::ptr_eq(there, stream);
        let removed = self.0.streams.remove_if(stream.name(), same).is_some();
        if removed {
            self.0.count.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    /// Ends every stream and waits until the producers are gone.
    pub async fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        for stream in self.list() {
            stream.close("the server is shutting down");
        }
        self.0.ctx.tasks.close();
        self.0.ctx.tasks.wait().await;
    }

    fn take_place(&self) -> Result<()> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Unavailable, "the server is shutting down"));
        }
        let most = self.0.ctx.limits.streams;
        self.0
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n + 1))
            .map(|_| ())
            .map_err(|_| Error::new(Code::TooManyStreams, format!("there are {most} streams already (limits.streams)")))
    }

    /// Drops pictures that nobody watches and that can be had again, the longest unused first, until
    /// there is room for so many bytes.
    fn make_room(&self, bytes: usize) -> bool {
        let memory = self.memory();
        let mut idle = self.list();
        idle.sort_by_key(|stream| stream.last_used());
        for stream in idle {
            if memory.used() + bytes <= memory.limit() {
                return true;
            }
            stream.forget_picture();
        }
        memory.used() + bytes <= memory.limit()
    }
}
