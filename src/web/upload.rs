//! Uploads: one picture, or many in one request.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use tokio::time::Duration;
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, State,
    caller::CallerExtractor,
    endless::session_info,
    form::{self, Form},
    problem::ProblemDocument,
    turn::Paced,
};
use crate::{
    access::Role,
    error::{Code, Error, Result},
    multipart::Splitter,
    picture::{Picture, SharedFrame},
    policy::{Action, Caller},
    stream::StreamName,
};

/// The parameter of the original recipe.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// The stream's name. An unknown stream is created.
    name: Option<String>,
}

/// The result of an upload.
#[derive(Serialize, ToSchema)]
pub struct Uploaded {
    /// The stream.
    #[schema(value_type = String)]
    stream: StreamName,
    /// The picture's number in the stream.
    seq: u64,
    /// Width in pixels, upright.
    width: u32,
    /// Height in pixels.
    height: u32,
    /// Size in bytes, after a conversion to JPEG if one was needed.
    bytes: usize,
}

/// The result of an upload of many pictures.
#[derive(Serialize, ToSchema)]
pub struct UploadedMany {
    /// The stream.
    #[schema(value_type = String)]
    stream: StreamName,
    /// Accepted pictures.
    frames: u64,
    /// Parts without a complete picture.
    skipped: u64,
    /// Why the last part was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Uploads a picture, at the original recipe's address.
#[utoipa::path(
    method(put, post), path = "/mjpeg-upload", tag = "pictures in", params(UploadQuery),
    request_body(content_type = "image/jpeg", description = "JPEG, PNG, WebP, GIF or BMP; or multipart/form-data with a file"),
    responses((status = 200, description = "Accepted; the body is {}"), (status = 409, body = ProblemDocument), (status = 413, body = ProblemDocument), (status = 415, body = ProblemDocument))
)]
pub(super) async fn recipe(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<UploadQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let name = query.name.as_deref().ok_or_else(|| Error::parameter("name", "is required: /mjpeg-upload?name=…"))?;
    let name = state.catalog.name(name)?;
    state.access.authorize("http", &caller, Action::Publish, &name).await?;
    take_one(&request, &state, &name, payload).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({})))
}

/// Uploads one picture.
#[utoipa::path(
    method(put, post), path = "/api/v1/streams/{name:.+}/frame", tag = "pictures in", params(("name" = String, Path, description = "Can contain slashes")),
    request_body(content_type = "image/jpeg", description = "JPEG, PNG, WebP, GIF or BMP; or multipart/form-data with a file"),
    responses((status = 200, body = Uploaded), (status = 409, body = ProblemDocument), (status = 413, body = ProblemDocument), (status = 415, body = ProblemDocument), (status = 422, body = ProblemDocument))
)]
pub(super) async fn frame(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(&name)?;
    state.access.authorize("http", &caller, Action::Publish, &name).await?;
    let frame = take_one(&request, &state, &name, payload).await?;
    Ok(HttpResponse::Ok().json(Uploaded {
        stream: name,
        seq: frame.seq,
        width: frame.width,
        height: frame.height,
        bytes: frame.size(),
    }))
}

/// Uploads pictures in one request without an end: multipart/x-mixed-replace, or concatenated JPEGs.
#[utoipa::path(
    method(put, post), path = "/api/v1/streams/{name:.+}/frames", tag = "pictures in", params(("name" = String, Path, description = "Can contain slashes")),
    request_body(content_type = "multipart/x-mixed-replace", description = "Or any other type: concatenated JPEGs"),
    responses((status = 200, description = "The sender has ended", body = UploadedMany), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument))
)]
pub(super) async fn frames(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    take_many(&request, &state, &caller, &name, payload).await
}

