//! Reads the pictures of a camera.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{HeaderValue, IF_NONE_MATCH};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, timeout};

use super::{Camera, Mode};
use crate::{
    error::{Code, Error, Result},
    fetch::{Request, Response, Session},
    multipart::{Part, Splitter},
    picture::Picture,
    stream::FrameSink,
};

/// Longest text of a camera that is shown to users, in characters.
const MAX_TEXT: usize = 200;

/// Failed requests in a row after which the camera counts as lost.
const FAILURES: u32 = 3;

/// Sends a request, chooses the mode by the answer, and brings pictures until the camera fails.
pub(super) async fn pictures(camera: &Camera, sink: &FrameSink) -> Result<()> {
    let mut session = camera.fetch.session(camera.target.clone());
    let response = ask(camera, &mut session, None).await?;
    let kind = response.header("content-type").unwrap_or_default().trim().to_ascii_lowercase();
    let mut intake = Intake::new(camera, sink);
    let endless = match camera.mode {
        Mode::Mjpeg => true,
        Mode::Snapshot => false,
        // With no type, or an invented one, the body is read as consecutive JPEGs.
        Mode::Auto => !kind.starts_with("image/"),
    };
    if kind.starts_with("text/html") || kind.starts_with("application/json") {
        let what = if endless { "MJPEG" } else { "a picture" };
        return Err(camera_error(camera, format_args!("answers with {kind}, not with {what}")));
    }
    match endless {
        true => stream(camera, response, intake).await,
        false if kind.starts_with("multipart/") => {
            Err(camera_error(camera, "answers with MJPEG; mode must be mjpeg or auto"))
        }
        false => {
            intake.take_response(response).await?;
            poll(camera, session, intake).await
        }
    }
}

fn camera_error(camera: &Camera, what: impl std::fmt::Display) -> Error {
    let url = &camera.target.url;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Error::new(Code::Upstream, format!("the camera {}{port} {what}", url.host_str().unwrap_or_default()))
}

async fn ask(camera: &Camera, session: &mut Session, known: Option<&str>) -> Result<Response> {
    let mut request = Request::get(camera.stale_after);
    if let Some(value) = known.and_then(|tag| HeaderValue::from_str(tag).ok()) {
        request.headers.insert(IF_NONE_MATCH, value);
    }
    let response = session.send(request).await?;
    match response.status.as_u16() {
        200..=299 | 304 => Ok(response),
        401 | 403 => {
            Err(camera_error(camera, format_args!("refuses: user or password is wrong ({})", response.status)))
        }
        503 => Err(camera_error(camera, "is busy (503); most small cameras serve one at a time")),
        _ => Err(camera_error(camera, format_args!("answers with {}", response.status))),
    }
}

/// Checks each picture and publishes it.
struct Intake<'a> {
    camera: &'a Camera,
    sink: &'a FrameSink,
    begun: Instant,
    to_discard: u32,
    /// The entity tag of a snapshot, so that the same picture is not transferred again.
    tag: Option<String>,
    last: Option<Bytes>,
}

impl<'a> Intake<'a> {
    fn new(camera: &'a Camera, sink: &'a FrameSink) -> Self {
        Intake { camera, sink, begun: Instant::now(), to_discard: camera.discard_first, tag: None, last: None }
    }

    /// Publishes a picture. False if the data is not a picture.
    async fn take(&mut self, data: Bytes, timestamp: Option<u64>) -> bool {
        let picture = match Picture::from_upload(data, &self.camera.limits).await {
            Ok(picture) => picture,
            Err(e) => {
                self.sink.damaged(if e.code() == Code::FrameTooLarge { "too large" } else { "damaged" });
                self.sink.report_problem(format!("the camera's last picture was not taken: {e}"));
                return false;
            }
        };
        if self.to_discard > 0 {
            self.to_discard -= 1;
            return true;
        }
        if self.begun.elapsed() < self.camera.warmup {
            return true;
        }
        // A clock that was never set counts from the start of the camera.
        let at = timestamp.map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
        let picture = match at.filter(|at| is_plausible(*at)) {
            Some(at) => picture.captured_at(at),
            None => picture,
        };
        if let Err(full) = self.sink.publish(&picture) {
            self.sink.report_problem(full.to_string());
        }
        true
    }

