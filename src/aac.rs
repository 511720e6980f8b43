//! [`AudioConfig`]: what AAC says of itself before its first frame (ISO/IEC 14496-3, 1.6.2.1). A pure function.

use crate::h264::bits::Reader;

/// Sampling rates by index (ISO/IEC 14496-3, table 1.18).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

/// Object types: AAC-LC, and the two that add high frequencies (SBR) and stereo (PS) to another one.
const LC: u32 = 2;
const SBR: u32 = 5;
const PS: u32 = 29;

/// An `AudioSpecificConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioConfig {
    /// The object type, as in `mp4a.40.2`.
    pub object: u32,
    /// Samples a second, without those that SBR adds.
    pub rate: u32,
    /// The number of channels.
    pub channels: u8,
    /// Samples of a frame, at `rate`.
    pub samples: u32,
    /// The length of the configuration in bits.
    pub bits: usize,
}

impl AudioConfig {
    /// Reads a configuration. None if it is too short, or not of AAC-LC or HE-AAC: browsers play no other kind.
    pub fn read(data: &[u8]) -> Option<Self> {
        Self::read_from(&mut Reader::new(data))
    }

    /// Reads a configuration in the middle of other bits.
    pub fn read_from(bits: &mut Reader<'_>) -> Option<Self> {
        let begin = bits.position();
        let object = object_type(bits)?;
        let rate = sampling_rate(bits)?;
        let channels = match bits.bits(4)? {
            channels @ 1..=6 => channels as u8,
            7 => 8,
            // 0: a list of the channels follows, which no browser plays.
            _ => return None,
        };
        let mut core = object;
        if matches!(object, SBR | PS) {
            sampling_rate(bits)?;
            core = object_type(bits)?;
        }
        if core != LC {
            return None;
        }
        // GASpecificConfig: the length of a frame, a core coder with its delay, and extensions, which AAC-LC does not have.
        let samples = if bits.bit()? { 960 } else { 1024 };
        if bits.bit()? {
            bits.bits(14)?;
        }
        bits.bit()?;
        Some(AudioConfig { object, rate, channels, samples, bits: bits.position() - begin })
    }

    /// The configuration of AAC-LC with this rate and number of channels, for a sender that has left it out.
    pub fn write(rate: u32, channels: u8) -> Option<[u8; 2]> {
        let index = RATES.iter().position(|known| *known == rate)? as u16;
        let channels = match channels {
            1..=6 => u16::from(channels),
            8 => 7,
            _ => return None,
        };
        Some(((LC as u16) << 11 | index << 7 | channels << 3).to_be_bytes())
    }
}

fn object_type(bits: &mut Reader<'_>) -> Option<u32> {
    match bits.bits(5)? {
        31 => Some(32 + bits.bits(6)?),
        object => Some(object),
    }
}

fn sampling_rate(bits: &mut Reader<'_>) -> Option<u32> {
    let rate = match bits.bits(4)? {
        15 => bits.bits(24)?,
        index => *RATES.get(usize::try_from(index).ok()?)?,
    };
    (rate > 0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn configurations_of_encoders_are_read() {
        for (data, object, rate, channels, samples, bits) in [
            (&[0x12, 0x10][..], 2, 44_100, 2, 1024, 16),
            (&[0x11, 0x90], 2, 48_000, 2, 1024, 16),
            // ffmpeg adds that there is no SBR.
            (&[0x14, 0x08, 0x56, 0xE5, 0x00], 2, 16_000, 1, 1024, 16),
            // Frames of 960 samples.
            (&[0x11, 0x94], 2, 48_000, 2, 960, 16),
            // HE-AAC, 24 kHz and twice as much; HE-AAC of version 2.
            (&[0x2B, 0x11, 0x88, 0x00], 5, 24_000, 2, 1024, 25),
            (&[0xEB, 0x09, 0x88, 0x00], 29, 24_000, 1, 1024, 25),
            // The rate in 24 bits.
            (&[0x17, 0x80, 0x3E, 0x80, 0x08], 2, 32_000, 1, 1024, 40),
        ] {
            let expected = AudioConfig { object, rate, channels, samples, bits };
            assert_eq!(AudioConfig::read(data), Some(expected), "{data:02x?}");
        }
    }

    #[test]
    fn other_kinds_are_not_understood() {
        for data in [
            &[][..],
            &[0x12],
            // A reserved sampling rate; a rate of 0; channels in a list; AAC-LD; AAC Main.
            &[0x17, 0x10],
            &[0x17, 0x80, 0x00, 0x00, 0x08],
            &[0x12, 0x00],
            &[0xBA, 0x10, 0x00],
            &[0x0A, 0x10],
        ] {
            assert_eq!(AudioConfig::read(data), None, "{data:02x?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_configuration_reads_as_it_was(index in 0..13_usize, channels in 1..9_u8) {
            let written = AudioConfig::write(RATES[index], channels);
            prop_assert_eq!(written.is_none(), channels == 7);
            let read = written.map(|data| AudioConfig::read(&data).expect("valid"));
            prop_assert_eq!(read.map(|read| (read.object, read.rate, read.channels)), written.map(|_| (2, RATES[index], channels)));
        }
    }
}
