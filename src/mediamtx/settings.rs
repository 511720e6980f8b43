//! Settings of the connection to MediaMTX.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Secret;

/// The MediaMTX beside the sidecar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaMtxSettings {
    /// URL of the control API, `http://` or `https://`.
    pub api: String,
    /// URL of the playback server, `http://` or `https://`.
    pub playback: String,
    /// Base URL of the playback server as browsers see it. Empty: the host of the page and the port of `playback`.
    pub playback_url: String,
    /// Base URL of the WebRTC server (WHEP and WHIP) as browsers see it. Empty: the host of the page and MediaMTX's port.
    pub webrtc_url: String,
    /// Base URL of the HLS server as browsers see it. Empty: the host of the page and MediaMTX's port.
    pub hls_url: String,
    /// MediaMTX's path for stream NAME is PREFIX/NAME, as in the shipped mediamtx.yml; empty: NAME.
    pub path_prefix: String,
    /// User for the control API and the playback server. Empty: the sidecar shows a token of its own.
    pub user: String,
    /// Password of that user.
    pub pass: Secret,
    /// Base URL of the RTSP server, from which the sidecar reads paths.
    pub rtsp: String,
    /// URL of the WebRTC server, to which the sidecar publishes UV4L cameras, `http://` or `https://`.
    pub webrtc: String,
    /// Base URL at which MediaMTX reaches the sidecar's RTSP server. Empty: `rtsp.listen` on this machine.
    pub advertise_rtsp: String,
    /// Base URL at which programs beside MediaMTX reach the sidecar's HTTP server. Empty: `http.listen` on this machine.
    pub advertise_http: String,
    /// MediaMTX's recordings as this program sees them: the folder in place of those that `recordPath` has before its first variable.
    /// Empty: `recordPath` itself.
    pub recordings: String,
}

impl Default for MediaMtxSettings {
    fn default() -> Self {
        MediaMtxSettings {
            api: "http://127.0.0.1:9997".into(),
            playback: "http://127.0.0.1:9996".into(),
            playback_url: String::new(),
            webrtc_url: String::new(),
            hls_url: String::new(),
            path_prefix: "pictures".into(),
            user: String::new(),
            pass: Secret::default(),
            rtsp: "rtsp://127.0.0.1:8554".into(),
            webrtc: "http://127.0.0.1:8889".into(),
            advertise_rtsp: String::new(),
            advertise_http: String::new(),
            recordings: String::new(),
        }
    }
}

/// A loopback address instead of an address that means all of this machine's.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = if listen.ip().is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { listen.ip() };
    SocketAddr::new(ip, listen.port())
}

