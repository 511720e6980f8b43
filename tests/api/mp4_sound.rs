//! Video with sound, and video with B-frames, as MP4: of paths of MediaMTX, and of a camera whose answers a test makes.

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    mp4_paths::{COLOURED, H264, probe_for, publish, start_with},
    rtsp_camera::keyframe,
    support::{Program, TestApp, eventually, rtsp_peer::RtspPeer},
};

const TONE: [&str; 6] = ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-shortest"];

/// A coloured video with a tone in the given coding.
fn with_sound<'a>(coding: &[&'a str]) -> Vec<&'a str> {
    [&COLOURED[..], &TONE, &H264, &["-pix_fmt", "yuv420p", "-g", "15"], coding].concat()
}

/// The packets of a track of a file: time of decoding and of showing, in seconds.
fn packets(found: &Value, track: u64) -> Vec<(f64, f64)> {
    let packets = found["packets"].as_array().expect("packets").iter();
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).expect("a number");
    let of_track = packets.filter(|packet| packet["stream_index"] == track);
    of_track.map(|packet| (number(&packet["dts_time"]), number(&packet["pts_time"]))).collect()
}

#[tokio::test]
async fn a_path_with_aac_or_opus_has_its_sound_in_one_session() {
    let aac = with_sound(&["-c:a", "aac", "-ac", "2"]);
    let Some((app, mediamtx, publisher)) = start_with(&aac).await else { return };
    let at = "/stream/yard.mp4?duration=3";
    let (first, second, readers) = tokio::join!(app.get(at), app.get("/api/stream.mp4?src=yard&duration=3"), async {
        let mut client = app.ws("/ws/yard?video=1", &[]).await.expect("connects");
        for _ in 0..40 {
            client.picture().await;
        }
        mediamtx.readers(&app, "yard").await
    });
    assert_eq!(readers, 1);
    for response in [first, second] {
        let media_type = response.header("content-type").expect("a type");
        assert!(
            media_type.starts_with("video/mp4; codecs=\"avc1.4D40") && media_type.ends_with(",mp4a.40.2\""),
            "{media_type}"
        );
        check_sound(&response.body, "aac").await;
    }
    // Opus, after another publisher: the same clients get the other sound.
    drop(publisher);
    eventually("the path has no publisher", async || !mediamtx.is_available(&app, "yard").await).await;
    let _publisher = publish(&mediamtx, "yard", &with_sound(&["-c:a", "libopus"]));
    eventually("the path has a publisher again", async || mediamtx.is_available(&app, "yard").await).await;
    eventually("the path has Opus", async || {
        let response = app.get("/stream/yard.mp4?duration=3").await;
        let has_opus = response.header("content-type").is_some_and(|media_type| media_type.ends_with(",opus\""));
        if has_opus {
            check_sound(&response.body, "opus").await;
        }
        has_opus
    })
    .await;
    // A client of go2rtc that plays no Opus.
    let mut client = app.ws("/api/ws?src=yard", &[]).await.expect("connects");
    client.text(r#"{"type":"mse","value":"avc1.640029,mp4a.40.2"}"#).await;
    let begun = client.notice().await;
    assert!(begun["value"].as_str().is_some_and(|value| !value.contains("opus")), "{begun}");
}

async fn check_sound(file: &[u8], codec: &str) {
    let found = probe_for(file, "-show_packets").await;
    assert_eq!(found["streams"].as_array().map(Vec::len), Some(2), "{}", found["streams"]);
    assert_eq!(found["streams"][1]["codec_name"], codec);
    let (video, sound) = (packets(&found, 0), packets(&found, 1));
    assert!(video.len() > 20 && sound.len() > 60, "{} and {}", video.len(), sound.len());
    let [video, sound] = [video, sound].map(|track| track.last().map_or(0.0, |(at, _)| *at));
    // A frame of video, and what the encoder of the sound holds back.
    assert!((video - sound).abs() < 0.4, "video until {video}, sound until {sound}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("video.mp4");
    std::fs::write(&path, file).expect("writes");
    let args = ["-v", "error", "-xerror", "-i", &path.display().to_string(), "-f", "null", "-"];
    Program::output("ffmpeg", &args).await;
}

#[tokio::test]
async fn sound_that_browsers_do_not_play_is_left_out_with_the_reason_and_sound_alone_is_refused() {
    let Some((app, mediamtx, _publisher)) = start_with(&with_sound(&["-c:a", "pcm_alaw", "-ar", "8000"])).await else {
        return;
    };
    let mut client = app.ws("/ws/yard?video=1", &[]).await.expect("connects");
    let begun = loop {
        let notice = client.notice().await;
        if notice["type"] == "mse" {
            break notice;
        }
    };
    assert!(begun["value"].as_str().is_some_and(|value| !value.contains(',')), "{begun}");
    assert_eq!(begun["note"], "PCMA is not passed on: browsers play AAC and Opus in MP4");
    client.picture().await;

    let radio = json!({"kind": "raw", "fields": {"source": "publisher"}}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/paths/radio", &radio).await.status, 201);
    eventually("MediaMTX has the path", async || mediamtx.has_path(&app, "radio").await).await;
    let _radio = publish(&mediamtx, "radio", &[&TONE[..], &["-c:a", "libopus"]].concat());
    eventually("the path has a publisher", async || mediamtx.is_available(&app, "radio").await).await;
    let refused = app.get("/stream/radio.mp4").await;
    assert_eq!(refused.json()["cause"], "no_video", "{}", refused.json());
    // Only administrators get the words of the source.
    let refused = app.admin("GET", "/stream/radio.mp4", "").await;
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(
        refused.status >= 500 && detail.contains("offers no video, only sound (OPUS)"),
        "{} {detail}",
        refused.status
    );
}

#[tokio::test]
async fn the_viewer_plays_the_sound_of_a_path_when_it_is_switched_on() {
    let Some((app, _mediamtx, _publisher)) = start_with(&with_sound(&["-c:a", "libopus"])).await else { return };
    eventually("the path is in the list", async || {
        let wall = app.get("/api/v1/wall").await.json();
        wall["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(|item| item["path"]["tracks"] == json!(["H264", "Opus"])))
    })
    .await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/", app.addr)).await.expect("loads");
    browser.run("window.RTCPeerConnection = class { constructor() { throw new Error('blocked by a test') } }").await;
    browser.run("location.hash = '#/watch/yard'").await;
    browser.says(".stage-how", "Playing over MSE, because: WebRTC: ").await;
    let decoded = "return document.querySelector('.stage video').webkitAudioDecodedByteCount";
    eventually("sound is decoded", async || browser.run(decoded).await.as_u64().is_some_and(|n| n > 0)).await;
    assert_eq!(browser.run("return document.querySelector('.stage video').muted").await, true);
    browser.click(".do-sound").await;
    assert_eq!(browser.run("return document.querySelector('.stage video').muted").await, false);
    let played = "return document.querySelector('.stage video').currentTime > 4";
    eventually("it plays", async || browser.run(played).await == true).await;
    let ranges = browser.run("return document.querySelector('.stage video').buffered.length").await;
    assert_eq!(ranges, 1, "no gap in either track");
    browser.close().await;
}

/// The structure of groups that a test compares: the same in ffmpeg's file and in ours.
async fn b_frames_are_as_in_ffmpegs_own_file(encoder: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("original.mp4").display().to_string();
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=15", "-t", "8", "-pix_fmt", "yuv420p"];
    Program::output("ffmpeg", &[&source[..], encoder, &["-g", "30", &path]].concat()).await;
    let original = probe_for(&std::fs::read(&path).expect("reads"), "-show_packets").await;
    let args = ["-re", "-stream_loop", "-1", "-i", &path, "-c", "copy"];
    let Some((app, _mediamtx, _publisher)) = start_with(&args).await else { return };
    let response = app.get("/stream/yard.mp4?duration=7").await;
    let ours = probe_for(&response.body, "-show_packets").await;
    // The times of each group, from its keyframe on, in milliseconds.
    let groups = |found: &Value| {
        let times: Vec<_> = packets(found, 0);
        let keys = found["packets"].as_array().expect("packets").iter();
        let keys = keys.map(|packet| packet["flags"].as_str().is_some_and(|flags| flags.starts_with('K')));
        let starts: Vec<_> = keys.enumerate().filter_map(|(at, is_key)| is_key.then_some(at)).collect();
        let group = |pair: &[usize]| {
            let (decoded, shown) = times[pair[0]];
            let ms = |from: f64, to: f64| ((to - from) * 1000.0).round() as i64;
            times[pair[0]..pair[1]].iter().map(|(d, s)| (ms(decoded, *d), ms(shown, *s))).collect::<Vec<_>>()
        };
        starts.windows(2).map(group).collect::<Vec<_>>()
    };
    let (expected, seen) = (groups(&original), groups(&ours));
    assert!(
        seen.iter().any(|group| group.iter().any(|(decoded, shown)| decoded > shown)),
        "there are B-frames: {seen:?}"
    );
    // The first group is of the past, and shown fast.
    let whole = seen.iter().skip(1).filter(|group| expected.contains(group)).count();
    assert!(whole >= 1, "ours {seen:?}, ffmpeg's {expected:?}");
    let frames = probe_for(&response.body, "-show_frames").await;
    let (frames, all) = (frames["frames"].as_array().map(Vec::len), ours["packets"].as_array().map(Vec::len));
    assert!(frames >= all.map(|all| all - 1), "{frames:?} frames of {all:?} packets are shown");
}

#[tokio::test]
async fn h264_with_b_frames_has_the_times_of_ffmpegs_own_file() {
    let x264 = ["-c:v", "libx264", "-preset", "medium", "-bf", "3", "-x264-params", "b-adapt=0:scenecut=0"];
    b_frames_are_as_in_ffmpegs_own_file(&x264).await;
}

#[tokio::test]
async fn h265_with_b_frames_has_the_times_of_ffmpegs_own_file() {
    let x265 = [
        "-c:v",
        "libx265",
        "-preset",
        "fast",
        "-x265-params",
        "log-level=none:bframes=3:b-adapt=0:scenecut=0:open-gop=0",
        "-tag:v",
        "hvc1",
    ];
    b_frames_are_as_in_ffmpegs_own_file(&x265).await;
}

/// A client that only wants pictures sets up the video alone. One that listens gets a session with sound beside it, which takes the place
/// of the first one at its next keyframe.
#[tokio::test]
async fn the_sound_of_a_camera_is_set_up_only_while_a_client_listens() {
    let (format, packets) = keyframe([200, 60, 30]);
    let sdp = format!(
        "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 {format}\r\na=control:video\r\n\
         m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:sound\r\n"
    );
    let peer = RtspPeer::start(sdp, packets, |request, usual| {
        let is_sound = request.method == "SETUP" && request.text.contains("/sound ");
        let text = String::from_utf8_lossy(&usual).replace("interleaved=0-1", "interleaved=2-3");
        Some(if is_sound { text.into_bytes() } else { usual })
    })
    .await;
    let app = TestApp::with(&format!(
        "rtsp_cameras: {{reader: native}}\nstream_defaults: {{linger: 20s}}\nstreams: {{cam: {{kind: rtsp, url: 'rtsp://{}/live'}}}}",
        peer.addr
    ));
    let setups = || {
        let requests = peer.requests.lock().expect("not poisoned");
        let setups = requests.iter().filter(|request| request.method == "SETUP");
        setups
            .map(|request| {
                request.text.split(' ').nth(1).unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(app.get("/snapshot/cam.jpg").await.status, 200);
    assert_eq!(setups(), ["video"]);
    let mut deaf = app.ws("/ws/cam?video=1&codecs=avc1.640029", &[]).await.expect("connects");
    deaf.picture().await;
    assert_eq!(setups(), ["video"]);
    let mut client = app.ws("/ws/cam?video=1", &[]).await.expect("connects");
    let begun = loop {
        let notice = client.notice().await;
        if notice["type"] == "mse" {
            break notice;
        }
    };
    assert!(begun["value"].as_str().is_some_and(|value| value.ends_with(",opus\"")), "{begun}");
    assert_eq!(setups(), ["video", "video", "sound"]);
    client.picture().await;
    eventually("the first session ends", async || peer.methods().iter().any(|method| method == "TEARDOWN")).await;
}

/// A camera that refuses to set up its sound, and one that ends the connection: the video is there, with the reason.
#[tokio::test]
async fn a_camera_that_does_not_give_its_sound_gives_its_video() {
    for ends in [false, true] {
        let (format, packets) = keyframe([200, 60, 30]);
        let sdp = format!(
            "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 {format}\r\na=control:video\r\n\
             m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:sound\r\n"
        );
        let peer = RtspPeer::start(sdp, packets, move |request, usual| {
            match request.method == "SETUP" && request.text.contains("/sound ") {
                true if ends => None,
                true => Some(
                    format!("RTSP/1.0 404 Not Found\r\nCSeq: {}\r\n\r\n", request.header("CSeq").unwrap_or("0"))
                        .into_bytes(),
                ),
                false => Some(usual),
            }
        })
        .await;
        let app = TestApp::with(&format!(
            "rtsp_cameras: {{reader: native}}\nstreams: {{cam: {{kind: rtsp, url: 'rtsp://{}/live'}}}}",
            peer.addr
        ));
        let mut client = app.ws("/ws/cam?video=1", &[]).await.expect("connects");
        let begun = loop {
            let notice = client.notice().await;
            if notice["type"] == "mse" {
                break notice;
            }
        };
        assert!(begun["value"].as_str().is_some_and(|value| !value.contains("opus")), "{begun}");
        assert!(begun["note"].as_str().is_some_and(|note| note.contains("refuses to send its sound")), "{begun}");
        client.picture().await;
    }
}

/// A player that does what go2rtc's does, in its order: the message `mse` as soon as the source is open, with the codecs that the browser
/// plays; appending in segments, with a reserve while the buffer is busy; five seconds kept; a rate that is the gap to the end.
const LIKE_GO2RTC: &str = r#"
const video = document.createElement('video');
[video.muted, video.autoplay] = [true, true];
document.body.replaceChildren(video);
const source = new MediaSource();
const codecs = ['avc1.640029', 'hvc1.1.6.L153.B0', 'mp4a.40.2', 'mp4a.40.5', 'flac', 'opus'];
const played = codecs.filter((codec) => MediaSource.isTypeSupported(`video/mp4; codecs="${codec}"`)).join();
const socket = new WebSocket(`ws://${location.host}/api/ws?src=yard`);
socket.binaryType = 'arraybuffer';
window.told = [];
socket.onopen = () => {
  source.onsourceopen = () => socket.send(JSON.stringify({ type: 'mse', value: played }));
  video.src = URL.createObjectURL(source);
};
let take = () => window.told.push('data before the type');
socket.onmessage = ({ data }) => {
  if (typeof data !== 'string') return take(data);
  window.told.push(data);
  const buffer = source.addSourceBuffer(JSON.parse(data).value);
  buffer.mode = 'segments';
  let reserve = [];
  buffer.onupdateend = () => {
    if (reserve.length) {
      buffer.appendBuffer(reserve.shift());
      return;
    }
    const end = buffer.buffered.length ? buffer.buffered.end(buffer.buffered.length - 1) : 0;
    if (end - 5 > buffer.buffered.start(0)) {
      buffer.remove(buffer.buffered.start(0), end - 5);
      source.setLiveSeekableRange(end - 5, end);
    }
    video.playbackRate = Math.max(end - video.currentTime, 0.1);
  };
  take = (bytes) => (buffer.updating || reserve.length ? reserve.push(bytes) : buffer.appendBuffer(bytes));
};
"#;

#[tokio::test]
async fn a_player_like_go2rtcs_plays_video_with_sound() {
    let Some((app, _mediamtx, _publisher)) = start_with(&with_sound(&["-c:a", "libopus"])).await else { return };
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/", app.addr)).await.expect("loads");
    browser.run(LIKE_GO2RTC).await;
    let played =
        "const v = document.querySelector('video'); return v.currentTime > 3 && v.webkitAudioDecodedByteCount > 0";
    eventually("it plays", async || browser.run(played).await == true).await;
    let told = browser.run("return window.told").await;
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    let begun: Value = serde_json::from_str(told[0].as_str().unwrap_or_default()).expect("JSON");
    assert!(begun["value"].as_str().is_some_and(|value| value.ends_with(",opus\"")), "{begun}");
    assert_eq!(begun.as_object().map(serde_json::Map::len), Some(2), "no member that go2rtc's message does not have");
    browser.close().await;
}
