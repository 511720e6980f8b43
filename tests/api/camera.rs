//! UDP cameras: the fake camera of the command line as a peer, and hostile datagrams.

use std::net::SocketAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use mtx_sidecar::cli::fake_camera::{Behaviour, FakeCamera};
use tokio::net::UdpSocket;

use crate::support::{PATIENCE, TestApp, eventually, picture, sized_picture};

async fn camera(ip: [u8; 4], behaviour: Behaviour) -> SocketAddr {
    let camera = FakeCamera::bind(&behaviour, (ip, 0).into()).await.expect("binds");
    let addr = camera.addr();
    tokio::spawn(camera.run());
    addr
}

fn shows(n: u32) -> Behaviour {
    Behaviour { pictures: vec![sized_picture(320, 240, n)], ..Behaviour::default() }
}

#[tokio::test]
async fn cameras_that_send_base64_or_bytes_are_polled_while_watched() {
    let text = camera([127, 0, 0, 2], shows(1)).await;
    let raw = camera([127, 0, 0, 3], Behaviour { raw: true, ..shows(2) }).await;
    let app = TestApp::with(&format!(
        "streams: {{a: {{kind: udp-camera, address: '{text}'}}, b: {{kind: udp-camera, address: '{raw}'}}}}"
    ));
    assert_eq!(app.stats("a").await["frames"], 0, "without a watcher no camera is polled");
    let (mut a, mut b) = (app.watch("/stream/a.mjpeg").await, app.watch("/stream/b.mjpeg").await);
    for _ in 0..3 {
        a.until(&sized_picture(320, 240, 1)).await;
        b.until(&sized_picture(320, 240, 2)).await;
    }
    eventually("the stream has several pictures", async || app.stats("a").await["frames"].as_u64() > Some(2)).await;
    drop((a, b));
    eventually("the stream is idle", async || app.stats("a").await["state"] == "idle").await;
}

#[tokio::test]
async fn the_recipe_finds_a_camera_by_its_address() {
    let addr = camera([127, 0, 0, 4], shows(1)).await;
    let app = TestApp::with(&format!("udp: {{camera_port: {}}}", addr.port()));
    let mut reader = app.watch("/mjpeg-get?type=udp&name=127.0.0.4&interval=1000").await;
    reader.until(&sized_picture(320, 240, 1)).await;
    let stats = app.stats("127.0.0.4").await;
    assert_eq!((&stats["kind"], &stats["origin"]), (&"udp-camera".into(), &"pull".into()));
    let upload = app.put("/mjpeg-upload?name=127.0.0.4", &picture(1)).await;
    assert_eq!(upload.status, 409);
}

/// A camera whose test sees each request and sends any datagram.
struct Puppet {
    socket: UdpSocket,
}

impl Puppet {
    async fn bind(ip: [u8; 4]) -> Self {
        Puppet { socket: UdpSocket::bind(SocketAddr::from((ip, 0))).await.expect("binds") }
    }

    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// Waits for a request, and returns the address to which it wants the picture.
    async fn asked(&self) -> SocketAddr {
        let mut buffer = [0; 512];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
        let (n, _) = received.expect("a request").expect("received");
        let request: serde_json::Value = serde_json::from_slice(&buffer[..n]).expect("JSON");
        let ip = request["ipaddress"].as_str().expect("an address").parse().expect("an address");
        SocketAddr::new(ip, request["port"].as_u64().expect("a port") as u16)
    }

    async fn send(&self, to: SocketAddr, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            self.socket.send_to(datagram, to).await.expect("sends");
        }
    }
}

fn datagrams(jpeg: &[u8]) -> Vec<Vec<u8>> {
    let text = STANDARD.encode(jpeg);
    text.as_bytes().chunks(512).map(<[u8]>::to_vec).chain([b"\n".to_vec()]).collect()
}

