//! A file as a channel: a picture, or a folder of them, becomes a stream of ours; a video, or a folder of them, becomes a path
//! whose ffmpeg plays it round and round while somebody watches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
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
    /// The file, or a folder of pictures or videos.
    pub path: String,
    /// What a folder becomes that has both.
    #[serde(default, rename = "as")]
    pub of_folder: Option<As>,
    /// The path's name at MediaMTX, and the stream's here.
    #[schema(value_type = String)]
    pub name: StreamName,
}

/// What a folder becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum As {
    /// Its pictures, one after the other: a stream of ours.
    Slideshow,
    /// Its videos, one after the other: a path of MediaMTX.
    Playlist,
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
    /// The definition of a stream of ours, if there is one: kind `file` or `nas`.
    pub stream: Option<Value>,
    /// The path at MediaMTX.
    pub path: Wanted,
    /// For the answer.
    pub channel: Channel,
}

fn path_of(place: &Place, kind: Kind) -> Wanted {
    Wanted {
        kind,
        enabled: true,
        record: false,
        note: format!("{}/{}", place.root, place.path).chars().take(1000).collect(),
        labels: BTreeMap::from([("media".to_owned(), place.id().chars().take(400).collect())]),
    }
}

/// A path whose ffmpeg runs while somebody watches.
fn played(place: &Place, name: &StreamName, command: String, copies: bool) -> Result<Parts> {
    let fields = json!({"runOnDemand": command, "runOnDemandRestart": true, "runOnDemandStartTimeout": "20s"});
    let fields = serde_json::from_value(fields).map_err(|e| Error::internal("the command cannot be written", e))?;
    let channel = Channel { name: name.to_string(), kind: "raw", copies };
    Ok(Parts { stream: None, path: path_of(place, Kind::Raw { fields }), channel })
}

/// What the channel of a file consists of. `definition` is that of a stream that shows it, for pictures; `content` the
/// beginning of the address at which MediaMTX's host gets the content of files.
pub fn channel(
    place: &Place,
    kind: FileKind,
    name: &StreamName,
    definition: Value,
    content: &str,
    facts: Option<&Facts>,
) -> Result<Parts> {
    match kind {
        FileKind::Picture | FileKind::Folder => Ok(Parts {
            stream: Some(definition),
            path: path_of(place, Kind::Stream { stream: name.clone() }),
            channel: Channel { name: name.to_string(), kind: "stream", copies: false },
        }),
        FileKind::Video | FileKind::Audio => {
            let copies = facts.is_some_and(|facts| facts.fits_webrtc);
            let codecs = match (copies, kind) {
                (true, _) => "-c copy".to_owned(),
                (false, FileKind::Audio) => format!("-vn {OPUS}"),
                _ => format!("{H264} {OPUS}"),
            };
            played(place, name, command("", &format!("{content}/{}", place.id()), &codecs), copies)
        }
        FileKind::Other => {
            Err(Error::new(Code::InvalidPath, "path: neither a picture nor a video nor sound, by its name")
                .in_field("path"))
        }
    }
}

/// A video of a playlist.
#[derive(Clone, Debug)]
pub struct Clip {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub facts: Facts,
}

