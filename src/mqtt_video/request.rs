//! Requests of the video protocol: topics, and JSON in them.

use serde_json::Value;

use crate::{error::Error, mqtt::topic};

/// Most bytes of a member of a request.
const LONGEST: usize = 1024;

/// The first levels of topics with requests: those of the seed's program, and those of its README.
const PREFIXES: [&str; 2] = ["client", "video"];

/// The last level of topics with requests.
const KINDS: [&str; 5] = ["register", "unregister", "describe", "play", "stop"];

/// All topics with requests.
pub(super) fn topics() -> impl Iterator<Item = String> {
    PREFIXES.iter().flat_map(|prefix| KINDS.iter().map(move |kind| format!("{prefix}/{kind}")))
}

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The client is there.
    Register { client: String },
    /// The client is gone.
    Unregister { client: String },
    /// Which media type a video has.
    Describe(Ask),
    /// Send a video.
    Play(Ask),
    /// Send the videos of this URL no longer.
    Stop { client: Option<String>, url: String },
}

/// The parts of a request that has an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// The client's name for itself.
    pub(super) client: String,
    /// What is asked for; empty if it is missing, which the answer says.
    pub(super) url: String,
    /// The topic for the answer.
    pub(super) reply: String,
}

/// Reads a message. None if its topic is none of the protocol. The error has no answer: the message has no topic for one.
pub(super) fn read(topic: &str, payload: &[u8]) -> Result<Option<Request>, Error> {
    let Some((prefix, kind)) = topic.split_once('/') else { return Ok(None) };
    if !PREFIXES.contains(&prefix) || !KINDS.contains(&kind) {
        return Ok(None);
    }
    let body: Value =
        serde_json::from_slice(payload).map_err(|e| Error::parameter("message", format!("is no JSON: {e}")))?;
    let client = text(&body, &["clientId", "client_id"])?;
    let url = text(&body, &["url"])?.unwrap_or_default();
    Ok(Some(match kind {
        "register" => Request::Register { client: client.unwrap_or_default() },
        "unregister" => Request::Unregister { client: client.unwrap_or_default() },
        "stop" => Request::Stop { client, url },
        _ => {
            let reply = text(&body, &["resp_topic", "reply_topic"])?
                .ok_or_else(|| Error::parameter("resp_topic", "is required: the topic for the answer"))?;
            check_reply(&reply).map_err(|rule| Error::parameter("resp_topic", rule))?;
            let ask = Ask { client: client.unwrap_or_default(), url, reply };
            if kind == "describe" { Request::Describe(ask) } else { Request::Play(ask) }
        }
    }))
}

/// The first of these members, as text.
fn text(body: &Value, names: &[&'static str]) -> Result<Option<String>, Error> {
    let Some((name, value)) = names.iter().find_map(|name| Some((*name, body.get(*name)?))) else { return Ok(None) };
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.len() <= LONGEST => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(Error::parameter(name, format!("must be text of at most {LONGEST} bytes"))),
    }
}

/// Checks a topic for answers. The program publishes to it with its own account at the broker, so that a request must not name the
/// topics of other programs, and the topics of requests would be a circle.
fn check_reply(reply: &str) -> Result<(), String> {
    topic::check_name(reply)?;
    let begins = ["client/", "video/", "video_"].iter().any(|begin| reply.starts_with(begin));
    if !begins || topics().any(|known| known == reply) {
        return Err("must begin with client/, video/ or video_, and not be the topic of a request".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(topic: &str, payload: &str) -> Request {
        read(topic, payload.as_bytes()).expect("valid").expect("a request")
    }

    fn ask(client: &str, url: &str, reply: &str) -> Ask {
        Ask { client: client.into(), url: url.into(), reply: reply.into() }
    }

    #[test]
    fn requests_of_the_program_and_of_its_readme_are_read() {
        let reply = "client/describe/response_7";
        let describe = r#"{"clientId":"id_0","url":"door","resp_topic":"client/describe/response_7"}"#;
        assert_eq!(request("client/describe", describe), Request::Describe(ask("id_0", "door", reply)));
        let of_readme = r#"{"url":"door","reply_topic":"video_12"}"#;
        assert_eq!(request("video/play", of_readme), Request::Play(ask("", "door", "video_12")));
        let client = || "id_0".to_owned();
        assert_eq!(request("client/register", r#"{"clientId":"id_0"}"#), Request::Register { client: client() });
        assert_eq!(request("client/unregister", r#"{"clientId":"id_0"}"#), Request::Unregister { client: client() });
        let stop = Request::Stop { client: None, url: "door".into() };
        assert_eq!(request("client/stop", r#"{"url":"door"}"#), stop);
        assert_eq!(
            request("video/play", r#"{"clientId":5,"resp_topic":"video_1"}"#),
            Request::Play(ask("5", "", "video_1"))
        );
        for other in ["client", "client/other", "door/play", "client/play/x", "Client/play"] {
            assert_eq!(read(other, b"{}").expect("is left alone"), None, "{other}");
        }
        assert_eq!(topics().count(), 10);
    }

    #[test]
    fn a_request_without_a_place_for_the_answer_is_refused_with_the_rule() {
        for (payload, field) in [
            ("{", "message"),
            ("\"door\"", "resp_topic"),
            (r#"{"url":"door"}"#, "resp_topic"),
            (r#"{"url":"door","resp_topic":""}"#, "resp_topic"),
            (r#"{"url":"door","resp_topic":"video_#"}"#, "resp_topic"),
            (r#"{"url":"door","resp_topic":"homeassistant/light/x/set"}"#, "resp_topic"),
            (r#"{"url":"door","resp_topic":"client/describe"}"#, "resp_topic"),
            (r#"{"url":["door"],"resp_topic":"video_1"}"#, "url"),
            (r#"{"clientId":{},"resp_topic":"video_1"}"#, "clientId"),
        ] {
            let error = read("client/play", payload.as_bytes()).expect_err(payload);
            assert_eq!(error.field(), Some(field), "{payload}: {error}");
        }
        let long = format!(r#"{{"url":"{}","resp_topic":"video_1"}}"#, "x".repeat(2000));
        assert_eq!(read("client/play", long.as_bytes()).expect_err("long").field(), Some("url"));
    }
}
