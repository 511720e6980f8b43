//! An RTSP client that sends each request as its test has written it.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{PATIENCE, TestApp};

/// One connection.
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

/// An interleaved frame: a packet of RTP or RTCP (RFC 2326, section 10.12).
#[derive(Debug)]
pub struct Frame {
    pub channel: u8,
    pub data: Vec<u8>,
}

impl Frame {
    pub fn marker(&self) -> bool {
        self.data[1] & 0x80 != 0
    }

    /// The RTP time of an RTP packet.
    pub fn time(&self) -> u32 {
        self.word(4)
    }

    /// The synchronisation source of an RTP packet.
    pub fn ssrc(&self) -> u32 {
        self.word(8)
    }

    /// The fields of an RTCP sender report (RFC 3550, section 6.4.1).
    pub fn sender_report(&self) -> SenderReport {
        assert_eq!((self.data[0], self.data[1]), (0x80, 200), "a sender report without report blocks");
        /// Seconds from 1900, where NTP begins, to 1970.
        const NTP_OFFSET: u64 = 2_208_988_800;
        let fraction = (u64::from(self.word(12)) * 1_000_000_000) >> 32;
        SenderReport {
            ssrc: self.word(4),
            since_1970: Duration::new(u64::from(self.word(8)) - NTP_OFFSET, fraction as u32),
            time: self.word(16),
            packets: self.word(20),
            octets: self.word(24),
        }
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.data[at..at + 4].try_into().expect("four bytes"))
    }
}

#[derive(Debug)]
pub struct SenderReport {
    pub ssrc: u32,
    /// The wall-clock time at which the RTP time `time` is sampled.
    pub since_1970: Duration,
    pub time: u32,
    pub packets: u32,
    pub octets: u32,
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

    /// DESCRIBE, SETUP and PLAY, up to the answer to the last one.
    pub async fn play(&mut self) {
        assert_eq!(self.ask("DESCRIBE", "", &[]).await.status, 200);
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
        let setup = self.ask("SETUP", "/trackID=0", &[transport]).await;
        assert_eq!(setup.status, 200, "{setup:?}");
        self.session = setup.header("Session").and_then(|value| value.split(';').next()).map(str::to_owned);
        let session = format!("Session: {}", self.session.as_deref().expect("a session"));
        assert_eq!(self.ask("PLAY", "/", &[&session]).await.status, 200);
    }

    /// The next answer; frames before it are skipped.
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

    /// Reads RTP packets up to the end of the next picture: its time, and the types of the NAL units in it.
    pub async fn picture(&mut self) -> (u32, Vec<u8>) {
        self.try_picture().await.expect("goes on")
    }

    /// The same; none when the server has closed the connection.
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

    /// Reads to the end of the next picture on that channel.
    pub async fn picture_on(&mut self, channel: u8) {
        while !Some(self.frame().await).is_some_and(|f| f.channel == channel && f.marker()) {}
    }

    /// Reads until the server closes the connection.
    pub async fn closed(&mut self) {
        while self.message().await.is_some() {}
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
