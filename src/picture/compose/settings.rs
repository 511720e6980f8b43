//! [`Layer`]: one entry of `overlay` in a definition, as users write it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::mask::MaskStyle;

/// A text, an image, a box or a mask on a picture. It has exactly one of `text`, `image`, `box` and `mask`. Lengths are in percent: of
/// the width from left to right, of the height from top to bottom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Layer {
    /// Text with placeholders: `{name}`, `{time:%F %T}`, `{date}`, `{now:%T}`, `{captured:%T}`, `{age}`, `{width}`, `{height}`, `{fps}`,
    /// `{seq}`, `{value:KEY}`. Several lines are possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A picture in a media folder, such as `logo.png`. Transparent areas stay transparent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A rectangle: left, top, width and height.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#box: Option<[f64; 4]>,
    /// An area whose content is hidden: a rectangle (left, top, width, height) or a polygon (a list of points).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<Area>,
    /// How a mask hides: `black`, `pixelate` or `blur`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub style: Option<MaskStyle>,
    /// Where a text or an image is: a word, or its left upper corner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
    /// Height of a line of text, in percent of the picture's height (0.5 to 50).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<f64>,
    /// Width of an image, in percent of the picture's width (0.5 to 100).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<f64>,
    /// Colour of a text or a box: `#RGB`, `#RGBA`, `#RRGGBB`, `#RRGGBBAA`, or one of white, black, red, green, blue, yellow, orange, gray.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour: Option<String>,
    /// Colour behind a text; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// Colour around the letters of a text; black by default if there is no background, `none` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outline: Option<String>,
    /// Opacity of an image, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opacity: Option<f64>,
    /// Thickness of the line of a box, in percent of the picture's height. Without it the box is filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<f64>,
    /// Time zone of the times in a text, such as `Europe/Berlin`; that of this machine by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// `sans`, or `mono` with digits of equal width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font: Option<Font>,
}

/// A rectangle or a polygon, in percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Area {
    /// Left, top, width and height.
    Rectangle([f64; 4]),
    /// Points.
    Polygon(Vec<[f64; 2]>),
}

/// Where a text or an image is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Place {
    /// At an edge, in a corner or in the middle.
    Word(Word),
    /// Left upper corner, in percent.
    Point([f64; 2]),
}

/// A place by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the places")]
pub enum Word {
    TopLeft,
    Top,
    TopRight,
    Left,
    Center,
    Right,
    BottomLeft,
    Bottom,
    BottomRight,
}

impl Word {
    /// The part of the free width to the left, and of the free height above.
    pub(super) fn parts(self) -> (f64, f64) {
        let x = match self {
            Word::TopLeft | Word::Left | Word::BottomLeft => 0.0,
            Word::Top | Word::Center | Word::Bottom => 0.5,
            Word::TopRight | Word::Right | Word::BottomRight => 1.0,
        };
        let y = match self {
            Word::TopLeft | Word::Top | Word::TopRight => 0.0,
            Word::Left | Word::Center | Word::Right => 0.5,
            Word::BottomLeft | Word::Bottom | Word::BottomRight => 1.0,
        };
        (x, y)
    }
}

/// A font of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the fonts")]
pub enum Font {
    Sans,
    Mono,
}
