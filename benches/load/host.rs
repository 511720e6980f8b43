//! Many managed paths after a restart of MediaMTX, and many listeners to events.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Result,
    process::{Server, free_port, ms},
    whep::start,
};

/// All permissions for this machine, for MediaMTX and for this program.
const OPEN: &str = "auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: read}, {action: publish}, {action: playback}, {action: api}]}]}";

async fn ask(addr: std::net::SocketAddr, method: &str, path: &str, body: &str) -> Result<Value> {
    let mut socket = TcpStream::connect(addr).await?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    let mut answer = vec![];
    socket.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    // In a chunked answer only the JSON has braces.
    let (from, to) = (body.find('{').unwrap_or(0), body.rfind('}').map_or(0, |at| at + 1));
    if !head.starts_with("HTTP/1.1 2") {
        return Err(text.into_owned().into());
    }
    Ok(serde_json::from_str(body.get(from..to).unwrap_or_default()).unwrap_or_default())
}

/// A thousand managed paths: restored after a restart of the real MediaMTX, and compared when nothing has changed.
pub fn paths() -> Result {
    const PATHS: usize = 1000;
    let mediamtx = std::env::var("MEDIAMTX_BIN").unwrap_or_else(|_| "mediamtx".into());
    if std::process::Command::new(&mediamtx).arg("--version").output().is_err() {
        println!("SKIPPED: there is no mediamtx on PATH or in MEDIAMTX_BIN");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (api, rtsp) = (free_port()?, free_port()?);
    let server = Server::sidecar(&format!("mediamtx: {{api: 'http://127.0.0.1:{api}'}}\n{OPEN}"))?;
    let config = folder.path().join("mediamtx.yml");
    let auth = format!("authMethod: http\nauthHTTPAddress: http://{}/mediamtx-auth", server.addr);
    std::fs::write(
        &config,
        format!(
            "{auth}\napi: yes\napiAddress: 127.0.0.1:{api}\nrtspAddress: 127.0.0.1:{rtsp}\nrtspTransports: [tcp]\nrtmp: no\nsrt: no\nmoq: no\nhls: no\nwebrtc: no\nlogLevel: error\npaths: {{}}\n"
        ),
    )?;
    let begin = || start(&mediamtx, &[&config.to_string_lossy()], &[]);
    let host = std::net::SocketAddr::from(([127, 0, 0, 1], api));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let count = async || -> usize {
            let listed = ask(host, "GET", "/v3/config/paths/list?itemsPerPage=1", "").await.unwrap_or_default();
            listed["itemCount"].as_u64().unwrap_or(0) as usize
        };
        let mut running = begin()?;
        let all: serde_json::Map<_, _> =
            (0..PATHS).map(|n| (format!("kept/{n}"), json!({"kind": "stream", "stream": format!("s{n}")}))).collect();
        ask(server.addr, "PUT", "/api/v1/paths", &json!({ "paths": all }).to_string()).await?;
        for round in ["new", "after a restart"] {
            if round != "new" {
                drop(running);
                running = begin()?;
            }
            while ask(host, "GET", "/v3/info", "").await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let began = Instant::now();
            while count().await < PATHS {
                if began.elapsed() > Duration::from_secs(60) {
                    return Err(format!("only {} of {PATHS} paths are there", count().await).into());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            println!("{PATHS} paths, {round}: all there {} after MediaMTX's API answers.", ms(began.elapsed()));
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let cpu = server.cpu_exact();
        tokio::time::sleep(Duration::from_secs(20)).await;
        println!(
            "Looking at them when nothing has changed: {} of CPU each time (every 2 s, events included).",
            ms((server.cpu_exact() - cpu) / 10)
        );
        drop(running);
        Ok(())
    })
}

/// A thousand listeners, and a hundred events a second.
pub fn events() -> Result {
    const LISTENERS: usize = 1000;
    let server = Server::sidecar(OPEN)?;
    let _ = rlimit::increase_nofile_limit(20_000);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let heard = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        for _ in 0..LISTENERS {
            let (addr, heard) = (server.addr, heard.clone());
            tokio::spawn(async move {
                let mut socket = TcpStream::connect(addr).await?;
                socket.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await?;
                let mut buffer = vec![0; 1 << 16];
                loop {
                    let n = socket.read(&mut buffer).await?;
                    if n == 0 {
                        return Ok::<_, std::io::Error>(());
                    }
                    let events = buffer[..n].windows(7).filter(|w| *w == b"\nevent:").count();
                    heard.fetch_add(events as u64, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let tell = async |seconds: u64| -> Result<u64> {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            let mut socket = TcpStream::connect(server.addr).await?;
            let mut answer = [0; 1024];
            for n in 0..100 * seconds {
                ticks.tick().await;
                let body = format!("MTX_PATH=cam&n={n}");
                let head = format!("POST /api/v1/hooks/read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                socket.write_all(head.as_bytes()).await?;
                if socket.read(&mut answer).await? == 0 {
                    return Err("closed".into());
                }
            }
            Ok(100 * seconds)
        };
        let mut told = tell(10).await?;
        let (before, cpu) = (server.rss_kib(), server.cpu_exact());
        told += tell(30).await?;
        let used = (server.cpu_exact() - cpu).as_secs_f64() / 30.0;
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!(
            "{LISTENERS} listeners, 100 events a second for 40 s: {} of {} heard, {:.0} % of a core, {} MiB after 10 s and {} MiB after 40 s.",
            heard.load(std::sync::atomic::Ordering::Relaxed),
            told * LISTENERS as u64,
            used * 100.0,
            before / 1024,
            server.rss_kib() / 1024
        );
        Ok(())
    })
}
