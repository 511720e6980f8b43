//! Texts that contain secrets, as they can be shown: URLs, command lines, settings of MediaMTX.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex::{Captures, Regex};
use serde_json::Value;

use super::{HIDDEN, login_of};

/// Parts of the names of URL parameters, settings and options whose values are secrets.
const SECRET_WORDS: [&str; 11] =
    ["pass", "pwd", "secret", "token", "key", "auth", "jwt", "cred", "psk", "signature", "loginpas"];

/// Whole names of URL parameters that are secrets.
const SECRET_NAMES: [&str; 7] = ["pw", "pas", "sig", "sid", "code", "session", "sessionid"];

#[expect(clippy::expect_used, reason = "literal expressions, which tests compile")]
fn expression(text: &str) -> Regex {
    Regex::new(text).expect("a literal expression")
}

/// `://user:password@`. The password ends before the host, so one with `/` or `@` in it needs [`login_of`].
static LOGIN: LazyLock<Regex> = LazyLock::new(|| expression(r"(://[^/@:\s]*):([^/@\s]+)@"));

/// A parameter of a URL, and its value.
static PARAMETER: LazyLock<Regex> = LazyLock::new(|| expression(r#"([?&;])([^=&?;\s'"|#]+)=([^&\s'"|]*)"#));

/// An option of a command, a variable, or a header, with its value.
static OPTION: LazyLock<Regex> = LazyLock::new(|| {
    let words = "pass|pwd|secret|token|key|auth|cred";
    expression(&format!(
        r#"(?i)((?:^|\s)-{{1,2}}[a-z0-9_-]*(?:{words})[a-z0-9_-]*(?:=|\s+)|\b[a-z0-9_]*(?:{words})[a-z0-9_]*=|\bauthorization:\s*(?:[a-z]+\s+)?)('[^']*'|"[^"]*"|[^\s'"&]+)"#
    ))
});

/// Whether the values of a parameter or setting with this name are secrets.
fn is_secret(name: &str) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str()) || SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// A URL with its password and the values of secret parameters as `***`.
pub fn shown_url(url: &str) -> String {
    let mut shown = url.to_owned();
    if let Some(login) = login_of(url)
        && let Some(colon) = url.get(login.clone()).and_then(|login| login.find(':'))
        && login.start + colon + 1 < login.end
    {
        shown.replace_range(login.start + colon + 1..login.end, HIDDEN);
    }
    let shown = LOGIN.replace_all(&shown, format!("$1:{HIDDEN}@"));
    PARAMETER
        .replace_all(&shown, |found: &Captures<'_>| format!("{}{}={}", &found[1], &found[2], value(found)))
        .into_owned()
}

fn value(found: &Captures<'_>) -> String {
    let (name, value) = (&found[2], &found[3]);
    match value {
        "" => String::new(),
        _ if is_secret(name) => HIDDEN.to_owned(),
        // Of SRT; MediaMTX reads ACTION:PATH:USER:PASSWORD, or #!::u=USER,s=PASSWORD.
        _ if name.eq_ignore_ascii_case("streamid") => {
            let decoded = percent_decode_str(value).decode_utf8_lossy();
            match decoded.splitn(4, ':').collect::<Vec<_>>()[..] {
                _ if decoded.contains(",s=") || decoded.contains("::s=") => HIDDEN.to_owned(),
                [action, path, user, _] if !action.starts_with('#') => format!("{action}:{path}:{user}:{HIDDEN}"),
                _ => value.to_owned(),
            }
        }
        _ => value.to_owned(),
    }
}

/// A text with URLs, such as a command line or a message of another program, without passwords, secret parameters, and values
/// of options whose name says that they are secret.
pub fn shown_text(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace);
    let shown: String =
        words.map(|word| if word.contains("://") { shown_url(word) } else { word.to_owned() }).collect();
    OPTION.replace_all(&shown, format!("${{1}}{HIDDEN}")).into_owned()
}

/// Hides the secrets in JSON with the names and values of MediaMTX's settings.
pub fn hide_in_json(value: &mut Value) {
    match value {
        Value::String(text) => *text = shown_text(text),
        Value::Array(items) => items.iter_mut().for_each(hide_in_json),
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if is_secret(key) && !text.is_empty() => *text = HIDDEN.to_owned(),
                    value => hide_in_json(value),
                }
            }
        }
        _ => {}
    }
}

