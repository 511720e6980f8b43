//! Rows that all nodes of a cluster share.
//!
//! In a cluster the database is a mirror. A change of shared rows is rehearsed in it and taken back; the rows that it would
//! have changed go to the [`Agreement`], which writes them here when all nodes agree. So no caller knows of the cluster, and
//! reading never waits for it. Without a cluster [`Store::change`] writes at once.

use std::{future::Future, pin::Pin, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use rusqlite::{Connection, params, params_from_iter, types::Value as Sql, types::ValueRef};
use serde_json::{Map, Value, json};

use super::Store;
use crate::error::{Code, Error, Result};

/// The shared tables, and the column that identifies a row.
const TABLES: [(&str, &str); 9] = [
    ("users", "name"),
    ("keys", "kid"),
    ("tokens", "id"),
    ("shares", "id"),
    ("sign_ins", "id"),
    ("revoked", "id"),
    ("streams", "name"),
    ("paths", "name"),
    ("facts", "key"),
];

/// The facts that are shared. Other facts are of this node.
const FACTS: [&str; 2] = ["token_stamp_key", "first_admin_made"];

/// How often a change is rehearsed again after another node was faster.
const ATTEMPTS: usize = 12;

/// The columns of a row. A blob is an object with the member `blob`, in base64.
pub type Columns = Map<String, Value>;

/// A change of one shared row.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The table.
    pub table: &'static str,
    /// The value of the column that identifies the row.
    pub id: String,
    /// The row; none if it is deleted.
    pub row: Option<Columns>,
}

/// Why a change was not made.
#[derive(Debug)]
pub enum Refusal {
    /// Another node has changed one of the rows. The mirror has the newest ones now.
    Changed,
    /// The nodes cannot agree.
    Failed(Error),
}

/// The future of an agreement.
pub type Agreeing<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;

/// Where changes of shared rows are agreed on.
pub trait Agreement: Send + Sync {
    /// The state of this node's database. It grows with each change of other nodes, after the change is in the database.
    fn mark(&self) -> u64;

    /// Makes the changes at all nodes, in order. When it returns, this node's database has them. They were computed from the
    /// database as it was at this mark: if another node has changed one of the rows after it, they are refused.
    fn agree(&self, changes: Vec<Change>, mark: u64) -> Agreeing<'_>;
}

/// What happens to a change when another node was faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// It fails with `cluster_conflict`: a person has decided on the row as it was.
    Refuse,
    /// It is made again with the new row: it counts, or adds, or ends something.
    Again,
}

/// The table of this name, if its rows are shared.
pub fn shared_table(name: &str) -> Option<&'static str> {
    TABLES.iter().find(|(table, _)| *table == name).map(|(table, _)| *table)
}

impl Store {
    /// Lets changes of shared rows be agreed on from now on. Only the first call counts.
    pub fn share(&self, agreement: Arc<dyn Agreement>) -> Result<()> {
        self.with(|c| {
            c.execute_batch("CREATE TEMP TABLE IF NOT EXISTS touched (tbl TEXT, id TEXT, PRIMARY KEY (tbl, id))")?;
            for (table, key) in TABLES {
                for (event, row) in [("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")] {
                    c.execute_batch(&format!(
                        "CREATE TEMP TRIGGER IF NOT EXISTS touch_{table}_{event} AFTER {event} ON main.{table} BEGIN
                             INSERT OR IGNORE INTO touched VALUES ('{table}', {row}.{key}); END"
                    ))?;
                }
            }
            Ok(())
        })?;
        // A second agreement would be an error of this program; the first one stays.
        let _ = self.agreement.set(agreement);
        Ok(())
    }

    /// Whether shared rows are those of a cluster.
    pub fn is_shared(&self) -> bool {
        self.agreement.get().is_some()
    }

