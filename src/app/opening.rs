//! The parts of the program that need a few words of their own to be opened.

use std::net::TcpListener;

use tokio::time::Duration;

use crate::{
    cluster::Cluster,
    data_folder::DataFolder,
    error::{Code, Error, Result},
    fleet::Fleet,
    producer::ProducerContext,
    server,
    settings::TlsSettings,
    store::Store,
    stream::Registry,
};

/// How long the streams that other nodes watch are waited for at the end.
pub(super) const HAND_OVER: Duration = Duration::from_secs(6);

/// The streams of a cluster, if this program is a node of one.
pub(super) fn join_fleet(
    cluster: Option<&Cluster>,
    registry: &Registry,
    context: &ProducerContext,
) -> Result<Option<Fleet>> {
    let Some(cluster) = cluster else { return Ok(None) };
    let registry = registry.clone();
    let expire = *registry.settings().expire;
    let fleet = Fleet::new(cluster, context.limits, expire, Box::new(move |name| registry.get(name)))?;
    let (placing, sharing) = (fleet.clone(), fleet.clone());
    let place = Box::new(move |name: &_, inner, nodes: &_| placing.place(name, inner, nodes));
    context.placement.set(place, Box::new(move |inner| sharing.share(inner)));
    context.uploads.set_remote(fleet.remote());
    Ok(Some(fleet))
}

/// Hands the streams that other nodes watch over to them.
pub(super) async fn hand_over(fleet: Option<Fleet>) {
    if let Some(fleet) = fleet {
        fleet.drain(HAND_OVER).await;
    }
}

/// Opens the database. If the disk has no room for a new one, the server starts with what `sidecar.yml` says.
pub(super) fn open_store(folder: &DataFolder) -> Result<Store> {
    let database = folder.database();
    match Store::open(&database) {
        Err(e) if e.code() == Code::StorageFull && !database.exists() => {
            tracing::error!("{}: the server starts with sidecar.yml alone, and keeps nothing", e.chain());
            Store::lost()
        }
        opened => opened,
    }
}

/// Binds the port for HTTPS, if `http.tls.listen` is set.
pub(super) fn open_tls(settings: &TlsSettings) -> Result<Option<(TcpListener, server::Tls)>> {
    let Some(listen) = settings.listen else { return Ok(None) };
    let tls = server::Tls::open(&settings.certificate, &settings.key)
        .map_err(|e| Error::internal("HTTPS cannot be served (http.tls)", e))?;
    let listener = server::bind(listen)
        .map_err(|e| Error::internal(format!("port {listen} cannot be opened (http.tls.listen)"), e))?;
    Ok(Some((listener, tls)))
}
