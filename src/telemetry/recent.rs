//! [`Recent`]: the last lines of the log, for the console.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that are kept.
pub const LINES: usize = 2000;

/// Bytes that are kept: lines have about 150.
const BYTES: usize = 1 << 20;

/// The last lines, oldest first. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    bytes: usize,
    /// The number of the next line.
    next: u64,
}

/// The lines of this process.
static RECENT: LazyLock<Recent> = LazyLock::new(Recent::default);

/// The last lines of this process.
pub fn recent() -> &'static Recent {
    &RECENT
}

impl Recent {
    /// At most `most` lines from number `since` on, the latest if there are more. Returns the number of the first of them, too.
    pub fn lines(&self, since: u64, most: usize) -> (u64, Vec<String>) {
        let kept = self.0.lock();
        let first = kept.next - kept.lines.len() as u64;
        let begin = since.clamp(first, kept.next).max(kept.next.saturating_sub(most as u64));
        let skipped = usize::try_from(begin - first).unwrap_or(usize::MAX);
        (begin, kept.lines.iter().skip(skipped).cloned().collect())
    }

    fn add(&self, line: &str) {
        let mut kept = self.0.lock();
        kept.bytes += line.len();
        kept.next += 1;
        kept.lines.push_back(line.to_owned());
        while kept.lines.len() > LINES || kept.bytes > BYTES {
            let Some(gone) = kept.lines.pop_front() else { break };
            kept.bytes -= gone.len();
        }
    }
}

/// Takes one event, which the subscriber writes in one piece.
pub struct Writer(Recent);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.add(String::from_utf8_lossy(bytes).trim_end());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Recent {
    type Writer = Writer;

    fn make_writer(&'a self) -> Writer {
        Writer(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_within_limits_and_numbered() {
        let recent = Recent::default();
        assert_eq!(recent.lines(0, 10), (0, vec![]));
        for n in 0..LINES + 5 {
            recent.add(&n.to_string());
        }
        let (first, lines) = recent.lines(0, 10_000);
        assert_eq!((first, lines.len(), lines[0].as_str()), (5, LINES, "5"));
        let last = LINES as u64 + 5;
        assert_eq!(recent.lines(last - 2, 10), (last - 2, vec![(last - 2).to_string(), (last - 1).to_string()]));
        assert_eq!(recent.lines(0, 1), (last - 1, vec![(last - 1).to_string()]));
        assert_eq!(recent.lines(last + 7, 10), (last, vec![]), "a number of before a restart");
        for _ in 0..4 {
            recent.add(&"x".repeat(BYTES / 2));
        }
        assert_eq!(recent.lines(0, 10_000).1.len(), 2);
    }
}
