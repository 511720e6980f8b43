//! A picture on a NAS of `media.nas`, or a folder of pictures as a slideshow.

use std::{sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant, sleep};
use utoipa::ToSchema;

use super::{ProducerContext, file::is_picture_name};
use crate::{
    error::{Cause, Code, Error, Result},
    nas::{Item, Nas},
    picture::{Picture, PictureLimits},
    stream::{FrameSink, Producer, ProducerFuture, Run, StreamName},
    units::HumanDuration,
};

/// Pause between listings of the folder, because a NAS does not report changes.
const LIST_INTERVAL: Duration = Duration::from_secs(30);

/// Most pictures in one slideshow, and most entries of a folder that are read.
const MAX_SLIDES: usize = 10_000;

/// Entries in one request.
const STEP: usize = 1000;

/// How long reading one picture can take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The pictures of the stream, and the pace of its slideshow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = NasDefinition)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name in `media.nas`.
    pub nas: String,
    /// A picture, or a folder; empty for the folder of the NAS itself.
    #[serde(default)]
    pub path: String,
    /// How long a slideshow shows each picture.
    #[serde(default = "default_interval", alias = "every")]
    #[schema(value_type = String, example = "5s")]
    pub interval: HumanDuration,
}

impl Settings {
    /// Shows this path, with all other settings at their defaults.
    pub fn new(nas: String, path: String) -> Self {
        Settings { nas, path, interval: default_interval() }
    }
}

fn default_interval() -> HumanDuration {
    HumanDuration::secs(5)
}

pub(super) fn producer(
    settings: &Settings,
    _name: &StreamName,
    context: &ProducerContext,
) -> Result<Arc<dyn Producer>> {
    let refuse = |field: &'static str, rule: String| {
        Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field)
    };
    let nas = context.nas.get(&settings.nas).cloned();
    let nas = nas.ok_or_else(|| refuse("nas", format!("there is no {} in media.nas", settings.nas)))?;
    let path = settings.path.trim_matches('/');
    if !path.is_empty() && path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
        return Err(refuse("path", "must be below the NAS's folder, without . and ..".into()));
    }
    if !(HumanDuration::millis(500)..=HumanDuration::secs(86_400)).contains(&settings.interval) {
        return Err(refuse("interval", format!("must be from 500ms to 1day, not {}", settings.interval)));
    }
    Ok(Arc::new(OnNas { nas, path: path.to_owned(), interval: *settings.interval, limits: context.limits }))
}

#[derive(Clone)]
struct OnNas {
    nas: Nas,
    path: String,
    interval: Duration,
    limits: PictureLimits,
}

impl Producer for OnNas {
    fn kind(&self) -> &'static str {
        "nas"
    }

    fn ages(&self) -> bool {
        false
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let this = self.clone();
        Box::pin(async move {
            tokio::select! {
                () = run.stop.cancelled() => Ok(()),
                end = this.show(&run.sink) => end,
            }
        })
    }
}

impl OnNas {
    async fn show(&self, sink: &FrameSink) -> Result<()> {
        let (mut slides, mut looked): (Vec<Item>, Option<Instant>) = (vec![], None);
        let mut shown: Option<Item> = None;
        loop {
            if looked.is_none_or(|at| at.elapsed() >= LIST_INTERVAL) {
                match self.slides().await {
                    Ok(found) => slides = found,
                    Err(e) if shown.is_some() => sink.report_problem(e.to_string()),
                    Err(e) => return Err(e),
                }
                looked = Some(Instant::now());
            }
            let many = slides.len() > 1;
            let next = match &shown {
                // By the order of the NAS. A picture that appears or disappears does not restart the slideshow.
                Some(last) => slides.iter().position(|slide| slide.name == last.name).map_or(0, |at| at + 1),
                None => 0,
            };
            let slide = slides.get(next % slides.len().max(1)).cloned();
            let slide = slide.ok_or_else(|| {
                Error::new(Code::Unavailable, "there is no picture in the NAS's folder").because(Cause::UnknownFile)
            })?;
            if many || shown.as_ref() != Some(&slide) {
                match self.picture(&slide).await.and_then(|picture| sink.publish(&picture).map(drop)) {
                    Ok(()) => {}
                    Err(e) if shown.is_some() || many => sink.report_problem(format!("{}: {e}", slide.name)),
                    Err(e) => {
                        return Err(Error::new(e.code(), format!("{}: {e}", slide.name)).because(e.cause()));
                    }
                }
                shown = Some(slide);
            }
            sleep(if many { self.interval } else { LIST_INTERVAL }).await;
        }
    }

    /// The pictures of the folder, or the one picture.
    async fn slides(&self) -> Result<Vec<Item>> {
        let (folder, only) = match self.path.rsplit_once('/') {
            _ if !is_picture_name(&self.path) => (self.path.as_str(), None),
            Some((folder, name)) => (folder, Some(name)),
            None => ("", Some(self.path.as_str())),
        };
        let (mut slides, mut at) = (vec![], 0);
        loop {
            let page = self.nas.list(folder, at, STEP).await?;
            at += page.spans;
            let is_wanted = |item: &Item| match only {
                Some(name) => item.name == name,
                None => is_picture_name(&item.name),
            };
            slides.extend(page.items.into_iter().filter(|item| !item.is_folder && is_wanted(item)));
            if page.spans == 0 || at >= page.total.min(MAX_SLIDES) || (only.is_some() && !slides.is_empty()) {
                return Ok(slides);
            }
        }
    }

    async fn picture(&self, slide: &Item) -> Result<Picture> {
        let path = match self.path.as_str() {
            path if is_picture_name(path) => path.to_owned(),
            "" => slide.name.clone(),
            folder => format!("{folder}/{}", slide.name),
        };
        let response = self.nas.open(&path, None).await?;
        let data = response.bytes(self.limits.frame_size.bytes(), READ_TIMEOUT).await?;
        let picture = Picture::from_upload(data, &self.limits).await?;
        let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(slide.modified));
        Ok(match modified.filter(|_| slide.modified > 0) {
            Some(modified) => picture.captured_at(modified),
            None => picture,
        })
    }
}
