//! [`Stream`]: one named stream, shared by its producer, its watchers and the registry.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    time::{Duration, Instant},
};
use utoipa::ToSchema;

use super::{
    Ended, Producer, State, StreamName, Watch,
    context::SharedContext,
    demand::{Demand, Demands, Form, Forms},
    failure::Failures,
    fetch::Fetching,
    lifecycle::{self, Effect, Event, Lifecycle},
    stats::Arrivals,
    supervisor,
    video::{Passing, Sound},
};
use crate::{
    backoff::Backoff,
    error::Result,
    fanout,
    picture::{Frame, Picture, Reserved, SharedFrame, draw, text::Fonts},
    units::HumanDuration,
};

/// Size of generated "waiting" pictures.
const PLACEHOLDER_SIZE: (u32, u32) = (640, 360);

/// How long a stream of origin `mediamtx` exists without a watcher: enough for the request that made it to take a
/// watch.
pub(super) const UNWATCHED: HumanDuration = HumanDuration::secs(1);

/// Pause before a failed producer starts again for the first time.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Who made a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The configuration file defines it, and only an edit of the file removes it.
    File,
    /// An administrator defined it through the API.
    Api,
    /// The first upload to the name made it.
    Upload,
    /// A request with a recipe (`type=`) made it.
    Pull,
    /// A watcher of a path of MediaMTX made it. It is removed with its last watcher.
    #[serde(rename = "mediamtx")]
    MediaMtx,
    /// A topic that a stream of kind `mqtt` with wildcards selects made it. It is removed when the topic is silent.
    Topic,
}

/// The latest frame, and the reason why no frame follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) frame: Option<SharedFrame>,
    pub(super) ended: Option<&'static str>,
}

/// The stream's state, with the reason in words.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) state: State,
    pub(super) reason: Cow<'static, str>,
}

/// One named stream. Only [`super::Registry`] makes streams.
pub struct Stream {
    pub(super) name: StreamName,
    pub(super) context: Arc<SharedContext>,
    pub(super) slot: fanout::Sender<Slot>,
    pub(super) status: watch::Sender<Status>,
    /// Wakes the supervisor when there are effects.
    pub(super) wake: Notify,
    /// Held for a few instructions and never across an await, so a blocking mutex is right.
    core: Mutex<Core>,
    placeholder: Mutex<Option<(String, SharedFrame)>>,
    pub(super) video: Passing,
    pub(super) fetching: Fetching,
    pub(super) frames: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) dropped: AtomicU64,
}

pub(super) struct Core {
    pub(super) life: Lifecycle,
    pub(super) producer: Arc<dyn Producer>,
    pub(super) origin: Origin,
    pub(super) watchers: usize,
    pub(super) demands: Demands,
    /// Effects that the supervisor has not executed yet.
    pub(super) effects: VecDeque<Effect>,
    /// Whether a supervisor task exists. The task clears this in the same critical section in which it finds no
    /// work, so that no event falls between two supervisors.
    pub(super) supervised: bool,
    /// Number of the present run of the producer. Pictures of earlier runs are dropped.
    pub(super) run: u64,
    /// Whether the present run can still deliver pictures.
    pub(super) delivering: bool,
    pub(super) last_seq: u64,
    pub(super) last_used: Instant,
    pub(super) arrivals: Arrivals,
    /// When the present run last brought a picture, confirmed the held one, or handed over video.
    pub(super) last_sign: Option<Instant>,
    pub(super) damaged: BTreeMap<&'static str, u64>,
    pub(super) failures: Failures,
    pub(super) closed: bool,
}

