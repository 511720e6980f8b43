//! The time axis: steps at full hours, days and so on of a zone, also when its clocks change.

use std::ops::Range;

use jiff::{Timestamp, ToSpan, Unit, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::numbers::time::SECOND;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Steps in seconds, up to a month, which is counted by the calendar.
const STEPS: [i64; 24] = [
    1,
    2,
    5,
    10,
    15,
    30,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    MONTH,
    3 * MONTH,
    12 * MONTH,
];
const MONTH: i64 = 31 * DAY;

/// Most steps of one axis, whatever its range is.
const MOST: usize = 400;

/// A time zone by its name, such as `Europe/Berlin`; empty: that of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Zone {
    name: String,
    zone: Option<TimeZone>,
}

impl Zone {
    /// Looks the zone up.
    pub fn new(name: &str) -> Result<Self, String> {
        let zone = match name {
            "" => None,
            name => Some(TimeZone::get(name).map_err(|_| {
                format!(
                    "{name:?} is no time zone; write a name of the time zone database, such as Europe/Berlin or UTC"
                )
            })?),
        };
        Ok(Zone { name: name.to_owned(), zone })
    }

    pub(super) fn is_system(&self) -> bool {
        self.zone.is_none()
    }

    fn get(&self) -> TimeZone {
        self.zone.clone().unwrap_or_else(TimeZone::system)
    }

    fn civil(&self, at: i64) -> DateTime {
        let at = timestamp(at);
        self.get().to_offset(at).to_datetime(at)
    }

    /// The beginning of the day of this time.
    pub fn midnight(&self, at: i64) -> i64 {
        let start = self.civil(at).date().to_datetime(jiff::civil::Time::midnight());
        self.get().to_timestamp(start).map_or(at, |start| start.as_microsecond())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Zone::new(String::deserialize(from)?.trim()).map_err(de::Error::custom)
    }
}

fn timestamp(at: i64) -> Timestamp {
    let limits = Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond();
    Timestamp::from_microsecond(at.clamp(*limits.start(), *limits.end())).unwrap_or_default()
}

/// A time with a label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: i64,
    pub(super) label: String,
}

/// The steps within a span: as many as fit when each needs `least` microseconds.
pub(super) fn ticks(zone: &Zone, span: &Range<i64>, least: i64) -> Vec<Tick> {
    let wanted = least.max((span.end - span.start) / MOST as i64).div_euclid(SECOND);
    let step = STEPS.into_iter().find(|step| *step > wanted).unwrap_or(STEPS[STEPS.len() - 1]);
    let zone = zone.get();
    let times = if step < DAY { short(&zone, span, step) } else { long(&zone, span, step) };
    let mut ticks: Vec<Tick> = vec![];
    for at in times {
        let at_stamp = timestamp(at);
        let civil = zone.to_offset(at_stamp).to_datetime(at_stamp);
        let pattern = match () {
            () if step >= 12 * MONTH => "%Y",
            () if step >= MONTH => "%Y-%m",
            () if step >= DAY => "%m-%d",
            () if civil.hour() == 0 && civil.minute() == 0 && civil.second() == 0 => "%m-%d",
            () if step >= MINUTE => "%H:%M",
            () => "%H:%M:%S",
        };
        ticks.push(Tick { at, label: civil.strftime(pattern).to_string() });
    }
    ticks
}

/// Steps of less than a day, at full hours, minutes or seconds of the clocks on the wall. Where clocks are set back, both hours of that
/// name have their steps; where they are set forward, the missing hour has none.
fn short(zone: &TimeZone, span: &Range<i64>, step: i64) -> Vec<i64> {
    let mut times = vec![];
    let mut at = span.start;
    while at < span.end && times.len() < MOST {
        // A part of the span with one offset.
        let stamp = timestamp(at);
        let offset = zone.to_offset(stamp);
        let change = zone.following(stamp).next().map_or(i64::MAX, |change| change.timestamp().as_microsecond());
        let end = change.min(span.end);
        let shift = i64::from(offset.seconds()) * SECOND;
        let width = step * SECOND;
        let mut tick = (at + shift).div_euclid(width) * width - shift;
        while tick < end && times.len() < MOST {
            if tick >= at {
                times.push(tick);
            }
            tick += width;
        }
        at = end.max(at + 1);
    }
    times
}

