//! User names and passwords as the configuration has them: plain, hashed with SHA-256, or hashed with argon2.

use std::{cell::RefCell, fmt};

use argon2::{
    Algorithm, Argon2, Block, MIN_SALT_LEN, Params, PasswordHasher, Version, password_hash::phc::PasswordHash,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// A user name or password in one of the forms of mediamtx.yml.
#[derive(Clone, Default, PartialEq)]
pub struct Credential(Form);

#[derive(Clone, Default, PartialEq)]
enum Form {
    #[default]
    Empty,
    Plain(Secret),
    Sha256([u8; 32]),
    /// A PHC string; checked when it was parsed.
    Argon2(String),
}

impl Credential {
    /// The user name `any`, which stands for every client.
    pub fn any() -> Self {
        Credential::plain("any")
    }

    /// A name or password in plain text.
    pub fn plain(text: &str) -> Self {
        Credential(if text.is_empty() { Form::Empty } else { Form::Plain(Secret::new(text)) })
    }

    /// Reads any of the forms. The error names the rule and does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(digest) = text.strip_prefix("sha256:") {
            let digest = STANDARD.decode(digest).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            let digest = digest.ok_or("sha256: must be followed by the base64 of a SHA-256 digest (44 characters)")?;
            return Ok(Credential(Form::Sha256(digest)));
        }
        if let Some(phc) = text.strip_prefix("argon2:") {
            // A hash that can never match must be an error here, and not a wrong password later.
            Argon2Hash::parse(phc)
                .ok_or("argon2: must be followed by a PHC string, as `mtx-sidecar hash-password` prints it")?;
            return Ok(Credential(Form::Argon2(phc.to_owned())));
        }
        Ok(Credential::plain(text))
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0 == Form::Empty
    }

    pub(super) fn is_any(&self) -> bool {
        matches!(&self.0, Form::Plain(name) if name.expose() == "any")
    }

    /// Whether verification takes milliseconds, by design.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self.0, Form::Argon2(_))
    }

    /// The user name, if it is written plainly; for logs and lists.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Form::Plain(name) => Some(name.expose()),
            _ => None,
        }
    }

    /// A hash with the cost of `like`, or of [`hash_password`], that is the hash of no known password.
    pub(super) fn decoy(like: Option<&Credential>) -> Self {
        let parameters = match like.map(|like| &like.0) {
            // $argon2id$v=19$m=19456,t=2,p=1
            Some(Form::Argon2(phc)) => phc.split('$').take(4).collect::<Vec<_>>().join("$"),
            _ => DECOY_PARAMETERS.to_owned(),
        };
        let decoy = format!("{parameters}{DECOY_SALT_AND_HASH}");
        let fits = Argon2Hash::parse(&decoy).is_some();
        Credential(Form::Argon2(if fits { decoy } else { format!("{DECOY_PARAMETERS}{DECOY_SALT_AND_HASH}") }))
    }

    /// Compares in constant time. Takes milliseconds, and megabytes of memory, if [`Credential::is_slow`].
    pub(super) fn matches(&self, sent: &str) -> bool {
        match &self.0 {
            Form::Empty => true,
            // Digests, because a comparison of texts of different length reveals the length.
            Form::Plain(text) => bool::from(Sha256::digest(text.expose()).ct_eq(&Sha256::digest(sent))),
            Form::Sha256(digest) => bool::from(Sha256::digest(sent).as_slice().ct_eq(digest)),
            Form::Argon2(phc) => Argon2Hash::parse(phc).is_some_and(|hash| hash.matches(sent)),
        }
    }

    /// Distinguishes this credential from others in the digests of verified passwords.
    pub(super) fn identity(&self) -> &[u8] {
        match &self.0 {
            Form::Empty => b"",
            Form::Plain(text) => text.expose().as_bytes(),
            Form::Sha256(digest) => digest,
            Form::Argon2(phc) => phc.as_bytes(),
        }
    }
}

/// The parameters of [`hash_password`].
const DECOY_PARAMETERS: &str = "$argon2id$v=19$m=19456,t=2,p=1";

/// 16 and 32 bytes of text.
const DECOY_SALT_AND_HASH: &str = "$bXR4LXNpZGVjYXIgc2FsdA$bm8gcGFzc3dvcmQgaGFzIHRoaXMgaGFzaCAgICAgICA";

thread_local! {
    /// argon2's working memory, kept by the few threads that verify: freed after each verification, glibc's arenas
    /// would hold three times as much.
    static BLOCKS: RefCell<Vec<Block>> = const { RefCell::new(vec![]) };
}

/// Largest working memory that is kept, in blocks of 1 KiB.
const KEPT_BLOCKS: usize = 64 << 10;

