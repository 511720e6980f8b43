//! The stream and the path that a channel consists of. Pure.

use std::collections::BTreeMap;

use serde_json::json;

use super::Channel;
use crate::{
    error::{Code, Error, Result},
    library::{Facts, FileKind, Location, MEDIA_FORMATS},
    paths::{Kind, Wanted},
    producer::Definition,
    stream::StreamName,
};

/// As in the original recipe: every browser plays this by WebRTC.
const H264: &str = "-c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline -pix_fmt yuv420p -g 60";
const OPUS: &str = "-c:a libopus -b:a 128k";

/// The largest size of a playlist's video, in pixels: decoders of small devices take it.
const MAX_WIDTH: f64 = 1920.0;
const MAX_HEIGHT: f64 = 1080.0;

/// The parts of a channel.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The definition of a stream, for pictures: kind `file` or `nas`.
    pub stream: Option<Definition>,
    /// The path at MediaMTX.
    pub path: Wanted,
    /// The channel, as the API shows it.
    pub channel: Channel,
}

/// A video of a playlist.
#[derive(Clone, Debug)]
pub(super) struct Clip {
    pub name: String,
    pub facts: Facts,
}

/// A channel of a picture, or of a folder of pictures. `definition` is the stream that shows them.
pub(super) fn pictures(location: &Location, name: &StreamName, definition: Definition) -> Plan {
    Plan {
        stream: Some(definition),
        path: path_of(location, Kind::Stream { stream: name.clone() }),
        channel: Channel { name: name.to_string(), kind: "stream", copies: false },
    }
}

/// A channel of a video or sound file. Without facts about its codecs, ffmpeg encodes it again.
pub(super) fn video(
    location: &Location,
    name: &StreamName,
    kind: FileKind,
    facts: Option<&Facts>,
    base_url: &str,
) -> Result<Plan> {
    let copies = facts.is_some_and(|facts| facts.fits_webrtc);
    let codecs = match (copies, kind) {
        (true, _) => "-c copy".to_owned(),
        (false, FileKind::Audio) => format!("-vn {OPUS}"),
        _ => format!("{H264} {OPUS}"),
    };
    let url = format!("{base_url}/api/v1/media/content/{}", location.id());
    played(location, name, command(&format!("{} ", only(base_url, MEDIA_FORMATS)), &url, &codecs), copies)
}

/// Options before `-i`: ffmpeg reads from the sidecar alone, and nothing that would lead it to another address. The file can
/// have changed since it was examined.
fn only(base_url: &str, formats: &str) -> String {
    let protocols = if base_url.starts_with("https:") { "https,tls,tcp" } else { "http,tcp" };
    format!("-protocol_whitelist {protocols} -format_whitelist {formats}")
}

/// A channel of a folder of videos. ffmpeg's concat demuxer uses the decoder of the first file for all files, so all must have one codec.
/// Their sizes can differ; all become the size of the first.
pub(super) fn playlist(location: &Location, name: &StreamName, clips: &[Clip], base_url: &str) -> Result<Plan> {
    let refuse = |rule: String| Err(Error::new(Code::InvalidPath, format!("path: {rule}")).in_field("path"));
    let Some(first) = clips.first() else { return refuse("the folder has no video".into()) };
    let Some((codec, width, height)) = first.facts.picture() else {
        return refuse(format!("ffprobe finds no picture in {}", first.name));
    };
    if let Some(other) = clips.iter().find(|clip| clip.facts.video.as_deref() != Some(codec)) {
        let its = other.facts.video.as_deref().unwrap_or("unknown");
        return refuse(format!("a playlist needs one codec: {} is {codec}, {} is {its}", first.name, other.name));
    }
    let has_sound = first.facts.audio.is_some() && clips.iter().all(|clip| clip.facts.audio == first.facts.audio);
    // Even numbers, which 4:2:0 needs.
    let shrink = (MAX_WIDTH / width as f64).min(MAX_HEIGHT / height as f64).min(1.0);
    let even = |n: u64| ((n as f64 * shrink) as u64).max(16) & !1;
    let (width, height) = (even(width), even(height));
    let frame = format!(
        "-vf scale={width}:{height}:force_original_aspect_ratio=decrease,pad={width}:{height}:-1:-1,setsar=1,fps=25"
    );
    let codecs = format!("{frame} {H264} {}", if has_sound { OPUS } else { "-an" });
    // The demuxer of lists gives its files the same formats. A list within the list can name only files beside it: `safe` is
    // not inherited.
    let input = format!("-f concat -safe 0 {} ", only(base_url, &format!("concat,{MEDIA_FORMATS}")));
    let url = format!("{base_url}/api/v1/media/playlist/{}", location.id());
    played(location, name, command(&input, &url, &codecs), false)
}

