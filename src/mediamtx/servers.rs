//! The servers of MediaMTX, as its configuration has them.

use serde_json::{Map, Value};

/// The port of a server, and whether it uses TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The TCP port; of SRT the UDP port.
    pub port: u16,
    /// Whether clients must use TLS.
    pub tls: bool,
}

/// The servers that clients use; none for a server that is switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// RTSP: of RTSPS if clients must encrypt.
    pub rtsp: Option<Listening>,
    /// RTMP, or RTMPS.
    pub rtmp: Option<Listening>,
    /// SRT.
    pub srt: Option<Listening>,
    /// HLS.
    pub hls: Option<Listening>,
    /// WHEP and WHIP.
    pub webrtc: Option<Listening>,
}

impl Servers {
    /// Reads `/v3/config/global/get` (MediaMTX's internal/conf/conf.go).
    pub fn of(global: &Map<String, Value>) -> Self {
        let text = |key: &str| global.get(key).and_then(Value::as_str).unwrap_or_default();
        let is_on = |key: &str| global.get(key).and_then(Value::as_bool).unwrap_or_default();
        // RTSP and RTMP have a second port for TLS, which clients must use with `strict`.
        let with_second = |name: &str| {
            let tls = text(&format!("{name}Encryption")) == "strict";
            let address = if tls { format!("{name}sAddress") } else { format!("{name}Address") };
            is_on(name).then(|| port(text(&address))).flatten().map(|port| Listening { port, tls })
        };
        let plain = |name: &str| {
            let tls = is_on(&format!("{name}Encryption"));
            let port = is_on(name).then(|| port(text(&format!("{name}Address")))).flatten();
            port.map(|port| Listening { port, tls })
        };
        Servers {
            rtsp: with_second("rtsp"),
            rtmp: with_second("rtmp"),
            srt: plain("srt"),
            hls: plain("hls"),
            webrtc: plain("webrtc"),
        }
    }
}

/// The port of an address such as `:8554` or `127.0.0.1:8554`.
fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_and_encryption_are_those_of_the_configuration() {
        let read = |value: Value| Servers::of(value.as_object().expect("an object"));
        let on = |port: u16, tls: bool| Some(Listening { port, tls });
        let found = read(json!({
            "rtsp": true, "rtspAddress": ":23554", "rtspsAddress": ":8322", "rtspEncryption": "optional",
            "rtmp": true, "rtmpAddress": ":1935", "rtmpsAddress": ":1936", "rtmpEncryption": "strict",
            "srt": false, "srtAddress": ":8890", "hls": true, "hlsAddress": "127.0.0.1:8888", "hlsEncryption": true,
            "webrtc": true, "webrtcAddress": "[::]:8889", "webrtcEncryption": false,
        }));
        let expected = Servers {
            rtsp: on(23554, false),
            rtmp: on(1936, true),
            srt: None,
            hls: on(8888, true),
            webrtc: on(8889, false),
        };
        assert_eq!(found, expected);
        assert_eq!(read(json!({"rtsp": true, "rtspAddress": "everywhere", "hls": 1})), Servers::default());
    }
}