impl Stream {
    pub(super) fn new(
        name: StreamName,
        producer: Arc<dyn Producer>,
        origin: Origin,
        context: Arc<SharedContext>,
    ) -> Self {
        let status = Status { state: State::Idle, reason: lifecycle::UNWATCHED.into() };
        Stream {
            name,
            context,
            slot: fanout::Sender::default(),
            status: watch::Sender::new(status),
            wake: Notify::new(),
            core: Mutex::new(Core {
                life: Lifecycle::new(producer.mode()),
                producer,
                origin,
                watchers: 0,
                demands: Demands::new(),
                effects: VecDeque::new(),
                supervised: false,
                run: 0,
                delivering: false,
                last_seq: 0,
                last_used: Instant::now(),
                arrivals: Arrivals::default(),
                last_sign: None,
                damaged: BTreeMap::new(),
                failures: Failures::default(),
                closed: false,
            }),
            placeholder: Mutex::new(None),
            video: Passing::default(),
            fetching: Fetching::default(),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// The stream's name.
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// The kind of its producer.
    pub fn kind(&self) -> &'static str {
        self.lock().producer.kind()
    }

    /// Who made it.
    pub fn origin(&self) -> Origin {
        self.lock().origin
    }

    /// Its producer.
    pub fn producer(&self) -> Arc<dyn Producer> {
        self.lock().producer.clone()
    }

    /// The latest picture.
    pub fn latest(&self) -> Option<SharedFrame> {
        self.slot.borrow().frame.clone()
    }

    /// The state, and the reason in words.
    pub fn state(&self) -> (State, String) {
        let status = self.status.borrow();
        (status.state, status.reason.to_string())
    }

    /// Bytes of all pictures since the stream was made.
    pub fn received(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes a watch for every picture. The first watch starts the producer.
    pub fn watch(self: &Arc<Self>) -> Result<Watch, Ended> {
        self.watch_for(Demand::Continuous)
    }

    /// Takes a watch with this demand. The first watch starts the producer.
    pub fn watch_for(self: &Arc<Self>, demand: Demand) -> Result<Watch, Ended> {
        let mut core = self.lock();
        if core.closed {
            return Err(Ended(self.slot.borrow().ended.unwrap_or("the stream is gone")));
        }
        // Subscribes before the producer starts, so that no picture is missed.
        let watch = Watch::new(self.clone(), Some(demand));
        core.watchers += 1;
        core.demands.add(demand);
        core.demands.add_form(Form::Jpeg);
        core.last_used = Instant::now();
        if core.watchers == 1 {
            self.step(&mut core, Event::Watched, None);
        }
        Ok(watch)
    }

    /// Follows the frames. Does not count as a watcher and does not start the producer.
    pub fn follow(self: &Arc<Self>) -> Watch {
        Watch::new(self.clone(), None)
    }

    /// Drops the held picture if the stream has no watcher and its producer can bring the picture back. Returns the
    /// bytes freed.
    pub(super) fn forget_picture(&self) -> usize {
        let core = self.lock();
        if core.watchers > 0 || core.life.state() != State::Idle || !core.producer.reloads() {
            return 0;
        }
        let size = self.latest().map_or(0, |f| f.held_bytes());
        if size > 0 {
            self.slot.send_modify(|slot| slot.frame = None);
        }
        size
    }

    /// Replaces the producer. Watchers stay and get the pictures of the new one.
    pub(super) fn redefine(self: &Arc<Self>, producer: Arc<dyn Producer>, origin: Origin) {
        let mut core = self.lock();
        core.origin = origin;
        core.life.set_mode(producer.mode());
        if let Some(hidden) = core.producer.hidden() {
            hidden.close("it was redefined");
        }
        core.producer = producer;
        core.delivering = false;
        self.slot.send_modify(|slot| slot.frame = None);
        self.step(&mut core, Event::Redefined, None);
        drop(core);
        self.fetching.forget();
    }

    /// Ends the stream: watchers get the reason, and the producer is stopped.
    pub(super) fn close(self: &Arc<Self>, why: &'static str) {
        let mut core = self.lock();
        self.close_locked(&mut core, why);
    }

    /// Closes the stream if no definition made it and it was unused for long enough.
    pub(super) fn close_if_expired(self: &Arc<Self>) -> bool {
        let mut core = self.lock();
        let settings = &self.context.settings;
        let after = match core.origin {
            Origin::File | Origin::Api | Origin::Topic => return false,
            Origin::MediaMtx => UNWATCHED,
            Origin::Pull if core.last_seq == 0 => settings.expire_empty,
            Origin::Upload | Origin::Pull => settings.expire,
        };
        let unused = core.watchers == 0 && core.life.state() == State::Idle && core.last_used.elapsed() > *after;
        if unused {
            self.close_locked(&mut core, "it was not used for a long time");
        }
        unused
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn last_used(&self) -> Instant {
        self.lock().last_used
    }

    pub(super) fn close_locked(self: &Arc<Self>, core: &mut Core, why: &'static str) {
        core.closed = true;
        core.delivering = false;
        if let Some(hidden) = core.producer.hidden() {
            hidden.close(why);
        }
        self.slot.send_replace(Slot { frame: None, ended: Some(why) });
        self.video.end(why);
        self.step(core, Event::Closed, None);
    }

    pub(super) fn leave(self: &Arc<Self>, demand: Demand, form: Form) {
        let mut core = self.lock();
        core.watchers -= 1;
        core.demands.remove(demand);
        core.demands.remove_form(form);
        core.last_used = Instant::now();
        if core.watchers == 0 {
            self.step(&mut core, Event::Unwatched, None);
        }
    }

    pub(super) fn change_demand(&self, from: Demand, to: Demand) {
        let demands = &mut self.lock().demands;
        demands.add(to);
        demands.remove(from);
    }

    pub(super) fn change_form(&self, from: Form, to: Form) {
        let demands = &mut self.lock().demands;
        demands.add_form(to);
        demands.remove_form(from);
    }

    /// Whether a keyframe of the source's video is newer than this frame.
    pub fn has_keyframe_after(&self, frame: &SharedFrame) -> bool {
        self.video.keyframe_received_at().is_some_and(|at| at > frame.received_at)
    }

    /// The forms in which the watchers need pictures.
    pub(super) fn forms(&self) -> Forms {
        self.lock().demands.forms()
    }

    pub(super) fn confirm(self: &Arc<Self>, run: u64) {
        let mut core = self.lock();
        if run == core.run && core.delivering {
            core.last_sign = Some(Instant::now());
            self.step(&mut core, Event::Picture, None);
        }
    }

    pub(super) fn report_problem(&self, run: u64, reason: String) {
        let core = self.lock();
        if run == core.run && core.delivering {
            self.status.send_if_modified(|status| {
                let changed = status.reason != reason;
                status.reason = reason.into();
                changed
            });
        }
    }

    pub(super) fn count_dropped(&self, frames: u64) {
        self.dropped.fetch_add(frames, Ordering::Relaxed);
    }

    pub(super) fn count_damaged(&self, reason: &'static str) {
        *self.lock().damaged.entry(reason).or_default() += 1;
    }

    /// A "waiting for NAME" picture with the present reason. The same picture until the reason changes. Everyone who can watch sees
    /// it, so the reason of a failure is the meaning of its code: its words can name addresses of the network.
    #[expect(clippy::expect_used, reason = "640 × 360 drawn pixels can be encoded, whatever the text")]
    pub(super) fn placeholder(&self) -> SharedFrame {
        let reason = self.reason_for_everyone();
        let mut held = self.placeholder.lock();
        if let Some((_, frame)) = held.as_ref().filter(|(of, _)| *of == reason) {
            return frame.clone();
        }
        let picture = self.drawn(&reason).expect("640 × 360 pixels can be encoded");
        let frame = Arc::new(Frame::new(&picture, 0, true, Reserved::default()));
        *held = Some((reason, frame.clone()));
        frame
    }

    /// A picture with the name of the stream and the reason why it has none.
    pub(super) fn drawn(&self, reason: &str) -> Result<Picture> {
        let fonts = self.context.fonts.get_or_init(Fonts::bundled);
        draw::waiting(fonts, &self.name, reason, PLACEHOLDER_SIZE)
    }

    /// Steps the state machine, sets the reason, and hands the effects to the supervisor.
    pub(super) fn step(self: &Arc<Self>, core: &mut Core, event: Event, why: Option<String>) {
        let before = core.life.state();
        let effects = core.life.on(event);
        let after = core.life.state();
        core.failures.step(core.run, event, after);
        let still_failing = matches!((before, after), (State::Failing { .. }, State::Failing { .. }));
        if why.is_some() || (!still_failing && (event == Event::Picture || after != before)) {
            let reason = why.map_or_else(|| lifecycle::reason(before, after, event).into(), Cow::Owned);
            self.status.send_if_modified(|status| {
                let changed = status.state != after || status.reason != reason;
                *status = Status { state: after, reason };
                changed
            });
        } else if after != before {
            self.status.send_modify(|status| status.state = after);
        }
        if after == State::Idle && before != State::Idle {
            *self.placeholder.lock() = None;
        }
        if effects.is_empty() {
            return;
        }
        for effect in &effects {
            match effect {
                Effect::Start => {
                    core.run += 1;
                    core.last_sign = None;
                    core.delivering = true;
                    self.video.clear(Sound::Unknown);
                }
                Effect::Stop(_) => {
                    core.delivering = false;
                    self.video.clear(Sound::Unknown);
                }
                Effect::Arm(_) | Effect::Disarm => {}
            }
        }
        core.effects.extend(effects);
        if core.supervised {
            self.wake.notify_one();
        } else {
            core.supervised = true;
            self.context.tasks.spawn_on(supervisor::supervise(self.clone()), &self.context.runtime);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock()
    }
}

impl Core {
    /// Pause before a failed producer starts again. It doubles with each failure up to `longest`.
    pub(super) fn retry_after(&self, longest: Duration) -> Duration {
        Backoff::new(FIRST_RETRY, longest).pause_after(self.life.failures())
    }
}
