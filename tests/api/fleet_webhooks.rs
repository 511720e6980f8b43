//! Webhooks of a cluster: one node posts the events of all, and another one goes on after its death.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::support::{
    TestApp,
    cut::{Flow, Proxy},
    eventually,
    nats::{Fleet, NatsServer, section},
    process::Process,
};

/// A receiver of events. `/in` accepts them after this time.
async fn receiver(delay: std::time::Duration) -> MockServer {
    let receiver = MockServer::start().await;
    Mock::given(path("/in")).respond_with(ResponseTemplate::new(204).set_delay(delay)).mount(&receiver).await;
    receiver
}

/// The section `events` of a node that posts to it.
fn events(receiver: &MockServer) -> String {
    format!("events: {{webhooks: [{{url: '{}/in', events: [hook], timeout: 30s}}]}}\n", receiver.uri())
}

/// Posts a hook of MediaMTX, which becomes an event of the kind `hook`.
async fn hook(node: &TestApp, n: usize) {
    let body = json!({"MTX_PATH": format!("cam-{}", n % 3), "n": n.to_string()}).to_string();
    let response = node.request("POST", "/api/v1/hooks/read", &[], body.as_bytes()).await;
    assert_eq!(response.status, 204, "{response:?}");
}

/// The events that have arrived, in order.
async fn arrived(receiver: &MockServer) -> Vec<Value> {
    let requests = receiver.received_requests().await.expect("are recorded");
    requests.iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect()
}

fn number(event: &Value) -> usize {
    event["data"]["variables"]["n"].as_str().expect("a number").parse().expect("a number")
}

/// The numbers of the events that have arrived, each once.
async fn numbers(receiver: &MockServer) -> BTreeSet<usize> {
    arrived(receiver).await.iter().map(number).collect()
}

/// Whether the servers have no event that is not posted.
async fn is_all_posted(nats: &NatsServer) -> bool {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let Ok(stream) = jetstream.get_stream("mtx_events").await else { return false };
    let Ok(Some(name)) = consumer(&stream).await else { return false };
    let consumer: async_nats::jetstream::consumer::PullConsumer = stream.get_consumer(&name).await.expect("is there");
    let info = consumer.get_info().await.expect("has a state");
    info.num_pending == 0 && info.num_ack_pending == 0
}

