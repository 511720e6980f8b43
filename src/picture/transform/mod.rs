//! [`Transform`]: another size, quality, orientation or rate of pictures, as a request asks for it in its query.
//!
//! This file parses queries and writes their canonical form. [`apply`] transforms pictures.

mod apply;
mod preset;

use std::fmt;

pub use self::{
    apply::{Applied, How, apply, apply_to_planes, reshape, reshape_jpeg},
    preset::PresetName,
};
use super::PictureLimits;
use crate::{
    error::{Error, Result},
    query,
};

/// Longest side that a request can ask for, in pixels: that of 4K video, in landscape or portrait.
pub const MAX_SIDE: u32 = 4096;

/// Shortest side that a request can ask for, in pixels.
pub const MIN_SIDE: u32 = 8;

/// Pictures a second that a request can ask for, in thousandths.
const FPS_MILLIS: std::ops::RangeInclusive<u32> = 10..=60_000;

/// How a picture fills the requested size. `contain`, `cover` and `fill` are the words of CSS (`object-fit`);
/// `inside` is the word of sharp and of image proxies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fit {
    /// Fits within the size, without bars and never enlarged, so that the result can be smaller than requested.
    #[default]
    Inside,
    /// Exactly the size; shows the whole picture, with black bars.
    Contain,
    /// Exactly the size, filled with the middle of the picture.
    Cover,
    /// Exactly the size, distorted.
    Fill,
}

/// One of the eight orientations: turned clockwise by quarter turns, then mirrored left to right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Turn {
    /// Quarter turns clockwise, 0 to 3.
    pub quarters: u8,
    /// Whether left and right are then swapped.
    pub mirrored: bool,
}

impl Turn {
    /// No change.
    pub const NONE: Turn = Turn { quarters: 0, mirrored: false };

    /// Whether width and height are swapped.
    pub fn swaps_sides(self) -> bool {
        self.quarters % 2 == 1
    }
}

/// A transform of pictures. Requests with the same meaning give equal values, however they are written:
/// `rotate=360` and `rotate=180&flip=both` change nothing, and `w=320` equals `width=320`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Transform {
    width: Option<u32>,
    height: Option<u32>,
    fit: Fit,
    quality: Option<u8>,
    fps_millis: Option<u32>,
    turn: Turn,
    gray: bool,
    overlay: Option<PresetName>,
}

impl Transform {
    /// Changes nothing.
    pub const NONE: Transform = Transform {
        width: None,
        height: None,
        fit: Fit::Inside,
        quality: None,
        fps_millis: None,
        turn: Turn::NONE,
        gray: false,
        overlay: None,
    };

    /// Reads `w`, `h`, `fit`, `quality`, `fps`, `rotate`, `flip`, `gray` and `overlay` from a query; `width` and `height` are
    /// other names of `w` and `h`. Ignores all other parameters. Errors name the parameter and its rule.
    pub fn from_query(query: &str) -> Result<Self> {
        let mut asked = Transform::NONE;
        let (mut quarters, mut flip, mut fit) = (0, None, None);
        let mut seen: Vec<&'static str> = vec![];
        for (name, value) in query::pairs(query) {
            let Some(field) = field(&name) else { continue };
            if seen.contains(&field) {
                return Err(Error::parameter(field, "must not occur twice"));
            }
            seen.push(field);
            match field {
                "w" => asked.width = Some(side(field, &value)?),
                "h" => asked.height = Some(side(field, &value)?),
                "fit" => fit = Some(value.parse()?),
                "quality" => asked.quality = Some(quality(&value)?),
                "fps" => asked.fps_millis = Some(fps(&value)?),
                "rotate" => quarters = rotation(&value)?,
                "flip" => flip = Some(mirror(&value)?),
                "overlay" => asked.overlay = Some(value.parse()?),
                _ => asked.gray = switch(field, &value)?,
            }
        }
        asked.fit = fit.unwrap_or_default();
        let exact = asked.width.is_some() && asked.height.is_some();
        if asked.fit != Fit::Inside && !exact {
            return Err(Error::parameter("fit", format!("{} needs both w and h", asked.fit)));
        }
        // A flip top to bottom is a flip left to right and half a turn.
        let (mirrored, upside_down) = flip.unwrap_or_default();
        asked.turn =
            Turn { quarters: (quarters + if upside_down { 2 } else { 0 }) % 4, mirrored: mirrored != upside_down };
        Ok(asked)
    }

