//! Training on one's own data: a step at a time, resumable, the same for the same seed.
//!
//! The batch of step `n` depends on the seed and on `n` alone, and a checkpoint holds the parameters
//! and both moments of the optimizer. So a training that was interrupted goes on as if it had not
//! been: bit for bit, on one thread of one CPU.

use std::{ops::ControlFlow, path::Path};

use rand::{rngs::StdRng, SeedableRng};
use tch::{nn, no_grad, Device, Kind, TchError, Tensor};

use crate::{
    checkpoint::{self, Checkpoint, CheckpointError},
    data::{Batch, DataError, DataSet, Split},
    network::{cross_entropy, ConfigError, Network, NetworkConfig},
    optimizer::{trainable, AdamW},
    script::telling_line,
    seeded,
};

/// The settings of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    /// Examples a step.
    pub batch: usize,
    /// Highest learning rate.
    pub rate: f64,
    /// Steps over which the rate rises to it.
    pub warmup_steps: u64,
    /// Step at which the rate has fallen, along a cosine, to a twentieth of it; it stays there.
    pub decay_steps: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Norm to which gradients are clipped.
    pub clip: f64,
    /// Decides the initial parameters and every batch.
    pub seed: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            batch: 32,
            rate: 4e-3,
            warmup_steps: 50,
            decay_steps: 1500,
            weight_decay: 0.1,
            clip: 1.0,
            seed: 0,
        }
    }
}

impl TrainingConfig {
    /// The learning rate of a step, counted from 0.
    pub fn rate_at(&self, step: u64) -> f64 {
        const FLOOR: f64 = 0.05;
        if step < self.warmup_steps {
            return self.rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let span = self.decay_steps.saturating_sub(self.warmup_steps).max(1);
        let done = ((step - self.warmup_steps) as f64 / span as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.rate * (FLOOR + (1.0 - FLOOR) * cosine)
    }
}

/// Why a training stopped or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The sizes describe no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data gave no batch.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network itself failed, as a TorchScript module may. The parameters are those before the step.
    #[error("the model failed: {}; mend the module, or train the built-in one", telling_line(.0))]
    Model(#[from] TchError),
    /// The checkpoint could not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The loss is no number any more. The parameters are those before the step.
    #[error("the loss of step {step} is not finite: go back to an earlier checkpoint, or start anew with another --seed or --batch")]
    Diverged {
        /// Which step.
        step: u64,
    },
}

/// A step that was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps taken so far.
    pub step: u64,
    /// Loss of this step's batch before the step, in nats.
    pub loss: f64,
}

/// How a network does on data that it did not learn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean loss, in nats a token or an example.
    pub loss: f64,
    /// Share of the tokens or examples whose most likely class is the right one.
    pub accuracy: f64,
}

/// A network in training.
#[derive(Debug)]
pub struct Trainer {
    store: nn::VarStore,
    model: Network,
    optimizer: AdamW,
    /// Follows the gradients of others, whose scale has nothing to do with that of the own loss.
    feedback: AdamW,
    config: TrainingConfig,
    step: u64,
}

impl Trainer {
    /// A model with random parameters, decided by the seed.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the sizes describe no model.
    pub fn new(
        model: &NetworkConfig,
        config: TrainingConfig,
        device: Device,
    ) -> Result<Self, ConfigError> {
        let store = nn::VarStore::new(device);
        let model = seeded(config.seed, || Network::new(&store.root(), model))?;
        Ok(Self {
            optimizer: AdamW::of(&store, config.weight_decay),
            feedback: AdamW::of(&store, 0.0),
            step: 0,
            store,
            model,
            config,
        })
    }

