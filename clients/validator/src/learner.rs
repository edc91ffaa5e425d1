//! What the validator trains: its local model and, for each peer, an adapter and a row of the gate.
//!
//! It learns from one batch after the other in a [`Round`] each, and measures what the peers are worth in
//! [`Learner::assess`].

use crate::{
    gate, join,
    part::{Parameters, Part, Trained},
    student::Distillation,
};
use lessons::Lessons;
use noesis_model::{
    tch::{no_grad, Device, Kind, Tensor},
    ConfigError, Modality, NetworkConfig, TransformerConfig,
};
use noesis_neuron::Hotkey;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod assess;
mod beside;
mod lessons;
mod round;

pub use assess::{Assessed, Compared, Measured};
pub use round::{Diverged, Finished, Round};

/// The gate's constant feature. The others together have norm one: the gate learns sooner how good a peer is
/// than what it is good at.
const CONSTANT: f64 = 4.0;

/// The settings of the learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearnerConfig {
    /// The local model.
    pub model: NetworkConfig,
    /// Learning rate of the local model.
    pub rate: f64,
    /// Learning rate of adapters and gate: they are few, and a newcomer must show its worth soon.
    pub adapter_rate: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Norm to which gradients are clipped, for the local model and for each peer's part.
    pub clip: f64,
    /// Most peers in a gate.
    pub k: usize,
    /// Whether a student of the local model's sizes learns from the joined prediction, and how.
    #[serde(default)]
    pub student: Option<Distillation>,
    /// Decides the initial parameters.
    pub seed: u64,
}

impl Default for LearnerConfig {
    fn default() -> Self {
        Self {
            model: TransformerConfig::default().into(),
            rate: 4e-3,
            adapter_rate: 1e-2,
            weight_decay: 0.1,
            clip: 1.0,
            k: 8,
            student: None,
            seed: 0,
        }
    }
}

/// The local model and the peers' parts, in training.
pub struct Learner {
    config: LearnerConfig,
    device: Device,
    local: Trained,
    /// Trained alone on the same batches, to compare with.
    twin: Trained,
    student: Option<Trained>,
    /// Whether the network was better than the student when they were last assessed.
    network_leads: bool,
    lessons: Lessons,
    /// Rows of the last question, what was made up for the student included.
    question_rows: i64,
    parts: BTreeMap<Hotkey, Part>,
    step: u64,
}

impl Learner {
    /// A learner with random parameters that depend on the seed alone.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the sizes describe no model.
    pub fn new(config: LearnerConfig, device: Device) -> Result<Self, ConfigError> {
        // The same seed: all three begin as one and the same model.
        let student = (config.student.as_ref()).map(|_| Trained::new(&config, device));
        Ok(Self {
            local: Trained::new(&config, device)?,
            twin: Trained::new(&config, device)?,
            student: student.transpose()?,
            network_leads: false,
            lessons: Lessons::default(),
            question_rows: 0,
            parts: BTreeMap::new(),
            step: 0,
            config,
            device,
        })
    }

    /// Its settings.
    pub fn config(&self) -> &LearnerConfig {
        &self.config
    }

