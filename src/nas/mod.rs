//! Folders on network storage that is asked by HTTP, without a mount. So far QNAP's File Station.

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
    /// The name that it has here.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub kind: NasKind,
    /// Where its web interface is, such as `https://nas.local`.
    pub url: String,
    /// A user of it, without 2-step verification, who may read the folder.
    pub user: String,
    /// The password.
    #[serde(default)]
    pub pass: Secret,
    /// The folder, such as `/Multimedia/Photos`.
    pub folder: String,
    /// The SHA-256 of its certificate, if that is its own; 64 hexadecimal digits.
    #[serde(default)]
    pub fingerprint: String,
}

/// What a NAS understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NasKind {
    /// QNAP's File Station.
    #[default]
    Qnap,
}

/// A file or folder there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// When it was changed last, in seconds since the epoch; 0 if that is not told.
    pub modified: u64,
}

/// A part of a folder's content.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// How many entries the folder has.
    pub total: usize,
    /// How many of them this part spans; some may be left out.
    pub spans: usize,
    /// In the NAS's order: folders first, by name.
    pub items: Vec<Item>,
}

/// One folder on a NAS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Nas(Arc<Qnap>);

impl Nas {
    /// Nothing is asked of it yet.
    pub fn new(settings: &NasSettings, fetch: &Fetch) -> Result<Self> {
        if settings.user.is_empty() {
            return Err(Error::parameter("user", "is needed"));
        }
        if !settings.folder.starts_with('/') || settings.folder.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(Error::parameter("folder", "must be like /Multimedia/Photos"));
        }
        match settings.kind {
            NasKind::Qnap => Ok(Nas(Arc::new(Qnap::new(settings, fetch)?))),
        }
    }

    /// What is not as it should be although it works: a password that goes over the network in clear.
    pub fn warning(&self) -> Option<&'static str> {
        self.0.is_plain().then_some("the password goes to the NAS unencrypted: use its https:// address")
    }

    /// A part of a folder: `limit` entries from the `start`th on. The path is below the settings' folder, without a slash
    /// in front.
    pub async fn list(&self, path: &str, start: usize, limit: usize) -> Result<Page> {
        self.0.list(path, start, limit).await
    }

    /// The content of a file; all of it, or what a `Range` header (RFC 9110, section 14.2) asks for.
    pub async fn open(&self, path: &str, range: Option<&str>) -> Result<Response> {
        self.0.open(path, range).await
    }

    /// A small picture of a picture, as the NAS has made it.
    pub async fn thumbnail(&self, path: &str) -> Result<bytes::Bytes> {
        self.0.thumbnail(path).await
    }
}

/// All NAS folders, by name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AllNas(Arc<BTreeMap<String, Nas>>);

impl AllNas {
    /// Those of the settings; the error begins with the key.
    pub fn new(settings: &[NasSettings], fetch: &Fetch) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (i, settings) in settings.iter().enumerate() {
            let wrong = |rule: String| Error::new(Code::InvalidDefinition, format!("media.nas[{i}].{rule}"));
            let name = &settings.name;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
                return Err(wrong("name: must be of letters, digits, _ and -".into()));
            }
            let nas = Nas::new(settings, fetch).map_err(|e| wrong(e.to_string()))?;
            if let Some(warning) = nas.warning() {
                tracing::warn!("media.nas[{i}]: {warning}");
            }
            if all.insert(name.clone(), nas).is_some() {
                return Err(wrong(format!("name: there is another one of the name {name}")));
            }
        }
        Ok(AllNas(Arc::new(all)))
    }

    /// The folder of that name.
    pub fn get(&self, name: &str) -> Option<&Nas> {
        self.0.get(name)
    }

    /// Names and folders.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Nas)> {
        self.0.iter()
    }
}
