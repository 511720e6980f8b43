//! Reads the pictures of a camera.
//!
//! What a body is decides, not what its head says: a body that ends after one picture is a still, and the camera is asked for
//! the next one after `interval`; a body with a second picture is a stream.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{HeaderValue, IF_NONE_MATCH};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, timeout};

use super::{Camera, Mode};
use crate::{
    error::{Cause, Code, Error, Result},
    fetch::{Request, Response, Session},
    multipart::{Part, Splitter},
    picture::{Format, Picture},
    stream::FrameSink,
};

/// Longest text of a camera that is shown to users, in characters.
const MAX_TEXT: usize = 200;

/// Failed requests in a row after which the camera counts as lost.
const FAILURES: u32 = 3;

/// Bytes that tell the format of a picture.
const BEGINNING: usize = 12;

/// Shortest silence behind a picture after which it is a still, although its connection stays open.
const QUIET: Duration = Duration::from_secs(1);

/// Silence behind the declared end of a body after which the declared length is right.
const PAST_LENGTH: Duration = Duration::from_millis(500);

/// Sends requests and brings pictures until the camera fails.
pub(super) async fn pictures(camera: &Camera, sink: &FrameSink) -> Result<()> {
    let mut session = camera.fetch.session(camera.target.clone());
    let mut intake = Intake::new(camera, sink);
    let mut ticks = interval(camera.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut failures, mut has_answered) = (0, false);
    loop {
        // There is no pause after a discarded picture.
        if intake.to_discard == 0 || failures > 0 {
            ticks.tick().await;
        }
        let outcome = match ask(camera, &mut session, intake.tag.as_deref()).await {
            Ok(response) => answer(camera, response, &mut intake).await,
            Err(e) => Err(e),
        };
        match outcome {
            Ok(()) => (failures, has_answered) = (0, true),
            Err(e) => {
                failures += 1;
                if !has_answered || intake.is_stream || failures >= FAILURES {
                    return Err(e);
                }
                intake.sink.report_problem(e.to_string());
            }
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
            let what = format_args!("refuses: user or password is wrong ({})", response.status);
            let cause = if camera.target.has_login() { Cause::WrongPassword } else { Cause::PasswordNeeded };
            Err(camera_error(camera, what).because(cause))
        }
        503 => {
            let what = "is busy (503); most small cameras serve one at a time";
            Err(camera_error(camera, what).because(Cause::Busy))
        }
        status => {
            let cause = match status {
                404 | 410 => Cause::NotFound,
                429 => Cause::Busy,
                300..=399 => Cause::Moved,
                _ => Cause::Refused,
            };
            Err(camera_error(camera, format_args!("answers with {}", response.status)).because(cause))
        }
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
    /// The first picture of the last response.
    last: Option<Bytes>,
    /// Whether a response has contained a second picture.
    is_stream: bool,
    /// Why the last data of this response was not taken.
    refused: Option<String>,
}

impl<'a> Intake<'a> {
    fn new(camera: &'a Camera, sink: &'a FrameSink) -> Self {
        Intake {
            camera,
            sink,
            begun: Instant::now(),
            to_discard: camera.discard_first,
            tag: None,
            last: None,
            is_stream: false,
            refused: None,
        }
    }

    /// Publishes a picture. False if the data is not a picture.
    async fn take(&mut self, part: Part) -> bool {
        let limits = &self.camera.limits;
        let picture = match part.has_added_end {
            true => Picture::from_repaired(part.data, limits).await,
            // A body can end without its length: only decoding tells whether a picture without an end is whole.
            false => Picture::from_whole(part.data, limits).await,
        };
        let picture = match picture {
            Ok(picture) => picture,
            Err(e) => {
                self.sink.damaged(if e.code() == Code::FrameTooLarge { "too large" } else { "damaged" });
                self.sink.report_problem(format!("the camera's last picture was not taken: {e}"));
                self.refused = Some(e.to_string());
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
        let at = part.timestamp_micros.map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
        let picture = match at.filter(|at| is_plausible(*at)) {
            Some(at) => picture.captured_at(at),
            None => picture,
        };
        if let Err(full) = self.sink.publish(&picture) {
            self.sink.report_problem(full.to_string());
        }
        true
    }

    /// Takes the first picture of a response. False if the data is not a picture.
    async fn take_first(&mut self, part: Part, tag: Option<String>) -> bool {
        let (counts, data) = (self.to_discard == 0, part.data.clone());
        if counts && self.last.as_ref() == Some(&data) {
            self.sink.still_current();
            return true;
        }
        if !self.take(part).await {
            return false;
        }
        (self.tag, self.last) = (tag.filter(|_| counts), Some(data));
        true
    }
}

fn is_plausible(at: SystemTime) -> bool {
    const A_DAY: Duration = Duration::from_secs(86_400);
    let now = SystemTime::now();
    at >= now - A_DAY && at <= now + A_DAY
}

/// Takes the pictures of one response. Ends without a fault if that was a still.
async fn answer(camera: &Camera, mut response: Response, intake: &mut Intake<'_>) -> Result<()> {
    intake.refused = None;
    if response.status.as_u16() == 304 {
        intake.sink.still_current();
        return Ok(());
    }
    let kind = response.header("content-type").unwrap_or_default().trim().to_ascii_lowercase();
    let tag = response.header("etag").map(str::to_owned);
    let beginning = timeout(camera.stale_after, response.peek(BEGINNING, camera.stale_after)).await;
    let beginning = beginning.map_err(|_| silent(camera))??.trim_ascii_start();
    match Format::sniff(beginning) {
        Ok(Format::Jpeg) => {}
        Ok(_) => {
            let data = response.bytes(camera.limits.frame_size.bytes(), camera.stale_after).await?;
            let part = Part { data, content_type: None, has_added_end: false, timestamp_micros: None };
            let taken = intake.take_first(part, tag).await;
            return if taken { Ok(()) } else { Err(no_picture(camera, intake.refused.take())) };
        }
        Err(_) if is_text(&kind) && !beginning.starts_with(b"--") => {
            let what = if camera.mode == Mode::Snapshot { "a picture" } else { "pictures" };
            let what = format_args!("answers with {kind}, not with {what}");
            return Err(camera_error(camera, what).because(Cause::NotAPicture));
        }
        Err(_) => {}
    }
    Reading::new(camera, response, tag).run(intake).await
}

fn is_text(kind: &str) -> bool {
    let name = kind.split(';').next().unwrap_or_default().trim_end();
    name.starts_with("text/") || ["json", "xml", "javascript"].iter().any(|format| name.ends_with(format))
}

fn silent(camera: &Camera) -> Error {
    camera_error(camera, format_args!("has sent no picture for {:?}", camera.stale_after)).because(Cause::NoPicture)
}

fn no_picture(camera: &Camera, why: Option<String>) -> Error {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    camera_error(camera, format_args!("gives no complete picture{why}")).because(Cause::NotAPicture)
}

/// A response of JPEGs: one, or many.
struct Reading<'a> {
    camera: &'a Camera,
    response: Response,
    tag: Option<String>,
    splitter: Splitter,
    /// Pictures that were taken.
    count: usize,
    last: Instant,
    /// While nothing has arrived behind the declared end of the body: when that end is believed.
    past_length: Option<Instant>,
}

/// How a body has ended.
enum End {
    /// As its length or its chunks say: its last part is whole.
    Whole,
    /// With its connection.
    Closed,
    Broken(Error),
}

impl<'a> Reading<'a> {
    fn new(camera: &'a Camera, response: Response, tag: Option<String>) -> Self {
        let splitter = Splitter::new(response.header("content-type"), camera.limits.frame_size.bytes());
        Reading { camera, response, tag, splitter, count: 0, last: Instant::now(), past_length: None }
    }

    async fn run(mut self, intake: &mut Intake<'_>) -> Result<()> {
        let end = loop {
            let end = match self.receive().await? {
                Received::Data => None,
                Received::Still => return Ok(()),
                Received::End(end) => Some(end),
            };
            self.take_parts(intake, end.as_ref()).await;
            if self.count > 1 {
                intake.is_stream = true;
            }
            if let Some(end) = end {
                break end;
            }
            if self.camera.mode == Mode::Snapshot && self.count > 0 && self.splitter.is_delimited() {
                return Ok(());
            }
        };
        match (self.count, end) {
            (1, _) => Ok(()),
            (_, End::Broken(e)) => Err(e),
            (0, _) if !self.splitter.is_delimited() => Err(no_picture(self.camera, intake.refused.take())),
            _ => Err(camera_error(self.camera, "has ended its stream").because(Cause::Disconnected)),
        }
    }

    async fn receive(&mut self) -> Result<Received> {
        let stale_after = self.camera.stale_after;
        // A picture by itself behind which nothing comes is a still. A stream can be that slow, too, but then it
        // has delimiters, or `mode` says so.
        let can_be_still = self.count == 1 && !self.splitter.is_delimited() && self.camera.mode != Mode::Mjpeg;
        let mut until = self.last + stale_after;
        if can_be_still {
            until = until.min(self.last + self.camera.interval.max(QUIET));
        }
        if let Some(past_length) = self.past_length {
            until = until.min(past_length);
        }
        let patience = until.saturating_duration_since(Instant::now());
        match timeout(patience, self.response.chunk(stale_after)).await {
            Err(_) if self.past_length.is_some() => Ok(Received::End(End::Whole)),
            Err(_) if can_be_still => Ok(Received::Still),
            Err(_) => Err(silent(self.camera)),
            Ok(Ok(Some(data))) => {
                self.past_length = None;
                self.splitter.feed(&data);
                Ok(Received::Data)
            }
            Ok(Ok(None)) => Ok(self.at_declared_end()),
            Ok(Err(e)) => Ok(Received::End(End::Broken(e))),
        }
    }

    /// A body that ends within a part, or before its first one, can have a wrong length.
    fn at_declared_end(&mut self) -> Received {
        if self.past_length.take().is_some() || !self.response.has_length() {
            return Received::End(End::Closed);
        }
        let is_complete = self.count > 0 && self.splitter.is_between_parts();
        if is_complete || !self.response.read_past_length() {
            return Received::End(End::Whole);
        }
        self.past_length = Some(Instant::now() + PAST_LENGTH);
        Received::Data
    }

    /// Takes the parts that are complete; with the end of the body, also the one that it completes.
    async fn take_parts(&mut self, intake: &mut Intake<'_>, end: Option<&End>) {
        loop {
            let part = match self.splitter.next_part() {
                Ok(None) if end.is_some() => self.splitter.finish(),
                Ok(part) => part,
                Err(fault) => {
                    intake.sink.damaged("damaged");
                    intake.sink.report_problem(format!("the camera sends damaged data: {fault}"));
                    intake.refused = Some(fault.to_string());
                    continue;
                }
            };
            let Some(part) = part else { return };
            // ESPHome sends a text when its sensor gives nothing for five seconds.
            if let Some(text) = text_of(&part) {
                intake.sink.report_problem(format!("the camera says: {text}"));
                continue;
            }
            let taken = match self.count {
                0 => intake.take_first(part, self.tag.take()).await,
                _ => intake.take(part).await,
            };
            if taken {
                self.count += 1;
                self.last = Instant::now();
            }
        }
    }
}

/// What waiting for the next bytes has led to.
enum Received {
    /// They are in the splitter.
    Data,
    /// None come: the picture before was a still.
    Still,
    End(End),
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
