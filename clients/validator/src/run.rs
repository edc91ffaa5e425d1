//! The loop: discover, step, and give out scores, until told to stop.

use crate::{
    discover::Candidate,
    events::Event,
    learner::Diverged,
    market::{Scores, View, Vote},
    validator::{Step, Validator},
};
use noesis_model::{checkpoint::pause_after, Batch, CheckpointError};
use noesis_neuron::Hotkey;
use std::{
    future::Future,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

mod attending;

use attending::Attending;

/// Steps in a row that may fail before the run does: one batch may be to blame for one, and parameters that are not finite
/// for all.
const MOST_DIVERGED: u32 = 20;

/// Why a run ended that was not told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The last checkpoint could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What was learned is of no use, and was not saved.
    #[error("parameters are not finite any more, and were not saved: the checkpoint is of the last step at which they were; go on from it with a lower --rate, or start anew in another folder")]
    NotFinite,
    /// Nothing is learned any more. The checkpoint is of before.
    #[error(transparent)]
    Diverged(#[from] Diverged),
}

/// Whom to attend to.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Who attends: nobody to itself.
    pub ourselves: Hotkey,
    /// Most peers at a time.
    pub places: usize,
    /// Share of the places for those that are not the best, in turn.
    pub exploration: f64,
    /// Least time from one step to the next, with or without peers: a small model on a fast machine would ask them hundreds of
    /// times a second, and know its own data by heart before they have shown what they are worth.
    pub every: Duration,
}

/// When a run ends by itself, and what is measured then.
#[derive(Debug, Default)]
pub struct End {
    /// After so many steps in all.
    pub steps: Option<u64>,
    /// Examples that nobody learned from or was scored by.
    pub held_out: Vec<Batch>,
}

/// The ends of the channels to whoever talks to the chain.
pub struct Connections {
    /// The market as last seen.
    pub view: watch::Receiver<Option<Arc<View>>>,
    /// Where scores go.
    pub scores: watch::Sender<Scores>,
    /// Votes that were accepted.
    pub votes: mpsc::Receiver<Vote>,
}

/// Steps until `stop` is ready or `end` is reached; writes a checkpoint after each step, unless it left parameters that are
/// not finite, and at the end. Where a step is so short that checkpoints would take more than a tenth of the time, some
/// steps go without: a crash then costs what was learned in about ten times what a checkpoint takes, some tenths of a
/// second, and the current step ([`pause_after`]).
///
/// Without a view, peers or answers the local model goes on training alone. `progress` is told of each step.
///
/// # Errors
///
/// [`RunError`] when the last checkpoint cannot be written, or step after step fails; single failures are logged and the
/// work goes on.
pub async fn run(
    validator: &mut Validator,
    connections: Connections,
    attention: Attention,
    checkpoint: &Path,
    end: End,
    stop: impl Future<Output = ()>,
    mut progress: impl FnMut(&Step, &[Candidate]),
) -> Result<(), RunError> {
    let mut stop = pin!(stop);
    let (mut stopped, mut failed) = (false, 0);
    let Connections {
        view,
        scores,
        mut votes,
    } = connections;
    let mut attending = Attending::new(attention, view);
    let mut next_checkpoint = Instant::now();
    // Scores that a checkpoint held count at once.
    scores.send_replace(validator.scores());
    let unfinished = |step: u64| end.steps.is_none_or(|steps| step < steps);
    while unfinished(validator.learner().step_count()) {
        let begun = Instant::now();
        attending.look(validator);
        while let Ok(Vote { epoch, weights }) = votes.try_recv() {
            validator.events().write(&Event::Weights { epoch, weights });
        }
        let step = tokio::select! {
            biased;
            () = &mut stop => {
                stopped = true;
                break;
            }
            step = validator.step(attending.peers()) => step,
        };
        // After each: who misses assessments loses its score even where none is finished, since nobody answers.
        scores.send_replace(validator.scores());
        match step {
            Ok(step) => {
                failed = 0;
                if step.assessed {
                    if let Err(error) = validator.save_answers(checkpoint) {
                        tracing::error!("{error}");
                    }
                }
                let began = Instant::now();
                if began >= next_checkpoint {
                    if !validator.learner().is_finite() {
                        return Err(RunError::NotFinite);
                    }
                    // One that fails is no reason to stop: the next may succeed, and the last must.
                    if let Err(error) = validator.save(checkpoint) {
                        tracing::error!("{error}");
                    }
                    next_checkpoint = Instant::now() + pause_after(began.elapsed());
                }
                progress(&step, attending.peers());
            }
            Err(diverged) => {
                tracing::warn!("{diverged}");
                failed += 1;
                if failed >= MOST_DIVERGED {
                    return Err(diverged.into());
                }
            }
        }
        tokio::select! {
            biased;
            () = &mut stop => {
                stopped = true;
                break;
            }
            () = tokio::time::sleep(attention.every.saturating_sub(begun.elapsed())) => {}
        }
    }
    if !validator.learner().is_finite() {
        return Err(RunError::NotFinite);
    }
    validator.save(checkpoint)?;
    // What may take minutes comes when all is safe, and not where somebody waits for the end.
    if !stopped && !end.held_out.is_empty() {
        let measured = async {
            attending.seen(validator).await;
            let peers = attending.peers();
            validator.hold_out(peers, &end.held_out).await;
        };
        tokio::select! {
            biased;
            () = &mut stop => {}
            () = measured => {}
        }
    }
    Ok(())
}
