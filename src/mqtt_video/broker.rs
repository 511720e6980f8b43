//! The same protocol at a real broker. The broker does not say who asks, so that only public names can be read; and it does not say
//! whether a client is still there, so that a video ends after a time without a request.

use std::sync::Arc;

use super::{
    Shared,
    desk::{Bounds, Desk, Out},
    request::{self, Request},
    source::Visitor,
};
use crate::{
    foreign,
    mqtt::{Message, Mqtt, News, Received, Room},
    policy::Caller,
};

/// Requests that wait; the newest stay.
const ROOM: usize = 64;

/// Requests that are being answered beside the videos.
const ANSWERS: usize = 32;

/// Answers until the program ends.
pub(super) async fn run(shared: &Arc<Shared>) {
    let visitor =
        Visitor { shared: shared.clone(), caller: Caller::default(), remote: "MQTT broker".into(), may_make: false };
    let settings = &shared.settings;
    let (jobs, ttl) = (settings.max_viewers + ANSWERS, Some(*settings.ttl));
    let mut desk = Desk::new(Box::new(visitor), Bounds { jobs, message: shared.mqtt.largest_payload(), ttl });
    // In one order, so that a video that is stopped and played again is not stopped last.
    let requests = shared.mqtt.subscribe_all(request::topics().collect(), Room::Newest(ROOM));
    loop {
        let out = tokio::select! {
            news = requests.next() => {
                let request = match news {
                    News::Message(message) => read(&message),
                    News::Problem(why) => {
                        tracing::warn!("MQTT: {}", foreign::shown(&why));
                        None
                    }
                };
                let Some(request) = request else { continue };
                shared.metrics.mqtt_video().requested();
                // The broker's limit can become smaller.
                desk.set_message(shared.mqtt.largest_payload());
                desk.take(request)
            }
            out = desk.next() => Some(out),
        };
        if let Some(out) = out {
            send(&shared.mqtt, &mut desk, out);
        }
    }
}

/// A request. One that the broker has kept is of an earlier time: the page's will is such a message, and every client of the page has
/// the same identifier.
fn read(message: &Received) -> Option<Request> {
    if message.is_retained {
        return None;
    }
    match request::read(&message.topic, &message.payload) {
        Ok(request) => request,
        Err(e) => {
            let topic = foreign::shown(&message.topic);
            tracing::debug!("a message to {topic} is not answered: {}", foreign::shown(&e.to_string()));
            None
        }
    }
}

fn send(mqtt: &Mqtt, desk: &mut Desk, out: Out) {
    match out {
        Out::Answer { topic, body } => mqtt.publish(Message::event(topic, body)),
        Out::Video { topic, data, .. } => {
            if !mqtt.offer(Message::event(topic.clone(), data)) {
                desk.was_lost(&topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_kept_request_is_of_an_earlier_time() {
        let message = |is_retained| Received {
            topic: "client/unregister".into(),
            payload: r#"{"clientId":"id_0"}"#.into(),
            is_retained,
            at: Instant::now(),
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        };
        assert_eq!(read(&message(false)), Some(Request::Unregister { client: "id_0".into() }));
        assert_eq!(read(&message(true)), None);
    }
}
