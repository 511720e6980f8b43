//! Settings of the addresses that other programs expect.

use serde::{Deserialize, Serialize};

use crate::stream::StreamName;

/// The streams behind addresses without a stream name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AliasSettings {
    /// The streams that are served as `/webcam/`, `/webcam2/` and so on. The first is also `/?action=…`, `/stream`, `/snapshot`,
    /// `/state` and `/capture`.
    pub webcams: Vec<StreamName>,
}
