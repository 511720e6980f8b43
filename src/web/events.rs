//! Events as a stream, the hooks of MediaMTX, and dead letters.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::{
    sync::watch,
    time::{Duration, sleep, timeout},
};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, State, auth_webhook,
    caller::{Admin, CallerExtractor},
    endless::session_info,
    extract::{Body, number, read},
    nodes::{self, MissingNode, NodesQuery, Part},
    problem::ProblemDocument,
};
use crate::{
    access::{Permit, Role},
    cluster::Cluster,
    error::{Code, Error},
    events::{Audience, DeadLetter, EncodedEvent, Event, Kind},
    foreign,
    policy::{Action, Caller, Decision},
};

/// The topic of the questions of other nodes.
const TOPIC: &str = "dead_letters";

/// Longest time without data, in seconds: proxies close a silent connection.
const KEEPALIVE: usize = 15;

/// Events of this time are sent together, so that a thousand listeners cost ten writes per second each and not one per event.
const COLLECT: Duration = Duration::from_millis(100);

/// Most variables of a hook; MediaMTX has up to ten for each.
const MAX_VARIABLES: usize = 50;

/// Most characters of a hook's variable. MediaMTX's paths have up to 250; names of files can be longer.
const MAX_VARIABLE: usize = 1000;

/// The filter and start of a listener.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Kinds of events, separated by commas. Default: all.
    types: Option<String>,
    /// The id after which to begin, for clients that cannot send `Last-Event-ID`. Default: new events only.
    since: Option<String>,
    /// The longest time without data, in seconds (1 to 60), for clients that notice a lost connection by its silence. Default: 15.
    #[param(value_type = Option<u64>)]
    keepalive: Option<String>,
}

/// Dead letters: events that a webhook did not accept in all attempts.
#[derive(Serialize, ToSchema)]
pub struct DeadLetters {
    /// Newest first; with `nodes=all` by the times of the events.
    dead: Vec<DeadLetter>,
    /// With `nodes=all`: nodes of the cluster whose dead letters, or some of them, are missing.
    missing: Vec<MissingNode>,
}

/// Events as server-sent events. A listener gets the events of paths that it can read; an administrator gets all. A caller
/// that can read nothing is refused.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, content_type = "text/event-stream", body = Event, description = "Each with `id:`, `event:` (its `type`) and `data:` (this, as JSON)"), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument))
)]
pub(super) async fn listen(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<EventQuery>,
) -> Result<HttpResponse, Problem> {
    let some = state.access.authorize_some("events", &caller, Action::Read).await?;
    let as_administrator = state.access.decide(&caller, Action::Api, "").await;
    let is_admin = as_administrator.decision.is_allowed();
    // On this machine a rule for `any` admits the caller. The session belongs to the user all the same, so that a
    // revocation ends it.
    let verdict = match as_administrator.decision {
        Decision::Allowed | Decision::NotPermitted => as_administrator,
        _ => some,
    };
    let types = query.types.as_deref().map(kinds).transpose()?;
    let header = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    let last = match header.or(query.since.as_deref()) {
        None => state.events.latest(),
        Some(id) => {
            id.parse().map_err(|_| Error::parameter("since", format!("must be the id of an event, not {id:?}")))?
        }
    };
    let seconds = number("keepalive", query.keepalive.as_deref(), KEEPALIVE, 1..=60)?;
    let keepalive = Duration::from_secs(seconds as u64);
    let session = session_info(&request, "events", "", Role::Watcher);
    let permit = state.access.permit(Role::Watcher, &caller, verdict, session).await?;
    let listener = Listener {
        permit,
        is_admin,
        listening: state.events.listen(),
        state: state.into_inner(),
        caller,
        types,
        last,
        keepalive,
        begun: false,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream::unfold(listener, |mut listener| async move {
            let chunk = listener.next().await?;
            Some((Ok::<_, actix_web::Error>(chunk), listener))
        })))
}

fn kinds(words: &str) -> Result<Vec<Kind>, Error> {
    let kind = |word: &str| {
        let kind = Kind::ALL.iter().find(|kind| kind.as_str() == word);
        kind.copied().ok_or_else(|| Error::parameter("types", format!("{word:?} is not a kind of event")))
    };
    words.split(',').map(kind).collect()
}

struct Listener {
    state: Arc<State>,
    permit: Permit,
    caller: Caller,
    is_admin: bool,
    types: Option<Vec<Kind>>,
    listening: watch::Receiver<u64>,
    last: u64,
    keepalive: Duration,
    begun: bool,
}

