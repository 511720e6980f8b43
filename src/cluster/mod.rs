//! Many sidecars as one: what this node shares with others by NATS (docs/cluster.md).
//!
//! `connection` has the two connections and the writing of records, `names` the names of subjects, buckets and keys, `record`
//! the envelope of what is stored and sent, `nodes` who is there. This module knows neither streams nor HTTP.

pub mod chunks;
pub mod connection;
pub mod lease;
pub mod names;
pub mod nodes;
pub mod record;
mod settings;

use std::{path::Path, sync::Arc};

pub use self::{
    connection::{Connection, Disagreement, Link},
    nodes::{Heartbeat, Node, Nodes},
    settings::{ClusterSettings, OnPartition},
};
use crate::error::{Error, Result};

/// The file of the data folder with the name of a node that has none in its settings.
const NODE_FILE: &str = "sidecar.node";

/// This program as a node of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    settings: ClusterSettings,
    connection: Connection,
    nodes: Nodes,
}

impl Cluster {
    /// Begins to connect, if the settings have a cluster. NATS may be away.
    pub async fn open(settings: &ClusterSettings, data_dir: &Path) -> Result<Option<Self>> {
        if !settings.is_on() {
            return Ok(None);
        }
        let node = node_name(settings, data_dir)?;
        let connection = Connection::open(settings, &node).await?;
        let own = Heartbeat {
            node,
            instance: random_name()?,
            version: env!("CARGO_PKG_VERSION").into(),
            schema: record::SCHEMA,
            address: settings.address.clone(),
            ..Heartbeat::default()
        };
        let nodes = Nodes::new(connection.clone(), own);
        Ok(Some(Cluster(Arc::new(Inner { settings: settings.clone(), connection, nodes }))))
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

    /// Tells the others of this node and listens to them, until the program ends.
    pub async fn run(&self) {
        self.0.nodes.run().await;
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
