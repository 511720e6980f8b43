//! [`Credentials`] and the places where clients put them: headers, bearer tokens, URLs.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::secret::Secret;

/// The user name and password, or the token, that a client sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The user name; empty if none was sent.
    pub user: String,
    /// The password or the token; empty if none was sent.
    pub password: Secret,
}

impl Credentials {
    /// Reads the value of an `Authorization` header of the Basic scheme (RFC 7617), of HTTP and RTSP alike.
    pub fn from_basic(value: &str) -> Option<Self> {
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Credentials { user: user.to_owned(), password: Secret::new(password) })
    }

    /// Reads a bearer token (RFC 6750). One of the form `user:password`, with exactly one colon, is a user name and a
    /// password, as in MediaMTX (internal/protocols/httpp/credentials.go).
    pub fn from_token(token: &str) -> Self {
        match token.split_once(':') {
            Some((user, password)) if !password.contains(':') => {
                Credentials { user: user.to_owned(), password: Secret::new(password) }
            }
            _ => Credentials { user: String::new(), password: Secret::new(token) },
        }
    }

    /// Reads the value of an `Authorization` header of the Basic or the Bearer scheme, or of InfluxDB's scheme `Token`.
    pub fn from_header(value: &str) -> Option<Self> {
        match value.split_once(' ') {
            Some((scheme, token)) if ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
                Some(Credentials::from_token(token.trim()))
            }
            _ => Credentials::from_basic(value),
        }
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.user.is_empty() && self.password.is_empty()
    }
}

/// The value of `token`, or else of `jwt`, in the query of a URL. It counts only if the query has exactly one, as in
/// MediaMTX (`getToken` in internal/auth/manager.go).
pub fn token_in_query(query: &str) -> Option<String> {
    ["token", "jwt"].into_iter().find_map(|wanted| {
        let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == wanted);
        let (_, value) = values.next()?;
        (!value.is_empty() && values.next().is_none()).then(|| value.into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read() {
        let read = |value: &str| {
            let credentials = Credentials::from_basic(value)?;
            Some((credentials.user, credentials.password.expose().to_owned()))
        };
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(read("Basic dTpw"), pair("u", "p"));
        assert_eq!(read("basic dTpwOng="), pair("u", "p:x"));
        for wrong in ["Basic", "Basic !", "Basic dQ==", "Bearer dTpw", "Basic /w=="] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_in_a_query_is_taken_if_there_is_exactly_one() {
        for (query, expected) in [
            ("token=abc", Some("abc")),
            ("x=1&jwt=abc&y=2", Some("abc")),
            ("token=a%3Ab+c", Some("a:b c")),
            ("%74oken=abc", Some("abc")),
            ("token=&jwt=abc", Some("abc")),
            ("token=a&token=b", None),
            ("token=a&token", None),
            ("token=", None),
            ("mytoken=abc", None),
            ("", None),
        ] {
            assert_eq!(token_in_query(query).as_deref(), expected, "{query}");
        }
    }
}
