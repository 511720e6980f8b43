//! A TCP proxy that a test can cut: a partition of the network.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It carries them.
    Open,
    /// It holds those from the server back, and carries those to the server.
    HoldsAnswers,
    /// It holds what the server sends on connections for pictures back, so that their client is a slow consumer.
    HoldsFrames,
    /// It holds everything back: packets are lost, and no side learns of it.
    Silent,
    /// It ends connections, and refuses new ones.
    Cut,
}

/// A proxy before one port of this machine; ended on drop.
pub struct Proxy {
    pub port: u16,
    flow: watch::Sender<Flow>,
    /// The last bytes to the server.
    said: Arc<tail::Tail>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// The last bytes of a direction, for tests that wait for a message.
mod tail {
    use std::sync::Mutex;

    #[derive(Default)]
    pub struct Tail(Mutex<Vec<u8>>);

    impl Tail {
        pub fn push(&self, bytes: &[u8]) {
            let mut tail = self.0.lock().expect("no panic with it");
            tail.extend_from_slice(bytes);
            let excess = tail.len().saturating_sub(1 << 20);
            tail.drain(..excess);
        }

        pub fn count(&self, text: &str) -> usize {
            let tail = self.0.lock().expect("no panic with it");
            tail.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
        }
    }
}

impl Proxy {
    /// Begins to listen.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let flow = watch::Sender::new(Flow::Open);
        let (said, connections) = (Arc::default(), Arc::default());
        let task = tokio::spawn(serve(listener, server, flow.clone(), Arc::clone(&said), Arc::clone(&connections)));
        Proxy { port, flow, said, connections, task }
    }

    /// Changes what it does with bytes, also with those of open connections.
    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// How often this text is in the last MiB that went to the server.
    pub fn said(&self, text: &str) -> usize {
        self.said.count(text)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Flow::Cut);
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    server: u16,
    flow: watch::Sender<Flow>,
    said: Arc<tail::Tail>,
    connections: Arc<AtomicUsize>,
) {
    while let Ok((client, _)) = listener.accept().await {
        connections.fetch_add(1, SeqCst);
        if *flow.borrow() == Flow::Cut {
            continue;
        }
        let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
        let ((from_client, to_client), (from_server, to_upstream)) = (client.into_split(), upstream.into_split());
        let said = said.clone();
        // The name of a connection is in its CONNECT.
        let is_for_frames = Arc::new(AtomicBool::new(false));
        let note = is_for_frames.clone();
        let see = move |bytes: &[u8]| {
            said.push(bytes);
            if bytes.starts_with(b"CONNECT ") && bytes.windows(7).any(|window| window == b"frames\"") {
                note.store(true, SeqCst);
            }
        };
        let outward = carry(from_client, to_upstream, flow.subscribe(), |flow| flow == Flow::Silent, see);
        let is_held = move |flow| match flow {
            Flow::Silent | Flow::HoldsAnswers => true,
            Flow::HoldsFrames => is_for_frames.load(SeqCst),
            Flow::Open | Flow::Cut => false,
        };
        let inward = carry(from_server, to_client, flow.subscribe(), is_held, |_| {});
        tokio::spawn(async move {
            tokio::select! {
                () = outward => {}
                () = inward => {}
            }
        });
    }
}

/// Carries bytes one way until an end closes or the proxy is cut.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flow: watch::Receiver<Flow>,
    is_held: impl Fn(Flow) -> bool,
    see: impl Fn(&[u8]),
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let now = *flow.borrow_and_update();
        if now == Flow::Cut {
            return;
        }
        if is_held(now) {
            if flow.changed().await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            changed = flow.changed() => if changed.is_err() { return },
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    see(&buffer[..n]);
                    if to.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            },
        }
    }
}
