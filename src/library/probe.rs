//! The codecs and size of a video, found by ffprobe if it is installed.

use std::{os::fd::OwnedFd, process::Stdio};

use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
    time::{Duration, timeout},
};
use utoipa::ToSchema;

use super::{
    Content, Library, Location,
    formats::{HEAD, MEDIA_FORMATS, list_in},
};
use crate::error::{Code, Error, Result};

/// Timeout of ffprobe.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The codecs, size and length of a video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Facts {
    /// Length in seconds.
    pub duration: Option<f64>,
    /// Video codec, such as `h264`; none without video.
    pub video: Option<String>,
    /// Audio codec, such as `aac`; none without sound.
    pub audio: Option<String>,
    /// Width in pixels.
    pub width: Option<u64>,
    /// Height in pixels.
    pub height: Option<u64>,
    /// Whether browsers play it by WebRTC as it is: H.264 4:2:0 with 8 bits and without B-frames, and Opus or no sound.
    pub fits_webrtc: bool,
}

impl Facts {
    /// Codec, width and height of the video, if all are known.
    pub fn picture(&self) -> Option<(&str, u64, u64)> {
        Some((self.video.as_deref()?, self.width.filter(|n| *n > 0)?, self.height.filter(|n| *n > 0)?))
    }
}

/// Most bytes of its report. A file can have tags of any size.
const MOST_OF_REPORT: u64 = 1 << 20;

/// Processes of ffprobe at a time.
static PROCESSES: Semaphore = Semaphore::const_new(4);

/// Most bytes of a file on a NAS that ffprobe gets. It reads them as a stream, without seeking.
const MOST_OF_STREAM: usize = 16 << 20;

/// Runs ffprobe. The file is its standard input, so that no command line has its name. A list of addresses that claims to be
/// a media file is refused, and ffprobe opens nothing else.
pub async fn probe(library: &Library, location: &Location) -> Result<Facts> {
    let turn = timeout(TIMEOUT, PROCESSES.acquire()).await;
    let _turn = turn.map_err(|_| Error::new(Code::Unavailable, "other files are being examined; retry later"))?;
    let content = library.open(location, None).await?;
    let mut command = tokio::process::Command::new("ffprobe");
    let (head, input, remote) = match content {
        // The file is a regular one, which was checked when it was opened, so that ffprobe does not wait for a FIFO.
        Content::File(file) => {
            let head = file.read_at(0, HEAD).await?;
            (head, Stdio::from(OwnedFd::from(file.run(std::fs::File::try_clone).await?)), None)
        }
        Content::Remote(mut response) => {
            let head = response.chunk(TIMEOUT).await?.unwrap_or_default();
            (head, Stdio::piped(), Some(response))
        }
    };
    if let Some(list) = list_in(&head) {
        let message = format!("path: the content of the file is {list}, and not a picture, a video or sound");
        return Err(Error::new(Code::InvalidPath, message).in_field("path"));
    }
    command
        .args(["-v", "error", "-protocol_whitelist", "file,pipe", "-format_whitelist", MEDIA_FORMATS])
        .args(["-show_streams", "-show_format", "-of", "json", "-i", "/dev/stdin"])
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let missing = |e: std::io::Error| {
        Error::new(Code::Unavailable, format!("ffprobe cannot be run: {e}; install ffmpeg, which it is a part of"))
    };
    let mut child = command.spawn().map_err(missing)?;
    let input = child.stdin.take();
    let feeding = async move {
        let (Some(mut to), Some(mut from)) = (input, remote) else { return Ok(()) };
        let (mut given, mut data) = (0, head);
        // ffprobe closes its input when it knows enough.
        while to.write_all(&data).await.is_ok() {
            given += data.len();
            match from.chunk(TIMEOUT).await? {
                Some(next) if given < MOST_OF_STREAM => data = next,
                _ => break,
            }
        }
        Ok(())
    };
    let output = child.stdout.take();
    let reading = async {
        let mut report = vec![];
        match output {
            Some(output) => output.take(MOST_OF_REPORT).read_to_end(&mut report).await.map(|_| report),
            None => Ok(report),
        }
    };
    let both = async { tokio::join!(feeding, reading) };
    let done = timeout(TIMEOUT, both).await;
    let (fed, output) = done.map_err(|_| Error::new(Code::Unavailable, "ffprobe does not end in time"))?;
    fed?;
    // ffprobe writes `{}` for a file that it does not know.
    let report: Value = serde_json::from_slice(&output.map_err(missing)?)
        .map_err(|e| Error::new(Code::Unavailable, format!("the output of ffprobe is not understood: {e}")))?;
    Ok(facts(&report))
}

fn facts(report: &Value) -> Facts {
    let streams = || report["streams"].as_array().into_iter().flatten();
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
        duration: report["format"]["duration"].as_str().and_then(|text| text.parse().ok()),
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
    fn videos_that_browsers_play_by_webrtc_are_recognised() {
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
