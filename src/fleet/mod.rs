//! Streams in a cluster: each camera has one node that fetches its pictures, and any node can be asked for them.
//!
//! `leases` carries out which node runs a producer ([`crate::cluster::lease`] decides), `feeds` sends the pictures of this node to those
//! that ask, `follow` gets the pictures of another node, `snapshots` asks for one of them, and `placed` is the producer that does one or the
//! other. A stream sees an ordinary producer, and its watchers do not notice when the node changes. This module knows no kind of producer
//! and no HTTP.

mod ask;
mod feeds;
mod follow;
mod leases;
mod locals;
mod pictures;
mod placed;
mod pulls;
mod send;
mod snapshots;
mod uploads;
mod webhooks;

use std::{path::Path, sync::Arc};

use futures_util::FutureExt;
use tokio::{
    sync::watch,
    time::{Duration, timeout},
};
use url::Url;

use self::{
    feeds::Feeds,
    locals::Locals,
    pictures::Pictures,
    placed::Placed,
    pulls::Pulls,
    uploads::{Pushes, Shared},
    webhooks::Posts,
};
pub use self::{
    feeds::Find,
    leases::Leases,
    pictures::UploadNews,
    pulls::{PATH as PULL_PATH, PREFIX as PULL_PREFIX, pulled},
};
use crate::{
    cluster::{Cluster, OnPartition, lease::Holding},
    error::{Error, Result},
    events::{Bus, Feed},
    mediamtx::Fields,
    picture::{Picture, PictureLimits},
    policy::Credentials,
    producer::upload::Remote,
    stream::{Producer, StreamName},
    supervise::all,
};

/// Pause between two looks whether the streams are handed over.
const LOOK: Duration = Duration::from_millis(50);

/// Pause between two looks for the file of `mtx-sidecar drain`.
const DRAIN_LOOK: Duration = Duration::from_millis(250);

/// How long the last records of a node that ends can take: then others need not wait for its session to run out.
const LAST_RECORDS: Duration = Duration::from_secs(1);

/// The streams of a cluster at this node. Cheap to clone.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    limits: PictureLimits,
    leases: Leases,
    locals: Locals,
    feeds: Feeds,
    pushes: Pushes,
    pictures: Pictures,
    pulls: Pulls,
}

impl Fleet {
    /// `find` finds a stream of this node by name. An uploaded picture is removed from the cluster after `expire`.
    pub fn new(cluster: &Cluster, limits: PictureLimits, expire: Duration, find: Box<Find>) -> Result<Self> {
        let locals = Locals::default();
        let number = getrandom::u64().map_err(|e| Error::internal("the system gives no random numbers", e))?;
        let pushes = Pushes::new(cluster.clone(), number);
        Ok(Fleet(Arc::new(Inner {
            cluster: cluster.clone(),
            limits,
            leases: Leases::new(cluster.clone())?,
            feeds: Feeds::new(cluster.clone(), locals.clone(), pushes.clone(), find),
            pictures: Pictures::new(cluster, limits, expire, pushes.clone()),
            pushes,
            pulls: Pulls::new(cluster.clone()),
            locals,
        })))
    }

    /// A producer that runs on one node at a time: on that of the first watcher, or on one of `nodes` if there are any.
    pub fn place(&self, name: &StreamName, inner: Arc<dyn Producer>, nodes: &[String]) -> Arc<dyn Producer> {
        Arc::new(Placed { inner, nodes: nodes.to_vec(), name: name.clone(), fleet: self.clone() })
    }

    /// A producer of uploads that shows those of all nodes.
    pub fn share(&self, inner: Arc<dyn Producer>) -> Arc<dyn Producer> {
        Arc::new(Shared { inner, fleet: self.clone() })
    }

    /// Keeps the uploaded pictures of this node for all nodes.
    pub fn remote(&self) -> Box<dyn Remote> {
        Box::new(self.0.pictures.clone())
    }

    /// What other nodes did with upload streams, one after the other.
    pub async fn next_upload(&self) -> Option<UploadNews> {
        self.0.pictures.next().await
    }

    /// Calls `fill` whenever the NATS servers have lost the pictures of uploads, until it succeeds. It stores what this node has by
    /// [`Fleet::keep_again`]. Returns with the program.
    pub async fn fill_again<F: Future<Output = Result<()>>>(&self, fill: impl Fn() -> F) {
        self.0.pictures.fill_again(fill).await;
    }

    /// Stores a picture of an earlier upload for all nodes, unless there is one that is as new.
    pub async fn keep_again(&self, stream: &StreamName, picture: &Picture) -> Result<()> {
        self.0.pictures.put_again(stream, picture).await
    }

    /// Gives the events of this node to the webhooks of the cluster, and posts those of all nodes to webhooks that no other node
    /// serves, until the program ends.
    pub async fn post_events(&self, events: &Bus, feeds: &[Feed]) {
        let (cluster, leases) = (self.0.cluster.clone(), self.0.leases.clone());
        Posts::new(cluster, leases, feeds).run(events).await;
    }

    /// The settings of the path at MediaMTX by which paths of other nodes are read ([`PULL_PATH`]). `rtsp` is the base URL of this program's
    /// RTSP server as MediaMTX reaches it.
    pub fn pull_fields(&self, rtsp: &str) -> Fields {
        self.0.pulls.fields(rtsp)
    }

