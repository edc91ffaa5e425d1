//! A report as a file of JSON.

use std::{io::Write, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

/// Whether a file can be made there: known before the work, rather than after an hour.
pub fn writable(path: &Path) -> bool {
    let absolute = std::path::absolute(path).ok();
    let folder = absolute.as_deref().and_then(Path::parent);
    path.file_name().is_some() && !path.is_dir() && folder.is_some_and(Path::is_dir)
}

/// Writes the report, whole or not at all.
pub fn write(path: &Path, report: &impl Serialize) -> Result<()> {
    let write = || -> Result<()> {
        let mut name = path.file_name().context("it names no file")?.to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let mut file = std::fs::File::create(&temporary)?;
        serde_json::to_writer_pretty(&mut file, report)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(std::fs::rename(&temporary, path)?)
    };
    write().with_context(|| {
        format!(
            "cannot write the report {}: give a path in a folder that exists",
            path.display()
        )
    })
}
