//! Messages of SSDP (UPnP Device Architecture 1.1, section 1.3), and descriptions of UPnP devices. Pure.

use url::Url;

use super::xml::{self, shorten};

/// The port of devices; the multicast group is that of WS-Discovery.
pub(super) const PORT: u16 = 1900;

/// The targets of a search. Cameras are Basic devices (Axis), security cameras, or, like all devices, root devices.
pub(super) const TARGETS: [&str; 3] =
    ["urn:schemas-upnp-org:device:Basic:1", "urn:schemas-upnp-org:device:DigitalSecurityCamera:1", "upnp:rootdevice"];

/// Words of cameras in the descriptions of manufacturers. Basic devices are also lamps and printers.
const WORDS: [&str; 22] = [
    "camera",
    "ipcam",
    "network video",
    "video server",
    "nvr",
    "dvr",
    "embeddednetdevice",
    "embedded net",
    "onvif",
    "surveillance",
    "doorbell",
    "hikvision",
    "dahua",
    "axis",
    "reolink",
    "amcrest",
    "foscam",
    "vivotek",
    "mobotix",
    "hanwha",
    "uniview",
    "tapo",
];

/// A search message. `mx` is the longest time, in seconds, after which devices answer.
pub(super) fn message(target: &str, host: &str, mx: u64) -> String {
    format!("M-SEARCH * HTTP/1.1\r\nHOST: {host}\r\nMAN: \"ssdp:discover\"\r\nMX: {mx}\r\nST: {target}\r\n\r\n")
}

/// A device that has answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// The UUID of its USN, in lower case; the whole USN if it has none.
    pub id: String,
    /// The URL of its description.
    pub location: Option<Url>,
    /// The software that it announces.
    pub server: String,
    /// Whether its software or its type has a word of cameras.
    pub looks_like_camera: bool,
}

/// Reads an answer; none if the datagram is something else.
pub(super) fn read(datagram: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(datagram);
    let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let status = lines.next()?;
    if !(status.starts_with("HTTP/1.") && status.split(' ').nth(1) == Some("200")) {
        return None;
    }
    let (mut usn, mut target, mut server, mut location) = ("", "", "", None);
    for line in lines.take_while(|line| !line.is_empty()).take(64) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "usn" => usn = value,
            "st" => target = value,
            "server" => server = value,
            "location" => location = Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https")),
            _ => {}
        }
    }
    let lower = usn.to_ascii_lowercase();
    let id = match lower.strip_prefix("uuid:") {
        Some(rest) => rest.split("::").next().unwrap_or(rest),
        None => &lower,
    };
    if id.is_empty() {
        return None;
    }
    let looks_like_camera = [usn, target, server].into_iter().any(names_a_camera);
    Some(Answer { id: shorten(id), location, server: shorten(server), looks_like_camera })
}

/// The description of a device (UPnP Device Architecture, section 2.3).
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Description {
    /// The name that its owner has given it.
    pub name: Option<String>,
    /// Its manufacturer.
    pub manufacturer: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// The URL of its web page, which can be relative to the description.
    pub page: Option<String>,
    /// Whether any of its fields has a word of cameras.
    pub looks_like_camera: bool,
}

/// Reads a description.
pub(super) fn describe(document: &[u8]) -> Result<Description, String> {
    let root = xml::parse(document)?;
    let device = root.child("device").ok_or("it has no device")?;
    let text = |name: &str| device.child(name).map(|found| shorten(&found.text)).filter(|text| !text.is_empty());
    let fields = ["deviceType", "friendlyName", "manufacturer", "modelDescription", "modelName", "modelURL"];
    Ok(Description {
        looks_like_camera: fields.into_iter().filter_map(text).any(|text| names_a_camera(&text)),
        name: text("friendlyName"),
        manufacturer: text("manufacturer"),
        model: text("modelName"),
        serial: text("serialNumber"),
        page: text("presentationURL"),
    })
}

