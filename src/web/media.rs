//! Files of the media folders: looking through them, putting some there, and making channels of them. Looking needs `read` on
//! `media/FOLDER/PATH`, as if it were a path of MediaMTX; changing is for administrators.

use actix_files::NamedFile;
use actix_web::{HttpRequest, HttpResponse, body::SizedStream, http::StatusCode, web};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Duration;
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, State,
    caller::{Admin, CallerExtractor},
    extract::{Body, SMALL, number, read},
    problem::ProblemDocument,
};
use crate::{
    error::{Code, Error},
    fetch::Response,
    library::{self, As, Channel, Clip, Content, Facts, FileKind, Listing, NewChannel, Place, RootInfo, blocking},
    picture::Picture,
    policy::{Action, Caller},
    producer::Definition,
    stream::StreamName,
};

/// A file of a media folder.
const FILE: &str = "/api/v1/media/file";

/// Entries of a page at most, and usually.
const MAX_PAGE: usize = 1000;
const PAGE: usize = 200;

/// How long a NAS may be silent within a file.
const NAS_PATIENCE: Duration = Duration::from_secs(30);

/// The longer side of a thumbnail, in pixels.
const THUMBNAIL: u32 = 320;

/// All media folders.
#[derive(Serialize, ToSchema)]
pub struct RootList {
    /// In the order of the settings.
    roots: Vec<RootInfo>,
}

/// Which folder, and which part of it.
#[derive(Deserialize, IntoParams)]
pub struct ListQuery {
    /// The media folder; all media folders are listed if both this and `path` are left out.
    root: Option<String>,
    /// The folder below it.
    path: Option<String>,
    /// `picture`, `video`, `audio`: only these, and folders.
    r#type: Option<String>,
    /// So many are passed over.
    #[param(value_type = Option<usize>)]
    start: Option<String>,
    /// So many at most, up to 1000; 200 if it is left out.
    #[param(value_type = Option<usize>)]
    limit: Option<String>,
}

/// Which file.
#[derive(Deserialize, IntoParams)]
pub struct FileQuery {
    /// The media folder; the first one if it is left out.
    root: Option<String>,
    /// The file below it.
    path: String,
}

impl FileQuery {
    fn place(&self, state: &State) -> Result<Place, Error> {
        let place = Place { root: self.root.clone().unwrap_or_default(), path: self.path.clone() };
        state.library.place(&place)
    }
}

async fn may_look(state: &State, caller: &Caller, place: &Place) -> Result<(), Error> {
    state.access.authorize("http", caller, Action::Read, &place.permission()).await.map(drop)
}

/// Lists media folders, or what is in one.
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
    let place = Place { root: query.root.clone().unwrap_or_default(), path: query.path.clone().unwrap_or_default() };
    let place = state.library.place(&place)?;
    may_look(&state, &caller, &place).await?;
    let kind = query.r#type.as_deref().map(|word| {
        let kind: Option<FileKind> = serde_json::from_value(json!(word)).ok();
        kind.ok_or_else(|| Error::parameter("type", format!("must be picture, video, audio or folder, not {word:?}")))
    });
    let kind = kind.transpose()?;
    let start = number("start", query.start.as_deref(), 0, 0..=usize::MAX)?;
    let limit = number("limit", query.limit.as_deref(), PAGE, 1..=MAX_PAGE)?;
    Ok(HttpResponse::Ok().json(state.library.list(&place, kind, start, limit).await?))
}

/// What is in a video: duration and codecs, as far as ffprobe is there.
#[utoipa::path(
    get, path = "/api/v1/media/info", tag = "media", params(FileQuery),
    responses((status = 200, body = Facts), (status = 503, description = "There is no ffprobe", body = ProblemDocument))
)]
pub(super) async fn info(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<FileQuery>,
) -> Result<HttpResponse, Problem> {
    let place = query.place(&state)?;
    may_look(&state, &caller, &place).await?;
    Ok(HttpResponse::Ok().json(library::probe(&state.library, &place).await?))
}

/// A small JPEG of a picture.
#[utoipa::path(
    get, path = "/api/v1/media/thumbnail", tag = "media", params(FileQuery),
    responses((status = 200, content_type = "image/jpeg"), (status = 415, body = ProblemDocument))
)]
pub(super) async fn thumbnail(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<FileQuery>,
) -> Result<HttpResponse, Problem> {
    let place = query.place(&state)?;
    may_look(&state, &caller, &place).await?;
    let small = match state.library.ready_thumbnail(&place).await {
        Some(ready) => ready,
        None => {
            let limits = state.catalog.context().limits;
            let data = state.library.read(&place, limits.frame_size.0).await?;
            Picture::from_upload(data, &limits).await?.thumbnail(THUMBNAIL).await?
        }
    };
    Ok(HttpResponse::Ok()
        .content_type("image/jpeg")
        .insert_header(("Cache-Control", "private, max-age=300"))
        .body(small))
}

