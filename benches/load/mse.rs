//! Video by MSE: a 1080p path of MediaMTX with many viewers, and a Chromium that plays it, beside go2rtc; and a still.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use fantoccini::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Result,
    camera::Scene,
    process::{Server, free_port, ms, percentile},
    puller::Puller,
    rtsp::{put, still},
    watcher::{picture, upload},
    whep::{chromium, start},
};

const VIEWERS: u64 = 100;
const FPS: u64 = 30;
const SECONDS: u64 = 8;

/// A frame of 4 Mbit/s, on average.
const BYTES: usize = 16_700;

/// The number of a frame in its group of 60, as six blocks that are black or white.
const GROUP: usize = 60;
const BLOCKS: usize = 6;

/// Plays by the sidecar's own player until the first frame is presented.
const PLAY: &str = r#"
const [path, done] = arguments;
const video = document.createElement('video');
video.muted = true;
document.body.replaceChildren(video);
window.player?.stop();
import('/players/mse.js').then(async ({ MsePlayer }) => {
  const began = performance.now();
  const player = (window.player = new MsePlayer(video, new URL(path, location.href).href));
  video.requestVideoFrameCallback(() => done(performance.now() - began));
  await player.start();
}).catch((error) => done(String(error)));
"#;

/// From now on records when which frame is presented: the blocks at the top, and the colour of the middle.
const RECORD: &str = r#"
const video = document.querySelector('video');
const canvas = document.createElement('canvas');
[canvas.width, canvas.height] = [7, 1];
const context = canvas.getContext('2d', { willReadFrequently: true });
window.seen = [];
const frame = () => {
  const now = performance.timeOrigin + performance.now();
  for (let n = 0; n < 6; n += 1) context.drawImage(video, 64 * n + 16, 16, 32, 32, n, 0, 1, 1);
  context.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 6, 0, 1, 1);
  const { data } = context.getImageData(0, 0, 7, 1);
  let number = 0;
  for (let n = 0; n < 6; n += 1) number += data[4 * n] > 128 ? 2 ** n : 0;
  window.seen.push([now, number, data[24], data[25], data[26]]);
  video.requestVideoFrameCallback(frame);
};
video.requestVideoFrameCallback(frame);
"#;

