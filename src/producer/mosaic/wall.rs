//! [`show`]: puts the pictures of the tiles onto one picture, at the rate of the definition.

use std::{sync::Arc, time::SystemTime};

use futures_util::future::join_all;
use tokio::{
    sync::Notify,
    time::{Duration, Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    MAX_TILES, Shown,
    layout::{Layout, Rect},
    tile::{Content, SLOW, Tile},
};
use crate::{
    error::Result,
    picture::{
        PictureLimits, Raster, RasterPicture, SharedFrame,
        compose::{Composer, Layer, Moment, Overlay, Place, Word},
        in_pool_with, memory_to_transform,
        text::Fonts,
        transform::{Transform, reshape, reshape_jpeg},
    },
    producer::ProducerContext,
    stream::{Run, StreamName},
};

/// How often the streams and paths of a pattern are looked up: as often as MediaMTX's paths are listed.
const LOOK_UP: Duration = Duration::from_secs(2);

/// A picture can be larger than its place by one part of this many of the place, and then loses its edge.
const EDGE: u32 = 64;

/// The checked definition.
pub(super) struct Plan {
    pub(super) tiles: Vec<Shown>,
    pub(super) layout: Layout,
    pub(super) size: (u32, u32),
    /// Shortest time between two pictures.
    pub(super) every: Duration,
    pub(super) labels: bool,
    pub(super) gap: u32,
    /// Y, U, V.
    pub(super) background: [u8; 3],
    pub(super) quality: u8,
}

/// Shows the tiles until the run is stopped.
pub(super) async fn show(plan: &Arc<Plan>, context: &ProducerContext, run: &Run) -> Result<()> {
    let mut look_up = interval(LOOK_UP);
    look_up.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let names = names(plan, context, &run.name).await;
        let changed = async {
            loop {
                look_up.tick().await;
                if self::names(plan, context, &run.name).await != names {
                    return;
                }
            }
        };
        let has_patterns = plan.tiles.iter().any(|shown| matches!(shown, Shown::Pattern(_)));
        tokio::select! {
            () = changed, if has_patterns => {}
            end = show_these(&names, plan, context, run) => return end,
        }
    }
}

/// The streams and paths of all tiles, each once.
async fn names(plan: &Plan, context: &ProducerContext, own: &StreamName) -> Vec<StreamName> {
    let mut names: Vec<StreamName> = vec![];
    for shown in &plan.tiles {
        let found = match shown {
            Shown::Name(name) => vec![name.clone()],
            Shown::Pattern(pattern) => context.parents.matching(pattern, own).await,
        };
        for name in found {
            if !names.contains(&name) && names.len() < plan.layout.places().unwrap_or(MAX_TILES) {
                names.push(name);
            }
        }
    }
    names
}

async fn show_these(names: &[StreamName], plan: &Arc<Plan>, context: &ProducerContext, run: &Run) -> Result<()> {
    let news = Notify::new();
    let tiles: Vec<_> = names.iter().cloned().map(Tile::new).collect();
    let following = async {
        join_all(tiles.iter().map(|tile| tile.follow(&context.parents, &run.name, &news))).await;
        // Without a tile, there is nothing to follow.
        std::future::pending::<()>().await;
    };
    let showing = async {
        let mut wall = Some(Wall::new(plan, &tiles, context));
        let mut slow = interval(Duration::from_secs(1));
        loop {
            let began = Instant::now();
            // The wall goes to a thread and comes back.
            let Some(mut at_work) = wall.take() else { return Ok(()) };
            let contents: Vec<_> = tiles.iter().map(|tile| tile.content()).collect();
            let (needs_jpeg, limits) = (run.sink.forms().jpeg, context.limits);
            let work = move || {
                let changed = at_work.update(&contents, &limits)?;
                let picture = changed.then(|| at_work.picture(needs_jpeg)).transpose()?;
                Ok((at_work, picture))
            };
            let (back, picture) = in_pool_with(memory(&tiles, plan), &limits, work).await?;
            wall = Some(back);
            match picture {
                Some(picture) => {
                    if let Err(full) = run.sink.publish_raster(&picture, Instant::now()) {
                        run.sink.report_problem(full.to_string());
                    }
                }
                None => run.sink.still_current(),
            }
            sleep_until(began + plan.every).await;
            tokio::select! {
                () = news.notified() => {}
                // The age of a slow picture grows.
                _ = slow.tick() => {}
            }
        }
    };
    tokio::select! {
        () = following => Ok(()),
        end = showing => end,
    }
}

/// The memory for one picture, in bytes, at most: the canvas, and the largest tile while it is decoded.
fn memory(tiles: &[Arc<Tile>], plan: &Plan) -> u64 {
    let of_tile = |tile: &Arc<Tile>| match tile.content() {
        Content::Picture(frame, _) => frame.raster().map_or_else(|| memory_to_transform(&frame.jpeg()), |_| 0),
        Content::Reason(_) => 0,
    };
    let canvas = u64::from(plan.size.0) * u64::from(plan.size.1) * 3;
    canvas + tiles.iter().map(of_tile).max().unwrap_or_default()
}

