//! Logging. Every line is one line: control characters in values, which can come from strangers, are escaped, and long values
//! are cut. (In JSON they are escaped by the format.) The last lines are kept in memory for the console, and the level can be changed
//! while the program runs.

mod recent;

use std::{
    ffi::OsStr,
    fmt::{Debug, Write},
    io::IsTerminal,
    sync::OnceLock,
};

use tracing::field::Field;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    field::MakeExt,
    filter::ParseError,
    fmt,
    fmt::format::{Writer, debug_fn},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

pub use self::recent::{LINES, Recent, recent};

use crate::{
    foreign,
    settings::{LogFormat, LogSettings},
};

/// Most characters of one value in a line. Our own messages with a chain of errors are shorter; foreign text is cut earlier.
const MAX_VALUE: usize = 4000;

/// The filter of the running program.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Writes log lines to standard error, and keeps the last ones. `RUST_LOG` has precedence over `log.level`. Does nothing if logging was started before, as in tests.
pub fn start(settings: &LogSettings) {
    let (filter, error) = filter(std::env::var("RUST_LOG").ok(), &settings.level);
    let has_colours = has_colours(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_ansi(has_colours).with_writer(std::io::stderr);
    let lines: Box<dyn Layer<_> + Send + Sync> = match settings.format {
        LogFormat::Text => lines.with_target(false).fmt_fields(debug_fn(write_field).delimited(" ")).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).boxed(),
    };
    let kept = fmt::layer().with_ansi(false).with_target(false).with_writer(recent().clone());
    // Spans are formatted once, by the first layer, for all layers of the same format: the one without colours.
    let kept = kept.fmt_fields(debug_fn(write_field).delimited(" "));
    if tracing_subscriber::registry().with(filter).with(kept).with(lines).try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
    if let Some(error) = error {
        tracing::warn!("RUST_LOG is not used: {error}");
    }
}

/// The level, or the directives, of the log; none if no logging was started.
pub fn level() -> Option<String> {
    FILTER.get()?.with_current(ToString::to_string).ok()
}

/// Changes the level until the program ends. Returns the rule that a text breaks which is none.
pub fn set_level(level: &str) -> Result<(), String> {
    let rule = || format!("must be error, warn, info, debug or trace, or directives of these, not {level:?}");
    // An empty text, and a word that is no level, are valid directives, and would switch the log off.
    let words = ["error", "warn", "info", "debug", "trace"];
    let filter = EnvFilter::try_new(level).map_err(|_| rule())?;
    if level.len() > 1000 || !words.iter().any(|word| level.to_ascii_lowercase().contains(word)) {
        return Err(rule());
    }
    let handle = FILTER.get().ok_or("cannot be changed: this program has no log")?;
    handle.reload(filter).map_err(|e| format!("cannot be changed: {e}"))
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
    use std::{io, sync::Arc};

    use parking_lot::Mutex;

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
    fn a_rust_log_that_cannot_be_read_is_reported_and_the_setting_is_used() {
        for (variable, expected, has_error) in
            [(None, "info", false), (Some("debug"), "debug", false), (Some("loud,="), "info", true)]
        {
            let (filter, error) = filter(variable.map(str::to_owned), "info");
            assert_eq!((filter.to_string().as_str(), error.is_some()), (expected, has_error), "{variable:?}");
        }
    }
}
