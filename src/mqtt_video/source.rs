//! [`Visitor`]: a client's way to the streams. Its requests are admitted as those of every other output.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{
    KIND, Shared,
    desk::{Opened, Seat, Source},
};
use crate::{
    access::{Permit, Role, SessionInfo},
    catalog::Requester,
    error::{Code, Error, Result},
    metrics::Metrics,
    output::{
        Report,
        fmp4::{self, Feed},
        h264::Want,
    },
    policy::{Authorized, Caller, Principal},
    stream::{Demand, StreamName},
};

/// A client, by whom and from where it is asked.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) shared: Arc<Shared>,
    /// Without credentials it can read the names in `mqtt_video.public`.
    pub(super) caller: Caller,
    /// Its address, for the list of sessions.
    pub(super) remote: String,
    /// Whether its requests can make a stream.
    pub(super) may_make: bool,
}

impl Visitor {
    async fn enter(self, url: String) -> Result<Opened> {
        let Shared { settings, catalog, encodings, metrics, places, .. } = &*self.shared;
        let name = catalog.name(&settings.name_in(&url)?)?;
        let place = places.clone().try_acquire_owned().map_err(|_| {
            let message = format!("there are {} videos already (mqtt_video.max_viewers)", settings.max_viewers);
            Error::new(Code::TooManyWatchers, message)
        })?;
        let (who, permit) = self.admit(&name).await?;
        let by = Requester { share: self.caller.quota_holder(&who), may_make: self.may_make };
        let watch = catalog.watch(&name, Demand::Single, &by).await?;
        // Without sound: the page makes its buffer for the codec of the video alone.
        let video_only = fmp4::Accepts::parse("avc1,hvc1");
        let feed = fmp4::open(encodings, watch, Want::default(), &video_only).await?;
        Ok(Opened { feed, seat: Box::new(Place { permit, metrics: metrics.clone(), _place: place }) })
    }

    /// The policy decides about a client that says who it is. Any client can read a public name.
    async fn admit(&self, name: &StreamName) -> Result<(Authorized, Permit)> {
        let Shared { settings, access, .. } = &*self.shared;
        let (is_public, is_anonymous) = (settings.public.contains(name), self.caller.credentials.is_empty());
        let (path, remote) = (name.to_string(), self.remote.clone());
        let session = SessionInfo { protocol: KIND.word, path, remote, publishes: false };
        if is_anonymous && !is_public {
            let message = format!(
                "{name} is not in mqtt_video.public: to read it, a user name and a password, or a token, are required in CONNECT"
            );
            return Err(Error::new(Code::Unauthenticated, message));
        }
        if !is_anonymous {
            match access.admit(Role::Watcher, &self.caller, session.clone()).await {
                Err(_) if is_public => {}
                decided => return decided,
            }
        }
        let anonymous = Authorized::from(Principal::Anonymous);
        let permit = access.permit(Role::Watcher, &self.caller, anonymous.clone(), session).await?;
        Ok((anonymous, permit))
    }
}

impl Source for Visitor {
    fn describe(&self, url: &str) -> BoxFuture<'static, Result<String>> {
        let entering = self.clone().enter(url.to_owned());
        // The stream lingers, so that the video, which is asked for next, begins at once.
        Box::pin(async move { Ok(media_type(&entering.await?.feed)) })
    }

    fn open(&self, url: &str) -> BoxFuture<'static, Result<Opened>> {
        Box::pin(self.clone().enter(url.to_owned()))
    }
}

fn media_type(feed: &Feed) -> String {
    feed.tracks().content_type()
}

/// The place of a viewer.
struct Place {
    permit: Permit,
    metrics: Metrics,
    _place: OwnedSemaphorePermit,
}

impl Seat for Place {
    fn end(&self) -> CancellationToken {
        self.permit.session().end().clone()
    }

    fn sent(&self, bytes: usize) {
        self.permit.session().sent(bytes);
    }

    fn left(&self, report: &Report) {
        self.metrics.count_watched(&KIND, report);
        tracing::debug!(report.parts, report.bytes, report.dropped, "a video by MQTT ends: {}", report.left.reason());
    }
}