/// The URL of a program that is called, without user and password, without the values of its parameters, and without segments
/// of its path that are secrets by their looks, as in the webhooks of chat programs.
pub fn shown_endpoint(url: &str) -> String {
    static VALUE: LazyLock<Regex> = LazyLock::new(|| expression(r"([?&][^=&\s]+)=[^&\s]*"));
    let mut url = url.split('#').next().unwrap_or_default().to_owned();
    if let Some(login) = login_of(&url) {
        url.replace_range(login.start..=login.end, "");
    }
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (url.as_str(), String::new()),
    };
    let is_token = |segment: &str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_%~".contains(c);
        segment.len() >= 16 && segment.chars().all(is_word) && segment.chars().any(|c| c.is_ascii_digit())
    };
    // The host is no part of the path: scheme, empty, host.
    let segments = path.split('/').enumerate();
    let path: Vec<_> = segments.map(|(n, part)| if n > 2 && is_token(part) { HIDDEN } else { part }).collect();
    format!("{}{}", path.join("/"), VALUE.replace_all(&query, format!("$1={HIDDEN}")))
}

/// A URL that was shown and comes back, with the hidden parts of the stored one: only if nothing else than parameters or the
/// path was changed. None if `***` would remain.
pub fn restored_url(sent: &str, stored: &str) -> Option<String> {
    if sent == shown_url(stored) {
        return Some(stored.to_owned());
    }
    let origin = |url: &str| {
        let url = url::Url::parse(url).ok()?;
        Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port(), url.username().to_owned()))
    };
    let is_same_host = origin(sent).is_some() && origin(sent) == origin(stored);
    let of =
        |name: &str| PARAMETER.captures_iter(stored).find(|found| found[2] == *name).map(|found| found[3].to_owned());
    let restored = PARAMETER.replace_all(sent, |found: &Captures<'_>| {
        let value = (found[3] == *HIDDEN && is_same_host).then(|| of(&found[2])).flatten();
        format!("{}{}={}", &found[1], &found[2], value.as_deref().unwrap_or(&found[3]))
    });
    (!has_hidden(&restored)).then(|| restored.into_owned())
}

