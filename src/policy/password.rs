//! Names and passwords as they are written down: plain, hashed with SHA-256, or with argon2.

use std::{cell::RefCell, fmt};

use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher, Version, password_hash::phc::PasswordHash};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// A user name or password in one of the forms that mediamtx.yml knows.
#[derive(Clone, Default, PartialEq)]
pub struct Credential(Form);

#[derive(Clone, Default, PartialEq)]
enum Form {
    #[default]
    Empty,
    Plain(Secret),
    Sha256([u8; 32]),
    /// A PHC string, checked when it was read.
    Argon2(String),
}

impl Credential {
    /// The name of everybody.
    pub fn any() -> Self {
        Credential::plain("any")
    }

    /// A name or password in plain text.
    pub fn plain(text: &str) -> Self {
        Credential(if text.is_empty() { Form::Empty } else { Form::Plain(Secret::new(text)) })
    }

    /// Reads any of the forms; the error says what is wrong without repeating the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(digest) = text.strip_prefix("sha256:") {
            let digest = STANDARD.decode(digest).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            let digest = digest.ok_or("sha256: must be followed by the base64 of a SHA-256 digest (44 characters)")?;
            return Ok(Credential(Form::Sha256(digest)));
        }
        if let Some(phc) = text.strip_prefix("argon2:") {
            PasswordHash::new(phc)
                .ok()
                .filter(|hash| hash.algorithm.as_str().starts_with("argon2"))
                .ok_or("argon2: must be followed by a PHC string, as `mtx-sidecar hash-password` prints it")?;
            return Ok(Credential(Form::Argon2(phc.to_owned())));
        }
        Ok(Credential::plain(text))
    }

    /// Whether nothing was set.
    pub fn is_empty(&self) -> bool {
        self.0 == Form::Empty
    }

    pub(super) fn is_any(&self) -> bool {
        matches!(&self.0, Form::Plain(name) if name.expose() == "any")
    }

    /// Whether checking takes milliseconds on purpose.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self.0, Form::Argon2(_))
    }

    /// The name, where it is written plainly; for logs and lists.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Form::Plain(name) => Some(name.expose()),
            _ => None,
        }
    }

    /// Compares without telling by its duration how much was right. Takes milliseconds, and megabytes,
    /// when [`Credential::is_slow`].
    pub(super) fn matches(&self, shown: &str) -> bool {
        match &self.0 {
            Form::Empty => true,
            // Digests, because comparing texts of different length tells their length.
            Form::Plain(text) => bool::from(Sha256::digest(text.expose()).ct_eq(&Sha256::digest(shown))),
            Form::Sha256(digest) => bool::from(Sha256::digest(shown).as_slice().ct_eq(digest)),
            Form::Argon2(phc) => PasswordHash::new(phc).is_ok_and(|hash| verify(&hash, shown).unwrap_or(false)),
        }
    }

    /// Distinguishes this credential from others in keys of the memory of right passwords.
    pub(super) fn identity(&self) -> &[u8] {
        match &self.0 {
            Form::Empty => b"",
            Form::Plain(text) => text.expose().as_bytes(),
            Form::Sha256(digest) => digest,
            Form::Argon2(phc) => phc.as_bytes(),
        }
    }
}

thread_local! {
    /// What argon2 fills, kept by the few threads that verify: given back each time, glibc's arenas would hold
    /// three times as much.
    static BLOCKS: RefCell<Vec<Block>> = const { RefCell::new(vec![]) };
}

/// More than this is not kept.
const KEPT_BLOCKS: usize = 64 << 10;

/// Verifies with the hash's own parameters; none if they make no sense.
fn verify(hash: &PasswordHash, shown: &str) -> Option<bool> {
    let algorithm = Algorithm::new(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let params = Params::try_from(hash).ok()?;
    let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
    let blocks = params.block_count();
    let argon2 = Argon2::new(algorithm, version, params);
    let mut found = vec![0; expected.len()];
    BLOCKS.with_borrow_mut(|memory| {
        memory.resize(memory.len().max(blocks), Block::new());
        let filled =
            argon2.hash_password_into_with_memory(shown.as_bytes(), salt.as_ref(), &mut found, &mut memory[..blocks]);
        if memory.len() > KEPT_BLOCKS {
            *memory = vec![];
        }
        filled.ok()
    })?;
    Some(bool::from(found.as_slice().ct_eq(expected.as_bytes())))
}

/// Hashes a password with argon2id (the parameters that OWASP recommends: 19 MiB, 2 passes), in the form
/// that goes behind `pass:` here and in mediamtx.yml.
pub fn hash_password(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|e| e.to_string())?;
    Ok(format!("argon2:{hash}"))
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Form::Empty => "(none)",
            Form::Plain(_) => "***",
            Form::Sha256(_) => "sha256:***",
            Form::Argon2(_) => "argon2:***",
        })
    }
}

impl Serialize for Credential {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.is_any() {
            to.serialize_str("any")
        } else if self.is_empty() {
            to.serialize_str("")
        } else {
            to.collect_str(&format_args!("{self:?}"))
        }
    }
}

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(from)?.unwrap_or_default();
        Credential::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_takes_the_right_password_and_no_other() {
        let argon2 = hash_password("s3cret").expect("hashes");
        let sha256 = format!("sha256:{}", STANDARD.encode(Sha256::digest("s3cret")));
        // Made by MediaMTX's documented recipe: echo -n s3cret | argon2 saltItWithSalt -id -l 32 -e
        let foreign = "argon2:$argon2id$v=19$m=4096,t=3,p=1$c2FsdEl0V2l0aFNhbHQ$";
        assert!(Credential::parse(foreign).is_err(), "cut off");
        for form in ["s3cret", &sha256, &argon2] {
            let credential = Credential::parse(form).expect("a form");
            assert!(credential.matches("s3cret"));
            for wrong in ["", "s3cre", "s3cret ", "S3cret", form] {
                assert!(wrong == "s3cret" || !credential.matches(wrong), "{credential:?} took {wrong:?}");
            }
            assert!(!format!("{credential:?}").contains("cret"));
        }
        assert!(Credential::default().matches("anything"), "no password set means any, as in MediaMTX");
    }

    #[test]
    fn malformed_hashes_are_refused_without_being_repeated() {
        for text in ["sha256:short", "sha256:", "argon2:", "argon2:plain", "argon2:$scrypt$ln=1$c2FsdHNhbHQ$aGFzaA"] {
            let error = Credential::parse(text).expect_err(text);
            assert!(error.contains("must be followed by"), "{error}");
        }
    }
}
