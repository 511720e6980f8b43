//! MediaMTX's ports, and its control API.

use serde_json::{Map, Value};

use super::{Findings, flag, text};

/// A server of MediaMTX.
struct Listener {
    /// The key of its address.
    key: &'static str,
    /// Its default address.
    default: &'static str,
    protocol: &'static str,
    /// The key that switches it on.
    switch: &'static str,
    is_on_by_default: bool,
}

#[rustfmt::skip]
const LISTENERS: &[Listener] = &[
    Listener { key: "rtspAddress", default: ":8554", protocol: "tcp", switch: "rtsp", is_on_by_default: true },
    Listener { key: "rtpAddress", default: ":8000", protocol: "udp", switch: "rtsp", is_on_by_default: true },
    Listener { key: "rtcpAddress", default: ":8001", protocol: "udp", switch: "rtsp", is_on_by_default: true },
    Listener { key: "rtmpAddress", default: ":1935", protocol: "tcp", switch: "rtmp", is_on_by_default: true },
    Listener { key: "hlsAddress", default: ":8888", protocol: "tcp", switch: "hls", is_on_by_default: true },
    Listener { key: "webrtcAddress", default: ":8889", protocol: "tcp", switch: "webrtc", is_on_by_default: true },
    Listener { key: "webrtcLocalUDPAddress", default: ":8189", protocol: "udp", switch: "webrtc", is_on_by_default: true },
    Listener { key: "srtAddress", default: ":8890", protocol: "udp", switch: "srt", is_on_by_default: true },
    Listener { key: "apiAddress", default: ":9997", protocol: "tcp", switch: "api", is_on_by_default: false },
    Listener { key: "metricsAddress", default: ":9998", protocol: "tcp", switch: "metrics", is_on_by_default: false },
    Listener { key: "pprofAddress", default: ":9999", protocol: "tcp", switch: "pprof", is_on_by_default: false },
    Listener { key: "playbackAddress", default: ":9996", protocol: "tcp", switch: "playback", is_on_by_default: false },
];

impl Findings<'_> {
    pub(super) fn listeners(&mut self, config: &Map<String, Value>) {
        let of_sidecar = [
            ("http.listen", self.sidecar.http_port, "tcp"),
            ("rtsp.listen", self.sidecar.rtsp_port, "tcp"),
            ("udp.listen", self.sidecar.udp_port, "udp"),
        ];
        for listener in LISTENERS {
            if !flag(config, listener.switch).unwrap_or(listener.is_on_by_default) {
                continue;
            }
            let address = text(config, listener.key).unwrap_or_else(|| listener.default.to_owned());
            let port = address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
            for (setting, used, protocol) in of_sidecar {
                if port == Some(used) && listener.protocol == protocol {
                    let advice = format!(
                        "the sidecar uses {protocol} port {used} ({setting} in sidecar.yml); change one of the two"
                    );
                    self.error(listener.key, advice);
                }
            }
        }
        self.api(config);
    }

    fn api(&mut self, config: &Map<String, Value>) {
        if !flag(config, "api").unwrap_or(false) {
            let advice = "is off: the sidecar cannot end the sessions of a user who loses a permission; write api: yes";
            self.warn("api", advice);
            return self.fix("", "api: yes\napiAddress: 127.0.0.1:9997");
        }
        let address = text(config, "apiAddress").unwrap_or_else(|| ":9997".into());
        let host = address.rsplit_once(':').map_or("", |(host, _)| host);
        if !matches!(host, "127.0.0.1" | "[::1]" | "localhost") && !address.starts_with("unix:") {
            let advice =
                format!("other machines can reach {address}, and the API can run commands; write 127.0.0.1:9997");
            self.warn("apiAddress", advice);
            self.fix("", "apiAddress: 127.0.0.1:9997");
        }
    }
}
