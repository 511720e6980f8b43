//! The operations of ONVIF's device and media services, and their answers. Pure.

use std::time::SystemTime;

use url::Url;

use super::{
    report::Profile,
    soap::Operation,
    xml::{Element, escape, shorten},
};
use crate::units;

/// Namespaces of the services.
pub(super) const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
const MEDIA: &str = "http://www.onvif.org/ver10/media/wsdl";
/// Media2, which has H.265.
const MEDIA2: &str = "http://www.onvif.org/ver20/media/wsdl";

/// Most profiles of a device: an NVR of 16 channels has 32.
pub(super) const MAX_PROFILES: usize = 32;

/// Longest URL, in bytes.
const MAX_URI: usize = 2000;

/// A generation of the media service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    One,
    Two,
}

impl Media {
    fn namespace(self) -> &'static str {
        match self {
            Media::One => MEDIA,
            Media::Two => MEDIA2,
        }
    }

    /// All profiles, with the settings of their encoders.
    pub(super) fn get_profiles(self) -> Operation {
        let operation = Operation::new(self.namespace(), "GetProfiles");
        match self {
            Media::One => operation,
            Media::Two => operation.with("<x:Type>VideoEncoder</x:Type>"),
        }
    }

    /// The RTSP URL of a profile. `token` is the unescaped token of the profile.
    pub(super) fn get_stream_uri(self, token: &str) -> Operation {
        let operation = Operation::new(self.namespace(), "GetStreamUri");
        let token = escape(token);
        operation.with(match self {
            Media::One => format!(
                "<x:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport></x:StreamSetup><x:ProfileToken>{token}</x:ProfileToken>"
            ),
            Media::Two => format!("<x:Protocol>RTSP</x:Protocol><x:ProfileToken>{token}</x:ProfileToken>"),
        })
    }

    /// The HTTP URL of a snapshot of a profile.
    pub(super) fn get_snapshot_uri(self, token: &str) -> Operation {
        let token = escape(token);
        Operation::new(self.namespace(), "GetSnapshotUri").with(format!("<x:ProfileToken>{token}</x:ProfileToken>"))
    }

    /// The profiles of an answer.
    pub(super) fn profiles(self, answer: &Element) -> Vec<Profile> {
        let read = |found: &Element| {
            let encoder = match self {
                Media::One => found.child("VideoEncoderConfiguration"),
                Media::Two => found.at(&["Configurations", "VideoEncoder"]),
            };
            let number = |path: &[&str]| number(encoder?.at(path)?.text.as_str());
            Some(Profile {
                token: found.attribute("token").filter(|token| token.len() <= 256)?.to_owned(),
                name: found.child("Name").map(|name| shorten(&name.text)).filter(|name| !name.is_empty()),
                codec: encoder.and_then(|e| e.child("Encoding")).map(|e| codec(&e.text)),
                width: number(&["Resolution", "Width"]).map(|n| n as u32).filter(|n| *n > 0),
                height: number(&["Resolution", "Height"]).map(|n| n as u32).filter(|n| *n > 0),
                fps: number(&["RateControl", "FrameRateLimit"]).filter(|n| *n > 0.0),
                stream_uri: None,
                snapshot_uri: None,
            })
        };
        answer.all("Profiles").filter_map(read).take(MAX_PROFILES).collect()
    }
}

/// A number in an answer. Rates in Media2 have a fraction.
fn number(text: &str) -> Option<f32> {
    text.trim().parse::<f32>().ok().filter(|n| (0.0..100_000.0).contains(n))
}

fn codec(text: &str) -> String {
    // Media2 has the names of media subtypes (RFC 4855): H265 and JPEG, as in Media1.
    match shorten(text).to_ascii_uppercase().as_str() {
        "HEVC" => "H265".into(),
        other => other.to_owned(),
    }
}

/// The seconds by which the device's clock is ahead of `now`. A device that tells only its local time is taken to be in our
/// time zone of UTC: many have no other, and the difference is tried, not trusted.
pub(super) fn clock_offset(answer: &Element, now: SystemTime) -> Option<i64> {
    ["UTCDateTime", "LocalDateTime"].into_iter().find_map(|name| offset_of(answer.find(name)?, now))
}

