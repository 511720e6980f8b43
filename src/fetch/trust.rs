//! Whose certificate is believed: that of a known authority, or the very one whose fingerprint was written down.

use std::sync::Arc;

use aws_lc_rs::digest;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs as provider},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::error::{Code, Error, Result};

/// The SHA-256 of a certificate, as browsers and `openssl x509 -fingerprint -sha256` show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads 64 hexadecimal digits, with or without colons.
    pub fn parse(text: &str) -> Result<Self> {
        let digits: Vec<u8> = text.bytes().filter(|b| *b != b':' && *b != b' ').collect();
        let mut bytes = [0; 32];
        let fits = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        let rule = "must be a certificate's SHA-256: 64 hexadecimal digits";
        if fits { Ok(Fingerprint(bytes)) } else { Err(Error::parameter("fingerprint", rule)) }
    }

    fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Fingerprint(bytes)
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// The authorities that are believed: Mozilla's, and those of `fetch.ca_file`.
pub(super) fn roots(ca_file: &std::path::Path) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if !ca_file.as_os_str().is_empty() {
        let unreadable = |e: &dyn std::fmt::Display| {
            Error::new(
                Code::Internal,
                format!("the file of authorities {} cannot be used (fetch.ca_file): {e}", ca_file.display()),
            )
        };
        for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|e| unreadable(&e))? {
            let certificate = certificate.map_err(|e| unreadable(&e))?;
            roots.add(certificate).map_err(|e| unreadable(&e))?;
        }
    }
    Ok(Arc::new(roots))
}

/// The settings of one handshake.
pub(super) fn config(roots: &Arc<RootCertStore>, pinned: Option<&Fingerprint>) -> Result<ClientConfig> {
    let provider = Arc::new(provider::default_provider());
    let broken = |e: &dyn std::fmt::Display| Error::new(Code::Internal, format!("TLS cannot be set up: {e}"));
    let usual = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone());
    let usual = usual.build().map_err(|e| broken(&e))?;
    let verifier = Verifier { pinned: pinned.copied(), usual, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(|e| broken(&e))?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Checks as usual, and says the fingerprint of what it does not believe; or compares with the one that was written down.
#[derive(Debug)]
struct Verifier {
    pinned: Option<Fingerprint>,
    usual: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let shown = Fingerprint::of(certificate);
        match self.pinned {
            Some(pinned) if pinned == shown => Ok(ServerCertVerified::assertion()),
            Some(_) => Err(TlsError::General(format!(
                "its certificate is not the one that was written down; that of now has the fingerprint {shown}"
            ))),
            None => self.usual.verify_server_cert(certificate, chain, name, ocsp, now).map_err(|e| {
                TlsError::General(format!(
                    "its certificate is not believed ({}); if it is the host's own, write down its fingerprint {shown}",
                    reason(&e)
                ))
            }),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn reason(e: &TlsError) -> &'static str {
    match e {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => "no known authority has signed it",
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "it has expired"
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "it is for another name",
        // Among them an authority's certificate used as a host's, which is what devices make for themselves.
        TlsError::InvalidCertificate(CertificateError::Other(_)) => "it is of the host's own making",
        _ => "it cannot be checked",
    }
}

/// What went wrong in a handshake, in words.
pub(super) fn explain(e: &std::io::Error) -> String {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::General(text)) => text.clone(),
        Some(other) => format!("no TLS with it: {other}"),
        None => format!("no TLS with it: {e}"),
    }
}