/// What a verification needs, read out of a PHC string.
struct Argon2Hash {
    argon2: Argon2<'static>,
    blocks: usize,
    salt: Vec<u8>,
    expected: Vec<u8>,
}

impl Argon2Hash {
    /// None if the text is not a PHC string of argon2 that can be verified: with parameters, salt and hash.
    fn parse(phc: &str) -> Option<Self> {
        let hash = PasswordHash::new(phc).ok()?;
        let algorithm = Algorithm::new(hash.algorithm.as_str()).ok()?;
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let (salt, expected) = (hash.salt.as_ref()?.as_ref().to_vec(), hash.hash.as_ref()?.as_bytes().to_vec());
        let blocks = params.block_count();
        let argon2 = Argon2::new(algorithm, version, params);
        (salt.len() >= MIN_SALT_LEN).then_some(Argon2Hash { argon2, blocks, salt, expected })
    }

    fn matches(&self, sent: &str) -> bool {
        let mut found = vec![0; self.expected.len()];
        let filled = BLOCKS.with_borrow_mut(|memory| {
            memory.resize(memory.len().max(self.blocks), Block::new());
            let memory_of_this = &mut memory[..self.blocks];
            let filled =
                self.argon2.hash_password_into_with_memory(sent.as_bytes(), &self.salt, &mut found, memory_of_this);
            if memory.len() > KEPT_BLOCKS {
                *memory = vec![];
            }
            filled
        });
        filled.is_ok() && bool::from(found.ct_eq(&self.expected))
    }
}

/// Hashes a password with argon2id and the parameters that OWASP recommends (19 MiB, 2 passes). The result is a value
/// for `pass:` in sidecar.yml and in mediamtx.yml.
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
    fn each_form_accepts_the_right_password_and_no_other() {
        let argon2 = hash_password("s3cret").expect("hashes");
        let sha256 = format!("sha256:{}", STANDARD.encode(Sha256::digest("s3cret")));
        for form in ["s3cret", &sha256, &argon2] {
            let credential = Credential::parse(form).expect("a form");
            assert!(credential.matches("s3cret"));
            for wrong in ["", "s3cre", "s3cret ", "S3cret", form] {
                assert!(wrong == "s3cret" || !credential.matches(wrong), "{credential:?} accepted {wrong:?}");
            }
            assert!(!format!("{credential:?}").contains("cret"));
        }
        assert!(Credential::default().matches("anything"), "an empty password means any, as in MediaMTX");
        // From src/test.c of the reference implementation, https://github.com/P-H-C/phc-winner-argon2.
        let reference = "argon2:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let reference = Credential::parse(reference).expect("a hash of the reference implementation");
        assert!(reference.matches("password") && !reference.matches("passwords"));
    }

    #[test]
    fn the_decoy_costs_as_much_as_the_hash_of_a_user() {
        let (hash, cheap) = (
            hash_password("s3cret").expect("hashes"),
            "argon2:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        );
        assert!(hash.starts_with(&format!("argon2:{DECOY_PARAMETERS}$")), "{hash}");
        for (like, parameters) in
            [(None, DECOY_PARAMETERS), (Some(&*hash), DECOY_PARAMETERS), (Some(cheap), "$argon2id$v=19$m=256,t=2,p=1")]
        {
            let decoy = Credential::decoy(like.map(|like| Credential::parse(like).expect("a hash")).as_ref());
            let Form::Argon2(phc) = &decoy.0 else { panic!("not a hash") };
            assert!(phc.starts_with(&format!("{parameters}$")) && Argon2Hash::parse(phc).is_some(), "{phc}");
            assert!(!decoy.matches("") && !decoy.matches("s3cret"));
        }
    }

    #[test]
    fn malformed_hashes_are_refused_and_not_repeated_in_the_error() {
        for text in [
            "sha256:short",
            "sha256:",
            "argon2:",
            "argon2:plain",
            "argon2:$scrypt$ln=1$c2FsdHNhbHQ$aGFzaA",
            // No hash, no salt, a salt that is too short, memory below 8 blocks for each lane.
            "argon2:$argon2id$v=19$m=4096,t=3,p=1$c2FsdEl0V2l0aFNhbHQ",
            "argon2:$argon2id$v=19$m=4096,t=3,p=1",
            "argon2:$argon2id$v=19$m=4096,t=3,p=1$c2FsdA$RdescudvJCsgt3ub+b3dWRWJTmaaJObG",
            "argon2:$argon2id$v=19$m=4,t=3,p=1$c2FsdEl0V2l0aFNhbHQ$RdescudvJCsgt3ub+b3dWRWJTmaaJObG",
        ] {
            let error = Credential::parse(text).expect_err(text);
            assert!(error.contains("must be followed by"), "{error}");
        }
    }
}
