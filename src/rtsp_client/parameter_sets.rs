//! [`ParameterSets`]: the newest parameter sets of a track, from the description and from the stream.

use bytes::{Bytes, BytesMut};

use super::track::Codec;
use crate::h264::{bits, nal};

/// Most sets kept. Cameras use one of each kind; the standards permit 16, 32 and 256.
const MAX_SETS: usize = 64;

/// Most bytes of a set. Sets have tens of bytes; one with scaling lists has a few hundred.
const MAX_SET: usize = 16 << 10;

/// Kind and id of a set, in the order of sending: VPS, SPS, PPS.
type Key = (u8, u32);

/// Sets by kind and id. A new set replaces the one with its id (H.264, 7.4.1.2.1).
#[derive(Debug)]
pub(super) struct ParameterSets {
    is_h265: bool,
    sets: Vec<(Key, Bytes)>,
}

impl ParameterSets {
    /// With the sets of a description. Firmware puts start codes into them, and other kinds of NAL.
    pub(super) fn new(codec: Codec, described: &[Bytes]) -> Self {
        let mut sets = ParameterSets { is_h265: codec == Codec::H265, sets: vec![] };
        for described in described {
            let has_start_code = described.starts_with(&[0, 0, 1]) || described.starts_with(&[0, 0, 0, 1]);
            if has_start_code {
                for nal in nal::split(described) {
                    sets.take(&described.slice_ref(nal));
                }
            } else {
                sets.take(described);
            }
        }
        sets
    }

    /// Takes a NAL if it is a parameter set, and returns whether it is one.
    pub(super) fn take(&mut self, nal: &Bytes) -> bool {
        let Some(kind) = self.kind(nal) else { return false };
        if nal.len() <= MAX_SET {
            let key = (kind, self.id(kind, nal).unwrap_or_default());
            match self.sets.binary_search_by_key(&key, |(key, _)| *key) {
                Ok(at) => self.sets[at].1 = nal.clone(),
                Err(at) if self.sets.len() < MAX_SETS => self.sets.insert(at, (key, nal.clone())),
                Err(_) => {}
            }
        }
        true
    }

    /// Whether a decoder can begin.
    pub(super) fn are_complete(&self) -> bool {
        let has = |kind| self.sets.iter().any(|((known, _), _)| *known == kind);
        has(1) && has(2) && (has(0) || !self.is_h265)
    }

    /// Appends all sets with start codes.
    pub(super) fn write(&self, out: &mut BytesMut) {
        for (_, set) in &self.sets {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend_from_slice(set);
        }
    }

    /// Number of bytes that [`ParameterSets::write`] appends.
    pub(super) fn size(&self) -> usize {
        self.sets.iter().map(|(_, set)| 4 + set.len()).sum()
    }

    /// 0 for a VPS, 1 for an SPS, 2 for a PPS.
    fn kind(&self, nal: &[u8]) -> Option<u8> {
        let first = *nal.first()?;
        match (self.is_h265, first & 31, first >> 1 & 63) {
            (false, 7, _) | (true, _, 33) => Some(1),
            (false, 8, _) | (true, _, 34) => Some(2),
            (true, _, 32) => Some(0),
            _ => None,
        }
    }

    fn id(&self, kind: u8, nal: &[u8]) -> Option<u32> {
        let header = if self.is_h265 { 2 } else { 1 };
        let payload = nal::unescape(nal.get(header..nal.len().min(160))?);
        let mut bits = bits::Reader::new(&payload);
        match (self.is_h265, kind) {
            (true, 0) => bits.bits(4),
            // profile_idc, constraint flags, level_idc.
            (false, 1) => bits.bits(24).and_then(|_| bits.ue()),
            (true, 1) => {
                bits.bits(4)?;
                let layers = bits.bits(3)?;
                bits.bits(1)?;
                // profile_tier_level (H.265, 7.3.3): 88 bits of profile and 8 of level; then two flags for each layer.
                skip(&mut bits, 96)?;
                let flags: Vec<_> = (0..layers).map(|_| Some((bits.bit()?, bits.bit()?))).collect::<Option<_>>()?;
                if layers > 0 {
                    skip(&mut bits, 2 * (8 - layers))?;
                }
                for (has_profile, has_level) in flags {
                    skip(&mut bits, 88 * u32::from(has_profile) + 8 * u32::from(has_level))?;
                }
                bits.ue()
            }
            _ => bits.ue(),
        }
    }
}

fn skip(bits: &mut bits::Reader<'_>, n: u32) -> Option<()> {
    (0..n).try_for_each(|_| bits.bit().map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sets: &ParameterSets) -> Vec<u8> {
        let mut out = BytesMut::new();
        sets.write(&mut out);
        assert_eq!(out.len(), sets.size());
        out.to_vec()
    }

    #[test]
    fn a_new_set_replaces_the_one_with_its_id() {
        // Identifiers 0 and 1 in Exp-Golomb codes: the bits 1 and 010.
        let (sps, other_sps) = (b"\x67\x42\xC0\x1E\x80", b"\x67\x42\xC0\x1F\x81");
        let (pps, pps_1) = (b"\x68\x80", b"\x68\x40");
        let mut sets = ParameterSets::new(Codec::H264, &[Bytes::from_static(pps), Bytes::from_static(sps)]);
        assert!(sets.are_complete());
        assert_eq!(written(&sets), [&[0, 0, 0, 1][..], sps, &[0, 0, 0, 1], pps].concat(), "an SPS is before its PPS");
        assert!(sets.take(&Bytes::from_static(other_sps)) && sets.take(&Bytes::from_static(pps_1)));
        let expected = [&[0, 0, 0, 1][..], other_sps, &[0, 0, 0, 1], pps, &[0, 0, 0, 1], pps_1].concat();
        assert_eq!(written(&sets), expected);
        assert!(!sets.take(&Bytes::from_static(b"\x65\x88")) && !sets.take(&Bytes::new()));
    }

    #[test]
    fn described_sets_can_have_start_codes_and_can_be_incomplete() {
        let described = Bytes::from_static(b"\0\0\0\x01\x67\x42\xC0\x1E\x80\0\0\x01\x68\x80");
        assert!(ParameterSets::new(Codec::H264, &[described]).are_complete());
        assert!(!ParameterSets::new(Codec::H264, &[Bytes::from_static(b"\x67\x42\xC0\x1E\x80")]).are_complete());
        assert!(!ParameterSets::new(Codec::H265, &[]).are_complete());
    }
}
