//! What the validator trains: its local model and, for each peer, an adapter and a row of the gate.
//!
//! One batch takes two calls: [`Learner::begin`] lets the gate choose whom to ask, and, with their answers,
//! [`Learner::finish`] joins, takes the loss, goes backward through model, join and gate out to the answers, steps
//! the optimizers and returns what the peers are to be sent, and their Fisher scores.

use crate::{
    ablation, fisher, gate, join,
    part::{Part, Trained},
};
use noesis_model::{
    network::cross_entropy,
    tch::{no_grad, Device, IndexOp, Kind, Tensor},
    ConfigError, Network, TransformerConfig,
};
use noesis_neuron::Hotkey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Examples whose losses are computed at once outside training, so that memory stays bounded.
const CHUNK: i64 = 64;

/// The gate's constant feature. The others together have norm one: the gate learns sooner how good a peer is
/// than what it is good at.
const CONSTANT: f64 = 4.0;

/// The settings of the learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnerConfig {
    /// The local model.
    pub model: TransformerConfig,
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
    /// Whether a twin of the local model is trained alone on the same batches, to compare with.
    pub twin: bool,
    /// Decides the initial parameters.
    pub seed: u64,
}

impl Default for LearnerConfig {
    fn default() -> Self {
        Self {
            model: TransformerConfig::default(),
            rate: 4e-3,
            adapter_rate: 1e-2,
            weight_decay: 0.1,
            clip: 1.0,
            k: 8,
            twin: true,
            seed: 0,
        }
    }
}

/// A batch between its two calls.
pub struct Round {
    targets: Tensor,
    inputs: Tensor,
    representation: Tensor,
    features: Tensor,
    draws: BTreeMap<Hotkey, f64>,
    /// Whom to ask, chosen by the gate.
    pub chosen: Vec<Hotkey>,
}

impl Round {
    /// What the chosen peers are sent: `i64 [batch, sequence]`, without the last token.
    pub fn inputs(&self) -> &Tensor {
        &self.inputs
    }
}

/// What a batch gave.
pub struct Finished {
    /// The joined loss over all positions, in nats a token.
    pub loss: f64,
    /// The twin's loss alone on the same batch.
    pub alone: Option<f64>,
    /// The gradient of the loss with respect to each answer, `[batch, sequence, dim]`.
    pub gradients: Vec<(Hotkey, Tensor)>,
    /// Each answering peer's Fisher score at the kept-back targets.
    pub fisher: Vec<(Hotkey, f64)>,
}

/// What the kept-apart examples showed.
pub struct Assessed {
    /// Loss at the kept-back targets with all peers assessed, in nats.
    pub joined: f64,
    /// The twin's loss there.
    pub alone: Option<f64>,
    /// Each peer's ablation.
    pub ablations: Vec<(Hotkey, ablation::Measurement)>,
}

/// The loss was not finite; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("the loss of step {0} is not finite: nothing was changed; if this goes on, lower --rate or start from an earlier checkpoint")]
pub struct Diverged(pub u64);

