//! [`Feeds`]: the pictures of this node for other nodes, while those ask for them.

use std::{collections::HashMap, sync::Arc};

use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until},
};

use super::{
    Locals,
    ask::{self, Ask, Told, Wish},
    send::send,
    uploads::Pushes,
};
use crate::{
    cluster::Cluster,
    stream::{Demand, Stream, StreamName},
};

/// Most nodes that are remembered for one stream.
const MAX_ASKERS: usize = 1000;

/// Pause before requests are listened to again.
const AGAIN: Duration = Duration::from_secs(1);

/// Finds a stream of this node.
pub type Find = dyn Fn(&str) -> Option<Arc<Stream>> + Send + Sync;

/// Sends pictures to nodes that ask. Cheap to clone.
#[derive(Clone)]
pub(super) struct Feeds(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    locals: Locals,
    pushes: Pushes,
    find: Box<Find>,
    feeds: Mutex<HashMap<StreamName, Arc<Feed>>>,
}

/// The nodes that ask for one stream.
#[derive(Default)]
struct Feed {
    askers: Mutex<HashMap<String, (Wish, Instant)>>,
    /// The present picture must be sent: a node is new, or the pictures are this node's now.
    wake: Notify,
}

impl Feeds {
    pub(super) fn new(cluster: Cluster, locals: Locals, pushes: Pushes, find: Box<Find>) -> Self {
        Feeds(Arc::new(Inner { cluster, locals, pushes, find, feeds: Mutex::default() }))
    }

    /// The number of other nodes that get pictures of the stream.
    pub(super) fn askers(&self, stream: &StreamName) -> usize {
        self.0.feeds.lock().get(stream).map_or(0, |feed| feed.askers.lock().len())
    }

    /// Sends the present picture to those who ask.
    pub(super) fn send_again(&self, stream: &StreamName) {
        if let Some(feed) = self.0.feeds.lock().get(stream) {
            feed.wake.notify_one();
        }
    }

    /// Answers the other nodes until the program ends.
    pub(super) async fn run(&self) {
        tokio::join!(self.answer(), self.note_wants());
    }

    /// Takes note of the nodes that want uploads.
    async fn note_wants(&self) {
        let subject = ask::subject_of_all(&self.0.cluster);
        loop {
            match self.0.cluster.connection().control.subscribe(subject.clone()).await {
                Ok(mut wanted) => {
                    while let Some(message) = wanted.next().await {
                        if let Some(wants) = ask::decode::<Ask>(&message.payload) {
                            self.0.pushes.asked(wants);
                        }
                    }
                }
                Err(e) => tracing::debug!("requests of other nodes cannot be heard: {e}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn answer(&self) {
        let subject = ask::subject_of(&self.0.cluster, &self.0.cluster.node());
        loop {
            let control = &self.0.cluster.connection().control;
            match control.subscribe(subject.clone()).await {
                Ok(mut asked) => {
                    while let Some(message) = asked.next().await {
                        let Some(wants) = ask::decode::<Ask>(&message.payload) else { continue };
                        let told = self.asked(wants);
                        if let (Some(reply), Ok(bytes)) = (message.reply, ask::encode(&self.0.cluster, told))
                            && let Err(e) = control.publish(reply, bytes).await
                        {
                            tracing::debug!("another node gets no answer: {e}");
                        }
                    }
                }
                Err(e) => tracing::debug!("requests of other nodes cannot be heard: {e}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn asked(&self, Ask { stream: name, node, wish }: Ask) -> Told {
        let Some(stream) = (self.0.find)(&name) else {
            return Told { reason: format!("the node has no stream {name}"), ..Told::default() };
        };
        let name = stream.name().clone();
        let mut feeds = self.0.feeds.lock();
        match (feeds.get(&name), wish) {
            (Some(feed), Wish::Nothing) => {
                feed.askers.lock().remove(&node);
                feed.wake.notify_one();
            }
            (None, Wish::Nothing) => {}
            (Some(feed), wish) => feed.add(node, wish),
            (None, wish) => {
                let feed = Arc::new(Feed::default());
                feed.add(node, wish);
                feeds.insert(name.clone(), feed.clone());
                tokio::spawn(self.clone().feed(stream.clone(), feed));
            }
        }
        drop(feeds);
        let (state, reason) = stream.state();
        Told { state: state.as_str().to_owned(), reason, is_holder: self.0.locals.epoch(&name).is_some() }
    }

    /// Sends pictures while a node asks for them.
    async fn feed(self, stream: Arc<Stream>, feed: Arc<Feed>) {
        if let Err(ended) = self.send_while_asked(&stream, &feed).await {
            tracing::debug!(stream = %stream.name(), "no pictures are sent to other nodes now: {}", ended.0);
            self.0.feeds.lock().remove(stream.name());
        }
    }

    async fn send_while_asked(&self, stream: &Arc<Stream>, feed: &Arc<Feed>) -> Result<(), crate::stream::Ended> {
        let mut watch = stream.watch_for(Demand::Single)?;
        let mut not_before = Instant::now();
        loop {
            let Some((wish, until)) = feed.wish() else {
                let mut feeds = self.0.feeds.lock();
                // Not while a node asks anew.
                if feed.askers.lock().is_empty() {
                    feeds.remove(stream.name());
                    return Ok(());
                }
                continue;
            };
            watch.set_demand(if wish == Wish::Each { Demand::Continuous } else { Demand::Single });
            let frame = tokio::select! {
                frame = async {
                    if wish == Wish::Single {
                        sleep_until(not_before).await;
                        watch.pass_over();
                    }
                    watch.next().await
                } => Some(frame?),
                () = feed.wake.notified() => watch.latest(),
                () = sleep_until(until) => None,
            };
            if let Some(frame) = frame
                && let Some(epoch) = self.0.locals.epoch_of(stream.name(), frame.seq)
            {
                frame.encode().await;
                send(&self.0.cluster, stream.name(), &frame, (epoch, frame.seq)).await;
                not_before = Instant::now() + ask::SINGLE;
            }
        }
    }
}

impl Feed {
    fn add(&self, node: String, wish: Wish) {
        let mut askers = self.askers.lock();
        if askers.len() >= MAX_ASKERS && !askers.contains_key(&node) {
            return;
        }
        let before = askers.insert(node, (wish, Instant::now() + ask::FOR));
        if before.is_none_or(|(before, _)| before != wish) {
            self.wake.notify_one();
        }
    }

    /// The greatest wish, and when the first node must have repeated its own. None if no node asks.
    fn wish(&self) -> Option<(Wish, Instant)> {
        let mut askers = self.askers.lock();
        let now = Instant::now();
        askers.retain(|_, (_, until)| *until > now);
        let until = askers.values().map(|(_, until)| *until).min()?;
        let wants_each = askers.values().any(|(wish, _)| *wish == Wish::Each);
        Some((if wants_each { Wish::Each } else { Wish::Single }, until))
    }
}
