//! Files that are whole or not there: written under another name beside the old one, brought to the disk, and then
//! renamed over it, or linked where there must be no old one. Whatever happens meanwhile, a reader finds the old file or the
//! new one, and after a power cut too.
//!
//! Programs that write the same file at once each have another name of their own: the last one wins, whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Permissions of a file for whomever the user's umask lets read it.
pub const BY_UMASK: u32 = 0o666;
/// Permissions of a file that its owner alone reads.
pub const OWNER_ALONE: u32 = 0o600;

/// What stands behind the name of a file that is not yet whole.
const UNFINISHED: &str = ".writing";

/// Writes a file in a folder that is there: at `path` lies afterwards the new one, with these permissions, or still the old
/// one.
///
/// # Errors
///
/// What the system says; it does not say of which file.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    Written::at(path, &own_ending(), bytes, mode)?.rename()
}

/// Writes a new file in a folder that is there: at `path` lies afterwards the file, with these permissions, or nothing.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] where there is a file of that name, which is left as it is; else what the system says.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let written = Written::at(path, &own_ending(), bytes, mode)?;
    // Fails where there is a file already; a rename would overwrite it.
    let linked = fs::hard_link(&written.unfinished, path);
    name_new(path, bytes, mode, linked)?;
    drop(written);
    let synced = sync_folder(path);
    if synced.is_err() {
        // Who is told that it failed must be able to try again.
        let _ = fs::remove_file(path);
    }
    synced
}

/// Sees to it that a new file lies at `path`, by what came of linking it there: file systems without links (FAT, many
/// network shares) have it written instead. Only a program that is killed meanwhile leaves half of it there.
fn name_new(path: &Path, bytes: &[u8], mode: u32, linked: io::Result<()>) -> io::Result<()> {
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => create(path, bytes, mode),
        linked => linked,
    }
}

/// What stands behind the name of a file that this program has not yet made whole.
fn own_ending() -> String {
    format!(".{}{UNFINISHED}", std::process::id())
}

/// Writes a file that was not there, and brings it to the disk; where that fails, nothing is left of it.
fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Brings the name of a file to the disk, which its folder holds.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// A file that is whole and on the disk, but not yet under its name. Dropped, it is gone.
#[derive(Debug)]
#[must_use]
pub struct Written {
    path: PathBuf,
    /// Where it lies until then.
    unfinished: PathBuf,
}

impl Written {
    /// Writes what is to lie at `path`, with these permissions. The other name is the same each time, so that a program that
    /// writes large files and is killed again and again leaves one of them: no two may write the same file at once.
    ///
    /// # Errors
    ///
    /// What the system says; then nothing is left of it.
    pub fn beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Self> {
        Self::at(path, UNFINISHED, bytes, mode)
    }

    fn at(path: &Path, ending: &str, bytes: &[u8], mode: u32) -> io::Result<Self> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(ending);
        let unfinished = PathBuf::from(unfinished);
        // What a program that was killed left, whoever could read it.
        let _ = fs::remove_file(&unfinished);
        create(&unfinished, bytes, mode)?;
        Ok(Self {
            path: path.to_owned(),
            unfinished,
        })
    }

    /// Gives it its name, in the place of what had it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn rename(self) -> io::Result<()> {
        fs::rename(&self.unfinished, &self.path)?;
        sync_folder(&self.path)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // After the rename there is none.
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_takes_the_place_of_the_old_one_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        for words in ["old, and longer", "new"] {
            write(&path, words.as_bytes(), BY_UMASK).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), words);
        }
        assert_eq!(names(folder.path()), ["file.json"]);
    }

    #[test]
    fn what_a_killed_program_left_is_written_anew_and_shown_to_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let left = folder.path().join("secret.writing");
        fs::write(&left, "half of it, for all to read").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
        let written = Written::beside(&path, b"whole", OWNER_ALONE).unwrap();
        written.rename().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["secret"]);
    }

    #[test]
    fn where_it_cannot_be_written_nothing_is_changed_or_left() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write(&taken, b"a file for a folder", BY_UMASK).is_err());
        assert!(write(&folder.path().join("none/file"), b"", BY_UMASK).is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    fn a_new_file_is_written_over_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new(&path, b"first", OWNER_ALONE).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = write_new(&path, b"second", OWNER_ALONE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["key"]);
    }

    #[test]
    fn where_a_file_system_has_no_links_a_new_file_is_written_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let without = || -> io::Result<()> { Err(io::ErrorKind::Unsupported.into()) };
        name_new(&path, b"first", OWNER_ALONE, without()).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // And never over another.
        for linked in [without(), Err(io::ErrorKind::AlreadyExists.into())] {
            let error = name_new(&path, b"second", OWNER_ALONE, linked).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn until_it_is_renamed_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"old", BY_UMASK).unwrap();
        let written = Written::beside(&path, b"new", BY_UMASK).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(written);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["file"]);
    }
}
