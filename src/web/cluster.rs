//! The cluster, for the console.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, State, caller::Admin, problem::ProblemDocument};
use crate::{
    cluster::{Cluster, Counts, Heartbeat, Node, lease::Holding},
    fleet::Fleet,
};

/// The cluster as this node sees it.
#[derive(Serialize, ToSchema)]
pub struct ClusterStatus {
    /// Whether this program is a node of a cluster (`cluster.nats`). Without it, only this member says something.
    enabled: bool,
    /// The name of this node.
    node: String,
    /// The first part of the names of subjects and buckets.
    prefix: String,
    /// Whether the NATS servers can be reached.
    connected: bool,
    /// The NATS server, and its version.
    server: String,
    /// For how many seconds this node has not had the newest state; 0 while it has.
    stale_seconds: u64,
    /// What does not work, in words.
    problems: Vec<String>,
    /// The newest revision of the state that this node has.
    revision: u64,
    /// Records of the state.
    records: usize,
    /// Records that this version does not understand, and leaves as they are.
    foreign_records: usize,
    /// Figures since the start of this node.
    counts: Counts,
    /// The nodes, this one first.
    nodes: Vec<ClusterNode>,
    /// Whether this node can take and keep streams; without NATS it cannot after 16 seconds.
    member: bool,
    /// The streams that one node runs for all, by name.
    streams: Vec<ClusterStream>,
}

/// A stream that one node runs for all.
#[derive(Serialize, ToSchema)]
pub struct ClusterStream {
    /// The stream.
    stream: String,
    /// The node that fetches its pictures.
    node: String,
    /// Grows with each node that takes over.
    epoch: u64,
    /// Whether the node wants another one to take over.
    leaving: bool,
}

/// A node of the cluster.
#[derive(Serialize, ToSchema)]
pub struct ClusterNode {
    /// The name.
    name: String,
    /// Whether it is this one.
    own: bool,
    /// Whether it was heard in the last seconds.
    alive: bool,
    /// Seconds since it was heard.
    silent_seconds: u64,
    /// The version of its program.
    version: String,
    /// The newest form of records that it knows.
    schema: u32,
    /// The host or address at which others reach it; empty: unknown.
    address: String,
    /// The port of its HTTP server.
    http_port: u16,
    /// The port of its RTSP server; 0: none.
    rtsp_port: u16,
    /// Connected watchers and publishers.
    watchers: u64,
    /// Streams whose producer runs there.
    producers: u64,
    /// Whether it hands its streams over, and takes no new ones.
    draining: bool,
    /// How many revisions of the state it was behind this node when it was heard.
    lag: u64,
}

fn status(cluster: &Cluster, fleet: Option<&Fleet>) -> ClusterStatus {
    let mirror = cluster.mirror();
    let (records, foreign_records, _) = mirror.records();
    let revision = mirror.progress().borrow().revision;
    let info = cluster.connection().control.try_server_info();
    let node = |(i, Node { told, seen, is_alive }): (usize, Node)| {
        let Heartbeat { node, version, schema, address, http_port, rtsp_port, watchers, producers, draining, .. } =
            told;
        ClusterNode {
            own: i == 0,
            alive: is_alive,
            silent_seconds: seen.elapsed().as_secs(),
            lag: revision.saturating_sub(told.revision),
            name: node,
            version,
            schema,
            address,
            http_port,
            rtsp_port,
            watchers,
            producers,
            draining,
        }
    };
    ClusterStatus {
        enabled: true,
        node: cluster.node(),
        prefix: cluster.settings().prefix.clone(),
        connected: cluster.connection().is_up(),
        server: info.map(|info| format!("{} {}", info.server_name, info.version)).unwrap_or_default(),
        stale_seconds: mirror.stale_since().map_or(0, |since| since.elapsed().as_secs()),
        problems: cluster.problems(),
        revision,
        records,
        foreign_records,
        counts: mirror.counts(),
        nodes: cluster.nodes().list().into_iter().enumerate().map(node).collect(),
        member: fleet.is_some_and(Fleet::is_member),
        streams: fleet.map(Fleet::holdings).unwrap_or_default().into_iter().map(ClusterStream::from).collect(),
    }
}

impl From<(String, Holding)> for ClusterStream {
    fn from((stream, Holding { node, epoch, leaving, .. }): (String, Holding)) -> Self {
        ClusterStream { stream, node, epoch, leaving }
    }
}

/// The cluster: this node, the others, and how new the shared state is here.
#[utoipa::path(get, path = "/api/v1/cluster", tag = "operations", responses((status = 200, body = ClusterStatus), (status = 401, body = ProblemDocument)))]
pub(super) async fn get(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    let status = match &state.cluster {
        Some(cluster) => status(cluster, state.fleet.as_ref()),
        None => ClusterStatus {
            enabled: false,
            node: String::new(),
            prefix: String::new(),
            connected: false,
            server: String::new(),
            stale_seconds: 0,
            problems: vec![],
            revision: 0,
            records: 0,
            foreign_records: 0,
            counts: Counts::default(),
            nodes: vec![],
            member: false,
            streams: vec![],
        },
    };
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(status))
}
