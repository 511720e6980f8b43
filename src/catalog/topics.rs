//! Streams that topics make: a definition of kind `mqtt` whose topic has wildcards has a stream for each topic that sends
//! pictures ([`Group`]).
//!
//! One task hands each message to the stream of its topic, and decodes none. A stream is made by the first picture of a topic,
//! and removed when the topic was silent for the definition's `expire` and the stream is not watched.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::Catalog;
use crate::{
    error::{Code, Error, Result},
    mqtt::{News, Received, Subscription},
    producer::mqtt::Group,
    stream::{Origin, Producer, Registry, Stream, StreamName},
};

/// Most bytes of messages that are held for streams without a watcher, of all groups: two thousand pictures of 30 KB. The
/// oldest ones are forgotten first.
const MAX_HELD: usize = 64 << 20;

/// Pause until a silent stream that is watched is looked at again, at most.
const WATCHED: Duration = Duration::from_secs(30);

/// The stream of a topic.
struct OfTopic {
    group: Weak<Group>,
    topic: String,
    messages: watch::Sender<Option<Received>>,
    stream: Arc<Stream>,
    producer: Arc<dyn Producer>,
    last: Instant,
    /// When it is looked at whether the topic was silent.
    until: Instant,
}

impl OfTopic {
    /// Whether the stream is the one that was made here: it can be removed, or defined as something else.
    fn is_present(&self, registry: &Registry, name: &StreamName) -> bool {
        registry.get(name).is_some_and(|stream| Arc::ptr_eq(&stream, &self.stream))
            && self.stream.origin() == Origin::Topic
            && Arc::ptr_eq(&self.stream.producer(), &self.producer)
    }
}

/// The streams of all groups.
struct Topics<'a> {
    registry: &'a Registry,
    streams: HashMap<StreamName, OfTopic>,
    /// Bytes of the messages that are held.
    held: usize,
}

impl Catalog {
    /// Makes and removes the streams of topics, until the future is dropped.
    pub async fn follow_topics(&self) {
        let registry = &self.0.registry;
        let groups = &self.0.context.topics;
        // Of a run that panicked: their topics make them again.
        for stream in registry.list().into_iter().filter(|stream| stream.origin() == Origin::Topic) {
            registry.remove(stream.name(), "its topic is read anew");
        }
        let mut topics = Topics { registry, streams: HashMap::new(), held: 0 };
        let (mut waiting, mut known) = (FuturesUnordered::new(), Vec::<Weak<Group>>::new());
        loop {
            known.retain(|group| group.strong_count() > 0);
            for group in groups.list() {
                let weak = Arc::downgrade(&group);
                if !known.iter().any(|other| other.ptr_eq(&weak)) {
                    let (subscription, ended) = group.messages();
                    waiting.push(next(weak.clone(), subscription, ended));
                    known.push(weak);
                }
            }
            let until = topics.streams.values().map(|stream| stream.until).min();
            tokio::select! {
                () = groups.changed() => {}
                Some(came) = waiting.next() => match (came.group.upgrade(), came.news) {
                    (Some(group), Some(news)) => {
                        match news {
                            News::Message(message) => topics.take(&group, message).await,
                            // Too large, or refused by the broker.
                            News::Problem(why) => group.leave_out(&why),
                        }
                        waiting.push(next(came.group, came.subscription, came.ended));
                    }
                    _ => topics.end(&came.group, &groups.list()),
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => topics.expire(),
            }
        }
    }
}

/// What happened in a group; no news if it has ended.
struct Came {
    group: Weak<Group>,
    subscription: Arc<Subscription>,
    ended: CancellationToken,
    news: Option<News>,
}

async fn next(group: Weak<Group>, subscription: Arc<Subscription>, ended: CancellationToken) -> Came {
    let news = tokio::select! {
        () = ended.cancelled() => None,
        news = subscription.next() => Some(news),
    };
    Came { group, subscription, ended, news }
}

impl Topics<'_> {
    /// Hands a message to the stream of its topic; makes the stream if the message is a picture.
    async fn take(&mut self, group: &Arc<Group>, message: Received) {
        // An empty message tells the broker to forget the one that it has kept (MQTT 3.1.1, section 3.3.1.3).
        if message.payload.is_empty() {
            return;
        }
        let Some(name) = group.stream_name(&message.topic) else { return };
        let taken = async {
            let name = self.registry.name(&name?)?;
            match self.streams.get(&name) {
                Some(stream) if !stream.is_present(self.registry, &name) => drop(self.forget(&name)),
                Some(stream) if stream.topic != message.topic => return Err(taken(&name, &stream.topic)),
                Some(stream) if stream.group.ptr_eq(&Arc::downgrade(group)) => {}
                Some(_) => self.hand_over(&name, group)?,
                None => {}
            }
            if !self.streams.contains_key(&name) {
                if !group.has_picture(&message).await {
                    return Err(Error::new(Code::NotAPicture, format!("{} sends no pictures", message.topic)));
                }
                self.make(group, &name, &message.topic)?;
            }
            Ok(name)
        };
        match taken.await {
            Ok(name) => {
                group.show(&message);
                self.hand(&name, message, group.expire());
            }
            Err(e) => group.leave_out(&e.to_string()),
        }
    }

