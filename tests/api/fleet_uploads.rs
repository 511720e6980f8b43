//! Uploads in a cluster: an acknowledged picture outlives the node that took it, and every node shows it.

use mtx_sidecar::cluster::names::token;
use serde_json::json;

use crate::support::{
    TestApp,
    cut::{Flow, Proxy},
    eventually, large_picture,
    nats::{Fleet, NatsServer, section},
    picture,
};

const FRAME: &str = "/api/v1/streams/door/frame";
const SNAPSHOT: &str = "/snapshot/door.jpg";
const WATCH: &str = "/stream/door.mjpeg";

async fn upload(node: &TestApp, jpeg: &[u8]) {
    let response = node.put(FRAME, jpeg).await;
    assert_eq!(response.status, 200, "{response:?}");
}

/// Waits until the node shows this picture, and no other one before it than those named.
async fn shows(node: &TestApp, jpeg: &[u8]) {
    eventually("the node shows the picture", async || {
        let snapshot = node.get(SNAPSHOT).await;
        snapshot.status == 200 && snapshot.body == jpeg
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_upload_outlives_its_node_and_is_there_on_every_node() {
    let Some(mut fleet) = Fleet::start(3).await else { return };
    // Larger than a part of an object.
    let jpeg = large_picture(1);
    upload(&fleet.nodes[0], &jpeg).await;
    let taker = fleet.nodes.remove(0);
    taker.stop();
    for node in &fleet.nodes {
        shows(node, &jpeg).await;
        assert_eq!(node.stats("door").await["origin"], "upload");
    }
    // A node that is started later has it, too.
    let section = fleet.nats.settings("d");
    fleet.add(&section);
    shows(&fleet.nodes[2], &jpeg).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_of_all_nodes_see_the_uploads_to_any_node() {
    let Some(fleet) = Fleet::start(3).await else { return };
    upload(&fleet.nodes[0], &picture(1)).await;
    shows(&fleet.nodes[2], &picture(1)).await;
    let mut watchers = vec![];
    for node in &fleet.nodes {
        let mut watcher = node.watch(WATCH).await;
        watcher.until(&picture(1)).await;
        watchers.push(watcher);
    }
    for (n, node) in [1, 0, 2, 1].into_iter().enumerate() {
        let jpeg = picture(2 + n as u32);
        upload(&fleet.nodes[node], &jpeg).await;
        for watcher in &mut watchers {
            watcher.until(&jpeg).await;
        }
    }
    // A picture that came to another node after the last watcher has left replaces the held one.
    drop(watchers);
    for node in &fleet.nodes {
        eventually("no watcher is left", async || node.stats("door").await["state"] == "idle").await;
    }
    upload(&fleet.nodes[1], &picture(9)).await;
    shows(&fleet.nodes[0], &picture(9)).await;
    shows(&fleet.nodes[2], &picture(9)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_is_deleted_on_every_node() {
    let Some(fleet) = Fleet::start(2).await else { return };
    upload(&fleet.nodes[0], &picture(1)).await;
    shows(&fleet.nodes[1], &picture(1)).await;
    let deleted = fleet.nodes[0].admin("DELETE", "/api/v1/streams/door", "").await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    eventually("it is gone", async || fleet.nodes[1].registry.get("door").is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nats_is_away_an_upload_is_refused_or_kept_for_later_as_the_settings_say() {
    let Some(nats) = NatsServer::start().await else { return };
    let proxies = [Proxy::start(nats.port).await, Proxy::start(nats.port).await];
    let mut fleet = Fleet { nats, nodes: vec![] };
    fleet.add(&section(proxies[0].port, "a", ""));
    fleet.add(&format!("{}uploads: {{durability: background}}\n", section(proxies[1].port, "b", "")));
    let c = fleet.nats.settings("c");
    fleet.add(&c);
    for node in 0..3 {
        fleet.sees_all(node).await;
    }
    upload(&fleet.nodes[2], &picture(1)).await;
    shows(&fleet.nodes[0], &picture(1)).await;
    shows(&fleet.nodes[1], &picture(1)).await;
    for (node, proxy) in proxies.iter().enumerate() {
        proxy.set(Flow::Cut);
        let cluster = fleet.nodes[node].cluster.clone().expect("a node");
        eventually("the node knows that it is cut off", async || !cluster.connection().is_up()).await;
    }
    let refused = fleet.nodes[0].put(FRAME, &picture(2)).await;
    assert_eq!((refused.status, refused.json()["code"].clone()), (503, json!("cluster_unavailable")), "{refused:?}");
    upload(&fleet.nodes[1], &picture(3)).await;
    shows(&fleet.nodes[1], &picture(3)).await;
    proxies[1].set(Flow::Open);
    shows(&fleet.nodes[2], &picture(3)).await;
}

/// Whether the object store has the picture of a stream.
async fn is_stored(nats: &NatsServer, stream: &str) -> bool {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    match jetstream.get_object_store("mtx_pictures").await {
        Ok(store) => store.info(token(stream)).await.is_ok_and(|info| !info.deleted),
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_lost_their_storage_get_the_last_pictures_again() {
    let Some(mut fleet) = Fleet::start(2).await else { return };
    upload(&fleet.nodes[0], &picture(1)).await;
    // Its pictures are on its disk alone, and a picture that comes after the start is in memory.
    let a = fleet.nats.settings("a");
    let folder = fleet.nodes.remove(0).stop();
    fleet.add_in(folder, &a);
    fleet.sees_all(0).await;
    let gate = fleet.nodes[1].put("/api/v1/streams/gate/frame", &picture(2)).await;
    assert_eq!(gate.status, 200, "{gate:?}");
    fleet.nats.kill().await;
    fleet.nats.lose_storage();
    fleet.nats.run().await;
    for stream in ["door", "gate"] {
        eventually("the picture is stored again", async || is_stored(&fleet.nats, stream).await).await;
    }
    fleet.nodes.remove(1).stop();
    let c = fleet.nats.settings("c");
    fleet.add(&c);
    for node in &fleet.nodes {
        shows(node, &picture(1)).await;
        eventually("the other picture is there", async || node.get("/snapshot/gate.jpg").await.body == picture(2))
            .await;
    }
    // A stream that is deleted stays so.
    let deleted = fleet.nodes[0].admin("DELETE", "/api/v1/streams/door", "").await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    eventually("it is gone", async || fleet.nodes[1].registry.get("door").is_none()).await;
    assert!(!is_stored(&fleet.nats, "door").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_picture_does_not_replace_a_newer_one() {
    let Some(nats) = NatsServer::start().await else { return };
    let proxy = Proxy::start(nats.port).await;
    let mut fleet = Fleet { nats, nodes: vec![] };
    fleet.add(&format!("{}uploads: {{durability: background}}\n", section(proxy.port, "a", "")));
    let b = fleet.nats.settings("b");
    fleet.add(&b);
    fleet.sees_all(0).await;
    upload(&fleet.nodes[0], &picture(1)).await;
    shows(&fleet.nodes[1], &picture(1)).await;
    proxy.set(Flow::Cut);
    let cluster = fleet.nodes[0].cluster.clone().expect("a node");
    eventually("the node knows that it is cut off", async || !cluster.connection().is_up()).await;
    upload(&fleet.nodes[0], &picture(2)).await;
    upload(&fleet.nodes[1], &picture(3)).await;
    proxy.set(Flow::Open);
    shows(&fleet.nodes[0], &picture(3)).await;
    shows(&fleet.nodes[1], &picture(3)).await;
}