    /// As [`Trainer::new`], then goes on from the checkpoint at `path` if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Trainer::new`]; a [`CheckpointError`] when the file is damaged or of another model.
    pub fn resume(
        path: &Path,
        model: &NetworkConfig,
        config: TrainingConfig,
        device: Device,
    ) -> Result<Self, TrainingError> {
        let mut trainer = Self::new(model, config, device)?;
        if let Some(checkpoint) = checkpoint::load(path)? {
            trainer.restore(&checkpoint)?;
        }
        Ok(trainer)
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Mismatch`] when it is of another model; then nothing has changed.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let saved: NetworkConfig = checkpoint.config()?;
        if saved != *self.model.config() {
            return Err(checkpoint.mismatch(format!(
                "it is of {saved:?} and this model is {:?}",
                self.model.config()
            )));
        }
        checkpoint.restore(&self.state())?;
        self.step = checkpoint.step;
        Ok(())
    }

    /// Writes all that [`Trainer::restore`] needs.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::File`] when the system refuses.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        checkpoint::save(path, self.step, self.model.config(), &self.state())
    }

    /// The parameters and the state of both optimizers.
    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = trainable(&self.store);
        state.extend(self.optimizer.state("optimizer"));
        state.extend(self.feedback.state("feedback"));
        state
    }

    /// The model.
    pub fn model(&self) -> &Network {
        &self.model
    }

    /// The store that holds its parameters.
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// The settings.
    pub fn config(&self) -> &TrainingConfig {
        &self.config
    }

    /// Number of values that training changes.
    pub fn parameter_count(&self) -> u64 {
        let sizes = trainable(&self.store);
        let sizes = sizes.iter().map(|(_, tensor)| tensor.numel() as u64);
        sizes.sum()
    }

    /// Steps taken so far, those before a restart included.
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// Takes one step.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Data`] when the data have no such example, [`TrainingError::Diverged`] when
    /// the loss or its gradient is not finite; then nothing has changed.
    pub fn train_step(&mut self, data: &DataSet) -> Result<Progress, TrainingError> {
        let mut rng = batch_rng(self.config.seed, self.step);
        let batch = data.sample(Split::Training, self.config.batch, &mut rng)?;
        let Batch { inputs, targets } = batch.to_device(self.store.device());
        let loss = self.model.loss(&self.model.f_represent(&inputs)?, &targets);
        let value = loss.double_value(&[]);
        let rate = self.config.rate_at(self.step);
        let diverged = TrainingError::Diverged { step: self.step };
        if !value.is_finite() {
            return Err(diverged);
        }
        let norm = self.optimizer.f_minimise(&loss, rate, self.config.clip)?;
        norm.ok_or(diverged)?;
        self.step += 1;
        Ok(Progress {
            step: self.step,
            loss: value,
        })
    }

    /// Trains until `steps` have been taken in all, those before a restart included, or until
    /// `progress` breaks.
    ///
    /// # Errors
    ///
    /// As [`Trainer::train_step`].
    pub fn train(
        &mut self,
        data: &DataSet,
        steps: u64,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), TrainingError> {
        while self.step < steps {
            if progress(self.train_step(data)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Takes a step, with an optimizer of its own, along the gradient of someone else's loss with
    /// respect to the representation of `inputs`: `gradient` is `f32 [batch, sequence,
    /// response_dim]`. The forward pass is computed again, and the parameters' gradient is clipped to
    /// the norm `clip`. Returns the norm before clipping, or `None` when it is not finite: then
    /// nothing has changed.
    ///
    /// # Errors
    ///
    /// Where a TorchScript module fails; then nothing has changed either.
    ///
    /// # Panics
    ///
    /// On inputs that [`crate::InputShape::check`] would refuse, and on a gradient of another
    /// shape than the representation.
    pub fn follow(
        &mut self,
        inputs: &Tensor,
        gradient: &Tensor,
        rate: f64,
        clip: f64,
    ) -> Result<Option<f64>, TchError> {
        let inner_product = (self.model.f_represent(inputs)? * gradient).sum(Kind::Float);
        self.feedback.f_minimise(&inner_product, rate, clip)
    }

    /// How it does on examples of a split: the same examples every time.
    ///
    /// # Errors
    ///
    /// [`TrainingError`] when the split has no such example, or the model fails.
    pub fn evaluate(
        &self,
        data: &DataSet,
        split: Split,
        batches: u64,
    ) -> Result<Evaluation, TrainingError> {
        let device = self.store.device();
        evaluate(&self.model, device, data, split, batches, self.config.batch)
    }
}

/// How a network does on examples of a split: the same examples every time.
///
/// # Errors
///
/// [`TrainingError`] when the split has no such example, or the model fails.
pub fn evaluate(
    network: &Network,
    device: Device,
    data: &DataSet,
    split: Split,
    batches: u64,
    batch: usize,
) -> Result<Evaluation, TrainingError> {
    let (mut loss, mut right) = (0.0, 0.0);
    for number in 0..batches {
        let mut rng = batch_rng(0, number);
        let Batch { inputs, targets } = data.sample(split, batch, &mut rng)?.to_device(device);
        let logits = no_grad(|| Ok(network.predict(&network.f_represent(&inputs)?)));
        let logits: Tensor = logits.map_err(TrainingError::Model)?;
        loss += cross_entropy(&logits, &targets).double_value(&[]);
        let found = logits.argmax(-1, false).eq_tensor(&targets);
        right += found
            .to_kind(Kind::Float)
            .mean(Kind::Double)
            .double_value(&[]);
    }
    let batches = batches.max(1) as f64;
    Ok(Evaluation {
        loss: loss / batches,
        accuracy: right / batches,
    })
}

/// The random numbers of one batch.
pub(crate) fn batch_rng(seed: u64, step: u64) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&step.to_le_bytes());
    StdRng::from_seed(key)
}

#[cfg(test)]
mod tests;
