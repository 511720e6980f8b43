//! [`Desk`]: answers the requests of clients, and has their videos. It knows neither who may see what nor how messages are sent.

use std::fmt;

use bytes::Bytes;
use futures_util::future::{BoxFuture, select_all};
use serde_json::json;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    groups::{FIRST, Groups},
    request::{Ask, Request},
};
use crate::{
    error::{Code, Error, Result},
    output::{DisconnectReason, Report, fmp4::Feed},
};

/// What a desk asks for media types and videos. The futures start as soon as they are polled.
pub(super) trait Source: Send + Sync {
    /// The media type of a video, with its codecs.
    fn describe(&self, url: &str) -> BoxFuture<'static, Result<String>>;

    /// Begins a video.
    fn open(&self, url: &str) -> BoxFuture<'static, Result<Opened>>;
}

/// A video that has begun.
pub(super) struct Opened {
    pub(super) feed: Feed,
    pub(super) seat: Box<dyn Seat>,
}

/// The place of a viewer, which is given back when it is dropped.
pub(super) trait Seat: Send {
    /// Cancelled when the viewer must end.
    fn end(&self) -> CancellationToken;

    /// Counts bytes that were sent.
    fn sent(&self, bytes: usize);

    /// The viewer ends, and why. Called once.
    fn left(&self, report: &Report);
}

/// The bounds of a desk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most requests that are being answered, and videos, together.
    pub(super) jobs: usize,
    /// Most bytes of a message.
    pub(super) message: usize,
    /// How long a client gets a video without a new request; none for a client whose end is seen.
    pub(super) ttl: Option<Duration>,
}

/// A message for a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// JSON.
    Answer { topic: String, body: String },
    /// Video, and whether a client can begin with it.
    Video { topic: String, data: Bytes, is_begin: bool },
}

/// Requests that are being answered, and videos.
pub(super) struct Desk {
    source: Box<dyn Source>,
    bounds: Bounds,
    jobs: Vec<Job>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Desk({} jobs)", self.jobs.len())
    }
}

enum Job {
    Describe { reply: String, url: String, answer: BoxFuture<'static, Result<String>> },
    View(Viewer),
}

/// A video of one client.
struct Viewer {
    ask: Ask,
    /// When the page can take a message.
    not_before: Instant,
    until: Option<Instant>,
    /// Most bytes of a message.
    limit: usize,
    step: Step,
}

enum Step {
    Opening(BoxFuture<'static, Result<Opened>>),
    Playing(Playing),
    /// The client must be told why there is no video.
    Ended(String),
}

struct Playing {
    groups: Groups,
    seat: Box<dyn Seat>,
    report: Report,
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.seat.left(&Report { dropped: self.groups.dropped(), ..self.report });
    }
}

/// What a job has to say.
enum News {
    /// A message; the job goes on.
    Video(String, Bytes, bool),
    /// The last message.
    Last(String, String),
}

impl Desk {
    pub(super) fn new(source: Box<dyn Source>, bounds: Bounds) -> Self {
        Desk { source, bounds, jobs: vec![] }
    }

