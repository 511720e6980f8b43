//! [`Overlay`]: the layers of a definition, checked.

use jiff::tz::TimeZone;

use super::{
    blend::Ink,
    colour,
    mask::MaskStyle,
    settings::{Area, Font, Layer, Place, Word},
    template::Template,
};
use crate::{
    error::{Code, Error, Result},
    picture::text::Face,
};

/// Most layers of an overlay, and most points of a polygon.
const MAX_LAYERS: usize = 32;
const MAX_POINTS: usize = 100;

/// Height of a line of text in percent, unless it is set.
const TEXT_SIZE: f64 = 4.0;

/// Width of an image in percent, unless it is set.
const IMAGE_WIDTH: f64 = 15.0;

/// The layers of an overlay. Equal to another one if both draw the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    pub(super) layers: Vec<Checked>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Checked {
    Mask { points: Vec<[f64; 2]>, style: MaskStyle },
    Box { area: [f64; 4], ink: Ink, line: Option<f64> },
    Image { path: String, place: Place, width: f64, opacity: u8 },
    Text(Text),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub(super) template: Template,
    pub(super) place: Place,
    pub(super) size: f64,
    pub(super) ink: Ink,
    pub(super) background: Option<Ink>,
    pub(super) outline: Option<Ink>,
    pub(super) zone: TimeZone,
    pub(super) face: Face,
}

impl Overlay {
    /// Checks the layers. An error names the layer, by its number from 1, and its member.
    pub fn new(layers: &[Layer]) -> Result<Self> {
        let refuse = |message: String| Error::new(Code::InvalidDefinition, message).in_field("overlay");
        if layers.len() > MAX_LAYERS {
            return Err(refuse(format!("overlay: must have at most {MAX_LAYERS} layers, not {}", layers.len())));
        }
        let check = |(i, layer): (usize, &Layer)| {
            checked(layer).map_err(|(member, rule)| refuse(format!("overlay: layer {}: {member}: {rule}", i + 1)))
        };
        Ok(Overlay { layers: layers.iter().enumerate().map(check).collect::<Result<_>>()? })
    }

    /// Whether nothing is drawn.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether the overlay changes although the picture does not, as a clock does.
    pub fn moves(&self) -> bool {
        self.layers.iter().any(|layer| matches!(layer, Checked::Text(text) if text.template.moves()))
    }

    /// The keys of the values that its texts show.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        let texts = self.layers.iter().filter_map(|layer| match layer {
            Checked::Text(text) => Some(&text.template),
            _ => None,
        });
        texts.flat_map(Template::values)
    }

    /// The paths of its images.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().filter_map(|layer| match layer {
            Checked::Image { path, .. } => Some(path.as_str()),
            _ => None,
        })
    }
}

