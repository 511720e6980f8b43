//! Which names are published: those of the settings and of the API, and those that their regular expressions select now.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use tokio::time::{Duration, MissedTickBehavior, interval};

use super::{Inner, MAX_PUBLICATIONS, Wanted, candidates::Candidates, entry::Entry};
use crate::{
    mqtt::{Received, Subject},
    stream::StreamName,
};

/// How often the names are compared with the regular expressions: as often as MediaMTX's paths are listed.
const SCAN: Duration = Duration::from_secs(2);

impl Inner {
    /// The topic, if a device is announced there that is no longer published: of before a restart.
    pub(super) fn stale(&self, message: &Received) -> Option<String> {
        if message.payload.is_empty() {
            return None;
        }
        let announced = serde_json::from_slice::<Value>(&message.payload).ok()?;
        let is_own = self.common.is_own(&message.topic, &announced);
        (is_own && !self.is_wanted(&message.topic)).then(|| message.topic.clone())
    }

    /// Whether a device is, or may soon be, announced at the topic.
    pub(super) fn is_wanted(&self, topic: &str) -> bool {
        let is_of = |(name, entry): (&StreamName, &Arc<Entry>)| self.common.topic(name) == topic && !entry.is_absent();
        self.home_assistant.is_some() && self.entries.lock().iter().any(is_of)
    }

    pub(super) fn has_patterns(&self) -> bool {
        self.wanted.lock().keys().any(|subject| subject.name().is_none())
    }

    /// Looks for the names that regular expressions select, and for streams that were missing, until the future is dropped.
    pub(super) async fn look_for_names(&self) {
        let mut candidates = Candidates::new(self.catalog.registry(), &self.mediamtx, &self.paths);
        let mut turns = interval(SCAN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let missing: Vec<_> = {
                let entries = self.entries.lock();
                let missing = entries.iter().filter(|(_, entry)| entry.is_missing());
                missing.map(|(name, entry)| (name.clone(), entry.clone())).collect()
            };
            let has_patterns = self.has_patterns();
            if missing.is_empty() && !has_patterns {
                continue;
            }
            let names = candidates.names().await;
            for (name, entry) in missing {
                if names.contains(&name) {
                    // It may have been made meanwhile; without a request, Home Assistant has no device for it.
                    entry.look.notify_one();
                } else if entry.is_overdue() {
                    self.announce(&name, false);
                }
            }
            if has_patterns {
                *self.names.lock() = names;
                self.apply();
            }
        }
    }

    /// Makes the publications of the wanted names, and of those that regular expressions select now; ends all others.
    pub(super) fn apply(&self) {
        let wanted = self.wanted.lock().clone();
        let names = self.names.lock().clone();
        let mut entries = self.entries.lock();
        let (mut now, mut is_changed) = (BTreeMap::new(), false);
        let mut add = |name: &StreamName, subject: &Subject, how: &Wanted| {
            if now.len() >= MAX_PUBLICATIONS || now.contains_key(name) {
                return;
            }
            let same = |entry: &&Arc<Entry>| entry.subject == *subject && entry.publication == how.publication;
            let entry = entries.get(name).filter(same).cloned();
            let entry = entry.unwrap_or_else(|| {
                is_changed = true;
                Entry::new(subject.clone(), how.publication.clone(), how.is_from_file)
            });
            now.insert(name.clone(), entry);
        };
        for (subject, how) in &wanted {
            if let Some(name) = subject.name() {
                add(name, subject, how);
            }
        }
        for name in names {
            let selects = |how: &Wanted| how.regex.as_ref().is_some_and(|regex| regex.is_match(&name));
            if let Some((subject, how)) = wanted.iter().find(|(_, how)| selects(how)) {
                add(&name, subject, how);
            }
        }
        let before = std::mem::replace(&mut *entries, now.clone());
        drop(entries);
        for (name, entry) in before {
            let after = now.get(&name);
            if after.is_none_or(|after| !Arc::ptr_eq(after, &entry)) {
                entry.ended.cancel();
            }
            if after.is_none() {
                self.announce(&name, false);
            }
        }
        if is_changed {
            self.changed.notify_one();
        }
    }
}
