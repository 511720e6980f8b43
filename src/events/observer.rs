//! [`Observer`]: looks at streams and at MediaMTX's paths, and publishes each change as an event.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use super::{Bus, Kind, changes};
use crate::{
    mediamtx::{self, Client, PathCache},
    stream::Registry,
    throughput::{self, Throughput},
    uptime::{Seen, Uptime},
};

/// How often streams and MediaMTX's paths are compared with what they were.
const INTERVAL: Duration = throughput::EVERY;

/// How often MediaMTX is asked for its recordings, because it reads its folders for that. A hook reports a complete
/// segment at once.
const RECORDINGS_INTERVAL: Duration = Duration::from_secs(10);

/// What is observed, and what is updated from the same answers.
pub struct Observer {
    /// Receives the events.
    pub events: Bus,
    /// Our streams.
    pub registry: Registry,
    /// MediaMTX's control API.
    pub mediamtx: Client,
    /// Stores MediaMTX's paths as they were seen last.
    pub path_cache: PathCache,
    /// Stores the curve of bytes per second.
    pub throughput: Throughput,
    /// Stores how streams were in the last day.
    pub uptime: Uptime,
    /// Bytes that we have sent to all sessions so far.
    pub sent: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Observer {
    /// Observes until the future is dropped.
    pub async fn run(&self) {
        tokio::join!(self.observe_streams(), self.observe_paths());
    }

    async fn observe_streams(&self) {
        let mut before = changes::Streams::new();
        loop {
            let streams = self.registry.list().into_iter().map(|stream| {
                let ((state, reason), failure) = (stream.state(), stream.failure());
                let stalled = stream.is_stalled();
                (stream.name().to_string(), changes::StreamSeen { state: state.as_str(), reason, failure, stalled })
            });
            let now = streams.collect();
            self.note_uptime(&now);
            changes::publish_streams(&self.events, &before, &now);
            before = now;
            sleep(INTERVAL).await;
        }
    }

    fn note_uptime(&self, streams: &changes::Streams) {
        let seen = |stream: &changes::StreamSeen| match stream.state {
            _ if stream.stalled => Some(Seen::Stalled),
            "live" | "lingering" => Some(Seen::Live),
            "failing" => Some(Seen::Failing),
            _ => None,
        };
        let streams = streams.iter().map(|(name, stream)| (name.as_str(), seen(stream))).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = u32::try_from(INTERVAL.as_secs()).unwrap_or_default();
        self.uptime.note(now.as_secs(), seconds, &streams);
    }

    /// While MediaMTX does not answer, nothing is known of its paths, and no change is published.
    async fn observe_paths(&self) {
        let (mut before, mut segments) = (None, None);
        let mut asked_recordings = None;
        let (mut knows_configuration, mut answers) = (false, None);
        loop {
            let list = self.mediamtx.paths().await.ok();
            // A MediaMTX that was away can have another configuration.
            knows_configuration &= list.is_some();
            if !knows_configuration && list.is_some() {
                knows_configuration = self.ask_for_configuration().await;
            }
            let received = self.registry.list().iter().map(|stream| stream.received()).sum();
            self.throughput.note(list.as_deref(), received, (self.sent)(), Instant::now());
            let now = list.as_deref().map(changes::paths);
            let had_answered = answers.replace(list.is_some());
            // The cache is updated before the events go out: a page that asks because of an event finds the new state.
            self.path_cache.note(list);
            if had_answered.is_some_and(|had| had != now.is_some()) {
                self.events.tell(Kind::ServerState, "", json!({ "answers": now.is_some() }));
            }
            if let Some(now) = now {
                // The paths that exist at start-up are no changes.
                if let Some(before) = before.replace(now.clone()) {
                    changes::publish_paths(&self.events, &before, &now);
                }
                if asked_recordings.is_none_or(|at: Instant| at.elapsed() >= RECORDINGS_INTERVAL) {
                    asked_recordings = Some(Instant::now());
                    self.ask_for_configuration().await;
                    if let Ok(recorded) = self.mediamtx.recordings().await {
                        let some = recorded.iter().filter(|recorded| !recorded.segments.is_empty());
                        self.path_cache.note_recorded(some.map(|recorded| recorded.name.clone()).collect());
                        let now = changes::segments(&recorded, &now);
                        if let Some(before) = segments.replace(now.clone()) {
                            changes::publish_segments(&self.events, &before, &now);
                        }
                    }
                }
            }
            sleep(INTERVAL).await;
        }
    }

    /// Asks MediaMTX for its servers, whose ports are in links, and for its sources on demand; gives whether it has answered.
    async fn ask_for_configuration(&self) -> bool {
        if let Ok(entries) = self.mediamtx.configured_paths().await {
            let on_demand = entries.iter().filter(|entry| mediamtx::is_on_demand(entry));
            let names = on_demand.filter_map(|entry| entry.get("name")?.as_str().map(str::to_owned));
            self.path_cache.note_on_demand(names.collect());
        }
        let answer = self.mediamtx.servers().await;
        let known = answer.is_ok();
        if let Ok(servers) = answer {
            self.path_cache.note_servers(servers);
        }
        known
    }
}
