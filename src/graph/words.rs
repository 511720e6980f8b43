//! The words of a graph's settings: styles, themes, windows.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use super::colour::Colour;
use crate::units::HumanDuration;

/// Declares an enum of words.
macro_rules! words {
    ($(#[$about:meta])* $name:ident as $schema:ident { $($(#[$doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        #[schema(as = $schema)]
        pub enum $name { $($(#[$doc])* $variant),+ }
    };
}

words! {
    /// An axis.
    Side as GraphSide {
        /// The left one.
        #[default]
        Left,
        /// The right one.
        Right,
    }
}

words! {
    /// How the numbers of an axis are spread.
    Spread as GraphScale {
        /// Equal differences are equally far apart.
        #[default]
        Linear,
        /// Equal factors are equally far apart. Numbers that are not above 0 are gaps.
        Log,
    }
}

words! {
    /// How numbers are drawn.
    Style as GraphStyle {
        /// A line from point to point.
        #[default]
        Line,
        /// The same, with a coloured area between the line and zero.
        Area,
        /// Each number until the next one.
        Step,
        /// A bar for each number.
        Bars,
        /// A dot for each number.
        Points,
    }
}

words! {
    /// A part of the legend.
    LegendPart as GraphLegendPart {
        /// The last number.
        #[default]
        Last,
        /// The smallest number in the window.
        Min,
        /// The largest number in the window.
        Max,
        /// The mean of the kept numbers in the window.
        Mean,
        /// The name alone.
        Name,
    }
}

words! {
    /// The form of the picture.
    View as GraphView {
        /// A graph with axes.
        #[default]
        Graph,
        /// The last number of each series in large digits, with a small graph.
        Stat,
    }
}

words! {
    /// Colours of ground and text.
    Theme as GraphTheme {
        /// Light text on a dark ground.
        #[default]
        Dark,
        /// Dark text on a light ground.
        Light,
        /// Light text on nothing. Pictures without transparency have black there.
        Transparent,
    }
}

impl Theme {
    pub(super) fn ground(self) -> Colour {
        match self {
            Theme::Dark => Colour([24, 28, 36]),
            Theme::Light => Colour([255, 255, 255]),
            Theme::Transparent => Colour([0, 0, 0]),
        }
    }

    pub(super) fn ink(self) -> Colour {
        match self {
            Theme::Light => Colour([32, 36, 44]),
            Theme::Dark | Theme::Transparent => Colour([236, 239, 244]),
        }
    }

    /// Labels and lines that stand back.
    pub(super) fn dim(self) -> Colour {
        match self {
            Theme::Light => Colour([96, 104, 118]),
            Theme::Dark => Colour([150, 160, 175]),
            Theme::Transparent => Colour([200, 205, 212]),
        }
    }
}

/// The time that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last minutes, hours or days.
    Last(HumanDuration),
    /// Since midnight in the zone of the graph.
    Today,
}

impl Default for Window {
    fn default() -> Self {
        Window::Last(HumanDuration::secs(600))
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "today" | "since midnight" => Ok(Window::Today),
            text => text.parse().map(Window::Last),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Last(duration) => duration.fmt(f),
            Window::Today => f.write_str("today"),
        }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        as_text(from)
    }
}

pub(super) fn as_text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(de::Error::custom)
}

pub(super) fn to_text<S: Serializer>(value: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}
