//! Properties of reading XML and SOAP of devices.

use std::time::SystemTime;

use super::{
    soap::{Login, Operation, Refusal, created, read, security},
    xml::{Element, MAX_DEPTH, MAX_ELEMENTS, MAX_TEXT, escape, parse},
};
use crate::secret::Secret;

/// A document that is read is within its limits, and written again it is read as the same; what is wrong with another is told in a short
/// text without control characters.
pub(crate) fn xml(data: &[u8]) {
    match parse(data) {
        Ok(document) => {
            let mut elements = 0;
            let bytes = measure(&document, 1, &mut elements);
            assert!(elements <= MAX_ELEMENTS, "{elements} elements");
            // A byte that is no UTF-8 becomes a replacement character, which has three.
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

/// The bytes of names and texts; counts elements and looks at the depth.
fn measure(element: &Element, depth: usize, elements: &mut usize) -> usize {
    assert!(depth <= MAX_DEPTH + 1, "{depth} levels");
    *elements += 1;
    let attributes: usize = element.attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
    let children: usize = element.children.iter().map(|child| measure(child, depth + 1, elements)).sum();
    element.name.len() + attributes + element.text.len() + children
}

/// The reader takes names that no writer makes: only local names are compared, and with names that we know.
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

/// An answer is the element that was asked for; a refusal is short; and what we send is read as it was meant.
pub(crate) fn soap(data: &[u8]) {
    for name in ["GetDeviceInformation", "GetProfiles", "GetStreamUri"] {
        for status in [200, 400, 401, 500] {
            match read(status, data, name) {
                Ok(element) => {
                    assert_eq!(element.name, format!("{name}Response"));
                    let envelope = parse(data).expect("an answer is XML");
                    assert_eq!(envelope.at(&["Body", &element.name]), Some(&element), "it is what the body holds");
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
        panic!("an envelope of ours is not read: {text:?}");
    };
    let at = |path: &[&str]| envelope.at(path).map(|element| element.text.as_str());
    assert_eq!(at(&["Header", "Security", "UsernameToken", "Username"]), Some(text.trim()));
    assert_eq!(at(&["Body", "Get", "Name"]), Some(text.trim()));
}

/// How far ahead a device says that its clock is: any number.
fn offset(data: &[u8]) -> i64 {
    data.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}