/// The only consumer of the stream.
async fn consumer(stream: &async_nats::jetstream::stream::Stream) -> Result<Option<String>, String> {
    use futures_util::TryStreamExt;
    let names: Vec<String> = stream.consumer_names().try_collect().await.map_err(|e| e.to_string())?;
    assert!(names.len() <= 1, "{names:?}");
    Ok(names.into_iter().next())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_any_node_is_posted_once_for_all_nodes() {
    let receiver = receiver(std::time::Duration::ZERO).await;
    let Some(fleet) = Fleet::with(3, &events(&receiver)).await else { return };
    for n in 0..30 {
        hook(&fleet.nodes[n % 3], n).await;
    }
    eventually("all events have arrived", async || numbers(&receiver).await.len() == 30).await;
    eventually("none is left", async || is_all_posted(&fleet.nats).await).await;
    let events = arrived(&receiver).await;
    assert_eq!(events.len(), 30, "each arrives once");
    for n in 0..3 {
        // Those of one path come from one node here.
        let of: Vec<_> = events.iter().filter(|e| e["path"] == format!("cam-{n}")).map(number).collect();
        assert!(of.is_sorted(), "{of:?}");
    }
    let heads = receiver.received_requests().await.expect("are recorded");
    let ids: BTreeSet<_> =
        heads.iter().map(|r| r.headers["x-mtx-event-id"].to_str().expect("text").to_owned()).collect();
    let uids: BTreeSet<_> = events.iter().map(|e| e["uid"].as_str().expect("text").to_owned()).collect();
    assert_eq!((ids.len(), &ids), (30, &uids));
    // A listener at any node has the same names.
    let mut nodes = events.iter().map(|e| e["node"].as_str().expect("a node"));
    assert!(nodes.all(|node| ["a", "b", "c"].contains(&node)));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_killed_node_has_not_posted_are_posted_by_another_one() {
    // Events that the first node has taken are not answered before its death.
    let receiver = receiver(std::time::Duration::from_secs(600)).await;
    let Some(nats) = NatsServer::start().await else { return };
    let mut first = Process::start(&nats, "a", &events(&receiver)).await;
    let b = TestApp::with(&format!("{}{}", nats.settings("b"), events(&receiver)));
    eventually("the stream is there", async || {
        hook(&b, 0).await;
        !arrived(&receiver).await.is_empty()
    })
    .await;
    receiver.reset().await;
    for n in 1..20 {
        hook(&b, n).await;
    }
    first.kill().await;
    Mock::given(path("/in")).respond_with(ResponseTemplate::new(204)).mount(&receiver).await;
    eventually("all events have arrived", async || (1..20).all_in(&numbers(&receiver).await)).await;
    eventually("none is left", async || is_all_posted(&nats).await).await;
    // A node that comes back has nothing to post again.
    first.restart().await;
    let before = arrived(&receiver).await.len();
    hook(&b, 20).await;
    eventually("the next one has arrived", async || numbers(&receiver).await.contains(&20)).await;
    assert_eq!(arrived(&receiver).await.len(), before + 1);
}

/// Whether all numbers of a range are in a set.
trait AllIn {
    fn all_in(self, set: &BTreeSet<usize>) -> bool;
}

impl AllIn for std::ops::Range<usize> {
    fn all_in(mut self, set: &BTreeSet<usize>) -> bool {
        self.all(|n| set.contains(&n))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_from_nats_posts_its_own_events() {
    let receiver = receiver(std::time::Duration::ZERO).await;
    let Some(nats) = NatsServer::start().await else { return };
    let proxy = Proxy::start(nats.port).await;
    let mut fleet = Fleet { nats, nodes: vec![] };
    fleet.add(&format!("{}{}", section(proxy.port, "a", ""), events(&receiver)));
    let b = format!("{}{}", fleet.nats.settings("b"), events(&receiver));
    fleet.add(&b);
    fleet.sees_all(0).await;
    proxy.set(Flow::Cut);
    let cluster = fleet.nodes[0].cluster.clone().expect("a node");
    eventually("the node knows that it is cut off", async || !cluster.connection().is_up()).await;
    hook(&fleet.nodes[0], 1).await;
    hook(&fleet.nodes[1], 2).await;
    eventually("both have arrived", async || numbers(&receiver).await.len() == 2).await;
    proxy.set(Flow::Open);
    eventually("the node is back", async || cluster.connection().is_up()).await;
    hook(&fleet.nodes[0], 3).await;
    eventually("the third has arrived", async || numbers(&receiver).await.len() == 3).await;
    eventually("none is left", async || is_all_posted(&fleet.nats).await).await;
    assert_eq!(arrived(&receiver).await.len(), 3, "each arrives once");
}

/// The dead letters that a node lists, as pairs of the node that has tried and the path of the webhook, and the nodes that are missing.
async fn dead_letters(node: &TestApp, query: &str) -> (BTreeSet<(String, String)>, Vec<String>) {
    let response = node.admin("GET", &format!("/api/v1/events/dead-letters{query}"), "").await;
    assert_eq!(response.status, 200, "{response:?}");
    let listed = response.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dead = listed["dead"].as_array().expect("a list").iter();
    let pairs = dead.map(|letter| (text(&letter["node"]), text(&letter["url"]).rsplit('/').next().map(str::to_owned)));
    let missing = listed["missing"].as_array().expect("a list").iter();
    (pairs.map(|(node, url)| (node, url.expect("a path"))).collect(), missing.map(|m| text(&m["node"])).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_all_nodes_are_listed_at_any_node() {
    // Each webhook is one of one node, and refuses all events.
    let receiver = MockServer::start().await;
    Mock::given(wiremock::matchers::any()).respond_with(ResponseTemplate::new(410)).mount(&receiver).await;
    let Some(nats) = NatsServer::start().await else { return };
    let proxy = Proxy::start(nats.port).await;
    let mut fleet = Fleet { nats, nodes: vec![] };
    for node in ["a", "b"] {
        let section = section(if node == "b" { proxy.port } else { fleet.nats.port }, node, "");
        fleet.add(&format!(
            "{section}events: {{webhooks: [{{url: '{}/of-{node}', events: [hook]}}]}}\n",
            receiver.uri()
        ));
    }
    let c = fleet.nats.settings("c");
    fleet.add(&c);
    for node in 0..3 {
        fleet.sees_all(node).await;
    }
    let [a, _, c] = fleet.nodes.as_slice() else { panic!("three") };
    let of = |node: &str, url: &str| (node.to_owned(), url.to_owned());
    let both = BTreeSet::from([of("a", "of-a"), of("b", "of-b")]);
    eventually("both are refused", async || {
        hook(c, 1).await;
        dead_letters(c, "?nodes=all").await.0 == both
    })
    .await;
    assert_eq!(dead_letters(c, "?nodes=all").await.1, Vec::<String>::new());
    // Its own have no node, and those of a node alone are no others.
    assert_eq!(dead_letters(a, "?nodes=all").await.0, BTreeSet::from([of("", "of-a"), of("b", "of-b")]));
    assert_eq!(dead_letters(a, "").await, (BTreeSet::from([of("", "of-a")]), vec![]));
    assert_eq!(dead_letters(c, "").await, (BTreeSet::new(), vec![]));
    let wrong = c.admin("GET", "/api/v1/events/dead-letters?nodes=b", "").await;
    assert_eq!((wrong.status, wrong.json()["field"].clone()), (400, "nodes".into()), "{wrong:?}");
    assert_eq!(c.get("/api/v1/events/dead-letters?nodes=all").await.status, 401);
    proxy.set(Flow::Cut);
    eventually("the node that does not answer is named, and the rest is listed", async || {
        dead_letters(c, "?nodes=all").await == (BTreeSet::from([of("a", "of-a")]), vec!["b".to_owned()])
    })
    .await;
}
