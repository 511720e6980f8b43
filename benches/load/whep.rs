//! From an upload through MediaMTX by WebRTC to Chromium.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::{
    Result,
    process::{Server, free_port, ms, percentile},
    rtsp::{put, still},
};

/// Plays a path by WHEP until the first frame is presented, and records the colour of each frame from then on.
const PLAY: &str = r#"
const [url, done] = arguments;
const began = performance.now();
const pc = window.pc = new RTCPeerConnection();
pc.addTransceiver('video', { direction: 'recvonly' });
const video = document.createElement('video');
video.muted = video.autoplay = true;
document.body.replaceChildren(video);
pc.ontrack = (event) => { video.srcObject = new MediaStream([event.track]); };
const canvas = document.createElement('canvas');
canvas.width = canvas.height = 1;
const context = canvas.getContext('2d', { willReadFrequently: true });
window.seen = [];
let first = true;
const frame = () => {
  if (first) { first = false; done(performance.now() - began); }
  context.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
  window.seen.push([Date.now(), ...context.getImageData(0, 0, 1, 1).data.slice(0, 3)]);
  video.requestVideoFrameCallback(frame);
};
video.requestVideoFrameCallback(frame);
(async () => {
  await pc.setLocalDescription(await pc.createOffer());
  const headers = { 'Content-Type': 'application/sdp' };
  const answer = await fetch(url, { method: 'POST', headers, body: pc.localDescription.sdp });
  if (!answer.ok) return done(String(answer.status));
  await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
})().catch((error) => done(String(error)));
"#;

/// How long a program may take for its end.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // A signal on which it ends the processes that it has started. SIGINT is ignored in a job that a shell runs in the background.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let began = Instant::now();
        while began.elapsed() < PATIENCE && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program on both cores, unlike the load.
pub fn start(program: &str, args: &[&str], environment: &[(&str, String)]) -> Result<Ended> {
    let mut command = Command::new("taskset");
    command.args(["-c", "0,1", program]).args(args).envs(environment.iter().map(|(k, v)| (*k, v)));
    Ok(Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
}

pub fn run() -> Result {
    let mediamtx = std::env::var("MEDIAMTX_BIN").unwrap_or_else(|_| "mediamtx".into());
    if Command::new(&mediamtx).arg("--version").output().is_err() {
        println!("SKIPPED: there is no mediamtx on PATH or in MEDIAMTX_BIN");
        return Ok(());
    }
    let server = Server::sidecar("")?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("mediamtx.yml");
    let (http, rtsp) = (server.addr, server.rtsp);
    std::fs::write(
        &config,
        format!(
            "rtmp: no\nsrt: no\nmoq: no\npaths:\n  '~^pictures/(.+)$': {{source: 'rtsp://{rtsp}/$G1', rtspTransport: tcp, sourceOnDemand: yes, sourceOnDemandCloseAfter: 1s}}\n  \
            '~^recipe/(.+)$': {{runOnDemandCloseAfter: 1s, runOnDemand: 'ffmpeg -re -i http://{http}/mjpeg-get?name=$G1&type=file -c:v libx264 -preset veryfast -tune zerolatency -g 1 -pix_fmt yuv420p -profile:v baseline -color_range pc -an -f rtsp -rtsp_transport tcp rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH'}}\n"
        ),
    )?;
    let [rtsp_port, hls, webrtc, ice, driver] = [free_port()?, free_port()?, free_port()?, free_port()?, free_port()?];
    let at = |port: u16| format!("127.0.0.1:{port}");
    let environment = [
        ("MTX_RTSPADDRESS", at(rtsp_port)),
        ("MTX_RTSPTRANSPORTS", "tcp".into()),
        ("MTX_HLSADDRESS", at(hls)),
        ("MTX_WEBRTCADDRESS", at(webrtc)),
        ("MTX_WEBRTCLOCALUDPADDRESS", at(ice)),
    ];
    let _mediamtx = start(&mediamtx, &[&config.to_string_lossy()], &environment)?;
    let _driver = start("chromedriver", &[&format!("--port={driver}")], &[])?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = chromium(driver, &folder.path().join("profile")).await?;
        // Any page of this machine can be the origin.
        client.goto(&format!("http://127.0.0.1:{hls}/")).await?;
        let measured = measure(&server, &client, webrtc).await;
        client.close().await?;
        measured
    })
}

