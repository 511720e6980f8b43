//! RTSP spoken by hand.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{PATIENCE, TestApp};

/// A client that says exactly what it is told to.
pub struct Client {
    pub socket: TcpStream,
    buffer: Vec<u8>,
    pub base: String,
    cseq: u32,
    session: Option<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// An interleaved frame.
#[derive(Debug)]
pub struct Frame {
    pub channel: u8,
    pub data: Vec<u8>,
}

impl Frame {
    pub fn marker(&self) -> bool {
        self.data[1] & 0x80 != 0
    }

    pub fn time(&self) -> u32 {
        u32::from_be_bytes(self.data[4..8].try_into().expect("four bytes"))
    }
}

enum Message {
    Answer(Answer),
    Frame(Frame),
}

impl Client {
    pub async fn connect(app: &TestApp, stream: &str) -> Self {
        Client::connect_to(app.rtsp.port(), stream).await
    }

    pub async fn connect_to(port: u16, stream: &str) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
        Client { socket, buffer: vec![], base: format!("rtsp://127.0.0.1:{port}/{stream}"), cseq: 0, session: None }
    }

    pub async fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.expect("writes");
    }

    /// A request to the stream's URL with something appended to it.
    pub async fn ask(&mut self, method: &str, track: &str, headers: &[&str]) -> Answer {
        self.cseq += 1;
        let (url, cseq) = (format!("{}{track}", self.base), self.cseq);
        let headers: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        self.send(&format!("{method} {url} RTSP/1.0\r\nCSeq: {cseq}\r\n{headers}\r\n")).await;
        let answer = self.answer().await;
        assert_eq!(answer.header("CSeq"), Some(&*cseq.to_string()), "{answer:?}");
        answer
    }

    /// The usual beginning, up to the answer to PLAY.
    pub async fn play(&mut self) {
        assert_eq!(self.ask("DESCRIBE", "", &[]).await.status, 200);
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
        let setup = self.ask("SETUP", "/trackID=0", &[transport]).await;
        assert_eq!(setup.status, 200, "{setup:?}");
        self.session = setup.header("Session").and_then(|value| value.split(';').next()).map(str::to_owned);
        let session = format!("Session: {}", self.session.as_deref().expect("a session"));
        assert_eq!(self.ask("PLAY", "/", &[&session]).await.status, 200);
    }

    /// The next answer; frames before it are passed over.
    pub async fn answer(&mut self) -> Answer {
        loop {
            if let Message::Answer(answer) = self.message().await.expect("goes on") {
                return answer;
            }
        }
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Frame {
        self.try_frame().await.expect("goes on")
    }

    async fn try_frame(&mut self) -> Option<Frame> {
        loop {
            if let Message::Frame(frame) = self.message().await? {
                return Some(frame);
            }
        }
    }

    /// RTP packets up to the end of the next picture: its time, and the kinds of NAL in it.
    pub async fn picture(&mut self) -> (u32, Vec<u8>) {
        self.try_picture().await.expect("goes on")
    }

    /// The same; none when the server has closed.
    pub async fn try_picture(&mut self) -> Option<(u32, Vec<u8>)> {
        let mut kinds = vec![];
        loop {
            let frame = self.try_frame().await?;
            if frame.channel == 1 {
                continue;
            }
            let payload = &frame.data[12..];
            match payload[0] & 0x1F {
                28 if payload[1] & 0x80 != 0 => kinds.push(payload[1] & 0x1F),
                28 => {}
                kind => kinds.push(kind),
            }
            if frame.marker() {
                return Some((frame.time(), kinds));
            }
        }
    }

    /// Reads until the server closes; tells whether it did.
    pub async fn closed(&mut self) -> bool {
        while self.message().await.is_some() {}
        true
    }

    async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some((message, used)) = parse(&self.buffer) {
                self.buffer.drain(..used);
                return Some(message);
            }
            let read = tokio::time::timeout(PATIENCE, self.socket.read_buf(&mut self.buffer)).await.expect("in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}

fn parse(data: &[u8]) -> Option<(Message, usize)> {
    if data.first() == Some(&b'$') {
        let length = usize::from(u16::from_be_bytes([*data.get(2)?, *data.get(3)?]));
        let frame = data.get(4..4 + length)?;
        return Some((Message::Frame(Frame { channel: data[1], data: frame.to_vec() }), 4 + length));
    }
    let end = data.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&data[..end]).into_owned();
    let status = head.get(9..12).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no status in {head}"));
    let mut answer = Answer { status, head, body: String::new() };
    let length = answer.header("Content-Length").map_or(0, |v| v.parse().expect("a length"));
    answer.body = String::from_utf8_lossy(data.get(end..end + length)?).into_owned();
    Some((Message::Answer(answer), end + length))
}

impl Client {
    /// Waits for the end of a picture on that channel.
    pub async fn picture_on(&mut self, channel: u8) {
        while !Some(self.frame().await).is_some_and(|f| f.channel == channel && f.marker()) {}
    }
}
