//! XML of unknown devices: a small tree of local names and texts, or an error. Pure.
//!
//! Devices differ in prefixes and namespaces, so only local names are compared. Documents that no device needs to send are refused: those
//! with a DOCTYPE, with entities of their own, with great depth or great size.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

/// Longest document, in bytes. The profiles of an NVR with 32 channels have about 200 KB.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Deepest nesting. ONVIF's answers have about 10 levels.
pub(super) const MAX_DEPTH: usize = 40;

/// Most elements of a document.
pub(super) const MAX_ELEMENTS: usize = 20_000;

/// Most attributes of an element: the envelopes of some cameras declare about 60 namespaces.
const MAX_ATTRIBUTES: usize = 256;

/// Longest text of a device that is shown, in characters.
pub(super) const MAX_TEXT: usize = 200;

/// An element.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Element {
    /// Its name without the prefix.
    pub name: String,
    /// Its attributes by local name; namespace declarations are left out.
    pub attributes: Vec<(String, String)>,
    /// Its own text, trimmed.
    pub text: String,
    /// Its child elements.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The element at this path of names, one for each level.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The first element of this name, at any depth.
    pub(super) fn find(&self, name: &str) -> Option<&Element> {
        self.children.iter().find_map(|child| if child.name == name { Some(child) } else { child.find(name) })
    }

    /// The text of the first element of this name, at any depth, unless it is empty.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.find(name).map(|found| found.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The attribute of this local name.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a document. The error has the reason in one sentence.
