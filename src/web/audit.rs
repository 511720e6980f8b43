//! The audit, for administrators: what was changed, who signed in, who was refused.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Problem, State, caller::Admin, extract::number, problem::ProblemDocument};
use crate::{
    access::audit::Entry,
    error::Error,
    store::audit::{AuditFilter, AuditRow},
    units::{self, LATEST_SECONDS},
};

/// Most entries of an answer. A row of CSV has about 200 bytes.
const MOST: usize = 10_000;

/// The filter of the audit.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// `allowed` (changes and sign-ins) or `denied`. Default: both.
    decision: Option<String>,
    /// Only of this principal, as in `who`, or of this user name in the request.
    who: Option<String>,
    /// Only this action, or requests of administrators with this method, such as `DELETE`.
    action: Option<String>,
    /// Only of this path, stream or other object.
    path: Option<String>,
    /// Only from this time on (RFC 3339).
    since: Option<String>,
    /// Only before this time (RFC 3339).
    until: Option<String>,
    /// Only before the entry of this number: `next` of the page before.
    before: Option<String>,
    /// Most entries, at most 10 000. Default: 200.
    #[param(value_type = Option<usize>)]
    limit: Option<String>,
    /// `csv`: a table, as a file. Default: JSON.
    format: Option<String>,
    /// `1`: the latest decisions in memory in place of those on the disk: all kinds, one by one, since the start.
    recent: Option<String>,
}

/// The audit.
#[derive(Serialize, ToSchema)]
pub struct AuditList {
    /// Newest first.
    entries: Vec<AuditEntry>,
    /// The value of `before` for the next page; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    /// How often each action was allowed since the start, of those that have no entries: reading and publishing.
    #[schema(value_type = BTreeMap<String, u64>)]
    counted: BTreeMap<Box<str>, u64>,
    /// Decisions that were lost, because the queue was full or the disk did not take them.
    lost: u64,
}

/// One decision.
#[derive(Serialize, ToSchema)]
pub struct AuditEntry {
    /// Counts up, also over restarts.
    seq: u64,
    /// Time of the decision (RFC 3339).
    #[schema(example = "2026-01-31T12:00:00.000Z")]
    at: String,
    /// `allowed`, `ask`, `wrong_credentials`, `throttled`, `not_verified` or `not_permitted`.
    decision: String,
    /// The reason in words.
    reason: String,
    /// The principal that was recognized.
    #[schema(example = "user alice")]
    who: String,
    /// The user name of the request, or empty. A text of more than 200 characters is cut.
    user: String,
    /// The caller's address, if it is known (see `http.trusted_proxies`).
    ip: Option<String>,
    /// The action.
    action: String,
    /// The path or stream; for a request of an administrator, what it is done to.
    path: String,
    /// MediaMTX's word for the protocol; `http`, `rtsp` or `websocket` for our own addresses.
    protocol: String,
    /// MediaMTX's id of the session (of the connection for an RTSP DESCRIBE).
    session: Option<String>,
    /// For a request of an administrator: what it does, such as `PUT users/alice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    /// How often it happened: refusals of one cause within a minute share entries.
    times: u64,
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        // A damaged row can have any number.
        let at = std::time::Duration::from_millis(row.at.min(LATEST_SECONDS * 1000));
        AuditEntry {
            seq: row.seq,
            at: humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + at).to_string(),
            decision: row.decision,
            reason: row.reason,
            who: row.who,
            user: row.user,
            ip: row.ip,
            action: row.action,
            path: row.path,
            protocol: row.protocol,
            session: row.session,
            request: row.request,
            times: row.times,
        }
    }
}

