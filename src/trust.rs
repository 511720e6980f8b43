//! Which certificates of other hosts are trusted: those of a known authority, or the one with a given fingerprint.
//!
//! `fetch` and `hosts` use it, so that both trust the same authorities.

use std::{fmt, io, path::Path, sync::Arc};

use aws_lc_rs::digest;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs as provider},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use crate::error::{Code, Error, Result};

/// The SHA-256 of a certificate, as browsers and `openssl x509 -fingerprint -sha256` show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads 64 hexadecimal digits, with or without colons. The error names the field `fingerprint`.
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

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// The check of a certificate, which decides the advice in the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// An authority must have signed it. The error recommends `fetch.ca_file`.
    Authority,
    /// The same. The error recommends this setting.
    AuthorityOf(&'static str),
    /// The same, for a host that also has a setting for a fingerprint. The error recommends that setting.
    AuthorityOrFingerprint,
    /// It must have this fingerprint; neither its name nor its dates count.
    Fingerprint(Fingerprint),
}

/// Mozilla's authorities, and those of the PEM file `ca_file` (`fetch.ca_file`); an empty path is no file.
pub fn roots(ca_file: &Path) -> Result<Arc<RootCertStore>> {
    roots_of(ca_file, "fetch.ca_file")
}

/// As [`roots`], with a file that has another key in the settings, which errors name.
pub fn roots_of(ca_file: &Path, key: &str) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if !ca_file.as_os_str().is_empty() {
        let file = ca_file.display();
        let unreadable = |e: &dyn fmt::Display| {
            Error::new(Code::Internal, format!("the file of authorities {file} cannot be used ({key}): {e}"))
        };
        let mut added = 0;
        for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|e| unreadable(&e))? {
            let certificate = certificate.map_err(|e| unreadable(&e))?;
            roots.add(certificate).map_err(|e| unreadable(&e))?;
            added += 1;
        }
        if added == 0 {
            return Err(unreadable(&"it has no certificate"));
        }
    }
    Ok(Arc::new(roots))
}

/// The certificate by which this program identifies itself to a host, with its key. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>);

impl Identity {
    /// Reads the PEM files of a certificate, with its intermediate certificates, and of its key. The error names the file.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, String> {
        let unreadable = |path: &Path, e: &dyn fmt::Display| format!("{} cannot be used: {e}", path.display());
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|e| unreadable(certificate, &e))?;
        if chain.is_empty() {
            return Err(unreadable(certificate, &"it has no certificate"));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, &e))?;
        Ok(Identity(Arc::new((chain, key))))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// The TLS settings of a client.
pub fn client_config(roots: &Arc<RootCertStore>, check: Check) -> Result<ClientConfig> {
    client_config_as(roots, check, None)
}

/// The TLS settings of a client that shows a certificate if a host asks for one.
pub fn client_config_as(roots: &Arc<RootCertStore>, check: Check, identity: Option<&Identity>) -> Result<ClientConfig> {
    let provider = Arc::new(provider::default_provider());
    let broken = |e: &dyn fmt::Display| Error::new(Code::Internal, format!("TLS cannot be set up: {e}"));
    let authorities = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone());
    let authorities = authorities.build().map_err(|e| broken(&e))?;
    let verifier = Verifier { check, authorities, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(|e| broken(&e))?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let Some(Identity(own)) = identity else { return Ok(config.with_no_client_auth()) };
    config.with_client_auth_cert(own.0.clone(), own.1.clone_key()).map_err(|e| broken(&e))
}

/// Checks certificates, and explains each refusal.
#[derive(Debug)]
struct Verifier {
    check: Check,
    authorities: Arc<WebPkiServerVerifier>,
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
        if let Check::Fingerprint(expected) = self.check {
            if expected == shown {
                return Ok(ServerCertVerified::assertion());
            }
            return Err(TlsError::General(format!(
                "its certificate does not have the configured fingerprint, but the fingerprint {shown}"
            )));
        }
        self.authorities.verify_server_cert(certificate, chain, name, ocsp, now).map_err(|e| {
            let advice = match self.check {
                Check::Authority => {
                    "add the authority that signed it to fetch.ca_file (of a command: --ca-file)".into()
                }
                Check::AuthorityOf(key) => format!("add the authority that signed it to {key}"),
                _ => format!("to trust a self-signed certificate, set its fingerprint {shown}"),
            };
            TlsError::General(format!("its certificate is not trusted ({}); {advice}", reason(&e)))
        })
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
        ) => "it is for another host name",
        // Among them: the certificate of an authority, used by a host (RFC 5280, section 4.2.1.9), as devices make for themselves.
        TlsError::InvalidCertificate(CertificateError::Other(_)) => "it is self-signed",
        _ => "it cannot be verified",
    }
}

/// The reason for which a TLS handshake failed; none if the error is not one of TLS.
pub fn tls_failure(e: &io::Error) -> Option<String> {
    match e.get_ref()?.downcast_ref::<TlsError>()? {
        TlsError::General(text) => Some(text.clone()),
        other => Some(format!("the TLS handshake failed: {other}")),
    }
}