/// Takes pictures until the sender ends the request.
pub(super) async fn take_many(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    name: &str,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(name)?;
    let session = session_info(request, "upload", &name, Role::Publisher);
    let (_, permit) = state.access.admit(Role::Publisher, caller, session).await?;
    let session = permit.session();
    let mut upload = state.catalog.upload(&name)?;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let limits = state.catalog.context().limits;
    let mut splitter = Splitter::new(content_type, limits.frame_size.bytes());
    let mut result = UploadedMany { stream: name.clone(), frames: 0, skipped: 0, reason: None };
    let mut body = Paced::endless(request, payload);
    let skip = |result: &mut UploadedMany, why: String| {
        result.skipped += 1;
        result.reason = Some(why);
    };
    loop {
        let chunk = tokio::select! {
            chunk = body.next() => chunk,
            // Shutdown or revocation: the sender gets its answer at once instead of a broken connection.
            () = session.end().cancelled() => Ok(None),
        };
        let ended = match chunk {
            Ok(Some(chunk)) => {
                session.received(chunk.len());
                splitter.feed(&chunk);
                false
            }
            Ok(None) => true,
            // A sender that disconnects without an end of the body loses no picture that arrived.
            Err(e) if result.frames > 0 => {
                skip(&mut result, e.to_string());
                true
            }
            Err(e) => return Err(e.into()),
        };
        loop {
            let part = match splitter.next_part() {
                Ok(None) if ended => splitter.finish(),
                Ok(part) => part,
                Err(fault) => {
                    skip(&mut result, fault.to_string());
                    continue;
                }
            };
            let Some(part) = part else { break };
            let picture = match part.has_added_end {
                true => Picture::from_repaired(part.data, &limits).await,
                false => Picture::from_whole(part.data, &limits).await,
            };
            match picture {
                Ok(picture) => {
                    let picture = match part.timestamp_micros {
                        Some(micros) => picture.captured_at(std::time::UNIX_EPOCH + Duration::from_micros(micros)),
                        None => picture,
                    };
                    upload.publish(&picture)?;
                    result.frames += 1;
                    body.begin_anew();
                }
                Err(e) => skip(&mut result, e.to_string()),
            }
        }
        if ended {
            break;
        }
    }
    match (result.frames, &result.reason) {
        (0, Some(why)) => Err(Error::new(Code::InvalidBody, format!("no whole picture came: {why}")).into()),
        (0, None) => Err(Error::new(Code::EmptyBody, "no picture came before the end of the body").into()),
        _ => {
            upload.acknowledge().await?;
            Ok(HttpResponse::Ok().json(result))
        }
    }
}

async fn take_one(
    request: &HttpRequest,
    state: &State,
    name: &StreamName,
    payload: web::Payload,
) -> Result<SharedFrame> {
    // Before the body: a sender must not upload 16 MB to learn that the name is taken.
    let mut upload = state.catalog.upload(name)?;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let picture = match form::is_announced(content_type) {
        true => form_picture(request, state, content_type, payload).await?,
        false => body_picture(request, state, payload).await?,
    };
    let frame = upload.publish(&picture)?;
    upload.acknowledge().await?;
    Ok(frame)
}

/// The picture that the body is. A form without its type, which begins with its first delimiter, is read as one.
async fn body_picture(request: &HttpRequest, state: &State, payload: web::Payload) -> Result<Picture> {
    let limits = state.catalog.context().limits;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = announced {
        limits.check_size(length)?;
    }
    let mut body = Paced::new(request, payload);
    let mut data = BytesMut::new();
    while let Some(chunk) = body.next().await? {
        limits.check_size(data.len() + chunk.len())?;
        data.extend_from_slice(&chunk);
    }
    if data.starts_with(b"--") {
        let mut form = Form::new("", &limits);
        return match form.feed(&data).await? {
            Some(picture) => Ok(picture),
            None => form.finish().await,
        };
    }
    // The end of the body says that the picture is whole.
    Picture::from_whole(data.freeze(), &limits).await
}

async fn form_picture(
    request: &HttpRequest,
    state: &State,
    content_type: &str,
    payload: web::Payload,
) -> Result<Picture> {
    let limits = state.catalog.context().limits;
    let mut form = Form::new(content_type, &limits);
    let mut body = Paced::new(request, payload);
    while let Some(chunk) = body.next().await? {
        if let Some(picture) = form.feed(&chunk).await? {
            return Ok(picture);
        }
    }
    form.finish().await
}
