//! Properties of the readers of devices' XML and SOAP.

use std::time::SystemTime;

use super::{
    soap::{Login, Operation, Refusal, created, read, security},
    xml::{Element, MAX_DEPTH, MAX_ELEMENTS, MAX_TEXT, escape, parse},
};
use crate::secret::Secret;

/// A document that is read keeps the limits, and is read back as the same when it is written. The error of another document is a short
/// text without control characters.
pub(crate) fn xml(data: &[u8]) {
    match parse(data) {
        Ok(document) => {
            let mut elements = 0;
            let bytes = measure(&document, 1, &mut elements);
            assert!(elements <= MAX_ELEMENTS, "{elements} elements");
            // A byte that is not UTF-8 becomes a replacement character, which has three bytes.
            assert!(bytes <= 3 * data.len(), "{bytes} bytes of {}", data.len());
            if names_are_plain(&document) {
                let mut text = String::new();
                write(&document, &mut text);
                assert_eq!(parse(text.as_bytes()).as_ref(), Ok(&document), "{text}");
            }
        }
        Err(problem) => is_short(&problem, MAX_TEXT),
    }
}

/// The bytes of names and texts. Counts the elements, and checks the depth.
fn measure(element: &Element, depth: usize, elements: &mut usize) -> usize {
    assert!(depth <= MAX_DEPTH + 1, "{depth} levels");
    *elements += 1;
    let attributes: usize = element.attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
    let children: usize = element.children.iter().map(|child| measure(child, depth + 1, elements)).sum();
    element.name.len() + attributes + element.text.len() + children
}

/// Whether a writer could make these names. The reader accepts others, too, because it only compares local names with known ones.
fn names_are_plain(element: &Element) -> bool {
    let plain =
        |name: &str| !name.is_empty() && name != "xmlns" && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain(&element.name)
        && element.attributes.iter().all(|(key, _)| plain(key))
        && element.children.iter().all(names_are_plain)
}

fn write(element: &Element, out: &mut String) {
    // Line ends and tabs would be normalised (XML 1.0, sections 2.11 and 3.3.3).
    let escape = |text: &str| escape(text).replace('\r', "&#13;").replace('\n', "&#10;").replace('\t', "&#9;");
    *out += &format!("<{}", element.name);
    for (key, value) in &element.attributes {
        *out += &format!(" {key}=\"{}\"", escape(value));
    }
    *out += &format!(">{}", escape(&element.text));
    for child in &element.children {
        write(child, out);
    }
    *out += &format!("</{}>", element.name);
}

fn is_short(text: &str, most: usize) {
    assert!(text.chars().count() <= most, "{} characters: {text}", text.chars().count());
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// An answer is the requested element, a refusal is short, and an envelope that is sent is read back.
pub(crate) fn soap(data: &[u8]) {
    for name in ["GetDeviceInformation", "GetProfiles", "GetStreamUri"] {
        for status in [200, 400, 401, 500] {
            match read(status, data, name) {
                Ok(element) => {
                    assert_eq!(element.name, format!("{name}Response"));
                    let envelope = parse(data).expect("an answer is XML");
                    assert_eq!(envelope.at(&["Body", &element.name]), Some(&element), "it is the element of the body");
                }
                Err(Refusal::NotAuthorized) => {}
                Err(Refusal::Fault(text) | Refusal::Unreadable(text)) => {
                    assert_ne!(status, 401, "{text}");
                    is_short(&text, MAX_TEXT);
                }
            }
        }
    }
    let text = String::from_utf8_lossy(data);
    let text: String = text.chars().filter(|c| !c.is_control() && *c != '\u{fffe}' && *c != '\u{ffff}').collect();
    let login = Login { username: text.clone(), password: Secret::new("pass") };
    let token = security(&login, [7; 16], &created(SystemTime::now(), offset(data)));
    let operation = Operation::new("urn:x", "Get").with(format!("<tt:Name>{}</tt:Name>", escape(&text)));
    let Ok(envelope) = parse(operation.envelope(Some(&token)).as_bytes()) else {
        panic!("an envelope cannot be read back: {text:?}");
    };
    let at = |path: &[&str]| envelope.at(path).map(|element| element.text.as_str());
    assert_eq!(at(&["Header", "Security", "UsernameToken", "Username"]), Some(text.trim()));
    assert_eq!(at(&["Body", "Get", "Name"]), Some(text.trim()));
}

/// The clock offset of a device: any number.
fn offset(data: &[u8]) -> i64 {
    data.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}
