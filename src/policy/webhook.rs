//! MediaMTX's authentication request (`authMethod: http`, internal/auth/manager.go).

use std::borrow::Cow;

use serde::Deserialize;

use super::{Action, Caller, Credentials, Sender, token_in_query};
use crate::secret::Secret;

/// The body of MediaMTX's POST. MediaMTX always sends all ten keys; missing, null and new keys are accepted too,
/// because a newer MediaMTX must not be locked out.
#[derive(Debug, Deserialize)]
pub struct Question<'a> {
    /// The client's address as Go prints it; the literal `<nil>` if it is unknown.
    #[serde(borrow, default, deserialize_with = "text")]
    pub ip: Cow<'a, str>,
    /// The user name, or empty.
    #[serde(borrow, default, deserialize_with = "text")]
    pub user: Cow<'a, str>,
    /// The password, or empty.
    #[serde(borrow, default, deserialize_with = "text")]
    pub password: Cow<'a, str>,
    /// The bearer token, or a copy of the password, or (RTSP and RTMP) the query's `token` or `jwt`.
    #[serde(borrow, default, deserialize_with = "text")]
    pub token: Cow<'a, str>,
    /// `publish`, `read`, `playback`, `api`, `metrics`, `pprof`, or an action of a newer MediaMTX.
    #[serde(borrow, default, deserialize_with = "text")]
    pub action: Cow<'a, str>,
    /// The decoded path name; can be a literal configuration key (`all_others`, `~^cam`).
    #[serde(borrow, default, deserialize_with = "text")]
    pub path: Cow<'a, str>,
    /// `rtsp`, `rtmp`, `hls`, `webrtc`, `srt`, `moq`, empty, or a protocol of a newer MediaMTX.
    #[serde(borrow, default, deserialize_with = "text")]
    pub protocol: Cow<'a, str>,
    /// The session's UUID (for an RTSP DESCRIBE, the connection's), or null.
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    /// The raw query of the client's URL.
    #[serde(borrow, default, deserialize_with = "text")]
    pub query: Cow<'a, str>,
    /// The client's user agent, often empty.
    #[serde(borrow, default, rename = "userAgent", deserialize_with = "text")]
    pub user_agent: Cow<'a, str>,
}

/// Text or null.
fn text<'de: 'a, 'a, D: serde::Deserializer<'de>>(from: D) -> Result<Cow<'a, str>, D::Error> {
    #[derive(Deserialize)]
    struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(Option::<Borrowed<'a>>::deserialize(from)?.map_or(Cow::Borrowed(""), |t| t.0))
}

impl Question<'_> {
    /// Reads the body; the strings borrow from it where JSON has no escapes in them.
    pub fn parse(body: &[u8]) -> Result<Question<'_>, serde_json::Error> {
        if body.trim_ascii_start().first() != Some(&b'{') {
            // serde reads an array as a struct as well.
            return Err(serde::de::Error::custom("a JSON object is needed"));
        }
        serde_json::from_slice(body)
    }

    /// The action, unless it is unknown here.
    pub fn action(&self) -> Option<Action> {
        self.action.parse().ok()
    }

    /// The client that MediaMTX asks about. The address of the sender of the question is left open. A token of the form `user:password` is split, as MediaMTX splits a bearer
    /// token with exactly one colon. Without other credentials the token is taken from the query, where MediaMTX leaves
    /// it for HLS, WebRTC, SRT, playback and the API.
    pub fn caller(&self) -> Caller {
        let mut credentials =
            Credentials { user: self.user.clone().into_owned(), password: Secret::new(self.password.clone()) };
        if credentials.is_empty() {
            let token =
                if self.token.is_empty() { token_in_query(&self.query) } else { Some(self.token.clone().into_owned()) };
            if let Some(token) = token {
                credentials = Credentials::from_token(&token);
            }
        }
        Caller { sender: Sender::MediaMtx(None), ip: self.ip.parse().ok(), credentials }
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mediamtx_s_own_body_is_read() {
        let body = br#"{"ip":"192.0.2.7","user":"alice","password":"s\u0026cret","token":"s\u0026cret","action":"read",
            "path":"cam1","protocol":"webrtc","id":"3f1c2f0e-8f3e-4d6b-9a53-0c1e7d7b9d11","query":"a=1\u0026b=2","userAgent":"Mozilla/5.0"}"#;
        let question = Question::parse(body).expect("reads");
        assert_eq!(question.action(), Some(Action::Read));
        let caller = question.caller();
        assert_eq!(caller.ip, Some([192, 0, 2, 7].into()));
        assert_eq!((caller.credentials.user.as_str(), caller.credentials.password.expose()), ("alice", "s&cret"));
        assert_eq!(question.id.as_deref(), Some("3f1c2f0e-8f3e-4d6b-9a53-0c1e7d7b9d11"));
    }

    #[test]
    fn null_missing_and_new_keys_are_accepted() {
        let body = br#"{"ip":"<nil>","user":null,"action":"teleport","protocol":"moq","id":null,"future":{"x":1}}"#;
        let question = Question::parse(body).expect("reads");
        assert_eq!((question.action(), question.caller().ip, question.id.as_deref()), (None, None, None));
        assert!(question.caller().credentials.is_empty());
        assert!(
            Question::parse(b"[]").is_err() && Question::parse(b"").is_err() && Question::parse(b"{\"ip\":1}").is_err()
        );
    }

    #[test]
    fn tokens_are_found_where_mediamtx_leaves_them() {
        let sent = |token: &str, query: &str| {
            let body = serde_json::json!({ "token": token, "query": query }).to_string();
            let credentials = Question::parse(body.as_bytes()).expect("reads").caller().credentials;
            (credentials.user, credentials.password.expose().to_owned())
        };
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        assert_eq!(sent("u:p", ""), pair("u", "p"));
        assert_eq!(sent("", "token=u%3Ap"), pair("u", "p"));
        assert_eq!(sent("", "x=1&jwt=abc"), pair("", "abc"));
        assert_eq!(sent("", "token=a&token=b"), pair("", ""), "ambiguous");
        assert_eq!(sent("", "token="), pair("", ""));
        assert_eq!(sent("a:b:c", ""), pair("", "a:b:c"));
    }
}
