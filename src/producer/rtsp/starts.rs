//! [`Starts`]: where decoding begins. OpenH264 begins at IDR pictures only. Video without them (open groups of pictures, intra
//! refresh) is for ffmpeg, which begins at recovery points as well.

use crate::rtsp_client::{Codec, Start};

/// The kind of video, for the reason of ffmpeg.
pub(super) const NO_IDR: &str = "H.264 without IDR pictures";

/// Pictures without one to begin with after which the reason says so: ten seconds at 15 a second.
pub(super) const LONG_WAIT: u32 = 150;

/// Recovery points since the last IDR picture after which no other one is expected soon.
const ENOUGH: u32 = 3;

/// What to do with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing else than before.
    Keep,
    /// Use ffmpeg, because the other decoder does not begin here, and would have to wait.
    Change,
}

/// What a stream has had so far.
#[derive(Debug)]
pub(super) struct Starts {
    codec: Codec,
    has_key: bool,
    recoveries: u32,
    waited: u32,
    /// Pictures become correct step by step after a recovery point, so that single pictures cannot be decoded alone.
    pub(super) are_gradual: bool,
}

impl Starts {
    pub(super) fn new(codec: Codec) -> Self {
        Starts { codec, has_key: false, recoveries: 0, waited: 0, are_gradual: false }
    }

    /// Takes note of a picture. `is_waiting` if decoding does not go on without a picture to begin with, `is_ffmpeg` if ffmpeg decodes.
    pub(super) fn see(&mut self, start: Start, is_waiting: bool, is_ffmpeg: bool) -> Step {
        match start {
            Start::Key => {
                (self.has_key, self.recoveries, self.waited, self.are_gradual) = (true, 0, 0, false);
            }
            Start::Recovery(frames) if is_ffmpeg => {
                self.waited = 0;
                self.are_gradual = frames > 0;
            }
            Start::Recovery(_) => {
                self.recoveries += 1;
                if is_waiting && (!self.has_key || self.recoveries >= ENOUGH) {
                    return Step::Change;
                }
            }
            Start::No if is_waiting && !self.has_key => self.waited = self.waited.saturating_add(1),
            Start::No => {}
        }
        Step::Keep
    }

    /// Whether the last picture was the one after which the reason names the cause.
    pub(super) fn has_waited_long(&self) -> bool {
        self.waited == LONG_WAIT
    }

    /// The name of the codec.
    pub(super) fn codec_name(&self) -> &'static str {
        match self.codec {
            Codec::H264 => "H.264",
            Codec::H265 => "H.265",
            Codec::Jpeg => "MJPEG",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sees units: `K` an IDR picture, `r` a recovery point, `d` another unit. Returns the step at the last one.
    fn step(units: &str, is_waiting: bool, is_ffmpeg: bool) -> Step {
        let mut starts = Starts::new(Codec::H264);
        let see = |unit| match unit {
            'K' => starts.see(Start::Key, is_waiting, is_ffmpeg),
            'r' => starts.see(Start::Recovery(0), is_waiting, is_ffmpeg),
            _ => starts.see(Start::No, is_waiting, is_ffmpeg),
        };
        units.chars().map(see).last().expect("a unit")
    }

    #[test]
    fn the_first_recovery_point_begins_a_stream_that_has_had_no_idr_picture() {
        for (units, is_waiting, expected) in [
            ("ddr", true, Step::Change),
            ("K", true, Step::Keep),
            ("Kr", true, Step::Keep),
            ("Krdrdr", true, Step::Change),
            ("KrrKr", true, Step::Keep),
            ("Krdrdrdrdr", false, Step::Keep),
        ] {
            assert_eq!(step(units, is_waiting, false), expected, "{units}");
            assert_eq!(step(units, is_waiting, true), Step::Keep, "{units} by ffmpeg");
        }
    }

    #[test]
    fn a_stream_without_a_beginning_is_reported_once() {
        let mut starts = Starts::new(Codec::H264);
        let reported = (0..3 * LONG_WAIT).filter(|_| {
            starts.see(Start::No, true, false);
            starts.has_waited_long()
        });
        assert_eq!(reported.count(), 1);
    }
}
