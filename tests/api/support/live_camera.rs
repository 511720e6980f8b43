//! An HTTP camera that sends pictures without an end, to each connection, and notes what it sees.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant, interval},
};

use super::picture;

/// What the camera sees of its connections, by their number from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Opened(usize),
    /// This connection was sent its first picture.
    Sent(usize),
    Closed(usize),
}

/// A camera on a port of its own.
#[derive(Clone)]
pub struct LiveCamera {
    pub addr: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
    doubled: Arc<Mutex<Doubled>>,
    shown: Arc<AtomicU64>,
    pictures: Arc<Vec<Vec<u8>>>,
}

/// When it has more than one connection.
#[derive(Default)]
struct Doubled {
    since: Option<Instant>,
    longest: Duration,
}

impl Doubled {
    fn is_now(&mut self, open: usize) {
        match (open > 1, self.since) {
            (true, None) => self.since = Some(Instant::now()),
            (false, Some(since)) => {
                self.longest = self.longest.max(since.elapsed());
                self.since = None;
            }
            _ => {}
        }
    }
}

impl LiveCamera {
    /// A camera with ten pictures a second.
    pub async fn start() -> Self {
        LiveCamera::with((0..6).map(picture).collect()).await
    }

    /// A camera that sends these pictures in turn.
    pub async fn with(pictures: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let camera = LiveCamera {
            addr: listener.local_addr().expect("bound"),
            seen: Arc::default(),
            open: Arc::default(),
            most_open: Arc::default(),
            doubled: Arc::default(),
            shown: Arc::default(),
            pictures: Arc::new(pictures),
        };
        let this = camera.clone();
        tokio::spawn(async move {
            for number in 1.. {
                let Ok((socket, _)) = listener.accept().await else { return };
                let this = this.clone();
                tokio::spawn(async move {
                    this.note(Seen::Opened(number));
                    let open = this.open.fetch_add(1, SeqCst) + 1;
                    this.most_open.fetch_max(open, SeqCst);
                    this.doubled.lock().is_now(open);
                    let _ = this.serve(socket, number).await;
                    let open = this.open.fetch_sub(1, SeqCst) - 1;
                    this.doubled.lock().is_now(open);
                    this.note(Seen::Closed(number));
                });
            }
        });
        camera
    }

    async fn serve(&self, mut socket: TcpStream, number: usize) -> std::io::Result<()> {
        let mut request = vec![];
        while !request.ends_with(b"\r\n\r\n") {
            request.push(socket.read_u8().await?);
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n";
        socket.write_all(head.as_bytes()).await?;
        let (mut reader, mut writer) = socket.into_split();
        let mut tick = interval(Duration::from_millis(100));
        let mut is_first = true;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                // The client has closed the connection.
                end = reader.read_u8() => return end.map(drop),
            }
            let n = self.shown.fetch_add(1, SeqCst) as usize;
            let jpeg = &self.pictures[n % self.pictures.len()];
            let part = format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
            writer.write_all(&[part.as_bytes(), jpeg, b"\r\n--b\r\n"].concat()).await?;
            if std::mem::take(&mut is_first) {
                self.note(Seen::Sent(number));
            }
        }
    }

    fn note(&self, seen: Seen) {
        self.seen.lock().push(seen);
    }

    /// Whether it is one of its pictures.
    pub fn has(&self, jpeg: &[u8]) -> bool {
        self.pictures.iter().any(|picture| picture == jpeg)
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// Most connections that were open at a time.
    pub fn most_open(&self) -> usize {
        self.most_open.load(SeqCst)
    }

    /// For how long it had more than one connection, at most in one go.
    pub fn longest_doubled(&self) -> Duration {
        let doubled = self.doubled.lock();
        doubled.longest.max(doubled.since.map(|since| since.elapsed()).unwrap_or_default())
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.seen.lock().iter().filter(|seen| matches!(seen, Seen::Opened(_))).count()
    }

    /// Whether this was seen.
    pub fn has_seen(&self, wanted: &Seen) -> bool {
        self.seen.lock().contains(wanted)
    }

    /// The section `streams` with this camera as `cam`, with further members of its definition.
    pub fn streams(&self, more: &str) -> String {
        format!("streams: {{cam: {{kind: http, url: 'http://{}/x'{more}}}}}\n", self.addr)
    }
}
