//! The paths that are defined for MediaMTX, for administrators.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, State,
    caller::Admin,
    condition::only_if_new,
    extract::{ALL_PATHS, Body, read, whole},
    problem::ProblemDocument,
};
use crate::{
    error::{Code, Error},
    paths::{Difference, HostStatus, Imported, PathStatus, Wanted},
};

const ALL: &str = "/api/v1/paths";
/// A path. Its name can contain slashes.
const ONE: &str = "/api/v1/paths/{name:.+}";

/// All defined paths, and MediaMTX.
#[derive(Serialize, ToSchema)]
pub struct WantedPaths {
    /// MediaMTX.
    mediamtx: HostStatus,
    /// By name.
    paths: Vec<PathStatus>,
}

/// A replacement for all paths.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AllPaths {
    /// By name.
    paths: BTreeMap<String, Wanted>,
}

/// How to replace.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReplaceQuery {
    /// `1`: returns the changes without making them.
    dry_run: Option<String>,
}

impl ReplaceQuery {
    fn is_dry_run(&self) -> Result<bool, Error> {
        match self.dry_run.as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(other) => Err(Error::parameter("dry_run", format!("must be 0 or 1, not {other:?}"))),
        }
    }
}

/// Lists the defined paths, their state at MediaMTX, and the differences.
#[utoipa::path(get, path = ALL, tag = "paths", responses((status = 200, body = WantedPaths), (status = 403, body = ProblemDocument)))]
pub(super) async fn list(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    let paths = state.paths.list().await;
    Ok(HttpResponse::Ok().json(WantedPaths { mediamtx: state.paths.host(), paths }))
}

/// Replaces all definitions. Returns the changes.
#[utoipa::path(
    put, path = ALL, tag = "paths", params(ReplaceQuery), request_body = AllPaths,
    responses((status = 200, body = Difference), (status = 422, description = "Nothing was changed", body = ProblemDocument))
)]
pub(super) async fn replace(
    request: HttpRequest,
    state: web::Data<State>,
    _: Admin,
    query: web::Query<ReplaceQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let dry_run = query.is_dry_run()?;
    let all: AllPaths = read(&whole(&request, payload, ALL_PATHS).await?, Code::InvalidPath)?;
    Ok(HttpResponse::Ok().json(state.paths.replace_all(all.paths, dry_run).await?))
}

/// Which paths are imported.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Import {
    /// Names of paths of MediaMTX, also of those that clients have made. Left out: all of its configuration.
    names: Option<Vec<String>>,
}

/// Defines the paths that MediaMTX has and that are not defined here. The body can be left out.
#[utoipa::path(
    post, path = "/api/v1/paths/import", tag = "paths", params(ReplaceQuery), request_body = Import,
    responses((status = 200, body = Imported), (status = 502, body = ProblemDocument))
)]
pub(super) async fn import(
    state: web::Data<State>,
    _: Admin,
    query: web::Query<ReplaceQuery>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let Import { names } = if body.is_empty() { Import::default() } else { read(&body, Code::InvalidBody)? };
    Ok(HttpResponse::Ok().json(state.paths.import(names.as_deref(), query.is_dry_run()?).await?))
}

/// A path: its definition, and its state at MediaMTX.
#[utoipa::path(
    get, path = ONE, tag = "paths", params(("name" = String, Path, description = "Can contain slashes")),
    responses((status = 200, body = PathStatus), (status = 404, body = ProblemDocument))
)]
pub(super) async fn get(state: web::Data<State>, _: Admin, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(state.paths.get(&name).await?))
}

/// Defines a path. MediaMTX gets it within seconds, and again after each of its restarts. With `If-None-Match: *` a path that is
/// kept here is not changed.
#[utoipa::path(
    put, path = ONE, tag = "paths", params(("name" = String, Path, description = "Can contain slashes")),
    request_body = Wanted,
    responses(
        (status = 200, description = "Changed", body = PathStatus), (status = 201, description = "New", body = PathStatus),
        (status = 412, description = "The path is kept, and the request has `If-None-Match: *`", body = ProblemDocument),
        (status = 422, body = ProblemDocument),
    )
)]
pub(super) async fn put(
    request: HttpRequest,
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let is_new = state.paths.put_if(&name, read(&body, Code::InvalidPath)?, only_if_new(&request)?).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(state.paths.get(&name).await?))
}

/// Changes members of a path's definition (JSON merge patch, RFC 7396).
#[utoipa::path(
    patch, path = ONE, tag = "paths", params(("name" = String, Path, description = "Can contain slashes")),
    request_body(content_type = "application/merge-patch+json", description = "Members of the definition; null restores the default"),
    responses((status = 200, body = PathStatus), (status = 404, body = ProblemDocument), (status = 422, body = ProblemDocument))
)]
pub(super) async fn patch(
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    state.paths.patch(&name, read(&body, Code::InvalidPath)?).await?;
    Ok(HttpResponse::Ok().json(state.paths.get(&name).await?))
}

/// Removes a path, here and at MediaMTX.
#[utoipa::path(
    delete, path = ONE, tag = "paths", params(("name" = String, Path, description = "Can contain slashes")),
    responses((status = 204), (status = 404, body = ProblemDocument))
)]
pub(super) async fn delete(
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    state.paths.remove(&name).await?;
    Ok(HttpResponse::NoContent().finish())
}
