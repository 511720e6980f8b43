//! [`Decoder`]: decodes the H.264 of cameras with Cisco's openh264.

use openh264::{
    OpenH264API,
    decoder::{DecodeOptions, DecodedYUV, DecoderConfig, Flush},
    formats::YUVSource,
};

use super::{
    nal::{self, Kind},
    sps::{Sps, is_b_slice},
};
use crate::{
    error::{Code, Error, Result},
    picture::{Colour, Planes},
};

/// Decodes access units to pictures. Uses about 15 MB for 1920 × 1080.
pub struct Decoder {
    inner: openh264::decoder::Decoder,
    colour: Option<Colour>,
    reorders: bool,
    must_restart: bool,
}

/// Why decoding gave no picture.
#[derive(Debug)]
pub enum Failure {
    /// The decoder cannot decode such a stream at all; the text says what the stream is.
    Unsupported(&'static str),
    /// The unit is damaged, or a unit before it is missing.
    Damaged,
}

/// A decoded picture, in the decoder's memory until the next one.
pub struct Decoded<'a> {
    picture: DecodedYUV<'a>,
    colour: Option<Colour>,
}

impl Decoded<'_> {
    /// Its planes.
    pub fn planes(&self) -> Planes<'_> {
        let ((width, height), (y, u, v)) = (self.picture.dimensions(), self.picture.strides());
        let samples = [self.picture.y(), self.picture.u(), self.picture.v()];
        let colour = self.colour.unwrap_or(Colour::usual(height));
        Planes { width, height, samples, strides: [y, u, v], colour }
    }
}

impl Decoder {
    /// A new decoder.
    pub fn new() -> Result<Self> {
        Ok(Decoder { inner: fresh()?, colour: None, reorders: false, must_restart: false })
    }

    /// Whether the coding order of pictures can differ from their display order.
    pub fn reorders(&self) -> bool {
        self.reorders
    }

    /// Decodes an access unit in the form of a byte stream (annex B); a keyframe includes its parameter sets.
    /// Returns the next picture in display order, which belongs to an earlier unit if the stream reorders pictures.
    /// Takes about 4 ms for 1920 × 1080: call it on a blocking thread.
    pub fn decode(&mut self, unit: &[u8]) -> Result<Option<Decoded<'_>>, Failure> {
        self.inspect(unit)?;
        // Without reordering, a picture does not have to wait for the next one.
        let flush = if self.reorders { Flush::NoFlush } else { Flush::Flush };
        self.run(unit, flush)
    }

    /// Decodes a keyframe alone and returns its picture. [`Decoder::decode`] can continue with the units after it.
    pub fn decode_single(&mut self, unit: &[u8]) -> Result<Option<Decoded<'_>>, Failure> {
        self.inspect(unit)?;
        if self.reorders {
            // The decoder can hold back pictures, which would be returned first.
            self.inner = fresh().map_err(|_| Failure::Damaged)?;
        }
        self.run(unit, Flush::Flush)
    }

    /// Notes what an access unit tells of its stream, without decoding it. True if decoding can go on behind it, because no
    /// other picture refers to it.
    pub fn can_pass_over(&mut self, unit: &[u8]) -> Result<bool, Failure> {
        self.inspect(unit)?;
        Ok(nal::is_disposable(unit))
    }

    fn inspect(&mut self, unit: &[u8]) -> Result<(), Failure> {
        for nal in nal::split(unit) {
            match Kind::of(nal) {
                Some(Kind::Sps) => {
                    let Some(sps) = Sps::read(nal) else { continue };
                    if let Some(obstacle) = sps.obstacle {
                        return Err(Failure::Unsupported(obstacle));
                    }
                    self.colour = Some(sps.colour);
                    self.reorders |= sps.reorders;
                }
                Some(Kind::Slice) => {
                    self.reorders |= is_b_slice(nal);
                    break;
                }
                Some(Kind::Idr) => break,
                _ => {}
            }
        }
        Ok(())
    }

    fn run(&mut self, unit: &[u8], flush: Flush) -> Result<Option<Decoded<'_>>, Failure> {
        if self.must_restart {
            self.inner = fresh().map_err(|_| Failure::Damaged)?;
            self.must_restart = false;
        }
        let options = DecodeOptions::new().flush_after_decode(flush);
        match self.inner.decode_with_options(unit, options) {
            Ok(decoded) => Ok(decoded.map(|picture| Decoded { picture, colour: self.colour })),
            Err(_) => {
                // After half a picture the decoder refuses the next keyframes, too.
                self.must_restart = true;
                Err(Failure::Damaged)
            }
        }
    }
}

fn fresh() -> Result<openh264::decoder::Decoder> {
    openh264::decoder::Decoder::with_api_config(OpenH264API::from_source(), DecoderConfig::new())
        .map_err(|e| Error::new(Code::Internal, "the H.264 decoder cannot be started").caused_by(e.to_string()))
}

#[cfg(test)]
mod tests;
