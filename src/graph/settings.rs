//! The settings of a graph: which numbers, how they look, and where they come from.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    clock::Zone,
    colour::Colour,
    scale::{Limits, Scale},
    value::{Format, Prefix},
    words::{LegendPart, Side, Spread, Style, Theme, View, Window, as_text, to_text},
};
use crate::{
    numbers::{Selector, time::SECOND},
    secret::Secret,
    units::HumanDuration,
};

/// Numbers over time as a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = GraphDefinition)]
pub struct Settings {
    /// A line above the graph.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "Printer")]
    pub title: String,
    /// The time that is shown: a duration from 10s to 400days, or `today` for the time since midnight.
    #[schema(value_type = String, example = "10m")]
    pub window: Window,
    /// The series to show, in this order. Empty: all that arrive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Entry>,
    /// The left axis.
    #[serde(skip_serializing_if = "is_default")]
    pub left: Axis,
    /// The right axis.
    #[serde(skip_serializing_if = "is_default")]
    pub right: Axis,
    /// Lines and bands at certain values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// What the legend shows of each series. Empty: no legend.
    pub legend: Vec<LegendPart>,
    /// The whole graph, or the last number in large digits.
    pub view: View,
    /// The colours of ground and text.
    pub theme: Theme,
    /// Time zone, such as `Europe/Berlin`. Empty: that of the machine.
    #[serde(skip_serializing_if = "Zone::is_system")]
    #[schema(value_type = String, example = "Europe/Berlin")]
    pub zone: Zone,
    /// A longer pause between two points is a gap. Without it, a line leads from each point to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1m")]
    pub gap: Option<HumanDuration>,
    /// Width in pixels, an even number from 64 to 3840.
    pub width: u32,
    /// Height in pixels, an even number from 36 to 2160.
    pub height: u32,
    /// Height of a line of text in percent of the picture's height, 1 to 20.
    pub text_size: f64,
    /// Most pictures a second, 0.1 to 30. A picture is drawn when there are new points, and when the window has moved by a pixel.
    pub fps: f64,
    /// Topics of MQTT, also with wildcards. Each topic is a series of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// URL of a page of metrics as Prometheus reads them. The names of `series` select the metrics.
    #[serde(skip_serializing_if = "String::is_empty", serialize_with = "crate::secret::serialize_url")]
    #[schema(example = "http://192.168.1.10:9100/metrics")]
    pub url: String,
    /// Pause between two requests of the page, from 1s to 1h.
    #[schema(value_type = String, example = "5s")]
    pub interval: HumanDuration,
    /// The user, if the page asks for one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The password; shown as `***`.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    #[schema(value_type = String)]
    pub pass: Secret,
    /// The SHA-256 of the page's certificate, if it is self-signed; 64 hexadecimal digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// Whether the page is requested without a watcher, too, so that the graph has a history.
    pub keep: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            title: String::new(),
            window: Window::default(),
            series: vec![],
            left: Axis::default(),
            right: Axis::default(),
            thresholds: vec![],
            legend: vec![LegendPart::Last, LegendPart::Min, LegendPart::Max, LegendPart::Mean],
            view: View::default(),
            theme: Theme::default(),
            zone: Zone::default(),
            gap: None,
            width: 1280,
            height: 720,
            text_size: 3.0,
            fps: 5.0,
            topics: vec![],
            url: String::new(),
            interval: HumanDuration::secs(5),
            user: String::new(),
            pass: Secret::default(),
            fingerprint: String::new(),
            keep: false,
        }
    }
}

/// One or more series, and how they look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GraphSeries)]
pub struct Entry {
    /// The name, with some or all of the tags: `cpu.usage_idle{cpu=cpu0}`. Each series that has them is shown.
    #[serde(deserialize_with = "as_text", serialize_with = "to_text")]
    #[schema(value_type = String, example = "cpu.usage_idle{cpu=cpu-total}")]
    pub name: Selector,
    /// The text in the legend. `{tag}` stands for the value of a tag. Default: the name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// `#rrggbb`, or red, orange, yellow, green, cyan, blue, purple, magenta, pink, grey, white or black. Default: one of eight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "#4e8cf1")]
    pub colour: Option<Colour>,
    /// The unit in the legend. Default: that of the axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The axis.
    #[serde(default, skip_serializing_if = "is_default")]
    pub axis: Side,
    /// How the numbers are drawn.
    #[serde(default, skip_serializing_if = "is_default")]
    pub style: Style,
    /// Width of the line in pixels, 0.5 to 20. Default: one for each 360 of the picture's height, at least 1.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_width: Option<f64>,
    /// Whether the series stands on the stacked ones before it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stack: bool,
    /// Whether the numbers are a counter: its increase in a second is shown. A smaller number than the one before is a restart from 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate: bool,
    /// The numbers are multiplied by this, such as 8 for bits of bytes. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// The topic of MQTT that has the numbers, without wildcards.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(example = "printer/bed/temperature")]
    pub topic: String,
    /// The place of the number in JSON messages of the topic, as a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/temperature")]
    pub pointer: Option<String>,
}

/// An axis of values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = GraphAxis)]
pub struct Axis {
    /// The unit behind the numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "°C")]
    pub unit: String,
    /// How large and small numbers are written.
    #[serde(skip_serializing_if = "is_default")]
    pub prefix: Prefix,
    /// Whether equal differences (`linear`) or equal factors (`log`) are equally far apart. On a logarithmic axis, numbers that are not
    /// above 0 are gaps.
    #[serde(skip_serializing_if = "is_default")]
    pub scale: Spread,
    /// The low end, whatever the numbers are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The high end, whatever the numbers are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The low end, unless a number is lower.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_min: Option<f64>,
    /// The high end, unless a number is higher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_max: Option<f64>,
}

