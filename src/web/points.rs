//! Numbers for graphs: our own address, and InfluxDB's.

use std::io::Read;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, State,
    caller::{Admin, CallerExtractor},
    extract::{Body, whole},
    problem::ProblemDocument,
};
use crate::{
    catalog::{Members, invalid},
    error::{Code, Error, Result},
    graph,
    numbers::{
        Taken,
        line_protocol::{self, Lines, Precision},
        read, time,
    },
    picture::in_pool,
    policy::{Action, Caller},
    producer::{Definition, StreamDefinition},
    stream::StreamName,
};

/// Bytes of a body, also after it is decompressed. Telegraf sends at most a thousand lines at a time, some 300 KB.
const MAX_BODY: usize = 4 << 20;

/// A body beyond this is read on another thread, because it takes some milliseconds.
const LARGE: usize = 64 << 10;

/// The name of a number without one.
const VALUE: &str = "value";

/// Parameters of points.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PointsQuery {
    /// The series of a number without a name. Default: `value`.
    series: Option<String>,
}

/// What became of the points.
#[derive(Serialize, ToSchema)]
pub struct PointsTaken {
    /// The stream.
    #[schema(value_type = String)]
    stream: StreamName,
    /// Points that are kept.
    points: usize,
    /// Points that are not.
    skipped: usize,
    /// Why points were skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Adds points to a graph. A name without a stream becomes a graph of all series.
///
/// JSON: an object of numbers, or a list of such objects; `t`, `time` or `timestamp` is the time (seconds or milliseconds since 1970, or
/// RFC 3339), and `null` a gap. CSV: rows, with names in the first line. Or one number.
#[utoipa::path(
    post, path = "/api/v1/streams/{name:.+}/points", tag = "graphs",
    params(("name" = String, Path, description = "Can contain slashes"), PointsQuery),
    request_body(content_type = "application/json", description = "Or text/csv, or a number as text/plain; gzip is accepted"),
    responses((status = 200, body = PointsTaken), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument), (status = 413, body = ProblemDocument))
)]
pub(super) async fn add(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
    query: web::Query<PointsQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(&name)?;
    state.access.authorize("http", &caller, Action::Publish, &name).await?;
    state.catalog.check_points(&name)?;
    let body = unpacked(&request, payload).await?;
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (kind, series) = (kind.to_owned(), query.into_inner().series.unwrap_or_else(|| VALUE.to_owned()));
    let samples = parse(body, move |body| {
        read::body(body, &kind, &series).map_err(|why| match body.trim_ascii().is_empty() {
            true => Error::new(Code::EmptyBody, why),
            false => Error::new(Code::InvalidBody, why),
        })
    });
    let Taken { points, skipped, reason } = state.catalog.add_points(&name, samples.await?)?;
    Ok(HttpResponse::Ok().json(PointsTaken { stream: name, points, skipped, reason }))
}

/// Parameters of InfluxDB 1.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "clients of InfluxDB send them; the caller's credentials are read from the query itself")]
pub struct WriteQuery {
    /// The stream.
    db: Option<String>,
    /// Ignored.
    rp: Option<String>,
    /// Ignored.
    consistency: Option<String>,
    /// The unit of times: ns (default), us, ms, s, m or h.
    precision: Option<String>,
    /// A user, where no header has one.
    u: Option<String>,
    /// Its password.
    p: Option<String>,
}

/// Parameters of InfluxDB 2.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "clients of InfluxDB send them; the caller's credentials are read from the query itself")]
pub struct BucketQuery {
    /// The stream.
    bucket: Option<String>,
    /// Ignored.
    org: Option<String>,
    /// Ignored.
    #[serde(rename = "orgID")]
    #[param(rename = "orgID")]
    org_id: Option<String>,
    /// The unit of times: ns (default), us, ms or s.
    precision: Option<String>,
}

/// Adds points in InfluxDB's line protocol, as InfluxDB 1 does: the database is the stream.
#[utoipa::path(
    post, path = "/write", tag = "graphs", params(WriteQuery),
    request_body(content_type = "text/plain", description = "Line protocol; gzip is accepted"),
    responses((status = 204, description = "Taken; X-Points has their number"), (status = 400, body = ProblemDocument))
)]
pub(super) async fn influx1(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<WriteQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let WriteQuery { db, precision, rp: _, consistency: _, u: _, p: _ } = query.into_inner();
    let name = db.ok_or_else(|| Error::parameter("db", "is required: /write?db=STREAM"))?;
    write(&request, &state, &caller, &name, precision.as_deref(), payload).await
}