    /// Fits within a size, without bars, never enlarged.
    pub fn inside(width: u32, height: u32) -> Self {
        Transform { width: Some(width), height: Some(height), ..Transform::NONE }
    }

    /// Exactly a size, whatever the proportions of the picture are.
    pub fn exactly(width: u32, height: u32) -> Self {
        Transform { fit: Fit::Fill, ..Transform::inside(width, height) }
    }

    /// The same transform without a rate, for a single picture.
    pub fn still(mut self) -> Self {
        self.fps_millis = None;
        self
    }

    /// The overlay that is drawn on the result.
    pub fn overlay(&self) -> Option<PresetName> {
        self.overlay
    }

    /// The quality of the result, if it is set.
    pub fn quality(&self) -> Option<u8> {
        self.quality
    }

    /// Whether pictures are not changed, apart from their rate.
    pub fn keeps_pictures(&self) -> bool {
        self.still() == Transform::NONE
    }

    /// Whether nothing changes, not even the rate.
    pub fn is_none(&self) -> bool {
        *self == Transform::NONE
    }

    /// The shortest time between two pictures.
    pub fn pause(&self) -> Option<std::time::Duration> {
        self.fps_millis.map(|millis| std::time::Duration::from_secs_f64(1000.0 / f64::from(millis)))
    }

    /// Whether a picture of this size keeps its bytes.
    pub fn leaves(&self, width: u32, height: u32) -> bool {
        let whole = self.geometry(width, height, &PictureLimits { frame_pixels: u64::MAX, ..PictureLimits::default() });
        let changes = self.quality.is_some() || self.gray || self.turn != Turn::NONE || self.overlay.is_some();
        !changes && whole.is_ok_and(|geometry| geometry == Geometry::whole(width, height))
    }

    /// Size and position of the result, after turning.
    fn geometry(&self, width: u32, height: u32, limits: &PictureLimits) -> Result<Geometry> {
        let (from_w, from_h) = if self.turn.swaps_sides() { (height, width) } else { (width, height) };
        let (w, h) = (f64::from(from_w), f64::from(from_h));
        let round = |side: f64| (side.round() as u32).max(1);
        let geometry = match (self.width, self.height) {
            (None, None) => Geometry::whole(from_w, from_h),
            (Some(to_w), Some(to_h)) if self.fit == Fit::Fill => Geometry::whole(to_w, to_h),
            (Some(to_w), Some(to_h)) if self.fit == Fit::Contain => {
                let scale = f64::min(f64::from(to_w) / w, f64::from(to_h) / h);
                let inner = (round(w * scale).min(to_w), round(h * scale).min(to_h));
                Geometry { inner, ..Geometry::whole(to_w, to_h) }
            }
            (Some(to_w), Some(to_h)) if self.fit == Fit::Cover => {
                let scale = f64::max(f64::from(to_w) / w, f64::from(to_h) / h);
                let shown = (f64::from(to_w) / (scale * w), f64::from(to_h) / (scale * h));
                Geometry { shown: (shown.0.min(1.0), shown.1.min(1.0)), ..Geometry::whole(to_w, to_h) }
            }
            (to_w, to_h) => {
                let room = |to: Option<u32>, from: f64| to.map_or(1.0, |to| f64::from(to) / from);
                let scale = room(to_w, w).min(room(to_h, h)).min(1.0);
                Geometry::whole(round(w * scale), round(h * scale))
            }
        };
        limits.check_pixels(geometry.outer.0, geometry.outer.1)?;
        Ok(geometry)
    }
}

/// Size and position of a result.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Geometry {
    /// Width and height of the result.
    outer: (u32, u32),
    /// Width and height of the picture in the middle of it; less than `outer` if there are bars.
    inner: (u32, u32),
    /// The shown part of the picture's width and height, measured from its middle, from 0 to 1.
    shown: (f64, f64),
}

impl Geometry {
    fn whole(width: u32, height: u32) -> Self {
        Geometry { outer: (width, height), inner: (width, height), shown: (1.0, 1.0) }
    }

