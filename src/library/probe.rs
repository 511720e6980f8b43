//! What is in a video, asked of ffprobe where there is one.

use std::{os::fd::OwnedFd, process::Stdio};

use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    time::{Duration, timeout},
};
use utoipa::ToSchema;

use super::{Content, Library, Place};
use crate::error::{Code, Error, Result};

/// How long ffprobe may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is in a video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Facts {
    /// Seconds.
    pub duration: Option<f64>,
    /// Such as `h264`; none if there is no picture.
    pub video: Option<String>,
    /// Such as `aac`; none if there is no sound.
    pub audio: Option<String>,
    /// Width in pixels.
    pub width: Option<u64>,
    /// Height in pixels.
    pub height: Option<u64>,
    /// Whether browsers play it by WebRTC as it is: H.264 4:2:0 of 8 bits without B-frames, and Opus or no sound.
    pub fits_webrtc: bool,
}

impl Facts {
    /// Codec, width and height of what is to be seen, if that is known.
    pub fn picture(&self) -> Option<(&str, u64, u64)> {
        Some((self.video.as_deref()?, self.width.filter(|n| *n > 0)?, self.height.filter(|n| *n > 0)?))
    }
}

/// So much of a file on a NAS is given to ffprobe, which cannot go back and forth in it.
const MOST_OF_STREAM: usize = 16 << 20;

/// Asks ffprobe. The file is its standard input: its name stands in no command line.
pub async fn probe(library: &Library, place: &Place) -> Result<Facts> {
    let content = library.open(place, None).await?;
    let mut command = tokio::process::Command::new("ffprobe");
    let (input, remote) = match content {
        Content::File(file) => (Stdio::from(OwnedFd::from(file)), None),
        Content::Remote(response) => (Stdio::piped(), Some(response)),
    };
    command
        .args(["-v", "error", "-show_streams", "-show_format", "-of", "json", "-i", "/dev/stdin"])
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let missing = |e: std::io::Error| {
        Error::new(Code::Unavailable, format!("ffprobe cannot be run: {e}; it is a part of ffmpeg"))
    };
    let mut child = command.spawn().map_err(missing)?;
    let input = child.stdin.take();
    let feeding = async move {
        let (Some(mut to), Some(mut from)) = (input, remote) else { return };
        let mut given = 0;
        while let (true, Ok(Some(data))) = (given < MOST_OF_STREAM, from.chunk(TIMEOUT).await) {
            given += data.len();
            // It closes its input when it knows enough.
            if to.write_all(&data).await.is_err() {
                return;
            }
        }
    };
    let both = async { tokio::join!(feeding, child.wait_with_output()).1 };
    let output = timeout(TIMEOUT, both).await;
    let output = output.map_err(|_| Error::new(Code::Unavailable, "ffprobe takes too long"))?.map_err(missing)?;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ok(facts(&told))
}

fn facts(told: &Value) -> Facts {
    let streams = || told["streams"].as_array().into_iter().flatten();
    let of = |kind: &str| {
        streams().find(|stream| stream["codec_type"] == kind && stream["disposition"]["attached_pic"] != 1)
    };
    let (video, audio) = (of("video"), of("audio"));
    let codec = |stream: Option<&Value>| stream.and_then(|stream| stream["codec_name"].as_str()).map(str::to_owned);
    let plain = video.is_some_and(|video| {
        let baseline =
            video["profile"].as_str().is_some_and(|profile| !profile.contains("4:") && !profile.contains("10"));
        video["codec_name"] == "h264"
            && video["has_b_frames"] == 0
            && video["pix_fmt"].as_str().is_none_or(|f| f.ends_with("420p"))
            && baseline
    });
    Facts {
        duration: told["format"]["duration"].as_str().and_then(|text| text.parse().ok()),
        fits_webrtc: plain && audio.is_none_or(|audio| audio["codec_name"] == "opus"),
        video: codec(video),
        audio: codec(audio),
        width: video.and_then(|video| video["width"].as_u64()),
        height: video.and_then(|video| video["height"].as_u64()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_webrtc_is_passed_on_as_it_is() {
        let video = |codec: &str, b: u64, pixels: &str, profile: &str| json!({"codec_type": "video", "codec_name": codec, "has_b_frames": b, "pix_fmt": pixels, "profile": profile, "width": 640, "height": 360});
        let audio = |codec: &str| json!({"codec_type": "audio", "codec_name": codec});
        for (streams, fits) in [
            (vec![video("h264", 0, "yuv420p", "Constrained Baseline")], true),
            (vec![video("h264", 0, "yuv420p", "High"), audio("opus")], true),
            (vec![video("h264", 0, "yuv420p", "High"), audio("aac")], false),
            (vec![video("h264", 2, "yuv420p", "High")], false),
            (vec![video("h264", 0, "yuv422p", "High 4:2:2")], false),
            (vec![video("h264", 0, "yuv420p10le", "High 10")], false),
            (vec![video("hevc", 0, "yuv420p", "Main")], false),
            (vec![audio("opus")], false),
        ] {
            let found = facts(&json!({"streams": streams, "format": {"duration": "12.5"}}));
            assert_eq!((found.fits_webrtc, found.duration), (fits, Some(12.5)), "{streams:?}");
        }
    }
}