/// The picture of all tiles. What has not changed is not drawn again.
struct Wall {
    plan: Arc<Plan>,
    fonts: Fonts,
    canvas: Raster,
    places: Vec<(StreamName, Rect)>,
    /// What each place shows at the moment.
    shown: Vec<Option<Key>>,
}

/// What a place shows: the number of its picture, and the words on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    seq: Option<u64>,
    label: String,
}

impl Wall {
    fn new(plan: &Arc<Plan>, tiles: &[Arc<Tile>], context: &ProducerContext) -> Self {
        let rects = plan.layout.arrange(tiles.len(), plan.size, plan.gap);
        let places: Vec<_> = tiles.iter().map(|tile| tile.name.clone()).zip(rects).collect();
        Wall {
            plan: plan.clone(),
            fonts: context.fonts.clone(),
            canvas: Raster::filled(plan.size.0, plan.size.1, plan.background),
            shown: vec![None; places.len()],
            places,
        }
    }

    /// Draws the tiles that have changed. True if there is one, or if nothing was drawn before.
    fn update(&mut self, contents: &[Content], limits: &PictureLimits) -> Result<bool> {
        let mut changed = self.places.is_empty();
        for (i, content) in contents.iter().enumerate() {
            let (Some((name, rect)), Some(shown)) = (self.places.get(i), self.shown.get_mut(i)) else { continue };
            let key = key(content, name, self.plan.labels);
            if shown.as_ref() == Some(&key) {
                continue;
            }
            let mut tile = match content {
                Content::Picture(frame, _) => match fitted(frame, rect, limits) {
                    Ok(tile) => tile,
                    Err(e) => reason(name, &e.to_string(), rect, &self.fonts),
                },
                Content::Reason(why) => reason(name, why, rect, &self.fonts),
            };
            if matches!(content, Content::Picture(..)) && !key.label.is_empty() {
                write(&mut tile, &key.label, Word::BottomLeft, 9.0, &self.fonts);
            }
            // A tile with other proportions than its place has the background beside it.
            if (tile.width(), tile.height()) != (rect.width, rect.height) {
                let ground = Raster::filled(rect.width, rect.height, self.plan.background);
                self.canvas.put(&ground, rect.left, rect.top);
            }
            let (left, top) =
                ((rect.width - tile.width().min(rect.width)) / 2, (rect.height - tile.height().min(rect.height)) / 2);
            self.canvas.put(&tile, rect.left + left, rect.top + top);
            *shown = Some(key);
            changed = true;
        }
        Ok(changed)
    }

    fn picture(&self, needs_jpeg: bool) -> Result<RasterPicture> {
        let quality = self.plan.quality;
        let jpeg = needs_jpeg.then(|| self.canvas.to_jpeg(quality)).transpose()?;
        Ok(RasterPicture { raster: Arc::new(self.canvas.clone()), jpeg, quality, captured_at: SystemTime::now() })
    }
}

fn key(content: &Content, name: &StreamName, labels: bool) -> Key {
    match content {
        Content::Reason(why) => Key { seq: None, label: why.clone() },
        Content::Picture(frame, ages) => {
            let age = frame.received_at.elapsed();
            let name = if labels { name.to_string() } else { String::new() };
            let label = match *ages && age > SLOW {
                true => format!("{name} – no picture for {} s", age.as_secs()),
                false => name,
            };
            Key { seq: Some(frame.seq), label }
        }
    }
}

/// The picture as large as the place allows, or without its edge if it nearly fits. A small one is enlarged: the screen is far away.
fn fitted(frame: &SharedFrame, rect: &Rect, limits: &PictureLimits) -> Result<Raster> {
    if let Some(reduced) = nearly(frame, rect) {
        let (width, height) = reduced;
        let whole = shaped(frame, &Transform::exactly(width, height), limits)?;
        let (left, top) = ((width - rect.width) / 2, (height - rect.height) / 2);
        return Ok(whole.cut(left, top, rect.width, rect.height));
    }
    let (width, height) = (f64::from(frame.width.max(1)), f64::from(frame.height.max(1)));
    let scale = f64::min(f64::from(rect.width) / width, f64::from(rect.height) / height);
    let even = |side: f64, most: u32| ((side * scale / 2.0).round() as u32 * 2).clamp(2, most);
    let transform = match scale > 1.0 {
        true => Transform::exactly(even(width, rect.width), even(height, rect.height)),
        false => Transform::inside(rect.width, rect.height),
    };
    shaped(frame, &transform, limits)
}

