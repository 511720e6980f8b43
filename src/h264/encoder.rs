//! [`Encoder`]: Cisco's openh264, configured so that every encoder for a canvas makes the same parameter sets.

use bytes::Bytes;
use openh264::{
    OpenH264API,
    encoder::{
        BitRate, ColorPrimaries, EncoderConfig, FrameRate, MatrixCoefficients, Profile, QpRange, RateControlMode,
        TransferCharacteristics, VuiConfig,
    },
    formats::YUVSource,
};

use super::{
    AccessUnit, Slice, idr,
    nal::{self, Kind},
};
use crate::{
    error::{Error, Result},
    picture::{Canvas, Yuv420},
};

/// The use of an encoding, which sets its quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// A picture that viewers look at for a long time: at least 40 dB PSNR, even for noise.
    Still,
    /// One of many consecutive pictures.
    Video,
}

impl Effort {
    /// The quantiser. Measured on noise, the worst case: 20 gives 41.7 dB and 22 gives 39.9 dB; photographs are 2
    /// to 8 dB better. From 26 on, artefacts are visible in motion.
    fn quantiser(self) -> u8 {
        match self {
            Effort::Still => 20,
            Effort::Video => 26,
        }
    }
}

/// Encodes pictures of one canvas to access units. Uses about 20 MB for 1920 × 1080.
pub struct Encoder {
    inner: openh264::encoder::Encoder,
    canvas: Canvas,
    /// The parameter sets of the last IDR picture, to which later pictures refer.
    sets: Option<(Bytes, Bytes)>,
}

impl Encoder {
    /// A new encoder. Its first picture is an IDR picture.
    pub fn new(canvas: Canvas, effort: Effort) -> Result<Self> {
        let quantiser = effort.quantiser();
        let config = EncoderConfig::new()
            .profile(Profile::Baseline)
            .rate_control_mode(RateControlMode::Quality)
            .qp(QpRange::new(quantiser, quantiser))
            // The encoder uses a fixed quantiser, not a rate. Without frame skipping openh264 prints a warning to
            // standard error for each encoder, so skipping is on, with a bit rate that is never reached.
            .skip_frames(true)
            .bitrate(BitRate::from_bps(288_000_000))
            .max_frame_rate(FrameRate::from_hz(30.0))
            .num_threads(1)
            .adaptive_quantization(false)
            .background_detection(false)
            .scene_change_detect(false)
            .vui(colours());
        let inner = openh264::encoder::Encoder::with_api_config(OpenH264API::from_source(), config).map_err(failed)?;
        Ok(Encoder { inner, canvas, sets: None })
    }

    /// Encodes a picture; with `idr` as an IDR picture, which refers to no other. Takes about 20 ms for 1920 ×
    /// 1080: call it on a blocking thread.
    pub fn encode(&mut self, picture: &Yuv420, idr: bool) -> Result<AccessUnit> {
        if picture.canvas() != self.canvas {
            return Err(Error::internal("a picture of another size than the encoder's", picture.canvas().to_string()));
        }
        if idr && self.sets.is_some() {
            self.inner.force_intra_frame();
        }
        let stream = self.inner.encode(&Planes(picture)).map_err(failed)?.to_vec();
        let mut slice = None;
        let (mut sps, mut pps) = (None, None);
        for nal in nal::split(&stream) {
            match Kind::of(nal) {
                Some(Kind::Sps) => sps = Some(with_level(nal, self.canvas)),
                Some(Kind::Pps) => pps = Some(Bytes::copy_from_slice(nal)),
                Some(Kind::Idr | Kind::Slice) => slice = Some(nal),
                _ => {}
            }
        }
        if let (Some(sps), Some(pps)) = (sps, pps) {
            self.sets = Some((sps, pps));
        }
        let (Some(slice), Some((sps, pps))) = (slice, self.sets.clone()) else {
            return Err(failed("the encoder gave no picture"));
        };
        let slice = if Kind::of(slice) == Some(Kind::Idr) {
            let fields = idr::Fields::of(&sps).ok_or_else(|| failed("its parameter set is not a baseline one"))?;
            let both = idr::both(slice, fields).ok_or_else(|| failed("its slice header cannot be read"))?;
            Slice::Idr(both.map(Bytes::from))
        } else {
            Slice::Delta(Bytes::copy_from_slice(slice))
        };
        Ok(AccessUnit { sps, pps, slice })
    }
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::internal("the picture cannot be encoded as H.264", why.to_string())
}

/// The colour encoding of [`Yuv420`]: sRGB with the matrix of JFIF, limited range.
fn colours() -> VuiConfig {
    VuiConfig::new()
        .color_primaries(ColorPrimaries::Bt709)
        .transfer_characteristics(TransferCharacteristics::Srgb)
        .matrix_coefficients(MatrixCoefficients::Smpte170M)
        .full_range(false)
}

/// The parameter set with the level (table A-1) that the canvas needs at 30 pictures a second. openh264 derives the
/// level from the configured bit rate, and hardware decoders refuse levels above their own.
fn with_level(sps: &[u8], canvas: Canvas) -> Bytes {
    let mut sps = sps.to_vec();
    // profile_idc, constraint flags, level_idc: they are never zero, so there is no emulation prevention here.
    if let Some(level) = sps.get_mut(3) {
        *level = level_idc(canvas);
    }
    sps.into()
}

fn level_idc(canvas: Canvas) -> u8 {
    /// Level, most macroblocks in a picture, most macroblocks a second.
    const LEVELS: [(u8, u32, u32); 7] = [
        (30, 1620, 40_500),
        (31, 3600, 108_000),
        (32, 5120, 216_000),
        (40, 8192, 245_760),
        (42, 8704, 522_240),
        (50, 22_080, 589_824),
        (51, 36_864, 983_040),
    ];
    let (across, down) = (canvas.width().div_ceil(16), canvas.height().div_ceil(16));
    let blocks = across * down;
    let fits = |(_, picture, second): &&(u8, u32, u32)| {
        // No side exceeds the square root of eight times the picture's limit (A.3.1).
        blocks <= *picture && 30 * blocks <= *second && across.max(down).pow(2) <= 8 * picture
    };
    LEVELS.iter().find(fits).map_or(52, |(level, _, _)| *level)
}

struct Planes<'a>(&'a Yuv420);

impl YUVSource for Planes<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.canvas().width() as usize, self.0.canvas().height() as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let width = self.0.canvas().width() as usize;
        (width, width / 2, width / 2)
    }

    fn y(&self) -> &[u8] {
        self.0.plane(0)
    }

    fn u(&self) -> &[u8] {
        self.0.plane(1)
    }

    fn v(&self) -> &[u8] {
        self.0.plane(2)
    }
}

#[cfg(test)]
mod tests;