fn runtime() -> Result<tokio::runtime::Runtime> {
    let _ = rlimit::increase_nofile_limit(20_000);
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Reads a response without looking at it.
async fn drain(addr: SocketAddr, path: &str, bytes: Arc<AtomicU64>) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(addr).await?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).await?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = socket.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        bytes.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// CPU seconds for a gigabyte, and bytes a second, with this many clients that read `path`.
async fn cost(server: &Server, path: &'static str, viewers: u64) -> Result<(f64, f64, f64)> {
    let bytes = Arc::new(AtomicU64::new(0));
    let all: Vec<_> = (0..viewers).map(|_| tokio::spawn(drain(server.addr, path, bytes.clone()))).collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (cpu, before) = (server.cpu_exact(), bytes.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let cpu = (server.cpu_exact() - cpu).as_secs_f64();
    let read = (bytes.load(Ordering::Relaxed) - before) as f64;
    all.iter().for_each(|one| one.abort());
    Ok((cpu / (read / 1e9), read / SECONDS as f64, cpu / SECONDS as f64))
}

pub fn run() -> Result {
    let filters = (0..BLOCKS).map(|n| {
        let on = format!("gte(mod(floor(mod(n\\,{GROUP})/{})\\,2)\\,1)", 1 << n);
        format!(",drawbox=x={}:y=0:w=64:h=64:color=white:t=fill:enable={on}", 64 * n)
    });
    let filters = filters.fold(",drawbox=x=0:y=0:w=384:h=64:color=black:t=fill".to_owned(), |all, one| all + &one);
    runtime()?.block_on(async {
        let Some(scene) = Scene::with(&filters).await? else { return Ok(()) };
        fan_out(&scene).await?;
        let driver = free_port()?;
        let _driver = start("chromedriver", &[&format!("--port={driver}")], &[])?;
        let client = chromium(driver, &scene.folder.path().join("profile")).await?;
        let played = in_chromium(&scene, &client).await;
        client.close().await?;
        played
    })
}

async fn fan_out(scene: &Scene) -> Result {
    println!("| server | viewers | CPU s per GB | ratio | MB/s | share of a core | sessions with MediaMTX |");
    println!("|---|---|---|---|---|---|---|");
    let bare = {
        let server = Server::reference("bare-writer")?;
        let (addr, epoch) = (server.addr, Instant::now());
        let uploading = tokio::spawn(async move {
            let numbers = 1..1 + FPS * (SECONDS + 6);
            upload(addr, "/x", picture(BYTES), numbers, Duration::from_micros(1_000_000 / FPS), epoch).await
        });
        let bare = cost(&server, "/x", VIEWERS).await?;
        uploading.abort();
        bare
    };
    println!("| bare writer | {VIEWERS} | {:.3} | 1 | {:.0} | {:.1} % | |", bare.0, bare.1 / 1e6, 100.0 * bare.2);
    for viewers in [1, VIEWERS] {
        let sessions = scene.figure("camera_connections").await?;
        let ours = cost(&scene.server, "/stream/cam.mp4", viewers).await?;
        let sessions = scene.figure("camera_connections").await? - sessions;
        println!(
            "| mtx-sidecar | {viewers} | {:.3} | {:.2} | {:.1} | {:.1} % | {sessions} |",
            ours.0,
            ours.0 / bare.0,
            ours.1 / 1e6,
            100.0 * ours.2
        );
        // Until the stream has ended.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Ok(())
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

async fn play(client: &Client, path: &str) -> Result<Duration> {
    match client.execute_async(PLAY, vec![json!(path)]).await? {
        Value::Number(millis) => Ok(Duration::from_secs_f64(millis.as_f64().unwrap_or_default() / 1000.0)),
        other => Err(format!("{path}: {other}").into()),
    }
}

async fn in_chromium(scene: &Scene, client: &Client) -> Result {
    const RUNS: usize = 15;
    let bytes = Arc::new(AtomicU64::new(0));
    let reading = tokio::spawn(drain(scene.server.addr, "/stream/cam.mp4", bytes));
    client.goto(&format!("http://{}/", scene.server.addr)).await?;
    // At its first use Chromium loads its decoder.
    play(client, "/stream/cam.mp4").await?;
    let mut times = vec![];
    for _ in 0..RUNS {
        times.push(play(client, "/stream/cam.mp4").await?);
    }
    times.sort();
    println!(
        "\nFirst frame in Chromium of a path that is being read: {} (p50), {} (worst of {RUNS}).",
        ms(percentile(&times, 50)),
        ms(times[RUNS - 1])
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    latency(scene, client, "our player").await?;
    client.execute("window.player.stop();", vec![]).await?;
    reading.abort();
    still_of(&scene.server, client).await?;
    go2rtc(scene, client).await
}

/// From the arrival of a frame at another reader of the path to its display.
async fn latency(scene: &Scene, client: &Client, name: &str) -> Result {
    const SPAN: Duration = Duration::from_secs(8);
    client.execute(RECORD, vec![]).await?;
    let mut reader = Puller::connect(scene.rtsp, "cam").await?;
    reader.play().await?;
    let (clock, origin) = (now_ms(), Instant::now());
    let (mut number, mut sent) = (None, vec![]);
    for picture in reader.pictures(SPAN).await? {
        number = if picture.is_idr { Some(0) } else { number.map(|n: usize| n + 1) };
        let at = clock + picture.at.duration_since(origin).as_secs_f64() * 1000.0;
        sent.extend(number.map(|number| (number, at)));
    }
    let seen = client.execute("return window.seen;", vec![]).await?;
    let mut times: Vec<_> = seen
        .as_array()
        .ok_or("no frames")?
        .iter()
        .filter_map(|frame| {
            let (at, number) = (frame[0].as_f64()?, usize::try_from(frame[1].as_u64()?).ok()?);
            let since = sent.iter().filter(|(sent, _)| *sent == number).map(|(_, sent)| at - sent);
            since
                .filter(|ms| (0.0..1900.0).contains(ms))
                .min_by(f64::total_cmp)
                .map(|ms| Duration::from_secs_f64(ms / 1000.0))
        })
        .collect();
    times.sort();
    if times.is_empty() {
        return Err(format!("no frame of {} was seen by {name}", sent.len()).into());
    }
    println!(
        "From MediaMTX to the display by {name}: {} (p50), {} (p95); {} frames shown of {} sent.",
        ms(percentile(&times, 50)),
        ms(percentile(&times, 95)),
        times.len(),
        sent.len()
    );
    Ok(())
}

async fn still_of(server: &Server, client: &Client) -> Result {
    const RUNS: usize = 12;
    put(server, "still", still(0)?).await?;
    let (_, _, idle) = cost(server, "/stream/still.mp4", VIEWERS).await?;
    println!("A 1080p still by MSE: {:.4} % of a core for each of {VIEWERS} viewers.", 100.0 * idle / VIEWERS as f64);
    let flat = |colour: [u8; 3]| mtx_sidecar::picture::encode_rgb(&colour.repeat(1920 * 1080), 1920, 1080, 90);
    let colours = [[200, 30, 30], [30, 160, 40]];
    put(server, "live", flat(colours[0])?.to_vec()).await?;
    play(client, "/stream/live.mp4").await?;
    client.execute(RECORD, vec![]).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut times = vec![];
    for run in 1..=RUNS {
        let colour = colours[run % 2];
        let data = flat(colour)?.to_vec();
        let began = now_ms();
        put(server, "live", data).await?;
        tokio::time::sleep(Duration::from_millis(1130)).await;
        let seen = client.execute("const seen = window.seen; window.seen = []; return seen;", vec![]).await?;
        let shows = |frame: &&Value| {
            let at = frame[0].as_f64().unwrap_or_default();
            at >= began && (0..3).all(|i| frame[i + 2].as_u64().is_some_and(|c| c.abs_diff(u64::from(colour[i])) < 30))
        };
        let first = seen.as_array().ok_or("no frames")?.iter().find(shows).ok_or("a picture is not shown")?;
        times.push(Duration::from_secs_f64((first[0].as_f64().unwrap_or_default() - began) / 1000.0));
    }
    times.sort();
    client.execute("window.player.stop();", vec![]).await?;
    println!(
        "Upload of a new 1080p picture to its display by MSE: {} (p50), {} (worst of {RUNS}).",
        ms(percentile(&times, 50)),
        ms(times[RUNS - 1])
    );
    Ok(())
}

/// go2rtc's own page and server with the same path: a `go2rtc` on PATH or in GO2RTC_BIN.
async fn go2rtc(scene: &Scene, client: &Client) -> Result {
    let program = std::env::var("GO2RTC_BIN").unwrap_or_else(|_| "go2rtc".into());
    if Command::new(&program).arg("--version").output().is_err() {
        println!("SKIPPED: there is no go2rtc on PATH or in GO2RTC_BIN to compare with");
        return Ok(());
    }
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let config = scene.folder.path().join("go2rtc.yaml");
    let text = format!(
        "api: {{listen: '{addr}'}}\nrtsp: {{listen: ''}}\nwebrtc: {{listen: ''}}\nlog: {{level: error}}\nstreams:\n  cam: 'rtsp://{}/cam'\n",
        scene.rtsp
    );
    std::fs::write(&config, text)?;
    let _go2rtc = start(&program, &["-config", &config.to_string_lossy()], &[])?;
    let began = Instant::now();
    while TcpStream::connect(addr).await.is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            return Err("go2rtc does not open its port".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.goto(&format!("http://{addr}/stream.html?src=cam&mode=mse")).await?;
    let plays = "return (document.querySelector('video')?.currentTime ?? 0) > 2";
    let began = Instant::now();
    while client.execute(plays, vec![]).await? != true {
        if began.elapsed() > Duration::from_secs(15) {
            return Err("go2rtc's player does not play".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    latency(scene, client, "go2rtc and its player").await
}
