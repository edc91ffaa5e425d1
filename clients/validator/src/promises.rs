//! Rows that were committed to and are still to be shown, in a market that hides weights.
//!
//! [`Promises`] decides, [`Kept`] keeps them in a file, so that who starts again can still show its rows. The chain
//! has the last word: what the last finalized block does not tell (in which epoch a commitment was taken, whether
//! the next one has begun since) is tried, and its refusal costs nothing.

use market_primitives::Uid;
use noesis_chain::{ChainError, MarketError};
use noesis_files::BY_UMASK;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// One row that was committed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// Epochs that the market had begun when the commitment was sent. The chain counts it in this epoch, or in
    /// the next where that began meanwhile.
    pub epoch: u64,
    /// The row.
    pub weights: Vec<(Uid, u16)>,
    /// What hides it.
    pub salt: [u8; 32],
    /// Whether it may have been shown: the answer was lost.
    #[serde(default)]
    pub in_doubt: bool,
}

/// The rows to be shown, in the order in which they were committed to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promises(Vec<Promise>);

/// What becomes of a row after the chain refused to have it shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its epoch has not begun: it is shown when it has.
    Early,
    /// The chain could not be asked, or its answer was lost: it is shown again.
    Again,
    /// It was shown before, by a call whose answer was lost.
    Shown,
    /// It is shown no more.
    Lost,
}

impl Promises {
    /// Whether there is one of this epoch already: one an epoch counts.
    pub fn has(&self, epoch: u64) -> bool {
        self.0.iter().any(|promise| promise.epoch == epoch)
    }

    /// Those to be shown when so many epochs have begun, in a market that hides rows for `period` of them.
    pub fn due(&self, begun: u64, period: u32) -> Vec<Promise> {
        let due = |promise: &&Promise| promise.epoch.saturating_add(period.into()) <= begun;
        self.0.iter().filter(due).cloned().collect()
    }

    /// Gives up those whose epoch is over for certain when so many epochs have begun.
    pub fn give_up(&mut self, begun: u64, period: u32) -> Vec<Promise> {
        let over = |promise: &mut Promise| {
            let due = promise.epoch.saturating_add(period.into());
            // One more: the commitment may count in the epoch after.
            begun > due.saturating_add(1)
        };
        self.0.extract_if(.., over).collect()
    }

    /// Adds one.
    pub fn add(&mut self, promise: Promise) {
        self.0.push(promise);
    }

    /// Removes one.
    pub fn remove(&mut self, promise: &Promise) {
        self.0.retain(|other| other.salt != promise.salt);
    }

    /// Remembers that one may have been shown.
    pub fn doubt(&mut self, promise: &Promise) {
        let own = self.0.iter_mut().filter(|one| one.salt == promise.salt);
        own.for_each(|one| one.in_doubt = true);
    }
}

impl Refused {
    /// What the chain's error means for a row that was shown; `in_doubt`: an earlier call may have shown it.
    pub fn by(error: &ChainError, in_doubt: bool) -> Self {
        match error {
            ChainError::Market(MarketError::RevealTooEarly) => Self::Early,
            // What was shown is no longer waited for.
            ChainError::Market(MarketError::NothingCommitted) if in_doubt => Self::Shown,
            ChainError::Market(error) if !error.retryable() => Self::Lost,
            _ => Self::Again,
        }
    }
}

/// [`Promises`] that outlive the program.
#[derive(Debug)]
pub struct Kept {
    promises: Promises,
    path: PathBuf,
}

impl Kept {
    /// Takes up what the file holds. What is damaged is left out with a warning: a few rows are lost, no more.
    ///
    /// # Errors
    ///
    /// What the system says where there is a file that it does not let us read: it would be written over.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let promises = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(
                    "the commitments in {} are damaged ({error}): the rows behind them are not revealed",
                    path.display()
                );
                Promises::default()
            }
            other => other?,
        };
        Ok(Self { promises, path })
    }

    /// As they are.
    pub fn promises(&self) -> &Promises {
        &self.promises
    }

    /// Changes them, and the file where they did change. One that cannot be written is no reason to stop.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut Promises) -> R) -> R {
        let before = self.promises.clone();
        let result = change(&mut self.promises);
        if self.promises == before {
            return result;
        }
        if let Err(error) = write(&self.path, &self.promises) {
            tracing::warn!(
                "the commitments cannot be kept in {} ({error}): rows not yet revealed are lost when this program ends",
                self.path.display()
            );
        }
        result
    }
}

fn read(path: &Path) -> io::Result<Promises> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Promises::default()),
        Err(error) => Err(error),
    }
}

/// Has the file, its name too, on the disk before a commitment is sent.
fn write(path: &Path, promises: &Promises) -> io::Result<()> {
    noesis_files::write(path, &serde_json::to_vec(promises)?, BY_UMASK)
}

#[cfg(test)]
mod tests;
