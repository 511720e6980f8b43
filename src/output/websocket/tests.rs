use std::{sync::Arc, time::SystemTime};

use actix_http::ws::{Codec, Frame, Message};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::timeout,
};
use tokio_util::codec::{Decoder, Encoder};

use super::*;
use crate::{
    output::{
        fmp4::feeds,
        h264::{Encodings, H264Settings, Want},
    },
    picture::{Picture, PictureLimits, testing},
    stream::{Mode, Origin, Registry, Stream, StreamLimits, StreamName, StreamSettings, testing::Idle},
    websocket::Fault,
};

/// The client, and the server that serves it.
struct Peer {
    io: DuplexStream,
    codec: Codec,
    read: BytesMut,
    stream: Arc<Stream>,
    registry: Registry,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<Report>,
}

impl Peer {
    fn connect(options: Options, buffer: usize) -> Self {
        let registry = Registry::new(StreamSettings::default(), StreamLimits::default());
        let name = StreamName::parse("cam").expect("a name");
        let stream = registry.define(&name, Origin::Upload, Arc::new(Idle(Mode::Pushed))).expect("room");
        let (io, theirs) = duplex(buffer);
        let watch = stream.watch().expect("goes on");
        let (states, stop) = (watch.states(), CancellationToken::new());
        let encodings = Encodings::new(H264Settings::default(), Duration::from_millis(700), PictureLimits::default());
        let source = Source { watch, states, video: feeds(encodings, stream.clone(), Want::default()) };
        let serving = tokio::spawn(serve(theirs, source, options, stop.clone(), || Ending::NOT_PERMITTED));
        Peer {
            io,
            codec: Codec::new().client_mode().max_size(1 << 20),
            read: BytesMut::new(),
            stream,
            registry,
            stop,
            serving,
        }
    }

    fn push(&self, number: u32) {
        let jpeg = Bytes::from(testing::photo_numbered(48, 32, number));
        let picture = Picture { jpeg, width: 48, height: 32, captured_at: SystemTime::now() };
        self.stream.push(&picture).expect("room").expect("not closed");
    }

    async fn say(&mut self, message: Message) {
        let mut data = BytesMut::new();
        self.codec.encode(message, &mut data).expect("encodes");
        self.io.write_all(&data).await.expect("writes");
    }

    async fn tell(&mut self, text: &str) {
        self.say(Message::Text(text.to_owned().into())).await;
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.read).expect("well-formed") {
                return Some(frame);
            }
            if self.io.read_buf(&mut self.read).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// The next notice. Skips pictures.
    async fn notice(&mut self) -> serde_json::Value {
        loop {
            if let Some(Frame::Text(text)) = self.next().await {
                return serde_json::from_slice(&text).expect("JSON");
            }
        }
    }

    async fn picture(&mut self) -> Bytes {
        loop {
            if let Frame::Binary(data) = self.next().await.expect("goes on") {
                return data;
            }
        }
    }

    /// Whether no picture arrives in this time.
    async fn has_quiet(&mut self, millis: u64) -> bool {
        timeout(Duration::from_millis(millis), self.picture()).await.is_err()
    }

    async fn close_code(&mut self) -> (u16, String) {
        loop {
            if let Frame::Close(reason) = self.next().await.expect("a close frame") {
                let reason = reason.expect("a code");
                return (reason.code.into(), reason.description.unwrap_or_default());
            }
        }
    }
}

fn options() -> Options {
    Options {
        dialect: Dialect::Own,
        video: None,
        window: None,
        meta: false,
        placeholder_after: Duration::from_millis(700),
        stall_timeout: Duration::from_secs(30),
    }
}