type Refusal = (&'static str, String);

fn checked(layer: &Layer) -> Result<Checked, Refusal> {
    let kinds = [layer.text.is_some(), layer.image.is_some(), layer.r#box.is_some(), layer.mask.is_some()];
    if kinds.iter().filter(|is_set| **is_set).count() != 1 {
        return Err(("text", "a layer needs exactly one of text, image, box and mask".into()));
    }
    let misplaced = misplaced(layer);
    if let Some((member, of)) = misplaced {
        return Err((member, format!("is for {of} only")));
    }
    if let Some(area) = &layer.mask {
        return Ok(Checked::Mask { points: points(area)?, style: layer.style.unwrap_or_default() });
    }
    if let Some(area) = layer.r#box {
        rectangle("box", area)?;
        let line = layer.line.map(|line| within("line", line, 0.05..=50.0)).transpose()?;
        return Ok(Checked::Box { area, ink: ink("colour", layer.colour.as_deref(), "white")?, line });
    }
    let place = layer.at.unwrap_or(Place::Word(Word::TopLeft));
    if let Place::Point(point) = place {
        point.into_iter().try_for_each(|side| within("at", side, -100.0..=200.0).map(drop))?;
    }
    if let Some(path) = &layer.image {
        if path.is_empty() || path.len() > 1000 {
            return Err(("image", "must be the path of a file in a media folder".into()));
        }
        let width = within("width", layer.width.unwrap_or(IMAGE_WIDTH), 0.5..=100.0)?;
        let opacity = within("opacity", layer.opacity.unwrap_or(100.0), 0.0..=100.0)?;
        return Ok(Checked::Image { path: path.clone(), place, width, opacity: (opacity * 2.55).round() as u8 });
    }
    let template = Template::parse(layer.text.as_deref().unwrap_or_default()).map_err(|rule| ("text", rule))?;
    let zone = match layer.zone.as_deref() {
        None | Some("") => TimeZone::system(),
        Some(name) => TimeZone::get(name)
            .map_err(|_| ("zone", format!("{name:?} is no time zone; they are named as Europe/Berlin is")))?,
    };
    let background = layer.background.as_deref().filter(|text| *text != "none");
    let background = background.map(|text| ink("background", Some(text), "")).transpose()?;
    let outline = match (layer.outline.as_deref(), background) {
        (Some("none"), _) | (None, Some(_)) => None,
        (text, _) => Some(ink("outline", text, "#000c")?),
    };
    Ok(Checked::Text(Text {
        template,
        place,
        size: within("size", layer.size.unwrap_or(TEXT_SIZE), 0.5..=50.0)?,
        ink: ink("colour", layer.colour.as_deref(), "white")?,
        background,
        outline,
        zone,
        face: match layer.font {
            Some(Font::Mono) => Face::Mono,
            _ => Face::Sans,
        },
    }))
}

/// A member that this kind of layer does not have, and the kinds that have it.
fn misplaced(layer: &Layer) -> Option<(&'static str, &'static str)> {
    let (text, image, a_box) = (layer.text.is_some(), layer.image.is_some(), layer.r#box.is_some());
    let members = [
        ("as", layer.style.is_some(), layer.mask.is_some(), "a mask"),
        ("at", layer.at.is_some(), text || image, "a text or an image"),
        ("size", layer.size.is_some(), text, "a text"),
        ("width", layer.width.is_some(), image, "an image"),
        ("colour", layer.colour.is_some(), text || a_box, "a text or a box"),
        ("background", layer.background.is_some(), text, "a text"),
        ("outline", layer.outline.is_some(), text, "a text"),
        ("opacity", layer.opacity.is_some(), image, "an image"),
        ("line", layer.line.is_some(), a_box, "a box"),
        ("zone", layer.zone.is_some(), text, "a text"),
        ("font", layer.font.is_some(), text, "a text"),
    ];
    members.into_iter().find(|(_, is_set, is_right, _)| *is_set && !is_right).map(|(member, .., of)| (member, of))
}

fn ink(member: &'static str, text: Option<&str>, usual: &str) -> Result<Ink, Refusal> {
    colour::parse(text.unwrap_or(usual)).map_err(|rule| (member, rule))
}

fn within(member: &'static str, value: f64, range: std::ops::RangeInclusive<f64>) -> Result<f64, Refusal> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err((member, format!("must be from {} to {} (percent), not {value}", range.start(), range.end()))),
    }
}

fn rectangle(member: &'static str, [x, y, w, h]: [f64; 4]) -> Result<(), Refusal> {
    for side in [x, y] {
        within(member, side, -100.0..=200.0)?;
    }
    for side in [w, h] {
        within(member, side, 0.01..=300.0)?;
    }
    Ok(())
}

/// The corners of an area.
fn points(area: &Area) -> Result<Vec<[f64; 2]>, Refusal> {
    match area {
        Area::Rectangle(rect @ [x, y, w, h]) => {
            rectangle("mask", *rect)?;
            Ok(vec![[*x, *y], [x + w, *y], [x + w, y + h], [*x, y + h]])
        }
        Area::Polygon(points) => {
            if !(3..=MAX_POINTS).contains(&points.len()) {
                return Err(("mask", format!("a polygon has 3 to {MAX_POINTS} points, not {}", points.len())));
            }
            points.iter().flatten().try_for_each(|side| within("mask", *side, -100.0..=200.0).map(drop))?;
            Ok(points.clone())
        }
    }
}