    /// Changes shared rows: at once, or, in a cluster, at all nodes. `work` can run several times, and changes nothing but
    /// shared rows.
    pub async fn change<T: Send + 'static>(
        &self,
        on_conflict: OnConflict,
        work: impl Fn(&Store) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let Some(agreement) = self.agreement.get() else { return self.run(move |store| work(store)).await };
        let work = Arc::new(work);
        // Two changes of this node do not get in each other's way.
        let _turn = self.changing.lock().await;
        for attempt in 1.. {
            let work = work.clone();
            let mark = agreement.mark();
            let (value, changes) = self.run(move |store| store.rehearse(&*work)).await?;
            if changes.is_empty() {
                return Ok(value);
            }
            match agreement.agree(changes, mark).await {
                Ok(()) => return Ok(value),
                Err(Refusal::Changed) if on_conflict == OnConflict::Again && attempt < ATTEMPTS => {}
                Err(Refusal::Changed) => break,
                Err(Refusal::Failed(e)) => return Err(e),
            }
        }
        let message =
            "another node of the cluster has changed the same at this moment; look at it, and repeat the change";
        Err(Error::new(Code::ClusterConflict, message))
    }

    /// Runs the work, notes which shared rows it changes, and takes the changes back.
    fn rehearse<T>(&self, work: &(impl Fn(&Store) -> Result<T> + ?Sized)) -> Result<(T, Vec<Change>)> {
        // Held throughout, so that no other caller sees or writes rows of the rehearsal. The work takes it again.
        let connection = self.connection.lock();
        let failed = |e| self.failure(e);
        connection.execute_batch("SAVEPOINT rehearsal; DELETE FROM temp.touched").map_err(failed)?;
        let done = work(self).and_then(|value| Ok((value, touched(&connection).map_err(failed)?)));
        connection.execute_batch("ROLLBACK TO rehearsal; RELEASE rehearsal").map_err(failed)?;
        done
    }

    /// All shared rows.
    pub fn shared_rows(&self) -> Result<Vec<Change>> {
        self.with(|c| {
            let mut all = vec![];
            for (table, key) in TABLES {
                let mut select = c.prepare(&format!("SELECT {key} FROM {table} ORDER BY {key}"))?;
                let ids: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
                for id in ids.into_iter().filter(|id| table != "facts" || FACTS.contains(&id.as_str())) {
                    let row = read_row(c, table, key, &id)?;
                    all.push(Change { table, id, row });
                }
            }
            Ok(all)
        })
    }

    /// One shared row; none if there is none.
    pub fn shared_row(&self, table: &str, id: &str) -> Result<Option<Columns>> {
        let Some((table, key)) = TABLES.iter().find(|(known, _)| *known == table) else { return Ok(None) };
        self.with(|c| read_row(c, table, key, id))
    }

    /// Writes and deletes shared rows in one transaction, as the nodes have agreed. Columns that this version does not have
    /// are left out.
    pub fn apply(&self, changes: &[Change]) -> Result<()> {
        self.transaction(|c| changes.iter().try_for_each(|change| write_row(c, change)))
    }
}

/// The rows that were touched since the beginning of a rehearsal, as they are now.
fn touched(c: &Connection) -> rusqlite::Result<Vec<Change>> {
    let mut select = c.prepare("SELECT tbl, id FROM temp.touched ORDER BY rowid")?;
    let found: Vec<(String, String)> =
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut changes = vec![];
    for (name, id) in found {
        let Some((table, key)) = TABLES.iter().find(|(table, _)| *table == name) else { continue };
        if *table == "facts" && !FACTS.contains(&id.as_str()) {
            continue;
        }
        let row = read_row(c, table, key, &id)?;
        changes.push(Change { table, id, row });
    }
    Ok(changes)
}

fn read_row(c: &Connection, table: &str, key: &str, id: &str) -> rusqlite::Result<Option<Columns>> {
    let mut select = c.prepare_cached(&format!("SELECT * FROM {table} WHERE {key} = ?1"))?;
    let names: Vec<String> = select.column_names().map(str::to_owned).collect();
    let mut rows = select.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new();
    for (i, name) in names.into_iter().enumerate() {
        let value = match row.get_ref(i)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(n) => n.into(),
            ValueRef::Real(n) => n.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
            ValueRef::Blob(bytes) => json!({ "blob": STANDARD.encode(bytes) }),
        };
        columns.insert(name, value);
    }
    Ok(Some(columns))
}

