//! Settings of the cluster: the NATS servers, the account there, and this node.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    secret::Secret,
    trust::{self, Check},
};

/// Fewest characters of `secret`: from it the key is derived with which the cluster's state is sealed.
const MIN_SECRET: usize = 16;

/// Most replicas of a bucket (JetStream's own limit).
const MAX_REPLICAS: usize = 5;

/// Many sidecars as one, by NATS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSettings {
    /// URLs of the NATS servers, `nats://` or `tls://`; empty: no cluster, and nothing of NATS is started.
    pub nats: Vec<String>,
    /// Name of this node; empty: a random one, which is kept in the data folder.
    pub node: String,
    /// First part of the names of all subjects and buckets.
    pub prefix: String,
    /// User at the NATS servers; empty: none.
    pub user: String,
    /// Password of that user.
    pub pass: Secret,
    /// File with the credentials of a NATS user (JWT and seed, as `nsc` writes it); empty: none.
    pub credentials: PathBuf,
    /// File with the seed of a user's nkey; empty: none.
    pub nkey: PathBuf,
    /// PEM file with the authorities that sign the servers' certificates, besides the well-known ones; empty: none.
    pub ca_file: PathBuf,
    /// PEM file with the certificate that the servers ask for; empty: none.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// The secret that all nodes share. The state of the cluster is sealed with it.
    pub secret: Secret,
    /// How many NATS servers keep each record; 0: three if the servers are a cluster, one otherwise.
    pub replicas: usize,
    /// Host or address at which the other nodes, and their MediaMTX, reach this node; empty: unknown.
    pub address: String,
    /// Base URL at which the MediaMTX of other nodes reach the RTSP server of this node's MediaMTX; empty: `address`, and MediaMTX's port.
    pub mediamtx_rtsp: String,
    /// What this node does with the cameras that it holds while NATS is away.
    pub on_partition: OnPartition,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        ClusterSettings {
            nats: vec![],
            node: String::new(),
            prefix: "mtx".into(),
            user: String::new(),
            pass: Secret::default(),
            credentials: PathBuf::new(),
            nkey: PathBuf::new(),
            ca_file: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            secret: Secret::default(),
            replicas: 0,
            address: String::new(),
            mediamtx_rtsp: String::new(),
            on_partition: OnPartition::Stop,
        }
    }
}

/// What a node does with the cameras that it holds while NATS is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnPartition {
    /// It stops them before another node can take them over.
    Stop,
    /// It keeps them. After a partition two nodes can have the same camera for a moment.
    Keep,
}

impl ClusterSettings {
    /// Base URL at which other nodes reach the RTSP server of this node's MediaMTX, which has this port; empty: unknown.
    pub fn mediamtx_rtsp(&self, port: Option<u16>) -> String {
        match (&*self.mediamtx_rtsp, &*self.address, port) {
            ("", "", _) | ("", _, None) => String::new(),
            ("", host, Some(port)) if host.contains(':') && !host.starts_with('[') => format!("rtsp://[{host}]:{port}"),
            ("", host, Some(port)) => format!("rtsp://{host}:{port}"),
            (url, ..) => url.trim_end_matches('/').to_owned(),
        }
    }

    /// Whether this program is a node of a cluster.
    pub fn is_on(&self) -> bool {
        !self.nats.is_empty()
    }

