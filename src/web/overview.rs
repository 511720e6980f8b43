//! How everything is, at a glance; and what is wrong with MediaMTX's configuration.

use std::time::SystemTime;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::Admin,
    mediamtx::{CHECK, Checked},
    problem::ProblemDocument,
};
use crate::{
    error::{Code, Error},
    mediamtx_yml::examine,
    paths::{Condition, HostStatus},
    settings::{Described, describe, parse_yaml},
    stream,
    throughput::ThroughputReport,
};

/// Everything at a glance.
#[derive(Serialize, ToSchema)]
pub struct Overview {
    /// Of this program.
    version: &'static str,
    /// When it was started (RFC 3339).
    started: String,
    /// How long ago that is.
    uptime_seconds: u64,
    /// The MediaMTX beside it.
    mediamtx: HostStatus,
    /// Streams by what they do.
    streams: StreamCounts,
    /// Paths at MediaMTX.
    paths: PathCounts,
    /// MJPEG and RTSP readers here, and listeners to events.
    watchers: usize,
    /// Those and whoever sends pictures without end.
    sessions: usize,
    /// Readers at MediaMTX.
    readers: u64,
    /// Bytes of held pictures.
    picture_memory: u64,
    /// Bytes that they may take (`limits.frame_memory`).
    picture_memory_limit: u64,
    /// Lately, here and at MediaMTX.
    throughput: ThroughputReport,
}

/// Streams by what they do.
#[derive(Default, Serialize, ToSchema)]
pub struct StreamCounts {
    /// All.
    total: usize,
    /// With pictures coming, or somebody who has just gone.
    live: usize,
    /// Waiting for a first picture.
    starting: usize,
    /// Without pictures, and tried again.
    failing: usize,
    /// Watched by nobody.
    idle: usize,
}

/// Paths at MediaMTX.
#[derive(Default, Serialize, ToSchema)]
pub struct PathCounts {
    /// That MediaMTX has at the moment.
    present: u64,
    /// Of those, where somebody publishes.
    available: u64,
    /// That are kept here.
    kept: usize,
    /// Of those, not as they are wanted.
    differing: usize,
}

/// All settings.
#[derive(Serialize, ToSchema)]
pub struct SettingList {
    /// The file that was read, if there was one.
    file: Option<String>,
    /// In the order of sidecar.yml.
    settings: Vec<Described>,
}

/// Tells how everything is.
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
    let differs = |condition: &&Condition| !matches!(condition, Condition::Applied | Condition::Disabled);
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
        throughput: state.throughput.report(),
    }))
}

/// Looks over the configuration that MediaMTX has at the moment, asked of its control API.
#[utoipa::path(
    get, path = CHECK, tag = "operations",
    responses((status = 200, body = Checked), (status = 502, description = "MediaMTX is away", body = ProblemDocument))
)]
pub(super) async fn check_live(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    let configuration = state.mediamtx.configuration().await?;
    // JSON is YAML.
    let tree = parse_yaml(&Value::Object(configuration).to_string())
        .map_err(|e| Error::new(Code::MediaMtxAway, format!("MediaMTX's answer is not understood: {e}")))?;
    Ok(HttpResponse::Ok().json(Checked { findings: examine(&tree, &state.settings) }))
}

/// Lists all settings with where they came from. Secrets are not shown.
#[utoipa::path(get, path = "/api/v1/settings", tag = "operations", responses((status = 200, body = SettingList), (status = 403, body = ProblemDocument)))]
pub(super) async fn settings(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(SettingList {
        file: state.sources.file.as_ref().map(|file| file.display().to_string()),
        settings: describe(&state.settings, &state.sources),
    }))
}
