//! Recordings of MediaMTX: the files, from its control API, and the playable ranges, from its playback server.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod sizes;

use jiff::{
    Timestamp,
    civil::Date,
    fmt::{strtime, temporal::DateTimePrinter},
    tz::Offset,
};
use serde::Serialize;
use utoipa::ToSchema;

pub use self::sizes::sizes;
use crate::{
    error::{Code, Error, Result},
    mediamtx::{Client, Playable, Recorded},
};

/// A recorded path.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Recording {
    /// The path.
    pub path: String,
    /// Its files, oldest first.
    pub segments: Vec<File>,
    /// Ranges that can be played without a gap, oldest first.
    pub ranges: Vec<Range>,
}

/// A file of a recording.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct File {
    /// Start time, exactly as MediaMTX writes it. A file is deleted by this text.
    pub start: String,
    /// Its duration in seconds, up to the file that continues it. Missing if MediaMTX's playback server does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Its size in bytes, as it is now. Missing if this program cannot read the file (`mediamtx.recordings`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A range that can be played without a gap.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Range {
    /// Start time (RFC 3339).
    pub start: String,
    /// Duration in seconds.
    pub duration: f64,
    /// URL that plays the range; valid for some minutes.
    pub url: String,
    /// URL of this program that downloads the range as an MP4 file with a name; valid for some minutes.
    pub download_url: String,
}

/// A day of a recording.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// The path.
    pub path: String,
    /// Start of the day (RFC 3339).
    pub from: String,
    /// End of the day (RFC 3339).
    pub to: String,
    /// Recorded seconds of the day.
    pub recorded: f64,
    /// The recorded parts of the day, in order.
    pub parts: Vec<Part>,
}

/// A recorded part of a day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Part {
    /// Seconds since the start of the day.
    pub offset: f64,
    /// Duration in seconds.
    pub duration: f64,
}

/// How browsers reach the playback server.
#[derive(Clone, Debug)]
pub struct Player {
    /// Base URL of the playback server.
    pub base: String,
    /// Our own base URL, from which files are downloaded: a browser saves a file of another host under no name of ours.
    pub downloads: String,
    /// A short-lived token that permits playback of the path and nothing else.
    pub token: String,
}

/// Reads an RFC 3339 time, which needs an offset.
fn time(field: &'static str, text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        Error::parameter(field, format!("must be a time such as 2026-01-31T12:00:00Z or …+09:00, not {text:?}"))
    })
}

/// An RFC 3339 time with this offset from UTC.
fn format(at: Timestamp, offset: Offset) -> String {
    if offset == Offset::UTC {
        return at.to_string();
    }
    DateTimePrinter::new().timestamp_with_offset_to_string(&at, offset)
}

/// One day at a fixed offset from UTC.
struct Day {
    begin: Timestamp,
    end: Timestamp,
    offset: Offset,
}

impl Day {
    /// Reads a day such as `2026-01-31` and an offset: `Z`, or such as `+09:00`.
    fn parse(day: &str, offset: &str) -> Result<Self> {
        let read = || {
            let date = Date::strptime("%Y-%m-%d", day).ok().filter(|date| date.year() >= 0)?;
            let offset = match offset {
                "Z" | "z" => Offset::UTC,
                _ => strtime::parse("%:z", offset).ok()?.offset()?,
            };
            let midnight = |date: Date| offset.to_timestamp(date.at(0, 0, 0, 0)).ok();
            Some(Day { begin: midnight(date)?, end: midnight(date.tomorrow().ok()?)?, offset })
        };
        read().ok_or_else(|| {
            let rule = format!(
                "must be a day such as 2026-01-31, with an offset such as Z or +09:00, not {day:?} and {offset:?}"
            );
            Error::parameter("day", rule)
        })
    }

    /// The parts of the day that are recorded.
    fn parts(&self, playable: &[Playable]) -> Vec<Part> {
        let (begin, end) = (self.begin.as_millisecond(), self.end.as_millisecond());
        let parts = playable.iter().filter_map(|range| {
            let start = time("start", &range.start).ok()?.as_millisecond();
            let stop = start.saturating_add((range.duration * 1000.0) as i64);
            let (start, stop) = (start.max(begin), stop.min(end));
            let seconds = |millis: i64| millis as f64 / 1000.0;
            (start < stop).then(|| Part { offset: seconds(start - begin), duration: seconds(stop - start) })
        });
        parts.collect()
    }
}

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The same for a path within a URL, whose slashes stay.
fn in_path(text: &str) -> String {
    text.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// Checks a range: its start (RFC 3339) and its duration. Returns the duration in seconds.
pub fn range(start: &str, duration: &str) -> Result<f64> {
    time("start", start)?;
    let seconds = duration.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or_else(|| Error::parameter("duration", format!("must be seconds, more than 0, not {duration:?}")))
}

/// The name of a downloaded file: the path and the start, in the offset from UTC that the start is written in.
pub fn file_name(path: &str, start: &str) -> String {
    let safe = |text: &str| -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        text.chars().map(|c| if fits(c) { c } else { '-' }).collect()
    };
    // 2026-01-31T12:00:00.123+09:00
    let seconds: String = start.chars().take(19).collect();
    format!("{}_{}.mp4", safe(path), safe(&seconds.replace('T', "_")))
}

