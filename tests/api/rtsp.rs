//! The RTSP server: sessions request by request, and hostile clients.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{
    PATIENCE, TestApp, basic, eventually, flat_picture, large_picture, rtsp_client::Client, sized_picture,
};

#[tokio::test]
async fn a_session_from_beginning_to_end() {
    let app = TestApp::spawn();
    app.put("/mjpeg-upload?name=front/door", &sized_picture(322, 240, 1)).await;
    let mut client = Client::connect(&app, "front/door").await;
    let options = client.ask("OPTIONS", "", &[]).await;
    assert!(options.header("Public").is_some_and(|p| p.contains("GET_PARAMETER")), "{options:?}");

    let description = client.ask("DESCRIBE", "", &["Accept: application/sdp"]).await;
    assert_eq!(description.status, 200, "{description:?}");
    assert_eq!(description.header("Content-Type"), Some("application/sdp"));
    assert_eq!(description.header("Content-Base"), Some(&*format!("rtsp://{}/front/door/", app.rtsp)));
    assert!(description.body.contains("a=rtpmap:96 H264/90000") && description.body.contains("sprop-parameter-sets="));
    assert_eq!(app.stats("front/door").await["watchers"], 1, "DESCRIBE has started the encoding");

    let setup = client.ask("SETUP", "/trackID=0", &["Transport: RTP/AVP/TCP;unicast;interleaved=4-5"]).await;
    assert!(setup.header("Transport").is_some_and(|t| t.starts_with("RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=")));
    let session = setup.header("Session").expect("a session").to_owned();
    let (id, timeout) = session.split_once(';').expect("a timeout");
    assert_eq!(timeout, "timeout=12");
    let ssrc = setup.header("Transport").and_then(|t| t.split_once(";ssrc=")).expect("a source").1;
    let ssrc = u32::from_str_radix(ssrc, 16).expect("hexadecimal (RFC 2326, section 12.39)");
    let before = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let play = client.ask("PLAY", "/", &[&format!("Session: {id}"), "Range: npt=0-"]).await;
    let info = play.header("RTP-Info").expect("where it begins").to_owned();

    // The first picture: parameter sets, the slice in fragments, the marker at its end; then a sender report about it.
    let first = client.frame().await;
    assert_eq!((first.channel, first.data[12] & 0x1F), (4, 7));
    assert!(info.ends_with(&format!("rtptime={}", first.time())), "{info}");
    assert!(info.contains(&format!("seq={}", u16::from_be_bytes([first.data[2], first.data[3]]))), "{info}");
    let mut packets = vec![first.data.len(), client.frame().await.data.len()];
    loop {
        let packet = client.frame().await;
        assert_eq!((packet.channel, packet.time(), packet.ssrc()), (4, first.time(), ssrc));
        packets.push(packet.data.len());
        if packet.marker() {
            break;
        }
    }
    let frame = client.frame().await;
    let after = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    assert_eq!(frame.channel, 5);
    let report = frame.sender_report();
    assert_eq!((report.ssrc, report.time), (ssrc, first.time()), "of this stream, at the time of this picture");
    assert!((before..=after).contains(&report.since_1970), "{before:?}, {report:?}, {after:?}");
    let octets: usize = packets.iter().map(|length| length - 12).sum();
    assert_eq!((report.packets as usize, report.octets as usize), (packets.len(), octets));

    // The picture is repeated, with parameter sets each time, and its time increases. By how much is tested on a paused
    // clock, in src/output/h264/tests.rs.
    let mut last = first.time();
    for _ in 0..5 {
        let frame = loop {
            let frame = client.frame().await;
            if frame.channel == 4 && frame.data[12] & 0x1F == 7 {
                break frame;
            }
        };
        let step = frame.time().wrapping_sub(last).cast_signed();
        assert!(step > 0, "{step} ticks");
        last = frame.time();
    }
    let session = format!("Session: {id}");
    assert_eq!(client.ask("GET_PARAMETER", "/", &[&session]).await.status, 200);
    assert_eq!(app.stats("front/door").await["video"][0]["readers"], 1);
    assert_eq!(client.ask("PAUSE", "/", &[&session]).await.status, 200);
    assert_eq!(client.ask("PLAY", "/", &[&session]).await.status, 200);
    client.picture_on(4).await;
    assert_eq!(client.ask("TEARDOWN", "/", &[&session]).await.status, 200);
    eventually("the stream has no watcher", async || app.stats("front/door").await["watchers"] == 0).await;
    // The connection can be used for another session.
    assert_eq!(client.ask("DESCRIBE", "", &[]).await.status, 200);
}

