//! The life of a stream as a pure state machine: `(state, event) -> (state, effects)`.
//!
//! No I/O, no clock, no knowledge of pictures. The supervisor executes the effects and feeds their results back as events.
//!
//! ```text
//!            first watch                picture
//!   Idle ───────────────▶ Starting ───────────────▶ Live
//!    ▲                      ▲ │ timeout, failure      │ │ last watch dropped
//!    │        retry is due  │ ▼                       │ ▼
//!    │◀──── no watcher ──── Failing ◀──── failure ────┘ Lingering
//!    └────────────────────────── linger ends ─────────────┘
//! ```

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No watcher; the producer does not run.
    Idle,
    /// The producer runs; its first picture has not arrived.
    Starting,
    /// The producer runs and has given a picture.
    Live,
    /// The last watcher has left. The producer keeps running for a moment in case a watcher returns.
    Lingering {
        /// Whether the producer had given a picture in this run.
        was_live: bool,
    },
    /// The producer failed and starts again later.
    Failing {
        /// Whether the stream has a watcher.
        watched: bool,
    },
}

impl State {
    /// The word used in the API, the metrics and the console.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Starting => "starting",
            State::Live => "live",
            State::Lingering { .. } => "lingering",
            State::Failing { .. } => "failing",
        }
    }
}

/// What happens to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first watch was taken.
    Watched,
    /// The last watch was dropped.
    Unwatched,
    /// A picture arrived, or the producer confirmed the held picture.
    Picture,
    /// The producer returned, with or without an error.
    Ended,
    /// This timer fired.
    Fired(Timer),
    /// The stream got another producer.
    Redefined,
    /// The program ends or the stream was removed.
    Closed,
}

/// The timers of a stream; at most one runs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// How long the first picture can take.
    Start,
    /// How long the producer keeps running without a watcher.
    Linger,
    /// The pause before a failed producer starts again.
    Retry,
}

/// Why a producer is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The linger has ended.
    NoWatchers,
    /// No picture within the start timeout.
    NoPictureInTime,
    /// The stream got another definition.
    Redefined,
    /// The stream or the program ends.
    Closed,
}

impl Stop {
    /// The reason in words, as users see it.
    pub fn reason(self) -> &'static str {
        match self {
            Stop::NoWatchers => "no watchers",
            Stop::NoPictureInTime => "no picture within the start timeout",
            Stop::Redefined => "the definition changed",
            Stop::Closed => "closed",
        }
    }
}

/// What the supervisor must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run the producer.
    Start,
    /// Cancel the producer and wait until it has ended.
    Stop(Stop),
    /// Start the timer, in place of any other.
    Arm(Timer),
    /// Stop the timer.
    Disarm,
}

/// Which side starts the transfer of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The producer fetches them: no picture in time is a failure.
    Pulled,
    /// A peer sends them at times of its own choice: waiting is not a failure.
    Pushed,
}

/// The state machine: the state, and the number of failures in a row.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    state: State,
    mode: Mode,
    failures: u32,
}

/// At most four effects follow from one event.
pub type Effects = Vec<Effect>;

impl Lifecycle {
    /// A stream at rest.
    pub fn new(mode: Mode) -> Self {
        Lifecycle { state: State::Idle, mode, failures: 0 }
    }

