//! The checkpoint: the learner's tensors and the ledger, whole or not at all.

use crate::{
    copies::{Copies, SavedPair},
    learner::{Learner, LearnerConfig},
    ledger::{Ledger, Standing},
};
use noesis_model::{checkpoint, tch::Device, Checkpoint, CheckpointError, ConfigError};
use noesis_neuron::Hotkey;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file in the folder of `--checkpoint`.
pub const FILE: &str = "validator.safetensors";

/// What is kept beside the tensors.
#[derive(Serialize, Deserialize)]
struct Saved {
    learner: LearnerConfig,
    /// Bytes of text that it trained on; 0: not known.
    #[serde(default)]
    own_bytes: usize,
    /// Examples of the kept-apart ones used so far.
    position: usize,
    /// Hotkeys of the peers that have a part.
    peers: Vec<String>,
    standings: Vec<SavedStanding>,
    /// What is known of pairs of peers.
    #[serde(default)]
    pairs: Vec<SavedPair>,
    /// Whether the student has something to learn from the network.
    #[serde(default)]
    network_leads: bool,
}

#[derive(Serialize, Deserialize)]
struct SavedStanding {
    hotkey: String,
    standing: Standing,
}

/// What a checkpoint holds beside the learner.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What is known of the peers.
    pub ledger: Ledger,
    /// Which of them are one.
    pub copies: Copies,
    /// Examples of the kept-apart ones used so far.
    pub position: usize,
    /// Bytes of text that it trained on; 0: not known.
    pub own_bytes: usize,
}

/// Why there is no learner to be had from a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No file.
    #[error("there is no checkpoint {0}: name the folder of a validator's --checkpoint")]
    Missing(PathBuf),
    /// It cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its sizes describe no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Writes everything to `path`, atomically.
///
/// # Errors
///
/// [`CheckpointError::File`] when the system refuses.
pub fn save(path: &Path, learner: &Learner, state: &State) -> Result<(), CheckpointError> {
    let saved = Saved {
        learner: learner.config().clone(),
        own_bytes: state.own_bytes,
        position: state.position,
        peers: learner.peers().iter().map(hex::encode).collect(),
        standings: (state.ledger.standings())
            .map(|(hotkey, standing)| SavedStanding {
                hotkey: hex::encode(hotkey),
                standing: standing.clone(),
            })
            .collect(),
        pairs: state.copies.saved(),
        network_leads: learner.network_leads(),
    };
    checkpoint::save(path, learner.step_count(), &saved, &learner.state())
}

/// Takes up what `path` holds; returns the rest of the state, or `None` where there is no checkpoint.
///
/// A student that was not there when it was written begins now.
///
/// # Errors
///
/// [`CheckpointError`] when the file is damaged, of a model of other sizes or of another seed, or has a student that the learner is to do
/// without: the next checkpoint would be without it. The learner is then to be thrown away.
pub fn load(path: &Path, learner: &mut Learner) -> Result<Option<State>, CheckpointError> {
    let Some(checkpoint) = checkpoint::load(path)? else {
        return Ok(None);
    };
    let saved: Saved = checkpoint.config()?;
    if saved.learner.model != learner.config().model {
        return Err(checkpoint.mismatch(format!(
            "it was made with {:?}, this run with {:?}",
            saved.learner.model,
            learner.config().model
        )));
    }
    // With another seed the kept-apart examples lie in another order: some would score peers twice, and others never.
    let (kept, wanted) = (saved.learner.seed, learner.config().seed);
    if kept != wanted {
        return Err(checkpoint.mismatch(format!(
            "it was begun with --seed {kept}, and this run has {wanted}: leave --seed out, or name another folder"
        )));
    }
    if saved.learner.student.is_some() && learner.student().is_none() {
        return Err(checkpoint.mismatch(
            "it has a student, which this run would lose: say --student, or name another folder"
                .into(),
        ));
    }
    restore(&checkpoint, saved, learner).map(Some)
}

