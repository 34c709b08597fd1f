//! What the manifest keeps beside files: calibrations, and of a named snapshot when it was taken.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::catalog::channel::Channel;
use crate::error::{Error, Result};
use crate::search::calibrate::Calibration;

/// The manifest's `settings`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    #[serde(default)]
    pub(crate) calibrations: BTreeMap<Channel, Calibration>,
    /// Of a named snapshot: seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) taken: Option<u64>,
}

impl Settings {
    pub(crate) fn read(value: &serde_json::Value, path: &Path) -> Result<Self> {
        if value.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(value.clone())
            .map_err(|error| Error::damaged(path.join("MANIFEST"), format!("its settings: {error}")))
    }

    pub(crate) fn write(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|error| Error::Internal { detail: format!("encoding settings: {error}") })
    }
}
