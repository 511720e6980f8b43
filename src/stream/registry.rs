//! [`Registry`]: finds streams by name.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use dashmap::{DashMap, Entry};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant},
};
use tokio_util::task::TaskTracker;

use super::{
    Demand, Origin, Producer, State, Stats, Stream, StreamLimits, StreamName, StreamSettings, Watch,
    context::SharedContext, requested::Requested, stream::UNWATCHED,
};
use crate::{
    error::{Code, Error, Result},
    picture::{FrameMemory, text::Fonts},
    supervise::Supervisor,
    traces::Traces,
    units::HumanDuration,
};

/// Pause between searches for expired streams.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// All streams by name. Cheap to clone. No guard of its map is held across an await, or by code that takes the lock of a
/// stream.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    streams: DashMap<StreamName, Registered>,
    /// `limits.streams`, held by the entries of `streams`.
    permits: Arc<Semaphore>,
    /// The streams that requests made.
    requested: Requested,
    closed: AtomicBool,
    context: Arc<SharedContext>,
    /// The context of derived streams.
    derived: Arc<SharedContext>,
}

struct Registered {
    stream: Arc<Stream>,
    _permit: OwnedSemaphorePermit,
}

/// Linger of a derived stream: long enough for the reload of a page.
const DERIVED_LINGER: Duration = Duration::from_secs(1);

