//! Streams of a cluster: one node fetches the pictures of a camera, and every node shows them.

use bytes::Bytes;

use crate::support::{
    MjpegReader,
    cut::{Flow, Proxy},
    eventually,
    live_camera::{LiveCamera, Seen},
    nats::{Fleet, NatsServer, section},
    noise,
};

const WATCH: &str = "/stream/cam.mjpeg";

/// Waits until the watcher has got so many further pictures of the camera.
async fn new_pictures(camera: &LiveCamera, watcher: &mut MjpegReader, count: usize) {
    let mut last = Bytes::new();
    let mut seen = 0;
    while seen < count {
        let jpeg = watcher.part().await.data;
        if jpeg != last && camera.has(&jpeg) {
            (last, seen) = (jpeg, seen + 1);
        }
    }
}

/// The node that fetches the pictures, as a node sees it.
async fn holder(fleet: &Fleet, node: usize) -> String {
    let streams = fleet.nodes[node].fleet.as_ref().expect("a node of a cluster").holdings();
    streams.into_iter().find(|(stream, _)| stream == "cam").map(|(_, holding)| holding.node).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_has_one_connection_and_every_node_shows_its_pictures() {
    let camera = LiveCamera::start().await;
    let Some(fleet) = Fleet::with(3, &camera.streams("")).await else { return };
    let mut watchers = vec![];
    for node in [1, 0, 2, 1] {
        let mut watcher = fleet.nodes[node].watch(WATCH).await;
        new_pictures(&camera, &mut watcher, 3).await;
        watchers.push(watcher);
    }
    let snapshot = fleet.nodes[2].get("/snapshot/cam.jpg").await;
    assert_eq!(snapshot.status, 200, "{snapshot:?}");
    let small = fleet.nodes[2].get("/snapshot/cam.jpg?w=16").await;
    assert_eq!(small.status, 200, "{small:?}");
    assert_eq!((camera.connections(), camera.most_open()), (1, 1));
    assert_eq!(holder(&fleet, 0).await, "b", "the node of the first watcher");
    assert_eq!(fleet.nodes[1].stats("cam").await["watchers"], 3, "two of its own, and one for all other nodes");
    // The last watcher of all nodes ends the connection.
    drop(watchers);
    eventually("the camera is left alone", async || camera.open() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_snapshot_at_another_node_needs_no_second_connection() {
    let camera = LiveCamera::start().await;
    let Some(fleet) = Fleet::with(2, &camera.streams("")).await else { return };
    let _first = fleet.nodes[0].watch(WATCH).await;
    eventually("a holds the camera", async || holder(&fleet, 1).await == "a").await;
    let snapshot = fleet.nodes[1].get("/snapshot/cam.jpg").await;
    assert_eq!(snapshot.status, 200, "{snapshot:?}");
    assert_eq!(camera.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_hands_over_before_it_leaves_the_camera() {
    let camera = LiveCamera::start().await;
    let Some(mut fleet) = Fleet::with(2, &camera.streams("")).await else { return };
    let mut first = fleet.nodes[0].watch(WATCH).await;
    new_pictures(&camera, &mut first, 1).await;
    let mut other = fleet.nodes[1].watch(WATCH).await;
    new_pictures(&camera, &mut other, 2).await;
    let leaving = fleet.nodes.remove(0);
    let ended = tokio::task::spawn_blocking(move || leaving.stop());
    eventually("b fetches the pictures", async || holder(&fleet, 0).await == "b" && camera.has_seen(&Seen::Closed(1)))
        .await;
    new_pictures(&camera, &mut other, 3).await;
    ended.await.expect("ends in order");
    let seen = camera.seen.lock().clone();
    assert_eq!(seen, [Seen::Opened(1), Seen::Sent(1), Seen::Opened(2), Seen::Sent(2), Seen::Closed(1)]);
}

/// Two nodes with a watcher each, of which the first one holds the camera, and reaches NATS through a proxy.
struct Pair {
    camera: LiveCamera,
    proxy: Proxy,
    fleet: Fleet,
    first: MjpegReader,
    other: MjpegReader,
}

impl Pair {
    /// `more` are further settings of the first node's cluster. None without a NATS server.
    async fn start(more: &str) -> Option<Self> {
        let camera = LiveCamera::start().await;
        let nats = NatsServer::start().await?;
        let proxy = Proxy::start(nats.port).await;
        let mut fleet = Fleet { nats, nodes: vec![] };
        let streams = camera.streams("");
        fleet.add(&format!("{}{streams}", section(proxy.port, "a", more)));
        let b = fleet.nats.settings("b");
        fleet.add(&format!("{b}{streams}"));
        fleet.sees_all(0).await;
        fleet.sees_all(1).await;
        let mut first = fleet.nodes[0].watch(WATCH).await;
        new_pictures(&camera, &mut first, 1).await;
        let mut other = fleet.nodes[1].watch(WATCH).await;
        new_pictures(&camera, &mut other, 2).await;
        Some(Pair { camera, proxy, fleet, first, other })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_is_replaced_and_says_why_it_shows_nothing() {
    let Some(Pair { camera, proxy, fleet, mut first, mut other }) = Pair::start("").await else { return };
    assert_eq!(holder(&fleet, 1).await, "a");
    proxy.set(Flow::Cut);
    eventually("b takes over", async || camera.has_seen(&Seen::Sent(2))).await;
    new_pictures(&camera, &mut other, 3).await;
    eventually("a stops before its lease could have run out", async || camera.has_seen(&Seen::Closed(1))).await;
    eventually("a says why", async || {
        let stats = fleet.nodes[0].stats("cam").await;
        stats["failure"]["code"] == "cluster_unavailable"
            && stats["failure"]["reason"].as_str().is_some_and(|reason| reason.contains("cut off from its cluster"))
    })
    .await;
    proxy.set(Flow::Open);
    new_pictures(&camera, &mut first, 3).await;
    assert_eq!((camera.open(), camera.connections()), (1, 2), "a follows b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_keeps_its_cameras_shows_them_while_it_is_cut_off_and_gives_in_afterwards() {
    let Some(Pair { camera, proxy, fleet, mut first, mut other }) = Pair::start("  on_partition: keep\n").await else {
        return;
    };
    proxy.set(Flow::Cut);
    eventually("b takes over", async || camera.has_seen(&Seen::Sent(2))).await;
    new_pictures(&camera, &mut other, 3).await;
    eventually("a is no member now", async || !fleet.nodes[0].fleet.as_ref().expect("a node").is_member()).await;
    new_pictures(&camera, &mut first, 3).await;
    assert_eq!(camera.open(), 2, "each has its own");
    proxy.set(Flow::Open);
    eventually("one of them leaves the camera", async || camera.open() == 1).await;
    assert_eq!(holder(&fleet, 1).await, "b", "the node that was given the stream last");
    new_pictures(&camera, &mut first, 3).await;
    new_pictures(&camera, &mut other, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_pictures_are_held_back_costs_neither_its_leases_nor_the_other_nodes() {
    let pictures: Vec<_> = (0..4).map(|n| noise(384, n)).collect();
    let camera = LiveCamera::with(pictures).await;
    let own = LiveCamera::start().await;
    // The server ends the connection of a client that does not take 256 KB.
    let Some(nats) = NatsServer::with("max_pending: 262144\nwrite_deadline: \"1s\"\nmax_payload: 65536").await else {
        return;
    };
    let proxy = Proxy::start(nats.port).await;
    let mut fleet = Fleet { nats, nodes: vec![] };
    let streams = format!(
        "streams:\n  cam: {{kind: http, url: 'http://{}/x', nodes: [a]}}\n  own: {{kind: http, url: 'http://{}/x', nodes: [b]}}\n",
        camera.addr, own.addr
    );
    for node in ["a", "b", "c"] {
        let section = section(if node == "b" { proxy.port } else { fleet.nats.port }, node, "");
        fleet.add(&format!("{section}{streams}"));
    }
    for node in 0..3 {
        fleet.sees_all(node).await;
    }
    let mut slow = fleet.nodes[1].watch(WATCH).await;
    new_pictures(&camera, &mut slow, 2).await;
    let mut other = fleet.nodes[2].watch(WATCH).await;
    new_pictures(&camera, &mut other, 2).await;
    let mut of_slow = fleet.nodes[2].watch("/stream/own.mjpeg").await;
    new_pictures(&own, &mut of_slow, 2).await;
    let before = proxy.connections();
    proxy.set(Flow::HoldsFrames);
    eventually("the connection for pictures is lost", async || proxy.connections() > before).await;
    // Longer than a node that is gone keeps its streams.
    new_pictures(&camera, &mut other, 50).await;
    assert!(fleet.nodes[2].cluster.as_ref().expect("a node").nodes().is_alive("b"));
    assert!(fleet.nodes[1].fleet.as_ref().expect("a node").is_member());
    assert_eq!((own.open(), own.connections(), camera.open(), camera.connections()), (1, 1, 1, 1));
    proxy.set(Flow::Open);
    new_pictures(&camera, &mut slow, 2).await;
    new_pictures(&own, &mut of_slow, 2).await;
    assert_eq!((own.connections(), camera.connections()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_only_some_nodes_reach_is_fetched_there() {
    let camera = LiveCamera::start().await;
    let Some(fleet) = Fleet::with(2, &camera.streams(", nodes: [zzz, b]")).await else { return };
    let mut watcher = fleet.nodes[0].watch(WATCH).await;
    new_pictures(&camera, &mut watcher, 3).await;
    assert_eq!(holder(&fleet, 0).await, "b");
    assert_eq!(camera.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_larger_than_a_message_arrives_in_parts() {
    let pictures: Vec<_> = (0..4).map(|n| noise(384, n)).collect();
    assert!(pictures.iter().all(|picture| picture.len() > 64 << 10), "larger than a message");
    let camera = LiveCamera::with(pictures.clone()).await;
    let Some(nats) = NatsServer::with("max_payload: 32768").await else { return };
    let mut fleet = Fleet { nats, nodes: vec![] };
    for node in ["a", "b"] {
        let settings = fleet.nats.settings(node);
        fleet.add(&format!("{settings}{}", camera.streams("")));
    }
    let mut first = fleet.nodes[0].watch(WATCH).await;
    new_pictures(&camera, &mut first, 1).await;
    let mut other = fleet.nodes[1].watch(WATCH).await;
    for picture in &pictures {
        other.until(picture).await;
    }
    assert_eq!(camera.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_nats_without_its_records_does_not_touch_the_camera() {
    let camera = LiveCamera::start().await;
    let Some(mut fleet) = Fleet::with(2, &camera.streams("")).await else { return };
    let mut first = fleet.nodes[0].watch(WATCH).await;
    let mut other = fleet.nodes[1].watch(WATCH).await;
    new_pictures(&camera, &mut first, 2).await;
    new_pictures(&camera, &mut other, 2).await;
    let before = holder(&fleet, 0).await;
    fleet.nats.kill().await;
    fleet.nats.lose_storage();
    fleet.nats.run().await;
    for node in 0..2 {
        let cluster = fleet.nodes[node].cluster.clone().expect("a node");
        eventually("the connection is back", async || cluster.connection().is_up()).await;
    }
    new_pictures(&camera, &mut first, 3).await;
    new_pictures(&camera, &mut other, 3).await;
    eventually("the records are there again", async || {
        holder(&fleet, 0).await == before && holder(&fleet, 1).await == before
    })
    .await;
    assert_eq!(camera.most_open(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_of_the_pictures_costs_no_lease() {
    let camera = LiveCamera::start().await;
    let Some(fleet) = Fleet::with(2, &camera.streams("")).await else { return };
    let mut first = fleet.nodes[0].watch(WATCH).await;
    new_pictures(&camera, &mut first, 1).await;
    let mut other = fleet.nodes[1].watch(WATCH).await;
    for _ in 0..3 {
        // As NATS ends the connection of a client that reads too slowly.
        for node in &fleet.nodes {
            let cluster = node.cluster.as_ref().expect("a node");
            cluster.connection().frames.force_reconnect().await.expect("connects again");
        }
        new_pictures(&camera, &mut other, 3).await;
    }
    assert_eq!((holder(&fleet, 1).await, camera.connections()), ("a".into(), 1));
}
