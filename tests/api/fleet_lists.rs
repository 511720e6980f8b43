//! Lists of all nodes of a cluster: sessions, which can be ended from any node, and recordings.

use serde_json::Value;

use crate::support::{
    TestApp,
    cut::{Flow, Proxy},
    eventually,
    nats::{Fleet, NatsServer, section},
    picture,
};

async fn sessions(node: &TestApp) -> Value {
    let response = node.admin("GET", "/api/v1/sessions?nodes=all", "").await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

/// The session of a watcher at another node.
async fn watcher_at(node: &TestApp, other: &str) -> Option<Value> {
    let listed = sessions(node).await;
    let mut all = listed["sessions"].as_array().expect("a list").iter();
    all.find(|session| session["node"] == other && session["protocol"] == "mjpeg").cloned()
}

/// The nodes that are named as missing.
fn missing(listed: &Value) -> Vec<String> {
    let nodes = listed["missing"].as_array().expect("a list").iter();
    nodes.map(|missing| missing["node"].as_str().expect("a node").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_all_nodes_are_listed_and_ended_at_any_node() {
    let Some(fleet) = Fleet::start(2).await else { return };
    let [a, b] = fleet.nodes.as_slice() else { panic!("two") };
    assert_eq!(b.put("/api/v1/streams/door/frame", &picture(1)).await.status, 200);
    let mut watcher = b.watch("/stream/door.mjpeg").await;
    watcher.until(&picture(1)).await;
    eventually("the session of the other node is listed", async || watcher_at(a, "b").await.is_some()).await;
    let session = watcher_at(a, "b").await.expect("is there");
    // MediaMTX is away at both, which is said, and the rest is shown.
    assert_eq!(missing(&sessions(a).await), ["b"]);
    assert!(sessions(a).await["error"].is_string());
    // The list of this node alone has no other one.
    let own = a.admin("GET", "/api/v1/sessions", "").await.json();
    assert!(own["sessions"].as_array().expect("a list").iter().all(|session| session["node"].is_null()), "{own}");

    let end = |node: &str| format!("/api/v1/sessions/sidecar/{}?node={node}", session["id"].as_str().expect("an id"));
    let unknown = a.admin("DELETE", &end("zzz"), "").await;
    assert_eq!((unknown.status, unknown.json()["field"].clone()), (400, "node".into()), "{unknown:?}");
    let ended = a.admin("DELETE", &end("b"), "").await;
    assert_eq!(ended.status, 204, "{ended:?}");
    eventually("the session is gone", async || watcher_at(a, "b").await.is_none()).await;
    assert_eq!(a.admin("DELETE", &end("b"), "").await.status, 404);
    // Only administrators.
    assert_eq!(a.get("/api/v1/sessions?nodes=all").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_answer_is_named_and_the_rest_is_listed() {
    let Some(nats) = NatsServer::start().await else { return };
    let proxy = Proxy::start(nats.port).await;
    let mut fleet = Fleet { nats, nodes: vec![] };
    let a = fleet.nats.settings("a");
    fleet.add(&a);
    fleet.add(&section(proxy.port, "b", ""));
    fleet.sees_all(0).await;
    let recordings = fleet.nodes[0].admin("GET", "/api/v1/recordings?nodes=all", "").await;
    assert_eq!((recordings.status, missing(&recordings.json())), (200, vec!["a".into(), "b".into()]), "{recordings:?}");
    proxy.set(Flow::Cut);
    let cluster = fleet.nodes[0].cluster.clone().expect("a node");
    eventually("the node counts as gone", async || !cluster.nodes().is_alive("b")).await;
    let listed = sessions(&fleet.nodes[0]).await;
    assert_eq!(missing(&listed), ["b"]);
    assert!(listed["missing"][0]["reason"].as_str().is_some_and(|why| why.contains("not heard")), "{listed}");
    let wrong = fleet.nodes[0].admin("GET", "/api/v1/sessions?nodes=b", "").await;
    assert_eq!((wrong.status, wrong.json()["field"].clone()), (400, "nodes".into()), "{wrong:?}");
}
