//! The nodes of a cluster see each other, also after their NATS was away.

use crate::support::{
    cut::{Flow, Proxy},
    eventually,
    nats::{Fleet, NatsServer, section},
};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_see_each_other_come_and_go() {
    let Some(mut fleet) = Fleet::start(3).await else { return };
    let gone = fleet.nodes.pop().expect("three");
    // It says goodbye, so the others see it at once.
    gone.stop();
    for node in 0..2 {
        fleet.sees_all(node).await;
    }
    let section = fleet.nats.settings("d");
    fleet.add(&section);
    for node in 0..3 {
        fleet.sees_all(node).await;
    }
    let list = fleet.nodes[0].cluster.as_ref().expect("a node").nodes().list();
    let d = list.iter().find(|node| node.told.node == "d").expect("listed");
    assert_eq!(d.told.http_port, fleet.nodes[2].addr.port());
    assert_eq!(d.told.version, env!("CARGO_PKG_VERSION"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_behind_a_partition_is_gone_for_the_others_and_comes_back() {
    let Some(nats) = NatsServer::start().await else { return };
    let proxy = Proxy::start(nats.port).await;
    let mut fleet = Fleet { nats, nodes: vec![] };
    let own = fleet.nats.settings("a");
    fleet.add(&own);
    fleet.add(&section(proxy.port, "b", ""));
    fleet.sees_all(0).await;
    fleet.sees_all(1).await;
    proxy.set(Flow::Cut);
    let cluster = |n: usize| fleet.nodes[n].cluster.clone().expect("a node");
    let (a, b) = (cluster(0), cluster(1));
    eventually("a misses b", async || !a.nodes().is_alive("b")).await;
    eventually("b knows that it is cut off", async || !b.connection().is_up()).await;
    assert!(b.nodes().is_alive("a"), "a node that is cut off keeps its last knowledge");
    proxy.set(Flow::Open);
    eventually("b is back", async || a.nodes().is_alive("b") && b.connection().is_up()).await;
}
