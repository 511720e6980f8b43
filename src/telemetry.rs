//! Logging.

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt};

use crate::settings::{LogFormat, LogSettings};

/// Writes log lines to standard error. `RUST_LOG` has precedence over `log.level`. Does nothing if logging was started before, as in tests.
pub fn start(settings: &LogSettings) {
    let (filter, error) = filter(std::env::var("RUST_LOG").ok(), &settings.level);
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match settings.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).try_init(),
    };
    if let Some(error) = error {
        tracing::warn!("RUST_LOG is not used: {error}");
    }
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
    fn a_rust_log_that_cannot_be_read_is_reported_and_the_setting_is_used() {
        for (variable, expected, has_error) in
            [(None, "info", false), (Some("debug"), "debug", false), (Some("loud,="), "info", true)]
        {
            let (filter, error) = filter(variable.map(str::to_owned), "info");
            assert_eq!((filter.to_string().as_str(), error.is_some()), (expected, has_error), "{variable:?}");
        }
    }
}
