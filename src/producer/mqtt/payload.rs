//! The picture in a message: its raw bytes, base64, a data URI, or a member of a JSON document.

use std::fmt;

use base64::{
    Engine,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use utoipa::ToSchema;

use crate::{
    error::{Code, Error, Result},
    picture::in_pool,
};

/// The members in which programs send pictures: of Home Assistant's scripts, CameraEvents, mqttshot, and Frigate's neighbours.
const MEMBERS: [&str; 4] = ["/image", "/imagebase64", "/data", "/snapshot"];

/// How the picture is in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = MqttEncoding)]
pub enum Encoding {
    /// Decided by each message.
    #[default]
    Auto,
    /// The bytes of the picture.
    Raw,
    /// Base64, also as a data URI.
    Base64,
    /// Base64 or a data URI in a JSON document.
    Json,
}

fn refuse(reason: impl Into<String>) -> Error {
    Error::new(Code::NotAPicture, reason)
}

/// The bytes of the picture in a message. `pointer` is a JSON pointer (RFC 6901); without one, the usual members are tried.
pub(super) fn picture(payload: &Bytes, encoding: Encoding, pointer: Option<&str>) -> Result<Bytes> {
    if payload.is_empty() {
        return Err(refuse("the message is empty"));
    }
    match encoding {
        Encoding::Raw => Ok(payload.clone()),
        Encoding::Base64 => text(payload),
        Encoding::Json => json(payload, pointer),
        Encoding::Auto if is_picture(payload) => Ok(payload.clone()),
        Encoding::Auto => match payload.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{' | b'[') => json(payload, pointer),
            _ => {
                text(payload).map_err(|e| refuse(format!("the message is neither a picture nor JSON nor base64: {e}")))
            }
        },
    }
}

/// As [`picture`]; text is decoded on a blocking thread.
pub(super) async fn find(payload: &Bytes, encoding: Encoding, pointer: Option<String>) -> Result<Bytes> {
    let is_raw = encoding == Encoding::Raw || (encoding == Encoding::Auto && is_picture(payload));
    if is_raw {
        return picture(payload, encoding, None);
    }
    let payload = payload.clone();
    in_pool(move || picture(&payload, encoding, pointer.as_deref())).await
}

/// Whether data begins as a picture does: JPEG, PNG, GIF, BMP or WebP.
pub(super) fn is_picture(data: &[u8]) -> bool {
    let begins = |magic: &[u8]| data.starts_with(magic);
    begins(b"\xff\xd8\xff")
        || begins(b"\x89PNG")
        || begins(b"GIF8")
        || begins(b"BM")
        || (begins(b"RIFF") && data.get(8..12) == Some(b"WEBP"))
}

/// Decodes base64 or a data URI.
fn text(data: &[u8]) -> Result<Bytes> {
    let data = data.trim_ascii();
    let is_uri = data.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case(b"data:"));
    let encoded = match memchr::memchr(b',', data).filter(|_| is_uri) {
        Some(comma) => {
            let (head, rest) = data.split_at(comma);
            if !head.ends_with(b";base64") {
                return Err(refuse("the data URI is not base64 (RFC 2397)"));
            }
            rest.get(1..).unwrap_or_default()
        }
        None if is_uri => return Err(refuse("the data URI has no comma (RFC 2397)")),
        None => data,
    };
    // Both alphabets (RFC 4648, sections 4 and 5), and lines as of `base64` and MIME.
    let plain: Vec<u8> = encoded
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    let tolerant = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&base64::alphabet::STANDARD, tolerant).decode(&plain);
    decoded.map(Bytes::from).map_err(|e| refuse(format!("it is not base64 ({e})")))
}

/// The picture in a JSON document.
fn json(data: &[u8], pointer: Option<&str>) -> Result<Bytes> {
    let found = match pointer {
        Some(pointer) => {
            at(data, pointer)?.ok_or_else(|| refuse(format!("the JSON has no text at {pointer} (pointer)")))?
        }
        None => {
            let mut found = None;
            for member in MEMBERS {
                found = at(data, member)?;
                if found.is_some() {
                    break;
                }
            }
            let usual = MEMBERS.join(", ");
            found
                .ok_or_else(|| refuse(format!("the JSON has no text at {usual}; set pointer to the picture's place")))?
        }
    };
    text(found.as_bytes()).map_err(|e| refuse(format!("{}: {e}", pointer.unwrap_or("the picture in the JSON"))))
}

