//! `mtx-sidecar check`: whether the NATS servers, and the account there, are good enough for a cluster.

use std::time::Duration;

use async_nats::jetstream::{kv, stream::StorageType};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::{
    connection::{Connection, Disagreement},
    settings::ClusterSettings,
};
use crate::error::{Code, Error, Result};

/// How long the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a message of our own may take.
const ECHO_TIMEOUT: Duration = Duration::from_secs(3);

/// The bucket of the test, without the prefix. It is in memory, and removed at the end.
const BUCKET: &str = "check";

/// Tries what a node does: connecting, messages beneath the prefix, a bucket, a record, a watch. Returns what was found; the
/// error says what does not work.
pub async fn probe(settings: &ClusterSettings) -> Result<Vec<String>> {
    let connection = Connection::open(settings, "check").await?;
    connection.wait(CONNECT_TIMEOUT).await?;
    let info = connection.control.server_info();
    let tls = if settings.nats.iter().any(|url| url.starts_with("tls:")) || info.tls_required { ", TLS" } else { "" };
    let mut found = vec![format!("connected to the NATS server {} {}{tls}", info.server_name, info.version)];
    let with_errors = |e: Error| match connection.server_errors().as_slice() {
        [] => e,
        errors => Error::new(e.code(), format!("{e}; the server says: {}", errors.join("; "))),
    };
    messages(&connection).await.map_err(with_errors)?;
    found.push(format!("messages beneath {}. are sent and received", settings.prefix));
    records(&connection).await.map_err(with_errors)?;
    found.push(format!("records in buckets {}_… are written, watched and removed", settings.prefix));
    Ok(found)
}

/// Sends a message to itself, on both connections.
async fn messages(connection: &Connection) -> Result<()> {
    let subject = connection.names.subject(&["check", &format!("{:016x}", getrandom::u64().unwrap_or_default())]);
    let failed = |what: &str| Error::new(Code::ClusterUnavailable, format!("{subject}: {what}"));
    for client in [&connection.control, &connection.frames] {
        let mut own =
            client.subscribe(subject.clone()).await.map_err(|e| failed("cannot be subscribed").caused_by(e))?;
        client.publish(subject.clone(), "check".into()).await.map_err(|e| failed("cannot be sent").caused_by(e))?;
        match timeout(ECHO_TIMEOUT, own.next()).await {
            Ok(Some(_)) => {}
            _ => return Err(failed("a message of this program does not come back; the account needs both rights")),
        }
    }
    Ok(())
}

/// Makes a bucket, writes, watches, and removes the bucket.
async fn records(connection: &Connection) -> Result<()> {
    let config = kv::Config { bucket: BUCKET.into(), storage: StorageType::Memory, ..kv::Config::default() };
    let bucket = connection.bucket(config).await?;
    let done = async {
        let failed = |what: &str| Error::new(Code::ClusterUnavailable, format!("the bucket {}: {what}", bucket.name));
        let mut watch = bucket.watch_all().await.map_err(|e| failed("cannot be watched").caused_by(e))?;
        match connection.agree(BUCKET, "check", Some("check".into()), 0).await {
            // Another check at the same moment has the same bucket.
            Ok(_) | Err(Disagreement::Changed) => {}
            Err(Disagreement::Failed(e)) => return Err(e),
        }
        match timeout(ECHO_TIMEOUT, watch.next()).await {
            Ok(Some(Ok(_))) => Ok(()),
            _ => Err(failed("a record does not arrive at its watch")),
        }
    };
    let done = done.await;
    if let Err(e) = connection.jetstream.delete_key_value(&bucket.name).await
        && done.is_ok()
    {
        let message = format!("the bucket {} cannot be removed: {e}", bucket.name);
        return Err(Error::new(Code::ClusterUnavailable, message).caused_by(e));
    }
    done
}
