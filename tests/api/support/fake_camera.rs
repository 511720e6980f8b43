//! An HTTP camera whose answer is a file of quirks/.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::picture;

/// A camera, and the requests that it has received.
#[derive(Clone)]
pub struct FakeCamera {
    pub addr: SocketAddr,
    /// One permit for each picture after the first; the camera waits for it.
    pub go_on: Arc<Semaphore>,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<Mutex<Vec<String>>>,
}

enum Piece {
    Bytes(Vec<u8>),
    Wait,
}

impl FakeCamera {
    /// Answers every request with the content of the file.
    pub async fn of_file(name: &str) -> Self {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/quirks").join(name);
        let text = std::fs::read_to_string(&path).expect(name);
        Self::answering(move |_| Some(pieces(&text))).await
    }

    /// Answers with these bytes; none closes the connection at once.
    pub async fn of_bytes(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::answering(move |request| answer(request).map(|bytes| vec![Piece::Bytes(bytes)])).await
    }

    async fn answering(answer: impl Fn(&str) -> Option<Vec<Piece>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let camera = FakeCamera {
            addr: listener.local_addr().expect("bound"),
            go_on: Arc::new(Semaphore::new(0)),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (this, answer) = (camera.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                this.connections.fetch_add(1, Ordering::SeqCst);
                let (this, answer) = (this.clone(), answer.clone());
                tokio::spawn(async move { this.serve(socket, &*answer).await });
            }
        });
        camera
    }

    async fn serve(&self, mut socket: TcpStream, answer: &(dyn Fn(&str) -> Option<Vec<Piece>> + Send + Sync)) {
        let mut request = vec![];
        while let Ok(byte) = socket.read_u8().await {
            request.push(byte);
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            let text = String::from_utf8_lossy(&std::mem::take(&mut request)).into_owned();
            self.requests.lock().push(text.clone());
            let Some(pieces) = answer(&text) else { return };
            let endless = pieces.len() > 1;
            let closes = matches!(pieces.first(), Some(Piece::Bytes(bytes)) if says_close(bytes));
            for piece in pieces {
                match piece {
                    Piece::Bytes(bytes) => {
                        if socket.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                    Piece::Wait => self.go_on.acquire().await.expect("open").forget(),
                }
            }
            if closes {
                return;
            }
            if endless {
                // The stream continues after the end of the file.
                let _ = socket.read_u8().await;
                return;
            }
        }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn says_close(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer, |end| &answer[..end]);
    String::from_utf8_lossy(head).contains("\r\nConnection: close")
}

/// The picture without its Huffman tables (DHT segments, marker 0xFFC4).
fn bare(jpeg: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (jpeg[..2].to_vec(), 2);
    while jpeg[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != 0xC4 {
            out.extend_from_slice(&jpeg[at..end]);
        }
        at = end;
    }
    out.extend_from_slice(&jpeg[at..]);
    out
}

fn pieces(text: &str) -> Vec<Piece> {
    let (comments, text): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("# "));
    let says = |word: &str| comments.iter().any(|line| line[2..] == *word);
    let line_end = if says("lf") { "\n" } else { "\r\n" };
    let text = text.join(line_end);
    let (head, body) = text.split_once(&line_end.repeat(2)).expect("a head");
    let chunk = |bytes: Vec<u8>| match says("chunked") {
        true if bytes.is_empty() => bytes,
        true => [format!("{:x}\r\n", bytes.len()).into_bytes(), bytes, b"\r\n".to_vec()].concat(),
        false => bytes,
    };
    let mut pieces = vec![Piece::Bytes(format!("{head}{line_end}{line_end}").into_bytes())];
    let mut rest = body;
    while let Some((before, behind)) = rest.split_once('{') {
        let (token, behind) = behind.split_once('}').expect("a brace");
        pieces.push(Piece::Bytes(chunk(before.as_bytes().to_vec())));
        let mut words = token.split(' ');
        let (first, second) = (words.next().expect("a word"), words.next());
        let number = |word: &str| word.parse::<u32>().expect("a number");
        let bytes = match (first, second) {
            ("size", Some(n)) => picture(number(n)).len().to_string().into_bytes(),
            (n, Some("bare")) => bare(&picture(number(n))),
            (n, Some("half")) => picture(number(n))[..300].to_vec(),
            (n, None) => picture(number(n)),
            _ => panic!("{token}"),
        };
        pieces.push(Piece::Bytes(chunk(bytes)));
        rest = behind;
        // The bytes that show the end of a picture are sent with it; then the camera waits before the next one.
        if first != "size" && second != Some("half") && rest.contains('{') && !rest.trim_start().starts_with('{') {
            let end = rest.find("Content-").or_else(|| rest.find('{')).expect("another one");
            pieces.push(Piece::Bytes(chunk(rest.as_bytes()[..end].to_vec())));
            pieces.push(Piece::Wait);
            rest = &rest[end..];
        }
    }
    pieces.push(Piece::Bytes(chunk(rest.as_bytes().to_vec())));
    pieces
}
