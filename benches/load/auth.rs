//! MediaMTX's authentication request: a new connection for each call, like MediaMTX, and a user with an argon2 hash.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Result,
    process::{Server, ms, percentile},
};

const CONCURRENT: usize = 32;
const SECONDS: u64 = 5;

/// The request about a user and a password, as bytes on the wire.
pub fn question(password: &str) -> String {
    let body = format!(
        r#"{{"ip":"198.51.100.7","user":"alice","password":"{password}","token":"{password}","action":"read","path":"cam1","protocol":"webrtc","id":"3f1c2f0e-8f3e-4d6b-9a53-0c1e7d7b9d11","query":"","userAgent":"Mozilla/5.0"}}"#
    );
    format!(
        "POST /mediamtx-auth HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n{body}",
        body.len()
    )
}

/// Settings with one user whose password is hashed with argon2.
pub fn settings() -> Result<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"))
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().ok_or("no input")?, b"secret\n")?;
    let hash = String::from_utf8(child.wait_with_output()?.stdout)?;
    Ok(format!(
        "auth: {{users: [{{user: alice, pass: '{}', permissions: [{{action: read}}, {{action: api}}]}}]}}",
        hash.trim()
    ))
}

/// One call on a new connection; returns its time and whether the answer was 204.
pub async fn call(addr: SocketAddr, request: &str) -> std::io::Result<(Duration, bool)> {
    let began = Instant::now();
    let mut socket = TcpStream::connect(addr).await?;
    socket.write_all(request.as_bytes()).await?;
    let mut answer = [0; 512];
    let n = socket.read(&mut answer).await?;
    let elapsed = began.elapsed();
    // Closed with a reset, so that a run does not leave a hundred thousand ports in TIME_WAIT.
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    Ok((elapsed, answer[..n].starts_with(b"HTTP/1.1 204")))
}

async fn as_fast_as_it_goes(addr: SocketAddr, request: Arc<str>) -> Result<(u64, Vec<Duration>)> {
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let callers: Vec<_> = (0..CONCURRENT)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move {
                let mut times = vec![];
                while Instant::now() < until {
                    let (time, yes) = call(addr, &request).await?;
                    if !yes {
                        return Err(std::io::Error::other("a valid password was refused"));
                    }
                    times.push(time);
                }
                Ok(times)
            })
        })
        .collect();
    let mut times = vec![];
    for caller in callers {
        times.extend(caller.await??);
    }
    times.sort();
    Ok((times.len() as u64 / SECONDS, times))
}

async fn offered(addr: SocketAddr, request: Arc<str>, a_second: u64) -> Result<Vec<Duration>> {
    let mut ticks = tokio::time::interval(Duration::from_nanos(1_000_000_000 / a_second));
    let mut calls = vec![];
    for _ in 0..a_second * SECONDS {
        ticks.tick().await;
        let request = request.clone();
        calls.push(tokio::spawn(async move { call(addr, &request).await }));
    }
    let mut times = vec![];
    for call in calls {
        times.push(call.await??.0);
    }
    times.sort();
    Ok(times)
}

pub fn run() -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request: Arc<str> = question("secret").into();
    println!("| server | calls/s, {CONCURRENT} at a time | ratio | p50 · p99 | p99 at 500/s offered |");
    println!("|---|---|---|---|---|");
    let mut reference = 0.0;
    for name in ["bare responder", "mtx-sidecar"] {
        let is_bare = name == "bare responder";
        let server = if is_bare { Server::reference("bare-responder")? } else { Server::sidecar(&settings()?)? };
        let (first, _) = runtime.block_on(call(server.addr, &request))?;
        runtime.block_on(as_fast_as_it_goes(server.addr, request.clone()))?;
        let (rate, times) = runtime.block_on(as_fast_as_it_goes(server.addr, request.clone()))?;
        let calm = runtime.block_on(offered(server.addr, request.clone(), 500))?;
        if is_bare {
            reference = rate as f64;
        }
        println!(
            "| {name} | {rate} | {:.2} | {} · {} | {} |",
            rate as f64 / reference,
            ms(percentile(&times, 50)),
            ms(percentile(&times, 99)),
            ms(percentile(&calm, 99)),
        );
        if !is_bare {
            println!("\nThe first call, which verifies the argon2 password: {}.", ms(first));
        }
    }
    Ok(())
}
