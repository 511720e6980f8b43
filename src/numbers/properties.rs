//! The properties of what foreign programs send as numbers.

use super::{MAX_SERIES_NAME, Selector, SeriesName, exposition, line_protocol, read};

/// Panics if one of the readers gives a number or a name that it must not give.
pub fn hold(data: &[u8]) {
    let mut samples = vec![];
    for kind in ["", "text/csv", "application/json"] {
        samples.extend(read::body(data, kind, "value").unwrap_or_default());
    }
    for precision in ["ns", "s", "h"].map(|word| line_protocol::Precision::parse(word).unwrap_or_default()) {
        let read = line_protocol::lines(data, precision);
        assert_eq!(read.wrong > 0, read.reason.is_some());
        samples.extend(read.samples);
    }
    let text = String::from_utf8_lossy(data);
    let first = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    if let Ok(selector) = first.parse::<Selector>() {
        samples.extend(exposition::page(&text, &[selector]));
    }
    for sample in samples {
        assert!(!sample.value.is_infinite());
        assert!(sample.series.len() <= MAX_SERIES_NAME);
        let name: Result<SeriesName, _> = sample.series.parse();
        assert_eq!(name.map(|name| name.to_string()), Ok(sample.series));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_hold(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::hold(&data);
        }

        #[test]
        fn what_looks_like_line_protocol_holds(text in r#"([a-z]{1,3}|[,= \\"{}#\n]|[0-9.eiut+-]{1,4}|µ){0,40}"#) {
            super::hold(text.as_bytes());
        }
    }
}
