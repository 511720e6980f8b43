//! Definitions that are ready to be put: what can be made of a device here.

use std::{fmt, net::IpAddr};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;
use utoipa::ToSchema;

use super::{report::DiscoveredDevice, soap::Login};

/// Longest name that is made up, without the part of the address.
const MAX_NAME: usize = 40;

/// Something that can be made of a device by one request.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
pub struct Offer {
    /// What it becomes.
    pub makes: Suggestion,
    /// In words.
    pub title: String,
    /// A name for it; another one may be put into the address.
    pub name: String,
    /// Always `PUT`.
    pub method: &'static str,
    /// To where, such as `/api/v1/paths/front-door-20`.
    pub href: String,
    /// What is put. With the user and password that the device was asked with, if there were any.
    #[schema(value_type = Object)]
    pub body: Value,
}

/// What an offer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Suggestion {
    /// A path of MediaMTX, which pulls the camera's video as it is.
    Path,
    /// A stream of ours: pictures of it.
    Stream,
}

impl DiscoveredDevice {
    /// Works out what can be made of it. `login`, and the fingerprint where it is HTTPS, go into the definitions, which are of
    /// no use without.
    pub fn make_offers(&mut self, login: Option<&Login>, fingerprint: &str) {
        let base = self.base_name();
        let mut offers = vec![];
        let mut snapshots: Vec<&str> = vec![];
        for (i, profile) in self.profiles.iter().enumerate() {
            let name = if i == 0 { base.clone() } else { format!("{base}-{}", i + 1) };
            let what = profile.in_words();
            if let Some(uri) = &profile.stream_uri {
                let url = with_login(uri, login);
                let body = json!({"kind": "camera", "url": url, "on_demand": true, "transport": "tcp"});
                offers.push(Offer::new(Suggestion::Path, format!("{what}, by MediaMTX"), name.clone(), body));
                let body = definition("rtsp", uri, login);
                offers.push(Offer::new(Suggestion::Stream, format!("{what}, as pictures"), name.clone(), body));
            }
            if let Some(uri) = profile.snapshot_uri.as_deref().filter(|uri| !snapshots.contains(uri)) {
                snapshots.push(uri);
                let mut body = definition("http", uri, login);
                if uri.starts_with("https:") && !fingerprint.is_empty() {
                    body["fingerprint"] = json!(fingerprint);
                }
                offers.push(Offer::new(
                    Suggestion::Stream,
                    format!("{what}, as snapshots"),
                    format!("{name}-still"),
                    body,
                ));
            }
        }
        self.offers = offers;
    }

    /// A name of letters, digits and `-`, with the last part of the address, because many cameras are called IPC.
    fn base_name(&self) -> String {
        let said = [&self.name, &self.model, &self.hardware]
            .into_iter()
            .flatten()
            .map(|text| slug(text))
            .find(|s| !s.is_empty());
        let part = match self.address {
            IpAddr::V4(ip) => ip.octets()[3].to_string(),
            IpAddr::V6(ip) => format!("{:x}", ip.segments()[7]),
        };
        format!("{}-{part}", said.unwrap_or_else(|| "camera".into()))
    }
}

/// Without the body, which may have a password in it.
impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PUT {} ({})", self.href, self.title)
    }
}

impl Offer {
    fn new(makes: Suggestion, title: String, name: String, body: Value) -> Self {
        let place = match makes {
            Suggestion::Path => "paths",
            Suggestion::Stream => "streams",
        };
        let href = format!("/api/v1/{place}/{name}");
        Offer { makes, title, name, method: "PUT", href, body }
    }
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

fn definition(kind: &str, uri: &str, login: Option<&Login>) -> Value {
    match login {
        None => json!({"kind": kind, "url": uri}),
        Some(Login { username, password }) => {
            json!({"kind": kind, "url": uri, "user": username, "pass": password.expose()})
        }
    }
}

/// MediaMTX knows no other place for the password of a source.
fn with_login(uri: &str, login: Option<&Login>) -> String {
    let (Some(login), Ok(mut url)) = (login, Url::parse(uri)) else { return uri.to_owned() };
    // All of it, for the library leaves `%` as it is.
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let _ = url.set_username(&encoded(&login.username));
    let _ = url.set_password(Some(&encoded(login.password.expose())));
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        discovery::{Event, FoundBy, Profile},
        paths::Wanted,
        secret::Secret,
        stream::StreamName,
    };

    fn card(name: &str) -> DiscoveredDevice {
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
        let mut card =
            DiscoveredDevice::new("x".into(), "192.168.1.20".parse().expect("an address"), FoundBy::WsDiscovery);
        card.name = Some(name.into());
        card.profiles = vec![profile("a"), profile("b")];
        card
    }

    #[test]
    fn what_is_offered_can_be_put() {
        for (name, expected) in [
            ("Front Door", "front-door-20"),
            ("  IPC/../x ", "ipc-x-20"),
            ("カメラ", "camera-20"),
            ("~^.*$", "camera-20"),
            (&"x".repeat(500), &format!("{}-20", "x".repeat(MAX_NAME))),
        ] {
            let mut card = card(name);
            card.make_offers(None, "");
            let names: Vec<_> = card.offers.iter().map(|offer| (offer.makes, offer.name.as_str())).collect();
            let (second, still) = (format!("{expected}-2"), format!("{expected}-still"));
            use Suggestion::{Path, Stream};
            assert_eq!(
                names,
                [(Path, expected), (Stream, expected), (Stream, still.as_str()), (Path, &second), (Stream, &second)]
            );
            for offer in &card.offers {
                match offer.makes {
                    Suggestion::Path => {
                        let wanted: Wanted = serde_json::from_value(offer.body.clone()).expect("a path");
                        wanted.check(&offer.name).expect("valid");
                        assert_eq!(offer.href, format!("/api/v1/paths/{}", offer.name));
                    }
                    Suggestion::Stream => {
                        StreamName::parse(&offer.name).expect("a name");
                        assert_eq!(offer.href, format!("/api/v1/streams/{}", offer.name));
                    }
                }
            }
            assert_eq!(card.offers[2].body, json!({"kind": "http", "url": "http://192.168.1.20/snap.jpg"}));
            assert_eq!(card.offers[0].title, "H264 1920x1080 25 fps, by MediaMTX");
        }
    }

    #[test]
    fn the_password_is_where_the_definition_has_it_and_nowhere_else() {
        let login = Login { username: "ad:min".into(), password: Secret::new("p@ss/ö%2") };
        let mut card = card("x");
        card.make_offers(Some(&login), "");
        assert_eq!(card.offers[0].body["url"], "rtsp://ad%3Amin:p%40ss%2F%C3%B6%252@192.168.1.20:554/live?ch=1&t=2");
        let expected = json!({"kind": "rtsp", "url": "rtsp://192.168.1.20:554/live?ch=1&t=2", "user": "ad:min", "pass": "p@ss/ö%2"});
        assert_eq!(card.offers[1].body, expected);
        card.offers.clear();
        let rest = Event::Detail(Box::new(card)).json();
        assert!(!rest.contains("ass") && !rest.contains("ad:min"), "{rest}");
    }
}
