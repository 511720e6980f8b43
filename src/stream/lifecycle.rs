//! The life of a stream as a pure state machine: `(state, event) -> (state, effects)`.
//!
//! No I/O, no clock, no knowledge of pictures. The supervisor carries the effects out and feeds
//! back what came of them; docs/architecture.md draws the machine.
//!
//! ```text
//!            first watch                picture
//!   Idle ───────────────▶ Starting ───────────────▶ Live
//!    ▲                      ▲ │ timeout, failure      │ │ last watch gone
//!    │        retry is due  │ ▼                       │ ▼
//!    │◀── nobody watches ── Failing ◀──── failure ────┘ Lingering
//!    └───────────────────────── linger is over ───────────┘
//! ```

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody watches; nothing runs.
    Idle,
    /// The producer runs, its first picture has not come.
    Starting,
    /// Pictures come.
    Live,
    /// Nobody watches any more; the producer runs on for a moment in case somebody returns.
    /// `was_live` remembers whether pictures came.
    Lingering {
        /// Whether the producer had given a picture in this run.
        was_live: bool,
    },
    /// The producer failed and is tried again later. `watched` tells whether anybody waits for it.
    Failing {
        /// Whether anybody watches at the moment.
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

/// What can happen to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first watch was taken.
    Watched,
    /// The last watch was dropped.
    Unwatched,
    /// A picture arrived, or the producer said that the one held is current.
    Picture,
    /// The producer returned, with or without an error.
    Ended,
    /// The timer of that name fired.
    Fired(Timer),
    /// The stream got another producer.
    Redefined,
    /// The program ends or the stream was removed.
    Closed,
}

/// The timers of a stream; at most one runs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// How long the first picture may take.
    Start,
    /// How long the producer runs on without a watcher.
    Linger,
    /// How long until a failed producer is tried again.
    Retry,
}

/// Why a producer is stopped. The words are shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The linger is over.
    NobodyWatches,
    /// No picture within the start timeout.
    NoPictureInTime,
    /// Another definition takes its place.
    Redefined,
    /// The stream or the program ends.
    Closed,
}

impl Stop {
    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Stop::NobodyWatches => "nobody watches",
            Stop::NoPictureInTime => "no picture within the start timeout",
            Stop::Redefined => "the definition changed",
            Stop::Closed => "closed",
        }
    }
}

/// What the supervisor has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run the producer.
    Start,
    /// Cancel the producer and wait until it is gone.
    Stop(Stop),
    /// Start the timer, in place of any other.
    Arm(Timer),
    /// Forget the timer that runs.
    Disarm,
}

/// Who brings the pictures, as far as the machine has to care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// We fetch them: no picture in time is a failure.
    Pulled,
    /// A peer sends them when it likes: waiting is not a failure.
    Pushed,
}

/// The machine: the state, and how often in a row the producer has failed.
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

    /// Failures since the last picture; the supervisor derives the backoff from it.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// For a stream whose definition changed; takes effect with the next [`Event::Redefined`].
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Takes one step. Events that mean nothing in the present state change nothing.
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
            (Lingering { .. }, Event::Fired(Timer::Linger)) => (Idle, vec![Halt(Stop::NobodyWatches)]),
            // Nobody asked for it any more: no retry.
            (Lingering { .. }, Event::Ended) => (Idle, vec![Disarm]),

            (Starting, Event::Fired(Timer::Start)) => {
                self.failures += 1;
                (Failing { watched: true }, vec![Halt(Stop::NoPictureInTime), Arm(Timer::Retry)])
            }
            (Starting | Live, Event::Ended) => {
                self.failures += 1;
                (Failing { watched: true }, vec![Arm(Timer::Retry)])
            }

            // The wait goes on without watchers: somebody who reconnects in a loop must not turn
            // the backoff into a hammer on the camera.
            (Failing { .. }, Event::Unwatched) => (Failing { watched: false }, vec![]),
            (Failing { .. }, Event::Watched) => (Failing { watched: true }, vec![]),
            (Failing { watched: true }, Event::Fired(Timer::Retry)) => (Starting, self.start()),
            (Failing { watched: false }, Event::Fired(Timer::Retry)) => (Idle, vec![]),
            // A push to a stream whose producer failed: there is something to show again.
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

/// The new state in words, for people.
pub(super) fn words(before: State, after: State, event: Event) -> &'static str {
    match (after, event) {
        (State::Starting, Event::Redefined) => "the definition changed; waiting for the first picture",
        (State::Starting, _) => "waiting for the first picture",
        (State::Live, _) => "pictures arrive",
        (State::Lingering { .. }, _) => "the last watcher has left",
        (State::Idle, Event::Closed) => "closed",
        (State::Idle, Event::Redefined) => "the definition changed",
        (State::Idle, _) if before == State::Idle => "a picture is held; nobody watches",
        (State::Idle, _) => "nobody watches",
        (State::Failing { .. }, Event::Fired(_)) => Stop::NoPictureInTime.reason(),
        (State::Failing { .. }, _) => "the producer failed",
    }
}

#[cfg(test)]
mod tests;
