//! A client that reads MJPEG.

use mtx_sidecar::multipart::{Part, Splitter};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use super::PATIENCE;

/// Reads an MJPEG response part by part.
pub struct MjpegReader {
    pub socket: TcpStream,
    pub head: String,
    splitter: Splitter,
    raw: Vec<u8>,
}

impl MjpegReader {
    pub async fn new(mut socket: TcpStream) -> Self {
        let mut data = vec![];
        let end = loop {
            let n = timeout(PATIENCE, socket.read_buf(&mut data)).await.expect("in time").expect("reads");
            assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&data));
            if let Some(end) = data.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&data[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(&data));
        let mut splitter = Splitter::new(Some("multipart/x-mixed-replace;boundary=boundarydonotcross"), 32 << 20);
        splitter.feed(&data[end..]);
        let raw = data[end..].to_vec();
        MjpegReader { socket, head, splitter, raw }
    }

    /// The next part, however long ago it was sent.
    pub async fn part(&mut self) -> Part {
        self.maybe_part().await.expect("the stream goes on")
    }

    /// The next part; none when the server has closed the connection.
    pub async fn maybe_part(&mut self) -> Option<Part> {
        loop {
            if let Some(part) = self.splitter.next_part().expect("well-formed") {
                return Some(part);
            }
            let mut data = vec![0; 1 << 16];
            let n = timeout(PATIENCE, self.socket.read(&mut data)).await.expect("in time").ok()?;
            if n == 0 {
                return None;
            }
            self.raw.extend_from_slice(&data[..n]);
            self.splitter.feed(&data[..n]);
        }
    }

    /// Reads until a part has this content.
    pub async fn until(&mut self, jpeg: &[u8]) {
        while self.part().await.data != jpeg {}
    }

    /// All bytes after the head so far, as text.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }
}