///
/// Bytes that are not UTF-8 become replacement characters: cameras declare UTF-8, and send names in the encoding of their web page.
pub(super) fn parse(data: &[u8]) -> Result<Element, String> {
    if data.len() > MAX_BYTES {
        return Err(format!("the XML has more than {MAX_BYTES} bytes"));
    }
    let text = String::from_utf8_lossy(data);
    // Some devices send the NUL that ends a C string.
    let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0');
    let mut reader = Reader::from_str(text);
    // Some devices do not escape `&` in the query of a URL.
    reader.config_mut().allow_dangling_amp = true;
    let mut open = vec![Element::default()];
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(malformed)?;
        match event {
            Event::Start(start) => {
                count(&mut elements)?;
                if open.len() > MAX_DEPTH {
                    return Err(format!("the XML is nested deeper than {MAX_DEPTH} levels"));
                }
                open.push(element(&start)?);
            }
            Event::Empty(start) => {
                count(&mut elements)?;
                let empty = element(&start)?;
                last(&mut open).children.push(empty);
            }
            Event::End(_) => {
                // The reader has compared the names of start and end.
                let done = open.pop().unwrap_or_default();
                last(&mut open).children.push(trimmed(done));
            }
            Event::Text(text) => last(&mut open).text.push_str(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(text) => last(&mut open).text.push_str(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().map_err(malformed)? {
                    Some(character) => character,
                    None => predefined(&reference)
                        .ok_or_else(|| "the XML uses entities, which are not accepted".to_owned())?,
                };
                last(&mut open).text.push(character);
            }
            Event::DocType(_) => return Err("the XML has a DOCTYPE, which is not accepted".into()),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    match open.as_mut_slice() {
        [document] if document.children.len() == 1 => Ok(document.children.remove(0)),
        [_] => Err("the XML has no single outermost element".into()),
        _ => Err("the XML ends in the middle of an element".into()),
    }
}

/// A text of a device, at most [`MAX_TEXT`] characters, without control characters, which could move the cursor of a terminal.
pub(super) fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

/// The text with `&`, `<`, `>` and quotes escaped, for documents that are sent.
pub(super) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[expect(clippy::expect_used, reason = "an element was pushed if there was none")]
fn last(open: &mut Vec<Element>) -> &mut Element {
    if open.is_empty() {
        open.push(Element::default());
    }
    open.last_mut().expect("not empty")
}

fn count(elements: &mut usize) -> Result<(), String> {
    *elements += 1;
    if *elements > MAX_ELEMENTS {
        return Err(format!("the XML has more than {MAX_ELEMENTS} elements"));
    }
    Ok(())
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = vec![];
    // Without the check for duplicates, which takes quadratic time.
    for attribute in start.attributes().with_checks(false).take(MAX_ATTRIBUTES) {
        let attribute = attribute.map_err(malformed)?;
        let key: &str = attribute.key.as_ref();
        if key == "xmlns" || key.starts_with("xmlns:") {
            continue;
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(malformed)?;
        attributes.push((local(key).to_owned(), value.into_owned()));
    }
    let name: &str = start.name().into_inner();
    Ok(Element { name: local(name).to_owned(), attributes, ..Element::default() })
}

/// The reader's error, without control characters: it contains names of the document.
fn malformed(e: impl std::fmt::Display) -> String {
    shorten(&format!("the XML is not well-formed: {e}"))
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

fn trimmed(mut element: Element) -> Element {
    if element.text.trim().len() != element.text.len() {
        element.text = element.text.trim().to_owned();
    }
    element
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::discovery::properties;

    #[test]
    fn only_local_names_are_compared() {
        let text = r#"<?xml version="1.0"?><!-- x --><S:Envelope xmlns:S="urn:s" xmlns="urn:d">
            <Body S:id="7"><a:b>1 &lt; 2 &#38; 3</a:b><b><![CDATA[ <raw> ]]></b><empty/></Body></S:Envelope>"#;
        let envelope = parse(text.as_bytes()).expect("well-formed");
        let body = envelope.child("Body").expect("a body");
        assert_eq!((envelope.name.as_str(), body.attribute("id")), ("Envelope", Some("7")));
        assert_eq!(body.all("b").map(|b| b.text.as_str()).collect::<Vec<_>>(), ["1 < 2 & 3", "<raw>"]);
        assert_eq!(envelope.at(&["Body", "empty"]), Some(&Element { name: "empty".into(), ..Element::default() }));
        assert_eq!((envelope.text_of("b"), envelope.text_of("empty")), (Some("1 < 2 & 3"), None));
    }

    #[test]
    fn urls_with_an_unescaped_ampersand_are_read() {
        let uri = parse(b"<Uri>rtsp://10.0.0.9/live?ch=1&sub=0&amp;t=1</Uri>").expect("read");
        assert_eq!(uri.text, "rtsp://10.0.0.9/live?ch=1&sub=0&t=1");
    }

    #[test]
    fn documents_that_no_device_needs_are_refused() {
        let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        let wide = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS + 1));
        let large = format!("<a>{}</a>", "x".repeat(MAX_BYTES));
        let laughs = r#"<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><l>&b;</l>"#;
        for (text, says) in [
            (deep.as_str(), "nested deeper"),
            (&wide, "elements"),
            (&large, "bytes"),
            (laughs, "DOCTYPE"),
            (r#"<!DOCTYPE l SYSTEM "http://10.0.0.1/x.dtd"><l/>"#, "DOCTYPE"),
            (r#"<l>&xxe;</l>"#, "entities"),
            (r#"<l a="&xxe;"/>"#, "well-formed"),
            ("<l>&#0;</l>", "well-formed"),
            ("<a><b></a></b>", "well-formed"),
            ("<a></\u{1b}[2Jb>", "expected `</a>`, but `</[2Jb>`"),
            ("<a>", "middle"),
            ("</a>", "well-formed"),
            ("<a/><b/>", "single"),
            ("", "single"),
            ("no XML", "single"),
        ] {
            let fault = parse(text.as_bytes()).expect_err("refused");
            assert!(fault.contains(says), "{fault} should say {says}");
        }
    }

    #[test]
    fn escaped_text_is_read_back() {
        let text = r#"a<b>&"c'"#;
        assert_eq!(parse(format!("<t>{}</t>", escape(text)).as_bytes()).expect("read").text, text);
    }

    fn name() -> impl Strategy<Value = String> {
        "[A-Za-z][A-Za-z0-9]{0,8}".prop_filter("a declaration of a namespace is no attribute", |name| name != "xmlns")
    }

    /// Elements with attributes, texts and children.
    fn tree() -> impl Strategy<Value = Element> {
        // Not trimmed by the reader, and without control characters, which XML cannot have.
        let text = || "\\PC{0,20}".prop_map(|text| text.trim().to_owned());
        let attributes = move || proptest::collection::vec((name(), text()), 0..3);
        let leaf = (name(), attributes(), text());
        let leaf = leaf.prop_map(|(name, attributes, text)| Element { name, attributes, text, ..Element::default() });
        leaf.prop_recursive(6, 60, 5, move |inner| {
            (name(), attributes(), text(), proptest::collection::vec(inner, 0..5))
                .prop_map(|(name, attributes, text, children)| Element { name, attributes, text, children })
        })
    }

    /// The element as a device may write it: with prefixes, comments and sections that mean nothing.
    fn write(element: &Element, forms: &mut u32, out: &mut String) {
        let mut form = || {
            *forms = forms.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *forms >> 29
        };
        let prefix = ["", "", "x:", "tt:"][form() as usize % 4];
        *out += &format!("<{prefix}{} xmlns:x='urn:x'", element.name);
        for (key, value) in &element.attributes {
            *out += &format!(" {key}=\"{}\"", escape(value));
        }
        if element.text.is_empty() && element.children.is_empty() && form() > 3 {
            *out += " />";
            return;
        }
        *out += if form() > 3 { ">" } else { "\n><!-- a comment -->" };
        *out += &match form() {
            0..3 if !element.text.contains("]]>") => format!("\n <![CDATA[{}]]>\t", element.text),
            3..5 => element.text.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect(),
            _ => format!(" {} ", escape(&element.text)),
        };
        for child in &element.children {
            write(child, forms, out);
        }
        *out += &format!("</{prefix}{}\n>", element.name);
    }

    #[test]
    fn elements_are_limited() {
        for children in MAX_ELEMENTS - 2..=MAX_ELEMENTS + 1 {
            let text = format!("<a>{}</a>", "<b/>".repeat(children));
            assert_eq!(parse(text.as_bytes()).is_ok(), children < MAX_ELEMENTS, "{children}");
        }
    }

    proptest! {
        #[test]
        fn a_tree_is_read_as_it_was_written(tree in tree(), mut forms: u32) {
            let mut text = "<?xml version=\"1.0\"?>\n".to_owned();
            write(&tree, &mut forms, &mut text);
            prop_assert_eq!(parse(text.as_bytes()), Ok(tree), "{}", text);
        }

        #[test]
        fn depth_is_limited(depth in 1..3 * MAX_DEPTH) {
            let text = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
            prop_assert_eq!(parse(text.as_bytes()).is_ok(), depth <= MAX_DEPTH);
        }

        #[test]
        fn any_bytes_are_read_within_the_limits(data in proptest::collection::vec(any::<u8>(), 0..400)) {
            properties::xml(&data);
        }

        #[test]
        fn pieces_of_xml_are_read_within_the_limits(pieces in proptest::collection::vec(proptest::sample::select(vec![
            "<a>", "</a>", "<b:c d='e'>", "</b:c>", "<a/>", "&amp;", "&#x41;", "&", ";", "<!--", "-->", "<![CDATA[", "]]>",
            "<?xml version='1.0'?>", "<!DOCTYPE a>", "text", "\u{fffd}", "=", "\"", "<", ">",
        ]), 0..60)) {
            properties::xml(pieces.concat().as_bytes());
        }
    }
}
