//! Attacks that hold connections: idle ones, listeners, unread answers, slow heads and bodies, slow RTSP.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Outcome, normal,
    wire::{
        ALICE, CAMERA, HERE, PATIENCE, USER, ask_json, attacker, connect, connect_narrow, has_closed, head, outcome,
        status,
    },
};
use crate::{Result, process::Server, puller::Puller, rtsp::put, watcher::picture};

/// How long the attacker holds its connections: longer than the 10 s that the server gives the head of a request.
const HOLD: Duration = Duration::from_secs(11);

/// More than the default of `limits.connections`.
const MORE_THAN_PLACES: u64 = 13_000;

/// Connections that the attacker begins every 10 ms. What holding them costs is measured, and not a flood of new ones, which
/// keeps the one core of the server busy with accepting alone.
const EVERY_10_MS: u64 = 25;

/// Most connections that have not begun yet.
const CONCURRENT: usize = 256;

/// No new connection is made after this time, whatever their number is by then.
const LONGEST: Duration = Duration::from_secs(15);

/// What one connection of an attack is after its beginning.
enum Begun {
    Held(TcpStream),
    Refused,
}

/// The connections of an attack after their beginning.
struct Connections {
    held: Vec<TcpStream>,
    tried: u64,
    refused: u64,
}

impl Connections {
    /// Begins so many, at the pace of [`EVERY_10_MS`] and for at most [`LONGEST`].
    async fn begin<F>(most: u64, one: impl Fn(u64) -> F) -> Result<Self>
    where
        F: Future<Output = std::io::Result<Begun>> + Send + 'static,
    {
        let (began, places) = (Instant::now(), Arc::new(Semaphore::new(CONCURRENT)));
        let (mut begun, mut tried) = (JoinSet::new(), 0_u64);
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while tried < most && began.elapsed() < LONGEST {
            if tried.is_multiple_of(EVERY_10_MS) {
                ticks.tick().await;
            }
            let place = places.clone().acquire_owned().await?;
            let connection = one(tried);
            begun.spawn(async move {
                let _place = place;
                timeout(PATIENCE, connection).await
            });
            tried += 1;
        }
        let mut all = Connections { held: vec![], tried, refused: 0 };
        while let Some(connection) = begun.join_next().await {
            match connection? {
                Ok(Ok(Begun::Held(socket))) => all.held.push(socket),
                _ => all.refused += 1,
            }
        }
        Ok(all)
    }

    /// Begins connections that send these bytes and wait for nothing.
    async fn begin_with(addr: SocketAddr, most: u64, bytes: &'static [u8]) -> Result<Self> {
        Self::begin(most, move |number| async move {
            let mut socket = connect(addr, attacker(number)).await?;
            socket.write_all(bytes).await?;
            Ok(Begun::Held(socket))
        })
        .await
    }

    /// Those that the server has closed since.
    fn closed(&self) -> u64 {
        self.held.iter().filter(|socket| has_closed(socket)).count() as u64
    }

    /// Closes them.
    fn end(self, note: String) -> Outcome {
        Outcome { tried: self.tried, refused: self.refused + self.closed(), note }
    }
}

/// Begins, holds, and counts what the server has closed by then.
async fn hold(addr: SocketAddr, most: u64, bytes: &'static [u8]) -> Result<Outcome> {
    let connections = Connections::begin_with(addr, most, bytes).await?;
    sleep(HOLD).await;
    Ok(connections.end(String::new()))
}

pub async fn idle(server: &Server) -> Result<Outcome> {
    hold(server.addr, 10_000, b"").await
}

/// One byte of a head, and then silence.
pub async fn first_heads(server: &Server) -> Result<Outcome> {
    hold(server.addr, MORE_THAN_PLACES, b"G").await
}

/// A whole request, and then one byte of the next head.
pub async fn second_heads(server: &Server) -> Result<Outcome> {
    let addr = server.addr;
    let connections = Connections::begin(MORE_THAN_PLACES, move |number| async move {
        let mut socket = connect(addr, attacker(number)).await?;
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await?;
        let mut answer = [0; 1024];
        let n = socket.read(&mut answer).await?;
        if status(&answer[..n]) != Some(200) {
            return Ok(Begun::Refused);
        }
        socket.write_all(b"G").await?;
        Ok(Begun::Held(socket))
    })
    .await?;
    sleep(HOLD).await;
    Ok(connections.end(String::new()))
}

/// Half are uploads of a camera with one byte a second, half are sign-ins whose promised body does not come.
pub async fn bodies(server: &Server) -> Result<Outcome> {
    let addr = server.addr;
    let connections = Connections::begin(MORE_THAN_PLACES, move |number| async move {
        let mut socket = connect(addr, attacker(number)).await?;
        let head = match number % 2 {
            0 => head("PUT", &format!("/api/v1/streams/slow/{number}/frame"), CAMERA, 100_000),
            _ => head("POST", "/api/v1/login", "", 1000),
        };
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(if number.is_multiple_of(2) { b"\xFF" } else { b"{" }).await?;
        Ok(Begun::Held(socket))
    })
    .await?;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..HOLD.as_secs() {
        seconds.tick().await;
        for socket in &connections.held {
            // Also for the sign-ins, whose body is no less slow by it.
            let _ = socket.try_write(b" ");
        }
    }
    Ok(connections.end(String::new()))
}

