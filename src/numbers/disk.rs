//! The points of a stream in a file of the data folder: a journal to which new points are appended, and which is written anew when
//! most of it is old.
//!
//! The file has a first line and then records: `N`, the number of a series (2 bytes), the length of its name (2 bytes) and the name;
//! or `P`, the number of a series, the time and the value (8 bytes each). Numbers are little-endian. A power cut can leave a part of
//! a record at the end, which is left out.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::Point;
use crate::{
    error::{Error, Result},
    regular,
    stream::StreamName,
};

const HEAD: &[u8] = b"mtx-sidecar points 1\n";

/// Bytes of the record of a point.
const POINT: usize = 19;

/// Most bytes of a file that are read: more than twice of what the largest settings write.
const MOST: u64 = 1 << 30;

/// Most bytes that wait for their write, when the disk does not take them. Beyond it, the file is written anew.
const MOST_WAITING: usize = 1 << 20;

/// A file smaller than this is not written anew because of old points.
const SMALL: u64 = 64 << 10;

/// What a file has.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) series: Vec<(String, Vec<Point>)>,
}

/// What is not on the disk yet.
#[derive(Debug, Default)]
pub(super) struct Journal {
    waiting: Vec<u8>,
    /// Bytes of the file.
    size: u64,
    is_anew: bool,
    /// Whether a write is on its way.
    is_writing: bool,
    has_failed: bool,
}

/// A write.
pub(super) struct Work {
    bytes: Vec<u8>,
    /// Whether the file is replaced.
    is_anew: bool,
    size: u64,
}

impl Journal {
    pub(super) fn name(&mut self, index: usize, name: &str) {
        name_record(&mut self.waiting, index, name);
    }

    pub(super) fn add(&mut self, index: usize, points: &[Point]) {
        if self.is_anew {
            return;
        }
        for point in points {
            point_record(&mut self.waiting, index, point);
        }
        if self.waiting.len() > MOST_WAITING {
            self.begin_anew();
        }
    }

    /// Has the whole file written with the next write.
    pub(super) fn begin_anew(&mut self) {
        self.waiting = Vec::new();
        self.is_anew = true;
    }

    /// The next write, if there is something to write and no other one is on its way.
    pub(super) fn work(&mut self, all: impl FnOnce() -> Vec<(String, Vec<Point>)>) -> Option<Work> {
        if self.is_writing || (!self.is_anew && self.waiting.is_empty()) {
            return None;
        }
        self.is_writing = true;
        // A new file begins with its first line.
        if self.is_anew || self.size == 0 {
            self.is_anew = false;
            self.waiting = Vec::new();
            let mut bytes = HEAD.to_vec();
            for (index, (name, points)) in all().into_iter().enumerate() {
                name_record(&mut bytes, index, &name);
                points.iter().for_each(|point| point_record(&mut bytes, index, point));
            }
            return Some(Work { bytes, is_anew: true, size: 0 });
        }
        Some(Work { bytes: std::mem::take(&mut self.waiting), is_anew: false, size: self.size })
    }

    /// The file has this many bytes, of which `points` are needed. Returns whether earlier writes had failed.
    pub(super) fn succeeded(&mut self, size: u64, points: usize) -> bool {
        self.is_writing = false;
        self.size = size;
        let needed = (points * POINT) as u64;
        if size > SMALL && size > 3 * needed {
            self.begin_anew();
        }
        std::mem::take(&mut self.has_failed)
    }

    /// The end of the last write will not be told: all is written anew.
    pub(super) fn forget_unfinished(&mut self) {
        if std::mem::take(&mut self.is_writing) {
            self.begin_anew();
        }
    }

    /// Returns whether this is the first write that failed.
    pub(super) fn failed(&mut self) -> bool {
        self.is_writing = false;
        self.begin_anew();
        !std::mem::replace(&mut self.has_failed, true)
    }
}

