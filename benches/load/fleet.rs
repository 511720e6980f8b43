//! Three nodes of a cluster and one NATS server: the cost of showing a camera that another node fetches, and of holding leases.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use mtx_sidecar::cluster::names::{Names, token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    Result,
    process::{Server, free_port, ms, percentile},
    watcher::{Tally, picture, stamp, watch},
};

const BYTES: usize = 200_000;
const FPS: u64 = 10;
const SECONDS: u64 = 10;
/// Watchers of each node.
const WATCHERS: u64 = 100;
/// How often the cost of receiving is measured.
const ROUNDS: usize = 3;
/// The time until a watcher that takes nothing is sent nothing: the kernel's buffers hold some 6 MB. The sidecar ends it after 30 s
/// (`output.stall_timeout`).
const UNTIL_FULL: Duration = Duration::from_secs(6);
/// The time until a stream has stopped after its last watcher.
const UNTIL_IDLE: Duration = Duration::from_secs(15);
const LEASES: usize = 1000;
const WATCH: &str = "/stream/cam.mjpeg";
const STREAM: &str = "cam";

/// A NATS server with its monitoring port, ended on drop.
struct Nats {
    child: Child,
    port: u16,
    monitor: u16,
    _folder: tempfile::TempDir,
}

impl Nats {
    fn start() -> Result<Self> {
        let (port, monitor, folder) = (free_port()?, free_port()?, tempfile::tempdir()?);
        let name = std::env::var("NATS_SERVER_BIN").unwrap_or_else(|_| "nats-server".into());
        let mut command = Command::new("taskset");
        command.args([
            "-c",
            "0",
            &name,
            "-a",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-m",
            &monitor.to_string(),
            "-js",
            "-sd",
        ]);
        let child = command.arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let nats = Nats { child, port, monitor, _folder: folder };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", nats.monitor)).is_err()
            || TcpStream::connect(("127.0.0.1", nats.port)).is_err()
        {
            if began.elapsed() > Duration::from_secs(10) {
                return Err("nats-server (PATH or NATS_SERVER_BIN) does not open its port".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nats)
    }

    /// Bytes that it has received and sent.
    fn bytes(&self) -> Result<u64> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.monitor))?;
        socket.write_all(b"GET /varz HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        let json: serde_json::Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap_or_default())?;
        Ok(json["in_bytes"].as_u64().unwrap_or(0) + json["out_bytes"].as_u64().unwrap_or(0))
    }

