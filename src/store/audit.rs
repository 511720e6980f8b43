//! Rows of the audit: what administrators have changed, who has signed in, and who was refused. Times are milliseconds of the
//! Unix epoch.

use rusqlite::{Row, params};

use super::Store;
use crate::error::Result;

pub(super) const TABLES: &str = "
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, allowed INTEGER NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL,
        who TEXT NOT NULL, user TEXT NOT NULL, ip TEXT, action TEXT NOT NULL, path TEXT NOT NULL, protocol TEXT NOT NULL,
        session TEXT, request TEXT, times INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX audit_allowed ON audit (allowed, seq);
    CREATE INDEX audit_at ON audit (at);
";

const COLUMNS: &str = "seq, at, decision, reason, who, user, ip, action, path, protocol, session, request, times";

/// An entry of the audit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditRow {
    /// Counts up over restarts.
    pub seq: u64,
    /// When the decision was made, in milliseconds of the Unix epoch.
    pub at: u64,
    /// The word of the decision; `allowed`, or another one.
    pub decision: String,
    /// The reason in words.
    pub reason: String,
    /// The principal.
    pub who: String,
    /// The user name of the request.
    pub user: String,
    /// The caller's address.
    pub ip: Option<String>,
    /// The action.
    pub action: String,
    /// The path, stream or other object.
    pub path: String,
    /// The protocol.
    pub protocol: String,
    /// MediaMTX's id of the session.
    pub session: Option<String>,
    /// What a request of an administrator does.
    pub request: Option<String>,
    /// How often it happened: refusals of one cause share a row.
    pub times: u64,
}

/// One step of writing the audit.
#[derive(Clone, Debug, PartialEq)]
pub enum AuditWrite {
    /// A new entry.
    Entry(Box<AuditRow>),
    /// The entry of this number has happened so many times more.
    Repeated(u64, u64),
}

/// Which entries are wanted. Empty members select all.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Allowed or refused ones only.
    pub allowed: Option<bool>,
    /// The principal, or the user name of the request.
    pub who: Option<String>,
    /// The action, or the method of a request of an administrator, such as `DELETE`.
    pub action: Option<String>,
    /// The path, stream or other object.
    pub path: Option<String>,
    /// Entries from this time on, in milliseconds of the Unix epoch.
    pub since: Option<u64>,
    /// Entries before this time.
    pub until: Option<u64>,
    /// Entries before this number: the cursor of the next page.
    pub before: Option<u64>,
}

/// The largest number that SQLite holds.
const LARGEST: u64 = i64::MAX as u64;

impl Store {
    /// The number of the newest entry; 0 without entries.
    pub fn last_audit_seq(&self) -> Result<u64> {
        self.with(|c| c.query_row("SELECT coalesce(max(seq), 0) FROM audit", [], |row| row.get(0)))
    }

    /// Writes entries and repetitions in one transaction.
    pub fn write_audit(&self, writes: &[AuditWrite]) -> Result<()> {
        self.transaction(|c| {
            for write in writes {
                match write {
                    AuditWrite::Entry(row) => {
                        let AuditRow { seq, at, decision, reason, who, user, ip, .. } = &**row;
                        let AuditRow { action, path, protocol, session, request, times, .. } = &**row;
                        let allowed = decision == "allowed";
                        let sql = "INSERT OR REPLACE INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
                        c.execute(
                            sql,
                            params![
                                seq, at, allowed, decision, reason, who, user, ip, action, path, protocol, session,
                                request, times
                            ],
                        )?;
                    }
                    AuditWrite::Repeated(seq, times) => {
                        c.execute("UPDATE audit SET times = times + ?2 WHERE seq = ?1", params![seq, times])?;
                    }
                }
            }
            Ok(())
        })
    }

    /// The entries that the filter selects, newest first, at most `most`.
    pub fn audit(&self, filter: &AuditFilter, most: usize) -> Result<Vec<AuditRow>> {
        let AuditFilter { allowed, who, action, path, since, until, before } = filter;
        let sql = format!(
            "SELECT {COLUMNS} FROM audit WHERE seq < ?1 AND (?2 IS NULL OR allowed = ?2) AND (?3 IS NULL OR who = ?3 OR user = ?3)
             AND (?4 IS NULL OR action = ?4 OR substr(request, 1, length(?4) + 1) = ?4 || ' ') AND (?5 IS NULL OR path = ?5)
             AND at >= ?6 AND at < ?7 ORDER BY seq DESC LIMIT ?8"
        );
        let (before, until) = (before.unwrap_or(LARGEST).min(LARGEST), until.unwrap_or(LARGEST).min(LARGEST));
        let since = since.unwrap_or(0).min(LARGEST);
        self.with(|c| {
            let values = params![before, allowed, who, action, path, since, until, most as u64];
            c.prepare_cached(&sql)?.query_map(values, row)?.collect()
        })
    }

