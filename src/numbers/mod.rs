//! Numbers over time: reading them from the bytes of foreign programs, keeping them, and thinning them without losing a spike.
//!
//! [`Store`] has the points of all graph streams. This module knows no picture and no HTTP; `graph` draws what it holds.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod disk;
pub mod exposition;
pub mod line_protocol;
mod points;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
pub mod read;
mod selector;
mod series;
mod settings;
mod store;
pub mod time;

pub use self::{
    points::{Latest, Numbers, Rules, Taken},
    selector::{Selector, SeriesName},
    series::Point,
    settings::GraphSettings,
    store::Store,
};

/// Most bytes of a series' name with its tags. Telegraf's are some hundred.
pub const MAX_SERIES_NAME: usize = 400;

/// A number as it arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name of the series with its tags, as [`SeriesName`] writes it.
    pub series: String,
    /// Microseconds since 1970; none: now.
    pub at: Option<i64>,
    /// The number. Not a number for a gap.
    pub value: f64,
}
