//! Logging.

use std::{ffi::OsStr, io::IsTerminal};

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt};

use crate::settings::{LogFormat, LogSettings};

/// Writes log lines to standard error. `RUST_LOG` has precedence over `log.level`. Does nothing if logging was started before, as in tests.
pub fn start(settings: &LogSettings) {
    let (filter, error) = filter(std::env::var("RUST_LOG").ok(), &settings.level);
    let has_colours = has_colours(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let builder = fmt().with_env_filter(filter).with_ansi(has_colours).with_writer(std::io::stderr);
    let _ = match settings.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).try_init(),
    };
    if let Some(error) = error {
        tracing::warn!("RUST_LOG is not used: {error}");
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
    use super::*;

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