/// A Chromium, by a chromedriver at this port.
pub async fn chromium(driver: u16, profile: &Path) -> Result<Client> {
    let args = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--autoplay-policy=no-user-gesture-required",
        &format!("--user-data-dir={}", profile.display()),
    ];
    let mut capabilities = Capabilities::new();
    capabilities.insert("goog:chromeOptions".into(), json!({ "args": args }));
    let mut tries = 0;
    loop {
        let connector = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.clone())
            .connect(&format!("http://127.0.0.1:{driver}"))
            .await;
        match connector {
            Ok(client) => return Ok(client),
            Err(e) if tries > 100 => return Err(e.into()),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn measure(server: &Server, client: &Client, webrtc: u16) -> Result {
    const RUNS: u32 = 15;
    const UPLOADS: usize = 100;
    let play = async |path: String| -> Result<Duration> {
        let url = format!("http://127.0.0.1:{webrtc}/{path}/whep");
        match client.execute_async(PLAY, vec![json!(url)]).await? {
            Value::Number(millis) => Ok(Duration::from_secs_f64(millis.as_f64().unwrap_or_default() / 1000.0)),
            other => Err(format!("{path}: {other}").into()),
        }
    };
    // At its first use Chromium loads its code for WebRTC.
    put(server, "warm", still(0)?).await?;
    play("pictures/warm".into()).await?;
    for (name, prefix) in [("RTSP", "pictures"), ("the original recipe", "recipe")] {
        let mut times = vec![];
        for run in 0..RUNS {
            let stream = format!("{prefix}{run}");
            put(server, &stream, still(run)?).await?;
            times.push(play(format!("{prefix}/{stream}")).await?);
            client.execute("window.pc.close();", vec![]).await?;
        }
        times.sort();
        println!(
            "WHEP request on a cold path to the first decoded 1080p frame in Chromium, by {name}: {} (p50), {} (worst of {RUNS}).",
            ms(percentile(&times, 50)),
            ms(times[times.len() - 1])
        );
    }
    let flat = |colour: [u8; 3]| mtx_sidecar::picture::encode_rgb(&colour.repeat(1920 * 1080), 1920, 1080, 90);
    let colours = [[200, 30, 30], [30, 160, 40]];
    put(server, "live", flat(colours[0])?.to_vec()).await?;
    play("pictures/live".into()).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut times = vec![];
    for run in 1..=UPLOADS {
        let colour = colours[run % 2];
        let data = flat(colour)?.to_vec();
        let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
        put(server, "live", data).await?;
        tokio::time::sleep(Duration::from_millis(1730)).await;
        let seen = client.execute("const seen = window.seen; window.seen = []; return seen;", vec![]).await?;
        let shows = |frame: &&Value| {
            let at = frame[0].as_f64().unwrap_or_default();
            at >= began && (0..3).all(|i| frame[i + 1].as_u64().is_some_and(|c| c.abs_diff(u64::from(colour[i])) < 30))
        };
        let frames = seen.as_array().ok_or("no frames")?;
        let first = frames.iter().find(shows).ok_or_else(|| format!("the picture is not shown: {seen}"))?;
        times.push(Duration::from_secs_f64((first[0].as_f64().unwrap_or_default() - began) / 1000.0));
    }
    times.sort();
    println!(
        "Upload of a new 1080p picture to its display in a playing Chromium: {} (p50), {} (p99), {} (worst of {UPLOADS}).",
        ms(percentile(&times, 50)),
        ms(percentile(&times, 99)),
        ms(times[times.len() - 1])
    );
    Ok(())
}
