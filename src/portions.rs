//! The ways in which the same bytes can arrive from a network; for tests of code that reads them.

use xxhash_rust::xxh3::xxh3_64;

/// An input of up to so many bytes is cut in two at every place, and a longer one at six places: a fuzzer tries many inputs.
const SHORT: usize = 64;

/// All at once, byte by byte (unless the input is long), in portions of seven bytes, in two portions, and in uneven portions. The places depend on the bytes alone, so
/// that a failure can be repeated.
pub(crate) fn ways(data: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let places: Vec<usize> = match data.len() {
        0..=SHORT => (1..data.len()).collect(),
        long => (0..6).map(|n| number(data, n) % long).collect(),
    };
    let smallest = if data.len() <= 8 * SHORT { 1 } else { 13 };
    [vec![data], data.chunks(smallest).collect(), data.chunks(7).collect(), uneven(data)]
        .into_iter()
        .chain(places.into_iter().map(|at| vec![&data[..at], &data[at..]]))
}

/// Portions of 1 to 64 bytes.
pub(crate) fn uneven(data: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut portions) = (data, vec![]);
    while !rest.is_empty() {
        let (portion, behind) = rest.split_at((1 + number(data, rest.len()) % 64).min(rest.len()));
        portions.push(portion);
        rest = behind;
    }
    portions
}

/// A number that depends on the bytes and on `n`.
fn number(data: &[u8], n: usize) -> usize {
    // The lower bits are as good as any other.
    (xxh3_64(data) ^ xxh3_64(&n.to_le_bytes())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_brings_the_same_bytes() {
        for length in [0, 1, 2, SHORT, SHORT + 1, 1000_usize] {
            let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let all: Vec<_> = ways(&data).collect();
            assert!(all.iter().all(|portions| portions.concat() == data), "{length} bytes");
            assert!(all.len() > length.min(6), "{} ways for {length} bytes", all.len());
        }
    }
}