    /// The same geometry before turning.
    fn unturned(self, turn: Turn) -> Self {
        fn swap<T>((a, b): (T, T)) -> (T, T) {
            (b, a)
        }
        match turn.swaps_sides() {
            true => Geometry { outer: swap(self.outer), inner: swap(self.inner), shown: swap(self.shown) },
            false => self,
        }
    }
}

/// The canonical query; empty for no change.
impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![];
        if let Some(width) = self.width {
            parts.push(format!("w={width}"));
        }
        if let Some(height) = self.height {
            parts.push(format!("h={height}"));
        }
        if self.fit != Fit::Inside {
            parts.push(format!("fit={}", self.fit));
        }
        if let Some(quality) = self.quality {
            parts.push(format!("quality={quality}"));
        }
        if let Some(millis) = self.fps_millis {
            parts.push(format!("fps={}", f64::from(millis) / 1000.0));
        }
        if self.turn.quarters > 0 {
            parts.push(format!("rotate={}", u32::from(self.turn.quarters) * 90));
        }
        if self.turn.mirrored {
            parts.push("flip=horizontal".into());
        }
        if self.gray {
            parts.push("gray=1".into());
        }
        if let Some(overlay) = self.overlay {
            parts.push(format!("overlay={overlay}"));
        }
        f.write_str(&parts.join("&"))
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fit::Inside => "inside",
            Fit::Contain => "contain",
            Fit::Cover => "cover",
            Fit::Fill => "fill",
        })
    }
}

impl std::str::FromStr for Fit {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        [Fit::Inside, Fit::Contain, Fit::Cover, Fit::Fill]
            .into_iter()
            .find(|fit| fit.to_string() == word)
            .ok_or_else(|| Error::parameter("fit", format!("must be inside, contain, cover or fill, not {word:?}")))
    }
}

fn field(name: &str) -> Option<&'static str> {
    Some(match name {
        "w" | "width" => "w",
        "h" | "height" => "h",
        "fit" => "fit",
        "quality" => "quality",
        "fps" => "fps",
        "rotate" => "rotate",
        "flip" => "flip",
        "gray" => "gray",
        "overlay" => "overlay",
        _ => return None,
    })
}

fn side(field: &'static str, value: &str) -> Result<u32> {
    let rule =
        || Error::parameter(field, format!("must be a whole number from {MIN_SIDE} to {MAX_SIDE}, not {value:?}"));
    value.parse().ok().filter(|side| (MIN_SIDE..=MAX_SIDE).contains(side)).ok_or_else(rule)
}

fn quality(value: &str) -> Result<u8> {
    let rule = || Error::parameter("quality", format!("must be a whole number from 1 to 100, not {value:?}"));
    value.parse().ok().filter(|quality| (1..=100).contains(quality)).ok_or_else(rule)
}

fn fps(value: &str) -> Result<u32> {
    let rule = || Error::parameter("fps", format!("must be a number from 0.01 to 60, not {value:?}"));
    let millis = value.parse::<f64>().ok().filter(|fps| fps.is_finite()).map(|fps| (fps * 1000.0).round());
    millis.filter(|m| FPS_MILLIS.contains(&(*m as u32))).map(|m| m as u32).ok_or_else(rule)
}

/// Quarter turns clockwise.
fn rotation(value: &str) -> Result<u8> {
    let rule = || Error::parameter("rotate", format!("must be 0, 90, 180 or 270 degrees, clockwise, not {value:?}"));
    let degrees: i32 = value.parse().map_err(|_| rule())?;
    if degrees % 90 != 0 || !(-360..=360).contains(&degrees) {
        return Err(rule());
    }
    Ok((degrees.rem_euclid(360) / 90) as u8)
}

/// Whether to swap left and right, and top and bottom.
fn mirror(value: &str) -> Result<(bool, bool)> {
    Ok(match value {
        "" | "none" => (false, false),
        "h" | "horizontal" => (true, false),
        "v" | "vertical" => (false, true),
        "hv" | "vh" | "both" => (true, true),
        _ => {
            return Err(Error::parameter("flip", format!("must be horizontal, vertical or both, not {value:?}")));
        }
    })
}

fn switch(field: &'static str, value: &str) -> Result<bool> {
    match value {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        _ => Err(Error::parameter(field, format!("must be 0 or 1, not {value:?}"))),
    }
}

#[cfg(test)]
mod tests;
