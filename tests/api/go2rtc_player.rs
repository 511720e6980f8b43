//! go2rtc's own player, `video-rtc.js`, unmodified in Chromium. go2rtc itself is in no registry; the npm package of an adapter of
//! ioBroker has its player. The test downloads it, and is skipped without it.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{
    browser::Browser,
    support::{TestApp, close_to, eventually, flat_picture, skip},
};

const PACKAGE: &str = "iobroker.eusec";
const VERSION: &str = "3.3.0";

/// SHA-256 of `www/video-rtc.js` in go2rtc 1.9.3 to 1.9.8.
const UNMODIFIED: &str = "b76b13f8be241b0024a5b6f262037a53aa9d1440cee962faedfa3ee25797ff86";

const RED: [u8; 3] = [200, 40, 40];
const GREEN: [u8; 3] = [40, 160, 60];
const BLUE: [u8; 3] = [40, 60, 200];

/// A page with a player for each mode.
const PAGE: &str = r#"<!doctype html><title>go2rtc's player</title><body><script type="module">
import { VideoRTC } from './video-rtc.js';
customElements.define('video-rtc', VideoRTC);
// In its mode MP4 the player calls this function without its element, which browsers refuse ("Illegal invocation").
const { canPlayType } = HTMLMediaElement.prototype;
HTMLMediaElement.prototype.canPlayType = (type) => canPlayType.call(document.createElement('video'), type);
window.players = [];
window.play = (src, mode) => {
    const player = document.createElement('video-rtc');
    player.mode = mode;
    player.pcConfig.iceServers = [];
    player.style.cssText = 'display: inline-block; width: 320px; height: 180px';
    document.body.append(player);
    player.src = new URL('api/ws?src=' + encodeURIComponent(src), location.href);
    players.push(player);
};
// The colour in the middle of what a player shows: a frame of its video, or its poster.
window.colour = async (player) => {
    let shown = player.video;
    if (shown.poster) {
        shown = new Image();
        shown.src = player.video.poster;
        await shown.decode();
    }
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const context = canvas.getContext('2d');
    context.drawImage(shown, 0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
window.isReady = true;
</script>"#;

/// The player; none where it cannot be downloaded.
async fn player() -> Option<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/go2rtc-player");
    let script = folder.join(format!("video-rtc-{VERSION}.js"));
    if !script.is_file() {
        std::fs::create_dir_all(&folder).expect("a folder");
        download(&folder, &script).await;
    }
    let text = std::fs::read(&script).ok().filter(|text| !text.is_empty());
    if text.is_none() {
        skip::skip(&format!(
            "go2rtc's player is not in target/go2rtc-player, and `npm pack {PACKAGE}` does not fetch it"
        ));
    }
    text
}

async fn download(folder: &Path, script: &Path) {
    let fetched = tokio::process::Command::new("npm")
        .args(["pack", "--silent", &format!("{PACKAGE}@{VERSION}"), "--pack-destination"])
        .arg(folder)
        .output()
        .await;
    if fetched.is_ok_and(|output| output.status.success()) {
        let archive = folder.join(format!("{PACKAGE}-{VERSION}.tgz"));
        let mut tar = tokio::process::Command::new("tar");
        let unpacked = tar.arg("-xzOf").arg(archive).arg("package/www/video-rtc.js").output().await.expect("tar");
        std::fs::write(script, unpacked.stdout).expect("writes");
    }
}

async fn open(app: &TestApp) -> Browser {
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/go2rtc.html", app.addr)).await.expect("loads");
    eventually("the page has its player", async || browser.run("return window.isReady").await == true).await;
    browser
}

async fn shows(browser: &Browser, player: usize, colour: [u8; 3]) {
    let script = format!("const done = arguments[0]; colour(players[{player}]).then(done, (e) => done([String(e)]))");
    eventually(&format!("player {player} shows the colour"), async || {
        let shown = browser.client.execute_async(&script, vec![]).await.expect("runs");
        serde_json::from_value::<[u8; 3]>(shown).is_ok_and(|shown| close_to(shown, colour))
    })
    .await;
}

#[tokio::test]
async fn the_player_of_go2rtc_plays_streams_by_mse_mjpeg_and_mp4_without_a_change() {
    let Some(script) = player().await else { return };
    let digest = Sha256::digest(&script).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(digest, UNMODIFIED, "{PACKAGE} has the player of another version of go2rtc");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("video-rtc.js"), script).expect("writes");
    std::fs::write(folder.path().join("go2rtc.html"), PAGE).expect("writes");
    let settings = format!(
        "{{http: {{static_dir: '{}'}}, streams: {{card: {{kind: test-card, width: 160, height: 90, fps: 10}}}}}}",
        folder.path().display()
    );
    let app = TestApp::with(&settings);
    let show = async |colour| app.put("/api/v1/streams/Front/Door/frame", &flat_picture(320, 180, colour)).await;
    show(RED).await;
    let browser = open(&app).await;
    // The third asks for WebRTC and MSE at once, as the player does by itself. The first has no answer here.
    for mode in ["mse", "mjpeg", "webrtc,mse,hls,mjpeg", "mp4"] {
        browser.run(&format!("play('Front/Door', '{mode}')")).await;
    }
    browser.run("play('card', 'mse')").await;
    for colour in [RED, GREEN, BLUE] {
        show(colour).await;
        for player in 0..4 {
            shows(&browser, player, colour).await;
        }
    }
    browser.keep_screenshot("go2rtc-player").await;
    let codecs = browser.run("return players.map((player) => player.mseCodecs)").await;
    for player in [0, 2, 4] {
        let codecs = codecs[player].as_str().unwrap_or_default();
        assert!(codecs.starts_with("video/mp4; codecs=\"avc1."), "player {player}: {codecs}");
    }
    let played = "return players[4].video.currentTime > 0";
    eventually("the stream that moves is played", async || browser.run(played).await == true).await;
    browser.run("for (const player of players) player.remove()").await;
    for name in ["Front/Door", "card"] {
        eventually("the player has disconnected", async || app.stats(name).await["watchers"] == 0).await;
    }
    browser.close().await;
}
