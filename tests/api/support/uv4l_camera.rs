//! A UV4L camera: its WebSocket server, with a script of answers, or with a browser's WebRTC behind it.

use std::sync::Arc;

use actix_http::ws::{CloseCode, hash_key};
use bytes::BytesMut;
use mtx_sidecar::websocket::{Incoming, Socket};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use super::PATIENCE;

/// An offer with the three sections of UV4L.
pub const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio video data\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:audio\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:video\r\na=sendonly\r\na=rtpmap:98 H264/90000\r\n\
    m=application 9 DTLS/SCTP 5000\r\na=mid:data\r\n";

/// What the camera does.
#[derive(Clone, Default)]
pub struct Script {
    /// What it sends after `call`, and after `answer`.
    pub after_call: Vec<String>,
    pub after_answer: Vec<String>,
    /// The `Authorization` header that it wants.
    pub login: Option<String>,
    /// Whether a browser behind `/peer` answers instead.
    pub by_peer: bool,
}

/// The message as UV4L sends it.
pub fn message(what: &str, data: &Value) -> String {
    json!({"what": what, "data": data.to_string()}).to_string()
}

impl Script {
    /// A camera that takes each call.
    pub fn friendly() -> Self {
        let offer = message("offer", &json!({"type": "offer", "sdp": OFFER}));
        let candidate =
            json!({"sdpMLineIndex": 1, "sdpMid": "video", "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host"});
        let candidates = [message("iceCandidate", &candidate), json!({"what": "iceCandidate", "data": ""}).to_string()];
        Script { after_call: vec![offer], after_answer: candidates.into(), ..Script::default() }
    }

    /// A camera that says this after `call`.
    pub fn saying(text: impl Into<String>) -> Self {
        Script { after_call: vec![text.into()], ..Script::default() }
    }
}

#[derive(Default)]
struct Shared {
    /// `what` of the messages of each connection.
    seen: Vec<Vec<String>>,
    /// The messages of each connection.
    texts: Vec<Vec<Value>>,
    senders: Vec<Option<mpsc::UnboundedSender<String>>>,
    peer: Option<mpsc::UnboundedSender<String>>,
    script: Script,
}

/// A running camera; ended on drop.
pub struct Uv4lCamera {
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
    serving: JoinHandle<()>,
}

impl Drop for Uv4lCamera {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Uv4lCamera {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(Mutex::new(Shared { script, ..Shared::default() }));
        let of_task = shared.clone();
        let serving = tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                tokio::spawn(serve(io, of_task.clone()));
            }
        });
        Uv4lCamera { port, shared, serving }
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/stream/webrtc", self.port)
    }

    /// `what` of the messages of each connection so far.
    pub fn seen(&self) -> Vec<Vec<String>> {
        self.shared.lock().seen.clone()
    }

    /// The messages of one connection.
    pub fn texts(&self, connection: usize) -> Vec<Value> {
        self.shared.lock().texts.get(connection).cloned().unwrap_or_default()
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.shared.lock().senders.iter().flatten().count()
    }

    /// Whether a browser is behind the camera.
    pub fn has_peer(&self) -> bool {
        self.shared.lock().peer.is_some()
    }

    /// Sends a text on one connection.
    pub fn say(&self, connection: usize, text: &str) {
        let shared = self.shared.lock();
        let sender = shared.senders.get(connection).cloned().flatten().expect("an open connection");
        sender.send(text.to_owned()).expect("it is served");
    }

    /// Closes all connections.
    pub fn disconnect(&self) {
        self.shared.lock().senders.iter_mut().for_each(|sender| *sender = None);
    }
}