/// Whether a text has a hidden value, which stands for nothing unless it is restored.
pub fn has_hidden(text: &str) -> bool {
    text == HIDDEN
        || [format!(":{HIDDEN}@"), format!("={HIDDEN}"), format!(":{HIDDEN}&")].iter().any(|part| text.contains(part))
        || text.ends_with(&format!(":{HIDDEN}"))
        || OPTION.captures_iter(text).any(|found| found[2] == *HIDDEN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn urls_are_shown_without_their_secrets() {
        for (url, shown) in [
            ("rtsp://10.0.0.5/live?channel=1", "rtsp://10.0.0.5/live?channel=1"),
            ("rtsp://admin:s3cret@10.0.0.5/live", "rtsp://admin:***@10.0.0.5/live"),
            ("rtsp://admin:s3/cr@t@10.0.0.5/live", "rtsp://admin:***@10.0.0.5/live"),
            ("rtsp://admin@10.0.0.5/live", "rtsp://admin@10.0.0.5/live"),
            ("http://cam/s.cgi?user=admin&pwd=s3cret&channel=2", "http://cam/s.cgi?user=admin&pwd=***&channel=2"),
            ("http://cam/s.cgi?loginuse=admin&loginpas=s3cret", "http://cam/s.cgi?loginuse=admin&loginpas=***"),
            ("http://cam/s.cgi?%70assword=s3cret", "http://cam/s.cgi?%70assword=***"),
            (
                "srt://h:8890?streamid=read:cam:bob:s3cret&passphrase=0123456789",
                "srt://h:8890?streamid=read:cam:bob:***&passphrase=***",
            ),
            ("srt://h:8890?streamid=read:cam", "srt://h:8890?streamid=read:cam"),
            ("srt://h:8890?streamid=#!::m=request,r=cam,u=bob,s=s3cret", "srt://h:8890?streamid=***"),
            ("http://h/x?token=", "http://h/x?token="),
        ] {
            assert_eq!(shown_url(url), shown, "{url}");
        }
    }

    #[test]
    fn commands_and_messages_are_shown_without_their_secrets() {
        for (text, shown) in [
            (
                "ffmpeg -i 'rtsp://u:s3cret@h/s' -c copy -f rtsp rtsp://localhost:$RTSP_PORT/$MTX_PATH",
                "ffmpeg -i 'rtsp://u:***@h/s' -c copy -f rtsp rtsp://localhost:$RTSP_PORT/$MTX_PATH",
            ),
            ("hook --secret s3cret --url http://h", "hook --secret *** --url http://h"),
            ("env API_TOKEN=s3cret run", "env API_TOKEN=*** run"),
            ("curl -H 'Authorization: Bearer s3cret' http://h", "curl -H 'Authorization: Bearer ***' http://h"),
            ("invalid source: 'rtsp://u:s3cret@h/x?key=s3cret'", "invalid source: 'rtsp://u:***@h/x?key=***'"),
            ("the monkey eats a key", "the monkey eats a key"),
        ] {
            assert_eq!(shown_text(text), shown, "{text}");
        }
    }

    #[test]
    fn secret_settings_of_mediamtx_are_hidden() {
        let mut fields = json!({
            "srtReadPassphrase": "0123456789", "srtPublishPassphrase": "", "readPass": "x", "record": true,
            "source": "srt://h?passphrase=0123456789", "forward": [{"url": "rtmp://u:s3cret@h/live"}], "recordPath": "./r/%path",
        });
        hide_in_json(&mut fields);
        let shown = json!({
            "srtReadPassphrase": "***", "srtPublishPassphrase": "", "readPass": "***", "record": true,
            "source": "srt://h?passphrase=***", "forward": [{"url": "rtmp://u:***@h/live"}], "recordPath": "./r/%path",
        });
        assert_eq!(fields, shown);
    }

    #[test]
    fn endpoints_are_shown_without_what_can_be_a_token() {
        for (url, shown) in [
            ("http://127.0.0.1:1880/cameras", "http://127.0.0.1:1880/cameras"),
            ("http://u:p@h/cameras?token=abc&x=1#f", "http://h/cameras?token=***&x=***"),
            (
                "https://hooks.example/services/T0000/B0000/XXXXXXXXXXXXXXXXXXXXXXX1",
                "https://hooks.example/services/T0000/B0000/***",
            ),
            (
                "https://camera-notifications-1234567.example/motion-detected",
                "https://camera-notifications-1234567.example/motion-detected",
            ),
        ] {
            assert_eq!(shown_endpoint(url), shown, "{url}");
        }
    }

    #[test]
    fn a_shown_url_that_comes_back_keeps_its_secrets_and_gives_them_to_no_other_host() {
        let stored = "http://cam:81/s?user=admin&pwd=s3cret&channel=1";
        for (sent, restored) in [
            ("http://cam:81/s?user=admin&pwd=***&channel=1", Some(stored)),
            ("http://cam:81/s?user=admin&pwd=***&channel=2", Some("http://cam:81/s?user=admin&pwd=s3cret&channel=2")),
            ("http://cam:81/s?user=admin&pwd=new", Some("http://cam:81/s?user=admin&pwd=new")),
            ("http://evil:81/s?user=admin&pwd=***&channel=1", None),
            ("http://cam:82/s?user=admin&pwd=***&channel=1", None),
            ("http://cam:81/s?token=***", None),
        ] {
            assert_eq!(restored_url(sent, stored).as_deref(), restored, "{sent}");
        }
        assert_eq!(restored_url("rtsp://u:***@h/x", "rtsp://u:p@h/x").as_deref(), Some("rtsp://u:p@h/x"));
        assert_eq!(restored_url("rtsp://u:***@h/y", "rtsp://u:p@h/x"), None);
    }
}
