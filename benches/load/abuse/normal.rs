//! The ordinary client: a user's snapshots, and MediaMTX's question, at a fixed pace.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::{MissedTickBehavior, timeout},
};

use super::wire::{ALICE, USER, connect, status};
use crate::{
    Result,
    auth::{call, question},
    process::Server,
};

/// Time between two snapshots, and between two questions.
pub const PACE: Duration = Duration::from_millis(20);

/// A request without an answer is given up after this time.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The stream of the snapshots.
pub const STREAM: &str = "normal";

/// The stream that MediaMTX asks for by RTSP; its picture can be decoded.
pub const VIDEO: &str = "video";

/// Bytes of the snapshots' picture.
pub const BYTES: usize = 30_000;

/// What is going on while a request is sent.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    Before,
    During,
    After,
    End,
}

/// Times of one kind of request in one phase.
#[derive(Default)]
pub struct Times {
    pub took: Vec<Duration>,
    /// Those without an answer, or with a refusal. They are in `took` with [`PATIENCE`].
    pub unanswered: u64,
}

/// What the client noticed in the three phases.
#[derive(Default)]
pub struct Seen {
    pub snapshots: [Times; 3],
    pub questions: [Times; 3],
    /// Resident memory of the server: the last value before, the highest during, the last after the attack.
    pub resident_kib: [u64; 3],
}

/// The first question verifies alice's password; it is no part of the times.
pub async fn warm_up(addr: SocketAddr) -> Result {
    let (_, is_allowed) = call(addr, &question("secret")).await?;
    snapshot(addr).await?;
    if is_allowed { Ok(()) } else { Err("MediaMTX's question about a right password was refused".into()) }
}

/// Asks until the phase is [`Phase::End`].
pub fn run(server: &Server, phase: &AtomicUsize) -> Result<Seen> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let addr = server.addr;
        let right = question("secret");
        let mut seen = Seen::default();
        let mut asked: Vec<(usize, [JoinHandle<Option<Duration>>; 2])> = vec![];
        let mut ticks = tokio::time::interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let now = phase.load(Ordering::Relaxed);
            if now >= Phase::End as usize {
                break;
            }
            let resident = server.rss_kib();
            let kept = &mut seen.resident_kib[now];
            *kept = if now == Phase::During as usize { resident.max(*kept) } else { resident };
            let right = right.clone();
            // Each in a task of its own: a slow answer delays no other request.
            asked.push((
                now,
                [
                    tokio::spawn(answered(snapshot(addr))),
                    tokio::spawn(answered(async move {
                        let (time, is_allowed) = call(addr, &right).await?;
                        if is_allowed { Ok(time) } else { Err(io::ErrorKind::PermissionDenied.into()) }
                    })),
                ],
            ));
        }
        for (phase, [snapshot, question]) in asked {
            seen.snapshots[phase].add(snapshot.await?);
            seen.questions[phase].add(question.await?);
        }
        Ok(seen)
    })
}

impl Times {
    fn add(&mut self, time: Option<Duration>) {
        self.unanswered += u64::from(time.is_none());
        self.took.push(time.unwrap_or(PATIENCE));
    }
}

async fn answered(request: impl Future<Output = io::Result<Duration>>) -> Option<Duration> {
    timeout(PATIENCE, request).await.ok()?.ok()
}

/// A snapshot on a connection of its own, to the last byte.
async fn snapshot(addr: SocketAddr) -> io::Result<Duration> {
    let began = Instant::now();
    let mut socket = connect(addr, USER).await?;
    let request = format!("GET /snapshot/{STREAM}.jpg HTTP/1.1\r\nHost: {addr}\r\n{ALICE}Connection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(2 * BYTES);
    socket.read_to_end(&mut answer).await?;
    let is_whole = status(&answer) == Some(200) && answer.len() > BYTES;
    if is_whole { Ok(began.elapsed()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
