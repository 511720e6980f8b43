//! One room: its members, and who gets a message. Pure.
//!
//! In an opaque room, a text goes to the other member as it is. In an addressed room, messages are JSON objects: `to` names the
//! member that gets one (without it: all others), and `from` is set here. A member learns of the others by `welcome`, `joined` and
//! `left`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

/// Most members of an addressed room, and of an opaque one, in which offers of a third member would collide.
const MAX_ADDRESSED: usize = 8;
const MAX_OPAQUE: usize = 2;

/// How messages are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Any text, to the other member.
    Opaque,
    /// JSON objects with `to` and `from`.
    Addressed,
}

/// A member.
pub(super) struct Member<M> {
    pub(super) id: String,
    pub(super) mailbox: M,
}

/// A text for a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) to: String,
    pub(super) text: Arc<str>,
}

/// A room.
pub(super) struct Room<M> {
    mode: Mode,
    members: Vec<Member<M>>,
}

/// An error for the sender of a message.
pub(super) fn error(why: &str) -> String {
    json!({"type": "error", "detail": why}).to_string()
}

impl<M> Room<M> {
    pub(super) fn new(mode: Mode) -> Self {
        Room { mode, members: vec![] }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member<M>> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Adds a member. The error is the reason for closing its connection.
    pub(super) fn join(&mut self, member: Member<M>, mode: Mode) -> Result<Vec<Delivery>, &'static str> {
        if mode != self.mode {
            return Err("the members of this room use the other mode (sub-protocol mtx.signal)");
        }
        let most = if mode == Mode::Opaque { MAX_OPAQUE } else { MAX_ADDRESSED };
        if self.members.len() >= most {
            return Err("the room is full");
        }
        let mut deliveries = self.to_all(&json!({"type": "joined", "id": member.id}));
        if mode == Mode::Addressed {
            let peers: Vec<_> = self.members.iter().map(|other| other.id.as_str()).collect();
            let welcome = json!({"type": "welcome", "id": member.id, "peers": peers});
            deliveries.push(Delivery { to: member.id.clone(), text: welcome.to_string().into() });
        }
        self.members.push(member);
        Ok(deliveries)
    }

    /// Removes a member.
    pub(super) fn leave(&mut self, id: &str) -> Vec<Delivery> {
        self.members.retain(|member| member.id != id);
        self.to_all(&json!({"type": "left", "id": id}))
    }

    /// A notice for all members, who get none in an opaque room.
    fn to_all(&self, notice: &Value) -> Vec<Delivery> {
        let text: Arc<str> = notice.to_string().into();
        let members = self.members.iter().filter(|_| self.mode == Mode::Addressed);
        members.map(|member| Delivery { to: member.id.clone(), text: text.clone() }).collect()
    }