impl Axis {
    pub(super) fn is_log(&self) -> bool {
        self.scale == Spread::Log
    }

    /// The scale for numbers in this range of places, with about so many steps.
    pub(super) fn scale_for(&self, places: Option<Range<f64>>, steps: usize) -> Scale {
        let Axis { min, max, soft_min, soft_max, .. } = *self;
        let limits = Limits { min, max, soft_min, soft_max };
        let is_binary = self.format().is_binary();
        match self.scale {
            Spread::Linear => Scale::new(places, limits, steps, is_binary),
            Spread::Log => Scale::logarithmic(places, limits, steps, is_binary),
        }
    }

    pub(super) fn format(&self) -> Format {
        Format::new(&self.unit, self.prefix)
    }
}

/// A line at a value, or a band between two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GraphThreshold)]
pub struct Threshold {
    /// The value of a line. In the view `stat`, numbers from it on have the colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The low end of a band. Default: the end of the axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// The high end of a band. Default: the end of the axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
    /// The colour; default red.
    #[serde(default = "red")]
    #[schema(value_type = String, example = "red")]
    pub colour: Colour,
    /// A text at the line or band.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The axis.
    #[serde(default, skip_serializing_if = "is_default")]
    pub axis: Side,
}

fn red() -> Colour {
    Colour([235, 87, 87])
}

/// Least span of an axis of time.
const SHORTEST: i64 = 10 * SECOND;

impl Settings {
    /// The time from the left to the right edge, in microseconds since 1970.
    pub fn span(&self, now: i64) -> Range<i64> {
        let length = match self.window {
            Window::Last(duration) => i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
            Window::Today => now.saturating_sub(self.zone.midnight(now)),
        };
        now.saturating_sub(length.max(SHORTEST))..now
    }

    /// The longest time that the window has, in microseconds: a day has 25 hours when clocks are set back.
    pub fn longest(&self) -> i64 {
        match self.window {
            Window::Last(duration) => i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
            Window::Today => 25 * 3600 * SECOND,
        }
    }

    pub(super) fn axis(&self, side: Side) -> &Axis {
        if side == Side::Left { &self.left } else { &self.right }
    }

    /// The first setting that breaks a rule: the field and the rule.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let within = |field, value: u32, range: std::ops::RangeInclusive<u32>| match value {
            value if range.contains(&value) && value.is_multiple_of(2) => Ok(()),
            value => {
                Err((field, format!("must be an even number from {} to {}, not {value}", range.start(), range.end())))
            }
        };
        within("width", self.width, 64..=3840)?;
        within("height", self.height, 36..=2160)?;
        if let Window::Last(duration) = self.window
            && !(HumanDuration::secs(10)..=HumanDuration::secs(400 * 86_400)).contains(&duration)
        {
            return Err(("window", format!("must be from 10s to 400days, or today, not {duration}")));
        }
        if !(0.1..=30.0).contains(&self.fps) {
            return Err(("fps", format!("must be from 0.1 to 30, not {}", self.fps)));
        }
        if !(1.0..=20.0).contains(&self.text_size) {
            return Err(("text_size", format!("must be from 1 to 20 percent, not {}", self.text_size)));
        }
        if self.gap.is_some_and(|gap| gap < HumanDuration::millis(1)) {
            return Err(("gap", "must be longer than nothing".into()));
        }
        if !(HumanDuration::secs(1)..=HumanDuration::secs(3600)).contains(&self.interval) {
            return Err(("interval", format!("must be from 1s to 1h, not {}", self.interval)));
        }
        for (field, axis) in [("left", &self.left), ("right", &self.right)] {
            let ends = [axis.min, axis.max, axis.soft_min, axis.soft_max];
            if ends.into_iter().flatten().any(|end| !end.is_finite()) {
                return Err((field, "min, max, soft_min and soft_max must be finite numbers".into()));
            }
            if axis.is_log() && ends.into_iter().flatten().any(|end| end <= 0.0) {
                let rule = "min, max, soft_min and soft_max must be above 0 on a logarithmic axis";
                return Err((field, rule.into()));
            }
            if let (Some(min), Some(max)) = (axis.min, axis.max)
                && min >= max
            {
                return Err((field, format!("min must be less than max, not {min} and {max}")));
            }
        }
        for (i, threshold) in self.thresholds.iter().enumerate() {
            let Threshold { value, from, to, .. } = threshold;
            if value.is_some() == (from.is_some() || to.is_some()) {
                return Err((
                    "thresholds",
                    format!("entry {i}: needs either value, for a line, or from and to, for a band"),
                ));
            }
            if let (Some(from), Some(to)) = (from, to)
                && from >= to
            {
                return Err(("thresholds", format!("entry {i}: from must be less than to, not {from} and {to}")));
            }
        }
        for (i, entry) in self.series.iter().enumerate() {
            if entry.line_width.is_some_and(|width| !(0.5..=20.0).contains(&width)) {
                return Err(("series", format!("entry {i}: line_width must be from 0.5 to 20")));
            }
            if entry.factor.is_some_and(|factor| !factor.is_finite() || factor == 0.0) {
                return Err(("series", format!("entry {i}: factor must be a finite number other than 0")));
            }
            if entry.stack && self.axis(entry.axis).is_log() {
                return Err(("series", format!("entry {i}: stack needs a linear axis")));
            }
            if entry.pointer.is_some() && entry.topic.is_empty() {
                return Err(("series", format!("entry {i}: pointer needs a topic")));
            }
        }
        Ok(())
    }
}
