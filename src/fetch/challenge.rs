//! Passwords: reads challenges of `WWW-Authenticate` as devices write them, and answers them (RFC 7616 Digest, RFC 7617 Basic).
//!
//! Firmware leaves commas and quotation marks out, sets them where none belong, writes names of algorithms in lower case, and
//! offers `auth-int`, which it then computes wrong. The library that answers challenges wants them as the standard has them.
//! HTTP and RTSP have the same challenges (RFC 2326 section 4.4), so both clients read them here.

use http::{HeaderMap, header::WWW_AUTHENTICATE};
use http_auth::{BasicClient, ChallengeRef, DigestClient, ParamValue, PasswordParams};

use crate::secret::Secret;

/// Longest header that is read, in bytes.
const MAX_LENGTH: usize = 4 << 10;

/// Schemes that begin a challenge. Another word without `=` is part of a list such as `qop=auth, auth-int`.
const SCHEMES: [&str; 5] = ["basic", "digest", "bearer", "negotiate", "ntlm"];

/// Algorithms of Digest as the library writes them.
const ALGORITHMS: [&str; 6] = ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"];

/// How requests are authenticated.
#[derive(Debug)]
pub enum Scheme {
    /// RFC 7616.
    Digest(Box<DigestClient>),
    /// RFC 7617.
    Basic(BasicClient),
}

impl Scheme {
    /// The challenge to answer: Digest before Basic, in the device's order.
    ///
    /// # Errors
    ///
    /// The schemes that the device offers, if none of them is supported.
    pub fn choose<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut names: Vec<String> = vec![];
        let mut basic = None;
        for value in values {
            for (scheme, params) in challenges(value.get(..MAX_LENGTH).unwrap_or(value)) {
                let challenge = challenge(&scheme, &params);
                if scheme.eq_ignore_ascii_case("digest") {
                    if let Ok(digest) = DigestClient::try_from(&challenge) {
                        return Ok(Scheme::Digest(Box::new(digest)));
                    }
                } else if scheme.eq_ignore_ascii_case("basic") {
                    basic = basic.or_else(|| BasicClient::try_from(&challenge).ok());
                }
                let algorithm = params.iter().find(|(name, _)| name == "algorithm").map(|(_, value)| value);
                let name = algorithm.map_or(scheme.clone(), |algorithm| format!("{scheme} with {algorithm}"));
                names.push(name);
            }
        }
        basic.map(Scheme::Basic).ok_or_else(|| names.join(", "))
    }

    /// [`Scheme::choose`] for the headers of an HTTP response.
    ///
    /// # Errors
    ///
    /// The schemes that the device offers, if none of them is supported.
    pub fn of(headers: &HeaderMap) -> Result<Self, String> {
        Self::choose(headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| str::from_utf8(value.as_bytes()).ok()))
    }

    /// Whether the device says that only the nonce was too old (RFC 7616 section 3.3).
    pub fn is_stale(&self) -> bool {
        matches!(self, Scheme::Digest(digest) if digest.stale())
    }

    /// The `Authorization` header of a request.
    ///
    /// # Errors
    ///
    /// Why the challenge cannot be answered, for example without random numbers of the system.
    pub fn answer(
        &mut self,
        (user, password): (&str, &Secret),
        method: &str,
        uri: &str,
        body: &[u8],
    ) -> Result<String, String> {
        match self {
            Scheme::Digest(digest) => digest.respond(&PasswordParams {
                username: user,
                password: password.expose(),
                uri,
                method,
                body: Some(body),
            }),
            Scheme::Basic(basic) => Ok(basic.respond(user, password.expose())),
        }
    }
}

fn challenge<'a>(scheme: &'a str, params: &'a [(String, String)]) -> ChallengeRef<'a> {
    let mut challenge = ChallengeRef::new(scheme);
    for (name, value) in params {
        // An empty algorithm is none.
        if let (false, Ok(value)) = (value.is_empty() && name != "realm", ParamValue::try_from_escaped(value)) {
            challenge.params.push((name, value));
        }
    }
    if !params.iter().any(|(name, _)| name == "realm") {
        challenge.params.extend(ParamValue::try_from_escaped("").ok().map(|empty| ("realm", empty)));
    }
    challenge
}

/// A scheme with its parameters, whose names are in lower case.
type Parsed = (String, Vec<(String, String)>);

/// Reads the challenges of one header. Separators can be missing, values can be unquoted, names have any case, and the first of two
/// parameters with one name counts.
fn challenges(text: &str) -> Vec<Parsed> {
    let mut found: Vec<Parsed> = vec![];
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == ';');
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '='));
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let Some(value) = behind.trim_start().strip_prefix('=') else {
            if word.is_empty() {
                return found;
            }
            if SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme)) {
                found.push((word.to_owned(), vec![]));
            }
            rest = behind;
            continue;
        };
        let value = value.trim_start();
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted);
                (quoted.get(..end).unwrap_or_default(), quoted.get(end + 1..).unwrap_or_default())
            }
            None => {
                value.split_at(value.find(|c: char| c.is_whitespace() || matches!(c, ',' | ';')).unwrap_or(value.len()))
            }
        };
        rest = behind;
        if let Some((_, params)) = found.last_mut() {
            let name = word.to_ascii_lowercase();
            if !params.iter().any(|(known, _)| *known == name) {
                params.push((name.clone(), canonical(&name, value.trim()).to_owned()));
            }
        }
    }
}