impl Listener {
    /// The next chunk to send; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // Also while events come without a pause.
            if self.permit.session().end().is_cancelled() {
                return None;
            }
            if self.begun && self.state.events.latest() == self.last {
                let waited = tokio::select! {
                    changed = timeout(self.keepalive, self.listening.changed()) => changed,
                    () = self.permit.session().end().cancelled() => return None,
                };
                match waited {
                    Err(_) => return Some(Bytes::from_static(b":\n\n")),
                    Ok(Err(_)) => return None,
                    Ok(Ok(())) => sleep(COLLECT).await,
                }
            }
            let heard = self.state.events.since(self.last);
            let mut out = BytesMut::new();
            if !std::mem::replace(&mut self.begun, true) {
                out.extend_from_slice(b"retry: 2000\n\n");
            }
            if heard.has_gap {
                out.extend_from_slice(b"event: gap\ndata: {}\n\n");
            }
            self.last = heard.latest;
            for told in heard.events {
                if self.may_hear(&told).await {
                    out.extend_from_slice(if self.is_admin { &told.sse } else { &told.sse_for_readers });
                }
            }
            if !out.is_empty() {
                return Some(out.freeze());
            }
        }
    }

    async fn may_hear(&self, told: &EncodedEvent) -> bool {
        let kind = told.event.kind;
        if self.types.as_ref().is_some_and(|types| !types.contains(&kind)) {
            return false;
        }
        match kind.audience() {
            _ if self.is_admin => true,
            Audience::Administrators => false,
            Audience::Readers => self.state.access.may(&self.caller, Action::Read, &told.event.path).await,
            Audience::Everyone => true,
        }
    }
}

/// Takes the variables of a MediaMTX hook: a JSON object, as `mtx-sidecar hook` sends it, or a form. The same senders as for
/// `/mediamtx-auth` are accepted.
#[utoipa::path(
    post, path = "/api/v1/hooks/{event}", tag = "events", params(("event" = String, Path, description = "Such as available, read, record-segment-complete")),
    request_body(content_type = "application/json", description = "MTX_PATH and the other variables"),
    responses((status = 204), (status = 403, body = ProblemDocument), (status = 400, body = ProblemDocument))
)]
pub(super) async fn hook(
    request: HttpRequest,
    state: web::Data<State>,
    event: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    auth_webhook::check_sender(&request, &state)?;
    if event.len() > 100 || !event.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(Error::parameter("event", "must be a word of letters, digits, - and _").into());
    }
    let variables = variables(&body)?;
    // MTX_QUERY is the whole query (MediaMTX's internal/hooks) and can contain a token.
    let variables: Map<_, _> =
        variables.into_iter().filter(|(key, _)| key != "MTX_QUERY").take(MAX_VARIABLES).collect();
    let path = variables.get("MTX_PATH").or(variables.get("path")).and_then(Value::as_str).unwrap_or_default();
    let path = foreign::limited(path, MAX_VARIABLE).into_owned();
    let variables: Map<_, _> =
        variables.into_iter().map(|(key, value)| (foreign::shown(&key).into_owned(), bounded(value))).collect();
    let kind = if *event == "record-segment-complete" { Kind::RecordingSegment } else { Kind::Hook };
    state.events.tell(kind, &path, json!({ "hook": *event, "variables": variables }));
    Ok(HttpResponse::NoContent().finish())
}

/// The variables of a hook, of JSON or of a form.
pub(super) fn variables(body: &[u8]) -> Result<Map<String, Value>, Error> {
    let is_json = body.trim_ascii_start().first() == Some(&b'{');
    if is_json {
        return read(body, Code::InvalidBody);
    }
    let pairs = url::form_urlencoded::parse(body);
    Ok(pairs.map(|(key, value)| (key.into_owned(), Value::String(value.into_owned()))).collect())
}

/// A hook's variable, which the sidecar keeps in memory with the latest events: text is cut, and other JSON becomes text.
fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) => foreign::limited(&text, MAX_VARIABLE).into(),
        Value::Array(_) | Value::Object(_) => foreign::limited(&value.to_string(), MAX_VARIABLE).into(),
        value => value,
    }
}

/// Answers the questions of other nodes, until the program ends.
pub(super) async fn answer(state: &State, cluster: &Cluster) {
    // The seal makes a third more of them.
    let room = || cluster.connection().control.max_payload() / 2;
    cluster.answer(TOPIC, async |(): ()| Part::within(state.webhooks.dead_letters(), room())).await;
}

/// Events that could not be posted to a webhook. With `nodes=all` also those that other nodes of the cluster have tried to post; a node that
/// does not answer is in `missing`.
#[utoipa::path(get, path = "/api/v1/events/dead-letters", tag = "events", params(NodesQuery), responses((status = 200, body = DeadLetters), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument)))]
pub(super) async fn dead(
    state: web::Data<State>,
    _: Admin,
    query: web::Query<NodesQuery>,
) -> Result<HttpResponse, Problem> {
    let is_all = query.is_all()?;
    let (mut dead, mut missing) = (state.webhooks.dead_letters(), vec![]);
    if is_all {
        let others = nodes::ask::<DeadLetter>(&state, TOPIC).await;
        dead.extend(others.found.into_iter().map(|(node, letter)| DeadLetter { node: Some(node), ..letter }));
        // Clocks of machines can differ: the times are for reading only.
        dead.sort_by(|one, other| other.event.at.cmp(&one.event.at));
        missing = others.missing;
    }
    Ok(HttpResponse::Ok().json(DeadLetters { dead, missing }))
}
