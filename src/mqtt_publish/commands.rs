//! Events as messages, and messages that ask for pictures of any stream.

use serde::Deserialize;

use super::{Entry, Inner, entry::Size, stream};
use crate::{
    error::{Code, Error, Result},
    events::Bus,
    foreign,
    mqtt::{Message, News, Pace, Publication, Room, Subject, Subscription},
    stream::StreamName,
};

/// Requests that wait; the newest stay.
const ROOM: usize = 16;

/// Longest request, in bytes.
const MAX_REQUEST: usize = 1024;

/// Publishes the events of the kinds in `mqtt.events`, each once and in order.
pub(super) async fn publish_events(inner: &Inner, bus: &Bus) {
    let kinds = &inner.mqtt.settings().events;
    let (mut heard, mut last) = (bus.listen(), bus.latest());
    while !kinds.is_empty() && heard.changed().await.is_ok() {
        for told in bus.since(last).events {
            last = told.event.id;
            // Each node of a cluster publishes its own events.
            if !told.is_foreign && kinds.iter().any(|kind| kind == told.event.kind.as_str()) {
                inner.mqtt.publish(Message::event(inner.mqtt.topic("events"), told.json.clone()));
            }
        }
    }
    std::future::pending().await
}

/// A request for a picture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    name: String,
    w: Option<u32>,
    quality: Option<u8>,
}

/// Reads the name of a stream, or `{"name": …, "w": …, "quality": …}`.
fn read(payload: &[u8]) -> Result<Request> {
    let wrong = |rule: String| Error::new(Code::InvalidBody, rule);
    if payload.len() > MAX_REQUEST {
        return Err(wrong(format!("a request has at most {MAX_REQUEST} bytes")));
    }
    let text = std::str::from_utf8(payload).map_err(|e| wrong(format!("a request is UTF-8: {e}")))?.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|e| wrong(format!("the request is not valid: {e}")));
    }
    Ok(Request { name: text.to_owned(), w: None, quality: None })
}

/// Takes requests for a picture of one publication: any message, or `{"w": …, "quality": …}`. A kept one is of an earlier time, and
/// is left out.
pub(super) async fn listen(requests: &Subscription, name: &StreamName, entry: &Entry) {
    loop {
        let News::Message(message) = requests.next().await else { continue };
        if message.is_retained {
            continue;
        }
        match read_size(&message.payload) {
            Ok(size) => entry.ask(size),
            Err(e) => tracing::warn!("a request for a picture of {name} by MQTT: {}", foreign::shown(&e.to_string())),
        }
    }
}

/// The size in a request; none if the request is no JSON object.
fn read_size(payload: &[u8]) -> Result<Size> {
    let short = if payload.len() > MAX_REQUEST { &[] } else { payload };
    let object = std::str::from_utf8(short).ok().filter(|text| text.trim_start().starts_with('{'));
    let Some(text) = object else { return Ok(Size::default()) };
    let size: Size = serde_json::from_str(text)
        .map_err(|e| Error::new(Code::InvalidBody, format!("the request is not valid: {e}")))?;
    let publication = Publication { w: size.w, quality: size.quality, ..Publication::default() };
    match publication.problem() {
        Some((field, rule)) => Err(Error::parameter(field, rule)),
        None => Ok(size),
    }
}

/// Answers requests at `PREFIX/snapshot/set`, one after the other, if `mqtt.commands` is on.
pub(super) async fn take_requests(inner: &Inner) {
    if !inner.mqtt.settings().commands {
        std::future::pending::<()>().await;
    }
    let requests = inner.mqtt.subscribe(&inner.mqtt.topic("snapshot/set"), Room::Newest(ROOM));
    loop {
        let News::Message(message) = requests.next().await else { continue };
        // A kept request is of an earlier time.
        if !message.is_retained
            && let Err(e) = answer(inner, &message.payload).await
        {
            tracing::warn!("a request by MQTT is not answered: {}", foreign::shown(&e.to_string()));
        }
    }
}

async fn answer(inner: &Inner, payload: &[u8]) -> Result<()> {
    let Request { name, w, quality } = read(payload)?;
    let publication = Publication { interval: Pace::OnRequest, w, quality, retain: false };
    if let Some((field, rule)) = publication.problem() {
        return Err(Error::parameter(field, rule));
    }
    let name = inner.catalog.name(&name)?;
    let frame = stream::take(inner, &name).await?;
    let entry = Entry::new(Subject::Name(name.clone()), publication, false);
    stream::publish(inner, &name, &entry, &frame).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_one_publication_is_any_message_or_a_size() {
        for (payload, expected) in [
            (&b""[..], Some((None, None))),
            (b"PRESS", Some((None, None))),
            (b"\xff\xfe", Some((None, None))),
            (b" {\"w\": 640}", Some((Some(640), None))),
            (b"{\"w\": 320, \"quality\": 50}", Some((Some(320), Some(50)))),
            (b"{}", Some((None, None))),
            (b"{\"w\": 0}", None),
            (b"{\"quality\": 101}", None),
            (b"{\"width\": 640}", None),
            (b"{\"w\": 640", None),
        ] {
            let size = read_size(payload).ok().map(|size| (size.w, size.quality));
            assert_eq!(size, expected, "{}", String::from_utf8_lossy(payload));
        }
    }

    #[test]
    fn a_request_is_a_name_or_an_object() {
        let name =
            |text: &str| read(text.as_bytes()).map(|request| (request.name, request.w)).map_err(|e| e.to_string());
        assert_eq!(name(" Garden/Gate \n"), Ok(("Garden/Gate".into(), None)));
        assert_eq!(name(r#"{"name":"a","w":640}"#), Ok(("a".into(), Some(640))));
        for (text, says) in
            [(r#"{"w":1}"#, "name"), (r#"{"name":"a","x":1}"#, "unknown field"), (&"x".repeat(2000), "1024")]
        {
            let error = name(text).expect_err(text);
            assert!(error.contains(says), "{error}");
        }
    }
}