/// More RTSP connections than `rtsp.max_connections`, each with one byte.
pub async fn rtsp(server: &Server) -> Result<Outcome> {
    const COUNT: u64 = 4200;
    let connections = Connections::begin_with(server.rtsp, COUNT, b"D").await?;
    let early = describes(server).await;
    sleep(HOLD).await;
    let note = format!("MediaMTX's DESCRIBE at the beginning: {early}; at the end: {}.", describes(server).await);
    Ok(connections.end(note))
}

/// Whether MediaMTX, on this machine, gets the description of a stream.
async fn describes(server: &Server) -> &'static str {
    let describe = async {
        let mut client = Puller::connect(server.rtsp, normal::VIDEO).await?;
        client.ask("DESCRIBE", "", "").await
    };
    match timeout(PATIENCE, describe).await {
        Ok(Ok(())) => "answered",
        Ok(Err(_)) => "refused",
        Err(_) => "without an answer",
    }
}

/// Listeners to events who show no credentials.
pub async fn listeners(server: &Server) -> Result<Outcome> {
    const COUNT: u64 = 10_000;
    let addr = server.addr;
    let connections = Connections::begin(COUNT, move |number| async move {
        let mut socket = connect(addr, attacker(number)).await?;
        socket.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await?;
        let mut answer = [0; 1024];
        let n = socket.read(&mut answer).await?;
        Ok(if status(&answer[..n]) == Some(200) { Begun::Held(socket) } else { Begun::Refused })
    })
    .await?;
    let watched = watches(addr, USER, ALICE).await;
    let described = describes(server).await;
    sleep(HOLD).await;
    Ok(connections.end(format!("a user's MJPEG meanwhile: {watched}; MediaMTX's DESCRIBE: {described}.")))
}

/// The status of MJPEG for this caller.
async fn watches(addr: SocketAddr, from: Ipv4Addr, headers: &str) -> String {
    let watch = async {
        let mut socket = connect(addr, from).await?;
        socket.write_all(head("GET", &format!("/stream/{}.mjpeg", normal::STREAM), headers, 0).as_bytes()).await?;
        let mut answer = [0; 1024];
        let n = socket.read(&mut answer).await?;
        Ok::<_, std::io::Error>(status(&answer[..n]).unwrap_or_default())
    };
    match timeout(PATIENCE, watch).await {
        Ok(Ok(status)) => status.to_string(),
        Ok(Err(e)) => e.to_string(),
        Err(_) => "without an answer".into(),
    }
}

/// Snapshots by a share link that the attacker asks for and does not read; at the end the share is revoked.
pub async fn unread(server: &Server) -> Result<Outcome> {
    const COUNT: u64 = 1500;
    let addr = server.addr;
    put(server, "large", picture(2_600_000)).await?;
    let wanted = json!({"path": "large", "expires": "1h"}).to_string();
    let share = ask_json(addr, "POST", "/api/v1/shares", wanted.as_bytes()).await?;
    let text = |key: &str| share[key].as_str().map(str::to_owned).ok_or("a share without its code");
    let (id, code) = (text("id")?, text("code")?);
    let request: Arc<str> = head("GET", &format!("/snapshot/large.jpg?token={code}"), "", 0).into();
    let connections = Connections::begin(COUNT, move |number| {
        let request = request.clone();
        async move {
            let mut socket = connect_narrow(addr, attacker(number)).await?;
            socket.write_all(request.as_bytes()).await?;
            Ok(Begun::Held(socket))
        }
    })
    .await?;
    sleep(HOLD / 2).await;
    let listed = match ask_json(addr, "GET", "/api/v1/sessions", b"").await {
        Ok(list) => {
            list["sessions"].as_array().map_or(0, |all| all.iter().filter(|one| is_ours(one)).count()).to_string()
        }
        Err(e) => format!("({e})"),
    };
    let revoked = outcome(addr, USER, ("DELETE", &format!("/api/v1/shares/{id}")), ALICE, b"").await;
    sleep(HOLD / 4).await;
    let ended = connections.closed();
    let here = watches(addr, HERE, "").await;
    let note = format!(
        "{listed} are in the list of sessions, {ended} end when the share is revoked ({revoked}); MJPEG on this machine afterwards: {here}."
    );
    Ok(Outcome { tried: connections.tried, refused: connections.refused + ended, note })
}

fn is_ours(session: &Value) -> bool {
    session["server"] == "sidecar"
}
