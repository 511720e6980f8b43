//! What one node of a cluster changes counts on all of them.

use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::{
    FAR, MjpegReader, TestApp, basic, bearer, eventually,
    nats::{Fleet, NatsServer, section},
    picture,
};

/// Waits until a node answers this status.
async fn answers(node: &TestApp, path: &str, header: &str, status: u16) {
    eventually(&format!("{path} is answered by {status}"), async || {
        node.far("GET", path, header, "").await.status == status
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_tokens_streams_and_paths_of_one_node_are_those_of_all() {
    let Some(fleet) = Fleet::start(3).await else { return };
    let [a, b, c] = fleet.nodes.as_slice() else { panic!("three") };
    assert!(a.password.is_some());
    a.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    let made =
        b.made("/api/v1/tokens", json!({"name": "wall", "permissions": [{"action": "read"}], "expires": "1day"})).await;
    let token = bearer(made["token"].as_str().expect("a token"));
    let card = json!({"kind": "test-card", "width": 320, "height": 180}).to_string();
    assert_eq!(c.admin("PUT", "/api/v1/streams/card", &card).await.status, 201);
    let path = json!({"kind": "stream", "stream": "card"}).to_string();
    assert_eq!(a.admin("PUT", "/api/v1/paths/kept/card", &path).await.status, 201);
    for node in [a, b, c] {
        answers(node, "/snapshot/card.jpg", &basic("alice", "correct horse"), 200).await;
        answers(node, "/snapshot/card.jpg", &token, 200).await;
        eventually("the path is kept", async || node.admin("GET", "/api/v1/paths/kept/card", "").await.status == 200)
            .await;
        // Signed by one node, verified by all: they have the same keys.
        let keys = node.get("/.well-known/jwks.json").await.json();
        assert_eq!(keys, a.get("/.well-known/jwks.json").await.json());
    }
    // The other way: redefined at b, deleted at a.
    let larger = json!({"kind": "test-card", "width": 640, "height": 360}).to_string();
    assert_eq!(b.admin("PUT", "/api/v1/streams/card", &larger).await.status, 200);
    eventually("a has the new definition", async || {
        a.admin("GET", "/api/v1/streams/card", "").await.json()["definition"]["width"] == 640
    })
    .await;
    assert_eq!(a.admin("DELETE", "/api/v1/streams/card", "").await.status, 204);
    let name = mtx_sidecar::stream::StreamName::parse("card").expect("a name");
    eventually("c has forgotten it", async || c.registry.get(&name).is_none()).await;
    let id = made["id"].as_str().expect("an id");
    assert_eq!(c.admin("DELETE", &format!("/api/v1/tokens/{id}"), "").await.status, 204);
    answers(a, "/api/v1/streams", &token, 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_at_one_node_ends_a_session_at_another() {
    let Some(fleet) = Fleet::start(2).await else { return };
    let [a, b] = fleet.nodes.as_slice() else { panic!("two") };
    b.put("/api/v1/streams/door/frame", &picture(1)).await;
    let made =
        a.made("/api/v1/tokens", json!({"name": "wall", "permissions": [{"action": "read"}], "expires": "1day"})).await;
    let token = bearer(made["token"].as_str().expect("a token"));
    answers(b, "/snapshot/door.jpg", &token, 200).await;
    let mut watching = MjpegReader::new(b.send("GET", "/stream/door.mjpeg", &[FAR, &token], b"").await).await;
    watching.until(&picture(1)).await;
    let id = made["id"].as_str().expect("an id");
    assert_eq!(a.admin("DELETE", &format!("/api/v1/tokens/{id}"), "").await.status, 204);
    // Until the response ends.
    while watching.maybe_part().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_uses_of_a_share_are_counted_once_over_all_nodes() {
    let Some(fleet) = Fleet::start(3).await else { return };
    let nodes = &fleet.nodes;
    let share = nodes[0].made("/api/v1/shares", json!({"path": "door", "expires": "1h", "max_uses": 10})).await;
    let code = share["code"].as_str().expect("a code").to_owned();
    for node in nodes {
        eventually("the share is known", async || {
            node.admin("GET", "/api/v1/shares", "").await.json()["shares"].as_array().is_some_and(|all| all.len() == 1)
        })
        .await;
    }
    let body = json!({"code": code}).to_string();
    let tries = (0..24).map(|n| nodes[n % 3].request("POST", "/api/v1/shares/open", &[FAR], body.as_bytes()));
    let statuses: Vec<u16> = futures_util::future::join_all(tries).await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10, "{statuses:?}");
    for node in nodes {
        eventually("the uses are the same everywhere", async || {
            node.admin("GET", "/api/v1/shares", "").await.json()["shares"][0]["uses"] == 10
        })
        .await;
    }
}

/// Users that a node has made before it entered a cluster with others.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_node_that_enters_are_replaced_and_kept_in_a_file() {
    let alone = TestApp::spawn();
    alone.user("old", json!({"pass": "correct horse", "role": "user"})).await;
    let folder = alone.stop();
    let Some(mut fleet) = Fleet::start(1).await else { return };
    fleet.nodes[0].user("new", json!({"pass": "correct horse", "role": "user"})).await;
    let section = fleet.nats.settings("b");
    fleet.add_in(folder, &section);
    let listed = fleet.nodes[1].admin("GET", "/api/v1/users", "").await.json();
    let names: Vec<_> = listed["users"].as_array().expect("users").iter().map(|user| &user["name"]).collect();
    assert_eq!(names, ["admin", "new"]);
    let data = fleet.nodes[1].folder().join("data");
    let kept = std::fs::read_dir(&data)
        .expect("lists")
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("sidecar.before-cluster-"));
    let text = std::fs::read_to_string(kept.expect("a file").path()).expect("reads");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    assert!(rows.iter().any(|row| row["table"] == "users" && row["id"] == "old"), "{text}");
    assert!(rows.iter().any(|row| row["table"] == "keys"), "its signing keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_secret_is_refused_in_words() {
    let Some(fleet) = Fleet::start(1).await else { return };
    let yaml = fleet.nats.settings("b").replace("a secret of the tests", "a secret of strangers");
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let refused = TestApp::refused(&folder, &yaml);
    assert!(refused.contains("cluster.secret: is not the secret of the cluster"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_and_other_programs_at_the_same_nats_do_not_see_each_other() {
    let Some(mut fleet) = Fleet::start(1).await else { return };
    let client = fleet.nats.client().await;
    let jetstream = async_nats::jetstream::new(client);
    let foreign = async_nats::jetstream::kv::Config { bucket: "other_state".into(), ..Default::default() };
    let foreign = jetstream.create_key_value(foreign).await.expect("made");
    foreign.put("users.x", "theirs".into()).await.expect("written");
    let yaml = format!("{}  prefix: second\n", section(fleet.nats.port, "a", ""));
    let second = TestApp::with(&yaml);
    let first = &fleet.nodes[0];
    first.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    second.user("bob", json!({"pass": "correct horse", "role": "user"})).await;
    let names = async |app: &TestApp| {
        let listed = app.admin("GET", "/api/v1/users", "").await.json();
        listed["users"]
            .as_array()
            .expect("users")
            .iter()
            .map(|u| u["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(first).await, ["admin", "alice"]);
    assert_eq!(names(&second).await, ["admin", "bob"]);
    assert_eq!(first.cluster.as_ref().expect("a node").nodes().alive().borrow().len(), 1);
    fleet.nodes.clear();
    drop(second);
    assert_eq!(foreign.get("users.x").await.expect("reads").as_deref(), Some(&b"theirs"[..]));
    let names: Vec<_> = jetstream.stream_names().map(|name| name.expect("a name")).collect().await;
    assert!(names.contains(&"KV_mtx_state".to_owned()) && names.contains(&"KV_second_state".to_owned()), "{names:?}");
    for name in names.iter().filter(|name| *name != "KV_other_state") {
        let bucket = name.split_once('_').map_or("", |(_, bucket)| bucket);
        assert!(bucket.starts_with("mtx_") || bucket.starts_with("second_"), "{name} is beneath a prefix");
    }
}

/// During a rolling update a newer node writes records that an older one does not understand.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_newer_version_is_kept_and_not_changed() {
    let Some(fleet) = Fleet::start(1).await else { return };
    let a = &fleet.nodes[0];
    a.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    let client = fleet.nats.client().await;
    let state = async_nats::jetstream::new(client).get_key_value("mtx_state").await.expect("the bucket");
    let key = "users.YWxpY2U";
    let before = state.entry(key).await.expect("reads").expect("there");
    assert!(!String::from_utf8_lossy(&before.value).contains("argon2"), "the content is sealed");
    let newer = r#"{"schema":2,"by":"z","form":"unknown"}"#;
    let revision = state.update(key, newer.into(), before.revision).await.expect("written");
    let mirror = a.cluster.as_ref().expect("a node").mirror().clone();
    eventually("the record has arrived", async || mirror.records().1 == 1).await;
    answers(a, "/api/v1/streams", &basic("alice", "correct horse"), 200).await;
    for (method, body) in [("PATCH", r#"{"disabled":true}"#), ("DELETE", "")] {
        let refused = a.admin(method, "/api/v1/users/alice", body).await;
        assert_eq!((refused.status, refused.problem().as_str()), (409, "cluster_conflict"), "{refused:?}");
        assert!(refused.detail().contains("newer version"), "{}", refused.detail());
    }
    let kept = state.entry(key).await.expect("reads").expect("there");
    assert_eq!((kept.revision, &kept.value[..]), (revision, newer.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_jetstream_refuses_changes_in_words_and_everything_else_goes_on() {
    let config = "jetstream: {store_dir: \"FOLDER/store\", max_file: 100K}";
    let Some(nats) = NatsServer::with(config).await else { return };
    let mut fleet = Fleet { nats, nodes: vec![] };
    let section = fleet.nats.settings("a");
    fleet.add(&section);
    let a = &fleet.nodes[0];
    let mut refused = None;
    for n in 0..400 {
        let body =
            json!({"kind": "test-card", "title": "x".repeat(90), "overlay": [{"text": "x".repeat(200)}]}).to_string();
        let answer = a.admin("PUT", &format!("/api/v1/streams/card-{n}"), &body).await;
        if answer.status != 201 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("the room of the server has an end");
    assert_eq!((refused.status, refused.problem().as_str()), (507, "storage_full"), "{refused:?}");
    assert!(refused.detail().contains("JetStream"), "{}", refused.detail());
    assert_eq!(a.get("/snapshot/card-0.jpg").await.status, 200);
    assert_eq!(a.admin("GET", "/api/v1/users", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_kept_at_the_nodes_of_its_definition_and_moves_when_its_node_is_gone() {
    let Some(mut fleet) = Fleet::start(3).await else { return };
    let put = async |name: &str, more: Value| {
        let mut path = json!({"kind": "stream", "stream": "card"});
        path.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let made = fleet.nodes[0].admin("PUT", &format!("/api/v1/paths/{name}"), &path.to_string()).await;
        assert_eq!(made.status, 201, "{made:?}");
    };
    put("everywhere", json!({})).await;
    put("some", json!({"nodes": ["a", "b"]})).await;
    put("one", json!({"nodes": ["c", "b"], "failover": true})).await;
    put("any", json!({"failover": true})).await;
    // There is no MediaMTX: a path that belongs to a node is pending there.
    let at = async |fleet: &Fleet, name: &str| {
        let mut found = String::new();
        for (n, node) in fleet.nodes.iter().enumerate() {
            let path = node.admin("GET", &format!("/api/v1/paths/{name}"), "").await;
            match path.json()["state"].as_str() {
                Some("pending") => found.push_str(&crate::support::nats::name(n)),
                Some("elsewhere") => {}
                state => assert_eq!(path.status, 404, "{state:?}"),
            }
        }
        found
    };
    for (name, expected) in [("everywhere", "abc"), ("some", "ab"), ("one", "c")] {
        eventually(&format!("{name} is at {expected}"), async || at(&fleet, name).await == expected).await;
    }
    eventually("any is at one node", async || at(&fleet, "any").await.len() == 1).await;
    fleet.nodes.pop().expect("three").stop();
    eventually("the path has moved", async || at(&fleet, "one").await == "b").await;
    eventually("any is at one node", async || at(&fleet, "any").await.len() == 1).await;
    let wrong = json!({"kind": "stream", "stream": "card", "nodes": [""]}).to_string();
    let refused = fleet.nodes[0].admin("PUT", "/api/v1/paths/wrong", &wrong).await;
    assert_eq!((refused.status, refused.json()["field"].as_str()), (422, Some("nodes")), "{refused:?}");
}

/// The markers of deleted records are removed after an hour, by any node.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_can_be_used_again_after_its_marker_is_removed() {
    let Some(fleet) = Fleet::start(2).await else { return };
    let [a, b] = fleet.nodes.as_slice() else { panic!("two") };
    let client = fleet.nats.client().await;
    let state = async_nats::jetstream::new(client).get_key_value("mtx_state").await.expect("the bucket");
    let alice = json!({"pass": "correct horse", "role": "user"}).to_string();
    for round in 0..2 {
        assert_eq!(a.admin("PUT", "/api/v1/users/alice", &alice).await.status, 201, "round {round}");
        eventually("b has the user", async || b.admin("GET", "/api/v1/users/alice", "").await.status == 200).await;
        assert_eq!(b.admin("DELETE", "/api/v1/users/alice", "").await.status, 204, "round {round}");
        eventually("a has forgotten it", async || a.admin("GET", "/api/v1/users/alice", "").await.status == 404).await;
        let left = state.entry("users.YWxpY2U").await.expect("reads").expect("a marker");
        assert_eq!(left.operation, async_nats::jetstream::kv::Operation::Purge, "without earlier revisions");
        state.stream.purge().filter("$KV.mtx_state.users.YWxpY2U").await.expect("removes it");
    }
}
