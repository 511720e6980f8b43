//! A peer that follows a script: which requests must come, in this order, and how each is answered. A test reads as a
//! sequence diagram:
//!
//! ```text
//! let camera = Script::bind().await
//!     .expect("DESCRIBE rtsp://{addr}/door RTSP/1.0")
//!     .answer("RTSP/1.0 404 Not Found\nCSeq: {CSeq}");
//! let (answer, ()) = tokio::join!(app.get("/snapshot/cam.jpg"), camera.play());
//! ```
//!
//! Lines end with `\n` in a script and with CRLF on the wire; an empty line separates the head from the body.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::PATIENCE;

/// A script, and the port at which it is played.
pub struct Script {
    listener: TcpListener,
    addr: SocketAddr,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// A request must come.
    Expect(String),
    /// The last request is answered.
    Answer { head: String, body: Vec<u8> },
    /// These bytes are sent without a request.
    Send(Vec<u8>),
    /// The client must close its connection, and send nothing before.
    Closed,
}

impl Script {
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let addr = listener.local_addr().expect("bound");
        Script { listener, addr, steps: vec![] }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next request. Its first line must be the first line of this pattern; each further line of the pattern must be
    /// a header line or a part of the body. `*` stands for any text, `{addr}` for the address of the script.
    pub fn expect(mut self, pattern: &str) -> Self {
        self.steps.push(Step::Expect(pattern.replace("{addr}", &self.addr.to_string())));
        self
    }

    /// Answers the last request with a head and, after an empty line, a body. `{addr}` stands for the address of the
    /// script, and `{NAME}` in the head for the request's header of that name. A length that the protocol needs is added.
    pub fn answer(self, text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let body = body.replace("{addr}", &self.addr.to_string());
        self.answer_with(head, body.into_bytes())
    }

    /// The same with any bytes as the body.
    pub fn answer_with(mut self, head: &str, body: impl Into<Vec<u8>>) -> Self {
        let (head, body) = (head.replace("{addr}", &self.addr.to_string()), body.into());
        self.steps.push(Step::Answer { head, body });
        self
    }

    /// Sends these bytes.
    pub fn send(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.steps.push(Step::Send(data.into()));
        self
    }

    /// Waits until the client closes the connection.
    pub fn closed(mut self) -> Self {
        self.steps.push(Step::Closed);
        self
    }

    /// Plays the script to its end. Fails if another request comes than the one that is expected, or none.
    pub async fn play(self) {
        let mut peer = Peer { listener: self.listener, current: None, earlier: vec![] };
        let mut request = String::new();
        for step in self.steps {
            match step {
                Step::Expect(pattern) => {
                    let received = timeout(PATIENCE, peer.request()).await;
                    request =
                        received.unwrap_or_else(|_| panic!("this request was expected, and none came:\n{pattern}"));
                    assert!(fits(&pattern, &request), "expected:\n{pattern}\n\nreceived:\n{request}");
                }
                Step::Answer { head, body } => {
                    let data = [filled(&head, &request, body.len()).into_bytes(), body].concat();
                    peer.connection().socket.write_all(&data).await.expect("the client reads the answer");
                }
                Step::Send(data) => peer.connection().socket.write_all(&data).await.expect("the client reads"),
                Step::Closed => {
                    let received = timeout(PATIENCE, peer.connection().request()).await;
                    let received = received.expect("the client closes its connection");
                    assert_eq!(received, None, "expected: the client closes its connection\n\nreceived:");
                }
            }
        }
    }
}

/// The connections of the client, of which the newest speaks.
struct Peer {
    listener: TcpListener,
    current: Option<Connection>,
    /// Kept open: a client may pool its connections.
    earlier: Vec<Connection>,
}

struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    fn connection(&mut self) -> &mut Connection {
        self.current.as_mut().expect("a connection: a script begins with a request")
    }

    /// The next request, from the connection there is or from a new one.
    async fn request(&mut self) -> String {
        let Peer { listener, current, earlier } = self;
        loop {
            let on_current = async {
                match current.as_mut() {
                    Some(connection) => connection.request().await,
                    None => std::future::pending().await,
                }
            };
            let accepted = tokio::select! {
                request = on_current => match request {
                    Some(request) => return request,
                    None => None,
                },
                accepted = listener.accept() => {
                    Some(Connection { socket: accepted.expect("accepts").0, buffer: vec![] })
                }
            };
            let before = std::mem::replace(current, accepted);
            if current.is_some() {
                earlier.extend(before);
            }
        }
    }
}

