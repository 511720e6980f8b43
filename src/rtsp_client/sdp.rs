//! Reads descriptions (SDP, RFC 8866) leniently: a line that is not understood is ignored, and no line is required but `m=`.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use super::sound::SoundTrack;

/// Most tracks. Cameras have video, audio, a back channel and metadata.
const MAX_TRACKS: usize = 32;

/// Firmware pads base64 or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The codec of a video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// RFC 6184.
    H264,
    /// RFC 7798.
    H265,
    /// RFC 2435.
    Jpeg,
}

/// One medium of a description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// `video`, `audio`, `application`…, in lower case.
    pub media: String,
    /// The RTP payload type.
    pub payload_type: u8,
    /// The name of the encoding as the camera writes it, such as `H264`; empty if it has none.
    pub encoding: String,
    /// Ticks of the RTP time a second; 0 if unknown.
    pub clock_rate: u32,
    /// Channels of sound; 0 if unknown.
    pub channels: u8,
    /// Whether it takes sound and sends none: the way to a camera's loudspeaker.
    pub is_back_channel: bool,
    /// The control attribute; empty if there is none.
    pub control: String,
    /// Parameters of the format, with names in lower case.
    pub format: Vec<(String, String)>,
    /// Width and height, if an attribute has them.
    pub size: Option<(u32, u32)>,
}

/// A description.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Description {
    /// The session's control attribute; empty if there is none.
    pub(super) control: String,
    pub(super) tracks: Vec<Track>,
}

impl Track {
    /// The codec, if it can be read here. Without a name of the encoding the parameters tell it.
    pub fn codec(&self) -> Option<Codec> {
        match self.encoding.to_ascii_uppercase().as_str() {
            "H264" | "AVC" | "H.264" => Some(Codec::H264),
            "H265" | "HEVC" | "H.265" => Some(Codec::H265),
            "JPEG" => Some(Codec::Jpeg),
            "" if self.payload_type == 26 => Some(Codec::Jpeg),
            "" if self.parameter("sprop-sps").is_some() => Some(Codec::H265),
            "" if self.parameter("sprop-parameter-sets").is_some() => Some(Codec::H264),
            _ => None,
        }
    }

    /// A parameter of the format.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.format.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The parameter sets that the description has, in its order. Sets that are not base64 are left out.
    pub fn parameter_sets(&self) -> Vec<Bytes> {
        let names = ["sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets"];
        let lists = names.iter().filter_map(|name| self.parameter(name));
        let sets = lists.flat_map(|list| list.split(',')).filter_map(|set| BASE64.decode(set.trim()).ok());
        sets.filter(|set| !set.is_empty()).map(Bytes::from).collect()
    }
}

/// What is known of one medium while its lines are read.
#[derive(Default)]
struct Medium {
    track: Track,
    payload_types: Vec<u8>,
    /// `a=rtpmap` and `a=fmtp`: the payload type, and the rest.
    maps: Vec<(Option<u8>, String)>,
    formats: Vec<(Option<u8>, String)>,
}

