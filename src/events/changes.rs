//! Compares two observations and publishes the differences.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Bus, Kind};
use crate::{mediamtx::Recorded, stream::LastFailure};

/// The part of a MediaMTX path that events are about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathSeen {
    available: bool,
    source: Value,
    /// Type and id of each reader.
    readers: BTreeSet<(String, String)>,
}

/// Reads the items of MediaMTX's `/v3/paths/list`. `available` counts and not `online`, which is true for an idle source.
pub fn paths(list: &[Value]) -> BTreeMap<String, PathSeen> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let seen = list.iter().filter_map(|path| {
        let name = path["name"].as_str()?.to_owned();
        let readers = path["readers"].as_array().into_iter().flatten();
        let readers = readers.map(|reader| (text(&reader["type"]), text(&reader["id"]))).collect();
        Some((name, PathSeen { available: path["available"] == true, source: path["source"]["type"].clone(), readers }))
    });
    seen.collect()
}

/// Publishes the differences between two lists of paths.
pub fn publish_paths(bus: &Bus, before: &BTreeMap<String, PathSeen>, now: &BTreeMap<String, PathSeen>) {
    let none = PathSeen::default();
    let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    for name in names {
        let (before, now) = (before.get(name).unwrap_or(&none), now.get(name).unwrap_or(&none));
        if now.available && !before.available {
            bus.tell(Kind::PathAvailable, name, json!({ "source": now.source }));
        }
        for (kind, readers) in [
            (Kind::ReaderJoined, now.readers.difference(&before.readers)),
            (Kind::ReaderLeft, before.readers.difference(&now.readers)),
        ] {
            for (reader, id) in readers {
                bus.tell(kind, name, json!({ "reader": reader, "id": id }));
            }
        }
        if before.available && !now.available {
            bus.tell(Kind::PathUnavailable, name, json!({}));
        }
    }
}

/// The start times of each path's complete segments. The last segment of an available path may still grow and is left out.
pub fn segments(recorded: &[Recorded], paths: &BTreeMap<String, PathSeen>) -> BTreeMap<String, Vec<String>> {
    let complete = recorded.iter().map(|recorded| {
        let may_go_on = paths.get(&recorded.name).is_some_and(|path| path.available);
        let count = recorded.segments.len().saturating_sub(usize::from(may_go_on));
        let starts = recorded.segments[..count].iter().map(|segment| segment.start.clone()).collect();
        (recorded.name.clone(), starts)
    });
    complete.collect()
}

/// Publishes the segments that are complete now and were not before.
pub fn publish_segments(bus: &Bus, before: &BTreeMap<String, Vec<String>>, now: &BTreeMap<String, Vec<String>>) {
    for (name, starts) in now {
        let known: BTreeSet<_> = before.get(name).into_iter().flatten().collect();
        for start in starts.iter().filter(|start| !known.contains(start)) {
            bus.tell(Kind::RecordingSegment, name, json!({ "start": start }));
        }
    }
}

/// The part of a stream that events are about.
#[derive(Clone, Debug)]
pub struct StreamSeen {
    /// The state in a word.
    pub state: &'static str,
    /// The reason in words.
    pub reason: String,
    /// Why the producer failed, if no picture has arrived since.
    pub failure: Option<LastFailure>,
    /// Whether the source is connected and brings no pictures.
    pub stalled: bool,
}

/// Our streams by name.
pub type Streams = BTreeMap<String, StreamSeen>;

/// Publishes each stream whose state has changed, which has stalled or goes on, or whose failure is over or new: an edit ends it.
///
/// Without a watcher a stream fails for a second only, which is shorter than the time between two observations. A failure that is
/// new and over is published as `failing`, before the state that followed it.
pub fn publish_streams(bus: &Bus, before: &Streams, now: &Streams) {
    for (name, stream) in now {
        let seen = before.get(name);
        let mut was = seen.map(|seen| seen.state);
        let is_new = |failure: &&LastFailure| {
            seen.and_then(|seen| seen.failure.as_ref()).is_none_or(|known| known.at != failure.at)
        };
        if let Some(failure) =
            stream.failure.as_ref().filter(is_new).filter(|_| stream.state != "failing" && was != Some("failing"))
        {
            let reason = failure.reason.clone();
            publish_stream(bus, name, was, &StreamSeen { state: "failing", reason, ..stream.clone() });
            was = Some("failing");
        }
        let is_other =
            |seen: &StreamSeen| seen.stalled != stream.stalled || seen.failure.is_some() != stream.failure.is_some();
        if was != Some(stream.state) || seen.is_some_and(is_other) {
            publish_stream(bus, name, was, stream);
        }
    }
    for (name, seen) in before.iter().filter(|(name, _)| !now.contains_key(*name)) {
        let data = json!({ "state": "removed", "reason": "the stream was removed", "before": seen.state });
        bus.tell(Kind::StreamState, name, data);
    }
}

