//! Nodes that are killed at random, during uploads and changes: nothing that was acknowledged is lost, and the camera has one connection.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    MjpegReader, PATIENCE, eventually, live_camera::LiveCamera, nats::NatsServer, process::Process, sized_picture,
};

/// Kills in the suite: each takes some seconds. `FLEET_KILLS=200` is for the hand.
const KILLS: usize = 3;

/// A camera must not have two connections for longer.
const LONGEST: Duration = Duration::from_secs(8);

const RULES: &str = "
auth:
  generate_admin: no
  users:
  - {user: root, pass: r00t-pass, permissions: [{action: api}, {action: publish}, {action: read}]}
  - {user: any, ips: ['127.0.0.1'], permissions: [{action: publish}, {action: read}]}
";

/// Sends a request to a node, which can be killed meanwhile. Gives the status of its answer.
async fn send(method: &str, port: u16, path: &str, body: Vec<u8>) -> Option<u16> {
    let exchange = async {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        // root:r00t-pass
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic cm9vdDpyMDB0LXBhc3M=\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        socket.write_all(&[head.as_bytes(), &body].concat()).await.ok()?;
        let mut answer = vec![];
        socket.read_to_end(&mut answer).await.ok()?;
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    };
    timeout(PATIENCE, exchange).await.ok().flatten()
}

/// Waits for a picture of the camera that is not the held one.
async fn shows_new(camera: &LiveCamera, watcher: &mut MjpegReader) {
    let first = watcher.part().await.data;
    loop {
        let jpeg = watcher.part().await.data;
        if jpeg != first && camera.has(&jpeg) {
            return;
        }
    }
}

/// A picture that is like no other one: the colours of `picture` repeat.
fn numbered(number: u32) -> Vec<u8> {
    sized_picture(64 + number / 32 * 2, 48, number)
}

/// Waits for a request; with `kills`, the node is killed at the same time.
async fn with_kill<T>(request: impl Future<Output = T>, node: &mut Process, kills: bool) -> T {
    let kill = async {
        if kills {
            node.kill().await;
        }
    };
    tokio::join!(request, kill).0
}

#[tokio::test(flavor = "multi_thread")]
async fn random_kills_lose_nothing_that_was_acknowledged() {
    let kills = std::env::var("FLEET_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let camera = LiveCamera::start().await;
    let Some(nats) = NatsServer::start().await else { return };
    let yaml = format!("{RULES}{}", camera.streams(""));
    let mut nodes = vec![];
    for name in ["a", "b", "c"] {
        nodes.push(Process::start(&nats, name, &yaml).await);
    }
    let mut users = vec![];
    let mut uploaded = 0;
    for round in 0..kills {
        let victim = usize::try_from(getrandom::u64().expect("random") % 3).expect("small");
        let others: Vec<_> = (0..3).filter(|n| *n != victim).collect();
        let mut watchers = vec![];
        for node in &nodes {
            let mut watcher = node.watch("cam").await;
            shows_new(&camera, &mut watcher).await;
            watchers.push(watcher);
        }
        // Uploads and changes at all nodes; with one of them, a node is killed.
        let killed_with = getrandom::u64().expect("random") % 18;
        for n in 0..9u32 {
            let port = nodes[n as usize % 3].port;
            let name = format!("u{round}-{n}");
            let user = json!({"pass": "correct horse", "role": "user"}).to_string().into_bytes();
            let address = format!("/api/v1/users/{name}");
            let change = send("PUT", port, &address, user);
            let status = with_kill(change, &mut nodes[victim], u64::from(n) * 2 == killed_with).await;
            if status.is_some_and(|status| status < 300) {
                users.push(name);
            }
            let number = round as u32 * 9 + n + 1;
            let upload = send("PUT", port, "/api/v1/streams/door/frame", numbered(number));
            let status = with_kill(upload, &mut nodes[victim], u64::from(n) * 2 + 1 == killed_with).await;
            if status == Some(200) {
                uploaded = number;
            }
        }
        for other in others {
            shows_new(&camera, &mut watchers[other]).await;
        }
        drop(watchers);
        nodes[victim].restart().await;
        assert!(camera.longest_doubled() < LONGEST, "after {} kills: {:?}", round + 1, camera.longest_doubled());
    }
    assert!(!users.is_empty() && uploaded > 0);
    for node in &nodes {
        for user in &users {
            eventually("the node has the user", async || {
                send("GET", node.port, &format!("/api/v1/users/{user}"), vec![]).await == Some(200)
            })
            .await;
        }
    }
    // The last acknowledged picture, or one that came later and was not acknowledged.
    let later: Vec<_> = (uploaded..=kills as u32 * 9).map(numbered).collect();
    for node in &nodes {
        eventually("the node has the picture", async || {
            let mut watcher = node.watch("door").await;
            later.contains(&watcher.part().await.data.to_vec())
        })
        .await;
    }
    // Seen with --nocapture.
    eprintln!("{kills} kills, {} users, {uploaded} pictures, doubled for {:?}", users.len(), camera.longest_doubled());
}
