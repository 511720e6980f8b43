//! Files of media folders by their content: ffmpeg and ffprobe read media, and follow no list of addresses.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{PATIENCE, Program, TestApp, eventually};

/// Counts the connections to a port.
async fn trap() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let (port, count) = (listener.local_addr().expect("bound").port(), Arc::<AtomicUsize>::default());
    let counted = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

fn with_folder() -> TestApp {
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    std::fs::create_dir_all(folder.path().join("media/list")).expect("makes");
    TestApp::in_folder(folder, "")
}

/// Makes a file of a second, in the format of its name.
async fn make(app: &TestApp, name: &str, options: &[&str]) {
    let to = app.folder().join("media").join(name);
    let args: [&[&str]; 4] = [&["-v", "error", "-y", "-f", "lavfi"], options, &["-t", "1"], &[&to.to_string_lossy()]];
    Program::output("ffmpeg", &args.concat()).await;
}

const VIDEO: [&str; 2] = ["-i", "color=red:s=64x48:r=25"];
const SOUND: [&str; 2] = ["-i", "sine=sample_rate=48000"];

/// The words of a channel's command, up to the part that sends to MediaMTX.
async fn command(app: &TestApp, channel: &str) -> Vec<String> {
    let path = app.admin("GET", &format!("/api/v1/paths/{channel}"), "").await.json();
    let line = path["fields"]["runOnDemand"].as_str().unwrap_or_else(|| panic!("a command in {path}")).to_owned();
    let (line, _) = line.split_once(" -f rtsp ").expect("it sends by RTSP");
    line.split(' ').map(str::to_owned).collect()
}

/// Plays a part of what the command reads; whether that succeeds.
async fn play(words: &[String]) -> bool {
    let mut player = tokio::process::Command::new(&words[0]);
    player.args(&words[1..]).args(["-t", "0.2", "-f", "null", "-"]).stdin(Stdio::null()).kill_on_drop(true);
    let played =
        tokio::time::timeout(3 * PATIENCE, player.output()).await.expect("ffmpeg ends").expect("ffmpeg starts");
    played.status.success()
}

#[tokio::test]
async fn a_list_that_is_named_like_a_video_makes_no_request() {
    let app = with_folder();
    let (port, asked) = trap().await;
    let lists = [
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/x.ts\n#EXT-X-ENDLIST\n"),
        format!("ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/x.ts'\n"),
        format!(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        ),
        format!("<?xml version=\"1.0\"?><MPD><BaseURL>http://127.0.0.1:{port}/</BaseURL></MPD>"),
    ];
    let create = async |path: &str, name: &str| {
        app.admin("POST", "/api/v1/media/channel", &json!({"path": path, "name": name}).to_string()).await
    };
    for (i, list) in lists.iter().enumerate() {
        let name = format!("list{i}.mp4");
        std::fs::write(app.folder().join("media").join(&name), list).expect("writes");
        let refused = app.get(&format!("/api/v1/media/info?path={name}")).await;
        assert_eq!((refused.status, refused.problem().as_str()), (422, "invalid_path"), "{list}");
        let refused = create(&name, "evil").await;
        assert_eq!((refused.status, refused.json()["field"].as_str()), (422, Some("path")), "{list}: {refused:?}");
    }
    // A file that is replaced after its channel was made, alone and in a folder.
    for file in ["film.mp4", "list/1.mp4"] {
        make(&app, file, &VIDEO).await;
    }
    assert_eq!(create("film.mp4", "film").await.status, 201);
    assert_eq!(create("list", "films").await.status, 201);
    for channel in ["film", "films"] {
        assert!(play(&command(&app, channel).await).await, "{channel}");
    }
    for list in &lists {
        for (file, channel) in [("film.mp4", "film"), ("list/1.mp4", "films")] {
            std::fs::write(app.folder().join("media").join(file), list).expect("writes");
            assert!(!play(&command(&app, channel).await).await, "{channel}: {list}");
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    // Without the options the same command would ask the port.
    std::fs::write(app.folder().join("media/film.mp4"), &lists[0]).expect("writes");
    let mut words = command(&app, "film").await;
    for option in ["-protocol_whitelist", "-format_whitelist"] {
        let at = words.iter().position(|word| word == option).expect("in the command");
        words.drain(at..at + 2);
    }
    let args: Vec<_> = words[1..].iter().map(String::as_str).chain(["-f", "null", "-"]).collect();
    let _player = Program::start(&words[0], &args);
    eventually("the port is asked", async || asked.load(Ordering::SeqCst) > 0).await;
}

#[tokio::test]
async fn media_of_the_usual_formats_is_examined_and_played() {
    let app = with_folder();
    let files = [
        ("a.mp4", &VIDEO[..], "h264"),
        ("a.mov", &VIDEO, "h264"),
        ("a.mkv", &VIDEO, "h264"),
        ("a.avi", &VIDEO, "mpeg4"),
        ("a.ts", &VIDEO, "mpeg2video"),
        ("a.mpg", &VIDEO, "mpeg1video"),
        ("a.webm", &[&VIDEO[..], &["-c:v", "libvpx"]].concat(), "vp8"),
        ("a.gif", &VIDEO, "gif"),
        ("a.jpg", &[&VIDEO[..], &["-frames:v", "1"]].concat(), "mjpeg"),
        ("b.mp3", &SOUND, "mp3"),
        ("b.ogg", &SOUND, "vorbis"),
        ("b.flac", &SOUND, "flac"),
        ("b.wav", &SOUND, "pcm_s16le"),
        ("b.m4a", &SOUND, "aac"),
    ];
    for (file, options, codec) in files {
        make(&app, file, options).await;
        let info = app.get(&format!("/api/v1/media/info?path={file}")).await.json();
        let found = if file.starts_with('a') { &info["video"] } else { &info["audio"] };
        assert_eq!(found, codec, "{file}: {info}");
        if matches!(file, "a.gif" | "a.jpg") {
            continue;
        }
        let name = file.replace('.', "-");
        let made = app.admin("POST", "/api/v1/media/channel", &json!({"path": file, "name": name}).to_string()).await;
        assert_eq!(made.status, 201, "{file}: {made:?}");
        assert!(play(&command(&app, &name).await).await, "{file}");
    }
}
