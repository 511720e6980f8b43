//! The connection to the MQTT broker, for the console.

use std::time::SystemTime;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, State, caller::Admin, extract::Body, problem::ProblemDocument};
use crate::{
    catalog::invalid,
    error::{Code, Error, Result},
    mqtt::{self, Counters, FilterStats, Publication, Subject},
    mqtt_publish::{PatternState, PublicationState},
    producer::mqtt::{Group, GroupFigures},
};

/// One publication.
const ONE: &str = "/api/v1/mqtt/publications/{name:.+}";

/// The connection to the broker.
#[derive(Serialize, ToSchema)]
pub struct MqttConnection {
    /// The state.
    state: mqtt::State,
    /// The reason for the state, in words.
    reason: String,
    /// The broker, without user and password; none if none is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "mqtt://192.168.1.10:1883")]
    broker: Option<String>,
    /// The identifier that this client shows to the broker.
    client_id: String,
    /// The first levels of the topics that are published.
    prefix: String,
    /// Connections since the start.
    connections: u64,
    /// Most bytes of one published message: `mqtt.max_packet`, or less if the broker has ended connections at less.
    largest_message: usize,
    /// Figures since the start.
    counters: Counters,
    /// The subscribed topics.
    subscriptions: Vec<MqttSubscription>,
    /// The streams of kind `mqtt` whose topic has wildcards.
    groups: Vec<MqttGroup>,
    /// What is published.
    publications: Vec<PublicationState>,
    /// The regular expressions by which streams and paths of MediaMTX are published.
    patterns: Vec<PatternState>,
    /// Whether Home Assistant is told of a device for each publication.
    homeassistant: bool,
}

/// A subscribed topic.
#[derive(Serialize, ToSchema)]
pub struct MqttSubscription {
    /// The topic filter.
    topic: String,
    /// Messages since it was subscribed.
    messages: u64,
    /// When the last message arrived (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<String>,
    /// Why there are no messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// A stream of kind `mqtt` whose topic has wildcards.
#[derive(Serialize, ToSchema)]
pub struct MqttGroup {
    /// The name of the stream; those of its topics' streams begin with it and `/`.
    name: String,
    /// The topic filter.
    topic: String,
    /// Streams at the moment.
    streams: usize,
    /// Most streams.
    max_streams: usize,
    /// Messages that were left out, because their topic is no stream.
    left_out: u64,
    /// Why the last one was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// A publication as it was stored: of one name, or a regular expression.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum MqttStored {
    /// Of one name.
    Name(PublicationState),
    /// A regular expression.
    Pattern(PatternState),
}

/// A time as RFC 3339.
pub(super) fn at(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

impl From<FilterStats> for MqttSubscription {
    fn from(stats: FilterStats) -> Self {
        let FilterStats { filter, messages, last, problem } = stats;
        MqttSubscription { topic: filter, messages, last_at: last.map(at), problem }
    }
}

/// The connection to the MQTT broker, its subscriptions and publications.
#[utoipa::path(get, path = "/api/v1/mqtt", tag = "mqtt", responses((status = 200, body = MqttConnection), (status = 401, body = ProblemDocument)))]
pub(super) async fn get(state: web::Data<State>, _: Admin) -> HttpResponse {
    let mqtt = &state.mqtt;
    let status = mqtt.status().borrow().clone();
    let connection = MqttConnection {
        state: status.state,
        reason: status.reason,
        broker: mqtt.broker(),
        client_id: mqtt.client_id().to_owned(),
        prefix: mqtt.settings().prefix.clone(),
        connections: status.connections,
        largest_message: mqtt.largest_payload(),
        counters: mqtt.counters(),
        subscriptions: mqtt.filters().into_iter().map(MqttSubscription::from).collect(),
        groups: groups(&state),
        publications: state.publisher.list(),
        patterns: state.publisher.patterns(),
        homeassistant: state.publisher.announces(),
    };
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(connection)
}

fn groups(state: &State) -> Vec<MqttGroup> {
    let of = |group: &Group| {
        let GroupFigures { streams, left_out, problem } = group.figures();
        let (name, topic) = (group.name().to_string(), group.topic().to_owned());
        MqttGroup { name, topic, streams, max_streams: group.max_streams(), left_out, problem }
    };
    state.catalog.context().topics.list().iter().map(|group| of(group)).collect()
}

/// The key of a publication in the address.
fn subject(state: &State, text: &str) -> Result<Subject> {
    if !text.starts_with('~') {
        return state.catalog.name(text).map(Subject::Name);
    }
    text.parse().map_err(|rule: String| Error::new(Code::InvalidName, rule).in_field("name"))
}

/// Publishes a stream or a path of MediaMTX, or all that a regular expression selects, or changes how. It survives restarts.
#[utoipa::path(
    put, path = ONE, tag = "mqtt", params(("name" = String, Path, description = "Can contain slashes; or ~ and a regular expression")),
    request_body = Publication,
    responses(
        (status = 200, description = "Changed", body = MqttStored), (status = 201, description = "New", body = MqttStored),
        (status = 409, description = "In the configuration file", body = ProblemDocument), (status = 422, body = ProblemDocument),
    )
)]
pub(super) async fn put(
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let subject = subject(&state, &name)?;
    let publication: Publication = serde_json::from_slice(&body).map_err(invalid)?;
    let is_new = state.publisher.put(&subject, publication).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    let key = subject.as_str();
    let made = match &subject {
        Subject::Name(_) => state.publisher.list().into_iter().find(|made| made.name == key).map(MqttStored::Name),
        Subject::Pattern(_) => {
            state.publisher.patterns().into_iter().find(|made| made.pattern == key).map(MqttStored::Pattern)
        }
    };
    Ok(response.json(made))
}

/// Ends a publication. The broker forgets its messages, and Home Assistant its device.
#[utoipa::path(
    delete, path = ONE, tag = "mqtt", params(("name" = String, Path, description = "Can contain slashes; or ~ and a regular expression")),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 409, description = "In the configuration file", body = ProblemDocument))
)]
pub(super) async fn delete(
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    state.publisher.remove(&subject(&state, &name)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
