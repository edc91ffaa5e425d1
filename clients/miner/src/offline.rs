//! Training without a chain: a progress bar, checkpoints on the way, the held-out loss at the end.

use std::{
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{bail, Result};
use indicatif::{ProgressBar, ProgressStyle};
use noesis_model::{checkpoint::pause_after, DataSet, Evaluation, Split, Trainer};
use noesis_telemetry::terminal::below_the_log;

use crate::events::{Event, Events};

/// Batches over which the held-out loss is taken.
const EVALUATION_BATCHES: u64 = 64;
/// Steps between two lines of progress where there is no terminal for a bar.
const STEPS_A_LINE: u64 = 250;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Steps in the checkpoint.
    pub step: u64,
    /// How it does on what is held out for evaluation.
    pub held_out: Evaluation,
    /// Whether any step was taken, or the checkpoint had them all.
    pub trained: bool,
}

/// Trains until `steps` have been taken in all, and writes the checkpoint to `path`.
///
/// # Errors
///
/// When training diverges, the checkpoint cannot be written, or `stop` says so: then what was
/// learned is kept, and the same call goes on from there.
pub fn train(
    trainer: &mut Trainer,
    data: &DataSet,
    steps: u64,
    (path, every): (&Path, Duration),
    events: &Events,
    stop: impl Fn() -> bool,
) -> Result<Outcome> {
    let trained = trainer.step_count() < steps;
    let bar = bar(steps, trainer.step_count());
    let mut pause = every;
    while trainer.step_count() < steps {
        let kept = Instant::now();
        trainer.train(data, steps, |progress| {
            let (step, loss) = (progress.step, progress.loss);
            events.record(&Event::Train { step, loss });
            bar.set_position(step);
            bar.set_message(format!("loss {loss:.3}"));
            if bar.is_hidden() && step % STEPS_A_LINE == 0 {
                tracing::info!("step {step} of {steps}, loss {loss:.3}");
            }
            if kept.elapsed() >= pause || stop() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        let begin = Instant::now();
        trainer.save(path)?;
        pause = every.max(pause_after(begin.elapsed()));
        let step = trainer.step_count();
        events.record(&Event::Checkpoint { step });
        if stop() && step < steps {
            bar.abandon();
            bail!("stopped at step {step} of {steps}; the same command goes on from there");
        }
    }
    bar.finish_and_clear();
    Ok(Outcome {
        step: trainer.step_count(),
        held_out: trainer.evaluate(data, Split::Evaluation, EVALUATION_BATCHES)?,
        trained,
    })
}

/// A bar on a terminal, and nothing elsewhere.
fn bar(steps: u64, done: u64) -> ProgressBar {
    let bar = below_the_log(ProgressBar::new(steps).with_position(done));
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} steps, {per_sec}, {eta} left, {msg}");
    bar.set_style(style.expect("the template is fixed"));
    // What was done before says nothing of how long the rest takes: it is taken note of, and no time with it.
    bar.tick();
    bar.reset_eta();
    bar
}
