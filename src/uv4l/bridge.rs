//! [`Bridge`]: UV4L cameras as paths of MediaMTX.
//!
//! UV4L offers, and WHIP expects an offer, so the two are introduced to each other: `call`, the rewritten offer to MediaMTX, the
//! answer back. The media go from the camera to MediaMTX. A camera on demand is called when MediaMTX asks whether someone can read
//! the path (`/mediamtx-auth`), or has a reader, and is hung up when there is none. Its path is `alwaysAvailable`, so that the
//! first reader waits at MediaMTX and is not refused.

mod call;

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::call::{Ended, Introduction};
use super::{Cameras, Defined, demand::BridgeState};
use crate::{
    backoff::Backoff,
    mediamtx::{PathCache, Whip},
    shutdown::Shutdown,
    stream::StreamName,
};

/// Pauses between attempts. A call that lasted for the longest pause begins with the shortest again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), LONGEST_PAUSE);

/// Keeps the paths of UV4L cameras supplied.
pub struct Bridge {
    /// The cameras.
    pub cameras: Cameras,
    /// Publishes to MediaMTX.
    pub whip: Whip,
    /// MediaMTX's paths and their readers.
    pub path_cache: PathCache,
    /// The end of the program, before which the cameras are hung up.
    pub shutdown: Shutdown,
}

impl Bridge {
    /// Runs until the future is dropped.
    pub async fn run(&self) {
        let mut running: BTreeMap<StreamName, (Defined, DropGuard)> = BTreeMap::new();
        loop {
            let wanted = self.cameras.bridged();
            running.retain(|name, (defined, _)| wanted.get(name) == Some(defined));
            for (name, defined) in wanted {
                running.entry(name.clone()).or_insert_with(|| {
                    let stop = self.shutdown.token().child_token();
                    self.start(name, defined.clone(), stop.clone());
                    (defined, stop.drop_guard())
                });
            }
            self.cameras.changed().await;
        }
    }

    fn start(&self, name: StreamName, defined: Defined, stop: CancellationToken) {
        let demand = self.cameras.bridges().begin(&name, self.path_cache.clone());
        let keeper = Keeper {
            introduction: Introduction {
                cameras: self.cameras.clone(),
                whip: self.whip.clone(),
                name,
                defined,
                demand,
            },
        };
        tokio::spawn(self.shutdown.track(async move { keeper.run(&stop).await }));
    }
}

/// Keeps one path supplied.
struct Keeper {
    introduction: Introduction,
}

impl Keeper {
    async fn run(&self, stop: &CancellationToken) {
        let Introduction { demand, defined, name, .. } = &self.introduction;
        let mut backoff = RETRY;
        loop {
            // A reader that wakes the camera shows that MediaMTX has the path.
            if !defined.on_demand {
                demand.tell(BridgeState::Starting, "MediaMTX does not have the path yet, or does not answer");
                tokio::select! {
                    () = demand.listed() => {}
                    () = stop.cancelled() => return,
                }
            } else {
                demand.tell(BridgeState::Idle, "the path has no reader");
                tokio::select! {
                    () = demand.wanted() => {}
                    () = stop.cancelled() => return,
                }
            }
            demand.tell(BridgeState::Starting, "the camera is called");
            let began = Instant::now();
            let why = match self.introduction.run(stop).await {
                Ended::Stopped => return,
                Ended::NotWanted => {
                    backoff.reset();
                    continue;
                }
                Ended::Failed(why) => why,
            };
            if began.elapsed() >= LONGEST_PAUSE {
                backoff.reset();
            }
            let pause = backoff.next_pause();
            tracing::warn!(path = %name, "{why}; the next attempt is in {pause:?}");
            demand.tell(BridgeState::Failing, &why);
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}
