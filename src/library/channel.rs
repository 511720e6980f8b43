//! A file as a channel: a picture, or a folder of them, becomes a stream of ours; a video becomes a path whose ffmpeg plays it
//! round and round while somebody watches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Facts, FileKind, Place};
use crate::{
    error::{Code, Error, Result},
    paths::{Kind, Wanted},
    stream::StreamName,
};

/// A channel to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    /// The media folder; the first one if it is left out.
    #[serde(default)]
    pub root: String,
    /// The file, or a folder of pictures.
    pub path: String,
    /// The path's name at MediaMTX, and the stream's here.
    #[schema(value_type = String)]
    pub name: StreamName,
}

/// A channel that was made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Channel {
    /// The path's name at MediaMTX.
    pub name: String,
    /// `stream` or `raw`: the kind of the path.
    pub kind: &'static str,
    /// Whether a video is passed on as it is; else it is made anew while somebody watches.
    pub copies: bool,
}

/// What a channel consists of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The definition of a stream of ours, if there is one: kind `file`.
    pub stream: Option<serde_json::Value>,
    /// The path at MediaMTX.
    pub path: Wanted,
    /// For the answer.
    pub channel: Channel,
}

/// What the channel of a file consists of. `absolute` is the file's own path, for pictures; `content` the beginning of the
/// address at which MediaMTX's host gets the content of files.
pub fn channel(
    place: &Place,
    kind: FileKind,
    name: &StreamName,
    absolute: &str,
    content: &str,
    facts: Option<&Facts>,
) -> Result<Parts> {
    let path = |kind: Kind| Wanted {
        kind,
        enabled: true,
        record: false,
        note: format!("{}/{}", place.root, place.path).chars().take(1000).collect(),
        labels: BTreeMap::from([("media".to_owned(), place.id().chars().take(400).collect())]),
    };
    match kind {
        FileKind::Picture | FileKind::Folder => Ok(Parts {
            stream: Some(json!({"kind": "file", "path": absolute})),
            path: path(Kind::Stream { stream: name.clone() }),
            channel: Channel { name: name.to_string(), kind: "stream", copies: false },
        }),
        FileKind::Video | FileKind::Audio => {
            let copies = facts.is_some_and(|facts| facts.fits_webrtc);
            let fields = json!({
                "runOnDemand": command(&format!("{content}/{}", place.id()), kind, copies),
                "runOnDemandRestart": true,
                "runOnDemandStartTimeout": "20s",
            });
            let fields =
                serde_json::from_value(fields).map_err(|e| Error::internal("the command cannot be written", e))?;
            Ok(Parts {
                stream: None,
                path: path(Kind::Raw { fields }),
                channel: Channel { name: name.to_string(), kind: "raw", copies },
            })
        }
        FileKind::Other => {
            Err(Error::new(Code::InvalidPath, "path: neither a picture nor a video nor sound, by its name")
                .in_field("path"))
        }
    }
}

/// The one place where a command line is made. MediaMTX splits it into words and puts variables in (internal/externalcmd), so
/// nothing that somebody chose may stand in it: files are named by [`Place::id`], which has letters, digits, `-` and `_`,
/// behind our own address; the path's name is MediaMTX's variable.
fn command(address: &str, kind: FileKind, copies: bool) -> String {
    debug_assert!(address.bytes().all(|b| b.is_ascii_alphanumeric() || b":/.-_[]".contains(&b)));
    let codecs = match (copies, kind) {
        (true, _) => "-c copy",
        (false, FileKind::Audio) => "-vn -c:a libopus -b:a 128k",
        // As the original recipe: what every browser plays by WebRTC.
        _ => {
            "-c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline -pix_fmt yuv420p -g 60 -c:a libopus -b:a 128k"
        }
    };
    format!(
        "ffmpeg -nostdin -loglevel error -re -stream_loop -1 -i {address} {codecs} -f rtsp -rtsp_transport tcp rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_name_gets_into_a_command() {
        let names = [
            "a b';touch x;'.mp4",
            "-y.mp4",
            "$HOME.mp4",
            "\"quoted\".mp4",
            "ü\u{202e}.mp4",
            "%d.mp4",
            "back\\slash.mp4",
            " .mp4",
        ];
        for name in names {
            let place = Place { root: "me dia".into(), path: format!("sub folder/{name}") };
            assert_eq!(Place::from_id(&place.id()).expect("an id"), place);
            let stream = StreamName::parse("channel").expect("a name");
            for copies in [true, false] {
                let facts = Facts { fits_webrtc: copies, ..Facts::default() };
                let parts = channel(&place, FileKind::Video, &stream, "", "http://127.0.0.1:9995/media", Some(&facts))
                    .expect("a channel");
                let Kind::Raw { fields } = &parts.path.kind else { panic!("raw") };
                let line = fields["runOnDemand"].as_str().expect("a command");
                assert!(line.bytes().all(|b| b.is_ascii_alphanumeric() || b" :/.-_$".contains(&b)), "{line}");
                assert_eq!(line.matches('$').count(), 2, "{line}");
                assert_eq!(line.contains("-c copy"), copies);
                assert!(parts.path.check("channel").is_ok());
            }
        }
    }
}
