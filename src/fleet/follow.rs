//! [`Follow`]: the pictures of another node.

use std::sync::Arc;

use async_nats::client::RequestErrorKind;
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Duration, Instant, sleep, sleep_until, timeout},
};

use super::ask::{self, Ask, Told, Wish};
use crate::{
    cluster::{
        Cluster,
        chunks::{Assembler, Head},
    },
    stream::StreamName,
};

/// Pause before the pictures are subscribed to again, and before a node that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Damaged pictures that are reported and not counted yet.
const FAULTS: usize = 16;

/// Which node is asked, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// None: this node only listens.
    NoNode,
    /// This one.
    Node(String, Wish),
    /// All, because any of them can have pictures.
    All(Wish),
}

/// What comes from another node.
pub(super) enum News {
    /// A picture.
    Picture(Head, Bytes),
    /// What the asked node said.
    Told(Told),
    /// A damaged picture.
    Fault(&'static str),
}

/// Waits for news, for ever if none is followed. Cancel-safe.
pub(super) async fn news_of(follow: &mut Option<Follow>) -> News {
    let Some(follow) = follow else { return std::future::pending().await };
    tokio::select! {
        (head, jpeg) = follow.latest.take() => News::Picture(head, jpeg),
        told = changed(&mut follow.told) => News::Told(told),
        Some(fault) = follow.faults.recv() => News::Fault(fault),
    }
}

async fn changed<T: Clone>(receiver: &mut watch::Receiver<Option<T>>) -> T {
    loop {
        if receiver.changed().await.is_err() {
            return std::future::pending().await;
        }
        if let Some(value) = receiver.borrow_and_update().clone() {
            return value;
        }
    }
}

/// The latest picture of another node, until it is taken. It is a part of the connection's buffer, which the client of NATS uses again as
/// soon as no message has a part of it. A picture that was kept would cost a new buffer for each one, which grows in steps.
#[derive(Default)]
struct Latest {
    slot: Mutex<Option<(Head, Bytes)>>,
    wake: Notify,
}

impl Latest {
    fn put(&self, head: Head, jpeg: Bytes) {
        *self.slot.lock() = Some((head, jpeg));
        self.wake.notify_one();
    }

    /// Waits for a picture. Cancel-safe; for one reader.
    async fn take(&self) -> (Head, Bytes) {
        loop {
            let taken = self.slot.lock().take();
            if let Some(picture) = taken {
                return picture;
            }
            self.wake.notified().await;
        }
    }
}

/// Follows the pictures of another node until it is dropped.
pub(super) struct Follow {
    /// The latest picture.
    latest: Arc<Latest>,
    /// What the asked node said last.
    told: watch::Receiver<Option<Told>>,
    /// Damaged pictures, by reason.
    faults: mpsc::Receiver<&'static str>,
    whom: watch::Sender<Whom>,
    tasks: [JoinHandle<()>; 2],
    /// For the last word to the node.
    cluster: Cluster,
    stream: StreamName,
}

impl Follow {
    /// Begins. `gone` is called with the name of a node that does not answer.
    pub(super) fn start(
        cluster: &Cluster,
        stream: &StreamName,
        limit: usize,
        whom: Whom,
        gone: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let latest = Arc::<Latest>::default();
        let (answers, told) = watch::channel(None);
        let (reports, faults) = mpsc::channel(FAULTS);
        let whom = watch::Sender::new(whom);
        let tasks = [
            tokio::spawn(listen(cluster.clone(), stream.clone(), limit, latest.clone(), reports)),
            tokio::spawn(ask(cluster.clone(), stream.clone(), whom.subscribe(), answers, gone)),
        ];
        Follow { latest, told, faults, whom, tasks, cluster: cluster.clone(), stream: stream.clone() }
    }

    /// Asks another node, or for something else.
    pub(super) fn ask(&self, whom: Whom) {
        self.whom.send_if_modified(|before| {
            let is_changed = *before != whom;
            *before = whom;
            is_changed
        });
    }

