//! URLs as they stand in a `mediamtx.yml`.

/// The parts of a URL that tell whether it is ours.
pub(super) struct Url {
    pub(super) scheme: String,
    pub(super) has_userinfo: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
    query: String,
}

impl Url {
    /// As much of a URL as can be read in a command line with MediaMTX's variables in it.
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
            has_userinfo: userinfo.is_some_and(|u| u.contains(':')),
            host: host.to_owned(),
            port,
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }

    /// A parameter of the query, not decoded.
    pub(super) fn parameter(&self, wanted: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value).next()
    }

    pub(super) fn is_this_machine(&self) -> bool {
        matches!(&*self.host, "127.0.0.1" | "localhost" | "[::1]")
    }
}