#[tokio::test]
async fn wrong_requests_are_answered_with_a_reason_and_the_session_continues() {
    let app = TestApp::spawn();
    app.put("/mjpeg-upload?name=door", &sized_picture(64, 48, 1)).await;
    let tcp = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
    let mut client = Client::connect(&app, "door").await;
    for (method, track, headers, status) in [
        ("PLAY", "/", &[][..], 455),
        ("PAUSE", "/", &[], 455),
        ("SETUP", "/trackID=0", &["Transport: RTP/AVP;unicast;client_port=5000-5001"], 461),
        ("SETUP", "/trackID=0", &["Transport: RTP/AVP/TCP;unicast;interleaved=255-256"], 461),
        ("SETUP", "/trackID=0", &[], 461),
        ("SETUP", "/trackID=1", &[tcp], 404),
        ("DESCRIBE", "", &["Accept: text/html"], 406),
        ("DESCRIBE", "", &["Require: implicit-play"], 551),
        ("DESCRIBE", "?fps=1000", &[], 400),
        ("DESCRIBE", "?w=641", &[], 400),
        ("DESCRIBE", "?type=tape", &[], 400),
        ("DESCRIBE", "?type=udp", &[], 409),
        ("DESCRIBE", "/../x", &[], 404),
        ("DESCRIBE", "-that-is-not-there", &[], 404),
        ("DESCRIBE", "%20", &[], 400),
        ("ANNOUNCE", "", &[], 405),
        ("RECORD", "", &[], 405),
        ("DANCE", "", &[], 501),
        ("OPTIONS", "", &["Session: other"], 454),
    ] {
        let answer = client.ask(method, track, headers).await;
        assert_eq!(answer.status, status, "{method} {track} {headers:?}: {answer:?}");
        assert!(answer.body.len() > 10, "{method} {track}: {answer:?} says why");
    }
    // SETUP can come first, and twice; DESCRIBE and SETUP are refused while the stream is set up or plays.
    assert_eq!(client.ask("SETUP", "/trackID=0", &[tcp]).await.status, 200);
    assert_eq!(
        client.ask("SETUP", "/trackID=0", &["Transport: RTP/AVP/TCP;unicast;interleaved=2-3"]).await.status,
        200
    );
    assert_eq!(client.ask("DESCRIBE", "", &[]).await.status, 455);
    assert_eq!(client.ask("PLAY", "/", &["Session: other"]).await.status, 454);
    assert_eq!(client.ask("PLAY", "/", &[]).await.status, 200);
    assert_eq!(client.ask("SETUP", "/trackID=0", &[tcp]).await.status, 455);
    assert_eq!(client.ask("PLAY", "/", &[]).await.status, 200);
    client.picture_on(2).await;
    // Without a valid CSeq the client cannot match an answer to its request.
    client.send("OPTIONS * RTSP/1.0\r\nCSeq: x\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400);
    client.send("OPTIONS * RTSP/2.0\r\nCSeq: 7\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 505);
    client.picture_on(2).await;
}

#[tokio::test]
async fn requests_can_arrive_together_or_in_pieces() {
    let app = TestApp::spawn();
    app.put("/mjpeg-upload?name=door", &sized_picture(64, 48, 1)).await;
    let mut client = Client::connect(&app, "door").await;
    let base = client.base.clone();
    let talk = format!(
        "OPTIONS {base} RTSP/1.0\r\nCSeq: 9\r\n\r\n$\x01\x00\x04abcdDESCRIBE {base} RTSP/1.0\r\nCSeq: 3\r\n\r\n\
         SETUP {base}/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n\
         PLAY {base}/ RTSP/1.0\r\nCSeq: 4294967295\r\n\r\n"
    );
    client.send(&talk).await;
    for cseq in ["9", "3", "3", "4294967295"] {
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("CSeq")), (200, Some(cseq)), "{answer:?}");
    }
    client.picture().await;
    let mut slow = Client::connect(&app, "door").await;
    for byte in talk.as_bytes() {
        slow.socket.write_all(&[*byte]).await.expect("writes");
    }
    for _ in 0..4 {
        assert_eq!(slow.answer().await.status, 200);
    }
    slow.picture().await;
}

