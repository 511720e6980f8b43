//! The pages of `static/`: from inside the program, and before them those of a folder, during development or for pages of others.
//!
//! A page keeps its address (`/viewer/`), and browsers revalidate it each time. The files that it loads are below
//! `/static/VERSION/`, where browsers cache them without limit: another version has another address. build.rs compresses all files.

use std::path::{Path, PathBuf};

use actix_web::{
    HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, AcceptEncoding, Encoding, Header as _},
    middleware::{DefaultHeaders, Next, from_fn},
    web,
};

use super::{Problem, State, routes::method_not_allowed};
use crate::error::{Code, Error};

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// A file of `static/`.
struct File {
    /// Its path below `static/`.
    name: &'static str,
    /// A digest of the content.
    tag: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// The original program's address of the viewer: its own page if `http.static_dir` has it, otherwise `/viewer/`.
#[utoipa::path(method(get, head), path = "/mediamtx_viewer", tag = "pages", responses((status = 200, content_type = "text/html", description = "The original page"), (status = 308)))]
pub(super) async fn viewer(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    original(&request, &state, "mediamtx_viewer", "viewer/").await
}

/// The original program's address of the console: its own page if `http.static_dir` has it, otherwise `/console/`.
#[utoipa::path(method(get, head), path = "/mediamtx_console", tag = "pages", responses((status = 200, content_type = "text/html", description = "The original page"), (status = 308)))]
pub(super) async fn console(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    original(&request, &state, "mediamtx_console", "console/").await
}

async fn original(request: &HttpRequest, state: &State, folder: &str, ours: &str) -> HttpResponse {
    let files = &state.settings.http.static_dir;
    if files.is_empty() {
        return beside(request, ours);
    }
    match actix_files::NamedFile::open_async(Path::new(files).join(folder).join("index.html")).await {
        Err(_) => beside(request, ours),
        // The addresses in the page are relative to the folder.
        Ok(_) if !request.path().ends_with('/') => redirect(&format!("{folder}/")),
        Ok(page) => {
            let mut answer = page.into_response(request);
            answer.extensions_mut().insert(Foreign);
            answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache"));
            answer
        }
    }
}

/// In the extensions of a response that comes from `http.static_dir` and is no page of ours.
pub(super) struct Foreign;

/// In the extensions of a response that comes from inside the program.
struct Embedded;

/// Whether the folder is a copy of `static/`, for the development of our pages.
fn has_our_pages(folder: &Path) -> bool {
    folder.join("lib/api.js").is_file()
}

/// Marks what comes from the folder, unless it is one of our pages during development. A page of the folder that takes the place
/// of ours is not ours: the folder of the original program has an `index.html` with scripts of other hosts.
async fn mark_foreign(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
    has_our_pages: bool,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let name = request.path().trim_start_matches('/');
    let name = if name.is_empty() || name.ends_with('/') { format!("{name}index.html") } else { name.to_owned() };
    let is_ours = has_our_pages && find(&name).is_some();
    let mut response = next.call(request).await?;
    if !is_ours && response.response().extensions().get::<Embedded>().is_none() {
        response.response_mut().extensions_mut().insert(Foreign);
    }
    Ok(response)
}

/// Redirects to another page, by a relative address, because a proxy can add a path in front.
fn beside(request: &HttpRequest, page: &str) -> HttpResponse {
    let up = if request.path().ends_with('/') { "../" } else { "" };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    redirect(&format!("{up}{page}{query}"))
}

/// Adds the pages after all routes. `folder` is `http.static_dir`: its files have precedence over the files inside the
/// program.
pub(super) fn configure(routes: &mut web::ServiceConfig, folder: &str) {
    if folder.is_empty() {
        routes.default_service(web::to(embedded));
        return;
    }
    let folder = PathBuf::from(folder);
    let fresh = || DefaultHeaders::new().add((header::CACHE_CONTROL, "no-cache"));
    routes.service(web::scope("/static/dev").wrap(fresh()).service(from_folder(&folder)));
    let has_our_pages = has_our_pages(&folder);
    let mark = from_fn(move |request, next| mark_foreign(request, next, has_our_pages));
    routes.service(web::scope("").wrap(fresh()).wrap(mark).service(from_folder(&folder)));
}

fn from_folder(folder: &Path) -> actix_files::Files {
    actix_files::Files::new("/", folder)
        .index_file("index.html")
        .redirect_to_slash_directory()
        .use_hidden_files()
        .default_handler(web::to(embedded))
}

fn find(name: &str) -> Option<&'static File> {
    FILES.binary_search_by(|file| file.name.cmp(name)).ok().map(|i| &FILES[i])
}

async fn embedded(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let path = request.path().trim_start_matches('/');
    let (file, keep) = match path.strip_prefix("static/").and_then(|rest| rest.split_once('/')) {
        // A page that was opened before an update gets the current file, uncached.
        Some((version, name)) => {
            (find(name), if version == VERSION { "public, max-age=31536000, immutable" } else { "no-store" })
        }
        // Players have stable addresses, for pages of other sites. A service worker is for the pages below its own address.
        None if path.starts_with("players/") || path == "viewer/worker.js" => (find(path), "no-cache"),
        None if path.is_empty() || path.ends_with('/') => (find(&format!("{path}index.html")), "no-cache"),
        None => {
            if find(&format!("{path}/index.html")).is_some() {
                let folder = path.rsplit('/').next().unwrap_or_default();
                return Ok(redirect(&format!("{folder}/")));
            }
            (None, "")
        }
    };
    let Some(file) = file else { return nothing(request).await };
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        return Ok(method_not_allowed(&request, "GET, HEAD"));
    }
    Ok(answer(&request, file, keep))
}

/// The file in the smallest encoding that the browser accepts.
fn answer(request: &HttpRequest, file: &File, keep: &str) -> HttpResponse {
    let offered = [
        (Encoding::brotli(), "br", file.brotli),
        (Encoding::gzip(), "gzip", file.gzip),
        (Encoding::identity(), "", Some(file.plain)),
    ];
    let offered: Vec<_> = offered.iter().filter_map(|(code, word, body)| Some((code, *word, (*body)?))).collect();
    let wanted = request.headers().contains_key(header::ACCEPT_ENCODING).then(|| AcceptEncoding::parse(request).ok());
    let taken = |code: &Encoding| {
        let wanted = wanted.as_ref().and_then(Option::as_ref)?;
        (wanted.negotiate([code, &Encoding::identity()].into_iter()).as_ref() == Some(code)).then_some(())
    };
    let chosen = offered.iter().find(|(code, word, _)| word.is_empty() || taken(code).is_some());
    let (word, body) = chosen.map_or(("", file.plain), |(_, word, body)| (*word, *body));

    let tag = format!("\"{}{word}\"", file.tag);
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes());
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.extensions_mut().insert(Embedded);
    response.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, keep));
    response.insert_header((header::VARY, "Accept-Encoding"));
    if known {
        return response.finish();
    }
    if !word.is_empty() {
        response.insert_header((header::CONTENT_ENCODING, word));
    }
    let kind = actix_files::file_extension_to_mime(file.name.rsplit('.').next().unwrap_or_default());
    let kind = if kind.type_() == "text" { format!("{kind}; charset=utf-8") } else { kind.to_string() };
    response.content_type(kind).body(body)
}

fn redirect(to: &str) -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, to)).finish()
}

async fn nothing(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Error::new(Code::NotFound, format!("no resource has the address {}", request.path())).into())
}
