//! Times of points: microseconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

/// A second in microseconds.
pub const SECOND: i64 = 1_000_000;

/// The clock of this machine.
pub fn now() -> i64 {
    of(SystemTime::now())
}

/// A time of the system.
pub fn of(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A number in seconds, milliseconds, microseconds or nanoseconds. Its size tells which: seconds reach 10¹¹ in the year 5138, and
/// milliseconds were there in 1973.
pub fn of_number(number: f64) -> Option<i64> {
    let factor = match number.abs() {
        n if !n.is_finite() => return None,
        n if n < 1e11 => 1e6,
        n if n < 1e14 => 1e3,
        n if n < 1e17 => 1.0,
        _ => 1e-3,
    };
    Some((number * factor).round() as i64)
}

/// A number as for [`of_number`], or a date such as `2026-11-26T12:00:00Z` (RFC 3339; without a zone it is UTC).
pub fn of_text(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return of_number(number);
    }
    Some(crate::units::timestamp(text)?.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_number_tells_its_unit() {
        let expected = 1_700_000_000_250_000;
        for text in [
            "1700000000.25",
            "1700000000250",
            "1700000000250000",
            "1700000000250000000",
            "2023-11-14T22:13:20.25Z",
            "2023-11-14T23:13:20.25+01:00",
            "2023-11-14 22:13:20.25",
        ] {
            assert_eq!(of_text(text), Some(expected), "{text}");
        }
        for text in ["", "soon", "NaN", "inf", "2023-13-01T00:00:00Z"] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }
}
