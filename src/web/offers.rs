//! Suggestions for a discovered device: requests to this API that make a path or a stream of it.

use std::{fmt, net::IpAddr};

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::{
    discovery::{DiscoveredDevice, Event, Login},
    secret::{self, Secret},
};

/// Longest suggested name, without the part of the address, in characters.
const MAX_NAME: usize = 40;

/// A discovered device, with suggestions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeviceReport {
    /// The device.
    #[serde(flatten)]
    device: DiscoveredDevice,
    /// Requests that make a path or a stream of the device.
    offers: Vec<Suggestion>,
}

impl DeviceReport {
    /// Adds suggestions. The credentials, and the fingerprint for HTTPS, become a part of them: the paths and streams need them.
    pub fn new(device: &DiscoveredDevice, login: Option<&Login>, fingerprint: &str) -> Self {
        DeviceReport { device: device.clone(), offers: suggestions(device, login, fingerprint) }
    }
}

/// The data of a search event as JSON. Devices have suggestions without credentials.
#[expect(clippy::expect_used, reason = "texts, numbers and lists are JSON; only maps with other keys are not")]
pub fn event_json(event: &Event) -> String {
    match event {
        Event::Found(device) | Event::Detail(device) => serde_json::to_string(&DeviceReport::new(device, None, "")),
        Event::Problem(problem) => serde_json::to_string(problem),
        Event::Done(summary) => serde_json::to_string(summary),
    }
    .expect("texts, numbers and lists are JSON")
}

/// One request that makes a path or a stream of a device.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
pub struct Suggestion {
    /// The kind of resource that the request makes.
    makes: Makes,
    /// A description.
    title: String,
    /// The suggested name, which is a part of `href`. Another name can be used instead.
    name: String,
    /// Always `PUT`.
    method: &'static str,
    /// The URL of the request, such as `/api/v1/paths/front-door-20`.
    href: String,
    /// The body of the request, with the credentials for the device, if there are any.
    body: Definition,
}

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Makes {
    /// A path of MediaMTX, which pulls the camera's video as it is.
    Path,
    /// A stream of pictures.
    Stream,
}

/// The body of a request: the settings that differ from their defaults.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[schema(as = SuggestedDefinition)]
enum Definition {
    /// A path of MediaMTX (see `Wanted`).
    Camera {
        /// RTSP URL, with user and password.
        url: String,
        on_demand: bool,
        transport: &'static str,
    },
    /// A stream of decoded video.
    Rtsp {
        /// RTSP URL.
        url: String,
        #[serde(flatten)]
        login: Credentials,
    },
    /// A stream of snapshots.
    Http {
        /// HTTP URL.
        url: String,
        #[serde(flatten)]
        login: Credentials,
        /// The SHA-256 of a self-signed certificate.
        #[serde(skip_serializing_if = "String::is_empty")]
        fingerprint: String,
    },
}

/// User and password of a stream definition.
#[derive(Clone, Default, PartialEq, Serialize, ToSchema)]
struct Credentials {
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "Secret::is_empty", serialize_with = "exposed")]
    #[schema(value_type = String)]
    pass: Secret,
}

/// Writes a password as it is: the client has sent it, and the definition needs it.
fn exposed<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose())
}

/// Without the body, which can have a password.
impl fmt::Debug for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PUT {} ({})", self.href, self.title)
    }
}

impl Suggestion {
    fn new(title: String, name: String, body: Definition) -> Self {
        let (makes, collection) = match body {
            Definition::Camera { .. } => (Makes::Path, "paths"),
            Definition::Rtsp { .. } | Definition::Http { .. } => (Makes::Stream, "streams"),
        };
        let href = format!("/api/v1/{collection}/{name}");
        Suggestion { makes, title, name, method: "PUT", href, body }
    }
}

/// The suggestions for a device: for each profile a path, a stream of its video, and a stream of its snapshots.
fn suggestions(device: &DiscoveredDevice, login: Option<&Login>, fingerprint: &str) -> Vec<Suggestion> {
    let base = base_name(device);
    let credentials = login
        .map(|login| Credentials { user: login.username.clone(), pass: login.password.clone() })
        .unwrap_or_default();
    let mut all = vec![];
    let mut snapshots: Vec<&str> = vec![];
    for (i, profile) in device.profiles.iter().enumerate() {
        let name = if i == 0 { base.clone() } else { format!("{base}-{}", i + 1) };
        let video = profile.summary();
        if let Some(url) = &profile.stream_uri {
            let body = Definition::Camera { url: with_login(url, login), on_demand: true, transport: "tcp" };
            all.push(Suggestion::new(format!("{video}, by MediaMTX"), name.clone(), body));
            let body = Definition::Rtsp { url: url.clone(), login: credentials.clone() };
            all.push(Suggestion::new(format!("{video}, as pictures"), name.clone(), body));
        }
        // Some devices have one snapshot for all profiles.
        if let Some(url) = profile.snapshot_uri.as_deref().filter(|url| !snapshots.contains(url)) {
            snapshots.push(url);
            let fingerprint = if url.starts_with("https:") { fingerprint } else { "" };
            let body =
                Definition::Http { url: url.into(), login: credentials.clone(), fingerprint: fingerprint.into() };
            all.push(Suggestion::new(format!("{video}, as snapshots"), format!("{name}-still"), body));
        }
    }
    all
}

