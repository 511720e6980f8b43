//! Marker segments (T.81, B.1.1.4).

/// The next marker and its segment, without its length. `data` is then what follows.
pub(super) fn next_segment<'a>(data: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    // Any number of fill bytes may stand before a marker (T.81, B.1.1.2).
    let fill = data.iter().take_while(|byte| **byte == 0xFF).count();
    let (&[marker, high, low], rest) = data.get(fill..)?.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(2)?;
    let (segment, rest) = rest.split_at_checked(length)?;
    *data = rest;
    (fill > 0).then_some((marker, segment))
}
