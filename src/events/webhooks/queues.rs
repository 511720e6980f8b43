//! [`Queues`]: events that wait for one webhook.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::events::EncodedEvent;

/// Most events that wait for one webhook; beyond it, the oldest of the path with the most become dead letters.
const MAX_WAITING: usize = 5000;

/// Events that wait, by path. At most one event of each path is being posted; the others wait for it.
#[derive(Default)]
pub(super) struct Queues {
    waiting: HashMap<String, VecDeque<Arc<EncodedEvent>>>,
    /// The event that is being posted, by path.
    pub(super) busy: HashMap<String, Arc<EncodedEvent>>,
    /// Events in `waiting`.
    count: usize,
}

impl Queues {
    /// Adds an event; returns the one that was dropped for it, if the queues were full.
    pub(super) fn push(&mut self, event: Arc<EncodedEvent>) -> Option<Arc<EncodedEvent>> {
        let mut dropped = None;
        if self.count >= MAX_WAITING {
            // One path with many events does not displace the events of the others.
            let longest = self.waiting.iter().max_by_key(|(_, queue)| queue.len()).map(|(path, _)| path.clone());
            dropped = longest.and_then(|path| self.take(&path));
        }
        self.count += 1;
        self.waiting.entry(event.event.path.clone()).or_default().push_back(event);
        dropped
    }

    /// The next event of a path that is not busy; the path is busy then.
    pub(super) fn pop(&mut self) -> Option<Arc<EncodedEvent>> {
        let path = self.waiting.keys().find(|path| !self.busy.contains_key(*path))?.clone();
        let event = self.take(&path)?;
        self.busy.insert(path, event.clone());
        Some(event)
    }

    /// Puts the events that were being posted when the task ended back to the front of their queues.
    pub(super) fn restart(&mut self) {
        for (path, event) in self.busy.drain() {
            self.waiting.entry(path).or_default().push_front(event);
            self.count += 1;
        }
    }

    /// Whether the event of this ticket waits or is being posted.
    pub(super) fn has(&self, ticket: u64) -> bool {
        let is_it = |event: &Arc<EncodedEvent>| event.ticket == Some(ticket);
        self.busy.values().any(is_it) || self.waiting.values().flatten().any(is_it)
    }

    /// Forgets the others that wait.
    pub(super) fn retain(&mut self, stays: impl Fn(&EncodedEvent) -> bool) {
        self.waiting.retain(|_, queue| {
            queue.retain(|event| stays(event));
            !queue.is_empty()
        });
        self.count = self.waiting.values().map(VecDeque::len).sum();
    }

    /// Removes the oldest event of a path. No queue in `waiting` is empty.
    fn take(&mut self, path: &str) -> Option<Arc<EncodedEvent>> {
        let queue = self.waiting.get_mut(path)?;
        let event = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(path);
        }
        self.count -= usize::from(event.is_some());
        event
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::events::{Bus, Event, Kind};

    #[test]
    fn queues_keep_the_order_of_a_path_and_are_bounded() {
        let bus = Bus::default();
        let begin = bus.latest();
        for n in 0..MAX_WAITING as u32 + 10 {
            bus.tell(Kind::PathAvailable, if n % 10 == 0 { "rare" } else { "often" }, json!({ "source": n }));
        }
        let mut queues = Queues::default();
        let mut dropped = 0;
        // The bus keeps fewer events than the queues, so each is pushed three times.
        for _ in 0..3 {
            for event in bus.since(begin).events {
                dropped += usize::from(queues.push(event).is_some());
            }
        }
        assert_eq!((queues.count, dropped), (MAX_WAITING, 1000));
        let (a, b) = (queues.pop().expect("one"), queues.pop().expect("another"));
        assert_ne!(a.event.path, b.event.path);
        assert!(queues.pop().is_none(), "an event of each path is being posted");
        queues.busy.remove(&a.event.path);
        assert_eq!(queues.pop().expect("the next").event.path, a.event.path);
    }

    #[test]
    fn a_node_that_no_longer_posts_for_all_keeps_its_own_events() {
        let event = |id, ticket| {
            let event = Event {
                id,
                at: String::new(),
                kind: Kind::Hook,
                path: "cam".into(),
                data: json!({}),
                node: None,
                uid: None,
            };
            Arc::new(EncodedEvent { ticket, ..EncodedEvent::new(event, false).expect("is encoded") })
        };
        let mut queues = Queues::default();
        for (id, ticket) in [(1, Some(7)), (2, None), (3, Some(8))] {
            assert!(queues.push(event(id, ticket)).is_none());
        }
        assert!(queues.has(7) && !queues.has(9));
        queues.retain(|event| event.ticket.is_none());
        assert_eq!((queues.count, queues.pop().map(|event| event.event.id)), (1, Some(2)));
        assert!(queues.pop().is_none() && !queues.has(7));
    }

    #[test]
    fn a_path_whose_only_event_was_dropped_is_not_busy_for_ever() {
        let event = |path: String| {
            let event =
                Event { id: 1, at: String::new(), kind: Kind::Hook, path, data: json!({}), node: None, uid: None };
            Arc::new(EncodedEvent::new(event, false).expect("is encoded"))
        };
        let mut queues = Queues::default();
        for n in 0..MAX_WAITING {
            assert!(queues.push(event(n.to_string())).is_none(), "{n}");
        }
        let dropped = queues.push(event("one more".into())).expect("the queues are full");
        queues.push(event(dropped.event.path.clone()));
        let posted = std::iter::from_fn(|| queues.pop()).count();
        assert_eq!((posted, queues.count), (MAX_WAITING, 0));
        queues.restart();
        assert_eq!((queues.busy.len(), queues.count), (0, MAX_WAITING), "after a panic they are posted again");
    }
}