    /// Delivers a text of a member, never to the member itself. The error is for the member.
    pub(super) fn say(&self, from: &str, text: &str) -> Result<Vec<Delivery>, String> {
        let others = || self.members.iter().filter(|member| member.id != from);
        let (to, text) = match self.mode {
            Mode::Opaque => (None, text.into()),
            Mode::Addressed => {
                let mut message: Map<String, Value> =
                    serde_json::from_str(text).map_err(|e| format!("a message must be a JSON object: {e}"))?;
                let to = match message.remove("to") {
                    None | Some(Value::Null) => None,
                    Some(Value::String(to)) => Some(to),
                    Some(_) => return Err("to: must be the id of a member".into()),
                };
                if let Some("welcome" | "joined" | "left" | "error") = message.get("type").and_then(Value::as_str) {
                    return Err("type: welcome, joined, left and error are sent by the room only".into());
                }
                // Members cannot speak for others.
                message.insert("from".into(), json!(from));
                (to, Arc::from(Value::Object(message).to_string()))
            }
        };
        if let Some(to) = to {
            let Some(member) = others().find(|member| member.id == to) else {
                return Err("to: no other member has this id".into());
            };
            return Ok(vec![Delivery { to: member.id.clone(), text }]);
        }
        Ok(others().map(|member| Delivery { to: member.id.clone(), text: text.clone() }).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room(mode: Mode, members: &[&str]) -> Room<()> {
        let mut room = Room::new(mode);
        for id in members {
            room.join(Member { id: (*id).into(), mailbox: () }, mode).expect("there is room");
        }
        room
    }

    fn read(deliveries: &[Delivery]) -> Vec<(&str, Value)> {
        deliveries.iter().map(|d| (d.to.as_str(), serde_json::from_str(&d.text).expect("JSON"))).collect()
    }

    #[test]
    fn an_opaque_room_passes_texts_to_the_other_member_unchanged() {
        let mut room = room(Mode::Opaque, &["a", "b"]);
        for text in ["{\"type\":\"offer\"}", "anything", ""] {
            assert_eq!(room.say("a", text), Ok(vec![Delivery { to: "b".into(), text: text.into() }]));
        }
        let third = room.join(Member { id: "c".into(), mailbox: () }, Mode::Opaque);
        assert_eq!(third, Err("the room is full"));
        assert_eq!(room.leave("b"), [], "there are no notices");
        assert_eq!(room.say("a", "x"), Ok(vec![]));
    }

    #[test]
    fn an_addressed_room_tells_who_is_there() {
        let mut room = room(Mode::Addressed, &["a"]);
        let deliveries = room.join(Member { id: "b".into(), mailbox: () }, Mode::Addressed).expect("there is room");
        assert_eq!(
            read(&deliveries),
            [("a", json!({"type": "joined", "id": "b"})), ("b", json!({"type": "welcome", "id": "b", "peers": ["a"]}))]
        );
        assert_eq!(read(&room.leave("a")), [("b", json!({"type": "left", "id": "a"}))]);
        let other = room.join(Member { id: "c".into(), mailbox: () }, Mode::Opaque);
        assert!(other.expect_err("another mode").contains("other mode"));
        for n in 0..MAX_ADDRESSED - 1 {
            room.join(Member { id: n.to_string(), mailbox: () }, Mode::Addressed).expect("there is room");
        }
        assert!(room.join(Member { id: "z".into(), mailbox: () }, Mode::Addressed).is_err());
    }

    #[test]
    fn the_sender_is_set_by_the_room() {
        let room = room(Mode::Addressed, &["a", "b", "c"]);
        let text = r#"{"to":"b","from":"c","type":"offer","sdp":"x"}"#;
        assert_eq!(
            read(&room.say("a", text).expect("delivered")),
            [("b", json!({"from": "a", "type": "offer", "sdp": "x"}))]
        );
        let all = room.say("a", r#"{"type":"hello"}"#).expect("delivered");
        assert_eq!(all.iter().map(|d| d.to.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        for (text, says) in [
            ("x", "JSON object"),
            ("[]", "JSON object"),
            (r#"{"to":7}"#, "to: must be"),
            (r#"{"to":"a"}"#, "no other member"),
            (r#"{"to":"z"}"#, "no other member"),
            (r#"{"type":"left","id":"b"}"#, "by the room only"),
            (&"[".repeat(500), "JSON object"),
        ] {
            let refused = room.say("a", text).expect_err(text);
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    proptest! {
        /// No text comes back to its sender, and `from` is always its sender.
        #[test]
        fn no_member_speaks_for_another_one(from in "[abc]", text in ".{0,60}", to in "[abcd]", forged in "[abc]") {
            let addressed = room(Mode::Addressed, &["a", "b", "c"]);
            for text in [text.clone(), json!({"to": to, "from": forged}).to_string(), json!({"from": forged}).to_string()] {
                for delivery in addressed.say(&from, &text).unwrap_or_default() {
                    prop_assert_ne!(&delivery.to, &from);
                    let message: Value = serde_json::from_str(&delivery.text).expect("JSON");
                    prop_assert_eq!(message["from"].as_str(), Some(from.as_str()));
                }
            }
            let opaque = room(Mode::Opaque, &["a", "b"]);
            for delivery in opaque.say("a", &text).expect("any text") {
                prop_assert_eq!((delivery.to.as_str(), &*delivery.text), ("b", text.as_str()));
            }
        }
    }
}
