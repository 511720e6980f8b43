//! A data folder on a disk that is full: what needs no new byte goes on.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    time::{Duration, Instant},
};

use super::{
    Outcome,
    wire::{HERE, USER, outcome},
};
use crate::{Result, process::Server, watcher::picture};

/// Size of the file system: the database of a new server and room to spare.
pub const SIZE: &str = "16m";

/// Rounds of sign-in, readiness and upload, with [`PAUSE`] between them, for at most [`LONGEST`].
const ROUNDS: usize = 20;
const LONGEST: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(300);

/// Fills the folder for temporary files, in which the server has its data, and keeps it full.
pub async fn fill(server: &Server) -> Result<Outcome> {
    let addr = server.addr;
    let path = std::env::temp_dir().join("filler");
    let mut filler = File::create(&path)?;
    let sign_in = async || {
        let body = br#"{"user":"alice","pass":"secret"}"#;
        outcome(addr, USER, ("POST", "/api/v1/login"), "", body).await
    };
    let (began, mut rounds) = (Instant::now(), 0);
    let (mut signed_in, mut ready, mut taken) = (0, 0, 0);
    while rounds < ROUNDS && began.elapsed() < LONGEST {
        rounds += 1;
        write_until_full(&mut filler)?;
        signed_in += usize::from(sign_in().await == "200");
        ready += usize::from(outcome(addr, HERE, ("GET", "/readyz"), "", b"").await == "200");
        let upload = ("PUT", &*format!("/api/v1/streams/disk/{rounds}/frame"));
        taken += usize::from(outcome(addr, HERE, upload, "", &picture(200_000)).await == "200");
        tokio::time::sleep(PAUSE).await;
    }
    drop(filler);
    std::fs::remove_file(path)?;
    let note = format!(
        "of {rounds} each, {signed_in} sign-ins worked, {ready} answers of readyz were 200, {taken} uploads were answered with 200. \
         A sign-in with space again: {}.",
        sign_in().await
    );
    Ok(Outcome { tried: rounds as u64, refused: (rounds - taken) as u64, note })
}

fn write_until_full(filler: &mut File) -> Result {
    // Large pieces first, and then single bytes: the last page is full, too.
    for size in [1 << 16, 1 << 10, 1] {
        let piece = vec![0; size];
        loop {
            match filler.write_all(&piece) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull => break,
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(())
}