/// Steps of days and months, at their midnights.
fn long(zone: &TimeZone, span: &Range<i64>, step: i64) -> Vec<i64> {
    let start = timestamp(span.start);
    let first = zone.to_offset(start).to_datetime(start).date();
    let mut date = match step {
        step if step >= 12 * MONTH => first.first_of_year(),
        step if step >= 3 * MONTH => {
            let first = first.first_of_month();
            first.checked_sub(((first.month() - 1) % 3).months()).unwrap_or(first)
        }
        step if step >= MONTH => first.first_of_month(),
        // Steps of several days stay at the same days when the span moves.
        step => {
            let days = step / DAY;
            let since = first.since((Unit::Day, jiff::civil::date(1970, 1, 1)));
            let over = since.map_or(0, |since| i64::from(since.get_days()).rem_euclid(days));
            first.checked_sub(over.days()).unwrap_or(first)
        }
    };
    let width = match step {
        step if step >= MONTH => (step / MONTH).months(),
        step => (step / DAY).days(),
    };
    let mut times = vec![];
    while times.len() < MOST {
        let Ok(midnight) = zone.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())) else { break };
        let at = midnight.as_microsecond();
        if at >= span.end {
            break;
        }
        if at >= span.start {
            times.push(at);
        }
        let Ok(next) = date.checked_add(width) else { break };
        date = next;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a time").as_microsecond()
    }

    fn labels(zone: &str, from: &str, to: &str, least: i64) -> Vec<String> {
        let zone = Zone::new(zone).expect("a zone");
        ticks(&zone, &(at(from)..at(to)), least * SECOND).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn steps_are_at_full_times_of_the_zone() {
        assert_eq!(
            labels("UTC", "2026-11-26T11:58:30Z", "2026-11-26T12:08:30Z", 90),
            ["12:00", "12:02", "12:04", "12:06", "12:08"]
        );
        // India is five and a half hours ahead.
        assert_eq!(
            labels("Asia/Kolkata", "2026-11-26T00:00:00Z", "2026-11-26T03:00:00Z", 1800),
            ["06:00", "07:00", "08:00"]
        );
        assert_eq!(labels("UTC", "2026-11-25T21:00:00Z", "2026-11-26T04:00:00Z", 7000), ["22:00", "11-26", "02:00"]);
        assert_eq!(labels("UTC", "2026-11-26T12:00:00Z", "2026-11-26T12:00:09Z", 4), ["12:00:00", "12:00:05"]);
        assert_eq!(
            labels("UTC", "2026-10-20T00:00:00Z", "2027-02-02T00:00:00Z", 20 * DAY),
            ["2026-11", "2026-12", "2027-01", "2027-02"]
        );
    }

    /// Berlin: 2026-03-29 02:00 becomes 03:00, and 2026-10-25 03:00 becomes 02:00.
    #[test]
    fn the_hour_that_clocks_skip_has_no_step_and_the_one_that_they_repeat_has_two() {
        let hours = |from, to| labels("Europe/Berlin", from, to, 1801);
        assert_eq!(hours("2026-03-28T23:30:00Z", "2026-03-29T03:30:00Z"), ["01:00", "03:00", "04:00", "05:00"]);
        assert_eq!(hours("2026-10-24T23:30:00Z", "2026-10-25T03:30:00Z"), ["02:00", "02:00", "03:00", "04:00"]);
        let days = labels("Europe/Berlin", "2026-03-27T12:00:00Z", "2026-03-31T12:00:00Z", 50_000);
        assert_eq!(days, ["03-28", "03-29", "03-30", "03-31"]);
        let zone = Zone::new("Europe/Berlin").expect("a zone");
        assert_eq!(zone.midnight(at("2026-03-29T12:00:00Z")), at("2026-03-28T23:00:00Z"));
        assert_eq!(zone.midnight(at("2026-10-25T12:00:00Z")), at("2026-10-24T22:00:00Z"));
        // Clocks of Lord Howe Island change by half an hour.
        let odd = labels("Australia/Lord_Howe", "2026-04-04T13:30:00Z", "2026-04-04T17:30:00Z", 1801);
        assert_eq!(odd, ["01:00", "02:00", "03:00", "04:00"].map(String::from)[..odd.len()]);
    }

    #[test]
    fn a_zone_has_a_name_of_the_database() {
        for wrong in ["Berlin", "Europe/Nowhere", "../etc/passwd", "+25:00"] {
            assert!(Zone::new(wrong).expect_err(wrong).contains("Europe/Berlin"), "{wrong}");
        }
        assert!(Zone::new("").expect("the machine's").is_system());
    }

    #[test]
    fn every_span_has_a_bounded_number_of_steps() {
        let zone = Zone::new("Europe/Berlin").expect("a zone");
        for span in [0..1, 0..i64::MAX / 2, -5 * SECOND..5 * SECOND, i64::MAX / 2..i64::MAX / 2 + SECOND] {
            for least in [0, 1, SECOND, 1 << 40] {
                assert!(ticks(&zone, &span, least).len() <= MOST, "{span:?} {least}");
            }
        }
    }
}
