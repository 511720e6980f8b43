//! Where text goes: a pen for lines of text of one size.

use crate::picture::text::{Face, Fonts, Line};

use super::{canvas::Canvas, colour::Colour};

/// How a line of text lies at its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Align {
    Left,
    Middle,
    Right,
}

/// Writes text of one height.
pub(super) struct Pen<'a> {
    fonts: &'a Fonts,
    /// Height of a line in pixels.
    pub(super) size: f32,
}

impl<'a> Pen<'a> {
    pub(super) fn new(fonts: &'a Fonts, size: f32) -> Self {
        Pen { fonts, size }
    }

    pub(super) fn width(&self, text: &str) -> f32 {
        self.fonts.width(Face::Sans, self.size, text)
    }

    /// Writes a line whose upper edge is at `top`. It ends with an ellipsis where it is wider than `room`.
    pub(super) fn write(
        &self,
        canvas: &mut Canvas,
        text: &str,
        (x, top): (f32, f32),
        align: Align,
        room: f32,
        colour: Colour,
    ) {
        let line = self.fitted(text, room);
        let left = match align {
            Align::Left => x,
            Align::Middle => x - line.width / 2.0,
            Align::Right => x - line.width,
        };
        canvas.mask(&line.mask(), left.round() as i32, (top + line.ascent).round() as i32, colour);
    }

    fn fitted(&self, text: &str, room: f32) -> Line {
        let line = self.fonts.line(Face::Sans, self.size, text);
        if line.width <= room {
            return line;
        }
        // The width of a text is the sum of its characters: the part that fits is found by halving.
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let cut = |count: usize| {
            let (begin, _) = text.split_at(ends.get(count).copied().unwrap_or(text.len()));
            format!("{}…", begin.trim_end())
        };
        let fitting = ends.partition_point(|at| {
            let (begin, _) = text.split_at(*at);
            self.width(&format!("{begin}…")) <= room
        });
        self.fonts.line(Face::Sans, self.size, &cut(fitting.saturating_sub(1)))
    }
}
