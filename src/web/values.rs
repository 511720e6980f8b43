//! Values in text on pictures (`{value:KEY}`), set while the program runs.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::CallerExtractor,
    extract::{Body, SMALL},
    problem::ProblemDocument,
};
use crate::{
    error::{Code, Error},
    policy::Action,
};

/// A value. Its key can contain slashes.
const ONE: &str = "/api/v1/values/{key:.+}";

/// The values that the caller can read.
#[derive(Serialize, ToSchema)]
pub struct ValueList {
    /// By key.
    values: BTreeMap<String, String>,
}

/// Lists the values whose keys the caller can read as paths.
#[utoipa::path(
    get, path = "/api/v1/values", tag = "streams",
    responses((status = 200, body = ValueList), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument))
)]
pub(super) async fn list(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    state.access.authorize_some("http", &caller, Action::Read).await?;
    let mut values = BTreeMap::new();
    for (key, value) in state.catalog.context().values.all() {
        if state.access.may(&caller, Action::Read, &key).await {
            values.insert(key, value);
        }
    }
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(ValueList { values }))
}

/// Sets a value that texts on pictures show as `{value:KEY}`: the body is the text, of at most 200 bytes. Needs the permission to publish to
/// the path KEY. Values are forgotten at a restart.
#[utoipa::path(
    put, path = ONE, tag = "streams", params(("key" = String, Path, description = "Can contain slashes")),
    request_body(content_type = "text/plain", content = String),
    responses((status = 204), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument), (status = 400, body = ProblemDocument))
)]
pub(super) async fn put(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    key: web::Path<String>,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let key = state.catalog.name(&key)?;
    state.access.authorize("http", &caller, Action::Publish, &key).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Error::new(Code::InvalidBody, "the value is not UTF-8"))?;
    state.catalog.context().values.set(&key, text.trim_end())?;
    Ok(HttpResponse::NoContent().finish())
}

/// Removes a value: texts show a dash instead.
#[utoipa::path(
    delete, path = ONE, tag = "streams", params(("key" = String, Path, description = "Can contain slashes")),
    responses((status = 204), (status = 404, body = ProblemDocument))
)]
pub(super) async fn delete(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    key: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let key = state.catalog.name(&key)?;
    state.access.authorize("http", &caller, Action::Publish, &key).await?;
    if !state.catalog.context().values.remove(&key) {
        return Err(Error::new(Code::NotFound, format!("there is no value {key}")).into());
    }
    Ok(HttpResponse::NoContent().finish())
}