fn publish_stream(bus: &Bus, name: &str, before: Option<&str>, seen: &StreamSeen) {
    let StreamSeen { state, reason, failure, stalled } = seen;
    let data = json!({ "state": state, "reason": reason, "failure": failure, "stalled": stalled, "before": before });
    bus.tell(Kind::StreamState, name, data);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bus: &Bus, since: u64) -> Vec<String> {
        let heard = bus.since(since).events;
        heard
            .iter()
            .map(|told| format!("{} {} {}", told.event.kind.as_str(), told.event.path, told.event.data))
            .collect()
    }

    #[test]
    fn paths_come_and_go_with_their_readers() {
        let bus = Bus::default();
        let begin = bus.latest();
        let path = |available: bool, readers: &[&str]| {
            let readers: Vec<_> = readers.iter().map(|id| json!({"type": "webRTCSession", "id": id})).collect();
            // An idle source on demand says that it is online.
            paths(&[
                json!({"name": "cam", "available": available, "online": true, "source": {"type": "rtspSource"}, "readers": readers}),
            ])
        };
        let steps = [paths(&[]), path(false, &[]), path(true, &["a", "b"]), path(true, &["b", "c"]), paths(&[])];
        for pair in steps.windows(2) {
            publish_paths(&bus, &pair[0], &pair[1]);
        }
        assert_eq!(
            told(&bus, begin),
            [
                r#"path.available cam {"source":"rtspSource"}"#,
                r#"reader.joined cam {"id":"a","reader":"webRTCSession"}"#,
                r#"reader.joined cam {"id":"b","reader":"webRTCSession"}"#,
                r#"reader.joined cam {"id":"c","reader":"webRTCSession"}"#,
                r#"reader.left cam {"id":"a","reader":"webRTCSession"}"#,
                r#"reader.left cam {"id":"b","reader":"webRTCSession"}"#,
                r#"reader.left cam {"id":"c","reader":"webRTCSession"}"#,
                "path.unavailable cam {}",
            ]
        );
    }

    #[test]
    fn a_segment_is_complete_when_the_next_one_begins_or_the_publisher_leaves() {
        let bus = Bus::default();
        let begin = bus.latest();
        let recorded = |starts: &[&str]| {
            let list =
                json!([{"name": "cam", "segments": starts.iter().map(|s| json!({"start": s})).collect::<Vec<_>>()}]);
            serde_json::from_value::<Vec<Recorded>>(list).expect("as MediaMTX has it")
        };
        let cam = |available: bool| paths(&[json!({"name": "cam", "available": available})]);
        let steps = [
            segments(&recorded(&["1"]), &cam(true)),
            segments(&recorded(&["1", "2"]), &cam(true)),
            // MediaMTX deletes the oldest segment at the same time (recordDeleteAfter).
            segments(&recorded(&["2", "3", "4"]), &cam(true)),
            segments(&recorded(&["2", "3", "4"]), &cam(false)),
            segments(&[], &cam(false)),
        ];
        for pair in steps.windows(2) {
            publish_segments(&bus, &pair[0], &pair[1]);
        }
        let starts: Vec<_> = bus.since(begin).events.iter().map(|t| t.event.data["start"].clone()).collect();
        assert_eq!(starts, [json!("1"), json!("2"), json!("3"), json!("4")]);
    }

    fn failed(at: &str) -> LastFailure {
        LastFailure {
            code: "unavailable",
            cause: None,
            reason: "because".into(),
            at: at.into(),
            title: "Temporarily unavailable",
        }
    }

    fn seen(state: &'static str, failure: Option<LastFailure>) -> Streams {
        let seen = StreamSeen { state, reason: state.into(), failure, stalled: state == "live" };
        Streams::from([("door".to_owned(), seen)])
    }

    /// The members of `stream.state` events.
    fn changes(steps: &[Streams]) -> Vec<Value> {
        let bus = Bus::default();
        let begin = bus.latest();
        for pair in steps.windows(2) {
            publish_streams(&bus, &pair[0], &pair[1]);
        }
        bus.since(begin).events.iter().map(|told| told.event.data.clone()).collect()
    }

    #[test]
    fn streams_are_told_of_when_their_state_changes() {
        let told = changes(&[
            Streams::new(),
            seen("idle", None),
            seen("idle", None),
            seen("failing", Some(failed("2026-01-31T12:00:00Z"))),
            seen("failing", Some(failed("2026-01-31T12:00:02Z"))),
            Streams::new(),
        ]);
        let states: Vec<_> = told.iter().map(|data| &data["state"]).collect();
        assert_eq!(states, ["idle", "failing", "removed"]);
        let codes: Vec<_> = told.iter().map(|data| &data["failure"]["code"]).collect();
        assert_eq!(codes, [&Value::Null, &json!("unavailable"), &Value::Null]);
    }

    #[test]
    fn a_failure_between_two_observations_is_told_before_the_state_after_it() {
        let told = changes(&[
            seen("idle", None),
            seen("idle", Some(failed("2026-01-31T12:00:00Z"))),
            seen("idle", Some(failed("2026-01-31T12:00:00Z"))),
            seen("starting", Some(failed("2026-01-31T12:00:07Z"))),
        ]);
        let states: Vec<_> =
            told.iter().map(|data| format!("{} {} {}", data["before"], data["state"], data["reason"])).collect();
        assert_eq!(
            states,
            [
                r#""idle" "failing" "because""#,
                r#""failing" "idle" "idle""#,
                r#""idle" "failing" "because""#,
                r#""failing" "starting" "starting""#,
            ]
        );
    }
}
