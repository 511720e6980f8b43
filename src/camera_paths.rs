//! Cameras of streams as paths of MediaMTX: MediaMTX reads the camera, also one that this program does not understand, and the stream can
//! read that path. The camera's password goes from the one definition to the other and into no answer.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    catalog::{Catalog, Members},
    error::{Code, Error, Result},
    paths::{Condition, Kind, Paths, Wanted},
    producer::{
        Definition,
        rtsp::{Settings, Transport},
    },
    secret,
    stream::{Origin, StreamName},
};

/// A path to make of a stream's camera.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewCameraPath {
    /// The name of the path; the stream's name if it is left out.
    pub name: Option<String>,
    /// Whether the stream reads the path from now on, instead of the camera.
    pub replace: bool,
}

/// A path that was made of a stream's camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraPath {
    /// Its name.
    pub name: StreamName,
    /// False if the same path was kept before.
    pub is_new: bool,
    /// The result and the next step, in words.
    pub advice: String,
}

/// The parts of the program from which such paths are made.
pub struct CameraPaths<'a> {
    /// The streams.
    pub catalog: &'a Catalog,
    /// The paths at MediaMTX.
    pub paths: &'a Paths,
}

impl CameraPaths<'_> {
    /// Makes a kept path with the camera of a stream as its source. A stream of another kind is a conflict, and so is another path of the
    /// name, here or at MediaMTX. Nothing is changed if a part of the request is not possible.
    pub async fn create(&self, stream: &StreamName, new: NewCameraPath) -> Result<CameraPath> {
        let name = new.name.as_deref().map_or_else(|| Ok(stream.clone()), |name| self.catalog.name(name))?;
        let definition = self.catalog.definition(stream).await?;
        let definition = definition
            .ok_or_else(|| Error::new(Code::UnknownStream, format!("there is no stream {stream} with a definition")))?;
        let wanted = wanted(stream, &definition.source)?;
        let is_fixed = self.catalog.registry().get(stream).is_some_and(|found| found.origin() == Origin::File);
        if new.replace && is_fixed {
            let message = format!("replace: stream {stream} is defined in sidecar.yml; set its path there");
            return Err(Error::new(Code::FixedByFile, message).in_field("replace"));
        }
        let is_new = self.paths.create(&name, wanted).await?;
        let done = match self.taken(&name).await {
            Ok(()) if new.replace => self.catalog.patch(stream, reads(&name), async |_| Ok(())).await.map(drop),
            taken => taken,
        };
        if let Err(e) = done {
            if is_new {
                self.paths.remove(&name).await?;
            }
            return Err(e);
        }
        let then = match (new.replace, is_fixed) {
            (true, _) => format!("stream {stream} reads that path"),
            (false, true) => format!(
                "stream {stream} still reads the camera itself: in sidecar.yml, set `path: {name}` instead of `url`, `user` and `pass`"
            ),
            (false, false) => format!(
                "stream {stream} still reads the camera itself: send {{\"replace\": true}} to let it read the path, or remove it"
            ),
        };
        Ok(CameraPath { advice: format!("MediaMTX reads the camera as path {name}; {then}"), name, is_new })
    }
}

impl CameraPaths<'_> {
    /// Waits until MediaMTX has the path. Fails if MediaMTX has another one of that name, or refuses it. While MediaMTX does not answer,
    /// the path waits for it, as every kept path does.
    async fn taken(&self, name: &StreamName) -> Result<()> {
        self.paths.settle(name).await;
        let status = self.paths.get(name).await?;
        let code = match status.state {
            Condition::Conflict => Code::PathExists,
            Condition::Refused => Code::MediaMtxRefuses,
            Condition::Applied | Condition::Pending | Condition::Disabled | Condition::Elsewhere => return Ok(()),
        };
        let why = status.error.unwrap_or_default();
        Err(Error::new(code, format!("name: {why}")).in_field("name"))
    }
}