    /// Deletes entries before this time, and the oldest ones beyond so many allowed and so many refused ones.
    pub fn trim_audit(&self, oldest: u64, most_allowed: u64, most_refused: u64) -> Result<()> {
        self.transaction(|c| {
            c.execute("DELETE FROM audit WHERE at < ?1", [oldest])?;
            for (allowed, most) in [(true, most_allowed), (false, most_refused)] {
                let sql = "DELETE FROM audit WHERE allowed = ?1 AND seq <= \
                           (SELECT seq FROM audit WHERE allowed = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
                c.execute(sql, params![allowed, most])?;
            }
            Ok(())
        })
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        seq: row.get(0)?,
        at: row.get(1)?,
        decision: row.get(2)?,
        reason: row.get(3)?,
        who: row.get(4)?,
        user: row.get(5)?,
        ip: row.get(6)?,
        action: row.get(7)?,
        path: row.get(8)?,
        protocol: row.get(9)?,
        session: row.get(10)?,
        request: row.get(11)?,
        times: row.get(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, decision: &str, who: &str, request: Option<&str>) -> AuditWrite {
        let path = request.and_then(|request| request.split_once("streams/")).map(|(_, name)| name.to_owned());
        AuditWrite::Entry(Box::new(AuditRow {
            seq,
            at: seq * 1000,
            decision: decision.into(),
            who: who.into(),
            path: path.unwrap_or_default(),
            request: request.map(str::to_owned),
            action: "api".into(),
            times: 1,
            ..AuditRow::default()
        }))
    }

    fn numbers(store: &Store, filter: &AuditFilter, most: usize) -> Vec<u64> {
        store.audit(filter, most).expect("reads").iter().map(|row| row.seq).collect()
    }

    #[test]
    fn entries_are_found_by_each_member_of_the_filter_and_page_by_page() {
        let store = Store::in_memory().expect("opens");
        assert_eq!(store.last_audit_seq().expect("reads"), 0);
        let writes = [
            entry(1, "allowed", "user alice", Some("PUT streams/a/b")),
            entry(2, "wrong_credentials", "anonymous", None),
            entry(3, "allowed", "user bob", Some("DELETE streams/a/b")),
            entry(4, "allowed", "user bob", Some("DELETE streams/100%")),
            AuditWrite::Repeated(2, 6),
        ];
        store.write_audit(&writes).expect("writes");
        assert_eq!(store.last_audit_seq().expect("reads"), 4);
        let text = |text: &str| Some(text.to_owned());
        let all = AuditFilter::default;
        for (filter, found) in [
            (all(), vec![4, 3, 2, 1]),
            (AuditFilter { allowed: Some(false), ..all() }, vec![2]),
            (AuditFilter { who: text("user bob"), ..all() }, vec![4, 3]),
            (AuditFilter { action: text("DELETE"), path: text("a/b"), ..all() }, vec![3]),
            (AuditFilter { action: text("api"), ..all() }, vec![4, 3, 2, 1]),
            (AuditFilter { action: text("DEL"), ..all() }, vec![]),
            (AuditFilter { since: Some(2000), until: Some(4000), ..all() }, vec![3, 2]),
            (AuditFilter { before: Some(3), ..all() }, vec![2, 1]),
            (AuditFilter { until: Some(u64::MAX), before: Some(u64::MAX), ..all() }, vec![4, 3, 2, 1]),
        ] {
            assert_eq!(numbers(&store, &filter, 10), found, "{filter:?}");
        }
        assert_eq!(numbers(&store, &all(), 2), [4, 3]);
        assert_eq!(store.audit(&all(), 10).expect("reads")[2].times, 7);
    }

    #[test]
    fn refused_entries_do_not_evict_allowed_ones_and_old_ones_go() {
        let store = Store::in_memory().expect("opens");
        let writes: Vec<_> = (1..=40).map(|n| entry(n, if n < 10 { "allowed" } else { "ask" }, "x", None)).collect();
        store.write_audit(&writes).expect("writes");
        store.trim_audit(3000, 100, 5).expect("trims");
        assert_eq!(numbers(&store, &AuditFilter::default(), 100), [40, 39, 38, 37, 36, 9, 8, 7, 6, 5, 4, 3]);
    }
}