impl MediaMtxSettings {
    /// The `Authorization` header of `user`; none without one.
    pub(super) fn basic(&self) -> Option<String> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        (!self.user.is_empty())
            .then(|| format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.pass.expose()))))
    }

    /// Base URL at which MediaMTX pulls the sidecar's streams; `rtsp` is the address of the RTSP server.
    pub fn advertise_rtsp(&self, rtsp: SocketAddr) -> String {
        match self.advertise_rtsp.trim_end_matches('/') {
            "" => format!("rtsp://{}", reachable(rtsp)),
            url => url.to_owned(),
        }
    }

    /// Base URL at which programs beside MediaMTX get files; `http` is the address of the HTTP server.
    pub fn advertise_http(&self, http: SocketAddr) -> String {
        match self.advertise_http.trim_end_matches('/') {
            "" => format!("http://{}", reachable(http)),
            url => url.to_owned(),
        }
    }

    /// The URL of the playback server at another host name, which is that of the page: scheme and port are those of `playback`.
    pub fn playback_at(&self, host: &str) -> String {
        let url = Url::parse(&self.playback).ok();
        let scheme = url.as_ref().map_or("http", Url::scheme);
        let port = url.as_ref().and_then(Url::port_or_known_default).unwrap_or(9996);
        format!("{scheme}://{host}:{port}")
    }

    /// The port of `rtsp`.
    pub fn rtsp_port(&self) -> Option<u16> {
        Url::parse(&self.rtsp).ok()?.port().or(Some(554))
    }

    /// The errors of the settings: key and rule.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        for (key, url, example) in [
            ("api", &self.api, "http://127.0.0.1:9997"),
            ("playback", &self.playback, "http://127.0.0.1:9996"),
            ("webrtc", &self.webrtc, "http://127.0.0.1:8889"),
        ] {
            if !is_server(url) {
                let rule = "must be an http or https URL without a path";
                let credentials = "user and password have keys of their own";
                found.push((key, format!("{rule}, such as {example}, not {url:?}; {credentials}")));
            }
        }
        let rtsp = self.rtsp.strip_prefix("rtsp://").unwrap_or_default();
        if rtsp.is_empty() || rtsp.contains(['@', '/', '?', '#', ' ']) {
            found.push(("rtsp", "must be like rtsp://127.0.0.1:8554, without user, password and path".into()));
        }
        if !self.advertise_rtsp.is_empty() && !self.advertise_rtsp.starts_with("rtsp://") {
            found.push((
                "advertise_rtsp",
                format!("must be like rtsp://192.168.1.5:9554, not {:?}", self.advertise_rtsp),
            ));
        }
        // The URL becomes a part of ffmpeg's command line.
        let fits = |c: char| c.is_ascii_alphanumeric() || ":/.-_[]".contains(c);
        if !self.advertise_http.is_empty() && (!is_web(&self.advertise_http) || !self.advertise_http.chars().all(fits))
        {
            found.push((
                "advertise_http",
                format!("must be like http://192.168.1.5:9995, not {:?}", self.advertise_http),
            ));
        }
        for (key, url, example) in [
            ("playback_url", &self.playback_url, "https://home.example/playback"),
            ("webrtc_url", &self.webrtc_url, "https://home.example/webrtc"),
            ("hls_url", &self.hls_url, "https://home.example/hls"),
        ] {
            // The URL becomes a part of a header (Content-Security-Policy), in which spaces and semicolons separate.
            let fits = |c: char| c.is_ascii_alphanumeric() || ":/.-_~[]".contains(c);
            if !url.is_empty() && (!is_web(url) || url.ends_with('/') || !url.chars().all(fits)) {
                found.push((key, format!("must be like {example}, without a slash at the end, not {url:?}")));
            }
        }
        let prefix = &self.path_prefix;
        let fits = |c: char| c.is_ascii_alphanumeric() || "/_-.~:".contains(c);
        if prefix.starts_with('/') || prefix.ends_with('/') || !prefix.chars().all(fits) {
            let rule = "must be the first part of a path name, such as pictures, without slashes around it";
            found.push(("path_prefix", format!("{rule}, not {prefix:?}")));
        }
        found
    }
}

fn is_web(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// Whether the text is the URL of a web server: no path, query, user or password.
fn is_server(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    is_web(text)
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && !text.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_the_control_api_are_checked() {
        let problems = |api: &str| MediaMtxSettings { api: api.into(), ..MediaMtxSettings::default() }.problems().len();
        for valid in ["http://127.0.0.1:9997", "http://mediamtx:9997/", "https://mediamtx:9997", "https://home.example"]
        {
            assert_eq!(problems(valid), 0, "{valid}");
        }
        for wrong in [
            "",
            "127.0.0.1:9997",
            "ftp://x",
            "http://",
            "http://root:pass@x:9997",
            "http://x:9997/v3",
            "https://x/?a=b",
            "https:x",
        ] {
            assert_eq!(problems(wrong), 1, "{wrong}");
        }
    }

    #[test]
    fn urls_for_other_programs_are_checked_and_have_defaults() {
        let settings = |advertise_http: &str| MediaMtxSettings {
            advertise_http: advertise_http.into(),
            ..MediaMtxSettings::default()
        };
        let listen = "0.0.0.0:9995".parse().expect("an address");
        for (text, problems, expected) in [
            ("", 0, "http://127.0.0.1:9995"),
            ("http://192.168.1.5:9995/", 0, "http://192.168.1.5:9995"),
            ("https://sidecar.example", 0, "https://sidecar.example"),
            ("192.168.1.5", 1, "192.168.1.5"),
            ("http://x/$HOME", 1, "http://x/$HOME"),
        ] {
            let settings = settings(text);
            assert_eq!((settings.problems().len(), settings.advertise_http(listen).as_str()), (problems, expected));
        }
    }

    #[test]
    fn browsers_reach_the_playback_server_at_the_host_of_the_page() {
        for (playback, expected) in [
            ("http://127.0.0.1:9996", "http://camera-pi:9996"),
            ("https://127.0.0.1:9996", "https://camera-pi:9996"),
            ("https://mediamtx", "https://camera-pi:443"),
        ] {
            let settings = MediaMtxSettings { playback: playback.into(), ..MediaMtxSettings::default() };
            assert_eq!(settings.playback_at("camera-pi"), expected);
        }
    }
}
