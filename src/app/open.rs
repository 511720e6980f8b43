//! What a start opens that can be missing: the database, and the port for HTTPS.

use std::net::TcpListener;

use crate::{
    data_folder::DataFolder,
    error::{Code, Error, Result},
    server,
    settings::TlsSettings,
    store::Store,
};

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
