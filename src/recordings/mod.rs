//! What MediaMTX has recorded: its files from the control API, and what can be played of them from the playback server.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::{Code, Error, Result},
    mediamtx::{Client, Playable},
};

/// A recorded path.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Recording {
    /// The path.
    pub path: String,
    /// Its files, oldest first.
    pub segments: Vec<File>,
    /// What can be played in one piece, oldest first.
    pub ranges: Vec<Range>,
}

/// A file of a recording.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct File {
    /// When it begins, exactly as MediaMTX has it: by this it is deleted.
    pub start: String,
}

/// Something that can be played in one piece.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Range {
    /// When it begins.
    pub start: String,
    /// How long it is, in seconds.
    pub duration: f64,
    /// Where it can be played, for some minutes.
    pub url: String,
    /// Where it can be downloaded as an MP4 file, for some minutes.
    pub download_url: String,
}

/// A day of a recording.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// The path.
    pub path: String,
    /// When the day begins.
    pub from: String,
    /// When it ends.
    pub to: String,
    /// How much of it is there, in seconds.
    pub recorded: f64,
    /// What is there: offset from the beginning of the day, and duration, in seconds.
    pub parts: Vec<Part>,
}

/// A part of a day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Part {
    /// Seconds since the beginning of the day.
    pub offset: f64,
    /// Seconds.
    pub duration: f64,
}

/// Where and how browsers play.
#[derive(Clone, Debug)]
pub struct Player {
    /// The playback server's address.
    pub base: String,
    /// A short token that may play the path and nothing else.
    pub token: String,
}

/// Times are compared, so they have to be understood: milliseconds of the Unix epoch.
pub fn time(field: &'static str, text: &str) -> Result<i64> {
    let wrong =
        || Error::parameter(field, format!("must be a time such as 2026-01-31T12:00:00Z or …+09:00, not {text:?}"));
    let (clock, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let at = text.len().checked_sub(6).filter(|at| text.is_char_boundary(*at)).ok_or_else(wrong)?;
            let (clock, offset) = text.split_at(at);
            let (sign, digits) = offset.split_at(1);
            let (hours, minutes) = digits.split_once(':').ok_or_else(wrong)?;
            let number = |text: &str| text.parse::<i64>().ok().filter(|n| (0..60).contains(n)).ok_or_else(wrong);
            let span = (number(hours)? * 60 + number(minutes)?) * 60_000;
            match sign {
                "+" => (clock, span),
                "-" => (clock, -span),
                _ => return Err(wrong()),
            }
        }
    };
    let parsed = humantime::parse_rfc3339(&format!("{clock}Z")).map_err(|_| wrong())?;
    let since = parsed.duration_since(std::time::UNIX_EPOCH).map_err(|_| wrong())?;
    Ok(since.as_millis() as i64 - offset)
}

/// A day at some offset from UTC (`Z`, `+09:00`): its beginning and its end, as RFC 3339 has them.
pub fn day(day: &str, offset: &str) -> Result<(String, String)> {
    let from = format!("{day}T00:00:00{offset}");
    time("day", &from).map_err(|_| {
        Error::parameter(
            "day",
            format!("must be a day such as 2026-01-31, with an offset such as Z or +09:00, not {day:?} and {offset:?}"),
        )
    })?;
    // The same clock a day later: days have 24 hours at a fixed offset.
    let next = humantime::parse_rfc3339(&format!("{day}T00:00:00Z")).map_err(|_| Error::parameter("day", "is none"))?;
    let next = humantime::format_rfc3339_seconds(next + Duration::from_secs(86_400)).to_string();
    Ok((from, format!("{}{offset}", next.trim_end_matches('Z'))))
}

