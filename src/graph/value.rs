//! Numbers as text, with unit and prefix.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How large and small numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = GraphPrefix)]
pub enum Prefix {
    /// `si` for bytes, bits, watts, hertz and seconds, and for large numbers without a unit; none for others such as % and °C.
    #[default]
    Auto,
    /// The number as it is.
    None,
    /// k, M, G… of 1000, and m, µ, n.
    Si,
    /// Ki, Mi, Gi… of 1024.
    Iec,
}

const SI: [(&str, f64); 10] = [
    ("n", 1e-9),
    ("µ", 1e-6),
    ("m", 1e-3),
    ("", 1.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

const IEC: [(&str, f64); 7] = [
    ("", 1.0),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

/// Units that have prefixes in daily use.
const PREFIXED: [&str; 16] =
    ["B", "B/s", "Bps", "bit", "bit/s", "b/s", "bps", "W", "Wh", "VA", "Hz", "s", "V", "A", "Pa", "Ω"];

/// A prefix, a unit, and how many digits behind the point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Format {
    unit: String,
    prefix: Prefix,
}

impl Format {
    pub(super) fn new(unit: &str, prefix: Prefix) -> Self {
        Format { unit: unit.to_owned(), prefix }
    }

    /// Whether steps of an axis are powers of two.
    pub(super) fn is_binary(&self) -> bool {
        self.prefix == Prefix::Iec
    }

    /// The prefix for numbers up to this size.
    fn prefix_for(&self, largest: f64) -> (&'static str, f64) {
        let table: &[(&str, f64)] = match self.prefix {
            Prefix::None => return ("", 1.0),
            Prefix::Iec => &IEC,
            Prefix::Si => &SI,
            Prefix::Auto if PREFIXED.contains(&self.unit.as_str()) => &SI,
            Prefix::Auto if self.unit.is_empty() && largest >= 1e5 => &SI,
            Prefix::Auto => return ("", 1.0),
        };
        let fitting = table.iter().rev().find(|(_, factor)| largest >= *factor * 0.9999);
        match fitting {
            Some(found) => *found,
            // Zero has no prefix; what is smaller than all prefixes has the smallest.
            None if largest == 0.0 => ("", 1.0),
            None => table.first().copied().unwrap_or(("", 1.0)),
        }
    }

    /// The labels of an axis: all with the same prefix and number of digits.
    pub(super) fn ticks(&self, ticks: &[f64], step: f64) -> Vec<String> {
        let largest = ticks.iter().fold(0.0_f64, |most, tick| most.max(tick.abs()));
        let (prefix, factor) = self.prefix_for(largest);
        let scaled = step / factor;
        // 0.25 needs two digits, 0.5 one.
        let digits = (0..9).find(|digits| {
            let shifted = scaled * 10_f64.powi(*digits);
            (shifted - shifted.round()).abs() < 1e-6 * shifted.abs().max(1.0) && shifted.round() != 0.0
        });
        let digits = digits.unwrap_or(3) as usize;
        ticks.iter().map(|tick| self.written(tick / factor, digits, prefix)).collect()
    }

    /// One number with about four digits.
    pub(super) fn number(&self, value: f64) -> String {
        if !value.is_finite() {
            return "–".into();
        }
        let (prefix, factor) = self.prefix_for(value.abs());
        let scaled = value / factor;
        let before = if scaled.abs() >= 1.0 { scaled.abs().log10().floor() as i32 } else { 0 };
        let digits = (3 - before).clamp(0, 3) as usize;
        self.written(scaled, digits, prefix)
    }

    fn written(&self, value: f64, digits: usize, prefix: &str) -> String {
        let mut text = match value.abs() {
            size if size >= 1e15 || (size != 0.0 && size < 1e-6) => format!("{value:.2e}"),
            _ => format!("{value:.digits$}"),
        };
        if text.contains('.') && !text.contains('e') {
            text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        }
        if text == "-0" {
            text = "0".into();
        }
        match (self.unit.as_str(), prefix) {
            ("", "") => text,
            ("%" | "°", _) => format!("{text}{}", self.unit),
            (unit, prefix) => format!("{text} {prefix}{unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_prefix_of_their_size() {
        for (value, unit, prefix, expected) in [
            (41.5, "%", Prefix::Auto, "41.5%"),
            (-0.0, "", Prefix::Auto, "0"),
            (60.0, "°C", Prefix::Auto, "60 °C"),
            (1234.0, "°C", Prefix::Auto, "1234 °C"),
            (1_536_000.0, "B/s", Prefix::Auto, "1.536 MB/s"),
            (1_536_000.0, "B/s", Prefix::Iec, "1.465 MiB/s"),
            (999_999.0, "B", Prefix::Si, "1 MB"),
            (0.0042, "s", Prefix::Auto, "4.2 ms"),
            (1234.0, "W", Prefix::None, "1234 W"),
            (250_000.0, "", Prefix::Auto, "250 k"),
            (0.0, "W", Prefix::Si, "0 W"),
            (1e300, "", Prefix::None, "1.00e300"),
            (f64::NAN, "W", Prefix::Si, "–"),
        ] {
            assert_eq!(Format::new(unit, prefix).number(value), expected);
        }
    }

    #[test]
    fn the_labels_of_an_axis_have_one_prefix() {
        let labels = |ticks: &[f64], step, unit, prefix| Format::new(unit, prefix).ticks(ticks, step);
        assert_eq!(labels(&[0.0, 500_000.0, 1_000_000.0], 500_000.0, "B", Prefix::Auto), ["0 MB", "0.5 MB", "1 MB"]);
        assert_eq!(labels(&[0.0, 0.25, 0.5], 0.25, "", Prefix::Auto), ["0", "0.25", "0.5"]);
        assert_eq!(labels(&[0.0, 512.0, 1024.0], 512.0, "B", Prefix::Iec), ["0 KiB", "0.5 KiB", "1 KiB"]);
    }
}