/// The seconds by which a time is ahead of `now`.
pub(super) fn ahead(there: SystemTime, now: SystemTime) -> Option<i64> {
    match there.duration_since(now) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).ok(),
        Err(behind) => i64::try_from(behind.duration().as_secs()).ok().map(|seconds| -seconds),
    }
}

fn offset_of(time: &Element, now: SystemTime) -> Option<i64> {
    let part = |path: [&str; 2]| time.at(&path)?.text.trim().parse::<u32>().ok();
    let date = (part(["Date", "Year"])?, part(["Date", "Month"])?, part(["Date", "Day"])?);
    // RFC 3339 has no midnight as 24:00.
    let time = (part(["Time", "Hour"])? % 24, part(["Time", "Minute"])?, part(["Time", "Second"])?.min(59));
    let text = format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", date.0, date.1, date.2, time.0, time.1, time.2);
    ahead(SystemTime::from(units::timestamp(&text)?), now)
}

/// Manufacturer, model, firmware and serial number of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Information {
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub firmware: Option<String>,
    pub serial: Option<String>,
}

pub(super) fn information(answer: &Element) -> Information {
    let text = |name: &str| answer.text_of(name).map(shorten).filter(|text| !text.is_empty());
    Information {
        manufacturer: text("Manufacturer"),
        model: text("Model"),
        firmware: text("FirmwareVersion"),
        serial: text("SerialNumber"),
    }
}

/// The URLs of the media services, Media1 first.
pub(super) fn media_services(answer: &Element) -> Vec<(Media, Url)> {
    let mut found = vec![];
    for (media, namespace) in [(Media::One, MEDIA), (Media::Two, MEDIA2)] {
        let is_it =
            |service: &&Element| service.child("Namespace").is_some_and(|n| n.text.trim_end_matches('/') == namespace);
        let at = answer.all("Service").find(is_it).and_then(|service| service.child("XAddr"));
        // GetCapabilities has Media1 as an element.
        let at = at.or_else(|| answer.find("Media").filter(|_| media == Media::One).and_then(|m| m.child("XAddr")));
        // Some devices list several addresses, as in an answer to a probe.
        let url = at.and_then(|at| at.text.split_whitespace().find_map(|text| uri(text, &["http", "https"])));
        found.extend(url.map(|url| (media, url)));
    }
    found
}

/// The URL in an answer to GetStreamUri or GetSnapshotUri of Media1 or Media2.
pub(super) fn uri_of(answer: &Element, schemes: &[&str]) -> Option<Url> {
    uri(answer.text_of("Uri")?, schemes)
}

