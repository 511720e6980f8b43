//! One stream and many MJPEG watchers.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{
    Result,
    process::{Server, ms, percentile},
    watcher::{Tally, picture, upload, watch},
};

const WATCHERS: u64 = 1000;
const FPS: u64 = 10;
const SECONDS: u64 = 10;
const UPLOAD: &str = "/api/v1/streams/bench/frame";
const WATCH: &str = "/stream/bench.mjpeg";

fn runtime() -> Result<tokio::runtime::Runtime> {
    let _ = rlimit::increase_nofile_limit(20_000);
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn until(what: impl Fn() -> bool, longest: Duration) -> bool {
    let began = Instant::now();
    while !what() {
        if began.elapsed() > longest {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

struct Figures {
    cpu_per_gb: f64,
    frames: u64,
    missed: u64,
    p50: Duration,
    p99: Duration,
    rss_mib: (u64, u64),
}

async fn measure(server: &Server, bytes: usize) -> Result<Figures> {
    let epoch = Instant::now();
    let tally = Arc::new(Tally::default());
    let data = picture(bytes);
    upload(server.addr, UPLOAD, data.clone(), 1..2, Duration::from_millis(1), epoch).await?;
    let watchers: Vec<_> =
        (0..WATCHERS).map(|_| tokio::spawn(watch(server.addr, WATCH.into(), tally.clone(), epoch))).collect();
    if !until(|| tally.started.load(Ordering::Relaxed) == WATCHERS, Duration::from_secs(30)).await {
        return Err(format!("only {} watchers have a picture", tally.started.load(Ordering::Relaxed)).into());
    }
    // One second of warm-up, then the measurement.
    let every = Duration::from_millis(1000 / FPS);
    upload(server.addr, UPLOAD, data.clone(), 2..2 + FPS, every, epoch).await?;
    tokio::time::sleep(every).await;
    let (cpu, sent, rss) = (server.cpu(), tally.bytes.load(Ordering::Relaxed), server.rss_kib());
    tally.latencies.lock().expect("whole").clear();
    let frames = tally.frames.load(Ordering::Relaxed);
    upload(server.addr, UPLOAD, data, 2 + FPS..2 + FPS + FPS * SECONDS, every, epoch).await?;
    let expected = frames + WATCHERS * FPS * SECONDS;
    until(|| tally.frames.load(Ordering::Relaxed) >= expected, Duration::from_secs(2)).await;
    let cpu = (server.cpu() - cpu).as_secs_f64();
    let gigabytes = (tally.bytes.load(Ordering::Relaxed) - sent) as f64 / 1e9;
    let mut latencies = std::mem::take(&mut *tally.latencies.lock().expect("whole"));
    latencies.sort();
    let figures = Figures {
        cpu_per_gb: cpu / gigabytes,
        frames: tally.frames.load(Ordering::Relaxed) - frames,
        missed: tally.missed.load(Ordering::Relaxed),
        p50: percentile(&latencies, 50),
        p99: percentile(&latencies, 99),
        rss_mib: (rss / 1024, server.rss_kib() / 1024),
    };
    watchers.iter().for_each(|w| w.abort());
    Ok(figures)
}

pub fn run() -> Result {
    println!(
        "{WATCHERS} watchers, {FPS} pictures/s, {SECONDS} s; every watcher should get {} pictures.\n",
        FPS * SECONDS
    );
    println!(
        "| picture | server | CPU s per GB | ratio | delivered | missed | latency p50 · p99 | RSS at begin · end |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for bytes in [30_000, 200_000] {
        let runtime = runtime()?;
        let bare = {
            let server = Server::reference("bare-writer")?;
            runtime.block_on(measure(&server, bytes))?
        };
        let ours = {
            let server = Server::sidecar("")?;
            runtime.block_on(measure(&server, bytes))?
        };
        for (name, figures) in [("bare writer", &bare), ("mtx-sidecar", &ours)] {
            println!(
                "| {} KB | {name} | {:.3} | {:.2} | {} | {} | {} · {} | {} · {} MiB |",
                bytes / 1000,
                figures.cpu_per_gb,
                figures.cpu_per_gb / bare.cpu_per_gb,
                figures.frames,
                figures.missed,
                ms(figures.p50),
                ms(figures.p99),
                figures.rss_mib.0,
                figures.rss_mib.1,
            );
        }
    }
    Ok(())
}

/// Ten watchers that read nothing, and ten that read.
pub fn stalled() -> Result {
    let seconds = 60;
    let server = Server::sidecar("output: {stall_timeout: 10m}")?;
    runtime()?.block_on(async {
        let epoch = Instant::now();
        let data = picture(200_000);
        upload(server.addr, UPLOAD, data.clone(), 1..2, Duration::from_millis(1), epoch).await?;
        let tally = Arc::new(Tally::default());
        let mut sleepers = vec![];
        for _ in 0..10 {
            use tokio::io::AsyncWriteExt;
            let mut socket = tokio::net::TcpStream::connect(server.addr).await?;
            socket.write_all(format!("GET {WATCH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await?;
            sleepers.push(socket);
            tokio::spawn(watch(server.addr, WATCH.into(), tally.clone(), epoch));
        }
        until(|| tally.started.load(Ordering::Relaxed) == 10, Duration::from_secs(5)).await;
        let every = Duration::from_millis(1000 / FPS);
        upload(server.addr, UPLOAD, data.clone(), 2..32, every, epoch).await?;
        let before = server.rss_kib();
        upload(server.addr, UPLOAD, data, 32..32 + FPS * seconds, every, epoch).await?;
        let grown = server.rss_kib() as i64 - before as i64;
        println!(
            "10 readers and 10 that never read, 200 KB at {FPS}/s for {seconds} s: readers missed {}, memory grew by {grown} KiB.",
            tally.missed.load(Ordering::Relaxed)
        );
        Ok(())
    })
}

/// The time until a thousand new watchers have their first picture.
pub fn connect() -> Result {
    println!("| server | {WATCHERS} watchers connected and served |");
    println!("|---|---|");
    for reference in [true, false] {
        let server = if reference { Server::reference("bare-writer")? } else { Server::sidecar("")? };
        let elapsed = runtime()?.block_on(async {
            let epoch = Instant::now();
            upload(server.addr, UPLOAD, picture(30_000), 1..2, Duration::from_millis(1), epoch).await?;
            let tally = Arc::new(Tally::default());
            let began = Instant::now();
            for _ in 0..WATCHERS {
                tokio::spawn(watch(server.addr, WATCH.into(), tally.clone(), epoch));
            }
            let all = until(|| tally.started.load(Ordering::Relaxed) == WATCHERS, Duration::from_secs(60)).await;
            if all { Ok::<_, Box<dyn std::error::Error>>(began.elapsed()) } else { Err("not all were served".into()) }
        })?;
        println!("| {} | {} |", if reference { "bare writer" } else { "mtx-sidecar" }, ms(elapsed));
    }
    Ok(())
}
