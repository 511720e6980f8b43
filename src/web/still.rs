//! The response with one picture.

use std::time::SystemTime;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HttpDate},
};

use super::State;
use crate::{
    error::Result,
    output::mjpeg::Form,
    picture::{SharedFrame, transform::Transform},
    stream::StreamName,
};

/// One picture, transformed if the request asks for it, or 304 if the client has it already, for which nothing is decoded.
/// Times are those of the original picture. A "waiting" picture is not transformed.
pub(super) async fn respond(
    request: &HttpRequest,
    state: &State,
    stream: &StreamName,
    frame: &SharedFrame,
    transform: &Transform,
    share: &str,
) -> Result<HttpResponse> {
    let transform = if frame.placeholder { Transform::NONE } else { transform.still() };
    state.variants.conversions().presets().check(&transform)?;
    let moves = state.variants.conversions().presets().moves(&transform);
    let tag = tag(frame, &transform, state.settings.variants.quality, moves);
    let known = !frame.placeholder && knows(request, &tag);
    let jpeg = match known {
        true => None,
        false if transform.is_none() => {
            frame.encode().await;
            Some(frame.jpeg())
        }
        false => Some(state.variants.still(stream, frame, &transform, share).await?.jpeg.clone()),
    };
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    // Clients revalidate each time and keep the picture: an unchanged still costs a 304.
    response
        .insert_header((header::CACHE_CONTROL, "no-cache, must-revalidate, private, max-age=0"))
        .insert_header((header::ETAG, tag))
        .insert_header((header::LAST_MODIFIED, HttpDate::from(frame.captured_at)))
        .insert_header(("X-Timestamp", frame.timestamp()))
        .insert_header(("X-Mtx-Frame-Age", format!("{:.3}", frame.received_at.elapsed().as_secs_f64())));
    if frame.placeholder {
        response.insert_header(("X-Mtx-Placeholder", "waiting"));
    }
    if wants_extra_headers(request)? {
        for (name, value) in extra_headers(frame) {
            response.insert_header((name, value));
        }
    }
    Ok(match jpeg {
        Some(jpeg) => response.content_type("image/jpeg").body(jpeg),
        None => response.finish(),
    })
}

/// ustreamer's `extra_headers`, of its src/ustreamer/http/server.c.
fn wants_extra_headers(request: &HttpRequest) -> Result<bool> {
    let mut form = Form::default();
    form.set_flags(request.query_string())?;
    Ok(form.extra_headers)
}

/// ustreamer's headers of a snapshot; times in seconds since 1970. The time between the camera's shutter and the arrival of the
/// picture is unknown.
fn extra_headers(frame: &SharedFrame) -> [(&'static str, String); 8] {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let came = format!("{:.6}", now.saturating_sub(frame.received_at.elapsed()).as_secs_f64());
    [
        ("X-UStreamer-Online", (!frame.placeholder).to_string()),
        ("X-UStreamer-Width", frame.width.to_string()),
        ("X-UStreamer-Height", frame.height.to_string()),
        ("X-UStreamer-Grab-Begin-Timestamp", came.clone()),
        ("X-UStreamer-Grab-End-Timestamp", came.clone()),
        ("X-UStreamer-Encode-Begin-Timestamp", came.clone()),
        ("X-UStreamer-Encode-End-Timestamp", came),
        ("X-UStreamer-Send-Timestamp", format!("{:.6}", now.as_secs_f64())),
    ]
}

/// The ETag: the digest of the original picture and the requested transform, so that it is known before a picture is made.
fn tag(frame: &SharedFrame, transform: &Transform, quality: u8, moves: bool) -> String {
    let digest = frame.digest();
    if transform.is_none() {
        return format!("\"{digest:016x}\"");
    }
    // A clock has another picture each second.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let second = if moves { now } else { 0 };
    let asked = xxhash_rust::xxh3::xxh3_64(format!("{transform} {quality} {second}").as_bytes());
    format!("\"{digest:016x}-{asked:016x}\"")
}

fn knows(request: &HttpRequest, tag: &str) -> bool {
    let known = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|v| v.to_str().ok());
    known.flat_map(|v| v.split(',')).map(|t| t.trim().trim_start_matches("W/")).any(|t| t == tag || t == "*")
}
