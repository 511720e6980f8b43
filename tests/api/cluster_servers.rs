//! A cluster at NATS servers of other versions, and with other accounts than one without a name.

use crate::support::{
    TestApp, eventually,
    live_camera::LiveCamera,
    nats::{Fleet, NatsServer, section},
    picture, skip,
};

/// What a cluster is for: changes, uploads and a camera of all nodes.
async fn does_its_work(fleet: &Fleet, camera: &LiveCamera) {
    let [a, b] = fleet.nodes.as_slice() else { panic!("two") };
    fleet.sees_all(0).await;
    fleet.sees_all(1).await;
    a.user("alice", serde_json::json!({"pass": "correct horse", "role": "user"})).await;
    eventually("the other node has the user", async || b.admin("GET", "/api/v1/users/alice", "").await.status == 200)
        .await;
    assert_eq!(b.put("/api/v1/streams/door/frame", &picture(1)).await.status, 200);
    eventually("the other node has the picture", async || a.get("/snapshot/door.jpg").await.body == picture(1)).await;
    let mut watchers = vec![a.watch("/stream/cam.mjpeg").await, b.watch("/stream/cam.mjpeg").await];
    for watcher in &mut watchers {
        while !camera.has(&watcher.part().await.data) {}
    }
    assert_eq!(camera.connections(), 1);
}

async fn fleet(nats: NatsServer, camera: &LiveCamera, account: &str) -> Fleet {
    let mut fleet = Fleet { nats, nodes: vec![] };
    for node in ["a", "b"] {
        let section = section(fleet.nats.port, node, account);
        fleet.add(&format!("{section}{}", camera.streams("")));
    }
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_server_that_is_supported_is_enough() {
    let Some(binary) = skip::other_nats_server("NATS_OLD_BIN") else { return };
    let camera = LiveCamera::start().await;
    let nats = NatsServer::of(binary, "", &[]).await;
    let version = nats.client().await.server_info().version;
    assert!(version.starts_with("2.10."), "NATS_OLD_BIN is {version}, and must be 2.10");
    does_its_work(&fleet(nats, &camera, "").await, &camera).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused_in_words() {
    let Some(binary) = skip::other_nats_server("NATS_TOO_OLD_BIN") else { return };
    let nats = NatsServer::of(binary, "", &[]).await;
    let folder = std::sync::Arc::new(tempfile::tempdir().expect("a folder"));
    let refused = TestApp::refused(&folder, &nats.settings("a"));
    assert!(refused.contains("needs 2.10 or later") && refused.contains("version 2.9"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_jwt_credentials_is_enough() {
    let camera = LiveCamera::start().await;
    let config = include_str!("nats/operator.conf");
    let files = [("user.creds", include_str!("nats/user.creds"))];
    let Some(nats) = NatsServer::with_files(config, &files).await else { return };
    let account = format!("  credentials: '{}'\n", nats.path("user.creds").display());
    does_its_work(&fleet(nats, &camera, &account).await, &camera).await;
}