/// How long each file is, in seconds: up to the next file, or to the end of the playable range that it is in. A range that is cut at
/// `end` does not tell.
fn durations(recorded: &Recorded, playable: &[Playable], end: Option<Timestamp>) -> Vec<Option<f64>> {
    let millis = |text: &str| time("start", text).ok().map(Timestamp::as_millisecond);
    let ranges: Vec<(i64, i64)> = playable
        .iter()
        .filter_map(|range| {
            let start = millis(&range.start)?;
            Some((start, start.saturating_add((range.duration * 1000.0).round() as i64)))
        })
        .collect();
    let end = end.map(Timestamp::as_millisecond);
    let starts: Vec<Option<i64>> = recorded.segments.iter().map(|segment| millis(&segment.start)).collect();
    let duration = |(i, start): (usize, &Option<i64>)| {
        let start = (*start)?;
        let (_, stop) = *ranges.iter().rev().find(|(from, to)| (*from..*to).contains(&start))?;
        let next = starts.get(i + 1).copied().flatten().filter(|next| *next <= stop);
        let is_cut = next.is_none() && end.is_some_and(|end| stop >= end);
        (!is_cut).then(|| (next.unwrap_or(stop) - start) as f64 / 1000.0)
    };
    starts.iter().enumerate().map(duration).collect()
}

/// One recorded path, with URLs for `player`. `from` and `to` are RFC 3339 times, `folder` is `mediamtx.recordings`.
pub async fn get(
    client: &Client,
    path: &str,
    from: Option<&str>,
    to: Option<&str>,
    player: &Player,
    folder: &str,
) -> Result<Recording> {
    let bound = |field, text: Option<&str>| text.map(|text| time(field, text)).transpose();
    let (begin, end): (Option<Timestamp>, _) = (bound("start", from)?, bound("end", to)?);
    let mut recorded = client.recordings_of(path).await?;
    // The files can be listed without a playback server.
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let playable = client.playable(path, text(begin).as_deref(), text(end).as_deref()).await.unwrap_or_default();
    let durations = durations(&recorded, &playable, end);
    let within = |start: &str| {
        time("start", start).is_ok_and(|at| begin.is_none_or(|begin| at >= begin) && end.is_none_or(|end| at < end))
    };
    let mut durations = durations.into_iter();
    let mut kept = vec![];
    recorded.segments.retain(|segment| {
        let (duration, keeps) = (durations.next().flatten(), within(&segment.start));
        kept.extend(keeps.then_some(duration));
        keeps
    });
    let recorded = [recorded];
    let sizes = sizes(client, folder, &recorded).await;
    let [Recorded { segments, .. }] = recorded;
    let files = segments.into_iter().zip(kept).zip(sizes.into_iter().flatten());
    let segments = files.map(|((segment, duration), size)| File { start: segment.start, duration, size }).collect();
    let ranges = playable.into_iter().map(|range| {
        let Player { base, downloads, token } = player;
        let query = format!("start={}&duration={}&token={token}", encode(&range.start), range.duration);
        Range {
            url: format!("{base}/get?path={}&{query}", encode(path)),
            download_url: format!("{downloads}/api/v1/recordings/{}/download?{query}", in_path(path)),
            start: range.start,
            duration: range.duration,
        }
    });
    Ok(Recording { path: path.to_owned(), segments, ranges: ranges.collect() })
}

/// One day of a recorded path: `of` is a day such as `2026-01-31`, `offset` its offset from UTC.
pub async fn timeline(client: &Client, path: &str, of: &str, offset: &str) -> Result<Timeline> {
    let day = Day::parse(of, offset)?;
    let (from, to) = (format(day.begin, day.offset), format(day.end, day.offset));
    let parts = day.parts(&client.playable(path, Some(&from), Some(&to)).await?);
    Ok(Timeline { path: path.to_owned(), recorded: parts.iter().map(|part| part.duration).sum(), parts, from, to })
}

