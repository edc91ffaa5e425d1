//! A report as a file of JSON.

use std::path::Path;

use anyhow::{Context, Result};
use noesis_files::BY_UMASK;
use serde::Serialize;

use super::error::LocalError;

/// Checks that the file that a flag names, where it does, can be made: before the work, rather than after an hour.
pub fn check(flag: &'static str, path: Option<&Path>) -> Result<(), LocalError> {
    match path {
        Some(path) if !writable(path) => Err(LocalError::NoReport {
            flag,
            path: path.into(),
        }),
        _ => Ok(()),
    }
}

/// Whether a file can be made there.
fn writable(path: &Path) -> bool {
    let absolute = std::path::absolute(path).ok();
    let folder = absolute.as_deref().and_then(Path::parent);
    path.file_name().is_some() && !path.is_dir() && folder.is_some_and(Path::is_dir)
}

/// Writes the report, whole or not at all.
pub fn write(path: &Path, report: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    noesis_files::write(path, text.as_bytes(), BY_UMASK).with_context(|| {
        format!(
            "cannot write the report {}: give a path in a folder that exists",
            path.display()
        )
    })
}
