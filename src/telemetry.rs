//! Logging. Every line is one line: control characters in values, which can come from strangers, are escaped, and long values
//! are cut. (In JSON they are escaped by the format.)

use std::{
    collections::VecDeque,
    ffi::OsStr,
    fmt::{Debug, Write},
    io::{self, IsTerminal},
};

use parking_lot::Mutex;
use tracing::field::Field;
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt,
    filter::ParseError,
    fmt,
    fmt::format::{Writer, debug_fn},
};

use crate::{
    foreign,
    settings::{LogFormat, LogSettings},
};

/// Most characters of one value in a line. Our own messages with a chain of errors are shorter; foreign text is cut earlier.
const MAX_VALUE: usize = 4000;

/// Most bytes of the last lines that are kept in memory, for reports of faults: some thousand lines.
const MAX_RECENT: usize = 256 << 10;

static RECENT: Mutex<Recent> = Mutex::new(Recent { bytes: VecDeque::new(), is_cut: false });

/// The last bytes of the log.
struct Recent {
    bytes: VecDeque<u8>,
    /// Whether earlier ones were dropped, so that the first line is a part of one.
    is_cut: bool,
}

impl Recent {
    fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let excess = self.bytes.len().saturating_sub(MAX_RECENT);
        self.is_cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    /// Whole lines, without colours.
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let text = if self.is_cut { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &*text };
        let mut plain = String::with_capacity(text.len());
        // `ESC [ … m` sets a colour. Other escape sequences are not in the log, because foreign text is escaped.
        for (n, part) in text.split("\u{1b}[").enumerate() {
            plain.push_str(if n == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) });
        }
        plain
    }
}

/// The last lines of the log of this process.
pub fn recent() -> String {
    RECENT.lock().text()
}

/// Standard error, and the memory of the last lines.
struct Output;

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = io::stderr().write(bytes)?;
        RECENT.lock().keep(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes log lines to standard error. `RUST_LOG` has precedence over `log.level`. Does nothing if logging was started before, as in tests.
pub fn start(settings: &LogSettings) {
    let (filter, error) = filter(std::env::var("RUST_LOG").ok(), &settings.level);
    let has_colours = has_colours(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let builder = fmt().with_env_filter(filter).with_ansi(has_colours).with_writer(|| Output);
    let _ = match settings.format {
        LogFormat::Text => builder.with_target(false).fmt_fields(debug_fn(write_field).delimited(" ")).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).try_init(),
    };
    if let Some(error) = error {
        tracing::warn!("RUST_LOG is not used: {error}");
    }
}

/// Writes a message, or a value with its name.
fn write_field(to: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let mut text = String::new();
    write!(text, "{value:?}")?;
    let text = foreign::limited(&text, MAX_VALUE);
    match field.name() {
        "message" => to.write_str(&text),
        name => write!(to, "{name}={text}"),
    }
}

/// Colours are for people at a terminal, and not for those who have asked for none (no-color.org): a variable that is not
/// empty.
fn has_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// The filter of `RUST_LOG`, or that of `log.level`; and the error of a `RUST_LOG` that cannot be read.
fn filter(variable: Option<String>, level: &str) -> (EnvFilter, Option<ParseError>) {
    let (filter, error) = match variable.map(EnvFilter::try_new) {
        Some(Ok(filter)) => (Some(filter), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    // The settings were checked when they were read.
    (filter.or_else(|| EnvFilter::try_new(level).ok()).unwrap_or_default(), error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_value_cannot_begin_a_line_or_hide_one() {
        let written = Written::default();
        let to = written.clone();
        let builder = fmt().with_ansi(false).without_time().with_writer(move || to.clone());
        let subscriber = builder.fmt_fields(debug_fn(write_field).delimited(" ")).finish();
        let name = "a\nINFO forged\u{1b}[2J";
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(user = name, path = %name, "denied: {name}");
            tracing::info_span!("request", path = %name).in_scope(|| tracing::info!("{}", "x".repeat(100_000)));
        });
        let text = String::from_utf8(written.0.lock().clone()).expect("text");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("denied: a\\nINFO forged\\u{1b}[2J") && lines[0].contains("path=a\\nINFO"), "{text}");
        assert!(lines[1].len() < 5000 && lines[1].contains("cut, 100000 bytes"), "{}", lines[1].len());
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn colours_are_for_terminals_without_no_color() {
        for (is_terminal, no_color, expected) in [
            (true, None, true),
            (true, Some(""), true),
            (true, Some("1"), false),
            (false, None, false),
            (false, Some("1"), false),
        ] {
            assert_eq!(has_colours(is_terminal, no_color.map(OsStr::new)), expected, "{is_terminal} {no_color:?}");
        }
    }

    #[test]
    fn the_last_lines_are_kept_whole_and_without_colours() {
        let mut recent = Recent { bytes: VecDeque::new(), is_cut: false };
        recent.keep("\u{1b}[2m2026\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m first\n".as_bytes());
        assert_eq!(recent.text(), "2026  INFO first\n");
        for n in 0..20_000 {
            recent.keep(format!("line {n} with some words\n").as_bytes());
        }
        let text = recent.text();
        assert!(text.len() <= MAX_RECENT && text.len() > MAX_RECENT - 100, "{}", text.len());
        assert!(text.starts_with("line ") && text.ends_with("line 19999 with some words\n"), "{}", &text[..100]);
    }

    #[test]
    fn a_rust_log_that_cannot_be_read_is_reported_and_the_setting_is_used() {
        for (variable, expected, has_error) in
            [(None, "info", false), (Some("debug"), "debug", false), (Some("loud,="), "info", true)]
        {
            let (filter, error) = filter(variable.map(str::to_owned), "info");
            assert_eq!((filter.to_string().as_str(), error.is_some()), (expected, has_error), "{variable:?}");
        }
    }
}
