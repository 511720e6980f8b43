//! URLs as they occur in a `mediamtx.yml`: with MediaMTX's variables (`$MTX_PATH`), which the `url` crate does not accept everywhere.

use crate::query;

/// The parts of a URL that tell whether it leads to the sidecar.
pub(super) struct Url {
    pub(super) scheme: String,
    pub(super) has_password: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
    query: String,
}

impl Url {
    /// Reads an http, https or rtsp URL; none for other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path_and_query) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let (userinfo, host_and_port) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
        let default = match scheme {
            "http" => 80,
            "https" => 443,
            "rtsp" => 554,
            _ => return None,
        };
        let (host, port) = match host_and_port.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(default)),
            None => (host_and_port, default),
        };
        Some(Url {
            scheme: scheme.to_owned(),
            has_password: userinfo.is_some_and(|userinfo| userinfo.contains(':')),
            host: host.to_owned(),
            port,
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }

    /// The value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        query::first(&self.query, name).map(|value| value.into_owned())
    }

    pub(super) fn is_this_machine(&self) -> bool {
        matches!(&*self.host, "127.0.0.1" | "localhost" | "[::1]")
    }
}
