//! [`Response`]: the head of a response, and its body as it arrives.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header::LOCATION};
use tokio::time::{Duration, timeout};
use url::Url;

use super::{
    Home,
    connect::origin,
    http1::{Body, Read},
    upstream,
};
use crate::error::{Cause, Code, Error, Result};

/// The head of a response, and its body, which is read afterwards.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The address that answered.
    pub peer: SocketAddr,
    /// The URL after redirects.
    pub url: Url,
    pub(super) body: Body,
    /// Bytes of the body that were looked at and not yet read.
    pub(super) peeked: BytesMut,
    /// Where the connection goes when the body has ended.
    pub(super) home: Home,
}

impl Response {
    /// The value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The address to which a redirect leads that was not followed, as scheme, host and port.
    pub fn leads_to(&self) -> Option<String> {
        let location = self.header(LOCATION.as_str()).filter(|_| self.status.is_redirection())?;
        let address = self.url.join(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        Some(origin(&address))
    }

    /// The next part of the body; none at its end. Fails if no part comes within `limit`, and if the body ends before its
    /// declared length. Cancel-safe.
    pub async fn chunk(&mut self, limit: Duration) -> Result<Option<Bytes>> {
        if !self.peeked.is_empty() {
            return Ok(Some(self.peeked.split().freeze()));
        }
        let next = timeout(limit, self.body.read()).await;
        let next =
            next.map_err(|_| upstream(&self.url, format_args!("is silent for {limit:?}")).because(Cause::Silent))?;
        match next.map_err(|e| upstream(&self.url, format_args!("breaks off: {e}")).because(Cause::Disconnected))? {
            Read::Data(data) => Ok(Some(data)),
            Read::End(connection) => {
                if connection.is_some() {
                    *self.home.lock() = connection;
                }
                Ok(None)
            }
        }
    }

    /// The first bytes of the body without reading them: at least `least`, or all. Each portion must arrive within `limit`.
    pub async fn peek(&mut self, least: usize, limit: Duration) -> Result<&[u8]> {
        while self.peeked.len() < least {
            let before = self.peeked.split();
            let next = self.chunk(limit).await;
            self.peeked = before;
            match next? {
                Some(data) => self.peeked.extend_from_slice(&data),
                None => break,
            }
        }
        Ok(&self.peeked)
    }

    /// Whether the head gives the length of the body.
    pub fn has_length(&self) -> bool {
        self.body.has_length()
    }

    /// Reads on behind the declared end, up to the end of the connection, because the content shows that its length is
    /// wrong. False if the connection has already ended.
    pub fn read_past_length(&mut self) -> bool {
        let given = self.home.lock().take();
        self.body.read_past_length(given)
    }

    /// The whole body, of at most `most` bytes, within `limit`.
    pub async fn bytes(mut self, most: usize, limit: Duration) -> Result<Bytes> {
        let whole = async {
            let mut data = BytesMut::new();
            while let Some(chunk) = self.chunk(limit).await? {
                if data.len() + chunk.len() > most {
                    return Err(upstream(&self.url, format_args!("sends more than {most} bytes")));
                }
                data.extend_from_slice(&chunk);
            }
            Ok(data.freeze())
        };
        match timeout(limit, whole).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(Code::Upstream, format!("the answer is not complete within {limit:?}"))
                .because(Cause::Silent)),
        }
    }
}