    /// Whether these are the credentials of this node's MediaMTX, which asks for a path of any node.
    pub fn admits_pull(&self, shown: &Credentials) -> bool {
        self.0.pulls.admits(shown)
    }

    /// The URL from which MediaMTX pulls a path. `own` tells whether this node's MediaMTX has it, and whether it is live there; `here` is the
    /// URL of that MediaMTX.
    pub async fn pull_from(&self, path: &str, own: Option<bool>, here: &str) -> Result<Url> {
        self.0.pulls.find(path, own, here).await
    }

    /// Tells other nodes which paths this node's MediaMTX has (`find`: and whether they are live), and how it is reached (`here`), until
    /// the program ends.
    pub async fn answer_pulls<F: Future<Output = Option<bool>>>(
        &self,
        find: impl Fn(String) -> F,
        here: impl Fn() -> String,
    ) {
        self.0.pulls.answer(find, here).await;
    }

    /// Whether the query of a reader of a path has a ticket that this node has made for another node's MediaMTX.
    pub fn has_ticket(&self, path: &str, query: &str) -> bool {
        self.0.pulls.has_ticket(path, query)
    }

    /// Takes part until the program ends.
    pub async fn run(&self) {
        all([self.0.leases.run().boxed(), self.0.feeds.run().boxed(), self.0.pictures.run().boxed()]).await;
    }

    /// Hands the streams that other nodes watch over to them, and waits for at most this long until they have pictures.
    /// This node takes no stream that another one wants, from now on.
    pub async fn drain(&self, longest: Duration) {
        self.0.cluster.nodes().tell(|own| own.draining = true);
        self.0.leases.drain();
        if !self.0.cluster.connection().is_up() {
            return;
        }
        self.0.cluster.nodes().send(false).await;
        let handed_over = async {
            while self.is_needed() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if timeout(longest, handed_over).await.is_err() {
            tracing::warn!(
                "not all streams were handed over to other nodes in time; their watchers there wait for the next picture"
            );
        }
    }

    /// Waits for the file that asks this node to drain, drains, and removes the file. One of an earlier run is ignored.
    pub async fn drain_when_asked(&self, file: &Path, longest: Duration) {
        let _ = tokio::fs::remove_file(file).await;
        loop {
            tokio::time::sleep(DRAIN_LOOK).await;
            if tokio::fs::try_exists(file).await.unwrap_or(false) {
                tracing::info!("this node hands its streams over (mtx-sidecar drain)");
                self.drain(longest).await;
                if let Err(e) = tokio::fs::remove_file(file).await {
                    tracing::warn!("{} cannot be removed: {e}", file.display());
                }
            }
        }
    }

    /// Whether another node gets pictures that are made here, and can make them itself.
    pub fn is_needed(&self) -> bool {
        let can_run =
            |nodes: &[String]| nodes.is_empty() || nodes.iter().any(|node| *node != self.node() && self.is_alive(node));
        self.0.locals.movable(can_run).iter().any(|stream| self.0.feeds.askers(stream) > 0)
    }

    /// Gives all streams up, after their producers have ended.
    pub async fn end(&self) {
        if self.0.cluster.connection().is_up() {
            if timeout(LAST_RECORDS, self.0.pictures.put_waiting()).await.is_err() {
                tracing::warn!("not all uploaded pictures of this node are in the object store of the cluster");
            }
            self.0.leases.end(LAST_RECORDS).await;
        }
    }

    /// The node of each stream, by stream.
    pub fn holdings(&self) -> Vec<(String, Holding)> {
        let mut streams = self.0.leases.list();
        streams.retain(|(stream, _)| !webhooks::is_lease(stream));
        streams
    }

    /// Whether this node is a member: whether it can take and keep streams.
    pub fn is_member(&self) -> bool {
        self.0.leases.is_confirmed()
    }

    /// The name of this node.
    pub fn node(&self) -> String {
        self.0.cluster.node()
    }

    fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    fn leases(&self) -> &Leases {
        &self.0.leases
    }

    fn locals(&self) -> &Locals {
        &self.0.locals
    }

    fn pictures(&self) -> &Pictures {
        &self.0.pictures
    }

    fn pushes(&self) -> &Pushes {
        &self.0.pushes
    }

    fn limits(&self) -> &PictureLimits {
        &self.0.limits
    }

    fn on_partition(&self) -> OnPartition {
        self.0.cluster.settings().on_partition
    }

    fn is_alive(&self, node: &str) -> bool {
        self.0.cluster.nodes().is_alive(node)
    }

    fn alive(&self) -> watch::Receiver<Vec<String>> {
        self.0.cluster.nodes().alive()
    }

    fn has_been_member(&self) -> bool {
        self.0.leases.has_been_confirmed()
    }

    fn send_again(&self, stream: &StreamName) {
        self.0.feeds.send_again(stream);
    }

    /// Whether another node fetches the pictures of the stream.
    fn is_elsewhere(&self, stream: &StreamName) -> bool {
        self.0.leases.holder(stream).is_some_and(|(node, _)| node != self.node() && self.is_alive(&node))
    }
}