/// Deletes the file with this start time.
pub async fn delete(client: &Client, path: &str, start: &str) -> Result<()> {
    time("start", start)?;
    let recorded = client.recordings_of(path).await?;
    if !recorded.segments.iter().any(|segment| segment.start == start) {
        let message = format!("no file of {path} begins at {start}; write the start exactly as the list shows it");
        return Err(Error::new(Code::UnknownFile, message).in_field("start"));
    }
    client.delete_segment(path, start).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mediamtx::Segment;

    #[test]
    fn times_are_read_with_their_offset() {
        let base = time("x", "2026-09-01T10:00:00Z").expect("a time");
        for (text, seconds) in [
            ("2026-09-01T19:00:00+09:00", 0.0),
            ("2026-09-01T19:00:00.500+09:00", 0.5),
            ("2026-09-01T04:30:00-05:30", 0.0),
            ("2026-09-01T10:00:01Z", 1.0),
        ] {
            let found = time("x", text).expect(text).as_millisecond() - base.as_millisecond();
            assert_eq!(found, (seconds * 1000.0) as i64, "{text}");
        }
        for wrong in [
            "",
            "2026-09-01",
            "yesterday",
            "2026-09-01T10:00:00",
            "2026-13-01T10:00:00Z",
            "2026-09-01T10:00:00*09:00",
            "2026-09-01T10:00:00 09:00",
            "é+09:00",
            "éééééé",
            "10000-01-01T00:00:00Z",
        ] {
            let error = time("x", wrong).expect_err(wrong);
            assert_eq!((error.code(), error.field()), (Code::InvalidParameter, Some("x")), "{wrong}");
        }
    }

    #[test]
    fn downloaded_files_are_named_after_their_path_and_start() {
        for (path, start, name) in [
            ("hall", "2026-01-31T12:00:05.123+09:00", "hall_2026-01-31_12-00-05.mp4"),
            ("site/yard.1", "2026-01-31T12:00:05Z", "site-yard.1_2026-01-31_12-00-05.mp4"),
            ("a\"\r\n;ä", "x", "a-----_x.mp4"),
        ] {
            assert_eq!(file_name(path, start), name);
        }
        assert_eq!(range("2026-01-31T12:00:05Z", "2.5").expect("a range"), 2.5);
        for (start, duration, field) in [
            ("yesterday", "1", "start"),
            ("2026-01-31T12:00:05Z", "-1", "duration"),
            ("2026-01-31T12:00:05Z", "inf", "duration"),
        ] {
            assert_eq!(range(start, duration).expect_err(duration).field(), Some(field));
        }
    }

    #[test]
    fn a_file_ends_where_the_next_one_continues_it_or_where_its_range_ends() {
        let segments = ["10:00:00.5", "10:01:00.5", "10:10:00", "10:20:00", "nonsense"];
        let segments = segments.map(|at| Segment { start: format!("2026-09-01T{at}Z") }).to_vec();
        let recorded = Recorded { name: "hall".into(), segments };
        let range = |start: &str, duration: f64| Playable { start: start.into(), duration };
        let playable = [range("2026-09-01T12:00:00.5+02:00", 90.0), range("2026-09-01T10:10:00Z", 30.25)];
        let found = durations(&recorded, &playable, None);
        assert_eq!(found, [Some(60.0), Some(30.0), Some(30.25), None, None]);
        let end = time("end", "2026-09-01T10:10:30.250Z").expect("a time");
        assert_eq!(durations(&recorded, &playable, Some(end)).get(2), Some(&None), "the range is cut there");
        assert_eq!(durations(&recorded, &[], None), [None; 5], "without a playback server");
    }

    #[test]
    fn the_parts_of_a_day_are_cut_at_midnight() {
        let day = Day::parse("2026-12-31", "+09:00").expect("a day");
        let range = |start: &str, duration: f64| Playable { start: start.into(), duration };
        let playable = [
            range("2026-12-30T23:59:50+09:00", 20.0),
            range("2026-12-31T03:00:00Z", 60.0),
            range("2026-12-31T23:59:30+09:00", 100.0),
            range("2027-01-01T00:00:00+09:00", 5.0),
            range("2026-12-31T22:00:00+09:00", f64::INFINITY),
            range("not a time", 5.0),
        ];
        let part = |offset: f64, duration: f64| Part { offset, duration };
        let expected = [part(0.0, 10.0), part(43_200.0, 60.0), part(86_370.0, 30.0), part(79_200.0, 7200.0)];
        assert_eq!(day.parts(&playable), expected);
    }

    #[test]
    fn a_day_begins_and_ends_at_midnight_of_its_offset() {
        for (day, offset, from, to) in [
            ("2026-12-31", "+09:00", "2026-12-31T00:00:00+09:00", "2027-01-01T00:00:00+09:00"),
            ("2028-02-28", "Z", "2028-02-28T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("2026-03-01", "-03:30", "2026-03-01T00:00:00-03:30", "2026-03-02T00:00:00-03:30"),
            ("2026-03-01", "+00:00", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
            ("0000-01-01", "Z", "0000-01-01T00:00:00Z", "0000-01-02T00:00:00Z"),
        ] {
            let found = Day::parse(day, offset).expect(day);
            assert_eq!((format(found.begin, found.offset), format(found.end, found.offset)), (from.into(), to.into()));
        }
        for (day, offset) in [
            ("2026-02-30", "Z"),
            ("x", "Z"),
            ("", ""),
            ("2026-01-01", "9"),
            ("2026-01-01", "+99:00"),
            ("2026-01-01", "Z[UTC]"),
            ("9999-12-31", "Z"),
            ("9999-12-31", "-12:00"),
            ("10000-01-01", "Z"),
            ("-0001-01-01", "Z"),
            ("éééééééééé", "é"),
        ] {
            let error = Day::parse(day, offset).err().map(|e| (e.code(), e.field().map(str::to_owned)));
            assert_eq!(error, Some((Code::InvalidParameter, Some("day".to_owned()))), "{day} {offset}");
        }
    }
}
