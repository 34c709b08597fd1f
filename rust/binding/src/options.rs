//! What `Library.open` takes, as JSON.

use std::time::Duration;

use pixr::Error;
use pixr::library::{Access, Durability, Limits, Options};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenOptions {
    access: String,
    #[serde(default)]
    lock_timeout: f64,
    #[serde(default)]
    sync: Option<String>,
    #[serde(default)]
    snapshot: Option<String>,
    #[serde(default)]
    limits: OpenLimits,
}

/// Those of `pixr.Limits`, each the engine's own where it is null.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OpenLimits {
    writer_memory: Option<u64>,
    log_bytes: Option<u64>,
    parts: Option<usize>,
    cursor_snapshots: Option<usize>,
    cursor_seconds: Option<f64>,
    cursor_bytes: Option<u64>,
}

pub(crate) fn parse_options(json: &str) -> Result<Options, Error> {
    let invalid = |detail: String| Error::InvalidQuery { detail };
    let given: OpenOptions = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
    let access = match given.access.as_str() {
        "create" => Access::Create,
        "write" => Access::Write,
        "read" => Access::Read,
        other => return Err(invalid(format!("access is {other:?}, expected create, write or read"))),
    };
    let durability = match given.sync.as_deref() {
        None | Some("always") => Durability::Always,
        Some("group") => Durability::Group,
        Some("none") => Durability::None,
        Some(other) => return Err(invalid(format!("sync is {other:?}, expected always, group or none"))),
    };
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value).map_err(|error| invalid(format!("{name} is {value}: {error}")))
    };
    let (limits, own) = (given.limits, Limits::default());
    Ok(Options {
        access,
        lock_timeout: seconds("lock_timeout", given.lock_timeout)?,
        durability,
        limits: Limits {
            writer_memory: limits.writer_memory.unwrap_or(own.writer_memory),
            log_bytes: limits.log_bytes.unwrap_or(own.log_bytes),
            parts: limits.parts.unwrap_or(own.parts),
            cursor_snapshots: limits.cursor_snapshots.unwrap_or(own.cursor_snapshots),
            cursor_age: limits.cursor_seconds.map_or(Ok(own.cursor_age), |given| seconds("cursor_seconds", given))?,
            cursor_bytes: limits.cursor_bytes.unwrap_or(own.cursor_bytes),
        },
        snapshot: given.snapshot,
    })
}
