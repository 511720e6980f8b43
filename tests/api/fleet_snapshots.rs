//! Snapshots at a node that does not fetch the pictures of the camera: it asks the one that does, and subscribes to nothing.

use bytes::Bytes;

use crate::support::{
    Response, TestApp,
    cut::{Flow, Proxy},
    eventually,
    live_camera::LiveCamera,
    nats::{Fleet, NatsServer, section},
    noise, picture,
    process::Process,
};

const SNAPSHOT: &str = "/snapshot/cam.jpg";

/// A holder stays one for the time of a test, and a take-over has the time that it needs.
const PATIENT: &str = "output: {snapshot_timeout: 20s}\nstream_defaults: {linger: 20s, start_timeout: 20s}\n";

/// What a node sends to another one that it asks for a snapshot. `YQ` is the node a.
const QUESTION: &str = "PUB mtx.v1.node.YQ.snapshot ";

/// What a node sends to subscribe to pictures.
const SUBSCRIPTION: &str = "SUB mtx.v1.frames.";

/// Three nodes, of which the second one reaches NATS through a proxy that sees what it says.
async fn three(config: &str, yaml: &str) -> Option<(Fleet, Proxy)> {
    let nats = NatsServer::with(config).await?;
    let proxy = Proxy::start(nats.port).await;
    let mut fleet = Fleet { nats, nodes: vec![] };
    for node in ["a", "b", "c"] {
        let port = if node == "b" { proxy.port } else { fleet.nats.port };
        fleet.add(&format!("{}{PATIENT}{yaml}", section(port, node, "")));
    }
    for node in 0..3 {
        fleet.sees_all(node).await;
        has_frames(&fleet.nodes[node]).await;
    }
    Some((fleet, proxy))
}

/// Waits for a node's connection for pictures.
async fn has_frames(node: &TestApp) {
    let frames = &node.cluster.as_ref().expect("a node of a cluster").connection().frames;
    let is_connected = async || frames.connection_state() == async_nats::connection::State::Connected;
    eventually("the connection for pictures is made", is_connected).await;
}

/// Waits until a node knows who fetches the pictures, and that this node is there.
async fn knows_holder(node: &TestApp, holder: &str) {
    let (fleet, cluster) = (node.fleet.as_ref().expect("a node"), node.cluster.as_ref().expect("a node"));
    eventually("the node knows the holder", async || {
        let holdings = fleet.holdings();
        let is_held = holdings.iter().any(|(stream, holding)| stream == "cam" && holding.node == holder);
        is_held && cluster.nodes().is_alive(holder)
    })
    .await;
}

