//! The task and the result of decoding one access unit, for all engines.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;

use crate::{
    error::Result,
    picture::{JpegWriter, Picture, PictureLimits, Planes, Raster, RasterPicture},
    stream::Forms,
};

/// What an engine does with an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Decode it, because later units depend on it.
    Decode,
    /// Decode it and make a picture of it.
    Show,
    /// Make a picture of this keyframe alone. It is not known whether a unit that depends on it follows.
    ShowSingle,
}

/// A picture in the form that the decoder and the watchers have.
#[derive(Debug)]
pub(super) enum Shown {
    /// JPEG alone.
    Jpeg(Picture),
    /// Planes, with or without a JPEG.
    Raster(RasterPicture),
}

/// The result of decoding one access unit.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A picture.
    Picture(Shown),
    /// No picture: the task did not ask for one, or the decoder reorders pictures.
    Nothing,
    /// No picture: the unit, or a unit that it depends on, is damaged.
    Damaged,
    /// This engine cannot decode such a stream; the text says what the stream is.
    Unsupported(&'static str),
    /// The engine has failed, and the log says why. Another one can go on.
    Broken,
}

/// Makes the forms that watchers need: a JPEG of the decoder's memory, or a copy of its planes.
pub(super) fn show(
    writer: &mut JpegWriter,
    quality: u8,
    planes: &Planes<'_>,
    captured_at: SystemTime,
    forms: Forms,
    limits: &PictureLimits,
) -> Result<Shown> {
    let (width, height) = (planes.width as u32, planes.height as u32);
    limits.check_pixels(width, height)?;
    let jpeg = match forms.jpeg {
        true => Some(Bytes::from(writer.write(planes)?)),
        false => None,
    };
    jpeg.as_ref().map_or(Ok(()), |jpeg| limits.check_size(jpeg.len()))?;
    match jpeg {
        Some(jpeg) if !forms.raster => Ok(Shown::Jpeg(Picture { jpeg, width, height, captured_at })),
        jpeg => {
            let raster = Arc::new(Raster::copy_of(planes));
            Ok(Shown::Raster(RasterPicture { raster, jpeg, quality, captured_at }))
        }
    }
}
