//! `make soak`: a server under a load of everything for a long time. It fails when memory, open files, threads or tasks grow, when
//! pictures come later than at the beginning, or when a watcher sees none.

mod changes;
mod clients;
mod peers;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use self::{
    changes::{come_and_go, guess, numbers, question, sign_in, vanish},
    clients::{again, define, events, mjpeg, mp4, push, read_at_mediamtx, snapshots, video, websocket},
    peers::Peers,
};
use crate::{
    Result,
    mqtt::metric,
    process::{Server, ms, percentile},
    rtsp::put,
    variants::photo,
    watcher::{self, Tally},
};

/// A stream is idle soon after its last watcher, so that visitors start it repeatedly. The last lines go on with the streams of the
/// peers.
const SETTINGS: &str = "
stream_defaults: {linger: 100ms}
auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: read}, {action: publish}, {action: api}, {action: metrics}]}]}
";
const STREAMS: &str = "  card: {kind: test-card, width: 320, height: 180, fps: 10}
  clock: {kind: derived, of: card, overlay: [{text: '{name} {time:%T}'}]}
  wall: {kind: mosaic, tiles: [card, pushed, udp, still], w: 320, h: 180, fps: 5}
  chart: {kind: graph}
  lazy: {kind: test-card, width: 160, height: 90, fps: 10}
  pushed: {kind: upload}
  still: {kind: upload}
";

/// Every watcher must have received a new picture in this time. A restart of MediaMTX takes a second or two of it.
const WINDOW: Duration = Duration::from_secs(15);

/// Between the first and the last quarter of the samples memory can grow by a tenth and this amount, which the allocator keeps for threads
/// that were not busy before.
const SLACK_KIB: u64 = 8 << 10;

/// The number of open connections, threads and tasks can vary by this amount.
const SLACK: u64 = 16;

/// The latency of an uploaded picture can vary by this amount: the load and MediaMTX's restarts use the same cores.
const SLACK_LATENCY: Duration = Duration::from_millis(50);

/// How a client ends: it runs until it fails.
type Ended = std::result::Result<Infallible, String>;

type Client = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// What is looked at each second.
#[derive(Clone, Copy)]
struct Sample {
    rss_kib: u64,
    files: u64,
    threads: u64,
    tasks: u64,
}

pub fn run(seconds: u64) -> Result {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(soak(seconds))
}

