//! A summary for administrators, the list of settings, and the check of MediaMTX's configuration.

use std::time::SystemTime;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::Admin,
    mediamtx::{CHECK, Checked},
    problem::ProblemDocument,
};
use crate::{
    mediamtx::config_check::examine,
    paths::{Condition, HostStatus},
    settings::{Described, describe},
    stream,
    throughput::ThroughputReport,
};

/// A summary of the sidecar and its MediaMTX.
#[derive(Serialize, ToSchema)]
pub struct Overview {
    /// The version of the sidecar.
    version: &'static str,
    /// The start of the sidecar (RFC 3339).
    started: String,
    /// Seconds since the start.
    uptime_seconds: u64,
    /// The MediaMTX beside the sidecar.
    mediamtx: HostStatus,
    /// Streams by state.
    streams: StreamCounts,
    /// Paths at MediaMTX.
    paths: PathCounts,
    /// Watchers of streams, by MJPEG, WebSocket and RTSP, and clients of events.
    watchers: usize,
    /// Watchers, and clients that upload without end.
    sessions: usize,
    /// Readers at MediaMTX.
    readers: u64,
    /// Memory for pictures, in bytes.
    picture_memory: u64,
    /// Its limit (`limits.frame_memory`), in bytes.
    picture_memory_limit: u64,
    /// Characters of names and texts that no font has, at most 256: pictures show boxes instead (`text.fonts`).
    missing_characters: Vec<char>,
    /// Bytes per second of the last minutes, here and at MediaMTX.
    throughput: ThroughputReport,
}

/// Streams by state.
#[derive(Default, Serialize, ToSchema)]
pub struct StreamCounts {
    /// All streams.
    total: usize,
    /// Streams that receive pictures.
    live: usize,
    /// Streams that wait for their first picture.
    starting: usize,
    /// Streams that fail and are retried.
    failing: usize,
    /// Streams without watchers.
    idle: usize,
}

/// Paths at MediaMTX.
#[derive(Default, Serialize, ToSchema)]
pub struct PathCounts {
    /// Paths that exist at MediaMTX.
    present: u64,
    /// Of these, paths with a publisher or source.
    available: u64,
    /// Paths that are defined here.
    kept: usize,
    /// Of these, paths that differ at MediaMTX.
    differing: usize,
}

/// All settings.
#[derive(Serialize, ToSchema)]
pub struct SettingList {
    /// The file that was read, if any.
    file: Option<String>,
    /// In the order of sidecar.yml.
    settings: Vec<Described>,
}

/// A summary of the sidecar and its MediaMTX.
#[utoipa::path(get, path = "/api/v1/overview", tag = "operations", responses((status = 200, body = Overview), (status = 403, body = ProblemDocument)))]
pub(super) async fn overview(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    let mut streams = StreamCounts::default();
    for stream in state.catalog.registry().list() {
        streams.total += 1;
        match stream.state().0 {
            stream::State::Live | stream::State::Lingering { .. } => streams.live += 1,
            stream::State::Starting => streams.starting += 1,
            stream::State::Failing { .. } => streams.failing += 1,
            stream::State::Idle => streams.idle += 1,
        }
    }
    let conditions = state.paths.conditions();
    let differs =
        |condition: &&Condition| !matches!(condition, Condition::Applied | Condition::Disabled | Condition::Elsewhere);
    let summary = state.throughput.summary();
    let memory = state.catalog.registry().memory();
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(Overview {
        version: env!("CARGO_PKG_VERSION"),
        started: humantime::format_rfc3339_seconds(state.started).to_string(),
        uptime_seconds: SystemTime::now().duration_since(state.started).unwrap_or_default().as_secs(),
        mediamtx: state.paths.host(),
        streams,
        paths: PathCounts {
            present: summary.paths,
            available: summary.available,
            kept: conditions.len(),
            differing: conditions.iter().filter(differs).count(),
        },
        watchers: state.access.watchers(),
        sessions: state.access.sessions().len(),
        readers: summary.readers,
        picture_memory: memory.used() as u64,
        picture_memory_limit: state.settings.limits.frame_memory.0,
        missing_characters: state.catalog.context().fonts.missing().into_iter().collect(),
        throughput: state.throughput.report(),
    }))
}

/// Checks the present configuration of MediaMTX, which the control API gives.
#[utoipa::path(
    get, path = CHECK, tag = "operations",
    responses((status = 200, body = Checked), (status = 502, description = "MediaMTX does not answer", body = ProblemDocument))
)]
pub(super) async fn check_live(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    let configuration = state.mediamtx.configuration().await?;
    Ok(HttpResponse::Ok().json(Checked { findings: examine(&configuration, &state.settings.for_config_check()) }))
}

/// Lists all settings with their sources. Secrets are not shown.
#[utoipa::path(get, path = "/api/v1/settings", tag = "operations", responses((status = 200, body = SettingList), (status = 403, body = ProblemDocument)))]
pub(super) async fn settings(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(SettingList {
        file: state.sources.file.as_ref().map(|file| file.display().to_string()),
        settings: describe(&state.settings, &state.sources),
    }))
}
