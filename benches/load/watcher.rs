//! MJPEG watchers that count pictures, and the uploader of these pictures.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The counts of all watchers of a run.
#[derive(Default)]
pub struct Tally {
    pub bytes: AtomicU64,
    /// Distinct pictures, summed over watchers.
    pub frames: AtomicU64,
    /// Pictures that a watcher did not receive.
    pub missed: AtomicU64,
    /// Watchers that have had their first picture.
    pub started: AtomicU64,
    pub latencies: Mutex<Vec<Duration>>,
}

/// A JPEG of about this number of bytes, with room for a number and a time after its SOI marker.
pub fn picture(bytes: usize) -> Vec<u8> {
    let mut data = b"\xFF\xD8\xFF\xFE\x00\x12NNNNNNNNTTTTTTTT".to_vec();
    // The smallest frame, 8 × 8 gray. After its scan come bytes that contain no marker.
    data.extend_from_slice(b"\xFF\xDB\x00\x43\x00");
    data.extend_from_slice(&[1; 64]);
    data.extend_from_slice(b"\xFF\xC0\x00\x0B\x08\x00\x08\x00\x08\x01\x01\x11\x00");
    data.extend_from_slice(b"\xFF\xC4\x00\x14\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x00");
    data.extend_from_slice(b"\xFF\xC4\x00\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x00");
    data.extend_from_slice(b"\xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00");
    data.resize(bytes - 2, 0x55);
    data.extend_from_slice(b"\xFF\xD9");
    data
}

/// Puts the number and the time (since `epoch`) into the picture.
pub fn stamp(picture: &mut [u8], number: u64, epoch: Instant) {
    picture[6..14].copy_from_slice(&number.to_be_bytes());
    picture[14..22].copy_from_slice(&(epoch.elapsed().as_nanos() as u64).to_be_bytes());
}

/// Watches until the connection ends.
pub async fn watch(addr: SocketAddr, path: String, tally: Arc<Tally>, epoch: Instant) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(addr).await?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: bench\r\n\r\n").as_bytes()).await?;
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    // The missing bytes of the current picture, and its stamp.
    let mut rest = 0;
    let mut present: Option<(u64, u64)> = None;
    let mut last = 0;
    loop {
        socket.readable().await?;
        // All watchers read pictures into the same buffer, which stays in the cache, so that the load does not
        // determine the result.
        let read = if rest > 0 {
            DISCARDED.with_borrow_mut(|discarded| {
                let most = rest.min(discarded.len());
                socket.try_read(&mut discarded[..most])
            })
        } else {
            socket.try_read(&mut buffer[filled..])
        };
        let n = match read {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(e) => return Err(e),
        };
        tally.bytes.fetch_add(n as u64, Ordering::Relaxed);
        if rest > 0 {
            rest -= n;
            if rest == 0 {
                count(&tally, present.take(), &mut last, epoch);
            }
            continue;
        }
        filled += n;
        let mut at = 0;
        loop {
            if rest > 0 {
                let here = rest.min(filled - at);
                at += here;
                rest -= here;
                if rest > 0 {
                    break;
                }
                count(&tally, present.take(), &mut last, epoch);
            }
            // The head of the next part, and the bytes of the picture that contain the stamp.
            let window = &buffer[at..filled];
            let Some(length_at) = find(window, b"Content-Length: ") else { break };
            let Some(head) = find(&window[length_at..], b"\r\n\r\n").map(|n| length_at + n + 4) else { break };
            if window.len() < head + 22 {
                break;
            }
            let digits = window[length_at + 16..].iter().take_while(|b| b.is_ascii_digit());
            rest = digits.fold(0, |n, d| n * 10 + usize::from(d - b'0'));
            let number =
                |from: usize| u64::from_be_bytes(window[head + from..head + from + 8].try_into().expect("eight"));
            let is_ours = window[head..].starts_with(b"\xFF\xD8\xFF\xFE\x00\x12");
            present = is_ours.then(|| (number(6), number(14)));
            at += head;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

thread_local! {
    static DISCARDED: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; 1 << 18]);
}

/// Counts a picture that is complete, unless it is a repeat.
fn count(tally: &Tally, stamp: Option<(u64, u64)>, last: &mut u64, epoch: Instant) {
    let Some((number, stamped)) = stamp.filter(|(number, _)| *number > *last) else { return };
    let now = epoch.elapsed().as_nanos() as u64;
    if *last == 0 {
        tally.started.fetch_add(1, Ordering::Relaxed);
    } else {
        tally.missed.fetch_add(number - *last - 1, Ordering::Relaxed);
        let latency = Duration::from_nanos(now.saturating_sub(stamped));
        tally.latencies.lock().expect("whole").push(latency);
    }
    tally.frames.fetch_add(1, Ordering::Relaxed);
    *last = number;
}

fn find(data: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(data, wanted)
}

/// Uploads a stamped picture at this interval, on one connection.
pub async fn upload(
    addr: SocketAddr,
    path: &str,
    mut picture: Vec<u8>,
    numbers: std::ops::Range<u64>,
    every: Duration,
    epoch: Instant,
) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(addr).await?;
    socket.set_nodelay(true)?;
    let mut ticks = tokio::time::interval(every);
    let mut answer = vec![0; 4096];
    for number in numbers {
        ticks.tick().await;
        stamp(&mut picture, number, epoch);
        let head = format!("PUT {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {}\r\n\r\n", picture.len());
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(&picture).await?;
        let n = socket.read(&mut answer).await?;
        if !answer[..n].starts_with(b"HTTP/1.1 200") {
            return Err(std::io::Error::other(String::from_utf8_lossy(&answer[..n]).into_owned()));
        }
    }
    Ok(())
}
