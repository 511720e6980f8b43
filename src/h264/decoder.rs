//! [`Decoder`]: Cisco's openh264, for what cameras send.

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

/// Turns access units into pictures. Holds some 15 MB for 1920 × 1080.
pub struct Decoder {
    inner: openh264::decoder::Decoder,
    colour: Option<Colour>,
    reorders: bool,
}

/// Why there is no picture.
#[derive(Debug)]
pub enum Failure {
    /// This decoder cannot decode such a stream at all; the words say what it is.
    Unsupported(&'static str),
    /// The unit is damaged, or something before it is missing.
    Damaged,
}

/// A decoded picture; it is in the decoder's memory until the next one.
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
    /// A decoder that has not seen anything yet.
    pub fn new() -> Result<Self> {
        Ok(Decoder { inner: fresh()?, colour: None, reorders: false })
    }

    /// Decodes an access unit in the form of a byte stream (annex B), a keyframe with its parameter sets in front.
    /// Gives the next picture to be shown, which is one of an earlier unit where pictures are reordered. Takes some
    /// 4 ms for 1920 × 1080: call it on a blocking thread.
    pub fn decode(&mut self, unit: &[u8]) -> Result<Option<Decoded<'_>>, Failure> {
        self.look(unit)?;
        // Where nothing is reordered a picture need not wait for the next one.
        let flush = if self.reorders { Flush::NoFlush } else { Flush::Flush };
        self.run(unit, flush)
    }

    /// Decodes a keyframe by itself, and gives its picture; [`Decoder::decode`] may go on from there.
    pub fn decode_single(&mut self, unit: &[u8]) -> Result<Option<Decoded<'_>>, Failure> {
        self.look(unit)?;
        if self.reorders {
            // It may hold pictures back, which would come first.
            self.inner = fresh().map_err(|_| Failure::Damaged)?;
        }
        self.run(unit, Flush::Flush)
    }

    fn look(&mut self, unit: &[u8]) -> Result<(), Failure> {
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
        let options = DecodeOptions::new().flush_after_decode(flush);
        let decoded = self.inner.decode_with_options(unit, options).map_err(|_| Failure::Damaged)?;
        Ok(decoded.map(|picture| Decoded { picture, colour: self.colour }))
    }
}

fn fresh() -> Result<openh264::decoder::Decoder> {
    openh264::decoder::Decoder::with_api_config(OpenH264API::from_source(), DecoderConfig::new())
        .map_err(|e| Error::new(Code::Internal, "the H.264 decoder cannot be started").caused_by(e.to_string()))
}

#[cfg(test)]
mod tests;