    /// Asks for another number of pictures.
    pub(super) fn wish(&self, wish: Wish) {
        let whom = match &*self.whom.borrow() {
            Whom::NoNode => Whom::NoNode,
            Whom::Node(node, _) => Whom::Node(node.clone(), wish),
            Whom::All(_) => Whom::All(wish),
        };
        self.ask(whom);
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        let subject = match &*self.whom.borrow() {
            Whom::NoNode => return,
            Whom::Node(node, _) => ask::subject_of(&self.cluster, node),
            Whom::All(_) => ask::subject_of_all(&self.cluster),
        };
        let (cluster, stream) = (self.cluster.clone(), self.stream.to_string());
        // So that the node need not wait for ten seconds before it stops the camera.
        tokio::spawn(async move {
            let ask = Ask { stream, node: cluster.node(), wish: Wish::Nothing };
            let connection = cluster.connection();
            if let Ok(bytes) = ask::encode(&cluster, ask)
                && connection.is_up()
            {
                let _ = connection.control.publish(subject, bytes).await;
            }
        });
    }
}

/// Takes the messages from the connection at once, so that it never is a slow consumer, and keeps the latest picture.
async fn listen(
    cluster: Cluster,
    stream: StreamName,
    limit: usize,
    latest: Arc<Latest>,
    faults: mpsc::Sender<&'static str>,
) {
    let subject = ask::frames_of(&cluster, &stream);
    let mut assembler = Assembler::new(limit);
    loop {
        match cluster.connection().frames.subscribe(subject.clone()).await {
            Ok(mut messages) => {
                while let Some(message) = messages.next().await {
                    let headers = message.headers.as_ref();
                    let head = Head::read(|name| headers?.get(name).map(async_nats::HeaderValue::as_str));
                    let whole = head.and_then(|head| Ok((head, assembler.add(head, message.payload)?)));
                    match whole {
                        Ok((head, Some(jpeg))) => latest.put(head, jpeg),
                        Ok((_, None)) => {}
                        // Not waited for: a flood of damaged messages costs no pictures.
                        Err(fault) => drop(faults.try_send(fault.as_str())),
                    }
                }
            }
            Err(e) => tracing::debug!(%stream, "the pictures of other nodes cannot be followed: {e}"),
        }
        sleep(AGAIN).await;
    }
}

/// Asks the node again and again.
async fn ask(
    cluster: Cluster,
    stream: StreamName,
    mut whom: watch::Receiver<Whom>,
    answers: watch::Sender<Option<Told>>,
    gone: impl Fn(&str),
) {
    loop {
        let mut again = Instant::now() + ask::EVERY;
        let connection = cluster.connection();
        let encode = |wish| ask::encode(&cluster, Ask { stream: stream.to_string(), node: cluster.node(), wish });
        let now = whom.borrow_and_update().clone();
        if let Whom::All(wish) = now {
            if let Ok(bytes) = encode(wish)
                && connection.is_up()
                && let Err(e) = connection.control.publish(ask::subject_of_all(&cluster), bytes).await
            {
                tracing::debug!(%stream, "other nodes are not asked: {e}");
            }
        } else if let Whom::Node(node, wish) = now {
            let Ok(bytes) = encode(wish) else { return };
            let request = connection.control.request(ask::subject_of(&cluster, &node), bytes);
            match timeout(ask::PATIENCE, request).await {
                Ok(Ok(answer)) => {
                    if let Some(told) = ask::decode::<Told>(&answer.payload) {
                        answers.send_replace(Some(told));
                    }
                }
                Ok(Err(e)) => {
                    if e.kind() == RequestErrorKind::NoResponders {
                        gone(&node);
                    }
                    again = Instant::now() + AGAIN;
                }
                Err(_) => again = Instant::now() + AGAIN,
            }
        }
        tokio::select! {
            changed = whom.changed() => if changed.is_err() { return },
            () = sleep_until(again) => {}
        }
    }
}