async fn serve(mut io: TcpStream, shared: Arc<Mutex<Shared>>) -> Option<()> {
    let mut head = BytesMut::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        if io.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let value = |name: &str| {
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    if head.starts_with("GET /page") {
        let page = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n{PEER}");
        io.write_all(page.as_bytes()).await.ok()?;
        return io.shutdown().await.ok();
    }
    let login = shared.lock().script.login.clone();
    if login.is_some() && value("authorization") != login {
        let refusal =
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"uv4l\"\r\nContent-Length: 0\r\n\r\n";
        return io.write_all(refusal.as_bytes()).await.ok();
    }
    let accept = hash_key(value("sec-websocket-key")?.as_bytes());
    let accept = String::from_utf8_lossy(&accept).into_owned();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    io.write_all(answer.as_bytes()).await.ok()?;
    let socket = Socket::new(io, 1 << 20, 10 * PATIENCE);
    if head.starts_with("GET /peer ") {
        peer(socket, shared).await
    } else {
        caller(socket, shared).await
    }
    Some(())
}

/// A connection of the sidecar.
async fn caller(mut socket: Socket<TcpStream>, shared: Arc<Mutex<Shared>>) {
    let (sender, mut texts) = mpsc::unbounded_channel();
    let number = {
        let mut shared = shared.lock();
        shared.seen.push(vec![]);
        shared.texts.push(vec![]);
        shared.senders.push(Some(sender));
        shared.senders.len() - 1
    };
    loop {
        tokio::select! {
            incoming = socket.receive() => match incoming {
                Ok(Incoming::Text(text)) => {
                    for answer in take(&text, number, &shared) {
                        socket.text(&answer).await.expect("writes");
                    }
                }
                Ok(Incoming::Ping(data)) => drop(socket.pong(&data).await),
                Ok(Incoming::Pong | Incoming::Binary(_)) => {}
                Ok(Incoming::Close) => {
                    socket.answer_close().await;
                    break;
                }
                Err(_) => break,
            },
            text = texts.recv() => match text {
                Some(text) => drop(socket.text(&text).await),
                None => {
                    socket.close(CloseCode::Normal, "").await;
                    break;
                }
            },
        }
    }
    let mut shared = shared.lock();
    if let Some(peer) = &shared.peer {
        let _ = peer.send(json!({"call": number, "text": null}).to_string());
    }
    shared.senders[number] = None;
}

/// Notes a message, and returns what the script answers.
fn take(text: &str, number: usize, shared: &Mutex<Shared>) -> Vec<String> {
    let read: Value = serde_json::from_str(text).expect("the sidecar sends JSON");
    let what = read["what"].as_str().expect("the sidecar sends `what`").to_owned();
    let mut shared = shared.lock();
    shared.seen[number].push(what.clone());
    shared.texts[number].push(read);
    if shared.script.by_peer {
        if let Some(peer) = &shared.peer {
            peer.send(json!({"call": number, "text": text}).to_string()).expect("the browser is connected");
        }
        return vec![];
    }
    match what.as_str() {
        "call" => shared.script.after_call.clone(),
        "answer" => shared.script.after_answer.clone(),
        _ => vec![],
    }
}

/// The connection of the browser behind the camera.
async fn peer(mut socket: Socket<TcpStream>, shared: Arc<Mutex<Shared>>) {
    let (sender, mut texts) = mpsc::unbounded_channel();
    shared.lock().peer = Some(sender);
    loop {
        tokio::select! {
            incoming = socket.receive() => match incoming {
                Ok(Incoming::Text(text)) => {
                    let carried: Value = serde_json::from_str(&text).expect("the page sends JSON");
                    let number = usize::try_from(carried["call"].as_u64().expect("a number")).expect("small");
                    let sender = shared.lock().senders.get(number).cloned().flatten();
                    if let Some(sender) = sender {
                        let _ = sender.send(carried["text"].as_str().expect("a text").to_owned());
                    }
                }
                Ok(Incoming::Ping(data)) => drop(socket.pong(&data).await),
                Ok(Incoming::Close) | Err(_) => break,
                Ok(_) => {}
            },
            Some(text) = texts.recv() => drop(socket.text(&text).await),
        }
    }
    shared.lock().peer = None;
}

/// A page that does UV4L's part of WebRTC: a canvas as H.264, the mids `video` and `data`, VP8 first if `?vp8`, and all candidates
/// at once if the call has `trickle_ice: false`.
const PEER: &str = r#"<!DOCTYPE html><title>camera</title><canvas width=640 height=480></canvas><script>
const canvas = document.querySelector('canvas');
const paint = canvas.getContext('2d');
let n = 0;
window.colour = 'rgb(20,160,20)';
setInterval(() => {
  paint.fillStyle = window.colour;
  paint.fillRect(0, 0, 640, 480);
  paint.fillStyle = 'white';
  paint.fillRect(n++ % 600, 0, 40, 40);
}, 50);
const stream = canvas.captureStream(20);
const names = ['video', 'data'];
const renamed = (sdp) => sdp.replace(/^a=mid:(\d)/gm, (_, i) => `a=mid:${names[i]}`)
  .replace(/^a=group:BUNDLE.*$/m, 'a=group:BUNDLE video data')
  // The packets would have the old mids.
  .replace(/^a=extmap:\d+ urn:ietf:params:rtp-hdrext:sdes:mid\r\n/gm, '');
const restored = (sdp) => names.reduce((text, name, i) => text.replaceAll(`a=mid:${name}`, `a=mid:${i}`)
  .replace(/^(a=group:BUNDLE.*)$/m, (line) => line.replace(name, i)), sdp);
const calls = {};
window.calls = calls;
const socket = new WebSocket(`ws://${location.host}/peer`);
socket.onmessage = async ({ data }) => {
  const { call, text } = JSON.parse(data);
  const end = () => { calls[call]?.close(); delete calls[call]; };
  if (text === null) return end();
  const send = (what, value) =>
    socket.send(JSON.stringify({ call, text: JSON.stringify({ what, data: value === null ? '' : JSON.stringify(value) }) }));
  const { what, data: encoded, options } = JSON.parse(text);
  const pc = calls[call];
  if (what === 'hangup') return end();
  if (what === 'call') {
    const pc = new RTCPeerConnection();
    calls[call] = pc;
    pc.early = [];
    pc.trickles = options.trickle_ice !== false;
    const track = pc.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', streams: [stream] });
    const { codecs } = RTCRtpSender.getCapabilities('video');
    const first = location.search === '?vp8' ? 'video/VP8' : 'video/H264';
    track.setCodecPreferences([...codecs].sort((a, b) => (b.mimeType === first) - (a.mimeType === first)));
    pc.createDataChannel('x');
    pc.onicecandidate = ({ candidate }) => {
      const value = candidate?.candidate
        ? { sdpMLineIndex: candidate.sdpMLineIndex, sdpMid: names[candidate.sdpMLineIndex], candidate: candidate.candidate }
        : null;
      if (pc.trickles) send('iceCandidate', value);
      else if (value) pc.early.push(value);
    };
    await pc.setLocalDescription(await pc.createOffer());
    send('offer', { type: 'offer', sdp: renamed(pc.localDescription.sdp) });
  } else if (what === 'answer') {
    const { sdp } = JSON.parse(encoded);
    pc.answer = sdp;
    await pc.setRemoteDescription({ type: 'answer', sdp: restored(sdp) });
    if (!pc.trickles) send('iceCandidates', pc.early);
  } else if (what === 'addIceCandidate' && encoded) {
    const { sdpMLineIndex, candidate } = JSON.parse(encoded);
    await pc.addIceCandidate({ sdpMLineIndex, candidate });
  }
};
</script>"#;