fn write_row(c: &Connection, Change { table, id, row }: &Change) -> rusqlite::Result<()> {
    let Some((table, key)) = TABLES.iter().find(|(known, _)| known == table) else { return Ok(()) };
    let Some(row) = row else {
        return c.execute(&format!("DELETE FROM {table} WHERE {key} = ?1"), params![id]).map(drop);
    };
    let mut info = c.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
    let known: Vec<String> = info.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let columns: Vec<&String> = known.iter().filter(|name| row.contains_key(*name)).collect();
    let names = columns.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let marks = (1..=columns.len()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    let values = columns.iter().map(|name| row.get(*name).map_or(Sql::Null, sql));
    c.execute(&format!("INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})"), params_from_iter(values)).map(drop)
}

fn sql(value: &Value) -> Sql {
    match value {
        Value::Number(n) => n.as_i64().map_or_else(|| Sql::Real(n.as_f64().unwrap_or_default()), Sql::Integer),
        Value::String(text) => Sql::Text(text.clone()),
        Value::Bool(is) => Sql::Integer((*is).into()),
        Value::Object(members) => {
            let blob = members.get("blob").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
            blob.map_or(Sql::Null, Sql::Blob)
        }
        Value::Null | Value::Array(_) => Sql::Null,
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::store::identity::KeyRow;

    /// Refuses so many times, and then writes to the store.
    struct Nodes {
        store: Store,
        refusals: Mutex<usize>,
        seen: Mutex<Vec<Vec<Change>>>,
        /// Changes of another node, each of which arrives when a change of this one has been rehearsed.
        others: Mutex<Vec<Change>>,
        mark: Mutex<u64>,
    }

    impl Agreement for Nodes {
        fn mark(&self) -> u64 {
            *self.mark.lock()
        }

        fn agree(&self, changes: Vec<Change>, mark: u64) -> Agreeing<'_> {
            Box::pin(async move {
                self.seen.lock().push(changes.clone());
                if let Some(other) = self.others.lock().pop() {
                    self.store.apply(&[other]).map_err(Refusal::Failed)?;
                    *self.mark.lock() += 1;
                }
                if mark < self.mark() {
                    return Err(Refusal::Changed);
                }
                let mut refusals = self.refusals.lock();
                if *refusals > 0 {
                    *refusals -= 1;
                    return Err(Refusal::Changed);
                }
                self.store.apply(&changes).map_err(Refusal::Failed)
            })
        }
    }

    fn shared(refusals: usize) -> (Store, Arc<Nodes>) {
        let store = Store::in_memory().expect("opens");
        let nodes = Arc::new(Nodes {
            store: store.clone(),
            refusals: Mutex::new(refusals),
            seen: Mutex::default(),
            others: Mutex::default(),
            mark: Mutex::default(),
        });
        store.share(nodes.clone()).expect("works");
        (store, nodes)
    }

    #[tokio::test]
    async fn a_change_is_rehearsed_and_written_when_all_agree() {
        let (store, nodes) = shared(0);
        let key = KeyRow { kid: "k".into(), pkcs8: vec![0, 255], active_from: 7 };
        let row = key.clone();
        store.change(OnConflict::Refuse, move |store| store.put_key(&row)).await.expect("agreed");
        let read = store.keys().expect("reads");
        assert_eq!((read[0].pkcs8.as_slice(), read[0].active_from), (&[0, 255][..], 7));
        store.change(OnConflict::Refuse, |store| store.delete_key("none")).await.expect("changes nothing");
        assert_eq!(nodes.seen.lock().len(), 1, "no change is no agreement");
        store.change(OnConflict::Refuse, |store| store.delete_key("k")).await.expect("agreed");
        assert!(store.keys().expect("reads").is_empty());
        let last = nodes.seen.lock().last().cloned().expect("one");
        assert_eq!(last, [Change { table: "keys", id: "k".into(), row: None }]);
    }

    #[tokio::test]
    async fn a_refused_change_leaves_nothing_and_one_that_counts_is_made_again() {
        let (store, _) = shared(1);
        let put = |store: &Store| store.put_stream("cam", "{}");
        let error = store.change(OnConflict::Refuse, put).await.expect_err("another node was faster");
        assert_eq!(error.code(), Code::ClusterConflict);
        assert_eq!(store.stream("cam").expect("reads"), None);
        let (store, nodes) = shared(2);
        store.change(OnConflict::Again, put).await.expect("the third attempt");
        assert_eq!(nodes.seen.lock().len(), 3);
        assert_eq!(store.stream("cam").expect("reads").as_deref(), Some("{}"));
        let failed = |_: &Store| Err::<(), _>(Error::new(Code::InvalidIdentity, "no"));
        store.change(OnConflict::Again, failed).await.expect_err("its own error");
        store.change(OnConflict::Again, |store| store.put_stream("b", "{}")).await.expect("the rehearsal was ended");
    }

    #[tokio::test]
    async fn a_change_that_arrives_after_the_rehearsal_is_not_undone() {
        let (store, nodes) = shared(0);
        store.change(OnConflict::Refuse, |store| store.put_stream("cam", "0")).await.expect("agreed");
        let row = |text: &str| {
            let mut row = store.shared_row("streams", "cam").expect("reads").expect("it is there");
            row.insert("definition".into(), text.into());
            Change { table: "streams", id: "cam".into(), row: Some(row) }
        };
        *nodes.others.lock() = vec![row("7"), row("3")];
        let count = |store: &Store| {
            let n: u32 = store.stream("cam")?.and_then(|text| text.parse().ok()).unwrap_or_default();
            store.put_stream("cam", &(n + 1).to_string())
        };
        store.change(OnConflict::Again, count).await.expect("the third attempt");
        assert_eq!(store.stream("cam").expect("reads").as_deref(), Some("8"));
        *nodes.others.lock() = vec![row("1")];
        let error = store.change(OnConflict::Refuse, count).await.expect_err("another node was faster");
        assert_eq!(error.code(), Code::ClusterConflict);
    }

    #[test]
    fn shared_rows_are_all_but_those_of_this_node() {
        let (store, _) = shared(0);
        store.put_fact("token_stamp_key", "x").expect("writes");
        store.put_fact("ready", "x").expect("writes");
        store.put_stream("cam", "{}").expect("writes");
        let rows = store.shared_rows().expect("reads");
        let names: Vec<_> = rows.iter().map(|change| (change.table, change.id.as_str())).collect();
        assert_eq!(names, [("streams", "cam"), ("facts", "token_stamp_key")]);
        let other = Store::in_memory().expect("opens");
        let mut newer = rows.clone();
        newer[0].row.as_mut().expect("a row").insert("colour".into(), "red".into());
        other.apply(&newer).expect("a column of a newer version is left out");
        assert_eq!(other.shared_rows().expect("reads"), rows);
    }
}
