//! A WebSocket to a host (RFC 6455, section 4.1), under the same rules as a request: checked address, TLS, and a password only in
//! answer to a challenge.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use http::{
    HeaderMap, Method, StatusCode,
    header::{
        CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use tokio::time::Duration;

use super::{Request, Session, Socket, connect::connect, upstream};
use crate::error::Result;

/// An open WebSocket: the connection, and the bytes that arrived behind the host's answer.
pub struct Upgraded {
    /// The connection.
    pub io: Box<dyn Socket>,
    /// Bytes of the first frames.
    pub received: BytesMut,
}

impl Session {
    /// Opens a WebSocket at the URL of the target. `protocol` is a sub-protocol to offer, or empty; `limit` is the timeout up to
    /// the host's answer. Redirects are not followed.
    pub async fn websocket(&mut self, protocol: &str, limit: Duration) -> Result<Upgraded> {
        let url = self.target.url.clone();
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|e| upstream(&url, format_args!("cannot be asked without random numbers: {e}")))?;
        let key = STANDARD.encode(nonce);
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let bad = |e: &dyn std::fmt::Display| upstream(&url, format_args!("cannot be sent this request: {e}"));
        headers.insert(SEC_WEBSOCKET_KEY, key.parse().map_err(|e| bad(&e))?);
        if !protocol.is_empty() {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol.parse().map_err(|e| bad(&e))?);
        }
        let request = Request { method: Method::GET, headers, body: bytes::Bytes::new(), timeout: limit };
        let may_log_in = !self.target.username.is_empty();
        let mut has_logged_in = self.login.is_some();
        loop {
            let mut connection = connect(&self.fetch.0, &url, &self.target).await?;
            let head = self.ask(&mut connection, &url, &request, may_log_in).await?;
            match head.status {
                StatusCode::SWITCHING_PROTOCOLS => {
                    let accept = head.headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
                    if accept != actix_http::ws::hash_key(key.as_bytes()) {
                        return Err(upstream(
                            &url,
                            "answers the WebSocket handshake with a wrong Sec-WebSocket-Accept",
                        ));
                    }
                    let (io, received) = connection.into_parts();
                    return Ok(Upgraded { io, received });
                }
                StatusCode::UNAUTHORIZED if may_log_in && !has_logged_in && self.read_challenge(&head.headers) => {
                    has_logged_in = true;
                }
                status => {
                    return Err(upstream(&url, format_args!("refuses the WebSocket: it answers {status}")));
                }
            }
        }
    }
}
