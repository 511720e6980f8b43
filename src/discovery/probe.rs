//! Messages of WS-Discovery 1.0 (April 2005, the version that ONVIF names): probes and their answers. Pure.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use percent_encoding::percent_decode_str;
use url::Url;

use super::xml::{self, Element, shorten};

/// The multicast group of devices.
pub(super) const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);

/// Their port.
pub(super) const PORT: u16 = 3702;

/// Most devices of one answer. A discovery proxy answers for many.
const MAX_MATCHES: usize = 64;

/// Most addresses of one device.
const MAX_XADDRS: usize = 16;

/// The type that a probe asks for. Some devices answer only one of the forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Video transmitters (ONVIF Core, 7.3.2.1).
    Typed,
    /// All devices. Printers and computers answer, too.
    Any,
}

/// A UUID of version 4 (RFC 9562, section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Uuid(u128);

impl Uuid {
    /// A random one.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        let bits = u128::from_be_bytes(bytes);
        Ok(Uuid(bits & !(0xF << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62)))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Uuid(bits) = self;
        let part = |shift: u32, digits: u32| (bits >> shift) & ((1 << (4 * digits)) - 1);
        let [a, b, c, d, e] = [part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12)];
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }
}

/// A probe.
pub(super) fn message(form: Form, id: Uuid) -> String {
    let types = match form {
        Form::Typed => "<d:Types>dn:NetworkVideoTransmitter</d:Types>",
        Form::Any => "<d:Types/>",
    };
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header><a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action><a:MessageID>urn:uuid:{id}</a:MessageID><a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo><a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header><s:Body><d:Probe>{types}<d:Scopes/></d:Probe></s:Body></s:Envelope>"#
    )
}

/// A device that has answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Match {
    /// The permanent identity of the device; a UUID in lower case on most devices.
    pub id: String,
    /// Whether it announces ONVIF.
    pub is_onvif: bool,
    /// Its name.
    pub name: Option<String>,
    /// Its model, from a scope.
    pub hardware: Option<String>,
    /// Its place, from a scope.
    pub location: Option<String>,
    /// The ONVIF profiles to which it conforms (`Streaming`, `S`, `T`).
    pub conformance: Vec<String>,
    /// The URLs of its device service, in the order of the answer, with the hosts that the device has written.
    pub xaddrs: Vec<Url>,
}

/// Reads an answer. The error says why it is not used. `ids` are the ids of the probes.
pub(super) fn read(datagram: &[u8], ids: &[Uuid]) -> Result<Vec<Match>, String> {
    let envelope = xml::parse(datagram)?;
    let relates = envelope.at(&["Header", "RelatesTo"]).map_or("", |to| to.text.as_str());
    if !ids.iter().any(|id| bare(relates) == id.to_string()) {
        return Err(format!("it answers {:?}, which is not a probe of this search", shorten(relates)));
    }
    // Small programs, such as ipycam, send a ProbeMatch without the list around it.
    let matches = match envelope.at(&["Body", "ProbeMatches"]) {
        Some(matches) => matches.all("ProbeMatch").take(MAX_MATCHES).filter_map(one).collect(),
        None => envelope
            .at(&["Body", "ProbeMatch"])
            .map(|bare| one(bare).into_iter().collect())
            .ok_or("it has no ProbeMatches")?,
    };
    Ok(matches)
}

fn one(found: &Element) -> Option<Match> {
    let id = shorten(bare(found.at(&["EndpointReference", "Address"]).map_or("", |a| a.text.as_str())).as_str());
    let scopes = found.child("Scopes").map_or("", |scopes| scopes.text.as_str());
    let types = found.child("Types").map_or("", |types| types.text.as_str());
    let xaddrs: Vec<_> =
        found.child("XAddrs").map_or("", |addresses| addresses.text.as_str()).split_whitespace().collect();
    let is_video = types.split_whitespace().any(|name| name.ends_with("NetworkVideoTransmitter"));
    let says_onvif = |text: &str| text.to_ascii_lowercase().contains("onvif");
    let xaddrs = xaddrs.into_iter().take(MAX_XADDRS).filter_map(service).collect::<Vec<_>>();
    let conformance = scopes.split_whitespace().filter_map(|scope| scoped(scope, "profile")).take(10).collect();
    let first = |key| scopes.split_whitespace().find_map(|scope| scoped(scope, key));
    Some(Match {
        is_onvif: is_video || says_onvif(scopes) || says_onvif(types) || xaddrs.iter().any(|a| says_onvif(a.path())),
        name: first("name"),
        hardware: first("hardware"),
        location: first("location"),
        conformance,
        // A device without an identity is identified by its URL.
        id: if id.is_empty() { xaddrs.first()?.to_string() } else { id },
        xaddrs,
    })
}

