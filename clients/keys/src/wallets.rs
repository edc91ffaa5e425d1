//! The folder of the wallets: one folder a wallet, with its coldkey and its hotkeys.
//!
//! ```text
//! wallets/main/coldkey.json
//! wallets/main/hotkeys/miner.json
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{KeyFileError, READING},
    file::KeyFile,
};

const COLDKEY: &str = "coldkey.json";
const HOTKEYS: &str = "hotkeys";
const EXTENSION: &str = "json";
const LONGEST_NAME: usize = 64;

/// A folder of wallets, which need not exist.
#[derive(Clone, Debug)]
pub struct Wallets {
    folder: PathBuf,
}

/// A key of a wallet.
#[derive(Debug)]
pub struct Entry {
    /// The wallet.
    pub wallet: String,
    /// The hotkey's name, `None` for the coldkey.
    pub hotkey: Option<String>,
    /// Where it lies.
    pub path: PathBuf,
    /// The file, or what is wrong with it.
    pub file: Result<KeyFile, KeyFileError>,
}

impl Wallets {
    /// The wallets in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the coldkey of `wallet` lies, whether or not it is there.
    pub fn coldkey(&self, wallet: &str) -> Result<PathBuf, KeyFileError> {
        Ok(self.folder.join(checked(wallet)?).join(COLDKEY))
    }

    /// Where a hotkey of `wallet` lies, whether or not it is there.
    pub fn hotkey(&self, wallet: &str, name: &str) -> Result<PathBuf, KeyFileError> {
        Ok(self
            .folder
            .join(checked(wallet)?)
            .join(HOTKEYS)
            .join(format!("{}.{EXTENSION}", checked(name)?)))
    }

    /// Every key, in order of name, a coldkey before its hotkeys.
    pub fn list(&self) -> Result<Vec<Entry>, KeyFileError> {
        let mut entries = Vec::new();
        for wallet in names(&self.folder, |path| path.is_dir())? {
            let path = self.folder.join(&wallet).join(COLDKEY);
            if path.exists() {
                entries.push(entry(&wallet, None, path));
            }
            let folder = self.folder.join(&wallet).join(HOTKEYS);
            let is_key = |path: &Path| path.extension().is_some_and(|end| end == EXTENSION);
            for file in names(&folder, is_key)? {
                let path = folder.join(&file);
                let name = file.trim_end_matches(".json");
                entries.push(entry(&wallet, Some(name.into()), path));
            }
        }
        Ok(entries)
    }
}

fn entry(wallet: &str, hotkey: Option<String>, path: PathBuf) -> Entry {
    Entry {
        wallet: wallet.into(),
        hotkey,
        file: KeyFile::read(&path),
        path,
    }
}

/// The sorted names of what a folder holds; nothing where there is no folder.
fn names(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>, KeyFileError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let found = fs::read_dir(folder).map_err(KeyFileError::io(READING, folder))?;
    let mut names: Vec<String> = found
        .filter_map(Result::ok)
        .filter(|found| wanted(&found.path()))
        .filter_map(|found| found.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// A name that stays inside the folder and needs no quotes.
fn checked(name: &str) -> Result<&str, KeyFileError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let begins_well = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    match begins_well && name.len() <= LONGEST_NAME && name.chars().all(plain) {
        true => Ok(name),
        false => Err(KeyFileError::BadName { name: name.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        let wallets = Wallets::new("w");
        for name in ["", "..", "../x", "a/b", ".hidden", "a b", &"x".repeat(65)] {
            assert!(wallets.coldkey(name).is_err(), "{name}");
            assert!(wallets.hotkey("main", name).is_err(), "{name}");
        }
        let path = wallets.hotkey("main", "miner-1").unwrap();
        assert_eq!(path, Path::new("w/main/hotkeys/miner-1.json"));
    }

    #[test]
    fn every_key_is_listed_and_a_broken_one_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let wallets = Wallets::new(folder.path().join("wallets"));
        assert!(wallets.list().unwrap().is_empty());
        let key = KeyFile::seal("//Alice", "main", "password").unwrap();
        key.write(&wallets.coldkey("main").unwrap()).unwrap();
        let broken = wallets.hotkey("main", "miner").unwrap();
        crate::file::write_private(&broken, "{}").unwrap();
        let entries = wallets.list().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].hotkey, None);
        assert_eq!(entries[0].file.as_ref().unwrap().account(), key.account());
        assert_eq!(entries[1].hotkey.as_deref(), Some("miner"));
        let error = entries[1].file.as_ref().unwrap_err().to_string();
        assert!(error.contains("no whole key file"), "{error}");
    }
}
