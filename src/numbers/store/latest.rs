//! The last number of a series as a short text, for texts on pictures (`{value:NAME/SERIES}`).

use tokio::sync::watch;

use super::Store;
use crate::{numbers::Selector, stream::StreamName};

/// The series of a number without a name.
const USUAL: &str = "value";

/// Digits of a number, and most of them behind the point.
const DIGITS: i32 = 4;
const MOST_DECIMALS: i32 = 9;

impl Store {
    /// The last number of a series, for texts on pictures. None if there is none.
    pub fn last(&self, name: &StreamName, selector: &Selector) -> Option<f64> {
        let numbers = self.0.streams.lock().get(name).cloned()?;
        numbers.last(selector)
    }

    /// Changes with each new point of any stream.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// The last number that a key means: `NAME/SERIES`, or `NAME` for the series `value`. Both parts can contain slashes; the longest name
    /// of a stream that has such a series counts. A series with further tags than the key names is meant, too: the first one.
    pub fn last_of(&self, key: &str) -> Option<String> {
        meanings(key).find_map(|(name, series)| self.last(&name, &series)).map(text)
    }

    /// The streams with points whose numbers a key can mean.
    pub fn meant_by(&self, key: &str) -> Vec<StreamName> {
        let names = self.names();
        meanings(key).map(|(name, _)| name).filter(|name| names.contains(name)).collect()
    }
}

/// Streams and series, the longest name first.
fn meanings(key: &str) -> impl Iterator<Item = (StreamName, Selector)> {
    let whole = (key, USUAL);
    let parts = key.rmatch_indices('/').map(|(at, _)| {
        let (name, series) = key.split_at(at);
        (name, series.trim_start_matches('/'))
    });
    std::iter::once(whole).chain(parts).filter_map(|(name, series)| {
        let name = StreamName::parse(name).ok()?;
        Some((name, series.parse().ok()?))
    })
}

/// A number with about four digits.
fn text(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-6..1e15).contains(&size) {
        return format!("{number:.2e}");
    }
    let decimals = (DIGITS - 1 - size.log10().floor() as i32).clamp(0, MOST_DECIMALS) as usize;
    let text = format!("{number:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::{GraphSettings, Sample};

    #[test]
    fn a_number_has_about_four_digits() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (21.5, "21.5"),
            (-0.04217, "-0.04217"),
            (0.000_123_44, "0.0001234"),
            (99.999_99, "100"),
            (1_234_567.8, "1234568"),
            (3.0, "3"),
            (1e300, "1.00e300"),
            (-2e-9, "-2.00e-9"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(text(number), expected);
        }
    }

    #[test]
    fn a_key_has_the_longest_name_that_has_the_series() {
        let store = Store::none(&GraphSettings::default());
        let name = |text: &str| StreamName::parse(text).expect("a name");
        let take = |stream: &str, series: &str, value: f64| {
            let sample = Sample { series: series.into(), at: None, value };
            assert_eq!(store.numbers(&name(stream)).take([sample], 1_700_000_000_000_000).points, 1);
        };
        take("house", "hall/temperature", 18.0);
        take("house/hall", "temperature", 21.5);
        take("house/hall", "humidity", f64::NAN);
        take("house", "hall/humidity", 40.0);
        take("house", "cpu.idle{cpu=cpu0,path=/a}", 90.0);
        take("house", "cpu.idle{cpu=cpu1,path=/b}", 80.0);
        take("kitchen", "value", 7.0);
        for (key, expected) in [
            ("house/hall/temperature", Some("21.5")),
            // The longer name has no number in that series.
            ("house/hall/humidity", Some("40")),
            ("house/cpu.idle", Some("90")),
            ("house/cpu.idle{path=/b}", Some("80")),
            ("kitchen", Some("7")),
            ("kitchen/value", Some("7")),
            ("house", None),
            ("house/cellar", None),
            ("/", None),
            ("a{b", None),
            ("", None),
        ] {
            assert_eq!(store.last_of(key).as_deref(), expected, "{key}");
        }
        assert_eq!(store.meant_by("house/hall/x"), [name("house/hall"), name("house")]);
        assert!(store.meant_by("score").is_empty());
    }

    #[test]
    fn a_new_number_is_told() {
        let store = Store::none(&GraphSettings::default());
        let mut changes = store.changes();
        let numbers = store.numbers(&StreamName::parse("a").expect("a name"));
        let sample = |at| Sample { series: "x".into(), at, value: 1.0 };
        numbers.take([sample(None)], 1_700_000_000_000_000);
        assert!(changes.has_changed().expect("open"));
        changes.mark_unchanged();
        numbers.take([], 1_700_000_000_000_000);
        assert!(!changes.has_changed().expect("open"));
    }
}
