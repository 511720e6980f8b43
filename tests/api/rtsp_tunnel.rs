//! Cameras that are read by RTSP in HTTP: a GET for what the camera sends, a POST for the requests.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    rtsp_camera::keyframe,
    support::{TestApp, eventually, flat_picture, mediamtx::MediaMtx, rtsp_peer::RtspPeer},
};

const COLOUR: [u8; 3] = [200, 60, 30];

async fn head_of(socket: &mut TcpStream) -> (String, Vec<u8>) {
    let mut data = vec![];
    loop {
        if let Some(end) = data.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = data.split_off(end + 4);
            return (String::from_utf8_lossy(&data).into_owned(), rest);
        }
        assert!(socket.read_buf(&mut data).await.expect("reads") > 0, "ended in a head");
    }
}

/// A camera that shows [`COLOUR`].
async fn camera() -> RtspPeer {
    let (format, packets) = keyframe(COLOUR);
    let sdp =
        format!("v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 {format}\r\na=control:track1\r\n");
    RtspPeer::start(sdp, packets, |_, usual| Some(usual)).await
}

fn cookie(head: &str) -> String {
    let line = head.lines().find_map(|line| line.strip_prefix("x-sessioncookie: "));
    line.unwrap_or_else(|| panic!("no cookie in {head}")).to_owned()
}

/// Serves one tunnel in front of an RTSP camera: refuses a GET without a password, and takes the requests of the POST apart, each of
/// which is in Base64 for itself.
async fn serve(listener: TcpListener, camera: std::net::SocketAddr, said: mpsc::UnboundedSender<String>) {
    let (mut refused, _) = listener.accept().await.expect("accepts");
    let (head, _) = head_of(&mut refused).await;
    said.send(head).expect("the test listens");
    let challenge = "HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"\r\nContent-Length: 0\r\n\r\n";
    refused.write_all(challenge.as_bytes()).await.expect("writes");
    let (mut get, _) = listener.accept().await.expect("accepts");
    let (get_head, _) = head_of(&mut get).await;
    // The length is of no body that ends.
    let answer = "HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\nContent-Length: 86400000\r\n\r\n";
    get.write_all(answer.as_bytes()).await.expect("writes");
    let (mut post, _) = listener.accept().await.expect("accepts");
    let (post_head, mut encoded) = head_of(&mut post).await;
    assert_eq!(cookie(&get_head), cookie(&post_head));
    said.send(get_head).expect("the test listens");
    said.send(post_head).expect("the test listens");
    let mut camera = TcpStream::connect(camera).await.expect("connects");
    let mut buffer = [0; 4096];
    loop {
        let whole = encoded.len() / 4 * 4;
        for four in encoded.drain(..whole).collect::<Vec<_>>().chunks(4) {
            camera.write_all(&STANDARD.decode(four).expect("Base64")).await.expect("writes");
        }
        tokio::select! {
            read = post.read_buf(&mut encoded) => if read.unwrap_or(0) == 0 { return },
            read = camera.read(&mut buffer) => match read.unwrap_or(0) {
                0 => return,
                n => if get.write_all(&buffer[..n]).await.is_err() { return },
            },
        }
    }
}

#[tokio::test]
async fn requests_go_in_base64_through_a_post_and_the_picture_comes_through_a_get() {
    let camera = camera().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound");
    let (sender, mut said) = mpsc::unbounded_channel();
    let tunnel = tokio::spawn(serve(listener, camera.addr, sender));
    let app = TestApp::with(&format!(
        "rtsp_cameras: {{reader: native, ffmpeg: ''}}\n\
         streams: {{cam: {{kind: rtsp, url: 'rtsp://{addr}/live?ch=1', user: viewer, pass: right, transport: http}}}}"
    ));
    let answer = app.get("/snapshot/cam.jpg").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let heads = [said.recv().await, said.recv().await, said.recv().await].map(|head| head.expect("three heads"));
    let [first, get, post] = &heads;
    assert!(first.starts_with("GET /live?ch=1 HTTP/1.0\r\n") && !first.contains("Authorization"), "{first}");
    let login = format!("Authorization: Basic {}\r\n", STANDARD.encode("viewer:right"));
    for (head, media_type) in [(get, "Accept"), (post, "Content-Type")] {
        assert!(head.contains(&login), "{head}");
        assert!(head.contains(&format!("{media_type}: application/x-rtsp-tunnelled\r\n")), "{head}");
    }
    eventually("the session is torn down through the tunnel", async || {
        camera.methods().last().is_some_and(|method| method == "TEARDOWN")
    })
    .await;
    assert_eq!(camera.methods()[..3], ["DESCRIBE", "SETUP", "PLAY"]);
    tunnel.abort();
}

/// MediaMTX does so if the POST comes before it knows the GET that it has answered.
#[tokio::test]
async fn a_post_that_is_closed_without_an_answer_by_rtsp_is_tried_again_at_once() {
    let camera = camera().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound");
    let (sender, mut said) = mpsc::unbounded_channel();
    let tunnel = tokio::spawn(async move {
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n";
        let (mut get, _) = listener.accept().await.expect("accepts");
        head_of(&mut get).await;
        get.write_all(answer).await.expect("writes");
        let (mut post, _) = listener.accept().await.expect("accepts");
        head_of(&mut post).await;
        post.write_all(answer).await.expect("writes");
        drop(post);
        // The GET stays open: only the POST tells that there will be no answer.
        serve(listener, camera.addr, sender).await;
        drop(get);
    });
    let app = TestApp::with(&format!(
        "rtsp_cameras: {{reader: native, ffmpeg: ''}}\n\
         streams: {{cam: {{kind: rtsp, url: 'rtsp://{addr}/live', user: viewer, pass: right, transport: http}}}}"
    ));
    let answer = app.get("/snapshot/cam.jpg").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(said.recv().await.is_some(), "by the second tunnel");
    tunnel.abort();
}

#[tokio::test]
async fn a_server_without_the_tunnel_is_refused_in_words() {
    let camera = RtspPeer::start("", "", |_, _| Some(b"HTTP/1.0 404 Not Found\r\n\r\n".to_vec())).await;
    let app = TestApp::with(&format!(
        "rtsp_cameras: {{reader: native, ffmpeg: ''}}\n\
         streams: {{cam: {{kind: rtsp, url: 'rtsp://{}/live', transport: http}}}}",
        camera.addr
    ));
    let answer = app.admin("GET", "/snapshot/cam.jpg", "").await;
    assert!(answer.detail().contains("has no stream at this path"), "{answer:?}");
}

/// MediaMTX serves RTSP in HTTP at its RTSP port.
#[tokio::test]
async fn mediamtx_is_read_through_a_tunnel() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!("mediamtx: {{api: 'http://127.0.0.1:{}'}}", ports[4]));
    let Some(_mediamtx) = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await else { return };
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, COLOUR)).await;
    let url = format!("rtsp://127.0.0.1:{}/pictures/door", ports[0]);
    let definition = json!({"kind": "rtsp", "url": url, "transport": "http"}).to_string();
    let reader = TestApp::with(
        "rtsp_cameras: {reader: native, ffmpeg: ''}\nstream_defaults: {start_timeout: 8s}\noutput: {snapshot_timeout: 8s}",
    );
    assert_eq!(reader.admin("PUT", "/api/v1/streams/tunnelled", &definition).await.status, 201);
    let answer = reader.get("/snapshot/tunnelled.jpg").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