/// The local model and the peers' parts, in training.
pub struct Learner {
    config: LearnerConfig,
    device: Device,
    local: Trained,
    twin: Option<Trained>,
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
        let twin = config.twin.then(|| Trained::new(&config, device));
        Ok(Self {
            local: Trained::new(&config, device)?,
            twin: twin.transpose()?,
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

    /// Lets go of the parts of all but these peers.
    pub fn keep_only(&mut self, peers: &[Hotkey]) {
        self.parts.retain(|peer, _| peers.contains(peer));
    }

    /// Lets go of one peer's part: it begins anew.
    pub fn forget(&mut self, peer: &Hotkey) {
        self.parts.remove(peer);
    }

    /// Begins a batch of tokens `i64 [b, s + 1]`, the last of which is kept back: the gate chooses at most `k` of
    /// the coalition for it.
    pub fn begin(&mut self, tokens: &Tensor, coalition: &[Hotkey]) -> Round {
        for peer in coalition {
            let part = || Part::new(&self.config, self.device);
            self.parts.entry(*peer).or_insert_with(part);
        }
        let sequence = tokens.size()[1] - 1;
        let inputs = tokens.narrow(1, 0, sequence);
        let representation = self.local.model.represent(&inputs);
        let features = features(&representation);
        let draws = Tensor::randn([coalition.len() as i64], (Kind::Double, Device::Cpu));
        let draws: Vec<f64> = Vec::try_from(draws).unwrap_or_default();
        let draws: BTreeMap<Hotkey, f64> = coalition.iter().copied().zip(draws).collect();
        let mut round = Round {
            targets: tokens.narrow(1, 1, sequence),
            inputs,
            representation,
            features,
            draws,
            chosen: coalition.to_vec(),
        };
        if coalition.len() > self.config.k {
            let batch_scores = no_grad(|| {
                self.noisy_scores(&round, coalition)
                    .mean_dim(0, true, Kind::Float)
            });
            let everybody = batch_scores.ones_like().to_kind(Kind::Bool);
            let kept = gate::keep_top_k(&batch_scores, &everybody, self.config.k);
            round.chosen = (coalition.iter().enumerate())
                .filter(|(place, _)| kept.int64_value(&[0, *place as i64]) != 0)
                .map(|(_, peer)| *peer)
                .collect();
        }
        round
    }

    /// Learns from the batch with the answers that came, each `f32 [b, s, dim]` and finite.
    ///
    /// # Errors
    ///
    /// [`Diverged`] when the loss is not finite; then nothing has changed.
    pub fn finish(
        &mut self,
        round: Round,
        answers: Vec<(Hotkey, Tensor)>,
    ) -> Result<Finished, Diverged> {
        let answers: Vec<(Hotkey, Tensor)> = answers
            .into_iter()
            .filter(|(peer, _)| round.draws.contains_key(peer))
            .map(|(peer, answer)| (peer, answer.detach().set_requires_grad(true)))
            .collect();
        let peers: Vec<Hotkey> = answers.iter().map(|(peer, _)| *peer).collect();
        let join = (!peers.is_empty()).then(|| {
            let scores = self.noisy_scores(&round, &peers);
            (self.adapted(&answers), scores)
        });
        let joined = match &join {
            Some((adapted, scores)) => {
                let weights = gate::weights(scores, &all(scores));
                join::joined(&round.representation, adapted, &weights)
            }
            None => round.representation.shallow_clone(),
        };
        let loss = cross_entropy(&self.local.model.logits(&joined), &round.targets);
        let value = loss.double_value(&[]);
        if !value.is_finite() {
            return Err(Diverged(self.step));
        }

        // Before the step: the scores belong to the parameters that gave the loss.
        let fisher = match &join {
            Some((adapted, scores)) => self.fisher(&round, &joined, adapted, scores),
            None => Vec::new(),
        };
        let gradients = self.backward(&loss, &answers);
        let alone = self.train_twin(&round);
        self.step += 1;
        Ok(Finished {
            loss: value,
            alone,
            gradients,
            fisher: peers.into_iter().zip(fisher).collect(),
        })
    }

    /// Backward through model, join and gate; steps every optimizer; returns the answers' gradients.
    fn backward(&mut self, loss: &Tensor, answers: &[(Hotkey, Tensor)]) -> Vec<(Hotkey, Tensor)> {
        let mut inputs = self.local.optimizer.parameters();
        let parts = || answers.iter().filter_map(|(peer, _)| self.parts.get(peer));
        for part in parts() {
            inputs.extend(part.optimizer.parameters());
        }
        inputs.extend(answers.iter().map(|(_, leaf)| leaf));
        let mut gradients = Tensor::run_backward(&[loss], &inputs, false, false);
        let for_answers = gradients.split_off(gradients.len() - answers.len());
        let mut rest = gradients.as_slice();
        let LearnerConfig {
            rate,
            adapter_rate,
            clip,
            ..
        } = self.config;
        let (own, others) = rest.split_at(self.local.optimizer.parameters().len());
        rest = others;
        self.local.optimizer.step(own, warm(rate, self.step), clip);
        for (peer, _) in answers {
            if let Some(part) = self.parts.get_mut(peer) {
                let (own, others) = rest.split_at(part.optimizer.parameters().len());
                rest = others;
                part.optimizer.step(own, adapter_rate, clip);
            }
        }
        let gradients = answers.iter().zip(for_answers);
        gradients
            .filter(|(_, gradient)| gradient.defined())
            .map(|((peer, _), gradient)| (*peer, gradient))
            .collect()
    }

    /// Fisher scores at the kept-back target: the last position's, for it was not sent.
    fn fisher(
        &self,
        round: &Round,
        joined: &Tensor,
        adapted: &Tensor,
        scores: &Tensor,
    ) -> Vec<f64> {
        let at_last = last(joined).detach().set_requires_grad(true);
        let logits = self
            .local
            .model
            .logits(&at_last.unsqueeze(1))
            .squeeze_dim(1);
        // Summed, so that each example's gradient is that of its own loss.
        let sum = losses(&logits, &last_column(&round.targets)).sum(Kind::Float);
        let gradients = Tensor::run_backward(&[&sum], &[&at_last], false, false);
        no_grad(|| {
            let adapted = adapted.select(2, adapted.size()[2] - 1);
            let changes = fisher::removals(&adapted, scores, &all(scores));
            fisher::scores(&gradients[0], &changes)
        })
    }

    fn train_twin(&mut self, round: &Round) -> Option<f64> {
        let rate = warm(self.config.rate, self.step);
        let twin = self.twin.as_mut()?;
        let logits = twin.model.logits(&twin.model.represent(&round.inputs));
        let loss = cross_entropy(&logits, &round.targets);
        twin.optimizer.minimise(&loss, rate, self.config.clip);
        Some(loss.double_value(&[]))
    }

    /// Losses over all positions, in nats a token: of the join of these answers, and of the twin alone.
    /// Nothing is learned. Tokens `i64 [b, s + 1]`; a leaking peer would be seen at its most flattering.
    pub fn evaluate(&self, tokens: &Tensor, answers: &[(Hotkey, Tensor)]) -> (f64, Option<f64>) {
        no_grad(|| {
            let sequence = tokens.size()[1] - 1;
            let (inputs, targets) = (tokens.narrow(1, 0, sequence), tokens.narrow(1, 1, sequence));
            let representation = self.local.model.represent(&inputs);
            let (peers, answers) = self.known(answers);
            let joined = if peers.is_empty() {
                representation
            } else {
                let scores = gate::scores(&features(&representation), &self.rows(&peers));
                let kept = gate::keep_top_k(&scores, &all(&scores), self.config.k);
                let weights = gate::weights(&scores, &kept);
                join::joined(&representation, &self.adapted(&answers), &weights)
            };
            let loss = |logits: &Tensor| cross_entropy(logits, &targets).double_value(&[]);
            let alone = self.twin.as_ref();
            (
                loss(&self.local.model.logits(&joined)),
                alone.map(|twin| loss(&twin.model.logits(&twin.model.represent(&inputs)))),
            )
        })
    }

    /// Measures the peers' ablations on kept-apart examples `i64 [b, s + 1]`, with their answers at the last position,
    /// each `f32 [b, dim]`, over `coalitions` random coalitions an example.
    pub fn assess(
        &self,
        tokens: &Tensor,
        answers: &[(Hotkey, Tensor)],
        coalitions: usize,
    ) -> Assessed {
        no_grad(|| {
            let (examples, length) = (tokens.size()[0], tokens.size()[1]);
            let targets = tokens.select(1, length - 1);
            let (mut local, mut seen, mut alone) = (Vec::new(), Vec::new(), Vec::new());
            for begin in (0..examples).step_by(CHUNK as usize) {
                let rows = CHUNK.min(examples - begin);
                let inputs = tokens.i((begin..begin + rows, ..length - 1));
                let representation = self.local.model.represent(&inputs);
                seen.push(features(&representation));
                local.push(last(&representation));
                if let Some(twin) = &self.twin {
                    alone.push(last(&twin.model.represent(&inputs)));
                }
            }
            let (local, seen) = (Tensor::cat(&local, 0), Tensor::cat(&seen, 0));
            let mean = |logits: &Tensor| losses(logits, &targets).mean(Kind::Double);
            let head = |model: &Network, x: &Tensor| model.logits(&x.unsqueeze(1)).squeeze_dim(1);
            let alone = self
                .twin
                .as_ref()
                .map(|twin| mean(&head(&twin.model, &Tensor::cat(&alone, 0))).double_value(&[]));
            let (peers, answers) = self.known(answers);
            if peers.is_empty() {
                let joined = mean(&head(&self.local.model, &local)).double_value(&[]);
                return Assessed {
                    joined,
                    alone,
                    ablations: Vec::new(),
                };
            }
            let scores = gate::scores(&seen, &self.rows(&peers));
            let adapted = self.adapted(&answers);
            let kept = gate::keep_top_k(&scores, &all(&scores), self.config.k);
            let joined = &local + fisher::contribution(&adapted, &gate::weights(&scores, &kept));
            let joined = mean(&head(&self.local.model, &joined)).double_value(&[]);
            let setting = ablation::Setting {
                local: &local,
                adapted: &adapted,
                scores: &scores,
                targets: &targets,
                k: self.config.k,
            };
            let measured = ablation::without_harm(peers.len(), |members| {
                ablation::measure(
                    &setting,
                    members,
                    coalitions,
                    |x| head(&self.local.model, x),
                    |shape| Tensor::rand(shape, (Kind::Float, self.device)),
                )
            });
            let ablations = peers.into_iter().zip(measured);
            Assessed {
                joined,
                alone,
                ablations: ablations
                    .filter_map(|(peer, measured)| Some((peer, measured?)))
                    .collect(),
            }
        })
    }

    /// Those of the answers whose peers have a part.
    fn known(&self, answers: &[(Hotkey, Tensor)]) -> (Vec<Hotkey>, Vec<(Hotkey, Tensor)>) {
        answers
            .iter()
            .filter(|(peer, _)| self.parts.contains_key(peer))
            .map(|(peer, answer)| (*peer, (*peer, answer.shallow_clone())))
            .unzip()
    }

    /// Answers `[.., d]` of peers with parts, normalised and through their adapters, `[n, .., d]`.
    fn adapted(&self, answers: &[(Hotkey, Tensor)]) -> Tensor {
        let adapted: Vec<Tensor> = answers
            .iter()
            .filter_map(|(peer, answer)| {
                let part = self.parts.get(peer)?;
                let answer = join::normalised(answer);
                Some(join::adapted(&answer, &part.weight))
            })
            .collect();
        Tensor::stack(&adapted, 0)
    }

    /// The gate's rows of these peers, `[n, f]`.
    fn rows(&self, peers: &[Hotkey]) -> Tensor {
        let rows = peers.iter().filter_map(|peer| self.parts.get(peer));
        Tensor::stack(&rows.map(|part| &part.gate).collect::<Vec<_>>(), 0)
    }

    /// The gate's scores of these peers for the batch, `[b, n]`, with the batch's noise.
    fn noisy_scores(&self, round: &Round, peers: &[Hotkey]) -> Tensor {
        let parts = peers.iter().filter_map(|peer| self.parts.get(peer));
        let noise: Vec<&Tensor> = parts.map(|part| &part.noise).collect();
        let draws: Vec<f32> = (peers.iter())
            .map(|peer| round.draws.get(peer).map_or(0.0, |draw| *draw as f32))
            .collect();
        let draws = Tensor::from_slice(&draws)
            .to_device(self.device)
            .unsqueeze(0);
        let clean = gate::scores(&round.features, &self.rows(peers));
        gate::noisy(&clean, &round.features, &Tensor::stack(&noise, 0), &draws)
    }

    /// All that a checkpoint keeps, by name: parameters and the optimizers' state.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.local.state("local");
        state.extend(self.twin.iter().flat_map(|twin| twin.state("twin")));
        let parts = self.parts.iter();
        state.extend(parts.flat_map(|(peer, part)| part.state(&hex::encode(peer))));
        state
    }

    /// Makes parts for these peers and takes up the count of batches, before [`Learner::state`] is restored into.
    pub fn resume_at(&mut self, step: u64, peers: &[Hotkey]) {
        self.step = step;
        let new = |peer: &Hotkey| (*peer, Part::new(&self.config, self.device));
        self.parts = peers.iter().map(new).collect();
    }
}

/// The learning rate rises over the first steps.
fn warm(rate: f64, step: u64) -> f64 {
    const STEPS: f64 = 20.0;
    rate * ((step + 1) as f64 / STEPS).min(1.0)
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

/// The last position of `[b, s, d]`.
fn last(representation: &Tensor) -> Tensor {
    representation.select(1, representation.size()[1] - 1)
}

/// The last column of `[b, s]`.
fn last_column(targets: &Tensor) -> Tensor {
    targets.select(1, targets.size()[1] - 1)
}

/// Each example's own cross entropy: logits `[b, v]`, targets `i64 [b]`, giving `[b]`.
fn losses(logits: &Tensor, targets: &Tensor) -> Tensor {
    -logits
        .log_softmax(-1, Kind::Float)
        .gather(1, &targets.unsqueeze(1), false)
        .squeeze_dim(1)
}