async fn soak(seconds: u64) -> Result {
    let peers = Peers::new().await?;
    let server = &Server::sidecar(&format!("{SETTINGS}{}{STREAMS}", peers.settings()))?;
    let addr = server.addr;
    peers.restart_forever(server)?;
    peers.publish_forever()?;
    put(server, "still", photo(640, 360, 1)?).await?;
    // A camera by RTSP: the server itself.
    define(addr, "streams/lens", &format!(r#"{{"kind": "rtsp", "url": "rtsp://{}/card"}}"#, server.rtsp)).await?;
    // And one by HTTP.
    define(addr, "streams/web", &format!(r#"{{"kind": "http", "url": "http://{addr}/stream/card.mjpeg"}}"#)).await?;
    define(addr, "users/sam", &format!(r#"{{"pass": "{}"}}"#, changes::PASSWORD)).await?;
    let mut clients = JoinSet::new();
    let mut counts = vec![];
    let mut start = |name: String, client: &dyn Fn(Arc<AtomicU64>) -> Client| {
        let count = Arc::new(AtomicU64::new(0));
        counts.push((name.clone(), count.clone(), 0));
        let client = client(count);
        clients.spawn(async move {
            let Err(problem) = client.await;
            format!("{name}: {problem}")
        });
    };
    let (epoch, tally) = (Instant::now(), Arc::new(Tally::default()));
    start("an uploader".into(), &|count| Box::pin(push(addr, count, epoch)));
    let mut watched = vec![
        "/stream/card.mjpeg",
        "/stream/card.mjpeg?w=160&quality=60",
        "/stream/card.mjpeg?fps=5&gray=1",
        "/stream/pushed.mjpeg",
        "/stream/udp.mjpeg",
        "/stream/lens.mjpeg",
        "/stream/web.mjpeg",
        "/stream/clock.mjpeg",
        "/stream/wall.mjpeg",
        "/stream/chart.mjpeg",
    ];
    if peers.has_broker() {
        watched.push("/stream/topic.mjpeg");
    }
    for path in watched {
        start(format!("MJPEG of {path}"), &|count| Box::pin(mjpeg(addr, path.to_owned(), u64::MAX, count)));
    }
    for path in ["/ws/card", "/ws/pushed", "/ws/lens?video=1"] {
        start(format!("WebSocket of {path}"), &|count| Box::pin(websocket(addr, path, count)));
    }
    for path in ["/stream/lens.mp4", "/stream/still.mp4"] {
        start(format!("MP4 of {path}"), &|count| Box::pin(mp4(addr, path, u64::MAX, count)));
    }
    start("visitors of MP4".into(), &|count| Box::pin(mp4(addr, "/stream/lazy.mp4", 2, count)));
    start("RTSP of card".into(), &|count| Box::pin(video(server.rtsp, "card", u64::MAX, count)));
    for path in ["/stream/card.mjpeg", "/stream/lazy.mjpeg", "/stream/lazy.mjpeg?w=80"] {
        start(format!("visitors of {path}"), &|count| Box::pin(mjpeg(addr, path.to_owned(), 2, count)));
    }
    start("visitors by RTSP".into(), &|count| Box::pin(video(server.rtsp, "lazy", 2, count)));
    start("snapshots".into(), &|count| Box::pin(snapshots(addr, count)));
    start("clients that vanish".into(), &|count| Box::pin(vanish(addr, count)));
    start("wrong passwords".into(), &|count| Box::pin(guess(addr, count)));
    start("wrong passwords at MediaMTX".into(), &|count| Box::pin(question(addr, count)));
    start("sign-ins".into(), &|count| Box::pin(sign_in(addr, count)));
    start("streams that come and go".into(), &|count| Box::pin(come_and_go(addr, count)));
    start("numbers of a graph".into(), &|count| Box::pin(numbers(addr, count)));
    start("a listener to events".into(), &|count| Box::pin(events(addr, count)));
    if let Some(host) = peers.host() {
        define(addr, "paths/kept", r#"{"kind": "stream", "stream": "card"}"#).await?;
        for path in ["pictures/card", "kept"] {
            start(format!("a reader of {path} at MediaMTX"), &|count| Box::pin(read_at_mediamtx(host, path, count)));
        }
        // A path of MediaMTX as pictures.
        start("MJPEG of MediaMTX's path".into(), &|count| {
            Box::pin(again(move || mjpeg(addr, "/stream/copy.mjpeg".into(), u64::MAX, count.clone())))
        });
    }
    tokio::spawn({
        let tally = tally.clone();
        async move { watcher::watch(addr, "/stream/pushed.mjpeg".into(), tally, epoch).await }
    });

    let (began, mut samples, mut looked) = (Instant::now(), vec![], Instant::now());
    let (mut early, mut failed) = (0, None);
    while failed.is_none() && began.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Some(problem) = clients.try_join_next() {
            failed = Some(problem?);
        }
        if looked.elapsed() >= WINDOW {
            looked = Instant::now();
            for (name, count, before) in &mut counts {
                let now = count.load(Ordering::Relaxed);
                if now == *before {
                    failed = Some(format!("{name}: nothing new in {} s, {now} in all", WINDOW.as_secs()));
                }
                *before = now;
            }
        }
        // The first quarter of the time is for memory that is allocated once.
        if began.elapsed() >= Duration::from_secs(seconds / 4) {
            if samples.is_empty() {
                early = tally.latencies.lock().expect("whole").len();
            }
            let tasks = tokio::task::block_in_place(|| metric(server, "tasks"))? as u64;
            let (rss_kib, files, threads) = (server.rss_kib(), server.open_files(), server.threads());
            samples.push(Sample { rss_kib, files, threads, tasks });
        }
    }
    for (name, count, _) in &counts {
        println!("{name}: {}", count.load(Ordering::Relaxed));
    }
    let latencies = tally.latencies.lock().expect("whole").split_off(early);
    let judged = judge(&samples, &latencies);
    // The figures until then are printed before.
    match failed {
        Some(problem) => Err(format!("after {} s: {problem}", began.elapsed().as_secs()).into()),
        None => judged,
    }
}

fn judge(samples: &[Sample], latencies: &[Duration]) -> Result {
    let quarter = samples.len() / 4;
    if quarter < 5 {
        return Err("a soak takes at least 30 s".into());
    }
    let mean = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).sum::<u64>() / quarter as u64;
    let (early, late) = (&samples[..quarter], &samples[samples.len() - quarter..]);
    let mut grown = vec![];
    let mut compare = |what: &str, of: fn(&Sample) -> u64, slack: fn(u64) -> u64| {
        let (early, late) = (mean(early, of), mean(late, of));
        println!("{what}: {early} early, {late} late");
        if late > early + slack(early) {
            grown.push(format!("{what}: from {early} to {late}"));
        }
    };
    compare("memory in KiB", |sample| sample.rss_kib, |early| early / 10 + SLACK_KIB);
    compare("open files", |sample| sample.files, |_| SLACK);
    compare("threads", |sample| sample.threads, |_| SLACK);
    compare("tasks", |sample| sample.tasks, |_| SLACK);
    let sorted = |part: &[Duration]| {
        let mut part = part.to_vec();
        part.sort();
        part
    };
    let quarter = latencies.len() / 4;
    let (early, late) = (sorted(&latencies[..quarter]), sorted(&latencies[latencies.len() - quarter..]));
    for percent in [50, 95] {
        let (early, late) = (percentile(&early, percent), percentile(&late, percent));
        println!("latency of an uploaded picture, {percent} %: {} early, {} late", ms(early), ms(late));
        if late > early * 2 + SLACK_LATENCY {
            grown.push(format!("latency: from {} to {}", ms(early), ms(late)));
        }
    }
    if grown.is_empty() { Ok(()) } else { Err(format!("these grow: {}", grown.join("; ")).into()) }
}