/// The decoded value of the scope `onvif://www.onvif.org/KEY/VALUE`, if it has this key.
fn scoped(scope: &str, wanted: &str) -> Option<String> {
    let (scheme, rest) = scope.split_at_checked("onvif://".len())?;
    if !scheme.eq_ignore_ascii_case("onvif://") {
        return None;
    }
    let (_, path) = rest.split_once('/')?;
    let (key, value) = path.split_once('/')?;
    if !key.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let value = percent_decode_str(value).decode_utf8_lossy();
    let value = shorten(value.trim_matches('/').trim());
    (!value.is_empty()).then_some(value)
}

/// The URL of a device service, if the text is one.
fn service(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// An id without `urn:uuid:` and `uuid:`, which some devices leave out.
fn bare(id: &str) -> String {
    let id = id.trim().to_ascii_lowercase();
    let id = id.strip_prefix("urn:").unwrap_or(&id);
    id.strip_prefix("uuid:").unwrap_or(id).to_owned()
}

/// A URL of a device, with a host that can be asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reached {
    /// The URL.
    pub url: Url,
    /// The host that the device has written, if it was replaced.
    pub instead_of: Option<String>,
}

/// Replaces the host of a URL by the address that answered, unless the host is that address or one of `consent`. Devices write 0.0.0.0, an
/// address from before they were moved, or one behind a NAT. A hostile device can write any host.
pub(super) fn reach(url: &Url, answering: IpAddr, consent: &[IpAddr]) -> Reached {
    let mut url = url.clone();
    // Both work for each URL with a host.
    let _ = (url.set_username(""), url.set_password(None));
    let named = ip_of(&url);
    if named.is_some_and(|ip| ip == answering || consent.contains(&ip)) {
        return Reached { url, instead_of: None };
    }
    let is_nothing = named.is_some_and(|ip| ip.is_unspecified());
    let claimed = url.host_str().filter(|_| !is_nothing).map(shorten);
    let _ = url.set_host(Some(&host_text(answering)));
    Reached { url, instead_of: claimed }
}

