//! Attacks by many short requests: guesses at MediaMTX's question, and names of streams.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{
    Outcome,
    wire::{ALICE, HERE, PATIENCE, USER, attacker, close_hard, connect, head, outcome, status},
};
use crate::{Result, process::Server, watcher::picture};

/// One request on a connection that is closed hard; returns the first bytes of the answer.
async fn first_bytes(addr: SocketAddr, from: std::net::Ipv4Addr, request: String) -> std::io::Result<Vec<u8>> {
    let exchange = async {
        let mut socket = connect(addr, from).await?;
        socket.write_all(request.as_bytes()).await?;
        let mut answer = vec![0; 2048];
        let n = socket.read(&mut answer).await?;
        answer.truncate(n);
        close_hard(&socket);
        Ok(answer)
    };
    timeout(PATIENCE, exchange).await.map_err(|_| std::io::ErrorKind::TimedOut)?
}

/// Guesses of alice's password, as MediaMTX asks, each with another made-up address of the client.
pub async fn guesses(server: &Server) -> Result<Outcome> {
    const A_SECOND: u64 = 5000;
    const SECONDS: u64 = 8;
    /// Guesses without an answer, at a time: a server that hangs must not take the files of this process.
    const PENDING: usize = 4096;
    let (addr, places) = (server.addr, Arc::new(Semaphore::new(PENDING)));
    let mut sent = 0;
    let mut answers = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..100 * SECONDS {
        ticks.tick().await;
        for _ in 0..A_SECOND / 100 {
            let Ok(place) = places.clone().try_acquire_owned() else { continue };
            let guess = first_bytes(addr, attacker(sent), guess(sent));
            answers.spawn(async move {
                let _place = place;
                guess.await
            });
            sent += 1;
        }
    }
    let (mut checked, mut missing) = (0, 0);
    while let Some(answer) = answers.join_next().await {
        match answer? {
            // Whether the password was compared shows in the reason alone; all other answers are refusals without a look.
            Ok(answer) if memchr::memmem::find(&answer, b"wrong user name or password").is_some() => checked += 1,
            Ok(answer) if status(&answer) == Some(204) => return Err("a guess was taken for the password".into()),
            Ok(_) => {}
            Err(_) => missing += 1,
        }
    }
    let note = format!(
        "of {sent} guesses the server compared {checked} with the password, and left {missing} without an answer. \
         A right password that was refused would be in the column of the unanswered."
    );
    Ok(Outcome { tried: sent, refused: sent - checked, note })
}

fn guess(number: u64) -> String {
    let ip = format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255);
    let secret = format!("guess{number}");
    let body = json!({
        "ip": ip, "user": "alice", "password": secret, "token": secret, "action": "read", "path": "cam1",
        "protocol": "webrtc", "id": null, "query": "", "userAgent": "Mozilla/5.0",
    })
    .to_string();
    head("POST", "/mediamtx-auth", "Content-Type: application/json\r\n", body.len()) + &body
}

/// Names of streams that no upload has made, by a caller that can read; then an upload and the administrator make a stream.
pub async fn names(server: &Server) -> Result<Outcome> {
    const NAMES: u64 = 100_000;
    const WORKERS: u64 = 64;
    const LONGEST: Duration = Duration::from_secs(15);
    let (addr, began) = (server.addr, Instant::now());
    let (next, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (next, refused) = (next.clone(), refused.clone());
        workers.spawn(async move {
            while began.elapsed() < LONGEST {
                let number = next.fetch_add(1, Relaxed);
                if number >= NAMES {
                    return;
                }
                let request = head("GET", &format!("/mjpeg-get?name=abuse/{number}"), "", 0);
                let answer = first_bytes(addr, HERE, request).await.unwrap_or_default();
                refused.fetch_add(u64::from(status(&answer) != Some(200)), Relaxed);
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker?;
    }
    let uploaded = outcome(addr, HERE, ("PUT", "/api/v1/streams/new/upload/frame"), "", &picture(5000)).await;
    let defined = br#"{"kind":"upload"}"#;
    let defined = outcome(addr, USER, ("PUT", "/api/v1/streams/new/defined"), ALICE, defined).await;
    let note = format!("an upload of a new name afterwards: {uploaded}; the administrator's new stream: {defined}.");
    Ok(Outcome { tried: next.load(Relaxed).min(NAMES), refused: refused.load(Relaxed), note })
}
