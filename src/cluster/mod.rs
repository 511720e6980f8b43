//! Many sidecars as one: what this node shares with others by NATS (docs/cluster.md).
//!
//! `connection` has the two connections and the writing of records, `names` the names of subjects, buckets and keys, `record`
//! the envelope of what is stored and sent, `nodes` who is there. `mirror` has the rows of the database that all nodes share,
//! with `join`, `follow` and `known`; `seal` keeps their content secret; `calls` are questions of one node to another. This
//! module knows neither streams nor HTTP.

mod calls;
pub mod chunks;
pub mod connection;
mod follow;
mod join;
mod known;
pub mod lease;
mod mirror;
pub mod names;
pub mod nodes;
mod probe;
pub mod record;
mod seal;
mod settings;

use std::{path::Path, sync::Arc};

use futures_util::StreamExt;

pub use self::{
    connection::{Connection, Disagreement, Link},
    join::Role,
    mirror::{Counts, Mirror, Progress, Touched},
    nodes::{Heartbeat, Node, Nodes},
    probe::probe,
    settings::{ClusterSettings, OnPartition},
};
use crate::{
    error::{Error, Result},
    store::Store,
};

/// The file of the data folder with the name of a node that has none in its settings.
const NODE_FILE: &str = "sidecar.node";

/// This program as a node of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    settings: ClusterSettings,
    connection: Connection,
    nodes: Nodes,
    mirror: Mirror,
    seal: Arc<seal::Seal>,
    store: Store,
}

impl Cluster {
    /// Begins to connect, if the settings have a cluster. NATS may be away.
    pub async fn open(settings: &ClusterSettings, data_dir: &Path, store: &Store) -> Result<Option<Self>> {
        if !settings.is_on() {
            return Ok(None);
        }
        let node = node_name(settings, data_dir)?;
        let connection = Connection::open(settings, &node).await?;
        let seal = Arc::new(seal::Seal::new(&settings.secret, &settings.prefix)?);
        let mirror = Mirror::new(connection.clone(), store.clone(), seal.clone(), node.clone(), data_dir.to_owned());
        let own = Heartbeat {
            node,
            instance: random_name()?,
            version: env!("CARGO_PKG_VERSION").into(),
            schema: record::SCHEMA,
            address: settings.address.clone(),
            ..Heartbeat::default()
        };
        let nodes = Nodes::new(connection.clone(), own);
        nodes.fill({
            let mirror = mirror.clone();
            Box::new(move |own| own.revision = mirror.progress().borrow().revision)
        });
        let (settings, store) = (settings.clone(), store.clone());
        Ok(Some(Cluster(Arc::new(Inner { settings, connection, nodes, mirror, seal, store }))))
    }

    /// The name of this node.
    pub fn node(&self) -> String {
        self.0.nodes.own_name()
    }

    /// The settings.
    pub fn settings(&self) -> &ClusterSettings {
        &self.0.settings
    }

    /// The connections.
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The nodes.
    pub fn nodes(&self) -> &Nodes {
        &self.0.nodes
    }

    /// The state that all nodes share.
    pub fn mirror(&self) -> &Mirror {
        &self.0.mirror
    }

    /// What this node has noted for itself about the cluster, by key.
    pub async fn fact(&self, key: &'static str) -> Result<Option<String>> {
        self.0.store.run(move |store| store.fact(key)).await
    }

    /// Notes something for this node.
    pub async fn put_fact(&self, key: &'static str, value: String) -> Result<()> {
        self.0.store.run(move |store| store.put_fact(key, &value)).await
    }

    /// What does not work, for `/readyz`.
    pub fn problems(&self) -> Vec<String> {
        let mut found = vec![];
        if let Some(since) = self.0.mirror.stale_since() {
            let age = humantime::format_duration(std::time::Duration::from_secs(since.elapsed().as_secs()));
            let reason = match self.0.connection.is_up() {
                false => self.0.connection.away().to_string(),
                true => self.0.mirror.progress().borrow().reason.clone().unwrap_or_else(|| "it is being read".into()),
            };
            found.push(format!("the cluster's state is {age} old, and revocations of other nodes are late: {reason}"));
        }
        if self.0.nodes.has_twin() {
            found.push(format!("another program has the name {} of this node (cluster.node)", self.node()));
        }
        if let (_, 1.., Some(reason)) = self.0.mirror.records() {
            found.push(format!("some records of the cluster are not understood here: {reason}"));
        }
        found
    }

    /// Tells the others of this node and listens to them, until the program ends.
    pub async fn run(&self) {
        self.0.nodes.run().await;
    }

