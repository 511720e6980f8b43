//! Text that must never be printed.

use std::{cell::Cell, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands for a secret that is not shown.
pub const HIDDEN: &str = "***";

thread_local! {
    static STORING: Cell<bool> = const { Cell::new(false) };
}

/// The value as JSON with its secrets in clear: for the database, which only this program's user can read, and nothing else.
pub fn to_stored_json<T: Serialize>(value: &T) -> serde_json::Result<serde_json::Value> {
    struct Shut;
    impl Drop for Shut {
        fn drop(&mut self) {
            STORING.set(false);
        }
    }
    STORING.set(true);
    let _shut = Shut;
    serde_json::to_value(value)
}

/// A password or key. `Debug`, `Display` and `Serialize` show `***`; only [`Secret::expose`] gives the text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself. Every call is a place to look when a secret has leaked.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing was set.
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
        // `pass:` with nothing behind it is YAML's null; mediamtx.yml writes it for "no password".
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
        assert_eq!(to_stored_json(&secret).expect("serialises"), "hunter2", "but it can be kept");
        assert_eq!(serde_json::to_string(&secret).expect("serialises"), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }
}
