//! The connection to the MQTT broker, for the console.

use std::time::SystemTime;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{State, caller::Admin, problem::ProblemDocument};
use crate::mqtt::{self, Counters, FilterStats};

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
    };
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(connection)
}
