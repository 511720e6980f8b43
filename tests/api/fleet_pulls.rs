//! A path at the MediaMTX of one node, read at the MediaMTX of another one as `fleet/NAME`.

use serde_json::json;

use crate::support::{
    Program, TestApp, eventually,
    mediamtx::{MediaMtx, first_frame},
    nats::NatsServer,
};

/// A node whose MediaMTX has these ports. Any client that the rules of the test do not name is refused.
fn node(nats: &NatsServer, name: &str, ports: &[u16; 6]) -> TestApp {
    TestApp::with(&format!(
        "{}  address: 127.0.0.1\nmediamtx: {{api: 'http://127.0.0.1:{}', rtsp: 'rtsp://127.0.0.1:{}'}}\n{AUTH}",
        nats.settings(name),
        ports[4],
        ports[0],
    ))
}

const AUTH: &str = "
auth:
  users:
  - {user: pub, pass: secret, permissions: [{action: publish}]}
  - {user: eve, pass: secret, permissions: [{action: read, path: '~^fleet/'}]}
  - {user: ann, pass: secret, permissions: [{action: read, path: yard}]}
";

async fn reads(app: &TestApp, rtsp: u16, user: &str, path: &str) -> bool {
    let url = format!("rtsp://{user}:secret@127.0.0.1:{rtsp}/{path}");
    first_frame(&url, &app.folder().join("seen.png"), &[]).await.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_mediamtx_serves_the_paths_of_all_nodes() {
    let Some(nats) = NatsServer::start().await else { return };
    let ports = [MediaMtx::ports(), MediaMtx::ports()];
    let a = node(&nats, "a", &ports[0]);
    let mut b = node(&nats, "b", &ports[1]);
    b.password = a.password.clone();
    let text = mtx_sidecar::settings::MEDIAMTX_YML;
    let Some(at_a) = MediaMtx::start_with(&a, text, &ports[0]).await else { return };
    let Some(at_b) = MediaMtx::start_with(&b, text, &ports[1]).await else { return };
    for (node, mediamtx) in [(&a, &at_a), (&b, &at_b)] {
        eventually("the nodes see each other", async || {
            node.cluster.as_ref().is_some_and(|cluster| cluster.nodes().alive().borrow().len() == 2)
        })
        .await;
        eventually("MediaMTX has the path for those of other nodes", async || {
            mediamtx.has_conf(node, "~^fleet/(.+)$").await
        })
        .await;
    }
    // Only MediaMTX A has the path.
    let put =
        a.admin("PUT", "/api/v1/paths/yard", &json!({"kind": "raw", "fields": {}, "nodes": ["a"]}).to_string()).await;
    assert!(matches!(put.status, 200 | 201), "{put:?}");
    eventually("MediaMTX A has it", async || at_a.has_path(&a, "yard").await).await;
    let to = format!("rtsp://pub:secret@127.0.0.1:{}/yard", at_a.rtsp);
    let publisher = Program::start(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-re",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=320x240:rate=10",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "10",
            "-pix_fmt",
            "yuv420p",
            "-f",
            "rtsp",
            "-rtsp_transport",
            "tcp",
            &to,
        ],
    );
    eventually("it is published", async || at_a.is_available(&a, "yard").await).await;

    // The reader needs the permission for the path itself.
    assert!(reads(&b, at_b.rtsp, "ann", "fleet/yard").await, "through the other MediaMTX");
    assert!(reads(&a, at_a.rtsp, "ann", "fleet/yard").await, "through its own");
    assert!(!reads(&b, at_b.rtsp, "eve", "fleet/yard").await);
    assert!(!reads(&b, at_b.rtsp, "ann", "fleet/fleet/yard").await);
    assert!(!reads(&b, at_b.rtsp, "ann", "fleet/nothing").await);
    // MediaMTX A asked about no reader but those with a permission or a ticket.
    assert!(!reads(&a, at_a.rtsp, "eve", "yard").await);
    // A program that asks this server as MediaMTX does is not told where a path is.
    assert!(!reads(&b, b.rtsp.port(), "_fleet", "fleet/yard").await);
    eventually("nothing is pulled without readers", async || at_a.readers(&a, "yard").await == 0).await;
    drop(publisher);
}
