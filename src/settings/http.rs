//! Settings of the HTTP server.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::IngressSettings;
use crate::units::{HumanDuration, Network, Size, optional_address};

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// The HTTPS server, beside the HTTP server.
    pub tls: TlsSettings,
    /// Threads that serve requests; 0: one for each core.
    pub workers: usize,
    /// Path prefix that a reverse proxy adds to all addresses; empty: none.
    pub base_path: String,
    /// Base URL of the links that the sidecar makes; empty: the address of the request.
    pub public_url: String,
    /// Origins of other web pages that can use the API: `https://host:port`, and `file://` or `null` of programs that are no
    /// web sites and of pages that were opened from a disk.
    pub cors_origins: Vec<String>,
    /// Reverse proxies whose `X-Forwarded-For` names the client.
    pub trusted_proxies: Vec<Network>,
    /// A proxy that has signed its users in.
    pub ingress: IngressSettings,
    /// Host names of this machine, besides localhost, for requests from this machine.
    pub hostnames: Vec<String>,
    /// Folder whose files are served before the pages inside the program; empty: none.
    pub static_dir: String,
    /// An upload that sends no byte for this time is aborted.
    pub upload_timeout: HumanDuration,
    /// Time for the head of a request.
    pub head_timeout: HumanDuration,
    /// Time for which an idle connection stays open for the next request.
    pub idle_timeout: HumanDuration,
    /// Bytes a second that a client must send of a body, or read of a response, on average over half a minute; 0: any.
    pub min_rate: Size,
    /// Time that requests in progress have at shutdown.
    pub shutdown_timeout: HumanDuration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            listen: ([0, 0, 0, 0], 9995).into(),
            tls: TlsSettings::default(),
            workers: 0,
            base_path: String::new(),
            public_url: String::new(),
            cors_origins: vec![],
            trusted_proxies: vec![],
            ingress: IngressSettings::default(),
            hostnames: vec![],
            static_dir: String::new(),
            upload_timeout: HumanDuration::secs(60),
            head_timeout: HumanDuration::secs(10),
            idle_timeout: HumanDuration::secs(75),
            min_rate: Size(1024),
            shutdown_timeout: HumanDuration::secs(5),
        }
    }
}

/// The HTTPS server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Address and port; none: no HTTPS.
    #[serde(with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// PEM file with the certificate and its intermediate certificates.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

impl HttpSettings {
    /// Settings that are valid and probably not what the administrator wants, for the log and `check`.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = vec![];
        if !self.public_url.is_empty() && self.trusted_proxies.is_empty() {
            found.push(
                "http.public_url names a reverse proxy, and http.trusted_proxies is empty: a proxy on this machine that sends \
                 no X-Forwarded-For makes all of its clients 127.0.0.1 (docs/proxies.md)"
                    .into(),
            );
        }
        found
    }

    /// The errors of the settings: key and rule.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if !self.static_dir.is_empty() && !PathBuf::from(&self.static_dir).is_dir() {
            found.push(("static_dir", format!("{} is not a folder", self.static_dir)));
        }
        for (key, time) in [
            ("head_timeout", self.head_timeout),
            ("idle_timeout", self.idle_timeout),
            ("upload_timeout", self.upload_timeout),
        ] {
            if !(1..=86_400).contains(&time.as_secs()) {
                found.push((key, format!("must be from 1s to 24h, not {time}")));
            }
        }
        if let Some(problem) = self.ingress.problem() {
            found.push(("ingress.permissions", problem));
        }
        let base = &self.base_path;
        let fits = |c: char| c.is_ascii_alphanumeric() || "/_-.~".contains(c);
        if !base.is_empty()
            && (!base.starts_with('/') || base.ends_with('/') || !base.chars().all(fits) || base.contains("//"))
        {
            found.push((
                "base_path",
                format!("must be like /cameras, with a slash at the start and none at the end, not {base:?}"),
            ));
        }
        let is_origin = |text: &str| {
            let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
            host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']))
        };
        // Programs that are no web sites, and pages of the disk, send these.
        let is_opaque = |text: &str| matches!(text, "null" | "file://");
        if let Some(wrong) = self.cors_origins.iter().find(|origin| !is_origin(origin) && !is_opaque(origin)) {
            let rule = "must be origins such as https://home.example:8123, file:// or null";
            found.push(("cors_origins", format!("{rule}, not {wrong:?}")));
        }
        let origin = self.public_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        if !self.public_url.is_empty() && (!is_origin(&origin) || self.public_url.ends_with('/')) {
            found.push((
                "public_url",
                format!("must be like https://cameras.example, without a slash at the end, not {:?}", self.public_url),
            ));
        }
        let tls = &self.tls;
        if tls.listen.is_some() {
            for (key, file) in [("tls.certificate", &tls.certificate), ("tls.key", &tls.key)] {
                if !file.is_file() {
                    found.push((key, format!("{} is not a file; HTTPS needs one (http.tls.listen)", file.display())));
                }
            }
        }
        if tls.listen.is_some_and(|listen| listen.port() != 0 && listen.port() == self.listen.port()) {
            found.push(("tls.listen", "must have another port than http.listen".into()));
        }
        found
    }
}