/// The path of MediaMTX that reads the camera of a stream.
fn wanted(stream: &StreamName, definition: &Definition) -> Result<Wanted> {
    let conflict = |why: String| Error::new(Code::KindConflict, format!("stream {stream} {why}"));
    let Definition::Rtsp(settings) = definition else {
        return Err(conflict(format!("is of kind {}, and this needs one of kind rtsp with url", definition.kind())));
    };
    let Settings { url, path, user, pass, fingerprint, transport, .. } = settings;
    let Some(url) = url else {
        return Err(conflict(format!("reads MediaMTX's path {} already", path.as_deref().unwrap_or_default())));
    };
    let user = user.as_deref().unwrap_or_default();
    let url = match user.is_empty() && pass.is_empty() {
        true => url.clone(),
        false => secret::with_login(url, user, pass.expose()),
    };
    let (url, transport) = match transport {
        Transport::Auto => (url, "automatic"),
        Transport::Tcp => (url, "tcp"),
        Transport::Udp => (url, "udp"),
        // MediaMTX's words for a tunnel are in the scheme.
        Transport::Http => (url.replacen("://", "+http://", 1), "tcp"),
    };
    Ok(Wanted {
        kind: Kind::Camera { url, on_demand: true, transport: transport.to_owned(), fingerprint: fingerprint.clone() },
        enabled: true,
        record: false,
        title: String::new(),
        note: format!("the camera of stream {stream}"),
        labels: BTreeMap::new(),
        nodes: vec![],
        failover: false,
    })
}

/// The changes with which a stream reads a path of MediaMTX instead of its camera (RFC 7396).
fn reads(path: &StreamName) -> Members {
    let of_the_camera = ["url", "user", "pass", "fingerprint", "transport"];
    let gone = of_the_camera.into_iter().map(|member| (member.to_owned(), Value::Null));
    gone.chain([("path".to_owned(), json!(path))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(value: Value) -> Definition {
        serde_json::from_value(value).expect("a definition")
    }

    #[test]
    fn the_path_has_the_address_of_the_camera_with_its_password_and_transport() {
        let door = StreamName::parse("front/door").expect("a name");
        for (stream, url, transport) in [
            (json!({"kind": "rtsp", "url": "rtsp://10.0.0.5/live?x=1"}), "rtsp://10.0.0.5/live?x=1", "automatic"),
            (
                json!({"kind": "rtsp", "url": "rtsp://10.0.0.5:8554/live", "user": "ad:min", "pass": "p@ss/%2", "transport": "udp"}),
                "rtsp://ad%3Amin:p%40ss%2F%252@10.0.0.5:8554/live",
                "udp",
            ),
            (
                json!({"kind": "rtsp", "url": "rtsp://10.0.0.5:80/live", "transport": "http"}),
                "rtsp+http://10.0.0.5:80/live",
                "tcp",
            ),
            (
                json!({"kind": "rtsp", "url": "rtsp://u:p@10.0.0.5/live", "transport": "tcp"}),
                "rtsp://u:p@10.0.0.5/live",
                "tcp",
            ),
        ] {
            let path = wanted(&door, &definition(stream)).expect("possible");
            path.check("front/door").expect("valid");
            let fields = Value::Object(path.fields("rtsp://127.0.0.1:9554"));
            assert_eq!(fields, json!({"source": url, "sourceOnDemand": true, "rtspTransport": transport}));
        }
        let colons = ["AB"; 32].join(":");
        let secure = json!({"kind": "rtsp", "url": "rtsps://10.0.0.5/live", "fingerprint": colons});
        let path = wanted(&door, &definition(secure)).expect("possible");
        path.check("front/door").expect("valid");
        assert_eq!(path.fields("")["sourceFingerprint"], "ab".repeat(32));
    }

    #[test]
    fn other_streams_have_no_camera_for_mediamtx() {
        let door = StreamName::parse("door").expect("a name");
        for (stream, says) in [
            (json!({"kind": "test-card"}), "is of kind test-card"),
            (json!({"kind": "http", "url": "http://10.0.0.5/"}), "is of kind http"),
            (json!({"kind": "rtsp", "path": "yard"}), "reads MediaMTX's path yard already"),
        ] {
            let refused = wanted(&door, &definition(stream)).expect_err(says);
            assert!(refused.code() == Code::KindConflict && refused.to_string().contains(says), "{refused}");
        }
    }
}