/// What the channel of a folder of videos consists of; `playlist` is the beginning of the address at which MediaMTX's host gets
/// the folder's list. ffmpeg's concat demuxer takes its decoders from the first file, so all have to be of one codec; their
/// sizes may differ, and become that of the first.
pub fn playlist(place: &Place, name: &StreamName, playlist: &str, clips: &[Clip]) -> Result<Parts> {
    let refuse = |rule: String| Err(Error::new(Code::InvalidPath, format!("path: {rule}")).in_field("path"));
    let Some(first) = clips.first() else { return refuse("there is no video in the folder".into()) };
    let Some((codec, width, height)) = first.facts.picture() else {
        return refuse(format!("{} has no picture that ffprobe knows", first.name));
    };
    if let Some(other) = clips.iter().find(|clip| clip.facts.video.as_deref() != Some(codec)) {
        let its = other.facts.video.as_deref().unwrap_or("nothing known");
        return refuse(format!("a playlist is of one codec: {} is {codec}, {} is {its}", first.name, other.name));
    }
    let has_sound = first.facts.audio.is_some() && clips.iter().all(|clip| clip.facts.audio == first.facts.audio);
    // Even, as 4:2:0 needs it, and no larger than what plays everywhere.
    let shrink = (1920.0 / width as f64).min(1080.0 / height as f64).min(1.0);
    let even = |n: u64| ((n as f64 * shrink) as u64).max(16) & !1;
    let (width, height) = (even(width), even(height));
    let frame = format!(
        "-vf scale={width}:{height}:force_original_aspect_ratio=decrease,pad={width}:{height}:-1:-1,setsar=1,fps=25"
    );
    let codecs = format!("{frame} {H264} {}", if has_sound { OPUS } else { "-an" });
    let before = "-f concat -safe 0 -protocol_whitelist http,tcp ";
    played(place, name, command(before, &format!("{playlist}/{}", place.id()), &codecs), false)
}

/// As the original recipe: what every browser plays by WebRTC.
const H264: &str = "-c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline -pix_fmt yuv420p -g 60";
const OPUS: &str = "-c:a libopus -b:a 128k";

/// The one place where a command line is made. MediaMTX splits it into words and puts variables in (internal/externalcmd), so
/// nothing that somebody chose may stand in it: files are named by [`Place::id`], which has letters, digits, `-` and `_`,
/// behind our own address; the path's name is MediaMTX's variable.
fn command(before: &str, address: &str, codecs: &str) -> String {
    debug_assert!(address.bytes().all(|b| b.is_ascii_alphanumeric() || b":/.-_[]".contains(&b)));
    format!(
        "ffmpeg -nostdin -loglevel error -re -stream_loop -1 {before}-i {address} {codecs} -f rtsp -rtsp_transport tcp rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH"
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
                let parts =
                    channel(&place, FileKind::Video, &stream, Value::Null, "http://127.0.0.1:9995/media", Some(&facts))
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

    #[test]
    fn a_playlist_is_of_one_codec_and_of_the_first_ones_size() {
        let clip = |name: &str, video: &str, audio: Option<&str>, width, height| Clip {
            name: name.into(),
            facts: Facts {
                video: Some(video.into()),
                audio: audio.map(str::to_owned),
                width: Some(width),
                height: Some(height),
                ..Facts::default()
            },
        };
        let made = |clips: &[Clip]| {
            let place = Place { root: "media".into(), path: "$(touch x)".into() };
            let parts =
                playlist(&place, &StreamName::parse("tv").expect("a name"), "http://127.0.0.1:9995/list", clips)?;
            let Kind::Raw { fields } = parts.path.kind else { panic!("raw") };
            let line = fields["runOnDemand"].as_str().expect("a command").to_owned();
            assert!(line.bytes().all(|b| b.is_ascii_alphanumeric() || b" :/.-_$,=".contains(&b)), "{line}");
            Ok::<_, Error>(line)
        };
        let (a, b) = (clip("a", "h264", Some("aac"), 1280, 720), clip("b", "h264", Some("aac"), 641, 361));
        let line = made(&[a.clone(), b.clone()]).expect("made");
        assert!(line.contains("pad=1280:720:") && line.contains("libopus"), "{line}");
        let line = made(&[b, a.clone(), clip("c", "h264", None, 1, 1)]).expect("made");
        assert!(line.contains("pad=640:360:") && line.contains("-an"), "sound that some lack is left out: {line}");
        let line = made(&[clip("large", "h264", None, 3840, 2160)]).expect("made");
        assert!(line.contains("pad=1920:1080:"), "{line}");
        for (clips, says) in [
            (vec![], "no video"),
            (vec![a.clone(), clip("d", "hevc", None, 1, 1)], "a is h264, d is hevc"),
            (vec![Clip { name: "e".into(), facts: Facts::default() }], "e has no picture"),
        ] {
            let e = made(&clips).expect_err(says);
            assert!(e.to_string().contains(says) && e.field() == Some("path"), "{e}");
        }
    }
}