fn uri(text: &str, schemes: &[&str]) -> Option<Url> {
    if text.len() > MAX_URI {
        return None;
    }
    // Some devices escape the URL twice.
    let url = Url::parse(&text.replace("&amp;", "&")).ok()?;
    (schemes.contains(&url.scheme()) && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::discovery::xml::parse;

    fn element(text: &str) -> Element {
        parse(text.as_bytes()).expect("well-formed")
    }

    #[test]
    fn clocks_are_compared() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let answer = |h: &str, d: &str| {
            element(&format!(
                "<R><SystemDateAndTime><UTCDateTime><Time><Hour>{h}</Hour><Minute>13</Minute><Second>20</Second></Time>\
                 <Date><Year>2023</Year><Month>11</Month><Day>{d}</Day></Date></UTCDateTime></SystemDateAndTime></R>"
            ))
        };
        for (hour, day, expected) in [
            ("22", "14", Some(0)),
            ("21", "14", Some(-3600)),
            ("22", "16", Some(172_800)),
            ("99999999999", "14", None),
            ("22", "31", None),
            ("-1", "14", None),
        ] {
            assert_eq!(clock_offset(&answer(hour, day), now), expected, "{hour} {day}");
        }
        assert_eq!(clock_offset(&element("<R/>"), now), None);
        let time = "<Time><Hour>23</Hour><Minute>13</Minute><Second>20</Second></Time>\
                    <Date><Year>2023</Year><Month>11</Month><Day>14</Day></Date>";
        for (answer, expected) in [
            (format!("<R><LocalDateTime>{time}</LocalDateTime></R>"), Some(3600)),
            (format!("<R><UTCDateTime/><LocalDateTime>{time}</LocalDateTime></R>"), Some(3600)),
            (format!("<R><LocalDateTime/><UTCDateTime>{time}</UTCDateTime></R>"), Some(3600)),
        ] {
            assert_eq!(clock_offset(&element(&answer), now), expected, "{answer}");
        }
    }

    #[test]
    fn profiles_of_media1_and_media2_are_read() {
        let one = element(
            "<R><t:Profiles token='a&amp;b' fixed='true'><t:Name>Main</t:Name><t:VideoEncoderConfiguration token='e'><t:Encoding>H264</t:Encoding>\
             <t:Resolution><t:Width>1920</t:Width><t:Height>1080</t:Height></t:Resolution><t:RateControl><t:FrameRateLimit>25</t:FrameRateLimit>\
             </t:RateControl></t:VideoEncoderConfiguration></t:Profiles><Profiles token='audio'/><Profiles/></R>",
        );
        let profiles = Media::One.profiles(&one);
        assert_eq!(profiles.len(), 2, "a profile without a token is left out");
        let main = &profiles[0];
        assert_eq!(
            (main.token.as_str(), main.name.as_deref(), main.codec.as_deref()),
            ("a&b", Some("Main"), Some("H264"))
        );
        assert_eq!((main.width, main.height, main.fps), (Some(1920), Some(1080), Some(25.0)));
        assert!(
            Media::One.get_stream_uri(&main.token).envelope(None).contains("<x:ProfileToken>a&amp;b</x:ProfileToken>")
        );
        assert_eq!((profiles[1].codec.as_deref(), profiles[1].width), (None, None));
        let two = element(
            "<R><Profiles token='p0'><Name>x</Name><Configurations><VideoEncoder><Encoding>hevc</Encoding><Resolution><Width>3840</Width>\
             <Height>-1</Height></Resolution><RateControl><FrameRateLimit>12.5</FrameRateLimit></RateControl></VideoEncoder></Configurations></Profiles></R>",
        );
        let main = &Media::Two.profiles(&two)[0];
        assert_eq!(
            (main.codec.as_deref(), main.width, main.height, main.fps),
            (Some("H265"), Some(3840), None, Some(12.5))
        );
        let many = element(&format!("<R>{}</R>", "<Profiles token='p'/>".repeat(500)));
        assert_eq!(Media::One.profiles(&many).len(), MAX_PROFILES);
    }

    #[test]
    fn services_are_found_in_answers_to_both_operations() {
        let services = element(
            "<R><Service><Namespace>http://www.onvif.org/ver20/media/wsdl</Namespace><XAddr>http://h/2</XAddr></Service>\
             <Service><Namespace>http://www.onvif.org/ver10/media/wsdl/</Namespace><XAddr>http://h/1</XAddr></Service></R>",
        );
        let found: Vec<_> = media_services(&services).into_iter().map(|(m, url)| (m, url.to_string())).collect();
        assert_eq!(found, [(Media::One, "http://h/1".to_owned()), (Media::Two, "http://h/2".to_owned())]);
        let capabilities = element("<R><Capabilities><Media><XAddr>http://h/m</XAddr></Media></Capabilities></R>");
        assert_eq!(media_services(&capabilities).len(), 1);
        assert_eq!(
            media_services(&element("<R><Capabilities><Media><XAddr>file:///x</XAddr></Media></Capabilities></R>")),
            []
        );
    }

    #[test]
    fn urls_that_are_escaped_twice_are_read_and_other_schemes_are_left_out() {
        let uri = |text: &str| {
            uri_of(&element(&format!("<R><MediaUri><Uri>{text}</Uri></MediaUri></R>")), &["rtsp", "rtsps"])
        };
        assert_eq!(uri("rtsp://h/a?b=1&amp;amp;c=2").expect("an address").as_str(), "rtsp://h/a?b=1&c=2");
        for text in ["", "http://h/", "rtsp:///x", "javascript:alert(1)", &format!("rtsp://h/{}", "x".repeat(MAX_URI))]
        {
            assert_eq!(uri(text), None, "{text}");
        }
    }
}
