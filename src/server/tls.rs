//! HTTPS, with a certificate that can be replaced at run time.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;
use tokio::{
    net::TcpStream,
    time::{Duration, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};

/// How long a handshake can take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between checks of the files. A renewed certificate exists weeks before the old one expires.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Accepts encrypted connections. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    files: Arc<Files>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.certificate.display())
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Tls {
    /// Reads the files. The error names the invalid file.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, String> {
        let current = ArcSwap::from_pointee(read(certificate, key)?);
        let files = Arc::new(Files { certificate: certificate.to_owned(), key: key.to_owned(), current });
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
        let mut config = config.with_no_client_auth().with_cert_resolver(files.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), files })
    }

    pub(super) async fn accept(&self, io: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(io)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Uses new files as they appear, until the program ends. Keeps the old certificate while the files do not
    /// match each other, as between writing one file and the other.
    pub async fn run(&self) {
        let mut seen = self.changed_at();
        let mut complained = false;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let now = self.changed_at();
            if now == seen {
                continue;
            }
            match self.reload().await {
                Ok(()) => {
                    seen = now;
                    complained = false;
                    tracing::info!("a new certificate is in use: {}", self.files.certificate.display());
                }
                Err(e) if !complained => {
                    complained = true;
                    tracing::error!("the old certificate stays in use: {e}");
                }
                Err(_) => {}
            }
        }
    }

    /// Reads the files again.
    pub async fn reload(&self) -> Result<(), String> {
        let files = self.files.clone();
        let read = tokio::task::spawn_blocking(move || read(&files.certificate, &files.key));
        self.files.current.store(Arc::new(read.await.map_err(|e| e.to_string())??));
        Ok(())
    }

    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        [&self.files.certificate, &self.files.key].map(|file| std::fs::metadata(file).and_then(|m| m.modified()).ok())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let in_file = |file: &Path, e: &dyn fmt::Display| format!("{}: {e}", file.display());
    let chain = CertificateDer::pem_file_iter(certificate).map_err(|e| in_file(certificate, &e))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|e| in_file(certificate, &e))?;
    if chain.is_empty() {
        return Err(in_file(certificate, &"it contains no certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| in_file(key, &e))?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(|e| in_file(key, &e))
}
