//! go2rtc's addresses. Each does the same as our own address: the same policy, limits and parameters. Its WebSocket is in `ws.rs`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Problem, State, caller::CallerExtractor, endless, problem::ProblemDocument, upload, video, watch};
use crate::{
    error::{Error, Result},
    output::{
        fmp4::{Mp4Query, SizeQuery},
        http::TransformQuery,
        mjpeg,
    },
};

/// go2rtc's MJPEG, in both directions.
const GO2RTC_STREAM: &str = "/api/stream.mjpeg";

/// go2rtc's parameters.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SourceQuery {
    /// The stream's name.
    src: Option<String>,
    /// The maximum age of the picture, in seconds or as `10s`.
    cache: Option<String>,
}

/// go2rtc's parameter for video.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SourceOfVideoQuery {
    /// The stream's name.
    src: Option<String>,
}

/// go2rtc's parameter for pictures in.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DestinationQuery {
    /// The stream's name. An unknown stream is created.
    dst: Option<String>,
}

/// go2rtc's MJPEG.
#[utoipa::path(
    method(get, head), path = GO2RTC_STREAM, tag = "aliases", params(SourceQuery, TransformQuery),
    responses((status = 200, content_type = "multipart/x-mixed-replace"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn go2rtc_stream(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<SourceQuery>,
) -> Result<HttpResponse, Problem> {
    endless::watch(&request, &state, &caller, needed("src", query.src.as_deref())?, &mjpeg::OUTPUT).await
}

/// go2rtc's address for publishing MJPEG: takes pictures until the sender ends.
#[utoipa::path(
    post, path = GO2RTC_STREAM, tag = "aliases", params(DestinationQuery),
    request_body(content_type = "multipart/x-mixed-replace", description = "Or any other type: concatenated JPEGs"),
    responses((status = 200, body = upload::UploadedMany), (status = 400, body = ProblemDocument))
)]
pub(super) async fn go2rtc_push(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<DestinationQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    upload::take_many(&request, &state, &caller, needed("dst", query.dst.as_deref())?, payload).await
}

/// go2rtc's snapshot.
#[utoipa::path(
    method(get, head), path = "/api/frame.jpeg", tag = "aliases", params(SourceQuery, TransformQuery),
    responses((status = 200, content_type = "image/jpeg"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn go2rtc_frame(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<SourceQuery>,
) -> Result<HttpResponse, Problem> {
    let oldest = query.cache.as_deref().map(|text| watch::max_age("cache", text)).transpose()?;
    watch::take(&request, &state, &caller, needed("src", query.src.as_deref())?, oldest).await
}

/// go2rtc's MP4, with the sound if it is AAC or Opus. Its parameters for codecs (`mp4`, `video`, `audio`) have no effect.
#[utoipa::path(
    method(get, head), path = "/api/stream.mp4", tag = "aliases", params(SourceOfVideoQuery, Mp4Query, SizeQuery),
    responses((status = 200, content_type = "video/mp4"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn go2rtc_video(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<SourceOfVideoQuery>,
) -> Result<HttpResponse, Problem> {
    video::watch(&request, &state, &caller, needed("src", query.src.as_deref())?).await
}

/// go2rtc's snapshot as MP4.
#[utoipa::path(
    method(get, head), path = "/api/frame.mp4", tag = "aliases", params(SourceOfVideoQuery, SizeQuery),
    responses((status = 200, content_type = "video/mp4"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn go2rtc_video_frame(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<SourceOfVideoQuery>,
) -> Result<HttpResponse, Problem> {
    video::take(&request, &state, &caller, needed("src", query.src.as_deref())?).await
}

fn needed<'a>(field: &'static str, value: Option<&'a str>) -> Result<&'a str> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| Error::parameter(field, "is required: the name of a stream"))
}
