//! Sealing of records. The NATS servers, and a person who reads their disks, see which records there are, and not their content:
//! signing keys, hashes of passwords, and passwords of cameras.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, Salt},
};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    error::{Code, Error, Result},
    secret::Secret,
};

/// Seals and opens with the key of one cluster.
pub struct Seal(RandomizedNonceKey);

impl Seal {
    /// The key is derived from `cluster.secret` (HKDF, RFC 5869), for the cluster of this prefix.
    pub fn new(secret: &Secret, prefix: &str) -> Result<Self> {
        let failed = |_| Error::new(Code::Internal, "the key of the cluster cannot be derived");
        let mut key = [0; 32];
        let derived = Salt::new(HKDF_SHA256, b"mtx-sidecar cluster").extract(secret.expose().as_bytes());
        derived.expand(&[b"state", prefix.as_bytes()], HKDF_SHA256).and_then(|k| k.fill(&mut key)).map_err(failed)?;
        Ok(Seal(RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(failed)?))
    }

    /// Seals a text for the place `at`: it cannot be opened elsewhere, so that no record can be moved to another key.
    pub fn close(&self, at: &str, text: &str) -> Result<String> {
        let failed = |_| Error::new(Code::Internal, "a record of the cluster cannot be sealed");
        let mut bytes = text.as_bytes().to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(at.as_bytes()), &mut bytes).map_err(failed)?;
        Ok(STANDARD.encode([nonce.as_ref().as_slice(), &bytes].concat()))
    }

    /// Opens a sealed text; none if it was sealed with another secret or for another place, or was changed.
    pub fn open(&self, at: &str, sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let text = self.0.open_in_place(nonce, Aad::from(at.as_bytes()), &mut sealed).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_at_its_place_with_the_same_secret_alone() {
        let seal = |secret: &str, prefix: &str| Seal::new(&Secret::new(secret), prefix).expect("derives");
        let own = seal("0123456789abcdef", "mtx");
        let closed = own.close("users.x", "{\"pass\":1}").expect("seals");
        assert!(!closed.contains("pass"));
        assert_ne!(closed, own.close("users.x", "{\"pass\":1}").expect("seals"), "the nonce is random");
        assert_eq!(seal("0123456789abcdef", "mtx").open("users.x", &closed).as_deref(), Some("{\"pass\":1}"));
        assert_eq!(own.open("users.y", &closed), None);
        assert_eq!(seal("another 9abcdefg", "mtx").open("users.x", &closed), None);
        assert_eq!(seal("0123456789abcdef", "mtx2").open("users.x", &closed), None);
        for damaged in ["", "AAAA", "!", &closed[..closed.len() - 4]] {
            assert_eq!(own.open("users.x", damaged), None, "{damaged}");
        }
    }
}
