//! TLS for test peers: an authority, certificates that it has signed, and TLS in front of a plain server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, crypto,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::Program;

/// Options of openssl for a new key without a password.
const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/// A certificate authority that no program knows.
pub struct Authority(tempfile::TempDir);

/// The files of a certificate.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub async fn new() -> Self {
        let authority = Authority(tempfile::tempdir().expect("a folder"));
        let (key, file) = (authority.path("ca-key.pem"), authority.file());
        let options = ["req", "-x509", "-days", "2", "-subj", "/CN=an authority", "-keyout", &key, "-out", &file];
        Program::output("openssl", &[&options[..], &NEW_KEY[..]].concat()).await;
        authority
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    /// The PEM file of the authority's certificate.
    pub fn file(&self) -> String {
        self.path("ca.pem")
    }

    /// Signs a certificate for a host name.
    pub async fn sign(&self, host: &str) -> Certificate {
        let name = |ending: &str| self.path(&format!("{host}{ending}"));
        let (key, request, certificate, extensions) = (name("-key.pem"), name(".csr"), name(".pem"), name(".ext"));
        let options = ["req", "-new", "-subj", "/CN=a host", "-keyout", &key, "-out", &request];
        Program::output("openssl", &[&options[..], &NEW_KEY[..]].concat()).await;
        std::fs::write(&extensions, format!("subjectAltName=DNS:{host}\nbasicConstraints=critical,CA:FALSE\n"))
            .expect("writes");
        let (authority, authority_key) = (self.file(), self.path("ca-key.pem"));
        let signed_by = ["-CA", &authority, "-CAkey", &authority_key, "-CAcreateserial"];
        let options = ["x509", "-req", "-days", "2", "-in", &request, "-out", &certificate, "-extfile", &extensions];
        Program::output("openssl", &[&options[..], &signed_by[..]].concat()).await;
        Certificate { certificate: certificate.into(), key: key.into() }
    }
}

/// Accepts TLS, offers HTTP/2 and HTTP/1.1, and forwards connections to `behind`. Ends with the runtime of the test.
pub async fn tls_in_front_of(behind: SocketAddr, certificate: &Path, key: &Path) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(certificate).expect("reads").collect::<Result<Vec<_>, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_file(key).expect("PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("some").with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).expect("fits");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate ends the handshake.
                let Ok(mut socket) = acceptor.accept(socket).await else { return };
                assert_ne!(
                    socket.get_ref().1.alpn_protocol(),
                    Some(&b"h2"[..]),
                    "the peers behind speak HTTP/1.1 only"
                );
                let mut server = TcpStream::connect(behind).await.expect("connects");
                // Either side can end the connection.
                let _ = tokio::io::copy_bidirectional(&mut socket, &mut server).await;
            });
        }
    });
    addr
}
