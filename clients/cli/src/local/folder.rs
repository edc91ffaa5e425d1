//! The folder of a network: nobody else's, and one network's at a time.

use std::{fs::TryLockError, io::ErrorKind, path::Path};

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
    check_lock(folder, lock.try_lock())?;
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

/// Whether the folder is ours, by what came of locking it.
fn check_lock(folder: &Path, outcome: Result<(), TryLockError>) -> Result<(), LocalError> {
    match outcome {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LocalError::FolderInUse {
                path: folder.into(),
            })
        }
        // Some network file systems know no locks; there it is for the user to see to it.
        Err(TryLockError::Error(error)) => eprintln!(
            "the folder {} cannot be locked ({error}): run no other local network there",
            folder.display()
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_file_system_has_no_locks_the_folder_is_taken_all_the_same() {
        let folder = Path::new("net");
        let without = TryLockError::Error(ErrorKind::Unsupported.into());
        check_lock(folder, Err(without)).unwrap();
        let error = check_lock(folder, Err(TryLockError::WouldBlock)).unwrap_err();
        assert!(matches!(error, LocalError::FolderInUse { .. }), "{error}");
    }

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