/// The seed of the checkpoint at `path`, if there is one.
///
/// # Errors
///
/// [`CheckpointError`] when the file is damaged.
pub fn seed(path: &Path) -> Result<Option<u64>, CheckpointError> {
    let Some(checkpoint) = checkpoint::load(path)? else {
        return Ok(None);
    };
    let saved: Saved = checkpoint.config()?;
    Ok(Some(saved.learner.seed))
}

/// The learner of the checkpoint at `path`, with the settings it was made with, and the rest of the state.
///
/// # Errors
///
/// [`OpenError`] when there is none, or none that can be used.
pub fn open(path: &Path, device: Device) -> Result<(Learner, State), OpenError> {
    let checkpoint = checkpoint::load(path)?.ok_or_else(|| OpenError::Missing(path.to_owned()))?;
    let saved: Saved = checkpoint.config()?;
    let mut learner = Learner::new(saved.learner.clone(), device)?;
    let state = restore(&checkpoint, saved, &mut learner)?;
    Ok((learner, state))
}

fn restore(
    checkpoint: &Checkpoint,
    saved: Saved,
    learner: &mut Learner,
) -> Result<State, CheckpointError> {
    let peers = saved.peers.iter().map(|peer| hotkey(checkpoint, peer));
    let peers = peers.collect::<Result<Vec<Hotkey>, _>>()?;
    let standings = (saved.standings.into_iter())
        .map(|saved| Ok((hotkey(checkpoint, &saved.hotkey)?, saved.standing)))
        .collect::<Result<Vec<_>, CheckpointError>>()?;
    learner.resume_at(checkpoint.step, saved.network_leads, &peers);
    let mut tensors = learner.state();
    if saved.learner.student.is_none() && learner.student().is_some() {
        tracing::info!("the student begins now: the checkpoint has none");
        tensors.retain(|(name, _)| !name.starts_with("student"));
    }
    checkpoint.restore(&tensors)?;
    Ok(State {
        copies: Copies::restore(saved.pairs, |text| hotkey(checkpoint, text))?,
        ledger: Ledger::restore(standings),
        position: saved.position,
        own_bytes: saved.own_bytes,
    })
}

/// A hotkey as a checkpoint writes it.
///
/// # Errors
///
/// [`CheckpointError::Mismatch`] when it is none.
pub(crate) fn hotkey(checkpoint: &Checkpoint, text: &str) -> Result<Hotkey, CheckpointError> {
    let mut key: Hotkey = [0; 32];
    match hex::decode_to_slice(text, &mut key) {
        Ok(()) => Ok(key),
        Err(error) => Err(checkpoint.mismatch(format!("`{text}` is no hotkey: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::student::Distillation;

    fn learner(student: Option<Distillation>) -> Learner {
        let config = LearnerConfig {
            student,
            ..LearnerConfig::default()
        };
        Learner::new(config, Device::Cpu).unwrap()
    }

    #[test]
    fn a_run_goes_on_with_the_seed_of_its_checkpoint_and_with_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(seed(&path).unwrap(), None);
        let of = |seed| {
            let config = LearnerConfig {
                seed,
                ..LearnerConfig::default()
            };
            Learner::new(config, Device::Cpu).unwrap()
        };
        save(&path, &of(7), &State::default()).unwrap();
        assert_eq!(seed(&path).unwrap(), Some(7));
        assert!(load(&path, &mut of(7)).unwrap().is_some());
        let refused = load(&path, &mut of(8)).unwrap_err().to_string();
        assert!(refused.contains("--seed 7"), "{refused}");
    }

    /// The next checkpoint would be without it, and the one after that would replace the last that had it.
    #[test]
    fn a_run_without_a_student_does_not_go_on_from_a_checkpoint_with_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let with = || learner(Some(Distillation::default()));
        save(&path, &with(), &State::default()).unwrap();
        let refused = load(&path, &mut learner(None)).unwrap_err().to_string();
        assert!(refused.contains("--student"), "{refused}");
        assert!(load(&path, &mut with()).unwrap().is_some());

        save(&path, &learner(None), &State::default()).unwrap();
        assert!(
            load(&path, &mut with()).unwrap().is_some(),
            "it begins then"
        );
    }
}