/// Adds points in InfluxDB's line protocol, as InfluxDB 2 does: the bucket is the stream.
#[utoipa::path(
    post, path = "/api/v2/write", tag = "graphs", params(BucketQuery),
    request_body(content_type = "text/plain", description = "Line protocol; gzip is accepted"),
    responses((status = 204, description = "Taken; X-Points has their number"), (status = 400, body = ProblemDocument))
)]
pub(super) async fn influx2(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<BucketQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let BucketQuery { bucket, precision, org: _, org_id: _ } = query.into_inner();
    let name = bucket.ok_or_else(|| Error::parameter("bucket", "is required: /api/v2/write?bucket=STREAM"))?;
    write(&request, &state, &caller, &name, precision.as_deref(), payload).await
}

async fn write(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    name: &str,
    precision: Option<&str>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(name)?;
    let precision = Precision::parse(precision.unwrap_or_default());
    let precision = precision.map_err(|rule| Error::parameter("precision", rule))?;
    state.access.authorize("http", caller, Action::Publish, &name).await?;
    state.catalog.check_points(&name)?;
    let body = unpacked(request, payload).await?;
    let Lines { samples, wrong, reason } = parse(body, move |body| Ok(line_protocol::lines(body, precision))).await?;
    let taken = state.catalog.add_points(&name, samples)?;
    if let Some(reason) = reason {
        // Telegraf drops the batch of such an answer; after others it would send it again for ever.
        let message =
            format!("partial write: {reason}; {wrong} lines are left out, and {} points are kept", taken.points);
        return Err(Error::new(Code::InvalidBody, message).into());
    }
    Ok(HttpResponse::NoContent().insert_header(("X-Points", taken.points)).finish())
}

/// Tells clients of InfluxDB that the server is there.
#[utoipa::path(
    method(get, head), path = "/ping", tag = "graphs",
    responses((status = 204, description = "The server is there"))
)]
pub(super) async fn ping() -> HttpResponse {
    // Clients of InfluxDB 1 read the version to decide what they send.
    HttpResponse::NoContent().insert_header(("X-Influxdb-Version", "1.8.10")).finish()
}

/// Parameters of a statement.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "clients of InfluxDB send them; the caller's credentials are read from the query itself")]
pub struct StatementQuery {
    /// The statement, here or in the form of the body: `CREATE DATABASE "NAME"`.
    q: Option<String>,
    /// A user, where no header has one.
    u: Option<String>,
    /// Its password.
    p: Option<String>,
}

/// Answers the statement `CREATE DATABASE`, which Telegraf sends at its start. There is nothing to create: the first points make the
/// stream.
#[utoipa::path(
    post, path = "/query", tag = "graphs", params(StatementQuery),
    request_body(content_type = "application/x-www-form-urlencoded", description = "The member q"),
    responses((status = 200, description = "InfluxDB's answer"), (status = 400, body = ProblemDocument))
)]
pub(super) async fn statement(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    query: web::Query<StatementQuery>,
    body: Body<{ super::extract::SMALL }>,
) -> Result<HttpResponse, Problem> {
    let StatementQuery { q, u: _, p: _ } = query.into_inner();
    let in_body = || url::form_urlencoded::parse(&body).find(|(key, _)| key == "q").map(|(_, q)| q.into_owned());
    let statement = q.or_else(in_body).ok_or_else(|| Error::parameter("q", "is required"))?;
    let name = created(&statement).ok_or_else(|| {
        Error::parameter(
            "q",
            "only CREATE DATABASE is understood: this server takes points for graphs, and has no queries",
        )
    })?;
    let name = state.catalog.name(&name)?;
    state.access.authorize("http", &caller, Action::Publish, &name).await?;
    state.catalog.check_points(&name)?;
    Ok(HttpResponse::Ok().json(json!({"results": [{"statement_id": 0}]})))
}

/// The name in `CREATE DATABASE "name" WITH …`.
fn created(statement: &str) -> Option<String> {
    let mut words = statement.trim().trim_end_matches(';').splitn(3, char::is_whitespace);
    let is_it = words.next()?.eq_ignore_ascii_case("create") && words.next()?.eq_ignore_ascii_case("database");
    let rest = words.next().filter(|_| is_it)?.trim();
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map(|(name, _)| name.to_owned()),
        None => rest.split_whitespace().next().map(str::to_owned),
    }
}

/// Parameters of a preview.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// The stream whose points are drawn. Without points, a made-up curve is drawn for each series.
    name: Option<String>,
}