    fn node(&self, name: &str, streams: &str) -> Result<Server> {
        let cluster = format!(
            "cluster:\n  nats: ['nats://127.0.0.1:{}']\n  node: {name}\n  secret: 'a secret of the benchmark'\n",
            self.port
        );
        Server::sidecar(&format!("{cluster}{streams}"))
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `make bench`'s reference: a program that receives the pictures from NATS, and does nothing with them. Its arguments are in the
/// environment.
pub fn receiver() -> Result {
    let (url, subject) = (std::env::var("BENCH_NATS")?, std::env::var("BENCH_SUBJECT")?);
    crate::runtime()?.block_on(async {
        let options = async_nats::ConnectOptions::new().subscription_capacity(16);
        let client = options.connect(url).await?;
        let mut messages = client.subscribe(subject).await?;
        client.flush().await?;
        // The caller waits for an address.
        println!("127.0.0.1:1");
        let mut bytes = 0;
        while let Some(message) = messages.next().await {
            bytes += message.payload.len();
        }
        eprintln!("{bytes} bytes");
        Ok(())
    })
}

/// A camera on the core of the load that counts its connections.
async fn camera(epoch: Instant) -> Result<(SocketAddr, Arc<AtomicUsize>)> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let (addr, connections) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let _ = socket.set_nodelay(true);
                let _ = socket.read(&mut [0; 4096]).await;
                let mut data = picture(BYTES);
                let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n";
                socket.write_all(head.as_bytes()).await?;
                let mut ticks = tokio::time::interval(Duration::from_millis(1000 / FPS));
                for number in 1.. {
                    ticks.tick().await;
                    stamp(&mut data, number, epoch);
                    let head = format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", data.len());
                    socket.write_all(&[head.as_bytes(), &data, b"\r\n--b\r\n"].concat()).await?;
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    Ok((addr, connections))
}

async fn until(what: impl Fn() -> bool) -> Result {
    let began = Instant::now();
    while !what() {
        if began.elapsed() > Duration::from_secs(30) {
            return Err("not all watchers have a picture".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The CPU of each server over the same seconds.
async fn window(servers: &[&Server]) -> Vec<Duration> {
    let before: Vec<_> = servers.iter().map(|server| server.cpu_exact()).collect();
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    servers.iter().zip(before).map(|(server, before)| server.cpu_exact() - before).collect()
}

fn p99(tally: &Tally) -> Duration {
    let mut latencies = std::mem::take(&mut *tally.latencies.lock().expect("whole"));
    latencies.sort();
    percentile(&latencies, 99)
}

pub fn run() -> Result {
    let _ = rlimit::increase_nofile_limit(20_000);
    crate::runtime()?.block_on(streams())?;
    println!();
    crate::runtime()?.block_on(leases())
}

/// One camera, three nodes.
async fn streams() -> Result {
    let epoch = Instant::now();
    let nats = Nats::start()?;
    let (addr, connections) = camera(epoch).await?;
    let definition = format!("streams: {{{STREAM}: {{kind: http, url: 'http://{addr}/x'}}}}\n");
    let nodes = [nats.node("a", &definition)?, nats.node("b", &definition)?, nats.node("c", &definition)?];
    let subject = Names::new("mtx").subject(&["frames", &token(STREAM)]);
    let environment = [("BENCH_NATS", format!("nats://127.0.0.1:{}", nats.port)), ("BENCH_SUBJECT", subject)];
    let bare = Server::reference_with("nats-receiver", &environment)?;
    let tallies: Vec<_> = nodes.iter().map(|_| Arc::new(Tally::default())).collect();
    let begin = async |count: u64| {
        for (node, tally) in nodes.iter().zip(&tallies) {
            let started = tally.started.load(Ordering::Relaxed) + count;
            for _ in 0..count {
                tokio::spawn(watch(node.addr, WATCH.into(), tally.clone(), epoch));
            }
            // The first node has the first watcher, and holds the camera.
            until(|| tally.started.load(Ordering::Relaxed) >= started).await?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let servers = [&nodes[0], &nodes[1], &nodes[2], &bare];
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut rounds = vec![];
    for _ in 0..ROUNDS {
        let idle = window(&servers).await;
        // A watcher that takes nothing: the pictures come, and none is sent as soon as the buffers are full.
        let mut watchers = vec![];
        for node in &nodes {
            let mut watcher = tokio::net::TcpStream::connect(node.addr).await?;
            watcher.write_all(format!("GET {WATCH} HTTP/1.1\r\nHost: {}\r\n\r\n", node.addr).as_bytes()).await?;
            // The first node has the first picture, and holds the camera.
            watcher.read_exact(&mut vec![0; BYTES / 2]).await?;
            watchers.push(watcher);
        }
        tokio::time::sleep(UNTIL_FULL).await;
        let receiving = window(&servers).await;
        rounds.push((idle, receiving));
        drop(watchers);
        tokio::time::sleep(UNTIL_IDLE).await;
    }
    begin(WATCHERS).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for tally in &tallies {
        // The latencies of the start do not count.
        tally.latencies.lock().expect("whole").clear();
        tally.missed.store(0, Ordering::Relaxed);
    }
    let all = window(&servers).await;
    let p99s: Vec<_> = tallies.iter().map(|tally| p99(tally)).collect();
    let missed: u64 = tallies.iter().map(|tally| tally.missed.load(Ordering::Relaxed)).sum();
    println!(
        "{} watchers at three nodes, {FPS} pictures/s of {} KB, {SECONDS} s. The camera has had {} connection(s); pictures missed: {missed}.\n",
        3 * WATCHERS,
        BYTES / 1000,
        connections.load(Ordering::Relaxed)
    );
    println!("Receiving: {ROUNDS} times, each with a watcher at each node that takes nothing.\n");
    println!("| program | CPU idle | receiving | for the pictures, mean | ratio |");
    println!("|---|---|---|---|---|");
    let costs = |(idle, receiving): &(Vec<Duration>, Vec<Duration>), n: usize| {
        (idle[n], receiving[n], receiving[n].saturating_sub(idle[n]))
    };
    let (mut readers, mut others, mut receivers) = (vec![], vec![], vec![]);
    for round in &rounds {
        // The node that reads the camera also sends the pictures to the others, which takes twice as much. Mostly it is the first one.
        let mut of_nodes: Vec<_> = (0..3).map(|n| costs(round, n)).collect();
        of_nodes.sort_by_key(|(.., alone)| *alone);
        readers.extend(of_nodes.pop());
        others.extend(of_nodes);
        receivers.push(costs(round, 3));
    }
    let mean =
        |costs: &[(_, _, Duration)]| costs.iter().map(|(.., alone)| *alone).sum::<Duration>() / costs.len() as u32;
    let bare = mean(&receivers);
    for (name, costs) in [
        ("a node that shows them", others),
        ("the node that reads the camera", readers),
        ("bare NATS receiver", receivers),
    ] {
        let list = |of: fn(&(Duration, Duration, Duration)) -> Duration| {
            costs.iter().map(|cost| ms(of(cost))).collect::<Vec<_>>().join(", ")
        };
        println!(
            "| {name} | {} | {} | {} | {:.2} |",
            list(|cost| cost.0),
            list(|cost| cost.1),
            ms(mean(&costs)),
            mean(&costs).as_secs_f64() / bare.as_secs_f64().max(1e-9),
        );
    }
    println!("\n| node | with {WATCHERS} watchers | latency p99 (added) |");
    println!("|---|---|---|");
    let least = p99s.iter().min().copied().unwrap_or_default();
    for (n, name) in ["a", "b", "c"].iter().enumerate() {
        println!("| {name} | {} | {} ({}) |", ms(all[n]), ms(p99s[n]), ms(p99s[n].saturating_sub(least)));
    }
    Ok(())
}

/// A thousand stills that are placed, each with a watcher who is sent nothing.
async fn leases() -> Result {
    let folder = tempfile::tempdir()?;
    let media = folder.path().join("media");
    std::fs::create_dir(&media)?;
    std::fs::write(media.join("x.jpg"), picture(2000))?;
    let mut streams = format!("media: {{roots: ['{}']}}\nstreams:\n", media.display());
    for n in 0..LEASES {
        streams.push_str(&format!("  s{n}: {{kind: file, path: x.jpg, nodes: [a]}}\n"));
    }
    println!("{LEASES} streams of stills, each with a watcher, {SECONDS} s.\n");
    println!("| program | CPU of a core | NATS, in and out, of all nodes |");
    println!("|---|---|---|");
    for is_cluster in [false, true] {
        let nats = Nats::start()?;
        let server = if is_cluster { nats.node("a", &streams)? } else { Server::sidecar(&streams)? };
        // Another node, which sees all leases.
        let other = if is_cluster { Some(nats.node("b", &streams)?) } else { None };
        let tally = Arc::new(Tally::default());
        let epoch = Instant::now();
        for n in 0..LEASES {
            // An hour between repeats.
            let path = format!("/stream/s{n}.mjpeg?interval=3600000");
            tokio::spawn(watch(server.addr, path, tally.clone(), epoch));
        }
        let least = (LEASES * 2000) as u64;
        until(|| tally.bytes.load(Ordering::Relaxed) >= least).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let bytes = nats.bytes()?;
        let mut servers = vec![&server];
        servers.extend(&other);
        let cpu = window(&servers).await;
        let traffic = (nats.bytes()? - bytes) / SECONDS / 1000;
        let percent = |cpu: Duration| format!("{:.1} %", 100.0 * cpu.as_secs_f64() / SECONDS as f64);
        match is_cluster {
            false => println!("| without a cluster | {} | |", percent(cpu[0])),
            true => println!("| holder, other node | {}, {} | {traffic} KB/s |", percent(cpu[0]), percent(cpu[1])),
        }
    }
    Ok(())
}
