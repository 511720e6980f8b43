//! [`Shared`]: an upload stream, whose pictures come to any node.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    select,
    sync::watch,
    time::{Duration, Instant, sleep_until},
};

use super::{
    Fleet,
    ask::{self, Ask, Wish},
    follow::{Follow, News, Whom, news_of},
    send::send,
};
use crate::{
    cluster::Cluster,
    error::Result,
    picture::{Picture, SharedFrame},
    stream::{FrameSink, Mode, Producer, ProducerFuture, Run, Stream, StreamName},
};

/// Most streams of which it is remembered that another node wants their pictures.
const MAX_STREAMS: usize = 10_000;

/// A picture that another node has stored comes by itself, too, while the stream is watched here. After so long it is fetched.
const FETCH_AFTER: Duration = Duration::from_secs(1);

/// An upload stream that shows the pictures of all nodes.
pub(super) struct Shared {
    /// Shows what was uploaded here.
    pub(super) inner: Arc<dyn Producer>,
    pub(super) fleet: Fleet,
}

impl Producer for Shared {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn mode(&self) -> Mode {
        self.inner.mode()
    }

    fn reloads(&self) -> bool {
        self.inner.reloads()
    }

    fn ages(&self) -> bool {
        self.inner.ages()
    }

    fn hidden(&self) -> Option<Arc<Stream>> {
        self.inner.hidden()
    }

    fn run(&self, run: Run) -> ProducerFuture {
        Box::pin(share(self.inner.clone(), self.fleet.clone(), run))
    }
}

async fn share(inner: Arc<dyn Producer>, fleet: Fleet, run: Run) -> Result<()> {
    let (name, sink, mut demand) = (run.name.clone(), run.sink.clone(), run.demand.clone());
    let wish = Wish::from(*demand.borrow_and_update());
    let mut changes = fleet.pictures().changes();
    changes.mark_changed();
    // Before the picture on the disk, which can be older.
    fetch(&fleet, &name, &sink).await?;
    let whom = Whom::All(wish);
    let limit = fleet.limits().frame_size.bytes();
    let mut follow = Some(Follow::start(fleet.cluster(), &name, limit, whom, |_| {}));
    let mut own = inner.run(run);
    let mut fetch_at = None;
    loop {
        let due = fetch_at.unwrap_or_else(Instant::now);
        select! {
            end = &mut own => return end,
            news = news_of(&mut follow) => match news {
                News::Picture(head, _) if head.from == fleet.pushes().number => {}
                News::Picture(head, jpeg) => {
                    let picture = Picture::from_plain_jpeg(jpeg, fleet.limits());
                    if let Err(e) = picture.and_then(|picture| sink.publish(&picture.captured_at(head.time()))) {
                        sink.damaged(e.code().as_str());
                    }
                }
                News::Told(_) => {}
                News::Fault(fault) => sink.damaged(fault),
            },
            Ok(()) = changes.changed() => {
                if fetch_at.is_none() && fleet.pictures().is_newer(&name, sink.latest().as_ref()) {
                    let pause = if sink.latest().is_some() { FETCH_AFTER } else { Duration::ZERO };
                    fetch_at = Some(Instant::now() + pause);
                }
            }
            () = sleep_until(due), if fetch_at.is_some() => {
                fetch_at = None;
                fetch(&fleet, &name, &sink).await?;
            }
            Ok(()) = demand.changed() => {
                if let Some(follow) = &follow {
                    follow.ask(Whom::All(Wish::from(*demand.borrow_and_update())));
                }
            }
        }
    }
}

/// Shows the picture of the object store, if it is newer than the held one.
async fn fetch(fleet: &Fleet, name: &StreamName, sink: &FrameSink) -> Result<()> {
    if fleet.pictures().is_newer(name, sink.latest().as_ref()) {
        match fleet.pictures().load(name).await {
            Ok(Some(picture)) => drop(sink.publish(&picture)?),
            Ok(None) => {}
            Err(e) => tracing::debug!(stream = %name, "{}", e.chain()),
        }
    }
    Ok(())
}

/// The uploads of this node for other nodes that watch the streams. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pushes {
    cluster: Cluster,
    /// Tells the pictures of this node from those of others.
    pub(super) number: u64,
    streams: Arc<Mutex<HashMap<StreamName, Push>>>,
}

struct Push {
    /// Until when the nodes want pictures.
    askers: HashMap<String, Instant>,
    latest: watch::Sender<Option<SharedFrame>>,
}

impl Pushes {
    pub(super) fn new(cluster: Cluster, number: u64) -> Self {
        Pushes { cluster, number, streams: Arc::default() }
    }

    /// Another node wants the uploads of a stream, which may not be here yet.
    pub(super) fn asked(&self, Ask { stream, node, wish }: Ask) {
        let Ok(stream) = StreamName::parse(&stream) else { return };
        if node == self.cluster.node() {
            return;
        }
        let now = Instant::now();
        let mut streams = self.streams.lock();
        streams.retain(|_, push| {
            push.askers.retain(|_, until| *until > now);
            !push.askers.is_empty()
        });
        if wish == Wish::Nothing {
            if let Some(push) = streams.get_mut(&stream) {
                push.askers.remove(&node);
            }
            return;
        }
        if streams.len() >= MAX_STREAMS && !streams.contains_key(&stream) {
            return;
        }
        let push = streams.entry(stream.clone()).or_insert_with(|| {
            let latest = watch::Sender::new(None);
            tokio::spawn(send_latest(self.cluster.clone(), stream, self.number, latest.subscribe()));
            Push { askers: HashMap::new(), latest }
        });
        push.askers.insert(node, now + ask::FOR);
    }

    /// A picture was uploaded here.
    pub(super) fn pushed(&self, stream: &StreamName, frame: &SharedFrame) {
        if let Some(push) = self.streams.lock().get(stream) {
            push.latest.send_replace(Some(frame.clone()));
        }
    }
}

/// Sends pictures until no node wants them. The latest one wins.
async fn send_latest(
    cluster: Cluster,
    stream: StreamName,
    number: u64,
    mut latest: watch::Receiver<Option<SharedFrame>>,
) {
    while latest.changed().await.is_ok() {
        let frame = latest.borrow_and_update().clone();
        if let Some(frame) = frame {
            send(&cluster, &stream, &frame, (number, frame.seq)).await;
        }
    }
}