/// What of a day is there.
fn parts(playable: &[Playable], from: &str, to: &str) -> Result<Vec<Part>> {
    let (begin, end) = (time("day", from)?, time("day", to)?);
    let parts = playable.iter().filter_map(|range| {
        let start = time("start", &range.start).ok()?;
        let stop = start + (range.duration * 1000.0) as i64;
        let (start, stop) = (start.max(begin), stop.min(end));
        let seconds = |millis: i64| millis as f64 / 1000.0;
        (start < stop).then(|| Part { offset: seconds(start - begin), duration: seconds(stop - start) })
    });
    Ok(parts.collect())
}

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// One recorded path, with addresses for `player`. Times are RFC 3339.
pub async fn get(
    client: &Client,
    path: &str,
    from: Option<&str>,
    to: Option<&str>,
    player: &Player,
) -> Result<Recording> {
    let bound = |field, text: Option<&str>| text.map(|text| time(field, text)).transpose();
    let (begin, end) = (bound("start", from)?, bound("end", to)?);
    let recorded = client.recordings_of(path).await?;
    let within = |start: &str| {
        time("start", start).is_ok_and(|at| begin.is_none_or(|begin| at >= begin) && end.is_none_or(|end| at < end))
    };
    let segments = recorded.segments.into_iter().filter(|segment| within(&segment.start));
    let segments = segments.map(|segment| File { start: segment.start }).collect();
    // Without a playback server there are still files.
    let playable = client.playable(path, from, to).await.unwrap_or_default();
    let ranges = playable.into_iter().map(|range| {
        let target = format!(
            "{}/get?path={}&start={}&duration={}&token={}",
            player.base,
            encode(path),
            encode(&range.start),
            range.duration,
            player.token
        );
        Range {
            start: range.start,
            duration: range.duration,
            download_url: format!("{target}&format=mp4"),
            url: target,
        }
    });
    Ok(Recording { path: path.to_owned(), segments, ranges: ranges.collect() })
}

/// A day of a recorded path.
pub async fn timeline(client: &Client, path: &str, of: &str, offset: &str) -> Result<Timeline> {
    let (from, to) = day(of, offset)?;
    let playable = client.playable(path, Some(&from), Some(&to)).await?;
    let parts = parts(&playable, &from, &to)?;
    Ok(Timeline { path: path.to_owned(), recorded: parts.iter().map(|part| part.duration).sum(), parts, from, to })
}

/// Deletes the file that begins then.
pub async fn delete(client: &Client, path: &str, start: &str) -> Result<()> {
    time("start", start)?;
    let recorded = client.recordings_of(path).await?;
    if !recorded.segments.iter().any(|segment| segment.start == start) {
        let message = format!("no file of {path} begins at {start}; the start has to be as it is listed");
        return Err(Error::new(Code::UnknownPath, message).in_field("start"));
    }
    client.delete_segment(path, start).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_with_their_offset() {
        let base = time("x", "2026-09-01T10:00:00Z").expect("a time");
        for (text, seconds) in [
            ("2026-09-01T19:00:00+09:00", 0.0),
            ("2026-09-01T19:00:00.500+09:00", 0.5),
            ("2026-09-01T04:30:00-05:30", 0.0),
            ("2026-09-01T10:00:01Z", 1.0),
        ] {
            assert_eq!(time("x", text).expect(text) - base, (seconds * 1000.0) as i64, "{text}");
        }
        for wrong in [
            "",
            "2026-09-01",
            "yesterday",
            "2026-09-01T10:00:00",
            "2026-13-01T10:00:00Z",
            "2026-09-01T10:00:00*09:00",
            "é+09:00",
        ] {
            assert!(time("x", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_day_has_the_parts_that_lie_in_it() {
        let (from, to) = day("2026-12-31", "+09:00").expect("a day");
        assert_eq!((from.as_str(), to.as_str()), ("2026-12-31T00:00:00+09:00", "2027-01-01T00:00:00+09:00"));
        let range = |start: &str, duration: f64| Playable { start: start.into(), duration };
        let playable = [
            range("2026-12-30T23:59:50+09:00", 20.0),
            range("2026-12-31T03:00:00Z", 60.0),
            range("2026-12-31T23:59:30+09:00", 100.0),
            range("2027-01-01T00:00:00+09:00", 5.0),
        ];
        let part = |offset: f64, duration: f64| Part { offset, duration };
        let found = parts(&playable, &from, &to).expect("parts");
        assert_eq!(found, [part(0.0, 10.0), part(43_200.0, 60.0), part(86_370.0, 30.0)]);
        for (of, offset) in [("2026-02-30", "Z"), ("x", "Z"), ("2026-01-01", "9")] {
            assert!(day(of, offset).is_err(), "{of} {offset}");
        }
    }
}
