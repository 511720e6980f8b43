//! Sizes of files of recordings, where this program can read MediaMTX's folder. MediaMTX's API does not tell them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use jiff::{civil, fmt::temporal::Pieces, tz::Offset};
use serde_json::Value;
use tokio::time::Duration;

use crate::{
    blocking::Pool,
    mediamtx::{Client, Fields, Recorded, entry_of},
};

/// Most files whose size is read for one answer: a day of a camera in files of ten seconds has 8640.
const MOST_FILES: usize = 10_000;

/// How long an answer waits for sizes. A local disk takes some milliseconds; a network mount that hangs must not stop the list.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lists that are read from the disk at a time.
const AT_ONCE: usize = 2;

/// The sizes of the files of each path in bytes, in the order of `recorded`; none for a file that cannot be read. `folder` is
/// `mediamtx.recordings`.
pub async fn sizes(client: &Client, folder: &str, recorded: &[Recorded]) -> Vec<Vec<Option<u64>>> {
    static POOL: LazyLock<Pool> = LazyLock::new(|| Pool::disk("the folder of recordings", AT_ONCE));
    let unknown = || recorded.iter().map(|path| vec![None; path.segments.len()]).collect();
    let configured = match client.configured_paths().await {
        Ok(configured) => configured,
        Err(e) => {
            tracing::debug!("MediaMTX does not tell where recordings are: {}", e.chain());
            return unknown();
        }
    };
    let mut left = MOST_FILES;
    let files: Vec<Vec<Option<PathBuf>>> = recorded
        .iter()
        .map(|path| {
            let count = path.segments.len();
            let pattern = entry_of(&path.name, &configured).and_then(|entry| Pattern::of(entry, &path.name, folder));
            let Some(pattern) = pattern.filter(|_| count <= left) else { return vec![None; count] };
            left -= count;
            path.segments.iter().map(|segment| pattern.file(&segment.start)).collect()
        })
        .collect();
    let read = move || {
        let size = |file: PathBuf| fs::metadata(file).ok().filter(fs::Metadata::is_file).map(|found| found.len());
        Ok(files.into_iter().map(|files| files.into_iter().map(|file| size(file?)).collect()).collect())
    };
    POOL.run_within(PATIENCE, read).await.unwrap_or_else(|e| {
        tracing::debug!("sizes of recordings: {}", e.chain());
        unknown()
    })
}

/// MediaMTX's `recordPath` for one path.
struct Pattern(String);

impl Pattern {
    /// `folder`, if it is not empty, takes the place of the folders before the first variable.
    fn of(entry: &Fields, name: &str, folder: &str) -> Option<Self> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let pattern = text("recordPath").filter(|pattern| !pattern.is_empty())?;
        // A name of a caller leads to no other folder. MediaMTX refuses such names, too (internal/conf/path.go, IsValidPathName).
        if name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return None;
        }
        let pattern = match folder {
            "" => pattern.to_owned(),
            folder => Path::new(folder).join(after_folders(pattern)).to_str()?.to_owned(),
        };
        let ending = if text("recordFormat") == Some("mpegts") { "ts" } else { "mp4" };
        Some(Pattern(format!("{}.{ending}", pattern.replace("%path", name))))
    }

    /// The file that begins at a time, which is written as MediaMTX lists it: MediaMTX makes the name of its digits
    /// (internal/recordstore/path.go, Encode).
    fn file(&self, start: &str) -> Option<PathBuf> {
        let pieces = Pieces::parse(start).ok()?;
        let (date, time, offset) = (pieces.date(), pieces.time()?, pieces.to_numeric_offset()?);
        let at = offset.to_timestamp(civil::DateTime::from_parts(date, time)).ok()?;
        let micros = time.subsec_nanosecond() / 1000;
        let values = [
            ("%Y", date.year().to_string()),
            ("%m", format!("{:02}", date.month())),
            ("%d", format!("{:02}", date.day())),
            ("%H", format!("{:02}", time.hour())),
            ("%M", format!("{:02}", time.minute())),
            ("%S", format!("{:02}", time.second())),
            ("%f", format!("{micros:06}")),
            ("%z", zone(offset)),
            ("%s", at.as_second().to_string()),
        ];
        let name = values.iter().fold(self.0.clone(), |name, (variable, value)| name.replace(variable, value));
        Some(PathBuf::from(name))
    }
}

/// The part of a `recordPath` that begins with its first variable (MediaMTX's internal/recordstore/path.go, CommonPath).
fn after_folders(pattern: &str) -> &str {
    let (before, after) = pattern.split_once('%').unwrap_or((pattern, ""));
    let folders = before.rfind('/').map_or(0, |slash| slash + 1);
    pattern.get(folders..).unwrap_or(after)
}

/// An offset from UTC, such as `+0900`, or `Z`.
fn zone(offset: Offset) -> String {
    let seconds = offset.seconds();
    if seconds == 0 {
        return "Z".to_owned();
    }
    let minutes = seconds.abs() / 60;
    format!("{}{:02}{:02}", if seconds < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pattern(path: &str, format: &str, name: &str, folder: &str) -> Option<Pattern> {
        let entry = json!({"recordPath": path, "recordFormat": format});
        Pattern::of(entry.as_object().expect("an object"), name, folder)
    }

    #[test]
    fn the_name_of_a_file_is_made_of_the_digits_of_its_start() {
        let usual = "./recordings/%path/%Y-%m-%d_%H-%M-%S-%f";
        for (path, format, folder, start, file) in [
            (usual, "fmp4", "", "2026-09-01T19:00:00.123456+09:00", "./recordings/a/b/2026-09-01_19-00-00-123456.mp4"),
            (usual, "mpegts", "", "2026-09-01T19:00:00.5Z", "./recordings/a/b/2026-09-01_19-00-00-500000.ts"),
            (usual, "fmp4", "/mnt/rec", "2026-09-01T19:00:00Z", "/mnt/rec/a/b/2026-09-01_19-00-00-000000.mp4"),
            ("/r/x%path/%s-%f%z", "fmp4", "", "2026-01-01T01:00:00.000001+01:00", "/r/xa/b/1767225600-000001+0100.mp4"),
            ("/r/x%path/%s-%f%z", "fmp4", "/m", "2026-01-01T00:00:00-03:30", "/m/xa/b/1767238200-000000-0330.mp4"),
            ("%path_%f", "fmp4", "/m/", "2026-01-01T00:00:00Z", "/m/a/b_000000.mp4"),
        ] {
            let found = pattern(path, format, "a/b", folder).and_then(|pattern| pattern.file(start));
            assert_eq!(found, Some(PathBuf::from(file)), "{path} {start}");
        }
        let usual = pattern(usual, "fmp4", "a", "").expect("a pattern");
        for wrong in ["", "yesterday", "2026-09-01", "2026-09-01T19:00:00", "é"] {
            assert_eq!(usual.file(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_leads_to_no_other_folder() {
        for name in ["../secret", "a/../../b", "a//b", "", ".", "/etc"] {
            assert!(pattern("/r/%path/%f", "fmp4", name, "").is_none(), "{name}");
        }
        assert!(pattern("", "fmp4", "a", "").is_none());
    }
}
