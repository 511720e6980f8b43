//! Passwords and keys, which are never printed.

mod shown;

use std::{cell::Cell, fmt, ops::Range};

use hmac::{Hmac, KeyInit};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use url::Url;

pub use self::shown::{has_hidden, hide_in_json, restored_url, shown_endpoint, shown_text, shown_url};

/// Shown in place of a secret.
pub const HIDDEN: &str = "***";

thread_local! {
    static STORING: Cell<bool> = const { Cell::new(false) };
}

/// The value as JSON with its secrets unhidden. Only for the database, which only the user of this program can read.
pub fn to_stored_json<T: Serialize>(value: &T) -> serde_json::Result<serde_json::Value> {
    struct Hide;
    impl Drop for Hide {
        fn drop(&mut self) {
            STORING.set(false);
        }
    }
    STORING.set(true);
    let _hide = Hide;
    serde_json::to_value(value)
}

/// HMAC-SHA256 with this key.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 3)")]
pub fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

/// Serializes a URL, unless for the database, with its secrets as `***`.
pub fn serialize_url<S: Serializer>(url: &str, to: S) -> Result<S::Ok, S::Error> {
    if STORING.get() { to.serialize_str(url) } else { to.serialize_str(&shown_url(url)) }
}

/// As [`serialize_url`].
pub fn serialize_optional_url<S: Serializer>(url: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    match url {
        Some(url) => serialize_url(url, to),
        None => to.serialize_none(),
    }
}

/// Serializes the URL of a program that is called, unless for the database, without what can be a secret.
pub fn serialize_endpoint<S: Serializer>(url: &str, to: S) -> Result<S::Ok, S::Error> {
    if STORING.get() { to.serialize_str(url) } else { to.serialize_str(&shown_endpoint(url)) }
}

/// Splits a URL into the URL without credentials, the user, and the password.
pub fn split_login(url: &str) -> Option<(String, String, String)> {
    let login = login_of(url)?;
    let text = url.get(login.clone())?;
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((format!("{}{}", url.get(..login.start)?, url.get(login.end + 1..)?), decode(user), decode(password)))
}

/// The URL with user and password in it, as [`split_login`] reads them. Unchanged if it is no URL with a host.
pub fn with_login(url: &str, user: &str, password: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    // All special characters, because the library does not encode `%`.
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    // Both work for each URL with a host.
    let _ = parsed.set_username(&encoded(user));
    let _ = parsed.set_password(Some(&encoded(password)));
    parsed.into()
}

/// The place of `user:password` in a URL; `@` follows. A password can have an unescaped `@`: the last `@` before the path ends it.
fn login_of(url: &str) -> Option<Range<usize>> {
    let start = url.find("://")? + 3;
    let rest = url.get(start..)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A host has a number after its colon. Other text is a password with a slash, `?` or `#`, at which the authority seems to end.
    let is_cut = || {
        !authority.starts_with('[') && authority.split_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_err())
    };
    let at = authority.rfind('@').or_else(|| rest.rfind('@').filter(|_| is_cut()))?;
    Some(start..start + at)
}

/// A password or key. `Debug`, `Display` and `Serialize` show `***`; only [`Secret::expose`] gives the text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text. Each call of this method is a place at which a secret can leak.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { HIDDEN })
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match self.0.as_str() {
            "" => "",
            text if STORING.get() => text,
            _ => HIDDEN,
        })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // `pass:` without a value is null in YAML. It means "no password" in mediamtx.yml.
        Option::<String>::deserialize(from).map(|text| Secret(text.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cannot_be_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {secret}"), "*** ***");
        assert_eq!(serde_json::to_string(&secret).expect("serialises"), "\"***\"");
        assert_eq!(to_stored_json(&secret).expect("serialises"), "hunter2", "for the database");
        assert_eq!(serde_json::to_string(&secret).expect("serialises"), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_password_can_have_any_character() {
        for (text, expected) in [
            ("rtsp://u:a/b@h/s", ("rtsp://h/s", "u", "a/b")),
            ("rtsp://u:a#b@h/s", ("rtsp://h/s", "u", "a#b")),
            ("rtsp://h/live@1", ("", "", "")),
            ("rtsp://h:554/live@1", ("", "", "")),
            ("rtsp://[::1]/live@1", ("", "", "")),
            ("rtsp://h/s?mail=a@b", ("", "", "")),
            ("rtsp://u:@h", ("rtsp://h", "u", "")),
        ] {
            let (url, user, password) = split_login(text).unwrap_or_default();
            assert_eq!((url.as_str(), user.as_str(), password.as_str()), expected, "{text}");
        }
        for password in ["a/b", "a%41b", "50%", "ö@:'\"", ""] {
            let url = with_login("rtsp://h:8554/s?x=1", "ad:min", password);
            let login = (String::from("rtsp://h:8554/s?x=1"), String::from("ad:min"), password.to_owned());
            assert_eq!(split_login(&url), Some(login), "{url}");
        }
    }
}