impl Medium {
    fn new(value: &str) -> Self {
        let mut words = value.split_whitespace();
        let media = words.next().unwrap_or_default().to_ascii_lowercase();
        // The port, which may be any text, and the profile.
        let payload_types = words.skip(2).filter_map(|word| word.parse().ok()).collect();
        Medium { track: Track { media, ..Track::default() }, payload_types, ..Medium::default() }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let numbered = |value: &str| {
            let value = value.trim();
            let (number, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
            (number.parse().ok(), rest.trim().to_owned())
        };
        match name {
            "rtpmap" => self.maps.push(numbered(value)),
            "fmtp" => self.formats.push(numbered(value)),
            "control" => value.trim().clone_into(&mut self.track.control),
            // `a=framesize:96 640-480`, and the form of Axis, `a=x-dimensions:640,480`.
            "framesize" => self.track.size = size(&numbered(value).1),
            "x-dimensions" => self.track.size = size(value),
            "sendonly" => self.track.is_back_channel = true,
            _ => {}
        }
    }

    fn finish(self) -> Track {
        let Medium { mut track, payload_types, maps, formats } = self;
        // An entry for a payload type; else the only one, whose number firmware has written wrong.
        let of = |list: &[(Option<u8>, String)], payload_type: u8| {
            let exact = list.iter().find(|(number, _)| *number == Some(payload_type));
            exact.or_else(|| list.first().filter(|_| list.len() == 1)).map(|(_, text)| text.clone())
        };
        let listed = maps.iter().filter_map(|(number, _)| *number);
        let candidates: Vec<u8> = if payload_types.is_empty() { listed.collect() } else { payload_types };
        let candidates = if candidates.is_empty() { vec![96] } else { candidates };
        for payload_type in candidates {
            let mut read = Track { payload_type, ..track.clone() };
            let map = of(&maps, payload_type).unwrap_or_default();
            let mut parts = map.split('/').map(str::trim);
            parts.next().unwrap_or_default().clone_into(&mut read.encoding);
            read.clock_rate = parts.next().and_then(|rate| rate.parse().ok()).unwrap_or_default();
            read.channels = parts.next().and_then(|channels| channels.parse().ok()).unwrap_or_default();
            read.format = parameters(&of(&formats, payload_type).unwrap_or_default());
            let is_usable = read.codec().is_some() || SoundTrack::of(&read).is_some();
            if is_usable || track.encoding.is_empty() {
                track = read;
            }
            if is_usable {
                break;
            }
        }
        track
    }
}

impl Description {
    /// Reads a description.
    pub(super) fn read(data: &[u8]) -> Self {
        let mut description = Description::default();
        let mut medium: Option<Medium> = None;
        for line in data.split(|b| matches!(b, b'\n' | b'\r')) {
            let line = String::from_utf8_lossy(line);
            let Some((kind, value)) = line.trim_matches(['\0', ' ', '\t']).split_once('=') else { continue };
            match (kind.trim(), &mut medium) {
                ("m", _) => {
                    description.tracks.extend(medium.replace(Medium::new(value)).map(Medium::finish));
                    if description.tracks.len() >= MAX_TRACKS {
                        return description;
                    }
                }
                ("a", medium) => {
                    let (name, value) = value.split_once(':').unwrap_or((value, ""));
                    let name = name.trim().to_ascii_lowercase();
                    match medium {
                        Some(medium) => medium.attribute(&name, value),
                        None if name == "control" => value.trim().clone_into(&mut description.control),
                        None => {}
                    }
                }
                _ => {}
            }
        }
        description.tracks.extend(medium.map(Medium::finish));
        description
    }

    /// The track to play: the first video that can be read here.
    pub(super) fn video(&self) -> Option<&Track> {
        let readable = |track: &&Track| track.codec().is_some();
        self.tracks.iter().filter(|track| track.media == "video").find(readable).or_else(|| {
            // Firmware writes other words for the kind of medium.
            self.tracks.iter().filter(|track| track.media != "audio").find(readable)
        })
    }

    /// The sound to play: the first that can be read here.
    pub(super) fn sound(&self) -> Option<(&Track, SoundTrack)> {
        let mut sounds = self.tracks.iter().filter(|track| track.media == "audio" && !track.is_back_channel);
        sounds.find_map(|track| Some((track, SoundTrack::of(track)?)))
    }

    /// The encodings of the video tracks, or of the audio tracks, for errors and notes.
    pub(super) fn encodings(&self, media: &str) -> Vec<String> {
        let name = |track: &Track| match (track.encoding.as_str(), track.payload_type) {
            // The types that need no name (RFC 3551, section 6).
            ("", 0) => "PCMU".into(),
            ("", 8) => "PCMA".into(),
            ("", number) => format!("payload type {number}"),
            (name, _) => super::failure::quoted(name.to_ascii_uppercase().as_bytes()),
        };
        self.tracks.iter().filter(|track| track.media == media && !track.is_back_channel).map(name).collect()
    }
}

fn parameters(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(';').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let pairs =
        pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()));
    pairs.filter(|(name, _)| !name.is_empty()).collect()
}

fn size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once(['-', ',', 'x'])?;
    Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
}

#[cfg(test)]
mod tests;