#[tokio::test(start_paused = true)]
async fn pictures_arrive_complete_with_states_and_times() {
    let mut peer = Peer::connect(Options { meta: true, ..options() }, 1 << 20);
    assert_eq!(peer.notice().await["state"], "starting");
    peer.push(1);
    let mut notices = [peer.notice().await, peer.notice().await];
    notices.sort_by_key(|notice| notice["type"].to_string());
    assert_eq!(
        (&notices[0]["seq"], &notices[0]["width"], &notices[0]["waiting"]),
        (&1.into(), &48.into(), &false.into())
    );
    assert_eq!((&notices[1]["type"], &notices[1]["state"]), (&"state".into(), &"live".into()));
    for number in 2..5 {
        peer.push(number);
        // The first picture can arrive after the second notice.
        while peer.picture().await != testing::photo_numbered(48, 32, number) {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_acknowledges_gets_at_most_the_window() {
    let mut peer = Peer::connect(options(), 1 << 20);
    peer.push(1);
    peer.picture().await;
    peer.tell(r#"{"ack":1}"#).await;
    for number in 2..=20 {
        peer.push(number);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(peer.picture().await, testing::photo_numbered(48, 32, 2));
    assert_eq!(peer.picture().await, testing::photo_numbered(48, 32, 3));
    assert!(peer.has_quiet(500).await, "two pictures are on the way");
    peer.tell(r#"{"ack":2}"#).await;
    assert_eq!(peer.picture().await, testing::photo_numbered(48, 32, 20), "the newest, not the next");
    let dropped = peer.notice().await;
    assert_eq!((&dropped["type"], &dropped["frames"]), (&"dropped".into(), &16.into()));
    // An acknowledgement beyond the last picture counts as one of the last picture. Invalid messages are ignored.
    for text in [r#"{"ack":999}"#, r#"{"ack":-1}"#, "[]", "}", r#"{"ack":"x"}"#] {
        peer.tell(text).await;
    }
    for number in 21..=24 {
        peer.push(number);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(peer.picture().await, testing::photo_numbered(48, 32, 21));
    assert_eq!(peer.picture().await, testing::photo_numbered(48, 32, 22));
    assert!(peer.has_quiet(500).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_acknowledges_nothing_is_limited_by_its_connection_only() {
    let mut peer = Peer::connect(options(), 4096);
    for number in 1..=50 {
        peer.push(number);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut pictures = 0;
    loop {
        pictures += 1;
        if peer.picture().await == testing::photo_numbered(48, 32, 50) {
            break;
        }
    }
    assert!(pictures < 20, "{pictures} were queued");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanished_is_detected_and_one_that_answers_pings_stays() {
    let mut there = Peer::connect(Options { stall_timeout: Duration::from_secs(9), ..options() }, 1 << 20);
    let mut pings = 0;
    while pings < 8 {
        if let Some(Frame::Ping(data)) = there.next().await {
            pings += 1;
            there.say(Message::Pong(data)).await;
        }
    }
    assert!(!there.serving.is_finished());
    let began = Instant::now();
    let report = there.serving.await.expect("no panic");
    assert_eq!(report.left, DisconnectReason::Stalled);
    assert!(began.elapsed() <= Duration::from_secs(13), "{:?}", began.elapsed());

    // A client that takes no more bytes.
    let full = Peer::connect(Options { stall_timeout: Duration::from_secs(9), ..options() }, 64);
    full.push(1);
    assert_eq!(full.serving.await.expect("no panic").left, DisconnectReason::Stalled);
}

#[tokio::test(start_paused = true)]
async fn every_end_has_a_code_and_a_reason() {
    let mut told = Peer::connect(options(), 1 << 20);
    told.stop.cancel();
    assert_eq!(told.close_code().await, (1008, "permission lost".into()));
    told.say(Message::Close(None)).await;
    assert_eq!(told.serving.await.expect("no panic").left, DisconnectReason::ToldToEnd);

    let mut gone = Peer::connect(options(), 1 << 20);
    gone.registry.remove(&StreamName::parse("cam").expect("a name"), "the stream was removed");
    assert_eq!(gone.close_code().await, (1001, "the stream was removed".into()));

    let mut polite = Peer::connect(options(), 1 << 20);
    polite.say(Message::Close(None)).await;
    assert_eq!(polite.close_code().await.0, 1000);
    assert_eq!(polite.serving.await.expect("no panic").left, DisconnectReason::Closed);

    let mut wrong = Peer::connect(options(), 1 << 20);
    wrong.say(Message::Binary(Bytes::from_static(b"\xFF\xD8"))).await;
    assert_eq!(wrong.close_code().await.0, 1003);

    for (data, code) in [
        // The head announces 16 MB. The frame is refused after far fewer bytes.
        ([&[0x82, 0xFF, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4][..], &[0; 70_000]].concat(), 1009),
        // A reserved bit, an unknown operation, no mask, a continuation of nothing, and a long ping.
        (vec![0xC1, 0x80, 0, 0, 0, 0], 1002),
        (vec![0x83, 0x80, 0, 0, 0, 0], 1002),
        (vec![0x81, 0x01, b'a'], 1002),
        (vec![0x80, 0x81, 0, 0, 0, 0, b'a'], 1002),
        ([&[0x89, 0xFE, 0, 200, 0, 0, 0, 0][..], &[0; 200]].concat(), 1002),
        (vec![0x81, 0x81, 0, 0, 0, 0, 0xFF], 1007),
    ] {
        let mut hostile = Peer::connect(options(), 1 << 20);
        hostile.io.write_all(&data).await.expect("writes");
        assert_eq!(hostile.close_code().await.0, code, "{:02x?}", &data[..6]);
        drop(hostile.io);
        assert_eq!(hostile.serving.await.expect("no panic").left, DisconnectReason::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_picture_a_waiting_one_is_sent_and_then_the_first() {
    let mut peer = Peer::connect(options(), 1 << 20);
    let waiting = peer.picture().await;
    assert_ne!(waiting, testing::photo_numbered(48, 32, 1));
    assert!(peer.has_quiet(20_000).await, "the waiting picture is not repeated");
    peer.push(1);
    assert_eq!(peer.picture().await, testing::photo_numbered(48, 32, 1));
}

#[tokio::test(start_paused = true)]
async fn go2rtc_s_players_get_mjpeg_and_an_error_for_other_types() {
    let mut peer = Peer::connect(Options { dialect: Dialect::Go2rtc, ..options() }, 1 << 20);
    peer.push(1);
    assert!(peer.has_quiet(2000).await, "no picture before the request");
    peer.tell(r#"{"type":"webrtc/offer","value":"v=0"}"#).await;
    let refused = peer.notice().await;
    assert_eq!(refused["type"], "error");
    assert!(refused["value"].as_str().is_some_and(|value| value.starts_with("webrtc/offer: ")), "{refused}");
    peer.tell(r#"{"type":"mjpeg"}"#).await;
    assert_eq!(peer.notice().await, serde_json::json!({"type": "mjpeg"}));
    assert_eq!(peer.picture().await, testing::photo_numbered(48, 32, 1));
}

#[tokio::test(start_paused = true)]
async fn go2rtc_s_players_get_mse_that_begins_with_its_codec_and_a_keyframe() {
    let mut peer = Peer::connect(Options { dialect: Dialect::Go2rtc, ..options() }, 1 << 20);
    peer.push(1);
    peer.tell(r#"{"type":"mse","value":"hvc1.1.6.L153.B0,mp4a.40.2"}"#).await;
    let refused = peer.notice().await;
    assert!(refused["value"].as_str().is_some_and(|value| value.starts_with("mse: the client does not")), "{refused}");
    peer.tell(r#"{"type":"mse","value":"avc1.640029,avc1.64002A,mp4a.40.2,flac,opus"}"#).await;
    let begun = peer.notice().await;
    assert_eq!(begun["type"], "mse");
    let media_type = begun["value"].as_str().expect("a media type");
    assert!(media_type.starts_with("video/mp4; codecs=\"avc1.42C0"), "{media_type}");
    assert_eq!(peer.picture().await[4..8], *b"ftyp");
    let mut fragments = vec![];
    for _ in 0..40 {
        fragments.push(peer.picture().await);
    }
    assert!(fragments.iter().all(|fragment| fragment[4..8] == *b"moof"));
    assert_eq!(peer.stream.stats().watchers, 1, "video and pictures together are one watcher");

    // The same client can ask for pictures afterwards.
    peer.tell(r#"{"type":"mjpeg"}"#).await;
    assert_eq!(peer.notice().await, serde_json::json!({"type": "mjpeg"}));
    while peer.picture().await != testing::photo_numbered(48, 32, 1) {}
    peer.registry.remove(peer.stream.name(), "removed by a test");
    assert_eq!(peer.close_code().await, (1001, "removed by a test".into()));
}

#[tokio::test(start_paused = true)]
async fn mp4_is_a_whole_file_for_each_new_picture() {
    let mut peer = Peer::connect(Options { dialect: Dialect::Go2rtc, ..options() }, 1 << 20);
    peer.push(1);
    peer.tell(r#"{"type":"mp4"}"#).await;
    assert_eq!(peer.notice().await["type"], "mp4");
    for number in 2..5 {
        let file = peer.picture().await;
        let kinds: Vec<_> = [&b"ftyp"[..], b"moov", b"moof", b"mdat"]
            .map(|kind| memchr::memmem::find(&file, kind).expect("the box"))
            .into();
        assert!(kinds.is_sorted(), "{kinds:?}");
        assert!(peer.has_quiet(5000).await, "a still is sent once");
        peer.push(number);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_ours_gets_video_at_once_and_the_reason_of_its_end() {
    let mut peer = Peer::connect(Options { video: Some(Accepts::default()), ..options() }, 1 << 20);
    peer.push(1);
    let media_type = loop {
        let notice = peer.notice().await;
        if notice["type"] == "mse" {
            break notice["value"].to_string();
        }
        assert_eq!(notice["type"], "state", "{notice}");
    };
    assert!(media_type.contains("video/mp4"), "{media_type}");
    assert_eq!(peer.picture().await[4..8], *b"ftyp");
    peer.registry.remove(peer.stream.name(), "removed by a test");
    loop {
        let notice = peer.notice().await;
        if notice["type"] == "error" {
            assert_eq!(notice["value"], "mse: removed by a test");
            break;
        }
    }
    assert_eq!(peer.close_code().await, (1001, "removed by a test".into()));
    peer.say(Message::Close(None)).await;
    assert_eq!(peer.serving.await.expect("no panic").left, DisconnectReason::StreamEnded);
}

#[tokio::test]
async fn messages_in_several_frames_are_assembled_within_the_limit() {
    let receive = async |data: &[u8]| {
        let (mut ours, theirs) = duplex(1 << 16);
        let mut socket = Socket::new(theirs, 8, Duration::from_secs(30));
        ours.write_all(data).await.expect("writes");
        drop(ours);
        let mut all = vec![];
        loop {
            match socket.receive().await {
                Ok(Incoming::Ping(_)) => {}
                Ok(message) => all.push(message),
                Err(fault) => return (all, fault),
            }
        }
    };
    let begin = |opcode: u8, text: &[u8]| [&[opcode, 0x80 | text.len() as u8, 0, 0, 0, 0], text].concat();
    // A ping can arrive between the frames.
    let whole = [begin(0x01, b"abc"), begin(0x89, b"?"), begin(0x00, b"de"), begin(0x80, b"f")].concat();
    assert_eq!(receive(&whole).await, (vec![Incoming::Text("abcdef".into())], Fault::Gone));
    let binary = [begin(0x02, b"1234"), begin(0x80, b"5678"), begin(0x82, b"9")].concat();
    let expected = vec![Incoming::Binary(Bytes::from_static(b"12345678")), Incoming::Binary(Bytes::from_static(b"9"))];
    assert_eq!(receive(&binary).await, (expected, Fault::Gone));
    let large = [begin(0x02, b"12345"), begin(0x80, b"6789")].concat();
    assert_eq!(receive(&large).await, (vec![], Fault::TooBig));
}
