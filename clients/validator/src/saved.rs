//! The checkpoint: the learner's tensors and the ledger, whole or not at all.

use crate::{
    learner::{Learner, LearnerConfig},
    ledger::{Ledger, Standing},
};
use noesis_model::{checkpoint, CheckpointError};
use noesis_neuron::Hotkey;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is kept beside the tensors.
#[derive(Serialize, Deserialize)]
struct Saved {
    learner: LearnerConfig,
    /// Examples of the kept-apart ones used so far.
    position: usize,
    /// Hotkeys of the peers that have a part.
    peers: Vec<String>,
    standings: Vec<SavedStanding>,
}

#[derive(Serialize, Deserialize)]
struct SavedStanding {
    hotkey: String,
    standing: Standing,
}

/// Writes everything to `path`, atomically.
///
/// # Errors
///
/// [`CheckpointError::File`] when the system refuses.
pub fn save(
    path: &Path,
    learner: &Learner,
    ledger: &Ledger,
    position: usize,
) -> Result<(), CheckpointError> {
    let saved = Saved {
        learner: learner.config().clone(),
        position,
        peers: learner.peers().iter().map(hex::encode).collect(),
        standings: (ledger.standings())
            .map(|(hotkey, standing)| SavedStanding {
                hotkey: hex::encode(hotkey),
                standing: standing.clone(),
            })
            .collect(),
    };
    checkpoint::save(path, learner.step_count(), &saved, &learner.state())
}

/// Takes up what `path` holds; returns the ledger and the position among the kept-apart examples, or `None` where
/// there is no checkpoint.
///
/// # Errors
///
/// [`CheckpointError`] when the file is damaged, or of a model of other sizes. The learner is then to be
/// thrown away.
pub fn load(
    path: &Path,
    learner: &mut Learner,
) -> Result<Option<(Ledger, usize)>, CheckpointError> {
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
    let hotkey = |text: &str| {
        let mut key: Hotkey = [0; 32];
        match hex::decode_to_slice(text, &mut key) {
            Ok(()) => Ok(key),
            Err(error) => Err(checkpoint.mismatch(format!("`{text}` is no hotkey: {error}"))),
        }
    };
    let peers: Result<Vec<Hotkey>, _> = saved.peers.iter().map(|peer| hotkey(peer)).collect();
    let standings: Result<Vec<_>, CheckpointError> = (saved.standings.into_iter())
        .map(|saved| Ok((hotkey(&saved.hotkey)?, saved.standing)))
        .collect();
    let standings = standings?;
    learner.resume_at(checkpoint.step, &peers?);
    checkpoint.restore(&learner.state())?;
    Ok(Some((Ledger::restore(standings), saved.position)))
}