impl Registry {
    /// An empty registry whose producers run on the present runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(settings: StreamSettings, limits: StreamLimits) -> Self {
        Registry::supervised_by(&Supervisor::default(), settings, limits)
    }

    /// As [`Registry::new`]; the supervisor counts the restarts of the streams' tasks.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn supervised_by(supervisor: &Supervisor, settings: StreamSettings, limits: StreamLimits) -> Self {
        let (memory, tasks) = (FrameMemory::new(limits.frame_memory.bytes()), TaskTracker::new());
        let make = |settings| {
            Arc::new(SharedContext {
                memory: memory.clone(),
                settings,
                limits: limits.clone(),
                runtime: Handle::current(),
                supervisor: supervisor.clone(),
                tasks: tasks.clone(),
                make_room: OnceLock::new(),
                fonts: OnceLock::new(),
                traces: OnceLock::new(),
            })
        };
        let derived =
            make(StreamSettings { linger: HumanDuration(DERIVED_LINGER.min(*settings.linger)), ..settings.clone() });
        let context = make(settings);
        let inner = Arc::new(Inner {
            streams: DashMap::new(),
            permits: Arc::new(Semaphore::new(max_streams(&limits))),
            requested: Requested::new(max_streams(&limits)),
            closed: AtomicBool::new(false),
            context,
            derived,
        });
        // Weak, because every stream holds a context: a strong reference would be a cycle.
        for context in [&inner.context, &inner.derived] {
            let weak = Arc::downgrade(&inner);
            let make_room = move |bytes| weak.upgrade().is_some_and(|inner| Registry(inner).make_room(bytes));
            let _ = context.make_room.set(Box::new(make_room));
        }
        Registry(inner)
    }

    /// Sets the fonts of "waiting" pictures. Only the first call has an effect.
    pub fn draw_with(&self, fonts: &Fonts) {
        for context in [&self.0.context, &self.0.derived] {
            let _ = context.fonts.set(fonts.clone());
        }
    }

    /// Sets where spans of starts go. Only the first call has an effect.
    pub fn trace_with(&self, traces: &Traces) {
        for context in [&self.0.context, &self.0.derived] {
            let _ = context.traces.set(traces.clone());
        }
    }

    /// Where spans go.
    pub fn traces(&self) -> &Traces {
        self.0.context.traces.get_or_init(Traces::default)
    }

    /// The memory that all held pictures share.
    pub fn memory(&self) -> &Arc<FrameMemory> {
        &self.0.context.memory
    }

    /// The settings of all streams.
    pub fn settings(&self) -> &StreamSettings {
        &self.0.context.settings
    }

    /// Checks a stream name: its grammar and its configured length.
    pub fn name(&self, text: &str) -> Result<StreamName> {
        let name = StreamName::parse(text)?;
        let longest = self.0.context.limits.name_length;
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

    /// The stream with this name.
    pub fn get(&self, name: &str) -> Option<Arc<Stream>> {
        self.0.streams.get(name).map(|entry| entry.value().stream.clone())
    }

    /// The stream with this name, or an error of code `unknown_stream`.
    pub fn find(&self, name: &StreamName) -> Result<Arc<Stream>> {
        self.get(name).ok_or_else(|| Error::new(Code::UnknownStream, format!("there is no stream {name}")))
    }

    /// The stream with this name. If it does not exist, makes it with `producer`. The caller checks that an existing stream
    /// is of the kind that it needs.
    pub fn get_or_create(
        &self,
        name: &StreamName,
        origin: Origin,
        producer: impl FnOnce() -> Result<Arc<dyn Producer>>,
    ) -> Result<Arc<Stream>> {
        if let Some(stream) = self.get(name) {
            return Ok(stream);
        }
        // A path of MediaMTX can only be read here, and can have such a name.
        if origin != Origin::MediaMtx {
            check_new(name)?;
        }
        self.make(name, origin, producer()?).map(|(stream, _)| stream)
    }

    /// As [`Registry::get_or_create`] for a request with a recipe. The streams of requests have a share of `limits.streams`, and
    /// each caller has a part of it. Beyond them, the oldest ones without a watcher give way; if all are watched, the request
    /// is refused.
    pub fn get_or_request(
        &self,
        name: &StreamName,
        caller: &str,
        producer: impl FnOnce() -> Result<Arc<dyn Producer>>,
    ) -> Result<Arc<Stream>> {
        if let Some(stream) = self.get(name) {
            self.0.requested.used(name, caller);
            return Ok(stream);
        }
        check_new(name)?;
        let producer = producer()?;
        let (closed, has_room) = self.0.requested.make_room(caller);
        closed.iter().for_each(|stream| self.give_way(stream));
        if !has_room {
            let max = self.0.context.limits.streams;
            let message = format!(
                "requests have made a quarter of {max} streams for this caller, or a half for all callers (limits.streams), \
                 and all of them are watched"
            );
            return Err(Error::new(Code::TooManyStreams, message));
        }
        let (stream, is_new) = self.make(name, Origin::Pull, producer)?;
        if is_new {
            self.0.requested.note(&stream, caller);
        }
        Ok(stream)
    }

    /// Makes the stream unless there is one of that name; true if it is new.
    fn make(&self, name: &StreamName, origin: Origin, producer: Arc<dyn Producer>) -> Result<(Arc<Stream>, bool)> {
        // Before the map is locked, because another stream may have to be removed from it.
        let permit = self.permit()?;
        match self.0.streams.entry(name.clone()) {
            Entry::Occupied(present) => Ok((present.get().stream.clone(), false)),
            Entry::Vacant(vacant) => {
                let stream = Arc::new(Stream::new(name.clone(), producer, origin, self.0.context.clone()));
                vacant.insert(Registered { stream: stream.clone(), _permit: permit });
                if origin == Origin::MediaMtx {
                    let context = &self.0.context;
                    context.tasks.spawn_on(self.clone().forget_at_rest(stream.clone()), &context.runtime);
                }
                Ok((stream, true))
            }
        }
    }

    /// Makes streams that no list shows.
    pub fn deriver(&self) -> Deriver {
        Deriver(self.0.derived.clone())
    }

    /// Makes a stream that is derived from the stream with this name. No list shows it; its producer ends it, and its last
    /// reference drops it.
    pub fn derive(&self, name: &StreamName, producer: Arc<dyn Producer>) -> Arc<Stream> {
        self.deriver().derive(name, producer)
    }

    /// Makes a stream, or replaces the producer of the stream with this name.
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

    /// Takes a watch for every picture. If the stream expires at the same moment, calls `find` again, which can make the
    /// stream anew.
    pub fn watch(&self, find: impl Fn() -> Result<Arc<Stream>>) -> Result<Watch> {
        self.watch_for(Demand::Continuous, find)
    }

    /// As [`Registry::watch`], with this demand.
    pub fn watch_for(&self, demand: Demand, find: impl Fn() -> Result<Arc<Stream>>) -> Result<Watch> {
        for _ in 0..3 {
            if let Ok(watch) = find()?.watch_for(demand) {
                return Ok(watch);
            }
        }
        Err(Error::new(Code::Unavailable, "the stream is being removed; try again"))
    }

    /// Removes the stream and tells its watchers the reason. False if there is no such stream.
    pub fn remove(&self, name: &StreamName, why: &'static str) -> bool {
        let Some((_, removed)) = self.0.streams.remove(name) else { return false };
        removed.stream.close(why);
        true
    }

    /// Removes this stream unless it is watched. Returns whether it is removed.
    pub fn remove_unwatched(&self, stream: &Arc<Stream>, why: &'static str) -> bool {
        stream.close_if_unwatched(why) && self.forget(stream)
    }

    /// Number of streams.
    pub fn len(&self) -> usize {
        // Not `streams.len()`, which locks every shard of the map.
        max_streams(&self.0.context.limits) - self.0.permits.available_permits()
    }

    /// Whether there is no stream.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All streams, sorted by name.
    pub fn list(&self) -> Vec<Arc<Stream>> {
        let mut all: Vec<_> = self.0.streams.iter().map(|entry| entry.value().stream.clone()).collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// The figures of all streams, sorted by name.
    pub fn stats(&self) -> Vec<Stats> {
        self.list().iter().map(|stream| stream.stats()).collect()
    }

    /// The held picture is not the present one: another node of the cluster has a newer one. While the stream is watched, its producer
    /// brings it; otherwise the next watcher has it fetched.
    pub fn outdate(&self, stream: &Stream) {
        self.touch(stream);
        stream.forget_picture();
    }

    /// Notes that a stream is used by a peer that sends it something else than pictures.
    pub fn touch(&self, stream: &Stream) {
        stream.lock().last_used = Instant::now();
    }

    /// Calls [`Registry::sweep`] at regular intervals until the program ends.
    pub async fn sweep_forever(&self, forgotten: impl Fn(&StreamName)) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            self.sweep(&forgotten);
        }
    }

    /// Removes streams that an upload or a recipe made and that were unused for longer than `streams.expire`. Calls
    /// `forgotten` with each name.
    pub fn sweep(&self, forgotten: impl Fn(&StreamName)) {
        for stream in self.list() {
            if stream.close_if_expired() && self.forget(&stream) {
                tracing::info!(stream = %stream.name(), "removed because it was not used for a long time");
                forgotten(stream.name());
            }
        }
    }

    /// Removes a stream of origin `mediamtx` as soon as it has no watcher. Returns when the stream has ended, or when its
    /// name was defined.
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

    /// Removes a closed stream from the map.
    fn forget(&self, stream: &Arc<Stream>) -> bool {
        // Only this very stream: a new stream can have taken the name meanwhile.
        let same = |_: &StreamName, present: &Registered| Arc::ptr_eq(&present.stream, stream);
        self.0.streams.remove_if(stream.name(), same).is_some()
    }

    /// Ends every stream and waits until all producers have ended.
    pub async fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        for stream in self.list() {
            stream.close("the server is shutting down");
        }
        self.0.context.tasks.close();
        self.0.context.tasks.wait().await;
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Unavailable, "the server is shutting down"));
        }
        loop {
            if let Ok(permit) = self.0.permits.clone().try_acquire_owned() {
                return Ok(permit);
            }
            let Some(stream) = self.0.requested.give_way() else {
                let max = self.0.context.limits.streams;
                return Err(Error::new(
                    Code::TooManyStreams,
                    format!("there are {max} streams already (limits.streams)"),
                ));
            };
            self.give_way(&stream);
        }
    }

    /// Removes a stream that was closed to make room.
    fn give_way(&self, stream: &Arc<Stream>) {
        if self.forget(stream) {
            tracing::debug!(stream = %stream.name(), "removed to make room: a request made it, and it has no watcher");
        }
    }

    /// Frees memory until `bytes` fit: drops pictures of streams without a watcher whose producer can bring the picture
    /// back, the least recently used first.
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

