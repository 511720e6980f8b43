//! Streams as MP4.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{Method, header},
    web,
};

use super::{
    Problem, State,
    caller::CallerExtractor,
    endless::{Endless, session_info},
    problem::ProblemDocument,
    routes::pattern,
    turn::Listed,
    watch::told_to,
    watch_params::requester,
};
use crate::{
    access::Role,
    error::{Code, Error, Result},
    output::{
        fmp4::{self, Feed, Mp4Query, Options, Pictures, SizeQuery},
        snapshot,
    },
    policy::{Action, Caller},
    stream::{Demand, Ended, Stream},
};

/// Video in fragmented MP4, without an end: the H.264 or H.265 of an RTSP camera or of a path of MediaMTX as it is, unless a size or a
/// rate is asked for; the pictures of other streams as H.264. The response to `Range: bytes=0-` is 200 and the whole, because a video that goes on has
/// no ranges. HEAD starts nothing, so that its Content-Type names no codecs.
#[utoipa::path(
    method(get, head), path = pattern(&fmp4::KIND), summary = fmp4::KIND.about, tag = "pictures out",
    params(("name" = String, Path, description = "Can contain slashes"), Mp4Query, SizeQuery),
    responses(
        (status = 200, content_type = fmp4::KIND.content_type), (status = 404, body = ProblemDocument),
        (status = 504, description = "The stream gave no picture in time", body = ProblemDocument),
    )
)]
pub(super) async fn stream(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    watch(&request, &state, &caller, &name).await
}

/// A file with an init segment and one keyframe.
#[utoipa::path(
    method(get, head), path = pattern(&fmp4::SNAPSHOT), summary = fmp4::SNAPSHOT.about, tag = "pictures out",
    params(("name" = String, Path, description = "Can contain slashes"), SizeQuery),
    responses(
        (status = 200, content_type = fmp4::SNAPSHOT.content_type), (status = 404, body = ProblemDocument),
        (status = 504, description = "The camera gave no picture in time", body = ProblemDocument),
    )
)]
pub(super) async fn frame(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    take(&request, &state, &caller, &name).await
}

/// Answers with the video of a stream; used by all of its addresses.
pub(super) async fn watch(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    name: &str,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(name)?;
    let options = Options::parse(request.query_string())?;
    if request.method() == Method::HEAD {
        state.access.authorize(fmp4::KIND.word, caller, Action::Read, &name).await?;
        state.catalog.exists(&name).await?;
        return Ok(head(fmp4::KIND.content_type, &options).finish());
    }
    let endless = Endless::admit(request, state, caller, Role::Watcher, &fmp4::KIND, &name).await?;
    let by = requester(request, state, endless.principal(), caller);
    let watch = state.catalog.watch(&name, Demand::Single, &by).await?;
    let feed = match fmp4::open(&state.encodings, watch, options.want, &options.accepts).await {
        Ok(feed) => feed,
        Err(error) => return Err(told_to(state, caller, error).await),
    };
    let mut head = head(&feed.tracks().content_type(), &options);
    head.force_close();
    let (duration, stall_timeout) = (options.duration, *state.settings.output.stall_timeout);
    Ok(endless.respond(head, async move |connection| {
        let stop = connection.stop();
        Some(fmp4::serve(connection, feed, duration, stall_timeout, stop).await)
    }))
}

/// One picture of a stream as MP4; used by all of its addresses. The rules for the picture are those of a snapshot.
pub(super) async fn take(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    name: &str,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(name)?;
    let asked = Options::parse(request.query_string())?;
    let who = state.access.authorize("http", caller, Action::Read, &name).await?;
    let output = &state.settings.output;
    let options =
        snapshot::Options { max_age: None, usual_max_age: *output.snapshot_max_age, timeout: *output.snapshot_timeout };
    let watch = state.catalog.watch(&name, Demand::Single, &requester(request, state, &who, caller)).await?;
    let stream = watch.stream().clone();
    let frame = match snapshot::take(watch, &options).await {
        Ok(frame) => frame,
        Err(error) => return Err(told_to(state, caller, error).await),
    };
    let (media_type, data) = keyframe(state, &stream, &asked).await?;
    let mut response = head(&media_type, &asked);
    if frame.placeholder {
        response.insert_header(("X-Mtx-Placeholder", "waiting"));
    }
    let mut response = response.body(data);
    let info = session_info(request, fmp4::SNAPSHOT.word, &name, Role::Watcher);
    response.extensions_mut().insert(Listed { access: state.access.clone(), principal: who, info });
    Ok(response)
}

/// The media type, and the file.
async fn keyframe(state: &State, stream: &Arc<Stream>, options: &Options) -> Result<(String, Vec<u8>)> {
    let gone = |why: Ended| Error::new(Code::NoPicture, format!("the video ended: {}", why.0));
    let watch = stream.watch_for(Demand::Single).map_err(gone)?;
    let mut feed = Feed::new(Box::new(Pictures::join(&state.encodings, watch, options.want).await?));
    let piece = feed.next().await.map_err(gone)?;
    Ok((feed.tracks().content_type(), [feed.init(), piece.head, piece.data].concat()))
}

fn head(media_type: &str, options: &Options) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::ACCEPT_RANGES, "none"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx buffers otherwise.
        .insert_header(("X-Accel-Buffering", "no"));
    if let Some(disposition) = options.disposition() {
        response.insert_header((header::CONTENT_DISPOSITION, disposition));
    }
    response
}
