//! The pages of `static/`: from inside the program, or from a folder while somebody works on them.

use std::path::{Path, PathBuf};

use actix_web::{HttpRequest, HttpResponse, http::header, web};

use super::{Problem, method_not_allowed};
use crate::error::{Code, Error};

#[derive(rust_embed::RustEmbed)]
#[folder = "static/"]
struct Embedded;

/// Adds the pages to the routes. `folder` is `http.static_dir`.
pub(super) fn configure(routes: &mut web::ServiceConfig, folder: &str) {
    match folder_to_serve(folder) {
        Some(folder) => {
            let files = actix_files::Files::new("/", folder)
                .index_file("index.html")
                .redirect_to_slash_directory()
                .use_hidden_files()
                .default_handler(web::to(nothing));
            routes.service(files);
        }
        None => {
            routes.default_service(web::to(embedded));
        }
    }
}

/// The configured folder; else `static/` when the program was started in a checkout of its source.
fn folder_to_serve(configured: &str) -> Option<PathBuf> {
    if !configured.is_empty() {
        return Some(configured.into());
    }
    let manifest = std::fs::read_to_string("Cargo.toml").ok()?;
    let is_ours = manifest.contains("name = \"mtx-sidecar\"") && Path::new("static/index.html").is_file();
    is_ours.then(|| "static".into())
}

async fn embedded(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let path = request.path().trim_start_matches('/');
    let path = if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    let Some(file) = Embedded::get(&path) else {
        // Relative, because there may be a path of a proxy's in front.
        let folder = path.rsplit('/').next().filter(|_| Embedded::get(&format!("{path}/index.html")).is_some());
        return match folder {
            Some(folder) => {
                Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, format!("{folder}/"))).finish())
            }
            None => nothing(request).await,
        };
    };
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        return method_not_allowed(request).await;
    }
    let digest = file.metadata.sha256_hash();
    let tag: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes());
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    if known {
        return Ok(response.finish());
    }
    let extension = path.rsplit('.').next().unwrap_or_default();
    let kind = actix_files::file_extension_to_mime(extension);
    let kind = if kind.type_() == "text" { format!("{kind}; charset=utf-8") } else { kind.to_string() };
    Ok(response.content_type(kind).body(file.data.into_owned()))
}

async fn nothing(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Error::new(Code::NotFound, format!("there is nothing at {}", request.path())).into())
}
