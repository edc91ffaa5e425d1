//! Rows that were committed to and are still to be shown, a file each in the wallet's folder. Without its file
//! a commitment is worth nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use noesis_chain::{AccountId, MarketId, Uid};
use noesis_keys::{write_private, KeyFileError};
use serde::{Deserialize, Serialize};

/// A row that was committed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which chain, by its first block.
    pub genesis: [u8; 32],
    /// Which market.
    pub market: MarketId,
    /// Who committed to it.
    pub hotkey: AccountId,
    /// Epochs that the market had begun then. The chain counts it in this epoch, or in the next where that
    /// began meanwhile.
    pub epoch: u64,
    /// The row.
    pub weights: Vec<(Uid, u16)>,
    /// What hides it.
    pub salt: [u8; 32],
}

impl Kept {
    /// Whether it can be shown in a market that has begun `begun` epochs, and takes a row `period` epochs after its
    /// commitment.
    pub fn due(&self, period: u64, begun: u64) -> Due {
        let first = self.epoch.saturating_add(period);
        // One more epoch: the commitment may count in the one after.
        match begun.checked_sub(first) {
            None => Due::Later(first),
            Some(0 | 1) => Due::Now,
            Some(_) => Due::Never,
        }
    }

    /// Writes it into `folder`. Returns the file.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, KeyFileError> {
        let name = format!("{}-{}.json", self.epoch, hex::encode(&self.salt[..8]));
        let path = folder.join(name);
        let text = serde_json::to_string(self).expect("numbers and lists are always JSON");
        write_private(&path, &text)?;
        Ok(path)
    }
}

/// Whether a row can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// From that epoch on.
    Later(u64),
    /// Now.
    Now,
    /// No more.
    Never,
}

/// The kept rows that are wanted, with their files: in order of epoch, and of one epoch in the order in which they were
/// written.
pub fn all(folder: &Path, wanted: impl Fn(&Kept) -> bool) -> Result<Vec<(PathBuf, Kept)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let cannot = || format!("cannot read {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(cannot)?;
        let written = fs::metadata(&path).and_then(|file| file.modified());
        let written = written.with_context(cannot)?;
        let kept: Kept = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is no row that was committed to: move it away",
                path.display()
            )
        })?;
        if wanted(&kept) {
            found.push((written, path, kept));
        }
    }
    found.sort_by_key(|(written, _, kept)| (kept.epoch, *written));
    let found = found.into_iter().map(|(_, path, kept)| (path, kept));
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn kept(epoch: u64) -> Kept {
        Kept {
            genesis: [1; 32],
            market: 0,
            hotkey: AccountId([2; 32]),
            epoch,
            weights: vec![(1, 65535), (4, 1)],
            salt: [epoch as u8; 32],
        }
    }

    #[test]
    fn of_one_epoch_the_row_that_was_written_last_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        // Whatever their names, and whatever order the folder is read in.
        for (salt, seconds) in [(3, 20), (1, 30), (2, 10)] {
            let row = Kept {
                salt: [salt; 32],
                ..kept(9)
            };
            let path = row.write(folder.path()).unwrap();
            let file = fs::File::options().write(true).open(path).unwrap();
            let written = UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(written).unwrap();
        }
        let found = all(folder.path(), |_| true).unwrap();
        let salts: Vec<_> = found.into_iter().map(|(_, kept)| kept.salt[0]).collect();
        assert_eq!(salts, [2, 3, 1]);
    }

    #[test]
    fn a_row_is_due_in_its_epoch_and_the_one_after() {
        let due = |begun| kept(9).due(2, begun);
        assert_eq!(due(9), Due::Later(11));
        assert_eq!(due(10), Due::Later(11));
        assert_eq!((due(11), due(12)), (Due::Now, Due::Now));
        assert_eq!(due(13), Due::Never);
    }

    #[test]
    fn a_kept_row_is_found_again_in_order_and_a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("commitments");
        assert!(all(&folder, |_| true).unwrap().is_empty());
        for epoch in [12, 9, 10] {
            kept(epoch).write(&folder).unwrap();
        }
        let found = all(&folder, |kept| kept.epoch < 12).unwrap();
        let rows: Vec<_> = found.into_iter().map(|(_, kept)| kept).collect();
        assert_eq!(rows, [kept(9), kept(10)]);

        fs::write(folder.join("13-x.json"), "{").unwrap();
        let error = all(&folder, |_| true).unwrap_err();
        assert!(error.to_string().contains("13-x.json"), "{error}");
    }
}
