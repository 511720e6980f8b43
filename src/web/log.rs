//! The log of the program, for administrators.

use actix_web::{HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem,
    caller::Admin,
    extract::{Body, SMALL, number, read},
    problem::ProblemDocument,
};
use crate::{
    error::{Code, Error},
    telemetry,
};

const LOG: &str = "/api/v1/log";

/// Which lines are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// The number of the first line: `next` of the answer before. Default: the oldest line.
    since: Option<String>,
    /// Most lines; the latest if there are more. Default and most: 2000.
    #[param(value_type = Option<usize>)]
    lines: Option<String>,
    /// `text`: plain text, as a file. Default: JSON.
    format: Option<String>,
}

/// Lines of the log.
#[derive(Serialize, ToSchema)]
pub struct LogLines {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives; left out if no log was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    /// The number of the first line.
    first: u64,
    /// The number of the line after the last.
    next: u64,
    /// Oldest first.
    lines: Vec<String>,
}

/// A level of the log.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevel {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives of tracing-subscriber's `EnvFilter`.
    level: String,
}

/// The last lines of the log. They contain no secrets.
#[utoipa::path(
    get, path = LOG, tag = "operations", params(LogQuery),
    responses((status = 200, body = LogLines), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument))
)]
pub(super) async fn get(_: Admin, query: web::Query<LogQuery>) -> Result<HttpResponse, Problem> {
    let since = match query.since.as_deref() {
        None => 0,
        Some(text) => text.parse().map_err(|_| Error::parameter("since", format!("must be a number, not {text:?}")))?,
    };
    let most = number("lines", query.lines.as_deref(), telemetry::LINES, 1..=telemetry::LINES)?;
    let (first, lines) = telemetry::recent().lines(since, most);
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    match query.format.as_deref() {
        None | Some("json") => {
            let next = first + lines.len() as u64;
            Ok(response.json(LogLines { level: telemetry::level(), first, next, lines }))
        }
        Some("text") => Ok(response
            .content_type("text/plain; charset=utf-8")
            .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"mtx-sidecar.log\""))
            .body(lines.into_iter().map(|line| line + "\n").collect::<String>())),
        Some(other) => Err(Error::parameter("format", format!("must be json or text, not {other:?}")).into()),
    }
}

/// Changes the level of the log until the program ends.
#[utoipa::path(
    put, path = LOG, tag = "operations", request_body = LogLevel,
    responses((status = 204), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument))
)]
pub(super) async fn put(_: Admin, body: Body<SMALL>) -> Result<HttpResponse, Problem> {
    let LogLevel { level } = read(&body, Code::InvalidBody)?;
    telemetry::set_level(&level).map_err(|rule| Error::parameter("level", rule))?;
    tracing::info!("the level of the log is {level:?} now");
    Ok(HttpResponse::NoContent().finish())
}