/// The text at a JSON pointer; none if there is none. All else is skipped and not kept.
fn at(data: &[u8], pointer: &str) -> Result<Option<String>> {
    let tokens = tokens(pointer);
    let mut from = serde_json::Deserializer::from_slice(data);
    let found = At(&tokens).deserialize(&mut from).and_then(|found| from.end().map(|()| found));
    found.map_err(|e| refuse(format!("the message is not valid JSON: {e}")))
}

/// The parts of a JSON pointer, with `~1` and `~0` replaced (RFC 6901, section 4).
fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

/// Checks a JSON pointer.
pub(super) fn check_pointer(pointer: &str) -> Result<(), String> {
    if pointer.len() > 256 || !pointer.starts_with('/') {
        return Err("must be a JSON pointer of at most 256 bytes, such as /image or /data/0/picture (RFC 6901)".into());
    }
    Ok(())
}

/// Finds a text in a document without keeping the rest.
struct At<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            match self.0.split_first() {
                Some((first, rest)) if *first == key => found = map.next_value_seed(At(rest))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut i) = (None, 0_usize);
        loop {
            match self.0.split_first() {
                Some((first, rest)) if *first == i.to_string() => match items.next_element_seed(At(rest))? {
                    Some(text) => found = text,
                    None => return Ok(found),
                },
                _ => {
                    if items.next_element::<IgnoredAny>()?.is_none() {
                        return Ok(found);
                    }
                }
            }
            i += 1;
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.is_empty().then(|| text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0 >>>???~~~ not more than a beginning";

    #[test]
    fn every_form_is_recognised() {
        let (standard, url_safe) = (BASE64_STANDARD.encode(JPEG), BASE64_URL_SAFE_NO_PAD.encode(JPEG));
        let lines = standard.as_bytes().chunks(20).map(|line| String::from_utf8_lossy(line).into_owned());
        let lines = lines.collect::<Vec<_>>().join("\r\n") + "\n";
        for payload in [
            String::from_utf8_lossy(b"").into_owned() + &standard,
            url_safe.clone(),
            lines,
            format!("data:image/jpeg;base64,{standard}"),
            format!(" {{\"message\":\"motion\",\"imagebase64\":\"{standard}\"}}"),
            format!("{{\"text\":\"x\",\"image\":\"data:image/jpeg;base64,{url_safe}\",\"alert\":true}}"),
        ] {
            let found = picture(&payload.clone().into(), Encoding::Auto, None).expect(&payload);
            assert_eq!(found, JPEG, "{payload}");
        }
        for raw in [JPEG, b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM\0\0", b"RIFF\0\0\0\0WEBPVP8 "] {
            assert_eq!(picture(&Bytes::from_static(raw), Encoding::Auto, None).expect("raw"), raw);
        }
    }

    #[test]
    fn a_pointer_leads_to_any_place() {
        let text = BASE64_STANDARD.encode(JPEG);
        let document = format!(r#"{{"a/b":[1,{{"~":"{text}"}}],"image":5}}"#);
        let at = |pointer| picture(&document.clone().into(), Encoding::Json, Some(pointer)).map_err(|e| e.to_string());
        assert_eq!(at("/a~1b/1/~0").expect("found"), JPEG);
        for pointer in ["/a~1b/0", "/a~1b/2/~0", "/image", "/none", "/a~1b"] {
            assert!(at(pointer).expect_err(pointer).contains(&format!("no text at {pointer}")), "{pointer}");
        }
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        for (payload, encoding, says) in [
            ("", Encoding::Auto, "empty"),
            ("ON", Encoding::Base64, "base64"),
            ("motion detected!", Encoding::Auto, "neither a picture nor JSON nor base64"),
            ("{\"state\":1}", Encoding::Auto, "/image, /imagebase64, /data, /snapshot"),
            ("{\"image\":", Encoding::Auto, "not valid JSON"),
            ("{\"image\":\"!\"}", Encoding::Auto, "base64"),
            ("data:image/jpeg,xyz", Encoding::Auto, "RFC 2397"),
        ] {
            let error = picture(&payload.into(), encoding, None).expect_err(payload).to_string();
            assert!(error.contains(says), "{payload}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(picture(&deep.into(), Encoding::Auto, None).is_err(), "no stack is exhausted");
    }

    proptest! {
        #[test]
        fn the_properties_hold_for_any_message(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            properties::hold(&payload);
        }

        #[test]
        fn and_for_text_that_is_nearly_json(text in "[\\[{]?[ \"a-z:/,~0-9\\\\\\[\\]{}=]{0,80}") {
            properties::hold(text.as_bytes());
        }
    }
}