impl Work {
    /// Writes, and returns the bytes of the file.
    pub(super) fn write(self, path: &Path) -> Result<u64> {
        let unwritten = |e| Error::unwritten("the points of the graph are not kept for a restart", e);
        if self.is_anew {
            replace(path, &self.bytes).map_err(unwritten)?;
            return Ok(self.bytes.len() as u64);
        }
        let append = || {
            let mut file = fs::OpenOptions::new().append(true).open(path)?;
            // A file of another program: the next write makes it anew.
            if file.metadata()?.len() != self.size {
                return Err(io::Error::other("the file was changed by another program"));
            }
            file.write_all(&self.bytes)
        };
        append().map_err(unwritten)?;
        Ok(self.size + self.bytes.len() as u64)
    }
}

fn name_record(to: &mut Vec<u8>, index: usize, name: &str) {
    let (Ok(index), Ok(length)) = (u16::try_from(index), u16::try_from(name.len())) else { return };
    to.push(b'N');
    to.extend(index.to_le_bytes());
    to.extend(length.to_le_bytes());
    to.extend(name.as_bytes());
}

fn point_record(to: &mut Vec<u8>, index: usize, point: &Point) {
    let Ok(index) = u16::try_from(index) else { return };
    to.push(b'P');
    to.extend(index.to_le_bytes());
    to.extend(point.at.to_le_bytes());
    to.extend(point.value.to_le_bytes());
}

/// Writes a temporary file and renames it, so that a crash leaves one of both.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Deletes a file, if there is one.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::unwritten("the file is not deleted", e)),
        _ => Ok(()),
    }
}

/// Slashes become commas, which no name contains.
pub(super) fn path(folder: &Path, name: &StreamName) -> PathBuf {
    folder.join(format!("{}.points", name.replace('/', ",")))
}

/// The streams that have a file. Temporary files of a killed program are removed.
pub(super) fn names(folder: &Path) -> Vec<StreamName> {
    let (mut names, entries) = (vec![], fs::read_dir(folder).into_iter().flatten().flatten());
    for entry in entries {
        let Ok(file) = entry.file_name().into_string() else { continue };
        if file.ends_with(".new") {
            drop(fs::remove_file(entry.path()));
        } else if let Some(name) = file.strip_suffix(".points") {
            names.extend(StreamName::parse(&name.replace(',', "/")));
        }
    }
    names
}

/// Reads a file. What cannot be read ends it.
pub(super) fn read(path: &Path) -> io::Result<Records> {
    let data = regular::read(path, MOST)?;
    let mut rest = data.strip_prefix(HEAD).ok_or_else(|| io::Error::other("it is no file of points"))?;
    let (mut records, mut numbers) = (Records::default(), HashMap::new());
    while let Some(behind) = record(rest, &mut records, &mut numbers) {
        rest = behind;
    }
    Ok(records)
}

fn record<'a>(data: &'a [u8], to: &mut Records, numbers: &mut HashMap<u16, usize>) -> Option<&'a [u8]> {
    let (kind, data) = data.split_first()?;
    let (index, data) = data.split_first_chunk()?;
    let index = u16::from_le_bytes(*index);
    match kind {
        b'N' => {
            let (length, data) = data.split_first_chunk()?;
            let (name, data) = data.split_at_checked(u16::from_le_bytes(*length).into())?;
            let name = std::str::from_utf8(name).ok()?;
            numbers.insert(index, to.series.len());
            to.series.push((name.to_owned(), vec![]));
            Some(data)
        }
        b'P' => {
            let (at, data) = data.split_first_chunk()?;
            let (value, data) = data.split_first_chunk()?;
            let value = super::read::finite(f64::from_le_bytes(*value));
            let (_, points) = to.series.get_mut(*numbers.get(&index)?)?;
            points.push(Point { at: i64::from_le_bytes(*at), value });
            Some(data)
        }
        _ => None,
    }
}
