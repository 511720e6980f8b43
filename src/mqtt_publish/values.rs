//! Values of texts on pictures (`{value:KEY}`) from messages at `PREFIX/values/KEY/set`.

use super::Inner;
use crate::{
    error::{Code, Error, Result},
    foreign,
    mqtt::{News, Received, Room},
};

/// Values that wait: the newest of each key.
const ROOM: usize = 64;

/// Takes values, if `mqtt.commands` is on. A kept message is a value, too: the last temperature is still the last one.
pub(super) async fn take_values(inner: &Inner) {
    if !inner.mqtt.settings().commands {
        std::future::pending::<()>().await;
    }
    let messages = inner.mqtt.subscribe(&inner.mqtt.topic("values/#"), Room::EachTopic(ROOM));
    let before = inner.mqtt.topic("values/");
    loop {
        let News::Message(message) = messages.next().await else { continue };
        if let Err(e) = take(inner, &before, &message) {
            tracing::warn!("a value by MQTT is not shown: {}", foreign::shown(&e.to_string()));
        }
    }
}

fn take(inner: &Inner, before: &str, message: &Received) -> Result<()> {
    let Some(key) = key_of(before, &message.topic) else { return Ok(()) };
    let values = &inner.catalog.context().values;
    let text = std::str::from_utf8(&message.payload);
    let text = text.map_err(|_| Error::new(Code::InvalidBody, format!("the value {key} is not UTF-8")))?;
    match text.trim_end() {
        // An empty message also takes a kept one away (MQTT 3.1.1, 3.3.1.3).
        "" => {
            values.remove(key);
            Ok(())
        }
        text => values.set(key, text),
    }
}

/// The key in `PREFIX/values/KEY/set`.
fn key_of<'a>(before: &str, topic: &'a str) -> Option<&'a str> {
    topic.strip_prefix(before)?.strip_suffix("/set").filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_stands_between_values_and_set() {
        let key = |topic: &'static str| key_of("cams/values/", topic);
        assert_eq!((key("cams/values/score/set"), key("cams/values/hall/bed/set")), (Some("score"), Some("hall/bed")));
        assert_eq!((key("cams/values/score"), key("cams/values//set"), key("other/values/a/set")), (None, None, None));
    }
}
