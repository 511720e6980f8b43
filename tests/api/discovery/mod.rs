//! Cameras on the network: the search by UDP, the questions by HTTP, and the report.

mod asked;
mod conversation;
mod fake;
mod found;
mod hostile;
mod page;

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::TestApp;

/// Devices on this machine answer in milliseconds.
const SETTINGS: &str = "discovery: {wait: 1500ms}";

/// All events of a search: their names and data.
async fn search(app: &TestApp, query: &str) -> Vec<(String, Value)> {
    let response = app.admin("GET", &format!("/api/v1/discover?{query}"), "").await;
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    events(&String::from_utf8_lossy(&response.body))
}

fn events(text: &str) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let line = |key: &str| block.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
        Some((line("event: ")?, serde_json::from_str(&line("data: ")?).expect("JSON")))
    };
    text.split("\n\n").filter_map(event).collect()
}

fn of<'a>(events: &'a [(String, Value)], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|(name, _)| name == kind).map(|(_, data)| data).collect()
}

/// The details of the device with this id.
fn detail<'a>(events: &'a [(String, Value)], id: &str) -> &'a Value {
    let found: Vec<_> = of(events, "detail").into_iter().filter(|card| card["id"] == *id).collect();
    assert_eq!(found.len(), 1, "{id} once in {events:?}");
    found[0]
}

fn addresses(all: &[SocketAddr]) -> String {
    let all: Vec<_> = all.iter().map(SocketAddr::to_string).collect();
    format!("address={}", all.join(","))
}