fn path_of(location: &Location, kind: Kind) -> Wanted {
    Wanted {
        kind,
        enabled: true,
        record: false,
        title: String::new(),
        note: format!("{}/{}", location.root, location.path).chars().take(1000).collect(),
        labels: BTreeMap::from([("media".to_owned(), location.id().chars().take(400).collect())]),
        nodes: vec![],
        failover: false,
    }
}

/// A path whose ffmpeg runs while a client reads the path.
fn played(location: &Location, name: &StreamName, command: String, copies: bool) -> Result<Plan> {
    let fields = json!({"runOnDemand": command, "runOnDemandRestart": true, "runOnDemandStartTimeout": "20s"});
    let fields = serde_json::from_value(fields).map_err(|e| Error::internal("the command cannot be written", e))?;
    let channel = Channel { name: name.to_string(), kind: "raw", copies };
    Ok(Plan { stream: None, path: path_of(location, Kind::Raw { fields }), channel })
}

/// A command line. MediaMTX splits it into words and replaces variables in them (internal/externalcmd), so that text of a user, such as
/// a file name, must not occur in it: [`Location::id`] has only letters, digits, `-` and `_`, and the path name is a
/// variable of MediaMTX.
fn command(input: &str, url: &str, codecs: &str) -> String {
    debug_assert!(url.bytes().all(|b| b.is_ascii_alphanumeric() || b":/.-_[]".contains(&b)));
    format!(
        "ffmpeg -nostdin -loglevel error -re -stream_loop -1 {input}-i {url} {codecs} -f rtsp -rtsp_transport tcp rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://127.0.0.1:9995";

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
            let location = Location { root: "me dia".into(), path: format!("sub folder/{name}") };
            assert_eq!(Location::from_id(&location.id()).expect("an id"), location);
            let stream = StreamName::parse("channel").expect("a name");
            for copies in [true, false] {
                let facts = Facts { fits_webrtc: copies, ..Facts::default() };
                let plan = video(&location, &stream, FileKind::Video, Some(&facts), BASE).expect("a channel");
                let Kind::Raw { fields } = &plan.path.kind else { panic!("raw") };
                let line = fields["runOnDemand"].as_str().expect("a command");
                assert!(line.bytes().all(|b| b.is_ascii_alphanumeric() || b" :/.-_$,".contains(&b)), "{line}");
                assert_eq!(line.matches('$').count(), 2, "{line}");
                assert!(line.contains("-protocol_whitelist http,tcp -format_whitelist mov,"), "{line}");
                assert_eq!(line.contains("-c copy"), copies);
                assert!(plan.path.check("channel").is_ok());
            }
        }
    }

    #[test]
    fn a_playlist_needs_one_codec_and_has_the_size_of_its_first_video() {
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
            let location = Location { root: "media".into(), path: "$(touch x)".into() };
            let plan = playlist(&location, &StreamName::parse("tv").expect("a name"), clips, BASE)?;
            let Kind::Raw { fields } = plan.path.kind else { panic!("raw") };
            let line = fields["runOnDemand"].as_str().expect("a command").to_owned();
            assert!(line.bytes().all(|b| b.is_ascii_alphanumeric() || b" :/.-_$,=".contains(&b)), "{line}");
            Ok::<_, Error>(line)
        };
        let (a, b) = (clip("a", "h264", Some("aac"), 1280, 720), clip("b", "h264", Some("aac"), 641, 361));
        let line = made(&[a.clone(), b.clone()]).expect("made");
        assert!(line.contains("pad=1280:720:") && line.contains("libopus"), "{line}");
        let line = made(&[b, a.clone(), clip("c", "h264", None, 1, 1)]).expect("made");
        assert!(
            line.contains("pad=640:360:") && line.contains("-an"),
            "without sound, because one video has none: {line}"
        );
        let line = made(&[clip("large", "h264", None, 3840, 2160)]).expect("made");
        assert!(line.contains("pad=1920:1080:"), "{line}");
        for (clips, says) in [
            (vec![], "no video"),
            (vec![a.clone(), clip("d", "hevc", None, 1, 1)], "a is h264, d is hevc"),
            (vec![Clip { name: "e".into(), facts: Facts::default() }], "no picture in e"),
        ] {
            let e = made(&clips).expect_err(says);
            assert!(e.to_string().contains(says) && e.field() == Some("path"), "{e}");
        }
    }
}