/// The value as the standard writes it. With a choice of both, `auth` is taken: many devices compute `auth-int` wrong.
fn canonical<'a>(name: &str, value: &'a str) -> &'a str {
    match name {
        "algorithm" => ALGORITHMS.into_iter().find(|known| known.eq_ignore_ascii_case(value)).unwrap_or(value),
        "qop" if value.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")) => "auth",
        _ => value,
    }
}

fn closing_quote(text: &str) -> usize {
    let mut is_escaped = false;
    let quote = text.char_indices().find(|(_, c)| {
        let ends = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    quote.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(values: &[&str]) -> Result<String, String> {
        Scheme::choose(values.iter().copied()).map(|scheme| match scheme {
            Scheme::Digest(digest) => format!("{:?} {} {}", digest.algorithm(), digest.realm(), digest.nonce()),
            Scheme::Basic(_) => "Basic".to_owned(),
        })
    }

    #[test]
    fn challenges_are_read_leniently_and_digest_is_preferred() {
        for (values, expected) in [
            (&[r#"Digest realm="cam", nonce="n1""#][..], Ok("Md5 cam n1")),
            (&[r#"Basic realm="cam""#, r#"Digest realm="cam", nonce="n1""#], Ok("Md5 cam n1")),
            (&[r#"Basic realm="a, b", Digest realm="cam" nonce="n1""#], Ok("Md5 cam n1")),
            (&[r#"digest Realm=cam,NONCE=n1,stale=FALSE,qop="auth""#], Ok("Md5 cam n1")),
            (&[r#"Digest qop=auth, auth-int, realm = "cam" , nonce = "n1""#], Ok("Md5 cam n1")),
            (
                &[r#"Digest realm="IP Camera(GH455)", nonce="n1", algorithm="SHA-256", stale="FALSE""#],
                Ok("Sha256 IP Camera(GH455) n1"),
            ),
            (
                &[
                    r#"Digest realm="cam", nonce="n1", algorithm="X""#,
                    r#"Digest realm="cam", nonce="n2", algorithm=MD5"#,
                ],
                Ok("Md5 cam n2"),
            ),
            (&[r#"Digest nonce="n1", algorithm="""#], Ok("Md5  n1")),
            (&[r#"Digest realm="cam", nonce="n1"#], Ok("Md5 cam n1")),
            (&[r#"Digest realm="cam""#, "Basic"], Ok("Basic")),
            (&[r#"Basic realm="x""#], Ok("Basic")),
            (&["Negotiate, Basic realm=x"], Ok("Basic")),
            (&[r#"Digest realm="cam" nonce="66" qop="auth""#], Ok("Md5 cam 66")),
            (&[r#"Digest qop=auth, realm=x , nonce="aa==","#], Ok("Md5 x aa==")),
            (&[r#"Digest realm="a\"b", nonce=1, algorithm="md5""#], Ok(r#"Md5 a"b 1"#)),
            (&[r#"Digest realm="cam", nonce="n1", algorithm=sha-256-SESS"#], Ok("Sha256 cam n1")),
            (&[r#"Digest realm="a, b=c", nonce="ab=,c""#], Ok("Md5 a, b=c ab=,c")),
            (&["=,=", "Negotiate YII="], Err("Negotiate")),
            (&[r#"Digest realm="cam", nonce="n1", algorithm="X""#], Err("Digest with X")),
            (&["Bearer realm=\"é\"", ",,=;\"", ""], Err("Bearer")),
            (&[], Err("")),
        ] {
            assert_eq!(chosen(values), expected.map(str::to_owned).map_err(str::to_owned), "{values:?}");
        }
    }

    #[test]
    fn auth_is_preferred_to_auth_int() {
        for (qop, expected) in [
            ("qop=\"auth-int,auth\"", Some("qop=auth,")),
            ("qop=auth, auth-int", Some("qop=auth,")),
            ("qop=\"auth-int\"", Some("qop=auth-int,")),
            ("", None),
        ] {
            let mut scheme =
                Scheme::choose([&*format!("Digest realm=\"r\", nonce=\"n\", {qop}")]).expect("a challenge");
            let answer = scheme.answer(("me", &Secret::new("pw")), "GET", "/", b"").expect("an answer");
            match expected {
                Some(expected) => assert!(format!("{answer},").contains(expected), "{answer}"),
                None => assert!(!answer.contains("qop"), "{answer}"),
            }
        }
    }
}
