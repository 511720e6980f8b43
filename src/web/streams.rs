//! Streams: what there is, and what administrators say there should be.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::{Problem, State, caller::CallerExtractor, problem::ProblemDocument};
use crate::{
    error::{Code, Error},
    output::{h264, variants::VariantStats},
    policy::Action,
    producer::Definition,
    secret,
    stream::{Origin, Stats, Stream, StreamName},
};

/// All streams that the caller may watch.
#[derive(Serialize, ToSchema)]
pub struct StreamList {
    /// By name.
    streams: Vec<StreamState>,
}

/// What a stream does.
#[derive(Serialize, ToSchema)]
pub struct StreamState {
    #[serde(flatten)]
    stats: Stats,
    /// What is encoded of it for RTSP readers.
    video: Vec<h264::Stats>,
    /// What is made of it for watchers who want it otherwise; they count as watchers of the stream, too.
    variants: Vec<VariantStats>,
}

/// One stream, with its definition when an administrator asks.
#[derive(Serialize, ToSchema)]
pub struct StreamDetail {
    #[serde(flatten)]
    state: StreamState,
    /// The definition, for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<Definition>,
}

/// Lists the streams that the caller may watch.
#[utoipa::path(
    get, path = "/api/v1/streams", tag = "streams",
    responses((status = 200, body = StreamList), (status = 401, body = ProblemDocument))
)]
pub(super) async fn list(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    let mut streams = vec![];
    let mut videos = state.encodings.stats();
    let mut variants = state.variants.stats();
    let mut refused = None;
    for stream in state.registry.list() {
        let verdict = state.decide(&caller, Action::Read, stream.name()).await;
        if verdict.decision.is_allowed() {
            let video = videos.remove(stream.name()).unwrap_or_default();
            let variants = variants.remove(stream.name()).unwrap_or_default();
            streams.push(StreamState { stats: stream.stats(), video, variants });
        } else {
            refused = Some(verdict.refusal(Action::Read, ""));
        }
    }
    // Nothing to see because of who asks is a different thing from nothing there.
    match refused {
        Some(e) if streams.is_empty() && e.code() != Code::Forbidden => Err(e.into()),
        _ => Ok(HttpResponse::Ok().json(StreamList { streams })),
    }
}

/// Tells about one stream.
#[utoipa::path(
    get, path = "/api/v1/streams/{name}", tag = "streams", params(("name" = String, Path, description = "May contain slashes")),
    responses((status = 200, body = StreamDetail), (status = 404, body = ProblemDocument))
)]
pub(super) async fn get(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = state.registry.name(&name)?;
    state.permit(&caller, Action::Read, &name).await?;
    let stream = state.registry.find(&name)?;
    let definition = match state.may(&caller, Action::Api, "").await {
        true => definition(&state, &name).await?,
        false => None,
    };
    Ok(HttpResponse::Ok().json(StreamDetail { state: state_of(&state, &stream), definition }))
}

/// Defines a stream, or redefines it; those who watch it stay. Kept over restarts.
#[utoipa::path(
    put, path = "/api/v1/streams/{name}", tag = "streams", params(("name" = String, Path, description = "May contain slashes")),
    request_body = Definition,
    responses(
        (status = 200, description = "Redefined", body = StreamDetail), (status = 201, description = "Defined", body = StreamDetail),
        (status = 409, description = "Defined in the configuration file", body = ProblemDocument),
        (status = 422, description = "Not valid", body = ProblemDocument),
    )
)]
pub(super) async fn put(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let name = state.registry.name(&name)?;
    state.permit(&caller, Action::Api, "").await?;
    let wanted: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&body).map_err(invalid)?;
    let present = definition(&state, &name).await?;
    let definition = with_hidden(wanted, present.as_ref())?;
    define(&state, &name, definition).await
}

/// Changes some settings of a defined stream (JSON merge patch, RFC 7396).
#[utoipa::path(
    patch, path = "/api/v1/streams/{name}", tag = "streams", params(("name" = String, Path, description = "May contain slashes")),
    request_body(content_type = "application/merge-patch+json", description = "Members of the definition; null restores the default"),
    responses((status = 200, body = StreamDetail), (status = 404, body = ProblemDocument), (status = 422, body = ProblemDocument))
)]
pub(super) async fn patch(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let name = state.registry.name(&name)?;
    state.permit(&caller, Action::Api, "").await?;
    let changes: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&body).map_err(invalid)?;
    let present = definition(&state, &name).await?;
    let present = present.ok_or_else(|| Error::new(Code::UnknownStream, format!("no stream {name} is defined")))?;
    let mut merged = members(&present)?;
    for (key, value) in changes {
        // Stored definitions have `interval`; `every` is its alias and would otherwise stand beside it.
        let key = if key == "every" { "interval".to_owned() } else { key };
        if value.is_null() { drop(merged.remove(&key)) } else { drop(merged.insert(key, value)) }
    }
    let changed = with_hidden(merged, Some(&present))?;
    define(&state, &name, changed).await
}