    /// The present state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Failures since the last picture, from which the supervisor derives the backoff.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Sets the mode of a new definition. Takes effect with the next [`Event::Redefined`].
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Takes one step. An event without a meaning in the present state changes nothing.
    pub fn on(&mut self, event: Event) -> Effects {
        use Effect::{Arm, Disarm, Stop as Halt};
        use State::{Failing, Idle, Lingering, Live, Starting};

        if event == Event::Picture {
            self.failures = 0;
        }
        let (next, effects) = match (self.state, event) {
            (Idle, Event::Watched) => (Starting, self.start()),

            (Starting, Event::Picture) => (Live, vec![Disarm]),
            (Starting, Event::Unwatched) => (Lingering { was_live: false }, vec![Arm(Timer::Linger)]),
            (Live, Event::Unwatched) => (Lingering { was_live: true }, vec![Arm(Timer::Linger)]),

            (Lingering { was_live: true }, Event::Watched) => (Live, vec![Disarm]),
            (Lingering { was_live: false }, Event::Watched) => (Starting, self.expect_picture(vec![])),
            (Lingering { .. }, Event::Picture) => (Lingering { was_live: true }, vec![]),
            (Lingering { .. }, Event::Fired(Timer::Linger)) => (Idle, vec![Halt(Stop::NoWatchers)]),
            // No watcher is left, so there is no retry.
            (Lingering { .. }, Event::Ended) => (Idle, vec![Disarm]),

            (Starting, Event::Fired(Timer::Start)) => {
                self.failures += 1;
                (Failing { watched: true }, vec![Halt(Stop::NoPictureInTime), Arm(Timer::Retry)])
            }
            (Starting | Live, Event::Ended) => {
                self.failures += 1;
                (Failing { watched: true }, vec![Arm(Timer::Retry)])
            }

            // The pause continues without watchers. Otherwise a client that reconnects in a loop would bypass the
            // backoff and overload the camera.
            (Failing { .. }, Event::Unwatched) => (Failing { watched: false }, vec![]),
            (Failing { .. }, Event::Watched) => (Failing { watched: true }, vec![]),
            (Failing { watched: true }, Event::Fired(Timer::Retry)) => (Starting, self.start()),
            (Failing { watched: false }, Event::Fired(Timer::Retry)) => (Idle, vec![]),
            // A picture was pushed to a stream whose producer failed. The picture is shown; the state stays.
            (Failing { .. }, Event::Picture) => (self.state, vec![]),

            (Starting | Live, Event::Redefined) => {
                self.failures = 0;
                let mut effects = vec![Halt(Stop::Redefined)];
                effects.extend(self.start());
                (Starting, effects)
            }
            (Lingering { .. }, Event::Redefined) => (Idle, vec![Disarm, Halt(Stop::Redefined)]),
            (Failing { watched }, Event::Redefined) => {
                self.failures = 0;
                if watched { (Starting, self.start()) } else { (Idle, vec![Disarm]) }
            }

            (Starting | Live | Lingering { .. }, Event::Closed) => (Idle, vec![Disarm, Halt(Stop::Closed)]),
            (Failing { .. }, Event::Closed) => (Idle, vec![Disarm]),

            (state, _) => (state, vec![]),
        };
        self.state = next;
        effects
    }

    fn start(&self) -> Effects {
        self.expect_picture(vec![Effect::Start])
    }

    fn expect_picture(&self, mut effects: Effects) -> Effects {
        effects.push(match self.mode {
            Mode::Pulled => Effect::Arm(Timer::Start),
            Mode::Pushed => Effect::Disarm,
        });
        effects
    }
}

/// The reason for the new state, in words.
pub(super) fn reason(before: State, after: State, event: Event) -> &'static str {
    match (after, event) {
        (State::Starting, Event::Redefined) => "the definition changed; waiting for the first picture",
        (State::Starting, _) => "waiting for the first picture",
        (State::Live, _) => "pictures arrive",
        (State::Lingering { .. }, _) => "the last watcher has left",
        (State::Idle, Event::Closed) => Stop::Closed.reason(),
        (State::Idle, Event::Redefined) => Stop::Redefined.reason(),
        (State::Idle, _) if before == State::Idle => "a picture is held; no watchers",
        (State::Idle, _) => Stop::NoWatchers.reason(),
        (State::Failing { .. }, Event::Fired(_)) => Stop::NoPictureInTime.reason(),
        (State::Failing { .. }, _) => "the producer failed",
    }
}

/// The reasons that the state machine gives, and that of a new stream. All others are words of a producer, which can name addresses of
/// the network.
const REASONS: [&str; 10] = [
    UNWATCHED,
    "the definition changed; waiting for the first picture",
    "waiting for the first picture",
    "pictures arrive",
    "the last watcher has left",
    "closed",
    "the definition changed",
    "a picture is held; no watchers",
    "no watchers",
    "no picture within the start timeout",
];

/// The reason of a new stream.
pub(super) const UNWATCHED: &str = "no watcher yet";

/// Whether everyone who can watch the stream can read this reason.
pub fn is_for_everyone(reason: &str) -> bool {
    REASONS.contains(&reason)
}

#[cfg(test)]
mod tests;