#[tokio::test]
async fn damaged_pictures_are_counted_and_the_last_good_picture_stays() {
    let puppet = Puppet::bind([127, 0, 0, 5]).await;
    let app = TestApp::with(&format!(
        "limits: {{frame_size: 64K}}\nstreams: {{cam: {{kind: udp-camera, address: '{}'}}}}",
        puppet.addr()
    ));
    let good = sized_picture(320, 240, 1);
    let mut reader = app.watch("/stream/cam.mjpeg").await;
    let to = puppet.asked().await;
    puppet.send(to, &datagrams(&good)).await;
    reader.until(&good).await;

    let mut lossy = datagrams(&sized_picture(320, 240, 2));
    lossy.remove(3);
    let mut doubled = datagrams(&sized_picture(320, 240, 3));
    doubled.insert(3, doubled[3].clone());
    for bad in [
        lossy,
        doubled,
        vec![b"garbage!".to_vec()],
        vec![vec![0xFF; 1200]],
        vec![b"aGVsbG8=\n".to_vec()],
        std::iter::once(b"/9j/".to_vec()).chain((0..400).map(|_| vec![b'A'; 512])).chain([b"\n".to_vec()]).collect(),
    ] {
        puppet.send(to, &bad).await;
        // Lets the receiver empty its socket.
        tokio::task::yield_now().await;
    }
    eventually("all are counted", async || {
        let damaged = app.stats("cam").await["damaged"].clone();
        let count = |word: &str| damaged[word].as_u64().unwrap_or(0);
        count("damaged") >= 3 && count("foreign") >= 2 && count("too large") >= 1
    })
    .await;
    assert_eq!(app.get("/snapshot/cam.jpg").await.body, good, "the last good picture");
    let next = sized_picture(320, 240, 4);
    puppet.send(to, &datagrams(&next)).await;
    reader.until(&next).await;
}

#[tokio::test]
async fn datagrams_of_other_addresses_do_not_change_a_stream() {
    let puppet = Puppet::bind([127, 0, 0, 6]).await;
    let stranger = Puppet::bind([127, 0, 0, 7]).await;
    let app = TestApp::with(&format!("streams: {{cam: {{kind: udp-camera, address: '{}'}}}}", puppet.addr()));
    let mut reader = app.watch("/stream/cam.mjpeg").await;
    let to = puppet.asked().await;
    let (ours, theirs) = (datagrams(&sized_picture(320, 240, 1)), datagrams(&sized_picture(320, 240, 2)));
    for (a, b) in ours.iter().zip(&theirs) {
        puppet.send(to, std::slice::from_ref(a)).await;
        stranger.send(to, std::slice::from_ref(b)).await;
    }
    puppet.send(to, &[b"\n".to_vec()]).await;
    reader.until(&sized_picture(320, 240, 1)).await;
    assert_eq!(app.stats("cam").await["frames"], 1);
    assert_eq!(app.registry.len(), 1, "datagrams of other addresses create no stream");
}

#[tokio::test]
async fn a_silent_camera_is_polled_again_and_its_state_says_why() {
    let puppet = Puppet::bind([127, 0, 0, 8]).await;
    let app = TestApp::with(&format!(
        "stream_defaults: {{start_timeout: 20s}}\nstreams: {{cam: {{kind: udp-camera, address: '{}'}}}}",
        puppet.addr()
    ));
    let _reader = app.watch("/stream/cam.mjpeg").await;
    for _ in 0..4 {
        puppet.asked().await;
    }
    eventually("the reason names the silence", async || {
        app.stats("cam").await["reason"].as_str().is_some_and(|r| r.contains("does not answer"))
    })
    .await;
}

#[tokio::test]
async fn a_port_in_use_is_a_failure_with_its_reason() {
    let taken = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
    let addr = taken.local_addr().expect("bound");
    let app = TestApp::with(&format!(
        "udp: {{listen: '{addr}'}}\nstreams: {{cam: {{kind: udp-camera, address: 127.0.0.9}}}}"
    ));
    let response = app.admin("GET", "/snapshot/cam.jpg", "").await;
    assert_eq!((response.status, response.problem().as_str()), (504, "no_picture"));
    assert!(response.detail().contains("udp.listen"), "{}", response.detail());
}
