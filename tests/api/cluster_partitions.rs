//! A cluster whose NATS is away, restarts, or loses what it has stored.

use std::sync::Arc;

use serde_json::json;

use crate::support::{
    TestApp, basic,
    cut::{Flow, Proxy},
    eventually,
    nats::{Fleet, NatsServer, section},
};

/// Two nodes, the second one behind a proxy.
async fn pair() -> Option<(Fleet, Proxy)> {
    let nats = NatsServer::start().await?;
    let proxy = Proxy::start(nats.port).await;
    let mut fleet = Fleet { nats, nodes: vec![] };
    let own = fleet.nats.settings("a");
    fleet.add(&own);
    fleet.add(&section(proxy.port, "b", ""));
    fleet.sees_all(0).await;
    fleet.sees_all(1).await;
    Some((fleet, proxy))
}

async fn has_user(node: &TestApp, name: &str) -> bool {
    node.admin("GET", &format!("/api/v1/users/{name}"), "").await.status == 200
}

const ALICE: &str = r#"{"pass": "correct horse", "role": "user"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_goes_on_answering_and_refuses_changes() {
    let Some((fleet, proxy)) = pair().await else { return };
    let [a, b] = fleet.nodes.as_slice() else { panic!("two") };
    b.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    proxy.set(Flow::Cut);
    let cluster = b.cluster.clone().expect("a node");
    eventually("b knows it", async || !cluster.connection().is_up()).await;
    for (method, path, body) in [
        ("PUT", "/api/v1/users/bob", ALICE),
        ("PUT", "/api/v1/streams/card", r#"{"kind": "test-card"}"#),
        ("DELETE", "/api/v1/users/alice", ""),
    ] {
        let refused = b.admin(method, path, body).await;
        assert_eq!((refused.status, refused.problem().as_str()), (503, "cluster_unavailable"), "{refused:?}");
    }
    assert_eq!(b.far("GET", "/api/v1/streams", &basic("alice", "correct horse"), "").await.status, 200);
    // Signing in works as well; the sign-in lasts as long as its access token.
    let body = json!({"user": "alice", "password": "correct horse"}).to_string();
    let signed_in = b.request("POST", "/api/v1/login", &[], body.as_bytes()).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let ready = b.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let text = String::from_utf8_lossy(&ready.body).into_owned();
    assert!(text.contains("degraded: the cluster's state is") && text.contains("old"), "{text}");

    assert_eq!(a.admin("DELETE", "/api/v1/users/alice", "").await.status, 204);
    assert!(has_user(b, "alice").await, "the news cannot arrive");
    proxy.set(Flow::Open);
    eventually("the deletion has arrived", async || !has_user(b, "alice").await).await;
    eventually("changes are taken again", async || b.admin("PUT", "/api/v1/users/bob", ALICE).await.status < 300).await;
    eventually("a has it, too", async || has_user(a, "bob").await).await;
}

/// While the answers to b are held back, b decides on what it knew.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_the_same_the_second_is_a_conflict_and_none_is_lost() {
    let Some((fleet, proxy)) = pair().await else { return };
    let [a, b] = fleet.nodes.as_slice() else { panic!("two") };
    a.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    eventually("b has the user", async || has_user(b, "alice").await).await;
    proxy.set(Flow::HoldsAnswers);
    let change = r#"{"permissions": [{"action": "read", "path": "door"}]}"#;
    assert_eq!(a.admin("PATCH", "/api/v1/users/alice", change).await.status, 200);
    let key = "$KV.mtx_state.users.YWxpY2U";
    let before = proxy.said(key);
    let (answer, ()) = tokio::join!(b.admin("PATCH", "/api/v1/users/alice", r#"{"disabled": true}"#), async {
        eventually("b has asked for its change", async || proxy.said(key) > before).await;
        proxy.set(Flow::Open);
    });
    assert_eq!((answer.status, answer.problem().as_str()), (409, "cluster_conflict"), "{answer:?}");
    let repeated = b.admin("PATCH", "/api/v1/users/alice", r#"{"disabled": true}"#).await;
    assert_eq!(repeated.status, 200, "{repeated:?}");
    for node in [a, b] {
        eventually("both changes are there", async || {
            let user = node.admin("GET", "/api/v1/users/alice", "").await.json();
            user["disabled"] == true && user["permissions"][0]["path"] == "door"
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_has_the_state_and_one_without_its_storage_gets_it_again() {
    let Some(mut fleet) = Fleet::start(2).await else { return };
    fleet.nodes[0].user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    for lost in [false, true] {
        fleet.nats.kill().await;
        if lost {
            fleet.nats.lose_storage();
        }
        fleet.nats.run().await;
        let [a, b] = fleet.nodes.as_slice() else { panic!("two") };
        let name = if lost { "after-loss" } else { "after-restart" };
        eventually("changes are taken again", async || {
            a.admin("PUT", &format!("/api/v1/users/{name}"), ALICE).await.status < 300
        })
        .await;
        eventually("b has all users", async || has_user(b, name).await && has_user(b, "alice").await).await;
        assert!(has_user(a, "alice").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_without_nats_if_it_was_in_the_cluster_before() {
    let Some(mut fleet) = Fleet::start(1).await else { return };
    let yaml = fleet.nats.settings("a");
    let password = fleet.nodes[0].password.clone();
    let folder = fleet.nodes.pop().expect("one").stop();
    fleet.nats.kill().await;
    fleet.add_in(folder, &yaml);
    let node = &mut fleet.nodes[0];
    node.password = password;
    assert_eq!(node.admin("GET", "/api/v1/users", "").await.status, 200);
    assert_eq!(node.admin("PUT", "/api/v1/users/alice", ALICE).await.status, 503);
    fleet.nats.run().await;
    let node = &fleet.nodes[0];
    eventually("changes are taken again", async || node.admin("PUT", "/api/v1/users/alice", ALICE).await.status < 300)
        .await;
    // A node that never was in it has nothing to answer with.
    fleet.nats.kill().await;
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let refused = TestApp::refused(&folder, &fleet.nats.settings("b"));
    assert!(refused.contains("the NATS servers of the cluster cannot be reached"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_named() {
    let config = "authorization: {users: [{user: mtx, password: right}]}";
    let Some(nats) = NatsServer::with(config).await else { return };
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let refused = TestApp::refused(&folder, &section(nats.port, "a", "  user: mtx\n  pass: wrong\n"));
    assert!(refused.to_lowercase().contains("authorization"), "{refused}");
    let right = TestApp::with(&section(nats.port, "a", "  user: mtx\n  pass: right\n"));
    assert_eq!(right.admin("GET", "/api/v1/users", "").await.status, 200);
}