    /// Tells the other nodes something that is worth telling once, and is lost while they cannot be reached. `topic` is a word.
    pub async fn broadcast<T: serde::Serialize>(&self, topic: &str, content: &T) -> Result<()> {
        let at = self.0.connection.names.subject(&[topic, &names::token(&self.node())]);
        let bytes = self.seal(&at, content)?;
        let failed = |e| Error::internal("a message to the other nodes cannot be sent", e);
        self.0.connection.control.publish(at, bytes).await.map_err(failed)
    }

    /// A message for this subject, which only nodes of the cluster can make and read.
    pub fn seal<T: serde::Serialize>(&self, subject: &str, content: &T) -> Result<bytes::Bytes> {
        let text = serde_json::to_string(content).map_err(|e| Error::internal("a message cannot be written", e))?;
        let sealed = mirror::Sealed { sealed: self.0.seal.close(subject, &text)? };
        record::Envelope::new(self.node(), sealed).to_bytes()
    }

    /// Reads a message of [`Cluster::seal`]; none if it is damaged, or of a newer version that has another form.
    pub fn unseal<T: serde::de::DeserializeOwned>(&self, subject: &str, message: &[u8]) -> Option<T> {
        let record::Read::Known(envelope) = record::read::<mirror::Sealed>(message) else { return None };
        let text = self.0.seal.open(subject, &envelope.record.sealed)?;
        // A newer version knows more.
        let failed = |e: &serde_json::Error| tracing::debug!("a message of another node is not understood: {e}");
        serde_json::from_str(&text).inspect_err(failed).ok()
    }

    /// Hears what other nodes broadcast on a topic, and calls `each` with it, until the program ends.
    pub async fn hear<T: serde::de::DeserializeOwned>(&self, topic: &str, each: impl Fn(T)) {
        let own = self.0.connection.names.subject(&[topic, &names::token(&self.node())]);
        let mut heard = loop {
            match self.0.connection.control.subscribe(self.0.connection.names.subject(&[topic, "*"])).await {
                Ok(heard) => break heard,
                Err(e) => tracing::error!("messages of other nodes cannot be heard: {e}"),
            }
            tokio::time::sleep(nodes::HEARTBEAT).await;
        };
        while let Some(message) = heard.next().await {
            let at = message.subject.as_str();
            if at != own
                && let Some(content) = self.unseal(at, &message.payload)
            {
                each(content);
            }
        }
    }

    /// Says goodbye, so that the others need not wait for three missed heartbeats.
    pub async fn leave(&self) {
        if self.0.connection.is_up() {
            self.0.nodes.send(true).await;
            let flush = self.0.connection.control.flush();
            if tokio::time::timeout(std::time::Duration::from_secs(1), flush).await.is_err() {
                tracing::debug!("NATS did not take the last heartbeat in time");
            }
        }
    }
}

/// The name of the settings, or the one that is kept in the data folder.
fn node_name(settings: &ClusterSettings, data_dir: &Path) -> Result<String> {
    use std::io::Write as _;
    if !settings.node.is_empty() {
        return Ok(settings.node.clone());
    }
    let file = data_dir.join(NODE_FILE);
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() && name.trim().len() <= 64 => return Ok(name.trim().to_owned()),
        Ok(_) => {
            let message = format!("{} has no name of a node: delete it, or set cluster.node", file.display());
            return Err(Error::new(crate::error::Code::Internal, message));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::internal(format!("{} cannot be read", file.display()), e)),
    }
    let name = random_name()?;
    let written = crate::data_folder::new_file(&file).and_then(|mut file| file.write_all(name.as_bytes()));
    written.map_err(|e| Error::unwritten(format!("the name of this node cannot be kept in {}", file.display()), e))?;
    Ok(name)
}

fn random_name() -> Result<String> {
    let number = getrandom::u64().map_err(|e| Error::internal("the system gives no random numbers", e))?;
    Ok(format!("{number:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_name_is_kept_and_a_given_one_counts_instead() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = ClusterSettings::default();
        let first = node_name(&settings, folder.path()).expect("makes one");
        assert_eq!(node_name(&settings, folder.path()).expect("reads it"), first);
        settings.node = "hall-1".into();
        assert_eq!(node_name(&settings, folder.path()).expect("given"), "hall-1");
        settings.node = String::new();
        std::fs::write(folder.path().join(NODE_FILE), "\n").expect("writes");
        assert!(node_name(&settings, folder.path()).expect_err("refused").to_string().contains("cluster.node"));
    }
}