/// The content of a file, by its id; with ranges, as ffmpeg and browsers want them.
#[utoipa::path(
    method(get, head), path = "/api/v1/media/content/{id}", tag = "media", params(("id" = String, Path, description = "As in a channel's command")),
    responses((status = 200), (status = 206), (status = 404, body = ProblemDocument))
)]
pub(super) async fn content(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let place = state.library.place(&Place::from_id(&id)?)?;
    may_look(&state, &caller, &place).await?;
    let range = request.headers().get("range").and_then(|range| range.to_str().ok());
    let file = match state.library.open(&place, range).await? {
        Content::File(file) => file,
        Content::Remote(response) => return Ok(passed_on(*response)),
    };
    let named = NamedFile::from_file(file, place.path.rsplit('/').next().unwrap_or("file"));
    let named = named.map_err(|e| Error::internal("the file cannot be served", e))?;
    Ok(named.into_response(&request))
}

/// What a NAS answers, with the headers that have to do with the content.
fn passed_on(response: Response) -> HttpResponse {
    let status = StatusCode::from_u16(response.status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut answer = HttpResponse::build(status);
    for name in ["content-type", "content-range", "accept-ranges", "last-modified"] {
        if let Some(value) = response.header(name) {
            answer.insert_header((name, value));
        }
    }
    let length = response.header("content-length").and_then(|length| length.parse::<u64>().ok());
    let body = futures_util::stream::try_unfold(response, async |mut response| {
        Ok::<_, Error>(response.chunk(NAS_PATIENCE).await?.map(|data| (data, response)))
    });
    match length {
        Some(length) => answer.body(SizedStream::new(length, Box::pin(body))),
        None => answer.streaming(Box::pin(body)),
    }
}

/// The list of a folder's videos for ffmpeg's concat demuxer: by addresses, whatever their names.
#[utoipa::path(
    get, path = "/api/v1/media/playlist/{id}", tag = "media", params(("id" = String, Path, description = "As in a channel's command")),
    responses((status = 200, content_type = "text/plain"), (status = 404, body = ProblemDocument))
)]
pub(super) async fn playlist(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let place = state.library.place(&Place::from_id(&id)?)?;
    may_look(&state, &caller, &place).await?;
    let mut list = String::from("ffconcat version 1.0\n");
    for video in state.library.videos(&place).await? {
        list.push_str(&format!("file '{}/api/v1/media/content/{}'\n", state.advertise_http, video.id()));
    }
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(list))
}

/// Puts a file into a media folder. One that is there is not replaced.
#[utoipa::path(
    put, path = FILE, tag = "media", params(FileQuery),
    responses((status = 201), (status = 409, body = ProblemDocument), (status = 413, body = ProblemDocument))
)]
pub(super) async fn upload(
    state: web::Data<State>,
    _: Admin,
    query: web::Query<FileQuery>,
    mut payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let place = query.place(&state)?;
    let (library, most, patience) =
        (state.library.clone(), state.settings.limits.media_size.0, *state.settings.http.upload_timeout);
    let mut upload = blocking(move || library.create(&place)).await?;
    let mut written = 0;
    let broken = |why: String| Error::new(Code::InvalidBody, format!("the body broke off: {why}"));
    loop {
        let next = tokio::time::timeout(patience, payload.try_next()).await;
        let next = next.map_err(|_| broken("it was silent for too long (http.upload_timeout)".into()))?;
        let Some(chunk) = next.map_err(|e| broken(e.to_string()))? else { break };
        written += chunk.len() as u64;
        if written > most {
            let message = format!("the file is larger than {} (limits.media_size)", state.settings.limits.media_size);
            return Err(Error::new(Code::BodyTooLarge, message).into());
        }
        upload = blocking(move || {
            upload.write(&chunk)?;
            Ok(upload)
        })
        .await?;
    }
    blocking(move || upload.finish()).await?;
    Ok(HttpResponse::Created().finish())
}

/// Deletes a file of a media folder, or a folder that is empty.
#[utoipa::path(
    delete, path = FILE, tag = "media", params(FileQuery),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument))
)]
pub(super) async fn delete(
    state: web::Data<State>,
    _: Admin,
    query: web::Query<FileQuery>,
) -> Result<HttpResponse, Problem> {
    let (library, place) = (state.library.clone(), query.place(&state)?);
    blocking(move || library.delete(&place)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Makes a channel of a file: a picture, or a folder of them, becomes a stream; a video plays round and round while it is watched.
#[utoipa::path(
    post, path = "/api/v1/media/channel", tag = "media", request_body = NewChannel,
    responses((status = 201, body = Channel), (status = 404, body = ProblemDocument), (status = 422, body = ProblemDocument))
)]
pub(super) async fn channel(state: web::Data<State>, _: Admin, body: Body<SMALL>) -> Result<HttpResponse, Problem> {
    let wanted: NewChannel = read(&body, Code::InvalidBody)?;
    let place = Place { root: wanted.root, path: wanted.path };
    Ok(HttpResponse::Created().json(make(&state, &place, &wanted.name, wanted.of_folder).await?))
}

