//! The publication of one stream.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::time::{Duration, sleep};

use super::{Entry, Figures, Inner};
use crate::{
    error::{Code, Error, Result},
    foreign,
    mqtt::{Message, Pace, Publication},
    picture::{SharedFrame, transform::Transform},
    stream::{Demand, Form, Origin, StreamName},
};

/// Pause before a stream that cannot be watched is tried again, with `on_change`.
const RETRY: Duration = Duration::from_secs(5);

/// Transforms of a picture that is too large for the broker, the least change first.
const SMALLER: [&str; 5] =
    ["quality=60", "w=1280&quality=60", "w=640&quality=50", "w=320&quality=40", "w=160&quality=40"];

/// Publishes the pictures of a stream while there is a connection.
pub(super) async fn publish_forever(inner: &Inner, name: &StreamName, entry: &Entry) {
    let mut status = inner.mqtt.status();
    loop {
        if status.wait_for(|status| status.is_connected()).await.is_err() {
            return;
        }
        entry.forget_presence();
        let mut lost = status.clone();
        tokio::select! {
            () = publish_connected(inner, name, entry) => {}
            _ = lost.wait_for(|status| !status.is_connected()) => {}
        }
    }
}

async fn publish_connected(inner: &Inner, name: &StreamName, entry: &Entry) {
    // Home Assistant's device does not wait for the first picture, which a camera can take seconds for.
    if inner.find(name).await.is_ok() && entry.found() {
        inner.announce(name, true);
    }
    match entry.publication.interval {
        Pace::OnChange => loop {
            if let Err(e) = follow(inner, name, entry).await {
                report(inner, name, entry, Err(e));
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                () = entry.request.notified() => {}
                () = entry.look.notified() => {}
            }
        },
        Pace::Interval(interval) => {
            // The first picture at once, and the next ones spread, so that not all cameras start together.
            let share = xxhash_rust::xxh3::xxh3_64(name.as_bytes()) % 1000;
            let mut pause = interval.mul_f64(0.1 + 0.9 * share as f64 / 1000.0);
            loop {
                publish_one(inner, name, entry).await;
                tokio::select! {
                    () = sleep(pause) => {}
                    () = entry.request.notified() => {}
                    () = entry.look.notified() => {}
                    () = removed(inner, name, entry) => {}
                }
                pause = *interval;
            }
        }
        Pace::OnRequest => {
            // Whether it exists, for discovery. This starts no camera.
            report(inner, name, entry, inner.find(name).await.map(|()| None));
            loop {
                tokio::select! {
                    () = entry.request.notified() => publish_one(inner, name, entry).await,
                    () = entry.look.notified() => report(inner, name, entry, inner.find(name).await.map(|()| None)),
                    () = removed(inner, name, entry) => {
                        report(inner, name, entry, inner.find(name).await.map(|()| None));
                    }
                }
            }
        }
    }
}

/// Tells that the stream is gone and returns, when a defined stream is removed. A path of MediaMTX is a stream only while it is
/// watched.
async fn removed(inner: &Inner, name: &StreamName, entry: &Entry) {
    match inner.catalog.registry().get(name) {
        Some(stream) if stream.origin() != Origin::MediaMtx => stream.follow().ended().await,
        _ => std::future::pending().await,
    }
    if entry.gone() {
        inner.announce(name, false);
    }
}

/// A picture of a stream, as a snapshot has it.
pub(super) async fn take(inner: &Inner, name: &StreamName) -> Result<SharedFrame> {
    let _place = inner.taking.acquire().await;
    inner.catalog.snapshot(name, Form::Jpeg, &inner.requester(), &inner.snapshot).await
}

/// Publishes one picture now.
async fn publish_one(inner: &Inner, name: &StreamName, entry: &Entry) {
    let done = match take(inner, name).await {
        Ok(frame) => publish(inner, name, entry, &frame).await.map(|()| Some(frame)),
        Err(e) => Err(e),
    };
    report(inner, name, entry, done);
}

