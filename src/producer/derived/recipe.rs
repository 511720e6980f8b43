//! [`Recipe`]: what is made of each picture of a parent.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    error::Result,
    picture::{
        PictureLimits, Raster, RasterPicture, SharedFrame,
        compose::{Composer, Moment, Overlay},
        memory_to_transform,
        transform::{Transform, reshape, reshape_jpeg},
    },
};

pub(super) struct Recipe {
    /// Left, top, width and height, in percent.
    pub(super) crop: Option<[f64; 4]>,
    pub(super) transform: Transform,
    pub(super) overlay: Arc<Overlay>,
    /// Quality of the JPEGs, 1 to 100.
    pub(super) quality: u8,
}

impl Recipe {
    /// Whether pictures are passed on as they are.
    pub(super) fn keeps_pictures(&self) -> bool {
        self.crop.is_none() && self.overlay.is_empty() && self.transform.keeps_pictures()
    }

    /// The memory for one picture, in bytes, at most.
    pub(super) fn memory(frame: &SharedFrame) -> u64 {
        match frame.raster() {
            Some(raster) => 3 * raster.bytes() as u64,
            None => memory_to_transform(&frame.jpeg()),
        }
    }

    /// Makes a picture, and its JPEG if a watcher needs one. Takes milliseconds: call it on a blocking thread.
    pub(super) fn make(
        &self,
        frame: &SharedFrame,
        composer: &Mutex<Composer>,
        moment: &Moment<'_>,
        needs_jpeg: bool,
        limits: &PictureLimits,
    ) -> Result<RasterPicture> {
        let mut raster = self.shape(frame, limits)?;
        let moment = Moment { size: (raster.width(), raster.height()), ..*moment };
        composer.lock().draw(&mut raster, &moment);
        let jpeg = needs_jpeg.then(|| raster.to_jpeg(self.quality)).transpose()?;
        jpeg.as_ref().map_or(Ok(()), |jpeg| limits.check_size(jpeg.len()))?;
        let raster = Arc::new(raster);
        Ok(RasterPicture { raster, jpeg, quality: self.quality, captured_at: frame.captured_at })
    }

    fn shape(&self, frame: &SharedFrame, limits: &PictureLimits) -> Result<Raster> {
        let whole = match (frame.raster(), self.crop) {
            (None, None) => {
                return reshape_jpeg(&frame.jpeg(), (frame.width, frame.height), &self.transform, limits);
            }
            (None, Some(crop)) => cut(&Raster::from_jpeg(&frame.jpeg())?, crop),
            (Some(raster), Some(crop)) => cut(raster, crop),
            (Some(raster), None) => {
                let made = reshape(raster, &self.transform, limits)?;
                return Ok(made.unwrap_or_else(|| Raster::clone(raster).into_jpeg_colour()));
            }
        };
        Ok(reshape(&whole, &self.transform, limits)?.unwrap_or(whole).into_jpeg_colour())
    }
}

fn cut(raster: &Raster, [x, y, w, h]: [f64; 4]) -> Raster {
    let pixels = |percent: f64, of: u32| (percent / 100.0 * f64::from(of)).round() as u32;
    let (width, height) = (raster.width(), raster.height());
    raster.cut(pixels(x, width), pixels(y, height), pixels(w, width), pixels(h, height))
}
