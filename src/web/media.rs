//! Files of the media folders: lists, contents, uploads and channels. Reading needs the permission `read` for `media/FOLDER/PATH`, as if it
//! were a path of MediaMTX; changes need an administrator.

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody, SizedStream},
    http::StatusCode,
    web,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Duration;
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, State,
    caller::{Admin, CallerExtractor},
    condition::only_if_new,
    endless::session_info,
    extract::{Body, SMALL, number, read},
    media_file::as_file,
    problem::ProblemDocument,
    turn::Paced,
};
use crate::{
    access::Role,
    channels::{Channel, Channels, NewChannel},
    error::{Code, Error},
    fetch::Response,
    library::{self, Content, Facts, FileKind, Listing, LocalFile, Location, RootInfo},
    picture::Picture,
    policy::{Action, Caller},
    units::is_writable,
};

/// A file of a media folder.
const FILE: &str = "/api/v1/media/file";

/// Most entries of a page, and the default.
const MAX_PAGE: usize = 1000;
const PAGE: usize = 200;

/// Longest pause of a NAS within a file.
const NAS_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a file that are read at a time: what a client that reads slowly holds.
const CHUNK: usize = 1 << 16;

/// The longer side of a thumbnail, in pixels.
const THUMBNAIL: u32 = 320;

/// All media folders.
#[derive(Serialize, ToSchema)]
pub struct RootList {
    /// In the order of the settings.
    roots: Vec<RootInfo>,
}

/// A folder, and the part of its entries to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// The media folder. Without `root` and `path`, the media folders themselves are listed.
    root: Option<String>,
    /// The path of the folder below the media folder.
    path: Option<String>,
    /// `picture`, `video` or `audio`: lists only files of this kind, and folders.
    r#type: Option<String>,
    /// The number of entries to skip.
    #[param(value_type = Option<usize>)]
    start: Option<String>,
    /// Most entries to list: 1 to 1000, by default 200.
    #[param(value_type = Option<usize>)]
    limit: Option<String>,
}

/// A file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// The media folder; the first one if it is left out.
    root: Option<String>,
    /// The path of the file below the media folder.
    path: String,
}

impl FileQuery {
    fn location(&self, state: &State) -> Result<Location, Error> {
        let location = Location { root: self.root.clone().unwrap_or_default(), path: self.path.clone() };
        state.library.locate(&location)
    }
}

async fn authorize(state: &State, caller: &Caller, location: &Location) -> Result<(), Error> {
    state.access.authorize("http", caller, Action::Read, &location.permission()).await.map(drop)
}

/// Lists the media folders, or the entries of a folder.
#[utoipa::path(
    get, path = "/api/v1/media", tag = "media", params(ListQuery),
    responses((status = 200, body = Listing), (status = 404, body = ProblemDocument))
)]
pub(super) async fn list(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    if query.root.is_none() && query.path.is_none() {
        state.access.authorize("http", &caller, Action::Read, "media/").await?;
        return Ok(HttpResponse::Ok().json(RootList { roots: state.library.roots().await }));
    }
    let (root, path) = (query.root.clone().unwrap_or_default(), query.path.clone().unwrap_or_default());
    let location = state.library.locate(&Location { root, path })?;
    authorize(&state, &caller, &location).await?;
    let kind = query.r#type.as_deref().map(|word| {
        let kind: Option<FileKind> = serde_json::from_value(json!(word)).ok();
        kind.ok_or_else(|| Error::parameter("type", format!("must be picture, video, audio or folder, not {word:?}")))
    });
    let kind = kind.transpose()?;
    let start = number("start", query.start.as_deref(), 0, 0..=usize::MAX)?;
    let limit = number("limit", query.limit.as_deref(), PAGE, 1..=MAX_PAGE)?;
    Ok(HttpResponse::Ok().json(state.library.list(&location, kind, start, limit).await?))
}

/// Length, codecs and size of a video, found by ffprobe.
#[utoipa::path(
    get, path = "/api/v1/media/info", tag = "media", params(FileQuery),
    responses((status = 200, body = Facts), (status = 503, description = "ffprobe is not installed", body = ProblemDocument))
)]
pub(super) async fn info(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<FileQuery>,
) -> Result<HttpResponse, Problem> {
    let location = query.location(&state)?;
    authorize(&state, &caller, &location).await?;
    Ok(HttpResponse::Ok().json(library::probe(&state.library, &location).await?))
}