    /// What it learns from.
    pub fn modality(&self) -> Modality {
        self.config.model.modality()
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Batches learned from.
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// The peers that have a part.
    pub fn peers(&self) -> Vec<Hotkey> {
        self.parts.keys().copied().collect()
    }

    /// Whether the network was better than the student when they were last assessed.
    pub fn network_leads(&self) -> bool {
        self.network_leads
    }

    /// Lets go of the parts of all but these peers.
    pub fn keep_only(&mut self, peers: &BTreeSet<Hotkey>) {
        self.parts.retain(|peer, _| peers.contains(peer));
    }

    /// Lets go of one peer's part: it begins anew.
    pub fn forget(&mut self, peer: &Hotkey) {
        self.parts.remove(peer);
    }

    /// Whether all parameters are finite. Rates are bounded and gradients that are not finite taken by no optimizer, so that they
    /// are, unless a machine or a file failed; what is not is never to take the place of what is.
    pub fn is_finite(&self) -> bool {
        let models = [&self.local, &self.twin].into_iter().chain(&self.student);
        let models = models.flat_map(Trained::parameters);
        let mut all = models.chain(self.parts.values().flat_map(Part::parameters));
        no_grad(|| all.all(|tensor| tensor.isfinite().all().int64_value(&[]) != 0))
    }

    /// The student, where there is one.
    pub fn student(&self) -> Option<&Trained> {
        self.student.as_ref()
    }

    /// The local model's twin, trained alone.
    pub fn twin(&self) -> &Trained {
        &self.twin
    }

    /// Those of the answers whose peers have a part.
    fn known(&self, answers: &[(Hotkey, Tensor)]) -> (Vec<Hotkey>, Vec<(Hotkey, Tensor)>) {
        answers
            .iter()
            .filter(|(peer, _)| self.parts.contains_key(peer))
            .map(|(peer, answer)| (*peer, (*peer, answer.shallow_clone())))
            .unzip()
    }

    /// Answers `[.., d]` of peers with parts, or summaries of them, in units and through their adapters, `[n, .., d]`.
    fn adapted(&self, answers: &[(Hotkey, Tensor)], which: Parameters) -> Tensor {
        let adapted: Vec<Tensor> = answers
            .iter()
            .filter_map(|(peer, answer)| {
                let part = self.parts.get(peer)?;
                let weight = &part.reading(which).weight;
                Some(join::adapted(&part.in_units(answer), weight))
            })
            .collect();
        Tensor::stack(&adapted, 0)
    }

    /// An answer `[b, p, d]` at the summary, `[b, d]`: what [`Learner::assess`] wants.
    pub fn summarised(&self, answer: &Tensor) -> Tensor {
        join::summarised(self.modality(), answer)
    }

    /// The gate's rows of these peers, `[n, f]`.
    fn rows(&self, peers: &[Hotkey], which: Parameters) -> Tensor {
        let rows = peers.iter().filter_map(|peer| self.parts.get(peer));
        let rows: Vec<&Tensor> = rows.map(|part| &part.reading(which).gate).collect();
        Tensor::stack(&rows, 0)
    }

    /// The gate's weights of these peers in a prediction, `[b, n]`: without noise, by the averages.
    fn weights(&self, features: &Tensor, peers: &[Hotkey]) -> Tensor {
        let scores = gate::scores(features, &self.rows(peers, Parameters::Average));
        let kept = gate::keep_top_k(&scores, &all(&scores), self.config.k);
        gate::weights(&scores, &kept)
    }

    /// All that a checkpoint keeps, by name: parameters and the optimizers' state.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.local.state("local");
        state.extend(self.twin.state("twin"));
        state.extend(self.student.iter().flat_map(|one| one.state("student")));
        let parts = self.parts.iter();
        state.extend(parts.flat_map(|(peer, part)| part.state(&hex::encode(peer))));
        state
    }

    /// Makes parts for these peers and takes up the count of batches and whether the network leads, before
    /// [`Learner::state`] is restored into.
    pub fn resume_at(&mut self, step: u64, network_leads: bool, peers: &[Hotkey]) {
        (self.step, self.network_leads) = (step, network_leads);
        let new = |peer: &Hotkey| (*peer, Part::new(&self.config, self.device));
        self.parts = peers.iter().map(new).collect();
    }
}

/// What the gate sees of an example: its mean representation, normalised, and a constant, `[b, d + 1]`.
/// Detached: the gate does not bend the local model.
fn features(representation: &Tensor) -> Tensor {
    let mean = representation.detach().mean_dim(1, false, Kind::Float);
    let dim = mean.size()[1];
    let normalised = join::normalised(&mean) / (dim as f64).sqrt();
    let constant = normalised.narrow(1, 0, 1).ones_like() * CONSTANT;
    Tensor::cat(&[normalised, constant], 1)
}

/// Everybody, in the shape of the scores.
fn all(scores: &Tensor) -> Tensor {
    scores.ones_like().to_kind(Kind::Bool)
}

#[cfg(test)]
mod tests;
