//! HTTP as tests write and read it: header lines, and answers.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::Value;

/// A header line with which a request does not count as one from this machine: a proxy has passed it on, and its address
/// is not in `http.trusted_proxies`.
pub const FAR: &str = "Via: 1.1 somewhere";

pub fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// An HTTP answer.
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Bytes,
}

impl Response {
    pub fn parse(data: &[u8]) -> Self {
        let end = data.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&data[..end]).into_owned();
        let status = head[9..12].parse().expect("a status");
        let mut body = Bytes::copy_from_slice(&data[end..]);
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            body = unchunk(&body);
        }
        Response { status, head, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The stable code of a problem document; fails if the answer is none.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status);
        for member in ["type", "title", "detail"] {
            assert!(json[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {json}");
        }
        json["code"].as_str().expect("a code").to_owned()
    }

    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(400)]);
        write!(f, "{}{body}", self.head)
    }
}

fn unchunk(mut data: &[u8]) -> Bytes {
    let mut out = vec![];
    while let Some(line) = data.windows(2).position(|w| w == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&data[..line]).expect("hex"), 16).expect("hex");
        if length == 0 {
            break;
        }
        out.extend_from_slice(&data[line + 2..line + 2 + length]);
        data = &data[line + 4 + length..];
    }
    out.into()
}