/// A name of letters, digits and `-`. It ends with the last part of the address, because many cameras have the name IPC.
fn base_name(device: &DiscoveredDevice) -> String {
    let names = [&device.name, &device.model, &device.hardware].into_iter().flatten();
    let name = names.map(|text| slug(text)).find(|slug| !slug.is_empty());
    let part = match device.address {
        IpAddr::V4(ip) => ip.octets()[3].to_string(),
        IpAddr::V6(ip) => format!("{:x}", ip.segments()[7]),
    };
    format!("{}-{part}", name.unwrap_or_else(|| "camera".into()))
}

fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == MAX_NAME {
            break;
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// MediaMTX takes the credentials of a source only in its URL.
fn with_login(url: &str, login: Option<&Login>) -> String {
    let Some(login) = login else { return url.to_owned() };
    secret::with_login(url, &login.username, login.password.expose())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        discovery::{FoundBy, Profile},
        paths::Wanted,
        producer,
        stream::StreamName,
    };

    fn device(name: &str) -> DiscoveredDevice {
        let profile = |token: &str| Profile {
            token: token.into(),
            name: None,
            codec: Some("H264".into()),
            width: Some(1920),
            height: Some(1080),
            fps: Some(25.0),
            stream_uri: Some("rtsp://192.168.1.20:554/live?ch=1&t=2".into()),
            snapshot_uri: Some("http://192.168.1.20/snap.jpg".into()),
        };
        let mut device =
            DiscoveredDevice::new("x".into(), "192.168.1.20".parse().expect("an address"), FoundBy::WsDiscovery);
        device.name = Some(name.into());
        device.profiles = vec![profile("a"), profile("b")];
        device
    }

    fn offers(report: &DeviceReport) -> Value {
        serde_json::to_value(report).expect("plain data")["offers"].clone()
    }

    #[test]
    fn each_suggestion_is_a_valid_request() {
        for (name, expected) in [
            ("Front Door", "front-door-20"),
            ("  IPC/../x ", "ipc-x-20"),
            ("カメラ", "camera-20"),
            ("~^.*$", "camera-20"),
            (&"x".repeat(500), &format!("{}-20", "x".repeat(MAX_NAME))),
        ] {
            let device = device(name);
            let report = DeviceReport::new(&device, None, "");
            let names: Vec<_> = report.offers.iter().map(|offer| (offer.makes, offer.name.as_str())).collect();
            let (second, still) = (format!("{expected}-2"), format!("{expected}-still"));
            use Makes::{Path, Stream};
            assert_eq!(
                names,
                [(Path, expected), (Stream, expected), (Stream, still.as_str()), (Path, &second), (Stream, &second)]
            );
            for (offer, json) in report.offers.iter().zip(offers(&report).as_array().expect("a list")) {
                let body = json["body"].clone();
                match offer.makes {
                    Makes::Path => {
                        let wanted: Wanted = serde_json::from_value(body).expect("a path");
                        wanted.check(&offer.name).expect("valid");
                        assert_eq!(offer.href, format!("/api/v1/paths/{}", offer.name));
                    }
                    Makes::Stream => {
                        serde_json::from_value::<producer::Definition>(body).expect("a stream");
                        StreamName::parse(&offer.name).expect("a name");
                        assert_eq!(offer.href, format!("/api/v1/streams/{}", offer.name));
                    }
                }
            }
            let offers = offers(&report);
            assert_eq!(offers[2]["body"], json!({"kind": "http", "url": "http://192.168.1.20/snap.jpg"}));
            assert_eq!(offers[0]["title"], "H264 1920x1080 25 fps, by MediaMTX");
        }
    }

    #[test]
    fn credentials_are_in_the_bodies_only() {
        let login = Login { username: "ad:min".into(), password: Secret::new("p@ss/ö%2") };
        let device = device("x");
        let report = DeviceReport::new(&device, Some(&login), "");
        let offers = offers(&report);
        assert_eq!(offers[0]["body"]["url"], "rtsp://ad%3Amin:p%40ss%2F%C3%B6%252@192.168.1.20:554/live?ch=1&t=2");
        let expected = json!({"kind": "rtsp", "url": "rtsp://192.168.1.20:554/live?ch=1&t=2", "user": "ad:min", "pass": "p@ss/ö%2"});
        assert_eq!(offers[1]["body"], expected);
        for text in [event_json(&Event::Detail(Box::new(device.clone()))), format!("{report:?}")] {
            assert!(!text.contains("ass/") && !text.contains("ad:min"), "{text}");
        }
    }

    #[test]
    fn the_fingerprint_is_for_https_only() {
        let mut device = device("x");
        device.profiles.truncate(1);
        for (url, expected) in
            [("https://192.168.1.20/snap.jpg", json!("AB")), ("http://192.168.1.20/snap.jpg", Value::Null)]
        {
            device.profiles[0].snapshot_uri = Some(url.into());
            assert_eq!(offers(&DeviceReport::new(&device, None, "AB"))[2]["body"]["fingerprint"], expected, "{url}");
        }
    }
}
