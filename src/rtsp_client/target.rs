//! [`Target`]: where to connect, and how.

use url::Url;

use super::{
    Transport, WantsSound,
    connection::{Connection, Tls},
    failure::Failure,
};
use crate::secret::Secret;

/// Where to connect, and how.
#[derive(Clone)]
pub struct Target {
    /// The URL of the requests, without user and password. Its host is connected to as it is.
    pub url: Url,
    /// User and password, sent only in answer to a challenge.
    pub login: Option<(String, Secret)>,
    /// How the packets are transported.
    pub transport: Transport,
    /// For `rtsps`.
    pub tls: Option<Tls>,
    /// Whether the sound is set up, too.
    pub wants_sound: WantsSound,
}

impl Target {
    /// Opens a connection to the host.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.url.port().unwrap_or(if self.tls.is_some() { 322 } else { 554 });
        Connection::open(host, port, self.tls.as_ref()).await
    }
}
