//! The folder of a checkpoint: one program's at a time.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use super::CheckpointError;

/// A folder that is ours for as long as this lives. Another program that wants it is refused.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whether it was not there before.
    made: bool,
    _lock: File,
}

impl Folder {
    /// Takes the folder, which is made if need be.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::InUse`] when another program has it, [`CheckpointError::File`] when the
    /// system refuses.
    pub fn take(path: &Path) -> Result<Self, CheckpointError> {
        let made = !path.exists();
        let open = || {
            fs::create_dir_all(path)?;
            File::open(path)
        };
        let lock = open().map_err(|source| CheckpointError::File {
            path: path.to_owned(),
            verb: "written",
            source,
        })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CheckpointError::InUse {
                    path: path.to_owned(),
                })
            }
            // Some network file systems know no locks; there it is for the user to see to it.
            Err(TryLockError::Error(error)) => tracing::warn!(
                "the folder {} cannot be locked ({error}): let no other program write there",
                path.display()
            ),
        }
        Ok(Self {
            path: path.to_owned(),
            made,
            _lock: lock,
        })
    }
}

/// Who made a folder and wrote nothing into it leaves none behind.
impl Drop for Folder {
    fn drop(&mut self) {
        if self.made {
            // The system refuses where there is anything in it.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_and_free_again_afterwards() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("made/on/the/way");
        let held = Folder::take(&path).unwrap();
        let words = Folder::take(&path).unwrap_err().to_string();
        assert!(words.contains("--checkpoint"), "{words}");
        fs::write(path.join("model"), "kept").unwrap();
        drop(held);
        assert!(path.join("model").exists());
        Folder::take(&path).unwrap();
    }

    #[test]
    fn only_a_folder_that_it_made_and_left_empty_goes() {
        let place = tempfile::tempdir().unwrap();
        drop(Folder::take(place.path()).unwrap());
        assert!(place.path().exists(), "it was there before");
        let path = place.path().join("new");
        drop(Folder::take(&path).unwrap());
        assert!(!path.exists());
    }
}