/// Publishes each new picture until the stream ends.
async fn follow(inner: &Inner, name: &StreamName, entry: &Entry) -> Result<()> {
    let mut watch = inner.catalog.watch(name, Demand::Continuous, &inner.requester()).await?;
    let mut removed = pin!(removed(inner, name, entry));
    loop {
        let next = tokio::select! {
            biased;
            () = &mut removed => return Err(Error::new(Code::UnknownStream, format!("there is no stream {name}"))),
            next = watch.next() => next,
            () = entry.request.notified() => match watch.latest() {
                Some(frame) => Ok(frame),
                None => continue,
            },
        };
        let frame =
            next.map_err(|ended| Error::new(Code::UnknownStream, format!("the stream is gone: {}", ended.0)))?;
        let done = publish(inner, name, entry, &frame).await.map(|()| Some(frame));
        report(inner, name, entry, done);
    }
}

/// Publishes this picture.
pub(super) async fn publish(inner: &Inner, name: &StreamName, entry: &Entry, frame: &SharedFrame) -> Result<()> {
    if frame.placeholder {
        return Err(Error::new(Code::NoPicture, format!("stream {name} has no picture yet")));
    }
    let jpeg = fitted(inner, name, &entry.next(), frame).await?;
    entry.figures.bytes.fetch_add(jpeg.len() as u64, Ordering::Relaxed);
    inner.mqtt.publish(Message::picture(inner.topic(name, "image"), jpeg, entry.publication.retain));
    Ok(())
}

/// The picture in the size of the publication, or smaller if the broker takes no larger one.
async fn fitted(inner: &Inner, name: &StreamName, publication: &Publication, frame: &SharedFrame) -> Result<Bytes> {
    let width = publication.w.map(|w| format!("w={w}"));
    let quality = publication.quality.map(|quality| format!("quality={quality}"));
    let wanted: Vec<_> = width.into_iter().chain(quality).collect();
    let transform = async |query: &str| -> Result<Bytes> {
        let transform = Transform::from_query(query)?;
        if transform.is_none() {
            frame.encode().await;
            return Ok(frame.jpeg());
        }
        // Few at a time: pictures for visitors are transformed in the same pool.
        let _turn = inner.turns.acquire().await;
        inner.variants.still(name, frame, &transform, "mqtt").await.map(|applied| applied.jpeg.clone())
    };
    let most = inner.mqtt.largest_payload();
    let mut jpeg = transform(&wanted.join("&")).await?;
    for query in SMALLER {
        if jpeg.len() <= most {
            return Ok(jpeg);
        }
        jpeg = transform(query).await?;
    }
    if jpeg.len() <= most {
        return Ok(jpeg);
    }
    let message = format!("the picture has {} bytes, and the broker takes {most} (mqtt.max_packet)", jpeg.len());
    Err(Error::new(Code::FrameTooLarge, message))
}

/// Notes the result, and publishes the state. Its acknowledgement proves that the broker accepted the picture before it.
fn report(inner: &Inner, name: &StreamName, entry: &Entry, done: Result<Option<SharedFrame>>) {
    let is_missing = done.as_ref().is_err_and(|e| e.code() == Code::UnknownStream);
    let stats = inner.catalog.registry().get(name).map(|stream| stream.stats());
    let mut state = Map::new();
    let count = |of: fn(&Figures) -> &AtomicU64| {
        for figures in [&entry.figures, &inner.totals] {
            of(figures).fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut add = |member: &str, value: Value| drop(state.insert(member.to_owned(), value));
    add("state", stats.as_ref().map_or("unknown", |stats| stats.state).into());
    add("watchers", stats.as_ref().map_or(0, |stats| stats.watchers).into());
    match &done {
        Ok(Some(frame)) => {
            count(|figures| &figures.published);
            *entry.figures.last.lock() = Some(SystemTime::now());
            add("width", frame.width.into());
            add("height", frame.height.into());
            add("age_ms", u64::try_from(frame.received_at.elapsed().as_millis()).unwrap_or(u64::MAX).into());
        }
        Ok(None) => {}
        Err(e) => {
            if e.code() == Code::FrameTooLarge {
                count(|figures| &figures.oversize);
            }
            count(|figures| &figures.failed);
            add("reason", foreign::shown(&e.to_string()).into());
        }
    }
    *entry.figures.problem.lock() = done.as_ref().err().map(|e| foreign::shown(&e.to_string()).into_owned());
    if is_missing {
        if entry.missed() {
            inner.announce(name, false);
        }
    } else {
        if entry.found() {
            inner.announce(name, true);
        }
        inner.mqtt.publish(Message::state(inner.topic(name, "state"), Value::Object(state).to_string()));
    }
}