/// The picture of a snapshot.
fn shown(response: Response) -> Bytes {
    assert_eq!(response.status, 200, "{response:?}");
    response.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_watched_camera_is_one_request_and_no_subscription() {
    let camera = LiveCamera::start().await;
    let Some((fleet, proxy)) = three("", &camera.streams("")).await else { return };
    let [a, b, c] = fleet.nodes.as_slice() else { panic!("three") };
    let mut watcher = a.watch("/stream/cam.mjpeg").await;
    watcher.part().await;
    for node in [b, c] {
        knows_holder(node, "a").await;
    }
    let first = shown(b.get(SNAPSHOT).await);
    assert!(camera.has(&first));
    assert_eq!((proxy.said(QUESTION), proxy.said(SUBSCRIPTION)), (1, 0));
    // The node that fetches them gives its latest picture each time.
    eventually("a new picture", async || shown(b.get(SNAPSHOT).await) != first).await;
    assert!(camera.has(&shown(c.get(SNAPSHOT).await)));
    let small = b.get(&format!("{SNAPSHOT}?w=16")).await;
    assert_eq!(small.status, 200, "the node that was asked makes the size: {small:?}");
    assert_eq!(b.get(&format!("{SNAPSHOT}?max_age=0")).await.status, 200);
    // Within its age, the picture that is held here is enough.
    let asked = proxy.said(QUESTION);
    assert_eq!(b.get(&format!("{SNAPSHOT}?max_age=600")).await.status, 200);
    assert_eq!((proxy.said(QUESTION), proxy.said(SUBSCRIPTION)), (asked, 0));
    assert_eq!(b.stats("cam").await["state"], "idle");
    assert_eq!(a.stats("cam").await["watchers"], 1, "its own");
    assert_eq!(camera.connections(), 1);
    // A watcher subscribes, and then a snapshot has its pictures.
    let asked = proxy.said(QUESTION);
    let mut other = b.watch("/stream/cam.mjpeg").await;
    eventually("b shows the camera", async || camera.has(&other.part().await.data)).await;
    assert_eq!(b.get(SNAPSHOT).await.status, 200);
    assert_eq!((proxy.said(QUESTION), camera.connections()), (asked, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_an_idle_camera_has_one_connection_wherever_it_is_asked_for() {
    let camera = LiveCamera::start().await;
    let Some((fleet, proxy)) = three("", &camera.streams("")).await else { return };
    let [a, b, _] = fleet.nodes.as_slice() else { panic!("three") };
    // No node has the camera: the one that is asked takes it, and keeps it for a moment.
    assert!(camera.has(&shown(a.get(SNAPSHOT).await)));
    knows_holder(b, "a").await;
    assert!(camera.has(&shown(b.get(SNAPSHOT).await)));
    assert_eq!((proxy.said(QUESTION), proxy.said(SUBSCRIPTION), camera.connections()), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_an_idle_camera_that_one_node_reaches_is_taken_there() {
    let camera = LiveCamera::start().await;
    let Some((fleet, proxy)) = three("", &camera.streams(", nodes: [a]")).await else { return };
    let [a, b, _] = fleet.nodes.as_slice() else { panic!("three") };
    assert!(camera.has(&shown(b.get(SNAPSHOT).await)));
    assert_eq!((proxy.said(QUESTION), proxy.said(SUBSCRIPTION), camera.connections()), (1, 0, 1));
    assert_eq!(b.stats("cam").await["state"], "idle");
    assert_ne!(a.stats("cam").await["state"], "idle", "a moment longer, as after each snapshot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_larger_than_a_message_is_one_answer_in_parts() {
    let pictures: Vec<_> = (0..2).map(|n| noise(384, n)).collect();
    assert!(pictures.iter().all(|picture| picture.len() > 64 << 10), "larger than a message");
    let camera = LiveCamera::with(pictures).await;
    let Some((fleet, proxy)) = three("max_payload: 32768", &camera.streams(", nodes: [a]")).await else { return };
    assert!(camera.has(&shown(fleet.nodes[1].get(SNAPSHOT).await)));
    assert_eq!((proxy.said(QUESTION), proxy.said(SUBSCRIPTION), camera.connections()), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_fails_says_the_same_at_each_node() {
    // Nothing listens at the port of a camera that is gone.
    let gone = crate::support::free_port();
    let streams = format!("streams: {{cam: {{kind: http, url: 'http://127.0.0.1:{gone}/x', nodes: [a]}}}}\n");
    let Some((fleet, proxy)) = three("", &streams).await else { return };
    let [a, b, _] = fleet.nodes.as_slice() else { panic!("three") };
    let here = a.admin("GET", SNAPSHOT, "").await;
    let there = b.admin("GET", SNAPSHOT, "").await;
    assert_eq!((there.status, &there.json()["cause"]), (504, &"unreachable".into()), "{there:?}");
    assert_eq!((here.status, &here.json()["detail"]), (504, &there.json()["detail"]));
    assert_eq!((proxy.said(QUESTION), proxy.said(SUBSCRIPTION)), (1, 0));
    // Only administrators get the words of a source.
    let detail = b.get(SNAPSHOT).await.json()["detail"].to_string();
    assert!(!detail.contains(&gone.to_string()), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_survives_the_death_of_the_node_that_was_asked() {
    let camera = LiveCamera::start().await;
    let Some(nats) = NatsServer::start().await else { return };
    let proxy = Proxy::start(nats.port).await;
    let mut a = Process::start(&nats, "a", &camera.streams("")).await;
    let mut watcher = a.watch("cam").await;
    eventually("a has the camera", async || camera.has(&watcher.part().await.data)).await;
    let b = TestApp::with(&format!("{}{PATIENT}{}", section(proxy.port, "b", ""), camera.streams("")));
    knows_holder(&b, "a").await;
    has_frames(&b).await;
    // The answer is on its way.
    proxy.set(Flow::HoldsFrames);
    let kill = async {
        eventually("a is asked", async || proxy.said(QUESTION) == 1).await;
        a.kill().await;
    };
    let (snapshot, ()) = tokio::join!(b.get(SNAPSHOT), kill);
    assert!(camera.has(&shown(snapshot)), "b has taken the camera over");
    assert_eq!((camera.open(), camera.most_open()), (1, 1));
    proxy.set(Flow::Open);
    assert_eq!(b.put("/api/v1/streams/door/frame", &picture(1)).await.status, 200, "the node goes on");
}
