//! Questions of one node to another, and their answers: sealed, and bounded in time and size.

use futures_util::StreamExt;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::{Duration, timeout};

use super::{Cluster, names::token, nodes};
use crate::error::{Code, Error, Result};

/// Questions that a node answers at a time.
const AT_ONCE: usize = 16;

/// A question. An answer is for its number alone, so that none can be shown for another one.
#[derive(Serialize, Deserialize)]
struct Question<T> {
    number: u64,
    content: T,
}

/// An answer.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<T> {
    /// The content.
    Content(T),
    /// It has more bytes than a message of NATS can have.
    TooLarge,
}

impl Cluster {
    /// Asks another node. `topic` is a word that has a [`Cluster::answer`] there.
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        node: &str,
        topic: &str,
        question: &Q,
        patience: Duration,
    ) -> Result<A> {
        let connection = self.connection();
        if !connection.is_up() {
            return Err(connection.away());
        }
        let subject = connection.names.subject(&["node", &token(node), topic]);
        let number = getrandom::u64().map_err(|e| Error::internal("the system gives no random numbers", e))?;
        let sealed = self.seal(&subject, &Question { number, content: question })?;
        let silent = |why: &str| Error::new(Code::ClusterUnavailable, format!("the node {node} {why}"));
        let answer = match timeout(patience, connection.control.request(subject.clone(), sealed)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(e)) => return Err(silent("does not answer").caused_by(e)),
            Err(_) => return Err(silent("does not answer in time")),
        };
        match self.unseal(&answered(&subject, number), &answer.payload) {
            Some(Answer::Content(content)) => Ok(content),
            Some(Answer::TooLarge) => Err(silent("has an answer that is larger than a message of NATS can be")),
            None => Err(silent("has another version, and its answer is not understood")),
        }
    }

    /// Asks all other nodes that are there, at the same time. The answers, by node, in order.
    pub async fn ask_all<Q: Serialize, A: DeserializeOwned>(
        &self,
        topic: &str,
        question: &Q,
        patience: Duration,
    ) -> Vec<(String, Result<A>)> {
        let mut others = self.nodes().alive().borrow().clone();
        others.retain(|node| *node != self.node());
        let asked = others.into_iter().map(async |node| {
            let answer = self.ask(&node, topic, question, patience).await;
            (node, answer)
        });
        futures_util::future::join_all(asked).await
    }

    /// Answers the questions of other nodes on a topic, until the program ends.
    pub async fn answer<Q: DeserializeOwned, A: Serialize, F: Future<Output = A>>(
        &self,
        topic: &str,
        answer: impl Fn(Q) -> F,
    ) {
        let connection = self.connection();
        let subject = connection.names.subject(&["node", &token(&self.node()), topic]);
        let questions = loop {
            match connection.control.subscribe(subject.clone()).await {
                Ok(questions) => break questions,
                Err(e) => tracing::error!("questions of other nodes cannot be heard: {e}"),
            }
            tokio::time::sleep(nodes::HEARTBEAT).await;
        };
        let give = async |message: async_nats::Message| {
            let Some(question) = self.unseal::<Question<Q>>(&subject, &message.payload) else { return };
            let Some(to) = message.reply else { return };
            let content = Answer::Content(answer(question.content).await);
            let at = answered(&subject, question.number);
            let most = connection.control.max_payload();
            let sealed = match self.seal(&at, &content) {
                Ok(sealed) if sealed.len() > most => self.seal(&at, &Answer::<A>::TooLarge),
                sealed => sealed,
            };
            let sent = match sealed {
                Ok(sealed) => connection.control.publish(to, sealed).await.map_err(|e| e.to_string()),
                Err(e) => Err(e.chain()),
            };
            if let Err(e) = sent {
                tracing::debug!(topic, "a question of another node is not answered: {e}");
            }
        };
        questions.for_each_concurrent(AT_ONCE, give).await;
    }
}

/// What the answer to a question is sealed for.
fn answered(subject: &str, number: u64) -> String {
    format!("{subject} {number:016x}")
}