impl Connection {
    /// The next request with its body; none when the client has closed. Cancel-safe.
    async fn request(&mut self) -> Option<String> {
        loop {
            if let Some(length) = complete(&self.buffer) {
                let request: Vec<_> = self.buffer.drain(..length).collect();
                return Some(String::from_utf8_lossy(&request).into_owned());
            }
            // A client that is gone may reset the connection.
            if self.socket.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                let rest = String::from_utf8_lossy(&self.buffer);
                assert!(rest.is_empty(), "the client has closed in the middle of a request:\n{rest}");
                return None;
            }
        }
    }
}

/// The length of the first request in the buffer, if all of it is there.
fn complete(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let length =
        header(&String::from_utf8_lossy(&buffer[..head]), "Content-Length").map_or(0, |n| n.parse().expect("a length"));
    (buffer.len() >= head + length).then_some(head + length)
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// The head of an answer as it is sent.
fn filled(head: &str, request: &str, length: usize) -> String {
    let mut out = head.trim_end().replace('\n', "\r\n");
    while let Some((before, name, after)) =
        out.split_once('{').and_then(|(before, rest)| rest.split_once('}').map(|(name, after)| (before, name, after)))
    {
        let value = header(request, name).unwrap_or_else(|| panic!("no header {name} in:\n{request}"));
        out = format!("{before}{value}{after}");
    }
    let has_length = header(&head.replace("\r\n", "\n"), "Content-Length").is_some();
    // Without a length an HTTP answer goes on until the connection is closed (RFC 9112, section 6.3).
    if !has_length && (length > 0 || head.starts_with("HTTP/")) {
        out.push_str(&format!("\r\nContent-Length: {length}"));
    }
    out + "\r\n\r\n"
}

fn fits(pattern: &str, request: &str) -> bool {
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
    let (mut expected, mut lines) = (pattern.lines(), head.lines());
    let first = expected.next().unwrap_or_default();
    if !matches(first, lines.next().unwrap_or_default()) {
        return false;
    }
    // Names of headers have no case.
    let header = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    };
    let headers: Vec<_> = lines.map(header).collect();
    expected.all(|line| headers.iter().any(|h| matches(&header(line), h)) || matches(&format!("*{line}*"), body))
}

/// Whether the text is as the pattern says, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[test]
fn patterns_fit_requests() {
    let request = "POST /a?b=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n<x:Get/>\n";
    for (pattern, expected) in [
        ("POST /a?b=1 HTTP/1.1", true),
        ("POST /a?* HTTP/1.1", true),
        ("POST /a", false),
        ("GET *", false),
        ("POST *\nhost: x", true),
        ("POST *\nHost: y", false),
        ("POST *\n<x:Get/>", true),
        ("POST *\n<x:*/>\nHost: *", true),
        ("POST *\nx:Set", false),
        ("*", true),
        ("* *b* *1.1", true),
        ("*1.1*1.1", false),
    ] {
        assert_eq!(fits(pattern, request), expected, "{pattern:?}");
    }
    assert_eq!(complete(request.as_bytes()), Some(request.len()));
    assert_eq!(complete(&request.as_bytes()[..request.len() - 1]), None);
    assert_eq!(
        filled("HTTP/1.1 200 OK\nX: {host}", request, 0),
        "HTTP/1.1 200 OK\r\nX: x\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(filled("RTSP/1.0 200 OK", request, 0), "RTSP/1.0 200 OK\r\n\r\n");
}

#[tokio::test]
#[should_panic(expected = "expected:\nGET /b HTTP/1.1\n\nreceived:\nGET /a HTTP/1.1\r\nHost: x")]
async fn an_unexpected_request_fails_with_both_texts() {
    let script = Script::bind().await.expect("GET /b HTTP/1.1").answer("HTTP/1.1 204 No Content");
    let mut client = TcpStream::connect(script.addr()).await.expect("connects");
    client.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
    script.play().await;
}