/// Removes a stream and its stored picture. Those who watch it are disconnected.
#[utoipa::path(
    delete, path = "/api/v1/streams/{name}", tag = "streams", params(("name" = String, Path, description = "May contain slashes")),
    responses(
        (status = 204), (status = 404, body = ProblemDocument),
        (status = 409, description = "Defined in the configuration file", body = ProblemDocument),
    )
)]
pub(super) async fn delete(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = state.registry.name(&name)?;
    state.permit(&caller, Action::Api, "").await?;
    forget(&state, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn state_of(state: &State, stream: &Stream) -> StreamState {
    let video = state.encodings.stats().remove(stream.name()).unwrap_or_default();
    let variants = state.variants.stats().remove(stream.name()).unwrap_or_default();
    StreamState { stats: stream.stats(), video, variants }
}

async fn define(state: &State, name: &StreamName, definition: Definition) -> Result<HttpResponse, Problem> {
    let (is_new, stream) = keep(state, name, &definition).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(StreamDetail { state: state_of(state, &stream), definition: Some(definition) }))
}

/// Defines a stream and keeps its definition; says whether it is new.
pub(super) async fn keep(
    state: &State,
    name: &StreamName,
    definition: &Definition,
) -> Result<(bool, Arc<Stream>), Error> {
    refuse_if_from_file(state, name)?;
    let producer = definition.producer(name, &state.kit)?;
    let text = serde_json::Value::Object(members(definition)?).to_string();
    let is_new = state.registry.get(name).is_none();
    let stream = state.registry.define(name, Origin::Api, producer)?;
    let key = name.to_string();
    state.store.run(move |store| store.put_stream(&key, &text)).await?;
    Ok((is_new, stream))
}

/// Removes a stream, its definition and its stored picture; one of the file is refused.
pub(super) async fn forget(state: &State, name: &StreamName) -> Result<(), Error> {
    state.registry.find(name)?;
    refuse_if_from_file(state, name)?;
    let key = name.to_string();
    state.store.run(move |store| store.delete_stream(&key)).await?;
    state.registry.remove(name, "it was deleted");
    state.kit.uploads.forget(name);
    Ok(())
}

fn refuse_if_from_file(state: &State, name: &StreamName) -> Result<(), Error> {
    if state.settings.streams.contains_key(name) {
        return Err(Error::new(Code::FixedByFile, format!("stream {name} is defined in sidecar.yml; change it there")));
    }
    Ok(())
}

/// The definition of a stream, from the file or from the database; an upload stream that nobody defined has one, too.
async fn definition(state: &State, name: &StreamName) -> Result<Option<Definition>, Error> {
    if let Some(definition) = state.settings.streams.get(name) {
        return Ok(Some(definition.clone()));
    }
    let key = name.to_string();
    let kept =
        state.store.run(move |store| store.streams().map(|all| all.into_iter().find(|(n, _)| *n == key))).await?;
    if let Some((_, text)) = kept {
        return Ok(serde_json::from_str(&text).ok());
    }
    let is_upload = state.registry.get(name).is_some_and(|stream| stream.kind() == Definition::upload().kind());
    Ok(is_upload.then(Definition::upload))
}

/// The members of a definition, secrets in clear.
fn members(definition: &Definition) -> Result<serde_json::Map<String, serde_json::Value>, Error> {
    match secret::to_stored_json(definition) {
        Ok(serde_json::Value::Object(members)) => Ok(members),
        Ok(_) => Err(Error::new(Code::Internal, "a definition is not an object")),
        Err(e) => Err(Error::internal("the definition cannot be written", e)),
    }
}

/// A definition whose `***` mean what is kept already, so that what was shown can be sent back.
fn with_hidden(
    mut wanted: serde_json::Map<String, serde_json::Value>,
    present: Option<&Definition>,
) -> Result<Definition, Error> {
    let kept = present.map(members).transpose()?.unwrap_or_default();
    for (key, value) in wanted.iter_mut().filter(|(_, value)| *value == secret::HIDDEN) {
        *value = kept.get(key).cloned().ok_or_else(|| {
            Error::new(Code::InvalidDefinition, format!("{key}: *** stands for a secret that is kept, and none is"))
        })?;
    }
    // Whoever sends a secret to another host has to know it.
    let host = |members: &serde_json::Map<String, serde_json::Value>| {
        let url = members.get("url").and_then(serde_json::Value::as_str).and_then(|url| Url::parse(url).ok());
        url.map(|url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port()))
    };
    let pass = kept.get("pass").filter(|pass| *pass != "");
    if pass.is_some() && wanted.get("pass") == pass && host(&kept) != host(&wanted) {
        let message = "pass: is to be written out when url leads to another host";
        return Err(Error::new(Code::InvalidDefinition, message).in_field("pass"));
    }
    serde_json::from_value(serde_json::Value::Object(wanted)).map_err(invalid)
}

fn invalid(e: serde_json::Error) -> Error {
    let what = match e.classify() {
        serde_json::error::Category::Data => e.to_string(),
        _ => format!("the body is not JSON: {e}"),
    };
    Error::new(Code::InvalidDefinition, what)
}
