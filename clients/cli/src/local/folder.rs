//! The folder of a network: nobody else's, and one network's at a time.

use std::{io::ErrorKind, path::Path};

use anyhow::Result;

use super::error::LocalError;

/// The file that marks a folder as a local network's.
const MARK: &str = ".noesis-localnet";

/// Checks that a folder is not there, empty, or a local network's.
pub fn check(folder: &Path) -> Result<(), LocalError> {
    let free = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none() || folder.join(MARK).exists(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    if free {
        return Ok(());
    }
    Err(LocalError::ForeignFolder {
        path: folder.into(),
    })
}

/// Makes the network's folder fresh and locks it for as long as the returned file lives.
///
/// Only what [`check`] lets through is touched, and in it only what is ours.
pub fn take(folder: &Path) -> Result<std::fs::File> {
    check(folder)?;
    std::fs::create_dir_all(folder)?;
    let lock = std::fs::File::create(folder.join(MARK))?;
    if lock.try_lock().is_err() {
        return Err(LocalError::FolderInUse {
            path: folder.into(),
        }
        .into());
    }
    for part in ["chain", "checkpoints", "logs"] {
        let path = folder.join(part);
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
    }
    std::fs::create_dir_all(folder.join("logs"))?;
    std::fs::create_dir_all(folder.join("checkpoints"))?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_folder_is_not_touched_and_a_taken_one_not_shared() {
        let folder = tempfile::tempdir().unwrap();
        let foreign = folder.path().join("logs");
        std::fs::create_dir(&foreign).unwrap();
        let error = take(folder.path()).unwrap_err();
        assert!(error.to_string().contains("--folder"), "{error}");
        assert!(foreign.exists());

        let ours = folder.path().join("net");
        let lock = take(&ours).unwrap();
        std::fs::write(ours.join("logs/old.log"), "old").unwrap();
        std::fs::write(ours.join("notes.txt"), "kept").unwrap();
        let error = take(&ours).unwrap_err();
        assert!(
            error.to_string().contains("another local network runs"),
            "{error}"
        );
        drop(lock);
        let _lock = take(&ours).unwrap();
        assert!(!ours.join("logs/old.log").exists(), "every start is fresh");
        assert!(ours.join("notes.txt").exists(), "what is not ours stays");
    }
}
