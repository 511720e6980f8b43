//! Cameras that refuse, redirect, renew their nonces, or have video that is not read here: what is shown, or the reason in words.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::net::UdpSocket;

use crate::{
    rtsp_camera::{figure, keyframe},
    support::{
        Program, TestApp, basic, close_to, eventually, flat_picture, middle_colour,
        rtsp_peer::RtspPeer,
        tls::{Authority, Certificate, tls_in_front_of},
    },
};

const COLOUR: [u8; 3] = [200, 60, 30];

fn described() -> (String, Vec<u8>) {
    let (format, packets) = keyframe(COLOUR);
    let sdp =
        format!("v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 {format}\r\na=control:track1\r\n");
    (sdp, packets)
}

fn refusal(status: &str, headers: &str) -> Vec<u8> {
    format!("RTSP/1.0 {status}\r\n{headers}\r\n").into_bytes()
}

fn app_with(peer: &RtspPeer, more: &str) -> TestApp {
    TestApp::with(&format!(
        "rtsp_cameras: {{reader: native}}\nstreams: {{cam: {{kind: rtsp, url: 'rtsp://{}/live'{more}}}}}",
        peer.addr
    ))
}

/// The nonce of a request's answer to a challenge.
fn nonce(header: Option<&str>) -> Option<&str> {
    header?.split("nonce=\"").nth(1)?.split('"').next()
}

#[tokio::test]
async fn a_new_nonce_is_answered_again_with_and_without_stale() {
    for stale in ["", ", stale=true"] {
        let (sdp, packets) = described();
        let number = Arc::new(AtomicUsize::new(0));
        let peer = RtspPeer::start(sdp, packets, move |request, usual| {
            let expected = format!("n{}", number.load(Ordering::SeqCst));
            let given = nonce(request.header("Authorization"));
            if given == Some(expected.as_str()) {
                // The next request needs a new one.
                number.fetch_add(1, Ordering::SeqCst);
                return Some(usual);
            }
            let stale = if given.is_some() { stale } else { "" };
            let challenge = format!("WWW-Authenticate: Digest realm=\"cam\", nonce=\"{expected}\"{stale}\r\n");
            Some(refusal("401 Unauthorized", &challenge))
        })
        .await;
        let answer = app_with(&peer, ", user: viewer, pass: right").get("/snapshot/cam.jpg").await;
        assert_eq!(answer.status, 200, "{stale}: {answer:?} {:?}", peer.methods());
    }
}

#[tokio::test]
async fn a_password_is_called_wrong_only_after_the_answer_to_a_fresh_nonce_was_refused() {
    let (sdp, packets) = described();
    for (challenge, more, says, requests) in [
        ("Digest realm=\"c\", nonce=\"n\"", ", user: viewer, pass: wrong", "refuses the user name and password", 2),
        ("Basic realm=\"c\"", ", user: viewer, pass: wrong", "refuses the user name and password", 2),
        (
            "Digest realm=\"c\", nonce=\"n\", stale=true",
            ", user: viewer, pass: wrong",
            "refuses the user name and password",
            4,
        ),
        ("Digest realm=\"c\", nonce=\"n\"", "", "requires a user name and password", 1),
        ("Bearer realm=\"c\"", ", user: viewer, pass: right", "a kind of password that is not supported: Bearer", 1),
    ] {
        let header = format!("WWW-Authenticate: {challenge}\r\n");
        let peer =
            RtspPeer::start(sdp.clone(), packets.clone(), move |_, _| Some(refusal("401 Unauthorized", &header))).await;
        let answer = app_with(&peer, more).admin("GET", "/snapshot/cam.jpg?max_age=0", "").await;
        assert!(answer.detail().contains(says), "{challenge}: {answer:?}");
        assert!(
            peer.methods().len() >= requests && peer.methods().len().is_multiple_of(requests),
            "{:?}",
            peer.methods()
        );
    }
}

