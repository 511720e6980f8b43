//! Trying a definition out before it is stored: the first picture, or the reason why there is none.

use tokio::time::{Duration, timeout};

use super::{Catalog, Members, definitions::with_hidden};
use crate::{
    error::{Cause, Code, Error, Result},
    picture::SharedFrame,
    producer::StreamDefinition,
    stream::{Demand, StreamName},
};

/// Kinds that fetch pictures by themselves. The pictures of the others come from their senders, or from other streams.
const KINDS: [&str; 6] = ["http", "rtsp", "udp-camera", "file", "nas", "test-card"];

/// The fields at which a failure is shown that is not about the password, by their precedence.
const SOURCES: [&str; 4] = ["url", "address", "path", "nas"];

impl Catalog {
    /// Runs the producer of a definition in a stream that no list shows, until it has a picture. Members that are `***` have the stored
    /// values of the stream `name`. The error of a failure names the member that is probably wrong.
    pub async fn try_out(&self, name: &StreamName, members: Members, patience: Duration) -> Result<SharedFrame> {
        // A damaged definition has no values to give.
        let present = self.definition(name).await.unwrap_or_default();
        let definition = with_hidden(members, present.as_ref())?;
        let kind = definition.kind();
        if !KINDS.contains(&kind) {
            let message = format!("kind: a stream of kind {kind} cannot be tried out: {} can", KINDS.join(", "));
            return Err(Error::new(Code::InvalidDefinition, message).in_field("kind"));
        }
        let producer = definition.producer_here(name, self.context())?;
        let stream = self.registry().derive(name, producer);
        let gone = || Error::new(Code::Unavailable, "the program ends");
        let mut watch = stream.watch_for(Demand::Single).map_err(|_| gone())?;
        let mut failures = watch.failures();
        let seen = timeout(patience, async {
            tokio::select! {
                biased;
                frame = watch.next() => frame.map_err(|_| gone()),
                why = failures.next() => Err(Error::new(Code::NoPicture, why)),
            }
        })
        .await
        .unwrap_or_else(|_| {
            Err(Error::new(Code::NoPicture, format!("no picture came within {} s", patience.as_secs())))
        });
        seen.map_err(|error| match (error.code(), stream.failure()) {
            (Code::NoPicture, failure) => {
                let cause = failure.as_ref().map_or(Some(Cause::NoPicture), |failure| failure.cause);
                let reason = failure.map_or_else(|| error.to_string(), |failure| failure.reason);
                let error = Error::new(Code::NoPicture, reason).because(cause);
                match field_of(&definition, cause) {
                    Some(field) => error.in_field(field),
                    None => error,
                }
            }
            _ => error,
        })
    }
}

/// The member of a definition that a failure is about.
fn field_of(definition: &StreamDefinition, cause: Option<Cause>) -> Option<&'static str> {
    let members = serde_json::to_value(definition).ok()?;
    let passwords = [Cause::WrongPassword, Cause::PasswordNeeded, Cause::PasswordUnsupported];
    if cause.is_some_and(|cause| passwords.contains(&cause)) && matches!(definition.kind(), "http" | "rtsp") {
        return Some("pass");
    }
    SOURCES.into_iter().find(|field| members.get(field).is_some_and(|value| !value.is_null()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_is_shown_at_the_member_that_it_is_about() {
        let read = |value| serde_json::from_value::<StreamDefinition>(value).expect("a definition");
        let http = read(json!({"kind": "http", "url": "http://192.0.2.1/x"}));
        assert_eq!(field_of(&http, Some(Cause::WrongPassword)), Some("pass"));
        assert_eq!(field_of(&http, Some(Cause::Unreachable)), Some("url"));
        assert_eq!(field_of(&http, None), Some("url"));
        let udp = read(json!({"kind": "udp-camera", "address": "192.0.2.1:9"}));
        assert_eq!(field_of(&udp, Some(Cause::WrongPassword)), Some("address"));
        assert_eq!(field_of(&read(json!({"kind": "test-card"})), None), None);
    }
}