    /// Invalid settings: the key and the rule that it breaks.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        let mut refuse = |key, rule: &str| found.push((key, rule.to_owned()));
        for url in &self.nats {
            // The text is left out of errors, because it can have a password.
            match Url::parse(url) {
                Ok(url) if !matches!(url.scheme(), "nats" | "tls") => {
                    refuse("nats", "each URL must begin with nats:// or tls://")
                }
                Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                    refuse("nats", "a URL must have no user and password; write them to cluster.user and cluster.pass")
                }
                Ok(url) if url.host_str().is_none_or(str::is_empty) || !matches!(url.path(), "" | "/") => {
                    refuse("nats", "a URL must have a host, at most a port, and nothing behind it")
                }
                Ok(_) => {}
                Err(_) => refuse("nats", "must be a list of URLs such as nats://192.168.1.10:4222"),
            }
        }
        let is_plain = |text: &str, most: usize, other: &str| {
            let is_legal = |c: char| c.is_ascii_alphanumeric() || other.contains(c);
            (1..=most).contains(&text.len()) && text.chars().all(is_legal)
        };
        // The prefix is a part of names of buckets, which have no dots (NATS ADR-8).
        if !is_plain(&self.prefix, 32, "-_") {
            refuse("prefix", "must have 1 to 32 letters, digits, - and _");
        }
        if !self.node.is_empty() && !is_plain(&self.node, 64, "-_.") {
            refuse("node", "must have at most 64 letters, digits, -, _ and .");
        }
        if !self.address.is_empty() && !is_plain(&self.address, 253, "-.:[]") {
            refuse("address", "must be a host name or an IP address, without a port");
        }
        let is_rtsp = |url: &Url| url.scheme() == "rtsp" && url.has_host() && matches!(url.path(), "" | "/");
        let is_plain_url = |url: &Url| is_rtsp(url) && url.username().is_empty() && url.query().is_none();
        if !self.mediamtx_rtsp.is_empty() && !Url::parse(&self.mediamtx_rtsp).is_ok_and(|url| is_plain_url(&url)) {
            refuse("mediamtx_rtsp", "must be like rtsp://192.168.1.10:8554, without user, password and path");
        }
        let ways = [!self.user.is_empty(), !self.credentials.as_os_str().is_empty(), !self.nkey.as_os_str().is_empty()];
        if ways.iter().filter(|way| **way).count() > 1 {
            refuse("user", "only one of cluster.user, cluster.credentials and cluster.nkey can be set");
        }
        if !self.pass.is_empty() && self.user.is_empty() {
            refuse("pass", "needs cluster.user");
        }
        for (key, file) in [("credentials", &self.credentials), ("nkey", &self.nkey)] {
            if let Some(rule) = unreadable(file) {
                refuse(key, &rule);
            }
        }
        if let Err(e) = trust::roots_of(&self.ca_file, "cluster.ca_file") {
            refuse("ca_file", &e.to_string());
        }
        match (self.certificate.as_os_str().is_empty(), self.key.as_os_str().is_empty()) {
            (true, true) => {}
            (false, false) => {
                if let Err(rule) = trust::Identity::open(&self.certificate, &self.key) {
                    refuse("certificate", &rule);
                }
            }
            _ => refuse("certificate", "needs cluster.key, and cluster.key needs it"),
        }
        if self.replicas > MAX_REPLICAS {
            refuse("replicas", &format!("must be from 0 to {MAX_REPLICAS}"));
        }
        if self.is_on() && self.secret.expose().len() < MIN_SECRET {
            refuse("secret", &format!("must have at least {MIN_SECRET} characters, the same at all nodes"));
        }
        found
    }

    /// The trust of connections to the servers.
    pub(super) fn tls(&self) -> crate::error::Result<tokio_rustls::rustls::ClientConfig> {
        let roots = trust::roots_of(&self.ca_file, "cluster.ca_file")?;
        let identity = if self.certificate.as_os_str().is_empty() {
            None
        } else {
            let unusable = |rule| crate::error::Error::parameter("cluster.certificate", rule);
            Some(trust::Identity::open(&self.certificate, &self.key).map_err(|rule: String| unusable(rule))?)
        };
        trust::client_config_as(&roots, Check::AuthorityOf("cluster.ca_file"), identity.as_ref())
    }
}

/// Why a file that is set cannot be read.
fn unreadable(file: &Path) -> Option<String> {
    if file.as_os_str().is_empty() {
        return None;
    }
    std::fs::read_to_string(file).err().map(|e| format!("{} cannot be read: {e}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_key_and_never_shows_a_password() {
        let with = |change: fn(&mut ClusterSettings)| {
            let mut settings = ClusterSettings {
                nats: vec!["nats://h:4222".into(), "tls://h2".into()],
                secret: Secret::new("0123456789abcdef"),
                ..ClusterSettings::default()
            };
            change(&mut settings);
            settings.problems()
        };
        assert_eq!(with(|_| {}), []);
        assert_eq!(with(|s| *s = ClusterSettings::default()), [], "no cluster needs no secret");
        for (problems, key, says) in [
            (with(|s| s.nats = vec!["http://h".into()]), "nats", "nats:// or tls://"),
            (with(|s| s.nats = vec!["nats://u:hunter2@h".into()]), "nats", "cluster.user"),
            (with(|s| s.nats = vec!["nats://h/hunter2".into()]), "nats", "nothing behind"),
            (with(|s| s.nats = vec!["hunter2".into()]), "nats", "a list of URLs"),
            (with(|s| s.prefix = "a.b".into()), "prefix", "letters"),
            (with(|s| s.prefix = String::new()), "prefix", "1 to 32"),
            (with(|s| s.node = "a b".into()), "node", "letters"),
            (with(|s| s.pass = Secret::new("hunter2")), "pass", "cluster.user"),
            (with(|s| s.secret = Secret::new("hunter2")), "secret", "16 characters"),
            (with(|s| s.credentials = "/nonexistent".into()), "credentials", "/nonexistent cannot be read"),
            (with(|s| s.ca_file = "/nonexistent".into()), "ca_file", "cluster.ca_file"),
            (with(|s| s.key = "k".into()), "certificate", "cluster.key"),
            (with(|s| s.replicas = 6), "replicas", "0 to 5"),
            (with(|s| s.address = "h/x".into()), "address", "host name"),
            (with(|s| s.mediamtx_rtsp = "rtsp://u:hunter2@h:1".into()), "mediamtx_rtsp", "without user"),
            (with(|s| s.mediamtx_rtsp = "h:8554".into()), "mediamtx_rtsp", "must be like"),
        ] {
            let [(found, rule)] = problems.as_slice() else { panic!("{key}: {problems:?}") };
            assert!(*found == key && rule.contains(says) && !rule.contains("hunter2"), "{key}: {found}: {rule}");
        }
    }
}
