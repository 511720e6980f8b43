//! Twenty cameras like an ESP32, each relayed to ten watchers.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    Result,
    process::{Server, ms, percentile},
    watcher::{Tally, picture, stamp, upload, watch},
};

const CAMERAS: usize = 20;
const WATCHERS: usize = 10;
const FPS: u64 = 10;
const SECONDS: u64 = 10;

/// The size of a picture of an OV2640 with 800 × 600 pixels at its usual quality.
const BYTES: usize = 30_000;

/// Serves pictures to one client at a time, like Espressif's CameraWebServer.
async fn camera(epoch: Instant) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=123456789000000000000987654321\r\n\r\n";
            if socket.read(&mut request).await.is_err() || socket.write_all(head.as_bytes()).await.is_err() {
                continue;
            }
            let mut ticks = tokio::time::interval(Duration::from_millis(1000 / FPS));
            let mut data = picture(BYTES);
            loop {
                ticks.tick().await;
                number += 1;
                stamp(&mut data, number, epoch);
                let head = format!(
                    "\r\n--123456789000000000000987654321\r\nContent-Type: image/jpeg\r\nContent-Length: {BYTES}\r\n\r\n"
                );
                if socket.write_all(&[head.as_bytes(), &data].concat()).await.is_err() {
                    break;
                }
            }
        }
    });
    Ok(addr)
}

struct Figures {
    cpu: f64,
    pictures: u64,
    p99: Duration,
}

/// Measures from the time at which each watcher has a picture.
async fn measure(servers: &[Server], paths: &[String], epoch: Instant) -> Result<Figures> {
    let tally = Arc::new(Tally::default());
    let mut watchers = vec![];
    for (i, path) in paths.iter().enumerate() {
        for _ in 0..WATCHERS {
            let addr = servers[i % servers.len()].addr;
            watchers.push(tokio::spawn(watch(addr, path.clone(), tally.clone(), epoch)));
        }
    }
    let began = Instant::now();
    while tally.started.load(Ordering::Relaxed) < watchers.len() as u64 {
        if began.elapsed() > Duration::from_secs(20) {
            return Err(format!("only {} watchers have a picture", tally.started.load(Ordering::Relaxed)).into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let cpu = || servers.iter().map(Server::cpu).sum::<Duration>();
    let (before, pictures) = (cpu(), tally.frames.load(Ordering::Relaxed));
    tally.latencies.lock().expect("whole").clear();
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let spent = (cpu() - before).as_secs_f64() / SECONDS as f64;
    let pictures = tally.frames.load(Ordering::Relaxed) - pictures;
    let mut latencies = std::mem::take(&mut *tally.latencies.lock().expect("whole"));
    latencies.sort();
    watchers.iter().for_each(|watcher| watcher.abort());
    Ok(Figures { cpu: spent, pictures, p99: percentile(&latencies, 99) })
}

pub fn run() -> Result {
    println!(
        "{CAMERAS} cameras of {} KB at {FPS}/s, {WATCHERS} watchers each: {} pictures/s out, and {} in.\n",
        BYTES / 1000,
        CAMERAS * WATCHERS * FPS as usize,
        CAMERAS * FPS as usize
    );
    println!("| server | share of a core | ratio | pictures in {SECONDS} s | latency p99 |");
    println!("|---|---|---|---|---|");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bare = runtime.block_on(async {
        let epoch = Instant::now();
        let servers = (0..CAMERAS).map(|_| Server::reference("bare-writer")).collect::<Result<Vec<_>>>()?;
        let every = Duration::from_millis(1000 / FPS);
        for server in &servers {
            let addr = server.addr;
            tokio::spawn(async move {
                let _ = upload(addr, "/x", picture(BYTES), 1..1 + FPS * (SECONDS + 20), every, epoch).await;
            });
        }
        measure(&servers, &vec!["/x".to_owned(); CAMERAS], epoch).await
    })?;
    let ours = runtime.block_on(async {
        let epoch = Instant::now();
        let mut streams = String::new();
        for i in 0..CAMERAS {
            let addr = camera(epoch).await?;
            streams.push_str(&format!("  cam{i}: {{kind: http, url: 'http://{addr}/stream'}}\n"));
        }
        let server = Server::sidecar(&format!("streams:\n{streams}"))?;
        let paths: Vec<_> = (0..CAMERAS).map(|i| format!("/stream/cam{i}.mjpeg")).collect();
        measure(&[server], &paths, epoch).await
    })?;
    for (name, figures) in [("a bare writer for each, given its pictures", &bare), ("mtx-sidecar", &ours)] {
        println!(
            "| {name} | {:.1} % | {:.2} | {} | {} |",
            100.0 * figures.cpu,
            figures.cpu / bare.cpu,
            figures.pictures,
            ms(figures.p99)
        );
    }
    Ok(())
}
