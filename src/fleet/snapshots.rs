//! Snapshots at nodes that do not run the producer: one question to the node that does, and one picture as its answer. No node subscribes
//! to the pictures of the stream for it.

use async_nats::{Message, StatusCode, connection::State as ConnectionState};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::{Fleet, send::send_to};
use crate::{
    cluster::{
        Cluster,
        chunks::{Assembler, Head},
        names::token,
    },
    error::{Cause, Code, Error, Result},
    picture::{Picture, SharedFrame},
    stream::StreamName,
};

/// How long an answer is waited for. Then the pictures are watched for, as a camera may just be starting.
const PATIENCE: Duration = Duration::from_secs(2);

/// Questions that a node answers at a time. Each can wait for a camera that is starting, for as long as [`PATIENCE`].
const AT_ONCE: usize = 64;

/// Pause before questions are listened to again.
const AGAIN: Duration = Duration::from_secs(1);

/// The header with the time since the picture arrived at the node that answers, in milliseconds.
const AGE: &str = "Mtx-Age";

/// What is asked.
#[derive(Serialize, Deserialize)]
struct Question {
    stream: String,
    /// The greatest age of the picture in milliseconds; none: what the node takes for a snapshot of its own.
    #[serde(default)]
    max_age: Option<u64>,
}

/// An answer without a picture.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Refusal {
    /// Why the stream gives no picture: words of docs/errors.md. Empty: the node does not run the producer.
    code: String,
    cause: String,
    /// For clients.
    message: String,
    /// For administrators.
    words: Option<String>,
}

impl Refusal {
    fn of(error: &Error) -> Self {
        Refusal {
            code: error.code().as_str().to_owned(),
            cause: error.cause().map_or_else(String::new, |cause| cause.as_str().to_owned()),
            message: error.to_string(),
            words: error.words().map(str::to_owned),
        }
    }

    /// None if the stream must be watched, because the other node does not know why it has no picture.
    fn error(self) -> Option<Error> {
        let code = *Code::ALL.iter().find(|code| code.as_str() == self.code)?;
        if code != Code::NoPicture {
            return None;
        }
        let cause = Cause::ALL.iter().find(|cause| cause.as_str() == self.cause);
        let error = Error::new(code, self.message).because(cause.copied());
        Some(match self.words {
            Some(words) => error.with_words(words),
            None => error,
        })
    }
}

fn subject_of(cluster: &Cluster, node: &str) -> String {
    cluster.connection().names.subject(&["node", &token(node), "snapshot"])
}

impl Fleet {
    /// The node that is asked for a snapshot: the holder, or the first one there of those that can run the producer, if this one cannot.
    pub(super) fn has_snapshots(&self, stream: &StreamName, nodes: &[String]) -> Option<String> {
        if !self.cluster().connection().is_up() {
            return None;
        }
        match self.leases().holder(stream) {
            Some((node, _)) if self.is_alive(&node) => (node != self.node()).then_some(node),
            _ if nodes.contains(&self.node()) => None,
            _ => nodes.iter().find(|node| self.is_alive(node)).cloned(),
        }
    }

    /// Asks a node for a picture. None if it does not answer in time, or does not run the producer.
    pub(super) async fn snapshot(
        &self,
        node: &str,
        stream: &StreamName,
        max_age: Option<Duration>,
    ) -> Option<Result<(Picture, Instant)>> {
        let asked = self.ask_for_snapshot(node, stream, max_age);
        let answer = timeout(PATIENCE, asked).await.ok().flatten();
        if answer.is_none() {
            tracing::debug!(%stream, node, "the node gives no picture for a snapshot; its pictures are watched");
        }
        answer
    }

    async fn ask_for_snapshot(
        &self,
        node: &str,
        stream: &StreamName,
        max_age: Option<Duration>,
    ) -> Option<Result<(Picture, Instant)>> {
        let frames = &self.cluster().connection().frames;
        if frames.connection_state() != ConnectionState::Connected {
            return None;
        }
        let max_age = max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let subject = subject_of(self.cluster(), node);
        let question = self.cluster().seal(&subject, &Question { stream: stream.to_string(), max_age }).ok()?;
        let inbox = frames.new_inbox();
        let mut answers = frames.subscribe(inbox.clone()).await.ok()?;
        // By the same connection, so that NATS says it if the node does not listen.
        frames.publish_with_reply(subject, inbox.clone(), question).await.ok()?;
        let mut parts = Assembler::new(self.limits().frame_size.bytes());
        while let Some(message) = answers.next().await {
            match self.read_answer(&inbox, message, &mut parts) {
                Answer::Part => {}
                Answer::Whole(head, jpeg, age) => {
                    let at = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
                    let picture = Picture::from_plain_jpeg(jpeg, self.limits());
                    return Some(picture.map(|picture| (picture.captured_at(head.time()), at)));
                }
                Answer::Refused(error) => return Some(Err(error)),
                Answer::None => return None,
            }
        }
        None
    }