fn names_a_camera(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_read_in_each_spelling_of_its_headers() {
        let text = "HTTP/1.1 200 OK\r\nCache-Control: max-age=1800\r\nLocation:http://192.168.1.20:49152/rootdesc1.xml\r\n\
            SERVER: Linux/3.0, UPnP/1.0, Network Camera/1.2\r\nst: upnp:rootdevice\r\nUSN: uuid:Upnp-1_0-AB::upnp:rootdevice\r\n\r\n";
        let answer = read(text.as_bytes()).expect("an answer");
        assert_eq!((answer.id.as_str(), answer.looks_like_camera), ("upnp-1_0-ab", true));
        assert_eq!(answer.location.expect("a location").as_str(), "http://192.168.1.20:49152/rootdesc1.xml");
        let lean = read(b"HTTP/1.0 200 OK\nusn: uuid:x\nLOCATION: file:///etc/passwd\n\n").expect("an answer");
        assert_eq!((lean.location, lean.looks_like_camera, lean.id.as_str()), (None, false, "x"));
        for text in [
            "",
            "HTTP/1.1 404 Not Found\r\nUSN: uuid:x\r\n\r\n",
            "NOTIFY * HTTP/1.1\r\nUSN: uuid:x\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "<x/>",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_search_has_the_headers_of_upnp() {
        let text = message(TARGETS[0], "239.255.255.250:1900", 2);
        assert!(text.starts_with(
            "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: urn:"
        ));
        assert!(text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_description_is_read_and_a_lamp_is_not_a_camera() {
        let text = r#"<root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>urn:schemas-upnp-org:device:Basic:1</deviceType>
            <friendlyName>AXIS M1065-L</friendlyName><manufacturer>AXIS</manufacturer><modelName>M1065-L</modelName>
            <serialNumber>ACCC8E</serialNumber><presentationURL>/</presentationURL></device></root>"#;
        let axis = describe(text.as_bytes()).expect("a description");
        assert_eq!(
            (axis.name.as_deref(), axis.model.as_deref(), axis.page.as_deref()),
            (Some("AXIS M1065-L"), Some("M1065-L"), Some("/"))
        );
        assert!(axis.looks_like_camera);
        let lamp = text.replace("AXIS M1065-L", "Hue Bridge").replace("AXIS", "Signify").replace("M1065-L", "BSB002");
        assert!(!describe(lamp.as_bytes()).expect("a description").looks_like_camera);
        assert!(describe(b"<root/>").expect_err("none").contains("no device"));
    }

    proptest! {
        #[test]
        fn an_answer_is_read_whatever_its_headers_look_like(
            id in "[a-f0-9-]{1,40}",
            server in "[!-9;-~]([ -~]{0,60}[!-~])?",
            host in "[a-z]{1,10}",
            more in proptest::collection::vec("[A-Z][A-Za-z-]{3,10}: [ -~]{0,30}", 0..50),
            order in Just(vec![0, 1, 2]).prop_shuffle(),
            upper: bool,
            lean: bool,
        ) {
            let known = ["usn", "st", "server", "location"];
            prop_assume!(!more.iter().any(|line| known.iter().any(|key| line.to_ascii_lowercase().starts_with(key))));
            let (end, space) = if lean { ("\n", "") } else { ("\r\n", " ") };
            let ours = [("usn", format!("uuid:{id}::upnp:rootdevice")), ("server", server.clone()), ("location", format!("http://{host}/d.xml"))];
            let line = |i: &usize| {
                let (key, value) = &ours[*i];
                let key = if upper { key.to_ascii_uppercase() } else { (*key).to_owned() };
                format!("{key}:{space}{value}{end}")
            };
            let more: String = more.iter().map(|line| format!("{line}{end}")).collect();
            let ours: String = order.iter().map(line).collect();
            let answer = read(format!("HTTP/1.1 200 OK{end}{more}{ours}{end}").as_bytes()).expect("an answer");
            prop_assert_eq!(&answer.id, &id);
            prop_assert_eq!(&answer.server, &server);
            prop_assert_eq!(answer.location.map(String::from), Some(format!("http://{host}/d.xml")));
            prop_assert_eq!(answer.looks_like_camera, names_a_camera(&server));
        }

        #[test]
        fn any_line_gives_short_texts_and_an_address_that_can_be_fetched(line in "\\PC{0,400}") {
            let text = format!("HTTP/1.1 200 OK\r\nUSN:{line}\r\n{line}\r\nSERVER: {line}\r\nLOCATION: {line}\r\n");
            if let Some(answer) = read(text.as_bytes()) {
                for text in [&answer.id, &answer.server] {
                    prop_assert!(text.chars().count() <= xml::MAX_TEXT && !text.contains(char::is_control), "{}", text);
                }
                prop_assert!(!answer.id.is_empty());
                prop_assert!(answer.location.is_none_or(|url| matches!(url.scheme(), "http" | "https")));
            } else {
                prop_assert!(line.trim().is_empty() || line.to_ascii_lowercase().contains("uuid:"), "{}", line);
            }
        }

        #[test]
        fn a_description_is_read_as_it_was_written(name in "\\PC{0,100}", model in "\\PC{0,400}") {
            let text = format!("<root><device><friendlyName>{}</friendlyName><modelName>{}</modelName></device></root>", xml::escape(&name), xml::escape(&model));
            let described = describe(text.as_bytes()).expect("a description");
            let expected = |text: &str| Some(shorten(text.trim())).filter(|text| !text.is_empty());
            prop_assert_eq!((described.name, described.model), (expected(&name), expected(&model)));
        }
    }
}
