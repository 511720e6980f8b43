//! Properties that NAL units, parameter sets and slice headers must have for every input.

use super::{
    bits::Reader,
    idr::{Fields, both},
    nal::{Kind, escape, split, unescape},
    sps::{Sps, is_b_slice},
};

/// A baseline parameter set with four bits of `frame_num`.
const SPS: [u8; 5] = [0x67, 66, 0, 30, 0xC0];

pub(crate) fn hold(data: &[u8]) {
    escapes(data);
    splits(data);
    let Some((head, payload)) = data.split_first() else { return };
    let again = [&[*head], &*escape(&unescape(payload))].concat();
    assert_eq!(Sps::read(data), Sps::read(&again), "emulation prevention is no content");
    is_b_slice_by_its_beginning(data, payload);
    alternates(data);
}

/// Escaping hides every start code, adds at most half, and can be undone.
fn escapes(payload: &[u8]) {
    let escaped = escape(payload);
    assert!(!escaped.windows(3).any(|bytes| bytes[0] == 0 && bytes[1] == 0 && bytes[2] < 3), "a start code shows");
    assert!(escaped.len() <= payload.len() + payload.len() / 2, "{} bytes of {}", escaped.len(), payload.len());
    assert_eq!(unescape(&escaped), payload);
}

/// Splitting returns valid NALs, which are found again after start codes of either length.
fn splits(stream: &[u8]) {
    let nals: Vec<_> = split(stream).collect();
    assert!(nals.iter().map(|nal| nal.len() + 3).sum::<usize>() <= stream.len() + 3, "bytes are in one NAL at most");
    for nal in &nals {
        assert!(nal.last().is_some_and(|last| *last != 0), "no NAL is empty or ends in a zero");
        assert!(!nal.windows(3).any(|bytes| bytes == [0, 0, 1]), "no NAL holds a start code");
    }
    for code in [&[0, 0, 1][..], &[0, 0, 0, 1]] {
        let joined: Vec<u8> = nals.iter().flat_map(|nal| code.iter().chain(*nal).copied()).collect();
        assert_eq!(split(&joined).collect::<Vec<_>>(), nals);
    }
}

/// The first bytes give the same result as the whole slice.
fn is_b_slice_by_its_beginning(nal: &[u8], payload: &[u8]) {
    let payload = unescape(payload);
    let mut bits = Reader::new(&payload);
    let slice_type = bits.ue().and_then(|_| bits.ue());
    assert_eq!(is_b_slice(nal), matches!(slice_type, Some(1 | 6)), "slice_type {slice_type:?}");
}

/// The two forms of an IDR slice are IDR slices that differ, and each has the same two forms.
fn alternates(slice: &[u8]) {
    let fields = || Fields::of(&SPS).expect("a baseline parameter set");
    let Some(forms) = both(slice, fields()) else { return };
    assert_ne!(forms[0], forms[1]);
    for form in &forms {
        assert_eq!(Kind::of(form), Some(Kind::Idr));
        assert_eq!(both(form, fields()).as_ref(), Some(&forms));
    }
}