    /// Takes an answer that contains one picture.
    async fn take_response(&mut self, response: Response) -> Result<()> {
        if response.status.as_u16() == 304 {
            self.sink.still_current();
            return Ok(());
        }
        let tag = response.header("etag").map(str::to_owned);
        let data = response.bytes(self.camera.limits.frame_size.bytes(), self.camera.stale_after).await?;
        if self.last.as_ref() == Some(&data) && self.to_discard == 0 {
            self.sink.still_current();
            return Ok(());
        }
        if !self.take(data.clone(), None).await {
            return Err(camera_error(self.camera, "gives no complete picture"));
        }
        (self.tag, self.last) = (tag.filter(|_| self.to_discard == 0), Some(data));
        Ok(())
    }
}

fn is_plausible(at: SystemTime) -> bool {
    const A_DAY: Duration = Duration::from_secs(86_400);
    let now = SystemTime::now();
    at >= now - A_DAY && at <= now + A_DAY
}

/// Reads an endless response, at the rate of the camera.
async fn stream(camera: &Camera, mut response: Response, mut intake: Intake<'_>) -> Result<()> {
    let mut splitter = Splitter::new(response.header("content-type"), camera.limits.frame_size.bytes());
    let mut last = Instant::now();
    loop {
        let silent = || camera_error(camera, format_args!("has sent no picture for {:?}", camera.stale_after));
        let patience = camera.stale_after.saturating_sub(last.elapsed());
        let chunk = timeout(patience, response.chunk(camera.stale_after)).await.map_err(|_| silent())??;
        if let Some(data) = &chunk {
            splitter.feed(data);
        }
        loop {
            let part = match splitter.next_part() {
                Ok(None) if chunk.is_none() => splitter.finish(),
                Ok(part) => part,
                Err(fault) => {
                    intake.sink.damaged("damaged");
                    intake.sink.report_problem(format!("the camera sends damaged data: {fault}"));
                    continue;
                }
            };
            let Some(part) = part else { break };
            match text_of(&part) {
                // ESPHome sends a text when its sensor gives nothing for five seconds.
                Some(text) => intake.sink.report_problem(format!("the camera says: {text}")),
                None if intake.take(part.data, part.timestamp_micros).await => last = Instant::now(),
                None => {}
            }
        }
        if chunk.is_none() {
            return Err(camera_error(camera, "has ended its stream"));
        }
    }
}

/// The text of a part that contains text.
fn text_of(part: &Part) -> Option<String> {
    let is_text =
        part.content_type.as_deref().is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("text/"));
    if !is_text || part.is_jpeg() {
        return None;
    }
    let text = String::from_utf8_lossy(&part.data);
    Some(text.trim().chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect())
}

/// Requests one picture after the other.
async fn poll(camera: &Camera, mut session: Session, mut intake: Intake<'_>) -> Result<()> {
    let mut ticks = interval(camera.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    if intake.to_discard == 0 {
        ticks.tick().await;
    }
    let mut failures = 0;
    loop {
        // There is no pause after a discarded picture.
        if intake.to_discard == 0 {
            ticks.tick().await;
        }
        let outcome = match ask(camera, &mut session, intake.tag.as_deref()).await {
            Ok(response) => intake.take_response(response).await,
            Err(e) => Err(e),
        };
        match outcome {
            Ok(()) => failures = 0,
            Err(e) => {
                failures += 1;
                if failures >= FAILURES {
                    return Err(e);
                }
                intake.sink.report_problem(e.to_string());
            }
        }
    }
}