async fn make(state: &State, place: &Place, name: &StreamName, of_folder: Option<As>) -> Result<Channel, Error> {
    let place = state.library.place(place)?;
    let kind = state.library.kind(&place).await?;
    let parts = match kind {
        FileKind::Folder if folder_as(state, &place, of_folder).await? == As::Playlist => {
            let list = format!("{}/api/v1/media/playlist", state.advertise_http);
            library::playlist(&place, name, &list, &clips(state, &place).await?)?
        }
        _ => {
            let facts = match kind {
                FileKind::Video | FileKind::Audio => library::probe(&state.library, &place).await.ok(),
                _ => None,
            };
            let content = format!("{}/api/v1/media/content", state.advertise_http);
            let definition = state.library.definition(&place)?;
            library::channel(&place, kind, name, definition, &content, facts.as_ref())?
        }
    };
    if let Some(definition) = parts.stream {
        let definition: Definition =
            serde_json::from_value(definition).map_err(|e| Error::new(Code::InvalidDefinition, e.to_string()))?;
        state.catalog.define(name, &definition).await?;
    }
    state.paths.put(name, parts.path).await?;
    Ok(parts.channel)
}

/// What a folder becomes: what was asked for, or what it holds.
async fn folder_as(state: &State, place: &Place, wanted: Option<As>) -> Result<As, Error> {
    if let Some(wanted) = wanted {
        return Ok(wanted);
    }
    let entries = state.library.list(place, None, 0, MAX_PAGE).await?.entries;
    let holds = |kind| entries.iter().any(|entry| entry.kind == kind);
    match (holds(FileKind::Picture), holds(FileKind::Video)) {
        (true, true) => {
            let rule = "as: the folder has pictures and videos; must be slideshow or playlist";
            Err(Error::new(Code::InvalidPath, rule).in_field("as"))
        }
        (false, true) => Ok(As::Playlist),
        _ => Ok(As::Slideshow),
    }
}

/// What is in the videos of a folder; so many are looked into at the same time as there are cores on small machines.
async fn clips(state: &State, place: &Place) -> Result<Vec<Clip>, Error> {
    let videos = state.library.videos(place).await?;
    let looked = futures_util::stream::iter(videos).map(async |video: Place| {
        let facts = library::probe(&state.library, &video).await?;
        let name = video.path.rsplit('/').next().unwrap_or_default().to_owned();
        Ok::<_, Error>(Clip { name, facts })
    });
    looked.buffered(2).try_collect().await
}

/// What the original program posts.
#[derive(Deserialize)]
struct Original {
    path: String,
    #[serde(default)]
    fname: String,
}

/// The original program's list of files: those of the first media folder.
#[utoipa::path(post, path = "/mediamtx-get-media", tag = "mediamtx", responses((status = 200), (status = 401, body = ProblemDocument)))]
pub(super) async fn original_list(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    let place = state.library.place(&Place { root: String::new(), path: String::new() })?;
    may_look(&state, &caller, &place).await?;
    let listing = state.library.list(&place, None, 0, usize::MAX).await?;
    let files = listing.entries.into_iter().filter(|entry| entry.kind != FileKind::Folder);
    let list: Vec<Value> = files.map(|entry| json!({"fname": entry.name, "fsize": entry.size})).collect();
    Ok(HttpResponse::Ok().json(json!({ "list": list })))
}

/// The original program's way to make a channel of a file.
#[utoipa::path(post, path = "/mediamtx-add-media", tag = "mediamtx", responses((status = 200), (status = 403, body = ProblemDocument)))]
pub(super) async fn original_add(
    state: web::Data<State>,
    _: Admin,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let Original { path, fname } = read(&body, Code::InvalidBody)?;
    let name = state.catalog.name(&path)?;
    make(&state, &Place { root: String::new(), path: fname }, &name, None).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// The original program's way to remove it.
#[utoipa::path(post, path = "/mediamtx-delete-media", tag = "mediamtx", responses((status = 200), (status = 404, body = ProblemDocument)))]
pub(super) async fn original_delete(
    state: web::Data<State>,
    _: Admin,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let Original { path, .. } = read(&body, Code::InvalidBody)?;
    let name = state.catalog.name(&path)?;
    state.paths.remove(&name).await?;
    if state.catalog.registry().get(&name).is_some_and(|stream| ["file", "nas"].contains(&stream.kind())) {
        state.catalog.remove(&name).await?;
    }
    Ok(HttpResponse::Ok().json(json!({})))
}