    /// Changes the most bytes of a message, for videos that begin from now on.
    pub(super) fn set_message(&mut self, most: usize) {
        self.bounds.message = most;
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Videos, those that are being opened included.
    #[cfg(test)]
    pub(super) fn viewers(&self) -> usize {
        self.jobs.iter().filter(|job| matches!(job, Job::View(_))).count()
    }

    /// Begins to answer a request. One without room is answered at once.
    pub(super) fn take(&mut self, request: Request) -> Option<Out> {
        match request {
            Request::Register { client } => self.renew(&client),
            Request::Unregister { client } => self.end(|ask| ask.client == client),
            Request::Stop { client, url } => {
                self.end(|ask| ask.url == url && client.as_ref().is_none_or(|client| *client == ask.client));
            }
            Request::Describe(ask) => {
                self.renew(&ask.client);
                if self.jobs.len() >= self.bounds.jobs {
                    return Some(busy(ask.reply, |why| json!({"mimeCodec": "", "error": why}).to_string()));
                }
                let answer = self.source.describe(&ask.url);
                self.jobs.push(Job::Describe { reply: ask.reply, url: ask.url, answer });
            }
            Request::Play(ask) => {
                self.renew(&ask.client);
                // The page plays one video, and appends what comes for the one before to the same buffer.
                self.end(|other| other.client == ask.client || other.reply == ask.reply);
                if self.jobs.len() >= self.bounds.jobs {
                    return Some(busy(ask.reply, |why| json!({"error": why}).to_string()));
                }
                let (opening, now) = (self.source.open(&ask.url), Instant::now());
                let until = self.bounds.ttl.map(|ttl| now + ttl);
                let (limit, step) = (self.bounds.message, Step::Opening(opening));
                self.jobs.push(Job::View(Viewer { ask, not_before: now + FIRST, until, limit, step }));
            }
        }
        None
    }

    /// A client that sends requests is there.
    fn renew(&mut self, client: &str) {
        let until = self.bounds.ttl.map(|ttl| Instant::now() + ttl);
        for job in &mut self.jobs {
            if let Job::View(viewer) = job
                && viewer.ask.client == client
            {
                viewer.until = until;
            }
        }
    }

    /// Ends videos without a message.
    fn end(&mut self, is_meant: impl Fn(&Ask) -> bool) {
        self.jobs.retain(|job| !matches!(job, Job::View(viewer) if is_meant(&viewer.ask)));
    }

    /// Ends videos whose topic is no longer subscribed.
    pub(super) fn keep(&mut self, has_subscribed: impl Fn(&str) -> bool) {
        self.end(|ask| !has_subscribed(&ask.reply));
    }

    /// A message with video was not sent.
    pub(super) fn was_lost(&mut self, topic: &str) {
        for job in &mut self.jobs {
            if let Job::View(Viewer { ask, step: Step::Playing(playing), .. }) = job
                && ask.reply == topic
            {
                playing.groups.was_lost();
            }
        }
    }

    /// The next message. Waits for ever if there is nothing to do. Cancel-safe.
    pub(super) async fn next(&mut self) -> Out {
        if self.jobs.is_empty() {
            std::future::pending::<()>().await;
        }
        let (news, at, _) = select_all(self.jobs.iter_mut().map(|job| Box::pin(job.next()))).await;
        match news {
            News::Video(topic, data, is_begin) => Out::Video { topic, data, is_begin },
            News::Last(topic, body) => {
                self.jobs.swap_remove(at);
                Out::Answer { topic, body }
            }
        }
    }
}

fn busy(topic: String, body: impl FnOnce(&str) -> String) -> Out {
    let body = body("too many requests and videos at a time on this connection");
    Out::Answer { topic, body }
}

impl Job {
    /// Cancel-safe.
    async fn next(&mut self) -> News {
        match self {
            Job::Describe { reply, url, answer } => {
                let body = match answer.await {
                    Ok(media_type) => json!({"mimeCodec": media_type, "url": url}),
                    Err(e) => json!({"mimeCodec": "", "error": e.to_string(), "url": url}),
                };
                News::Last(reply.clone(), body.to_string())
            }
            Job::View(viewer) => viewer.next().await,
        }
    }
}

impl Viewer {
    async fn next(&mut self) -> News {
        loop {
            let until = self.until;
            let expired = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let ended = match &mut self.step {
                Step::Ended(why) => {
                    sleep_until(self.not_before).await;
                    let body = json!({"error": why, "url": self.ask.url}).to_string();
                    return News::Last(self.ask.reply.clone(), body);
                }
                Step::Opening(opening) => {
                    let opened = tokio::select! {
                        opened = opening => opened,
                        () = expired => Err(Error::new(Code::NoPicture, EXPIRED)),
                    };
                    match opened {
                        Ok(Opened { feed, seat }) => {
                            let groups = Groups::new(feed, self.limit, self.not_before);
                            let report = Report { parts: 0, bytes: 0, dropped: 0, left: DisconnectReason::Closed };
                            self.step = Step::Playing(Playing { groups, seat, report });
                            continue;
                        }
                        Err(e) => e.to_string(),
                    }
                }
                Step::Playing(playing) => {
                    let end = playing.seat.end();
                    let (why, words) = tokio::select! {
                        biased;
                        () = end.cancelled() => (DisconnectReason::ToldToEnd, "the permission was lost, or the server ends"),
                        () = expired => (DisconnectReason::Complete, EXPIRED),
                        group = playing.groups.next() => match group {
                            Ok(group) => {
                                playing.report.parts += 1;
                                playing.report.bytes += group.data.len() as u64;
                                playing.seat.sent(group.data.len());
                                return News::Video(self.ask.reply.clone(), group.data, group.is_begin);
                            }
                            Err(why) => (DisconnectReason::StreamEnded, why.0),
                        }
                    };
                    playing.report.left = why;
                    words.to_owned()
                }
            };
            self.step = Step::Ended(ended);
        }
    }
}

/// Why a video ends whose client sent no request for too long.
const EXPIRED: &str = "the client sent no request within mqtt_video.ttl";

#[cfg(test)]
mod tests;
