//! How fast the real MediaMTX admits sessions: with the sidecar's answer, compared with its internal authentication.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Result, auth,
    process::{Server, free_port},
    puller::Puller,
    rtsp::{put, still},
    whep::start,
};

const CONCURRENT: usize = 16;
const SECONDS: u64 = 8;

/// The credentials `alice:secret`.
const SHOWN: &str = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";

pub fn run() -> Result {
    let mediamtx = std::env::var("MEDIAMTX_BIN").unwrap_or_else(|_| "mediamtx".into());
    if std::process::Command::new(&mediamtx).arg("--version").output().is_err() {
        println!("SKIPPED: there is no mediamtx on PATH or in MEDIAMTX_BIN");
        return Ok(());
    }
    let server = Server::sidecar(&format!(
        "{}\n",
        auth::settings()?.replace(
            "users: [",
            "users: [{user: any, ips: [127.0.0.1], permissions: [{action: read, path: still}, {action: publish}]}, "
        )
    ))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(put(&server, "still", still(1)?))?;
    let argon2 = auth::settings()?;
    let argon2 = argon2.split('\'').nth(1).ok_or("no hash")?;
    let bare = Server::reference("bare-responder")?;
    let internal =
        |pass: &str| format!("authInternalUsers: [{{user: alice, pass: '{pass}', permissions: [{{action: read}}]}}]");
    let asking = |server: &Server| format!("authMethod: http\nauthHTTPAddress: http://{}/mediamtx-auth", server.addr);
    let ways = [
        ("by itself, plain password", internal("secret")),
        ("by itself, argon2 password", internal(argon2)),
        ("asking a bare responder that says yes to everything", asking(&bare)),
        ("asking **mtx-sidecar**, argon2 password", asking(&server)),
    ];
    println!("| MediaMTX decides | sessions admitted a second, {CONCURRENT} at a time |\n|---|---|");
    let mut rates = ways.each_ref().map(|_| vec![]);
    // In turns, because the speed of a machine varies over time.
    for _ in 0..3 {
        for (rates, (_, way)) in rates.iter_mut().zip(&ways) {
            rates.push(session_index(&mediamtx, way, &server, &runtime)?);
        }
    }
    for ((name, _), mut rates) in ways.iter().zip(rates) {
        rates.sort_by(f64::total_cmp);
        println!("| {name} | {:.0} |", rates[rates.len() / 2]);
    }
    Ok(())
}

fn session_index(mediamtx: &str, way: &str, server: &Server, runtime: &tokio::runtime::Runtime) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("mediamtx.yml");
    let rtsp = free_port()?;
    let text = format!(
        "{way}\nrtmp: no\nsrt: no\nmoq: no\nhls: no\nwebrtc: no\nlogLevel: error\nrtspAddress: 127.0.0.1:{rtsp}\nrtspTransports: [tcp]\npaths:\n  still: {{source: 'rtsp://{}/still', rtspTransport: tcp}}\n",
        server.rtsp
    );
    std::fs::write(&config, text)?;
    let _mediamtx = start(mediamtx, &[&config.to_string_lossy()], &[])?;
    let addr = ([127, 0, 0, 1], rtsp).into();
    runtime.block_on(async {
        let one = async move || -> Result {
            let mut client = Puller::connect(addr, "still").await?;
            client.ask("DESCRIBE", "", SHOWN).await?;
            let setup = format!("{SHOWN}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
            client.ask("SETUP", "/trackID=0", &setup).await
        };
        let began = Instant::now();
        while one().await.is_err() {
            if began.elapsed() > Duration::from_secs(15) {
                return Err("MediaMTX does not give the path".into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let until = Instant::now() + Duration::from_secs(SECONDS);
        let clients: Vec<_> = (0..CONCURRENT)
            .map(|_| {
                let count = count.clone();
                tokio::spawn(async move {
                    while Instant::now() < until {
                        one().await.map_err(|e| e.to_string())?;
                        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    Ok::<_, String>(())
                })
            })
            .collect();
        for client in clients {
            client.await??;
        }
        Ok(count.load(std::sync::atomic::Ordering::Relaxed) as f64 / SECONDS as f64)
    })
}