#[tokio::test]
async fn other_protocols_get_an_error_and_the_connection_is_closed() {
    let app = TestApp::spawn();
    app.put("/mjpeg-upload?name=door", &sized_picture(64, 48, 1)).await;
    let long = format!("DESCRIBE rtsp://x/door RTSP/1.0\r\nX-Long: {}", "x".repeat(20_000));
    for (garbage, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        // A request that a web page can make a browser send.
        ("POST / HTTP/1.1\r\n\r\nDESCRIBE rtsp://x/door RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}", 400),
        ("DESCRIBE rtsp://x/door\r\n\r\n", 400),
        ("DESCRIBE rtsp://x/door RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 100000000\r\n\r\n", 413),
        (&long, 413),
    ] {
        let mut client = Client::connect(&app, "door").await;
        client.send(garbage).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{:?}", &garbage[..garbage.len().min(60)]);
        client.closed().await;
    }
    eventually("no request was admitted", async || app.stats("door").await["watchers"] == 0).await;
    // Random bytes.
    for seed in 0..40_u32 {
        let mut state = seed * 7919 + 1;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let noise: Vec<u8> = noise.take(3000).collect();
        let mut client = Client::connect(&app, "door").await;
        let _ = client.socket.write_all(&noise).await;
        let _ = client.socket.shutdown().await;
        client.closed().await;
    }
    let mut client = Client::connect(&app, "door").await;
    client.play().await;
    client.picture().await;
}

#[tokio::test]
async fn readers_need_permission() {
    let app = TestApp::with(
        "auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: publish}]}, {user: alice, pass: right, permissions: [{action: read, path: door}]}]}",
    );
    app.put("/mjpeg-upload?name=door", &sized_picture(64, 48, 1)).await;
    app.put("/mjpeg-upload?name=other", &sized_picture(64, 48, 1)).await;
    let (right, wrong) = (basic("alice", "right"), basic("alice", "wrong"));
    let mut client = Client::connect(&app, "door").await;
    let refused = client.ask("DESCRIBE", "", &[]).await;
    assert_eq!((refused.status, refused.header("WWW-Authenticate")), (401, Some("Basic realm=\"mtx-sidecar\"")));
    assert_eq!(client.ask("DESCRIBE", "", &[&wrong]).await.status, 401);
    assert_eq!(client.ask("SETUP", "/trackID=0", &["Transport: RTP/AVP/TCP;interleaved=0-1"]).await.status, 401);
    // A refused request starts no encoding.
    assert_eq!(app.stats_as("door", &right).await["watchers"], 0);
    assert_eq!(client.ask("DESCRIBE", "", &[&right]).await.status, 200);
    assert_eq!(client.ask("TEARDOWN", "", &[]).await.status, 200);
    let mut client = Client::connect(&app, "other").await;
    assert_eq!(client.ask("DESCRIBE", "", &[&right]).await.status, 403);
    // Without permission to read, the answer does not tell whether the stream exists.
    let mut client = Client::connect(&app, "nothing").await;
    assert_eq!(client.ask("DESCRIBE", "", &[&right]).await.status, 403);
    // The encoding that the reader was given ends in a task of its own.
    eventually("nothing is encoded", async || app.stats_as("door", &right).await["watchers"] == 0).await;
}

/// A reader that receives nothing is disconnected, and does not delay another reader.
#[tokio::test]
async fn a_reader_that_receives_nothing_does_not_delay_another() {
    let app = TestApp::with("output: {stall_timeout: 1s}");
    app.put("/mjpeg-upload?name=door", &large_picture(1)).await;
    let mut stuck = Client::connect(&app, "door").await;
    socket2::SockRef::from(&stuck.socket).set_recv_buffer_size(4096).expect("a small buffer");
    stuck.play().await;
    let mut reader = Client::connect(&app, "door").await;
    reader.play().await;
    let readers = async || app.stats("door").await["video"][0]["readers"].as_u64().unwrap_or_default();
    let mut number = 1;
    eventually("the stuck reader is disconnected", async || {
        number += 1;
        app.put("/mjpeg-upload?name=door", &large_picture(number)).await;
        reader.picture().await;
        readers().await == 1
    })
    .await;
    reader.picture().await;
}