/// A thumbnail of a picture, as JPEG.
#[utoipa::path(
    get, path = "/api/v1/media/thumbnail", tag = "media", params(FileQuery),
    responses((status = 200, content_type = "image/jpeg"), (status = 415, body = ProblemDocument))
)]
pub(super) async fn thumbnail(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<FileQuery>,
) -> Result<HttpResponse, Problem> {
    let location = query.location(&state)?;
    authorize(&state, &caller, &location).await?;
    let small = match state.library.ready_thumbnail(&location).await {
        Some(ready) => ready,
        None => {
            let limits = state.catalog.context().limits;
            let data = state.library.read(&location, limits.frame_size.0).await?;
            Picture::from_upload(data, &limits).await?.thumbnail(THUMBNAIL, &limits).await?
        }
    };
    Ok(HttpResponse::Ok()
        .content_type("image/jpeg")
        .insert_header(("Cache-Control", "private, max-age=300"))
        .body(small))
}

/// The content of a file, by its id. Serves ranges, which ffmpeg and browsers request.
#[utoipa::path(
    method(get, head), path = "/api/v1/media/content/{id}", tag = "media", params(("id" = String, Path, description = "The id in a channel's command")),
    responses((status = 200), (status = 206), (status = 404, body = ProblemDocument))
)]
pub(super) async fn content(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let location = state.library.locate(&Location::from_id(&id)?)?;
    authorize(&state, &caller, &location).await?;
    let range = request.headers().get("range").and_then(|range| range.to_str().ok());
    let file = match state.library.open(&location, range).await? {
        Content::File(file) => file,
        Content::Remote(response) => return Ok(as_file(forwarded(*response))),
    };
    let name = location.path.rsplit('/').next().unwrap_or("file").to_owned();
    let named = file.run(move |file| NamedFile::from_file(file.try_clone()?, name)).await?;
    // Headers have no form for other times, and actix-files panics over them.
    let dated = named.modified().is_none_or(is_writable);
    let named = named.use_etag(dated).use_last_modified(dated);
    Ok(read_in_pool(as_file(named.into_response(&request)), file))
}

/// Reads the body on the threads of the media folder. actix-files would read it on the threads of the worker, on which
/// everything else waits as soon as enough reads hang.
fn read_in_pool(response: HttpResponse, file: LocalFile) -> HttpResponse {
    let range = response.headers().get("content-range").and_then(|range| range.to_str().ok());
    // `bytes 7-20/100` (RFC 9110, section 14.4); without it, the body is the whole file.
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    response.map_body(|head, body| match body.size() {
        BodySize::Sized(length) if length > 0 && head.status.is_success() => {
            let (begin, end) = (first.unwrap_or(0), first.unwrap_or(0) + length);
            let stream = futures_util::stream::try_unfold(begin, move |at| {
                let file = file.clone();
                async move {
                    let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK);
                    if most == 0 {
                        return Ok(None);
                    }
                    match file.read_at(at, most).await? {
                        data if data.is_empty() => Err(Error::new(Code::Internal, "the file has become shorter")),
                        data => {
                            let next = at + data.len() as u64;
                            Ok(Some((data, next)))
                        }
                    }
                }
            });
            BoxBody::new(SizedStream::new(length, Box::pin(stream)))
        }
        _ => body,
    })
}

