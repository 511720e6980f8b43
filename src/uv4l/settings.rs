//! Settings of UV4L cameras.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};
use tokio::time::Duration;

use super::Camera;
use crate::{secret::Secret, stream::StreamName, units::HumanDuration};

/// UV4L cameras.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Uv4lSettings {
    /// The cameras, by name. Paths of kind uv4l are further ones.
    pub cameras: BTreeMap<StreamName, Camera>,
    /// The camera at `/` for WebSockets; empty: the only camera under `cameras`, if there is one.
    pub root: String,
    /// Another address and port of the HTTP server; empty: none.
    pub listen: String,
    /// A viewer that answers no ping for this time has vanished, and its call ends.
    pub viewer_timeout: HumanDuration,
    /// STUN and TURN servers for the browsers of viewers.
    pub ice_servers: Vec<IceServer>,
}

impl Default for Uv4lSettings {
    fn default() -> Self {
        Uv4lSettings {
            cameras: BTreeMap::new(),
            root: String::new(),
            listen: String::new(),
            // A ping each third: a call is over less than five seconds after its viewer has vanished.
            viewer_timeout: HumanDuration(Duration::from_millis(3500)),
            ice_servers: vec![],
        }
    }
}

/// A STUN or TURN server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IceServer {
    /// Such as `stun:stun.example:3478` or `turn:turn.example:3478`.
    pub url: String,
    /// The user, for TURN.
    pub user: String,
    /// The password, for TURN. Browsers get it.
    pub pass: Secret,
}

impl Uv4lSettings {
    /// The further address of the HTTP server.
    pub fn listen(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    /// The camera at `/`.
    pub fn root(&self) -> Option<&str> {
        match (self.root.as_str(), self.cameras.len()) {
            ("", 1) => self.cameras.keys().next().map(|name| &**name),
            ("", _) => None,
            (name, _) => Some(name),
        }
    }

    /// Invalid settings: the key and the rule that it breaks.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        for (name, camera) in &self.cameras {
            if let Err(e) = camera.check() {
                found.push(("cameras", format!("{name}: {e}")));
            }
        }
        if !self.root.is_empty() && StreamName::parse(&self.root).is_err() {
            found.push(("root", format!("must be the name of a camera, not {:?}", self.root)));
        }
        if !self.listen.is_empty() && self.listen().is_none() {
            found.push(("listen", format!("{:?} is not an address and port, such as 0.0.0.0:41337", self.listen)));
        }
        if !(HumanDuration::secs(1)..=HumanDuration::secs(600)).contains(&self.viewer_timeout) {
            found.push(("viewer_timeout", format!("must be from 1s to 10m, not {}", self.viewer_timeout)));
        }
        for server in &self.ice_servers {
            let (scheme, rest) = server.url.split_once(':').unwrap_or_default();
            let fits = !rest.is_empty() && server.url.chars().all(|c| c.is_ascii_graphic());
            if !(fits && matches!(scheme, "stun" | "stuns" | "turn" | "turns")) {
                found.push(("ice_servers", format!("{:?} is not like stun:stun.example:3478 or turn:…", server.url)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_key() {
        let of = |change: fn(&mut Uv4lSettings)| {
            let mut settings = Uv4lSettings::default();
            change(&mut settings);
            settings.problems().into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        let name = || StreamName::parse("door").expect("a name");
        assert_eq!(of(|_| {}), Vec::<&str>::new());
        assert_eq!(of(|s| s.listen = "41337".into()), ["listen"]);
        assert_eq!(of(|s| s.root = "/x".into()), ["root"]);
        assert_eq!(of(|s| s.viewer_timeout = HumanDuration::secs(0)), ["viewer_timeout"]);
        assert_eq!(
            of(|s| s.ice_servers = vec![IceServer { url: "http://x".into(), ..IceServer::default() }]),
            ["ice_servers"]
        );
        let mut settings = Uv4lSettings::default();
        settings.cameras.insert(name(), Camera { max_sessions: 0, ..Camera::default() });
        let [(key, rule)] = &settings.problems()[..] else { panic!("one problem") };
        assert!(*key == "cameras" && rule.starts_with("door: max_sessions"), "{rule}");
    }

    #[test]
    fn the_only_camera_is_the_one_at_the_root() {
        let mut settings = Uv4lSettings::default();
        assert_eq!(settings.root(), None);
        for (name, root) in [("door", Some("door")), ("yard", None)] {
            settings.cameras.insert(StreamName::parse(name).expect("a name"), Camera::default());
            assert_eq!(settings.root(), root);
        }
        settings.root = "yard".into();
        assert_eq!(settings.root(), Some("yard"));
    }
}
