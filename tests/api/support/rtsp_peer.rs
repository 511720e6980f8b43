//! An RTSP camera whose answers can be bent: a function has the last word on each answer, and the packets are any bytes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request: its method, and all of its text.
pub struct Request {
    pub method: String,
    pub text: String,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// The bytes that answer a request; none for a closed connection. Gets the usual answer.
type Bend = dyn Fn(&Request, Vec<u8>) -> Option<Vec<u8>> + Send + Sync;

/// A camera.
pub struct RtspPeer {
    pub addr: SocketAddr,
    pub requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl RtspPeer {
    /// Serves this description, and these bytes behind the answer to PLAY. `bend` changes the answers.
    pub async fn start(
        sdp: impl Into<Vec<u8>>,
        packets: impl Into<Vec<u8>>,
        bend: impl Fn(&Request, Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let addr = listener.local_addr().expect("bound");
        let requests = Arc::new(Mutex::new(vec![]));
        let served: Arc<(Vec<u8>, Vec<u8>, Box<Bend>)> = Arc::new((sdp.into(), packets.into(), Box::new(bend)));
        let seen = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, served.clone(), seen.clone()));
            }
        });
        RtspPeer { addr, requests, task }
    }

    /// The methods of all requests so far.
    pub fn methods(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").iter().map(|request| request.method.clone()).collect()
    }
}

impl Drop for RtspPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, served: Arc<(Vec<u8>, Vec<u8>, Box<Bend>)>, seen: Arc<Mutex<Vec<Request>>>) {
    let (sdp, packets, bend) = &*served;
    let mut buffer = vec![];
    loop {
        while let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let text: Vec<u8> = buffer.drain(..end + 4).collect();
            // The client's own packets, which have no line ends, are in front of a request.
            let text = String::from_utf8_lossy(&text).into_owned();
            let start = ["DESCRIBE", "SETUP", "PLAY", "OPTIONS", "GET_PARAMETER", "TEARDOWN"].iter();
            let start = start.filter_map(|method| text.find(method)).min().unwrap_or_default();
            let text = text[start..].to_owned();
            let request = Request { method: text.split(' ').next().unwrap_or_default().to_owned(), text };
            let answer = bend(&request, usual(&request, sdp));
            let is_play = request.method == "PLAY";
            seen.lock().expect("not poisoned").push(request);
            let Some(mut answer) = answer else { return };
            if is_play && answer.windows(4).any(|w| w == b" 200") {
                answer.extend_from_slice(packets);
            }
            if socket.write_all(&answer).await.is_err() {
                return;
            }
        }
        if socket.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// What a camera by the book answers.
fn usual(request: &Request, sdp: &[u8]) -> Vec<u8> {
    let cseq = request.header("CSeq").unwrap_or_default();
    let mut answer = format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n");
    let mut body = &[][..];
    match request.method.as_str() {
        "DESCRIBE" => {
            let url = request.text.split(' ').nth(1).unwrap_or_default();
            answer +=
                &format!("Content-Base: {url}/\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n", sdp.len());
            body = sdp;
        }
        "SETUP" => answer += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1;timeout=60\r\n",
        _ => answer += "Session: 1\r\n",
    }
    [answer.as_bytes(), b"\r\n", body].concat()
}