/// Draws a graph by a definition that is not stored.
#[utoipa::path(
    post, path = "/api/v1/graph-preview", tag = "graphs", params(PreviewQuery),
    request_body = StreamDefinition,
    responses((status = 200, description = "The picture", content_type = "image/jpeg"), (status = 422, body = ProblemDocument))
)]
pub(super) async fn preview(
    state: web::Data<State>,
    _: Admin,
    query: web::Query<PreviewQuery>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let mut members: Members = serde_json::from_slice(&body).map_err(invalid)?;
    // The password of the page has no meaning for a drawing, and is hidden in a definition that was shown.
    members.remove("pass");
    let definition: StreamDefinition = serde_json::from_value(members.into()).map_err(invalid)?;
    let Definition::Graph(settings) = definition.source else {
        return Err(Error::new(Code::InvalidDefinition, "kind: must be graph").in_field("kind").into());
    };
    settings
        .check()
        .map_err(|(field, rule)| Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field))?;
    let now = time::now();
    let name = query.into_inner().name.map(|name| state.catalog.name(&name)).transpose()?;
    let numbers = &state.catalog.context().numbers;
    let series = name.map(|name| numbers.present(&name, settings.span(now).start)).unwrap_or_default();
    let fonts = state.catalog.context().fonts.clone();
    let picture = in_pool(move || {
        let series = if series.is_empty() { graph::sample(&settings, now) } else { series };
        graph::draw(&settings, &series, &fonts, now)
    });
    let jpeg = picture.await?.jpeg;
    Ok(HttpResponse::build(StatusCode::OK)
        .content_type("image/jpeg")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(jpeg))
}

/// The graph as a PNG without a ground, for putting it on other pictures.
#[utoipa::path(
    get, path = "/api/v1/streams/{name:.+}/graph.png", tag = "graphs", params(("name" = String, Path, description = "Can contain slashes")),
    responses((status = 200, description = "The picture", content_type = "image/png"), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument))
)]
pub(super) async fn transparent(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = state.catalog.name(&name)?;
    state.access.authorize("http", &caller, Action::Read, &name).await?;
    state.catalog.registry().find(&name)?;
    let definition = state.catalog.definition(&name).await?;
    let Some(Definition::Graph(settings)) = definition.map(|definition| definition.source) else {
        return Err(Error::new(Code::KindConflict, format!("stream {name} is no graph")).into());
    };
    let now = time::now();
    let series = state.catalog.context().numbers.present(&name, settings.span(now).start);
    let fonts = state.catalog.context().fonts.clone();
    let png = in_pool(move || graph::draw_transparent(&settings, &series, &fonts, now)).await?;
    Ok(HttpResponse::Ok().content_type("image/png").insert_header((header::CACHE_CONTROL, "no-store")).body(png))
}

/// The body, decompressed if it is compressed with gzip.
async fn unpacked(request: &HttpRequest, payload: web::Payload) -> Result<Bytes> {
    let body = whole(request, payload, MAX_BODY).await?;
    let coding = request.headers().get(header::CONTENT_ENCODING).and_then(|coding| coding.to_str().ok());
    match coding.unwrap_or("identity").trim().to_ascii_lowercase().as_str() {
        "identity" | "" => Ok(body),
        "gzip" | "x-gzip" => in_pool(move || gunzipped(&body)).await,
        other => {
            Err(Error::new(Code::InvalidBody, format!("Content-Encoding: must be gzip or identity, not {other:?}"))
                .in_field("Content-Encoding"))
        }
    }
}

fn gunzipped(body: &[u8]) -> Result<Bytes> {
    let mut whole = vec![];
    let read = flate2::read::MultiGzDecoder::new(body).take(MAX_BODY as u64 + 1).read_to_end(&mut whole);
    read.map_err(|e| Error::new(Code::InvalidBody, format!("the body is not gzip: {e}")))?;
    if whole.len() > MAX_BODY {
        let message = format!("the body is larger than {} MiB when it is decompressed", MAX_BODY >> 20);
        return Err(Error::new(Code::BodyTooLarge, message));
    }
    Ok(whole.into())
}

/// Reads a body, a large one on another thread.
async fn parse<T: Send + 'static>(body: Bytes, read: impl FnOnce(&[u8]) -> Result<T> + Send + 'static) -> Result<T> {
    if body.len() > LARGE { in_pool(move || read(&body)).await } else { read(&body) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_statement_of_telegraf_names_a_stream() {
        for (statement, expected) in [
            ("CREATE DATABASE \"telegraf\"", Some("telegraf")),
            ("create database pi/cpu;", Some("pi/cpu")),
            ("CREATE DATABASE \"a\" WITH DURATION 3d", Some("a")),
            ("CREATE DATABASE \"a", None),
            ("SHOW DATABASES", None),
            ("DROP DATABASE a", None),
            ("", None),
        ] {
            assert_eq!(created(statement).as_deref(), expected, "{statement}");
        }
    }

    #[test]
    fn a_small_body_does_not_become_a_large_one() {
        let packed = |data: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
            encoder.write_all(data).expect("memory");
            encoder.finish().expect("memory")
        };
        assert_eq!(gunzipped(&packed(b"m f=1")).expect("gzip"), "m f=1");
        assert_eq!(gunzipped(&packed(&vec![0; MAX_BODY + 1])).expect_err("a bomb").code(), Code::BodyTooLarge);
        assert_eq!(gunzipped(b"m f=1").expect_err("no gzip").code(), Code::InvalidBody);
    }
}
