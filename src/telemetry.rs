//! Logging.

use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::{LogFormat, LogSettings};

/// Sends log lines to standard error, as the settings say. `RUST_LOG` wins over `log.level`. Does nothing
/// when something listens already, as in tests.
pub fn start(settings: &LogSettings) {
    let filter = std::env::var("RUST_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.or_else(|| EnvFilter::try_new(&settings.level).ok()).unwrap_or_default();
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match settings.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).try_init(),
    };
}