/// Makes streams that no list shows, without a registry. Cheap to clone.
#[derive(Clone)]
pub struct Deriver(Arc<SharedContext>);

impl Deriver {
    /// As [`Registry::derive`].
    pub fn derive(&self, name: &StreamName, producer: Arc<dyn Producer>) -> Arc<Stream> {
        Arc::new(Stream::new(name.clone(), producer, Origin::Pull, self.0.clone()))
    }
}

fn max_streams(limits: &StreamLimits) -> usize {
    limits.streams.min(Semaphore::MAX_PERMITS)
}

/// Refuses a name at whose address another resource is: `/api/v1/streams/{name}/frame` and `/frames` take pictures, and
/// `/mediamtx-path` makes a path.
fn check_new(name: &StreamName) -> Result<()> {
    match name.rsplit_once('/') {
        Some((_, last @ ("frame" | "frames"))) => Err(Error::new(
            Code::InvalidName,
            format!("name: must not end with /{last}, because pictures are uploaded to that address"),
        )
        .in_field("name")),
        Some((_, last @ "mediamtx-path")) => Err(Error::new(
            Code::InvalidName,
            format!("name: must not end with /{last}, because that address makes a path of MediaMTX"),
        )
        .in_field("name")),
        _ => Ok(()),
    }
}
