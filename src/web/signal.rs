//! Rooms for the signalling of WebRTC.

use actix_web::{HttpRequest, HttpResponse, http::header, web};

use super::{
    Problem, State,
    caller::CallerExtractor,
    endless::Endless,
    problem::ProblemDocument,
    routes::pattern,
    ws::{check, ending, switching_protocols},
};
use crate::{
    access::Role,
    policy::Action,
    signal::{self, Mode},
};

/// Joins a room. Without a sub-protocol, a text of one member goes to the other member as it is. With the sub-protocol `mtx.signal`,
/// messages are JSON objects: `to` names the member that gets one, `from` is set by the server, and `welcome`, `joined` and `left`
/// tell who is there.
#[utoipa::path(
    get, path = pattern(&signal::KIND), summary = signal::KIND.about, tag = "signal",
    params(("name" = String, Path, description = "The room; can contain slashes. The caller needs read and publish on signal/ROOM")),
    responses((status = 101, description = "Messages follow"), (status = 403, body = ProblemDocument), (status = 426, body = ProblemDocument))
)]
pub(super) async fn join(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    room: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let room = state.catalog.name(&room)?;
    let name = state.catalog.name(&format!("signal/{room}"))?;
    check(&request, &state).await?;
    state.access.authorize(signal::KIND.word, &caller, Action::Publish, &name).await?;
    let endless = Endless::admit(&request, &state, &caller, Role::Watcher, &signal::KIND, &name).await?;
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    let is_addressed = offered.flat_map(|value| value.split(',')).any(|word| word.trim() == signal::ADDRESSED);
    let mode = if is_addressed { Mode::Addressed } else { Mode::Opaque };
    let state = state.clone();
    Ok(endless.respond(switching_protocols(&request, signal::ADDRESSED), async move |connection| {
        let stop = connection.stop();
        let left = signal::serve(connection, &state.rooms, &room, mode, stop, || ending(&state.shutdown)).await;
        tracing::debug!("left: {}", left.reason());
        None
    }))
}