/// A client that sends requests without end, and reads no answer.
#[tokio::test]
async fn a_client_that_reads_no_answer_is_disconnected() {
    let app = TestApp::with("output: {stall_timeout: 1s}");
    app.put("/mjpeg-upload?name=door", &sized_picture(64, 48, 1)).await;
    let mut client = Client::connect(&app, "door").await;
    let request = "OPTIONS rtsp://x/door RTSP/1.0\r\nCSeq: 1\r\n\r\n".repeat(1000);
    let flood = async {
        let mut sent = 0_usize;
        while client.socket.write_all(request.as_bytes()).await.is_ok() {
            sent += request.len();
            assert!(sent < 200 << 20, "requests are accepted without end");
        }
    };
    tokio::time::timeout(PATIENCE, flood).await.expect("disconnected in time");
}

#[tokio::test]
async fn hundreds_of_idle_connections_are_bounded() {
    let app = TestApp::with("rtsp: {max_connections: 300}");
    app.put("/mjpeg-upload?name=door", &flat_picture(64, 48, [1, 2, 3])).await;
    let mut idle = vec![];
    for _ in 0..500 {
        idle.push(TcpStream::connect(app.rtsp).await.expect("connects"));
    }
    let open = async || {
        let metrics = app.admin("GET", "/metrics", "").await;
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let read = |name: &str| {
            let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
            line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number")
        };
        (
            read("mtx_sidecar_rtsp_connections "),
            read("mtx_sidecar_connections_ended_total{listener=\"rtsp\",cause=\"displaced\"}"),
        )
    };
    eventually("older connections make room", async || {
        let (open, displaced) = open().await;
        open <= 300.0 && open + displaced == 500.0
    })
    .await;
    // HTTP still answers, and a new connection is accepted when others are closed.
    assert_eq!(app.get("/healthz").await.status, 200);
    drop(idle);
    eventually("the connections are closed", async || open().await.0 == 0.0).await;
    let mut client = Client::connect(&app, "door").await;
    client.play().await;
    client.picture().await;
}

#[tokio::test]
async fn timestamps_increase_from_the_placeholder_to_the_pictures() {
    let app = TestApp::with("stream_defaults: {placeholder_after: 50ms}");
    let mut client = Client::connect(&app, "later?type=file").await;
    client.play().await;
    let mut times = vec![];
    for _ in 0..3 {
        times.push(client.picture().await.0);
    }
    app.put("/mjpeg-upload?name=later", &sized_picture(320, 240, 1)).await;
    eventually("the picture is shown", async || {
        times.push(client.picture().await.0);
        app.stats("later").await["video"][0]["mode"] == "still"
    })
    .await;
    for number in 2..8 {
        app.put("/mjpeg-upload?name=later", &sized_picture(320, 240, number)).await;
        times.push(client.picture().await.0);
    }
    for pair in times.windows(2) {
        let step = pair[1].wrapping_sub(pair[0]) as i32;
        assert!(step > 0, "{times:?}");
    }
    // The removal of the stream closes the connection; the reader can connect again.
    assert_eq!(app.admin("DELETE", "/api/v1/streams/later", "").await.status, 204);
    client.closed().await;
}

#[tokio::test]
async fn a_producer_runs_while_it_has_a_reader() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 240, fps: 10}}");
    assert_eq!(app.stats("card").await["state"], "idle");
    let mut client = Client::connect(&app, "card").await;
    client.play().await;
    let mut deltas = 0;
    while deltas < 8 {
        let (_, kinds) = client.picture().await;
        deltas += usize::from(kinds == [1]);
        assert!(kinds == [1] || kinds == [7, 8, 5], "{kinds:?}");
    }
    assert_eq!(app.stats("card").await["video"][0]["mode"], "video");
    // The connection is closed without TEARDOWN.
    drop(client);
    eventually("the stream is idle", async || app.stats("card").await["state"] == "idle").await;
    assert_eq!(app.stats("card").await["video"], serde_json::json!([]));
}

#[tokio::test]
async fn shutdown_ends_readers_at_once() {
    // Waiting for a reader to leave would take an hour.
    let app = TestApp::with("http: {shutdown_timeout: 1h}\noutput: {stall_timeout: 1h}");
    app.put("/mjpeg-upload?name=door", &sized_picture(64, 48, 1)).await;
    let mut client = Client::connect(&app, "door").await;
    client.play().await;
    client.picture().await;
    app.ask_to_end();
    client.closed().await;
    app.stop();
}