    fn read_answer(&self, inbox: &str, message: Message, parts: &mut Assembler) -> Answer {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Answer::None;
        }
        let Some(headers) = message.headers else {
            let refusal = self.cluster().unseal::<Refusal>(inbox, &message.payload);
            return refusal.and_then(Refusal::error).map_or(Answer::None, Answer::Refused);
        };
        let header = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
        let age = header(AGE).and_then(|age| age.parse().ok()).map(Duration::from_millis);
        let (Some(age), Ok(head)) = (age, Head::read(header)) else { return Answer::None };
        match parts.add(head, message.payload) {
            Ok(Some(jpeg)) => Answer::Whole(head, jpeg, age),
            Ok(None) => Answer::Part,
            Err(_) => Answer::None,
        }
    }

    /// Gives pictures to other nodes that ask for snapshots, until the program ends. `take` takes a snapshot here; its second argument is
    /// the greatest age of the picture.
    pub async fn answer_snapshots<F: Future<Output = Result<SharedFrame>>>(
        &self,
        take: impl Fn(StreamName, Option<Duration>) -> F,
    ) {
        let subject = subject_of(self.cluster(), &self.node());
        let give = async |message: Message| {
            let (Some(question), Some(inbox)) = (self.cluster().unseal(&subject, &message.payload), message.reply)
            else {
                return;
            };
            // Later, the other node no longer waits.
            if timeout(PATIENCE, self.give_snapshot(&take, question, &inbox)).await.is_err() {
                tracing::debug!("a snapshot for another node was not taken in time");
            }
        };
        loop {
            match self.cluster().connection().control.subscribe(subject.clone()).await {
                Ok(questions) => questions.for_each_concurrent(AT_ONCE, &give).await,
                Err(e) => tracing::debug!("requests of other nodes cannot be heard: {e}"),
            }
            sleep(AGAIN).await;
        }
    }

    async fn give_snapshot<F: Future<Output = Result<SharedFrame>>>(
        &self,
        take: impl Fn(StreamName, Option<Duration>) -> F,
        question: Question,
        inbox: &str,
    ) {
        let max_age = question.max_age.map(Duration::from_millis);
        let refusal = match StreamName::parse(&question.stream) {
            // This node would ask that one, which could ask this one.
            Ok(stream) if self.is_elsewhere(&stream) => Refusal::default(),
            Ok(stream) => match take(stream, max_age).await {
                // The picture of no camera.
                Ok(frame) if frame.placeholder => Refusal::default(),
                Ok(frame) => return self.send_snapshot(&frame, inbox).await,
                Err(e) => Refusal::of(&e),
            },
            Err(_) => Refusal::default(),
        };
        let sealed = self.cluster().seal(inbox, &refusal);
        let frames = &self.cluster().connection().frames;
        if let Ok(sealed) = sealed
            && let Err(e) = frames.publish(inbox.to_owned(), sealed).await
        {
            tracing::debug!("another node gets no answer: {e}");
        }
    }

    async fn send_snapshot(&self, frame: &SharedFrame, inbox: &str) {
        frame.encode().await;
        let age = frame.received_at.elapsed().as_millis().to_string();
        if let Err(e) = send_to(self.cluster(), inbox, frame, (0, frame.seq.max(1)), &[(AGE, age)]).await {
            tracing::debug!("another node gets no picture: {e}");
        }
    }
}

/// What a message says.
enum Answer {
    /// More parts follow.
    Part,
    /// The picture, and its age.
    Whole(Head, Bytes, Duration),
    /// The stream gives no picture.
    Refused(Error),
    /// The pictures must be watched.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_stream_gives_no_picture_is_the_same_at_another_node() {
        let error = Error::new(Code::NoPicture, "no picture").with_words("10.0.0.5 refuses").because(Cause::Refused);
        let told = serde_json::to_string(&Refusal::of(&error)).expect("JSON");
        let got = serde_json::from_str::<Refusal>(&told).expect("is read").error().expect("an error");
        assert_eq!(
            (got.code(), got.cause(), got.to_string()),
            (Code::NoPicture, Some(Cause::Refused), "no picture".into())
        );
        assert_eq!(got.words(), Some("10.0.0.5 refuses"));
        // Another failure is one of that node, and no reason to have no picture here.
        assert!(Refusal::of(&Error::new(Code::FrameMemory, "full")).error().is_none());
        assert!(Refusal::default().error().is_none());
    }
}
