use super::{
    Effect::{Arm, Disarm, Start, Stop as Halt},
    Event::{Closed, Ended, Fired, Picture, Redefined, Unwatched, Watched},
    Mode::{Pulled, Pushed},
    State::{Failing, Idle, Lingering, Live, Starting},
    *,
};

const STATES: [State; 7] = [
    Idle,
    Starting,
    Live,
    Lingering { was_live: false },
    Lingering { was_live: true },
    Failing { watched: false },
    Failing { watched: true },
];
const EVENTS: [Event; 9] = [
    Watched,
    Unwatched,
    Picture,
    Ended,
    Fired(Timer::Start),
    Fired(Timer::Linger),
    Fired(Timer::Retry),
    Redefined,
    Closed,
];

fn step(mode: Mode, state: State, event: Event) -> (State, Effects) {
    let mut machine = Lifecycle { state, mode, failures: 1 };
    let effects = machine.on(event);
    (machine.state, effects)
}

/// Every state × every event of a pulled stream. "Nothing happens" is written out too, because an empty cell in a
/// transition table hides bugs.
#[test]
#[rustfmt::skip]
fn every_state_answers_every_event() {
    let same = |state: State| (state, vec![]);
    let ls = Lingering { was_live: false };
    let ll = Lingering { was_live: true };
    let fu = Failing { watched: false };
    let fw = Failing { watched: true };
    let start = || (Starting, vec![Start, Arm(Timer::Start)]);
    let failed = || (fw, vec![Arm(Timer::Retry)]);
    let table: [[(State, Effects); 9]; 7] = [
        // Watched                            Unwatched                       Picture               Ended               Fired(Start)                                            Fired(Linger)                            Fired(Retry)   Redefined                                               Closed
        [ start(),                            same(Idle),                     same(Idle),           same(Idle),         same(Idle),                                             same(Idle),                              same(Idle),    same(Idle),                                             same(Idle) ],
        [ same(Starting),                     (ls, vec![Arm(Timer::Linger)]), (Live, vec![Disarm]), failed(),           (fw, vec![Halt(Stop::NoPictureInTime), Arm(Timer::Retry)]), same(Starting),                      same(Starting), (Starting, vec![Halt(Stop::Redefined), Start, Arm(Timer::Start)]), (Idle, vec![Disarm, Halt(Stop::Closed)]) ],
        [ same(Live),                         (ll, vec![Arm(Timer::Linger)]), same(Live),           failed(),           same(Live),                                             same(Live),                              same(Live),    (Starting, vec![Halt(Stop::Redefined), Start, Arm(Timer::Start)]), (Idle, vec![Disarm, Halt(Stop::Closed)]) ],
        [ (Starting, vec![Arm(Timer::Start)]), same(ls),                      (ll, vec![]),         (Idle, vec![Disarm]), same(ls),                                             (Idle, vec![Halt(Stop::NoWatchers)]), same(ls),      (Idle, vec![Disarm, Halt(Stop::Redefined)]),            (Idle, vec![Disarm, Halt(Stop::Closed)]) ],
        [ (Live, vec![Disarm]),               same(ll),                       same(ll),             (Idle, vec![Disarm]), same(ll),                                             (Idle, vec![Halt(Stop::NoWatchers)]), same(ll),      (Idle, vec![Disarm, Halt(Stop::Redefined)]),            (Idle, vec![Disarm, Halt(Stop::Closed)]) ],
        [ (fw, vec![]),                       same(fu),                       same(fu),             same(fu),           same(fu),                                               same(fu),                                (Idle, vec![]), (Idle, vec![Disarm]),                                  (Idle, vec![Disarm]) ],
        [ same(fw),                           (fu, vec![]),                   same(fw),             same(fw),           same(fw),                                               same(fw),                                start(),       start(),                                                (Idle, vec![Disarm]) ],
    ];
    for (state, row) in STATES.into_iter().zip(table) {
        for (event, expected) in EVENTS.into_iter().zip(row) {
            assert_eq!(step(Pulled, state, event), expected, "{state:?} on {event:?}");
        }
    }
}

#[test]
fn a_pushed_stream_waits_for_its_peer_without_a_timeout() {
    assert_eq!(step(Pushed, Idle, Watched), (Starting, vec![Start, Disarm]));
    let pulled_only = (Idle, Watched);
    for state in STATES {
        for event in EVENTS {
            let (_, effects) = step(Pushed, state, event);
            assert!(!effects.contains(&Arm(Timer::Start)), "{state:?} on {event:?}");
        }
    }
    assert!(step(Pulled, pulled_only.0, pulled_only.1).1.contains(&Arm(Timer::Start)));
}

#[test]
fn failures_are_counted_until_a_picture_arrives() {
    let mut machine = Lifecycle::new(Pulled);
    machine.on(Watched);
    for n in 1..=3 {
        machine.on(Ended);
        assert_eq!(machine.failures(), n);
        machine.on(Fired(Timer::Retry));
    }
    machine.on(Picture);
    assert_eq!((machine.state(), machine.failures()), (Live, 0));
}

/// In every sequence of events, a producer is never started twice or stopped while it does not run, and an
/// unwatched stream comes to rest.
#[test]
fn starts_and_stops_alternate_on_every_walk() {
    use proptest::prelude::*;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner
        .run(&proptest::collection::vec(0..EVENTS.len(), 0..60), |walk| {
            let mut machine = Lifecycle::new(Pulled);
            let mut running = false;
            let mut armed = None;
            for event in walk.into_iter().map(|i| EVENTS[i]) {
                match event {
                    // Only possible events: a running producer can end, and a running timer can fire.
                    Ended if !running => continue,
                    Fired(timer) if armed != Some(timer) => continue,
                    _ => {}
                }
                if event == Ended {
                    running = false;
                }
                if matches!(event, Fired(_)) {
                    armed = None;
                }
                for effect in machine.on(event) {
                    match effect {
                        Start => {
                            prop_assert!(!running, "started twice");
                            running = true;
                        }
                        Halt(_) => {
                            prop_assert!(running, "stopped while not running");
                            running = false;
                        }
                        Arm(timer) => armed = Some(timer),
                        Disarm => armed = None,
                    }
                }
                match machine.state() {
                    Idle => prop_assert!(!running && armed.is_none(), "an idle stream has no producer and no timer"),
                    Starting | Live | Lingering { .. } => prop_assert!(running),
                    Failing { .. } => prop_assert!(!running && armed == Some(Timer::Retry)),
                }
            }
            Ok(())
        })
        .expect("holds on every walk");
}
