//! Values of header fields that the client uses. Each reader takes what it understands and ignores the rest.

use tokio::time::Duration;

/// Header fields in the order of arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Headers(Vec<(String, String)>);

impl Headers {
    /// Adds a field.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }

    /// Continues the value of the last field (a folded line; RFC 822, section 3.1.1).
    pub(super) fn fold(&mut self, more: &str) {
        if let (Some((_, value)), false) = (self.0.last_mut(), more.trim().is_empty()) {
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(more.trim());
        }
    }

    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All values of a field. The name is in lower case.
    pub(super) fn all<'a, 'n>(&'a self, name: &'n str) -> impl DoubleEndedIterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The last value of a field that is not empty. ffmpeg uses the last one, too.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).rev().find(|value| !value.is_empty())
    }

    /// The length of the body; none if there is no field with a number.
    pub(super) fn content_length(&self) -> Option<usize> {
        self.all("content-length").rev().find_map(leading_number)
    }

    /// The number of the request that is answered.
    pub(super) fn cseq(&self) -> Option<u32> {
        self.get("cseq").and_then(leading_number)
    }

    /// The session's id, and after how long without a request the server ends the session.
    pub(super) fn session(&self) -> Option<(String, Option<Duration>)> {
        let mut parts = self.get("session")?.split(';').map(str::trim);
        let id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        let timeout = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            if name.trim().eq_ignore_ascii_case("timeout") { leading_number::<u64>(value) } else { None }
        });
        // Some firmware announces 0 for "no timeout".
        Some((id, timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs)))
    }

    /// The transport that the server has chosen.
    pub(super) fn transport(&self) -> Chosen {
        let mut chosen = Chosen::default();
        let Some(text) = self.get("transport") else { return chosen };
        // A server that repeats the list of the request has its first entry in mind.
        for (i, part) in text.split(',').next().unwrap_or_default().split(';').enumerate() {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                spec if i == 0 => chosen.is_udp = !spec.contains("tcp"),
                "interleaved" => chosen.channels = pair(value),
                "server_port" => chosen.server_ports = pair(value),
                "source" => chosen.source = value.parse().ok(),
                _ => {}
            }
        }
        chosen
    }
}

/// The parts of a `Transport` header that the client uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Whether the packets come by UDP.
    pub(super) is_udp: bool,
    /// Channels of RTP and RTCP.
    pub(super) channels: Option<(u8, u8)>,
    /// Ports of RTP and RTCP at the server.
    pub(super) server_ports: Option<(u16, u16)>,
    /// The address that the packets come from, if it is not the server's.
    pub(super) source: Option<std::net::IpAddr>,
}

/// The number at the beginning of a text.
pub(super) fn leading_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim();
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// `4-5`, or `4` for 4 and 5.
fn pair<T: std::str::FromStr + Copy + Into<u32> + TryFrom<u32>>(text: &str) -> Option<(T, T)> {
    let (first, second) = text.split_once('-').unwrap_or((text, ""));
    let first: T = leading_number(first)?;
    let second = leading_number(second).or_else(|| T::try_from(first.into() + 1).ok())?;
    Some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push(name, value);
        headers
    }

    #[test]
    fn a_session_is_read_with_odd_parameters() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (text, expected) in [
            ("7", Some(("7", None))),
            ("12345678;timeout=60", Some(("12345678", seconds(60)))),
            ("1; timeout=60", Some(("1", seconds(60)))),
            ("1;timeout=60;", Some(("1", seconds(60)))),
            ("1;timeout=60;x=y", Some(("1", seconds(60)))),
            ("1;x=y;Timeout = 30s", Some(("1", seconds(30)))),
            ("1;timeout=0", Some(("1", None))),
            ("1;timeout=", Some(("1", None))),
            ("1;timeout=-1", Some(("1", None))),
            (";timeout=5", None),
            ("", None),
        ] {
            let read = with("Session", text).session();
            assert_eq!(read, expected.map(|(id, timeout)| (id.to_owned(), timeout)), "{text:?}");
        }
    }

    #[test]
    fn a_transport_is_read_with_odd_parameters() {
        let tcp = |channels| Chosen { channels, ..Chosen::default() };
        for (text, expected) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1", tcp(Some((0, 1)))),
            ("RTP/AVP/TCP; unicast; interleaved=4-5; ssrc=ABCD", tcp(Some((4, 5)))),
            ("RTP/AVP/TCP;unicast;source=camera.local;interleaved=2", tcp(Some((2, 3)))),
            ("rtp/avp/tcp;unicast;Interleaved=\"0-1\";mode=\"PLAY\"", tcp(Some((0, 1)))),
            ("RTP/AVP/TCP;unicast", tcp(None)),
            ("RTP/AVP/TCP;interleaved=255", tcp(None)),
            ("RTP/AVP/TCP;interleaved=0-1,RTP/AVP;unicast", tcp(Some((0, 1)))),
            ("", tcp(None)),
            (
                "RTP/AVP;unicast;client_port=1-2;server_port=5000-5001;source=10.0.0.9",
                Chosen {
                    is_udp: true,
                    server_ports: Some((5000, 5001)),
                    source: "10.0.0.9".parse().ok(),
                    ..Chosen::default()
                },
            ),
        ] {
            assert_eq!(with("Transport", text).transport(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_last_usable_value_of_a_repeated_field_counts() {
        let mut headers = with("Content-Length", " 12 ");
        headers.push("CONTENT-LENGTH", "none");
        headers.push("CSeq", "5 6");
        headers.push("Content-Base", "");
        assert_eq!((headers.content_length(), headers.cseq(), headers.get("content-base")), (Some(12), Some(5), None));
        assert_eq!(headers.get("Session"), None);
    }
}