    /// Makes the stream of a topic.
    fn make(&mut self, group: &Arc<Group>, name: &StreamName, topic: &str) -> Result<()> {
        let most = group.max_streams();
        if self.of(group) >= most {
            let message = format!("there are {most} streams of {} already (max_streams)", group.name());
            return Err(Error::new(Code::TooManyStreams, message));
        }
        let messages = watch::Sender::new(None);
        let producer = group.of_topic(topic, messages.subscribe());
        let stream = self.registry.get_or_create(name, Origin::Topic, || Ok(producer.clone()))?;
        if !Arc::ptr_eq(&stream.producer(), &producer) {
            return Err(taken(name, "another stream"));
        }
        tracing::info!(stream = %name, "made, because its MQTT topic sends pictures");
        let now = Instant::now();
        let made = OfTopic {
            group: Arc::downgrade(group),
            topic: topic.to_owned(),
            messages,
            stream,
            producer,
            last: now,
            until: now,
        };
        self.streams.insert(name.clone(), made);
        group.note_streams(self.of(group));
        Ok(())
    }

    /// Puts a message into its stream, and forgets the oldest messages of others if there is no room.
    fn hand(&mut self, name: &StreamName, message: Received, expire: Duration) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.last = message.at;
        stream.until = message.at + expire;
        self.held += message.payload.len();
        self.held -= bytes(&stream.messages.send_replace(Some(message)));
        while self.held > MAX_HELD {
            let others = self.streams.iter().filter(|(other, held)| *other != name && held.messages.borrow().is_some());
            let Some((_, oldest)) = others.min_by_key(|(_, held)| held.last) else { break };
            self.held -= bytes(&oldest.messages.send_replace(None));
        }
    }

    /// The number of a group's streams.
    fn of(&self, group: &Arc<Group>) -> usize {
        let weak = Arc::downgrade(group);
        self.streams.values().filter(|stream| stream.group.ptr_eq(&weak)).count()
    }

    fn forget(&mut self, name: &StreamName) -> Option<OfTopic> {
        let stream = self.streams.remove(name)?;
        self.held -= bytes(&stream.messages.borrow());
        if let Some(group) = stream.group.upgrade() {
            group.note_streams(self.of(&group));
        }
        Some(stream)
    }

    /// Gives the stream to another group, which has taken the place of its own one. Watchers stay.
    fn hand_over(&mut self, name: &StreamName, to: &Arc<Group>) -> Result<()> {
        let Some(stream) = self.streams.get_mut(name) else { return Ok(()) };
        if stream.group.upgrade().is_some_and(|group| group.name() != to.name()) {
            return Err(taken(name, "another definition"));
        }
        let producer = to.of_topic(&stream.topic, stream.messages.subscribe());
        stream.stream = self.registry.define(name, Origin::Topic, producer.clone())?;
        (stream.producer, stream.group) = (producer, Arc::downgrade(to));
        stream.until = stream.last + to.expire();
        to.note_streams(self.of(to));
        Ok(())
    }

    /// A group has ended: its streams go to the group that has taken its place, or end.
    fn end(&mut self, ended: &Weak<Group>, groups: &[Arc<Group>]) {
        let own = self.streams.iter().filter(|(_, stream)| stream.group.ptr_eq(ended));
        let own: Vec<_> = own.map(|(name, stream)| (name.clone(), stream.topic.clone())).collect();
        for (name, topic) in own {
            let fits = |group: &&Arc<Group>| matches!(group.stream_name(&topic), Some(Ok(of)) if of == name);
            let heir = groups.iter().rev().find(fits);
            let is_present = self.streams.get(&name).is_some_and(|stream| stream.is_present(self.registry, &name));
            match heir {
                Some(heir) if is_present && self.of(heir) < heir.max_streams() => {
                    if let Err(e) = self.hand_over(&name, heir) {
                        heir.leave_out(&e.to_string());
                    }
                }
                _ => {
                    self.forget(&name);
                    if is_present {
                        self.registry.remove(&name, "its definition has ended");
                    }
                }
            }
        }
    }

    /// Removes the streams whose topic was silent for too long.
    fn expire(&mut self) {
        let now = Instant::now();
        let due = self.streams.iter().filter(|(_, stream)| stream.until <= now);
        let due: Vec<_> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            let Some(stream) = self.streams.get_mut(&name) else { continue };
            let is_gone = !stream.is_present(self.registry, &name);
            if is_gone || self.registry.remove_unwatched(&stream.stream, "its topic is silent") {
                tracing::info!(stream = %name, "removed, because its MQTT topic is silent");
                self.forget(&name);
            } else {
                let pause = stream.group.upgrade().map_or(WATCHED, |group| group.expire().min(WATCHED));
                stream.until = now + pause;
            }
        }
    }
}

fn bytes(message: &Option<Received>) -> usize {
    message.as_ref().map_or(0, |message| message.payload.len())
}

fn taken(name: &StreamName, by: &str) -> Error {
    Error::new(Code::KindConflict, format!("the name {name} is taken by {by}"))
}
