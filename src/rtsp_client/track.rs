//! [`Track`]: one medium of a description, such as the video of a camera.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

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