/// The size of the whole picture, or of a half, a quarter or an eighth of it, if it is larger than its place by at most the [`EDGE`]th part: the
/// gaps between tiles make these pixels. The edge is then left out. To scale the picture by a hundredth would take more time than to decode
/// it, and make it less sharp.
fn nearly(frame: &SharedFrame, rect: &Rect) -> Option<(u32, u32)> {
    let is_near = |side: u32, place: u32| side >= place && side - place <= place / EDGE && side.is_multiple_of(2);
    let sizes = [1, 2, 4, 8].map(|by| (frame.width.div_ceil(by), frame.height.div_ceil(by)));
    let near = |(width, height): &(u32, u32)| is_near(*width, rect.width) && is_near(*height, rect.height);
    sizes.into_iter().find(near).filter(|size| *size != (rect.width, rect.height))
}

fn shaped(frame: &SharedFrame, transform: &Transform, limits: &PictureLimits) -> Result<Raster> {
    match frame.raster() {
        None => reshape_jpeg(&frame.jpeg(), (frame.width, frame.height), transform, limits),
        Some(raster) => {
            let made = reshape(raster, transform, limits)?;
            Ok(made.unwrap_or_else(|| Raster::clone(raster).into_jpeg_colour()))
        }
    }
}

/// A tile without a picture.
fn reason(name: &StreamName, why: &str, rect: &Rect, fonts: &Fonts) -> Raster {
    /// A dark gray, lighter than the default background.
    const GROUND: [u8; 3] = [44, 130, 126];
    let mut tile = Raster::filled(rect.width, rect.height, GROUND);
    write(&mut tile, &format!("{name}\n{}", wrapped(why)), Word::Center, 8.0, fonts);
    tile
}

/// Lines of about 40 characters.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let chars = word.chars().count();
        if length > 0 {
            let fits = length + 1 + chars <= 40;
            lines.push(if fits { ' ' } else { '\n' });
            length = if fits { length + 1 } else { 0 };
        }
        lines.push_str(word);
        length += chars;
    }
    lines
}

/// Writes on a tile. `size` is the height of a line in percent of the tile's.
fn write(tile: &mut Raster, text: &str, at: Word, size: f64, fonts: &Fonts) {
    let shown: String = text.chars().take(200).collect();
    let text = shown.replace('{', "{{").replace('}', "}}");
    let layer = Layer { text: Some(text), at: Some(Place::Word(at)), size: Some(size), ..Layer::default() };
    // A text without placeholders, in a valid size.
    let Ok(overlay) = Overlay::new(&[layer]) else { return };
    let now = SystemTime::now();
    let moment = Moment {
        name: "",
        now,
        captured_at: now,
        has_own_time: false,
        seq: 0,
        size: (tile.width(), tile.height()),
        fps: 0.0,
        value: &|_| None,
    };
    Composer::new(Arc::new(overlay), fonts.clone(), |_| None).draw(tile, &moment);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Frame, Picture, Reserved, testing::photo};

    fn frame(width: u32, height: u32) -> SharedFrame {
        let picture = Picture::from_plain_jpeg(photo(width, height).into(), &PictureLimits::default()).expect("a JPEG");
        Arc::new(Frame::new(&picture, 1, false, Reserved::default()))
    }

    #[test]
    fn a_picture_that_nearly_fits_loses_its_edge_and_stays_sharp() {
        let rects = Layout::Grid(3, 3).arrange(9, (1920, 1080), 4);
        let limits = PictureLimits::default();
        let half = shaped(&frame(1280, 720), &Transform::exactly(640, 360), &limits).expect("decodes");
        for rect in &rects {
            let tile = fitted(&frame(1280, 720), rect, &limits).expect("decodes");
            assert_eq!((tile.width(), tile.height()), (rect.width, rect.height), "{rect:?} has no bars");
            let [left, top] = [640 - rect.width, 360 - rect.height].map(|spare| (spare / 2) & !1);
            for (x, y) in [(0, 0), (100, 200), (rect.width - 1, rect.height - 1)] {
                assert_eq!(tile.at(x, y), half.at(left + x, top + y), "{rect:?} {x} {y}");
            }
        }
        assert_eq!(nearly(&frame(640, 360), &rects[0]), Some((640, 360)), "as it is");
    }

    #[test]
    fn other_pictures_are_scaled_whole() {
        let rect = Rect { left: 0, top: 0, width: 636, height: 356 };
        for (width, height) in [(1920, 1080), (1280, 960), (1300, 720), (634, 356), (1272, 712)] {
            assert_eq!(nearly(&frame(width, height), &rect), None, "{width}x{height}");
        }
        let tile = fitted(&frame(1280, 960), &rect, &PictureLimits::default()).expect("decodes");
        assert!(tile.width() < 500 && tile.height() <= 356, "{tile:?}");
    }
}
