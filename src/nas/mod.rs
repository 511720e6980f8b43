//! Folders on network storage (NAS) that is read by HTTP, without a mount. Today QNAP's File Station.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod answer;
mod qnap;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use self::qnap::Qnap;
use crate::{
    error::{Code, Error, Result},
    fetch::{Fetch, Response},
    secret::Secret,
};

/// A folder on a NAS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NasSettings {
    /// Its name here.
    pub name: String,
    /// Its kind.
    #[serde(default)]
    pub kind: NasKind,
    /// The URL of its web interface, such as `https://nas.local`.
    pub url: String,
    /// A user without 2-step verification who can read the folder.
    pub user: String,
    /// The password.
    #[serde(default)]
    pub pass: Secret,
    /// The folder, such as `/Multimedia/Photos`.
    pub folder: String,
    /// The SHA-256 of its self-signed certificate: 64 hexadecimal digits; empty for a certificate of a known authority.
    #[serde(default)]
    pub fingerprint: String,
}

/// The API of a NAS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NasKind {
    /// QNAP's File Station.
    #[default]
    Qnap,
}

/// A file or folder on a NAS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Its size in bytes; 0 for a folder.
    pub size: u64,
    /// The time of its last change, in seconds since the epoch; 0 if it is unknown.
    pub modified: u64,
}

/// A part of the entries of a folder.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The number of all entries.
    pub total: usize,
    /// The number of entries in this part, including entries that are left out.
    pub spans: usize,
    /// The entries, in the order of the NAS: folders first, by name.
    pub items: Vec<Item>,
}

/// One folder on a NAS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Nas(Arc<Qnap>);

impl Nas {
    /// Checks the settings. The first request is made later.
    pub fn new(settings: &NasSettings, fetch: &Fetch) -> Result<Self> {
        if settings.user.is_empty() {
            return Err(Error::parameter("user", "is required"));
        }
        if !settings.folder.starts_with('/') || settings.folder.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(Error::parameter("folder", "must be like /Multimedia/Photos"));
        }
        match settings.kind {
            NasKind::Qnap => Ok(Nas(Arc::new(Qnap::new(settings, fetch)?))),
        }
    }

    /// A warning about settings that work: a password that goes over the network unencrypted.
    pub fn warning(&self) -> Option<&'static str> {
        self.0.is_plain().then_some("the password goes to the NAS unencrypted: use its https:// address")
    }

    /// A part of the entries of a folder: `limit` entries from number `start` on. The path is below the folder of the settings, without a
    /// slash at the start.
    pub async fn list(&self, path: &str, start: usize, limit: usize) -> Result<Page> {
        self.0.list(path, start, limit).await
    }

    /// The content of a file, or the part that a `Range` header selects (RFC 9110, section 14.2).
    pub async fn open(&self, path: &str, range: Option<&str>) -> Result<Response> {
        self.0.open(path, range).await
    }

    /// The thumbnail that the NAS has made of a picture.
    pub async fn thumbnail(&self, path: &str) -> Result<bytes::Bytes> {
        self.0.thumbnail(path).await
    }
}

/// All folders on NAS, by name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AllNas(Arc<BTreeMap<String, Nas>>);

impl AllNas {
    /// The folders of the settings. The error begins with the key.
    pub fn new(settings: &[NasSettings], fetch: &Fetch) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (i, settings) in settings.iter().enumerate() {
            let wrong = |rule: String| Error::new(Code::InvalidDefinition, format!("media.nas[{i}].{rule}"));
            let name = &settings.name;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
                return Err(wrong("name: must have only letters, digits, _ and -".into()));
            }
            let nas = Nas::new(settings, fetch).map_err(|e| wrong(e.to_string()))?;
            if let Some(warning) = nas.warning() {
                tracing::warn!("media.nas[{i}]: {warning}");
            }
            if all.insert(name.clone(), nas).is_some() {
                return Err(wrong(format!("name: another entry has the name {name}")));
            }
        }
        Ok(AllNas(Arc::new(all)))
    }

    /// The folder of this name.
    pub fn get(&self, name: &str) -> Option<&Nas> {
        self.0.get(name)
    }

    /// Names and folders.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Nas)> {
        self.0.iter()
    }
}