/// Changes by administrators, sign-ins and refusals, with their reasons. They survive restarts for `auth.audit_retention`.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "identity", params(AuditQuery),
    responses((status = 200, body = AuditList), (status = 400, body = ProblemDocument))
)]
pub(super) async fn audit(
    state: web::Data<State>,
    _: Admin,
    query: web::Query<AuditQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let is_csv = match query.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => return Err(Error::parameter("format", format!("must be json or csv, not {other:?}")).into()),
    };
    let most = number("limit", query.limit.as_deref(), if is_csv { MOST } else { 200 }, 1..=MOST)?;
    let is_recent = query.recent.as_deref().is_some_and(|word| !matches!(word, "0" | "false"));
    let filter = filter(query)?;
    let audit = state.access.audit();
    let mut entries: Vec<AuditEntry> = if is_recent {
        let denied = filter.allowed.map(|allowed| !allowed);
        let found = audit.latest(most, denied, |entry| selects(&filter, entry));
        found.iter().map(|entry| entry.row().into()).collect()
    } else {
        audit.find(filter, most + 1).await?.into_iter().map(AuditEntry::from).collect()
    };
    let has_more = entries.len() > most;
    entries.truncate(most);
    if is_csv {
        return Ok(HttpResponse::Ok()
            .content_type("text/csv; charset=utf-8")
            .insert_header(("Content-Disposition", "attachment; filename=\"audit.csv\""))
            .body(table(&entries)));
    }
    let next = entries.last().filter(|_| has_more).map(|entry| entry.seq);
    let (counted, lost) = (audit.counted(), audit.lost());
    Ok(HttpResponse::Ok().json(AuditList { entries, next, counted, lost }))
}

fn filter(query: AuditQuery) -> Result<AuditFilter, Error> {
    let allowed = match query.decision.as_deref() {
        None => None,
        Some("allowed") => Some(true),
        Some("denied") => Some(false),
        Some(other) => {
            return Err(Error::parameter("decision", format!("must be allowed or denied, not {other:?}")));
        }
    };
    let before = match &query.before {
        None => None,
        Some(text) => {
            let wrong = |_| Error::parameter("before", format!("must be the number of an entry, not {text:?}"));
            Some(text.parse().map_err(wrong)?)
        }
    };
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(AuditFilter {
        allowed,
        who: filled(query.who),
        action: filled(query.action),
        path: filled(query.path),
        since: time("since", query.since)?,
        until: time("until", query.until)?,
        before,
    })
}

/// A time in milliseconds of the Unix epoch.
fn time(field: &'static str, text: Option<String>) -> Result<Option<u64>, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || Error::parameter(field, format!("must be a time such as 2026-01-31T12:00:00Z, not {text:?}"));
    let at = units::timestamp(&text).and_then(|at| u64::try_from(at.as_millisecond()).ok());
    at.ok_or_else(wrong).map(Some)
}

fn selects(filter: &AuditFilter, entry: &Entry) -> bool {
    let by_who = filter.who.as_ref().is_none_or(|who| *entry.user == **who || entry.who.to_string() == *who);
    by_who && filter.path.as_ref().is_none_or(|path| *entry.path == **path)
}

/// The entries as CSV (RFC 4180).
fn table(entries: &[AuditEntry]) -> String {
    let mut text = String::from("at,decision,who,user,address,action,request,object,protocol,reason,times\r\n");
    for entry in entries {
        let AuditEntry { at, decision, who, user, ip, action, request, path, protocol, reason, times, .. } = entry;
        let (ip, request, times) =
            (ip.clone().unwrap_or_default(), request.clone().unwrap_or_default(), times.to_string());
        let cells = [at, decision, who, user, &ip, action, &request, path, protocol, reason, &times];
        text.push_str(&cells.map(|text| cell(text)).join(","));
        text.push_str("\r\n");
    }
    text
}

/// A cell that no spreadsheet takes for a formula: names come from strangers.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_run_no_formula() {
        for (text, expected) in [
            ("plain", r#""plain""#),
            (r#"a "b", c"#, r#""a ""b"", c""#),
            ("=HYPERLINK(1)", r#""'=HYPERLINK(1)""#),
            ("@x", r#""'@x""#),
            ("", r#""""#),
        ] {
            assert_eq!(cell(text), expected);
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        let read = |text: &str| time("since", Some(text.to_owned()));
        assert_eq!(read("1970-01-01T00:00:01.5Z").expect("a time"), Some(1500));
        assert_eq!(read("").expect("none"), None);
        for wrong in ["yesterday", "1960-01-01T00:00:00Z"] {
            let error = read(wrong).expect_err("refused");
            assert_eq!(error.field(), Some("since"), "{error}");
        }
    }
}
