//! Properties that reading and repairing markers must have for every input.

use super::*;

/// The end of a picture is found at every split of the data. A repaired picture is a picture, and only the repaired
/// bytes differ.
pub(crate) fn hold(data: &[u8]) {
    let end = EndFinder::default().find(data);
    let mut finder = EndFinder::default();
    let by_byte = (0..=data.len()).map(|length| finder.find(&data[..length])).find(|found| *found != Ok(None));
    assert_eq!(by_byte.unwrap_or(Ok(None)), end, "the end depends on how the data arrives");
    if let Ok(Some(end)) = end {
        let picture = &data[..end];
        assert!(picture.starts_with(&[0xFF, 0xD8]) && picture.ends_with(&[0xFF, 0xD9]));
        let read = inspect(picture);
        assert!(!matches!(read, Err(Fault::Truncated | Fault::NotJpeg)), "{read:?} although the end was found");
    }
    if let Ok(header) = inspect(data) {
        is_repaired(data, &header);
    }
}

fn is_repaired(data: &[u8], header: &Header) {
    assert!(header.width > 0 && header.height > 0 && header.components > 0 && (1..=8).contains(&header.orientation));
    assert_eq!(data[header.scan_at..header.scan_at + 2], [0xFF, 0xDA], "the scan is where the header says");

    let upright = with_upright_exif(data, header);
    assert_eq!(inspect(&upright).as_ref(), Ok(&Header { orientation: 1, ..header.clone() }), "upright");
    let changed: Vec<_> = (0..data.len()).filter(|at| data[*at] != upright[*at]).collect();
    let at = header.orientation_at.map_or(0..0, |(at, _)| at..at + 2);
    assert!(upright.len() == data.len() && changed.iter().all(|n| at.contains(n)), "bytes {changed:?} are changed");

    let repaired = with_huffman_tables(data, header);
    let tables = STANDARD_TABLES.len();
    let expected = Header { has_huffman_tables: true, scan_at: header.scan_at + tables, ..header.clone() };
    assert_eq!(inspect(&repaired), Ok(expected), "with tables");
    assert_eq!(repaired.len(), data.len() + tables);
    let end = |data: &[u8]| EndFinder::default().find(data);
    if let Ok(Some(length)) = end(data)
        && length > header.scan_at
    {
        assert_eq!(end(&repaired), Ok(Some(length + tables)), "the end has moved with the tables");
    }
}