/// The response of a NAS, with those of its headers that concern the content.
fn forwarded(response: Response) -> HttpResponse {
    let status = StatusCode::from_u16(response.status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut answer = HttpResponse::build(status);
    for name in ["content-type", "content-range", "accept-ranges", "last-modified"] {
        if let Some(value) = response.header(name) {
            answer.insert_header((name, value));
        }
    }
    let length = response.header("content-length").and_then(|length| length.parse::<u64>().ok());
    let body = futures_util::stream::try_unfold(response, async |mut response| {
        Ok::<_, Error>(response.chunk(NAS_TIMEOUT).await?.map(|data| (data, response)))
    });
    match length {
        Some(length) => answer.body(SizedStream::new(length, Box::pin(body))),
        None => answer.streaming(Box::pin(body)),
    }
}

/// The videos of a folder as a list for ffmpeg's concat demuxer. The list has URLs, and no file name.
#[utoipa::path(
    get, path = "/api/v1/media/playlist/{id}", tag = "media", params(("id" = String, Path, description = "The id in a channel's command")),
    responses((status = 200, content_type = "text/plain"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn playlist(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let location = state.library.locate(&Location::from_id(&id)?)?;
    authorize(&state, &caller, &location).await?;
    let mut list = String::from("ffconcat version 1.0\n");
    for video in state.library.videos(&location).await? {
        list.push_str(&format!("file '{}/api/v1/media/content/{}'\n", state.advertise_http, video.id()));
    }
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(list))
}

/// Uploads a file into a media folder. An existing file is not replaced. The upload ends with the caller's token.
#[utoipa::path(
    put, path = FILE, tag = "media", params(FileQuery),
    responses((status = 201), (status = 409, body = ProblemDocument), (status = 413, body = ProblemDocument))
)]
pub(super) async fn upload(
    request: HttpRequest,
    state: web::Data<State>,
    Admin(who): Admin,
    query: web::Query<FileQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let location = query.location(&state)?;
    let most = state.settings.limits.media_size.0;
    let mut upload = state.library.create(&location).await?;
    let session = state.access.begin(who, session_info(&request, "media", "", Role::Publisher));
    let mut written = 0;
    let mut body = Paced::new(&request, payload);
    loop {
        let next = tokio::select! {
            next = body.next() => next?,
            () = session.end().cancelled() => {
                return Err(Error::new(Code::InvalidBody, "the body breaks off: the session was ended").into());
            }
        };
        let Some(chunk) = next else { break };
        written += chunk.len() as u64;
        session.received(chunk.len());
        if written > most {
            let message = format!("the file is larger than {} (limits.media_size)", state.settings.limits.media_size);
            return Err(Error::new(Code::BodyTooLarge, message).into());
        }
        upload.write(chunk).await?;
    }
    upload.finish().await?;
    Ok(HttpResponse::Created().finish())
}

/// Deletes a file of a media folder, or an empty folder.
#[utoipa::path(
    delete, path = FILE, tag = "media", params(FileQuery),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument))
)]
pub(super) async fn delete(
    state: web::Data<State>,
    _: Admin,
    query: web::Query<FileQuery>,
) -> Result<HttpResponse, Problem> {
    state.library.delete(&query.location(&state)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Makes a channel of a file: a picture, or a folder of pictures, becomes a stream; a video plays in a loop while a client reads the path.
#[utoipa::path(
    post, path = "/api/v1/media/channel", tag = "media", request_body = NewChannel,
    responses((status = 201, body = Channel), (status = 404, body = ProblemDocument), (status = 422, body = ProblemDocument),
        (status = 412, description = "A stream or path of the name exists, and the request has `If-None-Match: *`", body = ProblemDocument))
)]
pub(super) async fn channel(
    request: HttpRequest,
    state: web::Data<State>,
    _: Admin,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let only_new = only_if_new(&request)?;
    Ok(HttpResponse::Created().json(channels(&state).create(read(&body, Code::InvalidBody)?, only_new).await?))
}

fn channels(state: &State) -> Channels<'_> {
    let State { library, catalog, paths, advertise_http, .. } = state;
    Channels { library, catalog, paths, base_url: advertise_http }
}

/// The body of the original program's requests.
#[derive(Deserialize)]
struct Original {
    path: String,
    #[serde(default)]
    fname: String,
}

/// The original program's list of files, which are those of the first media folder.
#[utoipa::path(post, path = "/mediamtx-get-media", tag = "mediamtx", responses((status = 200), (status = 401, body = ProblemDocument)))]
pub(super) async fn original_list(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    let location = state.library.locate(&Location { root: String::new(), path: String::new() })?;
    authorize(&state, &caller, &location).await?;
    let listing = state.library.list(&location, None, 0, usize::MAX).await?;
    let files = listing.entries.into_iter().filter(|entry| entry.kind != FileKind::Folder);
    let list: Vec<Value> = files.map(|entry| json!({"fname": entry.name, "fsize": entry.size})).collect();
    Ok(HttpResponse::Ok().json(json!({ "list": list })))
}

/// Makes a channel of a file, as the original program does.
#[utoipa::path(post, path = "/mediamtx-add-media", tag = "mediamtx", responses((status = 200), (status = 403, body = ProblemDocument)))]
pub(super) async fn original_add(
    state: web::Data<State>,
    _: Admin,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let Original { path, fname } = read(&body, Code::InvalidBody)?;
    let name = state.catalog.name(&path)?;
    channels(&state).create(NewChannel { root: String::new(), path: fname, folder_as: None, name }, false).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// Removes a channel, as the original program does.
#[utoipa::path(post, path = "/mediamtx-delete-media", tag = "mediamtx", responses((status = 200), (status = 404, body = ProblemDocument)))]
pub(super) async fn original_delete(
    state: web::Data<State>,
    _: Admin,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let Original { path, .. } = read(&body, Code::InvalidBody)?;
    let name = state.catalog.name(&path)?;
    channels(&state).remove(&name).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}
