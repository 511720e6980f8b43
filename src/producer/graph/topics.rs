//! Numbers in messages of MQTT.

use super::{Problem, Settings, refuse};
use crate::{
    error::Result,
    foreign,
    mqtt::{Mqtt, News, Received, Room, topic},
    numbers::{Numbers, SeriesName, read, time},
};

/// Messages that can wait for their turn. They are small, and are read at once.
const WAITING: usize = 256;

/// Most bytes of a message with numbers.
const MAX_MESSAGE: usize = 64 << 10;

/// Longest JSON pointer.
const MAX_POINTER: usize = 256;

/// A topic, and which series its numbers are.
pub(super) struct Source {
    filter: String,
    /// None: each topic is a series of its name.
    series: Option<SeriesName>,
    pointer: Option<String>,
}

/// The topics of a definition.
pub(super) fn sources(settings: &Settings, mqtt: &Mqtt) -> Result<Vec<Source>> {
    let mut sources = vec![];
    for filter in &settings.topics {
        topic::check_filter(filter).map_err(|rule| refuse("topics", rule))?;
        check_permitted("topics", filter, mqtt)?;
        sources.push(Source { filter: filter.clone(), series: None, pointer: None });
    }
    for (i, entry) in settings.series.iter().enumerate().filter(|(_, entry)| !entry.topic.is_empty()) {
        topic::check_name(&entry.topic).map_err(|rule| refuse("series", format!("entry {i}: {rule}")))?;
        check_permitted("series", &entry.topic, mqtt)?;
        if entry.pointer.as_ref().is_some_and(|pointer| pointer.len() > MAX_POINTER || !pointer.starts_with('/')) {
            let rule = "pointer must be a JSON pointer of at most 256 bytes, such as /temperature (RFC 6901)";
            return Err(refuse("series", format!("entry {i}: {rule}")));
        }
        sources.push(Source {
            filter: entry.topic.clone(),
            series: Some(entry.name.clone()),
            pointer: entry.pointer.clone(),
        });
    }
    Ok(sources)
}

fn check_permitted(field: &'static str, filter: &str, mqtt: &Mqtt) -> Result<()> {
    if mqtt.broker().is_none() {
        return Err(refuse(field, "no broker is set (mqtt.url)"));
    }
    let topics = &mqtt.settings().topics;
    // A filter with wildcards must be in the list as it is: whether one filter contains another one is not asked.
    if !topics.is_empty() && !topics.iter().any(|permitted| permitted == filter || topic::matches(permitted, filter)) {
        return Err(refuse(field, format!("{filter} is in none of the topics of mqtt.topics")));
    }
    Ok(())
}

impl Source {
    /// Takes the numbers of messages until the task is ended.
    pub(super) async fn receive(self, mqtt: &Mqtt, numbers: &Numbers, problem: &Problem) {
        let subscription = mqtt.subscribe(&self.filter, Room::Newest(WAITING));
        loop {
            match subscription.next().await {
                News::Message(message) => {
                    let taken = self.take(&message, numbers);
                    let wrong = taken.err().map(|why| format!("topic {}: {why}", message.topic));
                    problem.set(wrong.map(|why| foreign::shown(&why).into_owned()));
                }
                News::Problem(why) => problem.set(Some(foreign::shown(&why).into_owned())),
            }
        }
    }

    fn take(&self, message: &Received, numbers: &Numbers) -> Result<(), String> {
        if message.payload.len() > MAX_MESSAGE {
            return Err(format!("the message has more than {MAX_MESSAGE} bytes"));
        }
        let name = self.series.clone().unwrap_or_else(|| SeriesName::new(&message.topic, []));
        // The broker sends a kept message with each new connection. It is as old as it may be: only the first one is a point.
        if message.is_retained && numbers.is_known(&name) {
            return Ok(());
        }
        let samples = read::message(&message.payload, self.pointer.as_deref(), &name)?;
        numbers.take(samples, time::of(message.time));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permitted_filter_with_wildcards_is_in_the_list_or_below_it() {
        for (permitted, filter, expected) in [
            ("sensors/#", "sensors/a/temp", true),
            ("sensors/#", "sensors/+/temp", true),
            ("sensors/+/temp", "sensors/+/temp", true),
            ("sensors/a", "sensors/+", false),
            ("a/#", "#", false),
        ] {
            assert_eq!(permitted == filter || topic::matches(permitted, filter), expected, "{permitted} {filter}");
        }
    }
}
