//! Settings of the HTTP server.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::units::{HumanDuration, Network};

/// Our HTTP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// The same by HTTPS.
    pub tls: TlsSettings,
    /// Threads that serve; 0 for one for each core.
    pub workers: usize,
    /// What a proxy puts in front of our addresses; empty for nothing.
    pub base_path: String,
    /// What links to us begin with; empty for what the request was made to.
    pub public_url: String,
    /// Origins of other pages that may use the API.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Names under which this machine is asked for by programs on itself, besides localhost.
    pub hostnames: Vec<String>,
    /// A folder to serve pages from instead of those inside the program.
    pub static_dir: String,
    /// How long an upload may be silent before it is given up.
    pub upload_timeout: HumanDuration,
    /// How long shutdown waits for requests in progress.
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
            hostnames: vec![],
            static_dir: String::new(),
            upload_timeout: HumanDuration::secs(60),
            shutdown_timeout: HumanDuration::secs(5),
        }
    }
}

/// HTTPS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Address and port; none for no HTTPS.
    #[serde(with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// The certificate and those up to its root, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

mod optional_address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(address: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
        let text = Option::<String>::deserialize(from)?.unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| de::Error::custom(format!("{text:?} is not an address and port")))
    }
}

impl HttpSettings {
    /// Says what is wrong with the settings, by key.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if !self.static_dir.is_empty() && !PathBuf::from(&self.static_dir).is_dir() {
            found.push(("static_dir", format!("{} is not a folder", self.static_dir)));
        }
        let base = &self.base_path;
        let fits = |c: char| c.is_ascii_alphanumeric() || "/_-.~".contains(c);
        if !base.is_empty()
            && (!base.starts_with('/') || base.ends_with('/') || !base.chars().all(fits) || base.contains("//"))
        {
            found.push((
                "base_path",
                format!("must be like /cameras, with a slash in front and none behind, not {base:?}"),
            ));
        }
        let is_origin = |text: &str| {
            let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
            host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']))
        };
        if let Some(wrong) = self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            found.push(("cors_origins", format!("must be origins such as https://home.example:8123, not {wrong:?}")));
        }
        let origin = self.public_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        if !self.public_url.is_empty() && (!is_origin(&origin) || self.public_url.ends_with('/')) {
            found.push((
                "public_url",
                format!("must be like https://cameras.example, without a slash at its end, not {:?}", self.public_url),
            ));
        }
        let tls = &self.tls;
        if tls.listen.is_some() {
            for (key, file) in [("tls.certificate", &tls.certificate), ("tls.key", &tls.key)] {
                if !file.is_file() {
                    found.push((key, format!("{} is not a file; http.tls.listen needs one", file.display())));
                }
            }
        }
        if tls.listen.is_some_and(|listen| listen.port() != 0 && listen.port() == self.listen.port()) {
            found.push(("tls.listen", "the port is that of http.listen".into()));
        }
        found
    }
}
