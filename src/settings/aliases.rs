//! Settings of addresses that other programs expect.

use serde::{Deserialize, Serialize};

use crate::stream::StreamName;

/// What is meant by addresses without a stream's name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AliasSettings {
    /// The streams that are `/webcam/`, `/webcam2/` and so on; the first is also `/?action=…`, `/stream`, `/snapshot`,
    /// `/state` and `/capture`.
    pub webcams: Vec<StreamName>,
}