#[tokio::test]
async fn a_server_that_closes_after_its_challenge_is_connected_again() {
    let (sdp, packets) = described();
    let connections = Arc::new(AtomicUsize::new(0));
    let peer = RtspPeer::start(sdp, packets, move |request, usual| match request.header("Authorization") {
        Some(_) if connections.fetch_add(1, Ordering::SeqCst) == 0 => None,
        Some(_) => Some(usual),
        None => Some(refusal("401 Unauthorized", "WWW-Authenticate: Basic realm=\"c\"\r\n")),
    })
    .await;
    let answer = app_with(&peer, ", user: viewer, pass: right").get("/snapshot/cam.jpg").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only() {
    let (sdp, packets) = described();
    let there = RtspPeer::start(sdp, packets, |_, usual| Some(usual)).await;
    for (location, says) in [
        (format!("rtsp://{}/other", there.addr), None),
        ("rtsp://127.0.0.2:1/x".to_owned(), Some("redirects to 127.0.0.2, which is not in fetch.redirect_networks")),
        ("/live".to_owned(), Some("redirects more than 5 times")),
    ] {
        let header = format!("Location: {location}\r\n");
        let peer = RtspPeer::start("", "", move |_, _| Some(refusal("302 Moved Temporarily", &header))).await;
        let answer = app_with(&peer, "").admin("GET", "/snapshot/cam.jpg", "").await;
        match says {
            None => assert_eq!(answer.status, 200, "{location}: {answer:?}"),
            Some(says) => assert!(answer.detail().contains(says), "{location}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_reason_says_what_the_camera_has_sent() {
    let (sdp, packets) = described();
    for (bytes, says) in [
        (&b"RTSP/1.0 500 Kaputt\r\n\r\n"[..], "refuses DESCRIBE: 500 Kaputt; MediaMTX may be able to read it"),
        (b"RTSP/1.0 404 Not Found\r\n\r\n", "has no stream at this path"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 20\r\n\r\nm=audio 0 RTP/AVP 0\n", "offers no video"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n", "sends a body of more than 1 MB, in line 3"),
    ] {
        let peer = RtspPeer::start(sdp.clone(), packets.clone(), move |_, _| Some(bytes.to_vec())).await;
        let answer = app_with(&peer, "").admin("GET", "/snapshot/cam.jpg", "").await;
        assert!(answer.detail().contains(says), "{}: {answer:?}", String::from_utf8_lossy(bytes));
        assert!(!answer.detail().contains("status 200"), "{answer:?}");
    }
}

#[tokio::test]
async fn udp_is_used_when_the_camera_refuses_tcp() {
    let (sdp, packets) = described();
    let (sender, mut ports) = tokio::sync::mpsc::unbounded_channel();
    let peer = RtspPeer::start(sdp, "", move |request, usual| {
        let Some(transport) = request.header("Transport") else { return Some(usual) };
        if transport.contains("TCP") {
            return Some(refusal("461 Unsupported Transport", ""));
        }
        let port = transport.split("client_port=").nth(1)?.split('-').next()?.parse::<u16>().ok()?;
        sender.send(port).ok();
        Some(refusal("200 OK", &format!("Session: 1\r\nTransport: {transport};server_port=9-10\r\n")))
    })
    .await;
    let app = app_with(&peer, "");
    let send = async {
        let port = ports.recv().await.expect("SETUP");
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        eventually("PLAY has come", async || peer.methods().iter().any(|method| method == "PLAY")).await;
        // The frames of the connection's form, without their headers of four bytes, in pairs that have changed places.
        let mut datagrams = vec![];
        let mut rest = &packets[..];
        while let [_, _, high, low, behind @ ..] = rest {
            let (datagram, after) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            datagrams.push(datagram);
            rest = after;
        }
        datagrams[1..].chunks_mut(2).for_each(<[_]>::reverse);
        for datagram in datagrams {
            socket.send_to(datagram, ("127.0.0.1", port)).await.expect("sends");
        }
    };
    let (answer, ()) = tokio::join!(app.get("/snapshot/cam.jpg"), send);
    assert_eq!(answer.status, 200, "{answer:?}");
    let only_tcp = app_with(&peer, ", transport: tcp").admin("GET", "/snapshot/cam.jpg", "").await;
    assert!(only_tcp.detail().contains("does not support this transport"), "{only_tcp:?}");
}

#[tokio::test]
async fn an_rtsps_camera_is_recognised_by_the_fingerprint_that_its_refusal_shows() {
    let (sdp, packets) = described();
    let peer = RtspPeer::start(sdp, packets, |_, usual| Some(usual)).await;
    let authority = Authority::new().await;
    let Certificate { certificate, key } = authority.sign("camera.lan").await;
    let addr = tls_in_front_of(peer.addr, &certificate, &key).await;
    let app_of =
        |more: &str| TestApp::with(&format!("streams: {{cam: {{kind: rtsp, url: 'rtsps://{addr}/live'{more}}}}}"));
    let refused = app_of("").admin("GET", "/snapshot/cam.jpg", "").await.detail();
    assert!(refused.contains("its certificate is not trusted"), "{refused}");
    let shown = refused.split("set its fingerprint ").nth(1).and_then(|rest| rest.get(..95)).expect("a fingerprint");
    let answer = app_of(&format!(", fingerprint: '{shown}'")).get("/snapshot/cam.jpg").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let wrong = app_of(&format!(", fingerprint: '{}'", "00".repeat(32))).admin("GET", "/snapshot/cam.jpg", "").await;
    assert!(wrong.detail().contains("does not have the configured fingerprint"), "{wrong:?}");
}

/// MediaMTX answers a wrong password with 401 and no other challenge.
#[tokio::test]
async fn a_refusal_without_another_challenge_is_a_wrong_password() {
    let peer = RtspPeer::start("", "", |request, _| {
        let challenge = match request.header("Authorization") {
            Some(_) => "",
            None => "WWW-Authenticate: Basic realm=\"c\"\r\n",
        };
        Some(refusal("401 Unauthorized", challenge))
    })
    .await;
    let answer = app_with(&peer, ", user: viewer, pass: wrong").admin("GET", "/snapshot/cam.jpg", "").await;
    assert!(answer.detail().contains("refuses the user name and password"), "{answer:?}");
}

/// ffmpeg, which writes its arguments down first.
#[cfg(unix)]
fn noting_ffmpeg(folder: &std::path::Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let script = folder.join("ffmpeg");
    let text = format!("#!/bin/sh\necho \"$@\" >> '{}/arguments'\nexec ffmpeg \"$@\"\n", folder.display());
    std::fs::write(&script, text).expect("writes");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("its own file");
    script
}

#[tokio::test]
async fn ffmpeg_reads_a_camera_and_its_arguments_have_no_password() {
    let source = TestApp::with(
        "auth: {users: [{user: viewer, pass: 'right one', permissions: [{action: read}]}, \
         {user: any, ips: ['127.0.0.1'], permissions: [{action: publish}]}]}",
    );
    source.put("/api/v1/streams/door/frame", &flat_picture(320, 180, COLOUR)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let ffmpeg = noting_ffmpeg(folder.path());
    let app = TestApp::with(&format!(
        "rtsp_cameras: {{reader: ffmpeg, ffmpeg: '{}'}}\noutput: {{snapshot_timeout: 30s}}\n\
         stream_defaults: {{start_timeout: 30s}}\n\
         streams: {{cam: {{kind: rtsp, url: 'rtsp://{}/door', user: viewer, pass: 'right one'}}}}",
        ffmpeg.display(),
        source.rtsp
    ));
    let mut watcher = app.watch("/stream/cam.mjpeg").await;
    let file = app.folder().join("seen.jpg");
    eventually("the camera's picture follows the placeholder", async || {
        std::fs::write(&file, &watcher.part().await.data).expect("writes");
        close_to(middle_colour(&file).await, COLOUR)
    })
    .await;
    let arguments = std::fs::read_to_string(folder.path().join("arguments")).expect("noted");
    assert!(
        arguments.contains("pipe:0") && !arguments.contains("right") && !arguments.contains("rtsp://"),
        "{arguments}"
    );
    drop(watcher);
    eventually("ffmpeg ends with its last watcher", async || {
        source.stats_as("door", &basic("viewer", "right one")).await["watchers"] == 0
    })
    .await;
}

/// Packets of a byte stream of H.264 from ffmpeg, from this picture on: one RTP time for each picture.
fn packets_from(stream: &[u8], first_picture: usize) -> Vec<u8> {
    let (mut out, mut picture, mut sequence) = (vec![], 0_u32, 0_u16);
    for nal in mtx_sidecar::h264::nal::split(stream) {
        let is_slice = matches!(nal[0] & 31, 1 | 5);
        if picture as usize >= first_picture {
            for (i, piece) in nal.chunks(1400).enumerate() {
                let (head, piece) = match (nal.len() > 1400, i) {
                    (false, _) => (vec![], piece),
                    (true, 0) => (vec![nal[0] & 0xE0 | 28, 0x80 | nal[0] & 31], &piece[1..]),
                    (true, _) => (vec![nal[0] & 0xE0 | 28, nal[0] & 31], piece),
                };
                let length = (12 + head.len() + piece.len()) as u16;
                out.extend_from_slice(&[b'$', 0]);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&[0x80, 96]);
                out.extend_from_slice(&sequence.to_be_bytes());
                out.extend_from_slice(&(picture * 9000).to_be_bytes());
                out.extend_from_slice(&[0, 0, 0, 1]);
                out.extend_from_slice(&head);
                out.extend_from_slice(piece);
                sequence += 1;
            }
        }
        picture += u32::from(is_slice);
    }
    out
}

/// Open groups of pictures and intra refresh, joined behind their only IDR picture: ffmpeg begins at a recovery point. Without ffmpeg
/// the reason says what is missing.
#[tokio::test]
async fn video_without_idr_pictures_is_shown_by_ffmpeg() {
    for options in ["open-gop=1:keyint=5:min-keyint=5:scenecut=0:bframes=2", "intra-refresh=1:keyint=5:bframes=0"] {
        let options = format!("{options}:repeat-headers=1:slices=1");
        let stream = Program::output(
            "ffmpeg",
            &[
                "-loglevel",
                "error",
                "-f",
                "lavfi",
                "-i",
                "color=0xC83C1E:size=160x96:rate=10",
                "-frames:v",
                "60",
                "-c:v",
                "libx264",
                "-pix_fmt",
                "yuv420p",
                "-x264-params",
                &options,
                "-f",
                "h264",
                "pipe:1",
            ],
        )
        .await;
        let sdp = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
        let peer = RtspPeer::start(sdp, packets_from(&stream, 1), |_, usual| Some(usual)).await;
        let app = app_with(&peer, "");
        let answer = app.get("/snapshot/cam.jpg").await;
        assert_eq!(answer.status, 200, "{options}: {answer:?}");
        let file = app.folder().join("seen.jpg");
        std::fs::write(&file, &answer.body).expect("writes");
        let seen = middle_colour(&file).await;
        assert!(close_to(seen, COLOUR), "{options}: {seen:?}");
        assert!(figure(&app, "camera_ffmpegs").await >= 1.0, "{options}");
        let without = TestApp::with(&format!(
            "rtsp_cameras: {{ffmpeg: ''}}\nstreams: {{cam: {{kind: rtsp, url: 'rtsp://{}/live'}}}}",
            peer.addr
        ));
        let _watcher = without.watch("/stream/cam.mjpeg").await;
        eventually("the reason names the IDR picture", async || {
            without.stats("cam").await["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("its H.264 has no IDR picture"))
        })
        .await;
    }
}