/// The IP address in a URL; none if the host is a name.
pub(super) fn ip_of(url: &Url) -> Option<IpAddr> {
    // The library keeps the host of schemes that it does not know, such as rtsp, as text.
    url.host_str()?.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// The address as a host in a URL.
pub(super) fn host_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The best URL of a device service: first one at the answering address, then plain HTTP, because devices have self-signed certificates for
/// HTTPS.
pub(super) fn choose(xaddrs: &[Url], answering: IpAddr, consent: &[IpAddr]) -> Option<Reached> {
    let reached = xaddrs.iter().map(|url| reach(url, answering, consent));
    reached.min_by_key(|r| (r.instead_of.is_some(), r.url.scheme() != "http"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_match_without_the_list_around_it_is_read() {
        let id = Uuid::random().expect("random numbers");
        let listed = answer(&id.to_string(), "<x:ProbeMatch><x:XAddrs>http://10.0.0.9/onvif</x:XAddrs></x:ProbeMatch>");
        let bare = listed.replace("<x:ProbeMatches>", "").replace("</x:ProbeMatches>", "");
        let found = read(bare.as_bytes(), &[id]).expect("read");
        assert_eq!((found.len(), read(listed.as_bytes(), &[id])), (1, Ok(found)));
    }

    fn answer(relates: &str, body: &str) -> String {
        format!(
            r#"<e:Envelope xmlns:e="x"><e:Header><w:RelatesTo>{relates}</w:RelatesTo></e:Header><e:Body><x:ProbeMatches>{body}</x:ProbeMatches></e:Body></e:Envelope>"#
        )
    }

    const CAMERA: &str = "<x:ProbeMatch><w:EndpointReference><w:Address>urn:uuid:ABC</w:Address></w:EndpointReference>\
        <x:Types>dn:NetworkVideoTransmitter tds:Device</x:Types><x:Scopes>onvif://www.onvif.org/type/video_encoder \
        onvif://www.onvif.org/name/Front%20Door onvif://www.onvif.org/hardware/IPC-1 ONVIF://www.onvif.org/Profile/T \
        onvif://www.onvif.org/location/country/china onvif://x</x:Scopes>\
        <x:XAddrs>http://0.0.0.0/onvif/device_service ftp://x/ https://192.168.1.9/onvif</x:XAddrs></x:ProbeMatch>";

    #[test]
    fn an_answer_to_a_probe_is_read() {
        let (sent, other) = (Uuid::random().expect("random"), Uuid::random().expect("random"));
        for relates in [
            format!("urn:uuid:{sent}"),
            format!("uuid:{sent}"),
            format!(" URN:UUID:{} ", sent.to_string().to_uppercase()),
        ] {
            let found = read(answer(&relates, CAMERA).as_bytes(), &[other, sent]).expect("an answer");
            let camera = &found[0];
            assert_eq!(
                (camera.id.as_str(), camera.is_onvif, camera.name.as_deref()),
                ("abc", true, Some("Front Door"))
            );
            assert_eq!(camera.location.as_deref(), Some("country/china"));
            assert_eq!(
                (camera.hardware.as_deref(), camera.conformance.as_slice()),
                (Some("IPC-1"), &["T".to_owned()][..])
            );
            assert_eq!(
                camera.xaddrs.iter().map(Url::as_str).collect::<Vec<_>>(),
                ["http://0.0.0.0/onvif/device_service", "https://192.168.1.9/onvif"]
            );
        }
        for relates in [String::new(), format!("urn:uuid:{other}"), "urn:uuid:".into()] {
            let fault = read(answer(&relates, CAMERA).as_bytes(), &[sent]).expect_err("another probe");
            assert!(fault.contains("not a probe of this search"), "{fault}");
        }
    }

    #[test]
    fn printers_are_not_cameras() {
        let id = Uuid::random().expect("random");
        let printer = "<ProbeMatch><EndpointReference><Address>urn:uuid:p</Address></EndpointReference><Types>wsdp:Device \
            wprt:PrintDeviceType</Types><XAddrs>http://192.168.1.7:3911/</XAddrs></ProbeMatch>";
        let found = read(answer(&id.to_string(), &format!("{printer}{CAMERA}<ProbeMatch/>")).as_bytes(), &[id])
            .expect("an answer");
        assert_eq!(found.iter().map(|m| m.is_onvif).collect::<Vec<_>>(), [false, true]);
        let many = CAMERA.repeat(200);
        assert_eq!(read(answer(&id.to_string(), &many).as_bytes(), &[id]).expect("an answer").len(), MAX_MATCHES);
    }

    #[test]
    #[rustfmt::skip]
    fn the_host_is_the_address_that_answered_or_one_with_consent() {
        let answering: IpAddr = "192.168.1.20".parse().expect("an address");
        let consent: &[IpAddr] = &["10.0.0.9".parse().expect("an address")];
        for (url, consent, expected, instead_of) in [
            ("http://192.168.1.20/onvif", &[][..], "http://192.168.1.20/onvif", None),
            ("http://0.0.0.0:8000/onvif", &[], "http://192.168.1.20:8000/onvif", None),
            ("http://10.0.0.9:8000/onvif", &[], "http://192.168.1.20:8000/onvif", Some("10.0.0.9")),
            ("http://10.0.0.9:8000/onvif", consent, "http://10.0.0.9:8000/onvif", None),
            ("http://camera.local/onvif", consent, "http://192.168.1.20/onvif", Some("camera.local")),
            ("http://a:b@192.168.1.20/onvif", &[], "http://192.168.1.20/onvif", None),
            ("rtsp://a:b@10.0.0.9:554/1?c=2", &[], "rtsp://192.168.1.20:554/1?c=2", Some("10.0.0.9")),
            ("rtsp://[fe80::1]/1", &[], "rtsp://192.168.1.20/1", Some("[fe80::1]")),
            ("http://3232235796/onvif", &[], "http://192.168.1.20/onvif", None),
        ] {
            let reached = reach(&Url::parse(url).expect(url), answering, consent);
            assert_eq!((reached.url.as_str(), reached.instead_of.as_deref()), (expected, instead_of), "{url}");
        }
        let urls: Vec<_> = ["http://10.0.0.9/1", "https://192.168.1.20/2", "http://192.168.1.20/3"].iter().map(|u| Url::parse(u).expect(u)).collect();
        assert_eq!(choose(&urls, answering, &[]).map(|r| r.url.path().to_owned()), Some("/3".into()));
        assert_eq!(choose(&urls, answering, consent).map(|r| r.url.path().to_owned()), Some("/1".into()));
        assert_eq!(choose(&[], answering, consent), None);
    }

    #[test]
    fn ids_are_uuids_and_probes_are_xml() {
        let id = Uuid::random().expect("random");
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "4"), "{text}");
        assert!("89ab".contains(&text[19..20]), "{text}");
        for (form, types) in [(Form::Typed, Some("dn:NetworkVideoTransmitter")), (Form::Any, None)] {
            let probe = xml::parse(message(form, id).as_bytes()).expect("well-formed");
            assert_eq!(probe.text_of("MessageID"), Some(format!("urn:uuid:{id}").as_str()));
            assert_eq!(probe.at(&["Body", "Probe"]).expect("a probe").text_of("Types"), types);
        }
    }

    proptest! {
        #[test]
        fn a_device_is_read_as_it_was_written(
            name in "\\PC{0,80}",
            id in "[a-f0-9-]{1,36}",
            hosts in proptest::collection::vec("[a-z]{1,10}", 0..2 * MAX_XADDRS),
            devices in 1..2 * MAX_MATCHES,
        ) {
            let ours = Uuid::random().expect("random");
            let encoded = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
            let xaddrs: Vec<_> = hosts.iter().map(|host| format!("http://{host}/onvif/device_service")).collect();
            let device = format!(
                "<ProbeMatch><EndpointReference><Address>urn:uuid:{id}</Address></EndpointReference>\
                 <Scopes>onvif://www.onvif.org/name/{encoded} onvif://www.onvif.org/type/x</Scopes><XAddrs>{}</XAddrs></ProbeMatch>",
                xaddrs.join(" ")
            );
            let found = read(answer(&ours.to_string(), &device.repeat(devices)).as_bytes(), &[ours]).expect("an answer");
            prop_assert_eq!(found.len(), devices.min(MAX_MATCHES));
            let expected = shorten(name.trim_matches('/').trim());
            prop_assert_eq!(found[0].name.as_ref(), Some(&expected).filter(|name| !name.is_empty()));
            prop_assert_eq!(&found[0].id, &id);
            let read: Vec<_> = found[0].xaddrs.iter().map(Url::as_str).collect();
            prop_assert_eq!(read, &xaddrs[..xaddrs.len().min(MAX_XADDRS)]);
        }

        #[test]
        fn any_text_of_a_device_is_read_within_the_limits(scopes in "\\PC{0,400}", xaddrs in "\\PC{0,400}", types in "\\PC{0,80}") {
            let id = Uuid::random().expect("random");
            let [scopes, xaddrs, types] = [scopes, xaddrs, types].map(|text| xml::escape(&text));
            let device = format!("<ProbeMatch><EndpointReference><Address>x</Address></EndpointReference><Scopes>{scopes}</Scopes><XAddrs>{xaddrs}</XAddrs><Types>{types}</Types></ProbeMatch>");
            let found = read(answer(&id.to_string(), &device).as_bytes(), &[id]).expect("an answer");
            prop_assert_eq!(found.len(), 1);
            let texts = [&found[0].name, &found[0].hardware, &found[0].location].into_iter().flatten();
            for text in texts.chain(&found[0].conformance) {
                prop_assert!(text.chars().count() <= xml::MAX_TEXT && !text.contains(char::is_control), "{}", text);
            }
            prop_assert!(found[0].xaddrs.iter().all(|url| url.has_host() && matches!(url.scheme(), "http" | "https")));
        }

        #[test]
        fn an_answer_that_is_cut_off_is_no_answer(cut in 0..1_usize << 16) {
            let id = Uuid::random().expect("random");
            let text = answer(&id.to_string(), CAMERA);
            let cut = cut % text.len();
            prop_assert!(read(&text.as_bytes()[..cut], &[id]).is_err());
        }

        #[test]
        fn an_address_is_reached_where_it_was_answered_or_consented(
            scheme in proptest::sample::select(vec!["http", "https", "rtsp"]),
            named: Ipv4Addr,
            consent: Ipv4Addr,
            login in "([a-z]{1,5}(:[a-z]{1,5})?@)?",
            rest in "(:[1-9][0-9]{0,3})?/[a-z/]{0,20}(\\?[a-z=&]{0,20})?",
        ) {
            let answering = IpAddr::from([192, 168, 1, 20]);
            for named in [named, consent] {
                let url = Url::parse(&format!("{scheme}://{login}{named}{rest}")).expect("an address");
                let reached = reach(&url, answering, &[consent.into()]);
                let stays = named == consent || IpAddr::from(named) == answering;
                prop_assert_eq!(ip_of(&reached.url), Some(if stays { named.into() } else { answering }));
                prop_assert_eq!(reached.instead_of.is_some(), !stays && !named.is_unspecified());
                prop_assert_eq!((reached.url.username(), reached.url.password()), ("", None));
                prop_assert_eq!(&reached.url[url::Position::AfterHost..], &url[url::Position::AfterHost..]);
            }
        }
    }
}
