//! A batch: whom the gate asks, and what is learned from the answers.
//!
//! One batch takes two calls: [`Learner::begin`] lets the gate choose whom to ask, and, with their answers,
//! [`Learner::finish`], which may come when the next has begun, joins, takes the loss, goes backward through model, join
//! and gate out to the answers, steps the optimizers and returns what the peers are to be sent.

use super::{all, features, lessons, Learner, LearnerConfig};
use crate::{
    gate, join,
    part::{Parameters, Part},
};
use noesis_model::{
    tch::{no_grad, Device, Kind, Tensor},
    Batch,
};
use noesis_neuron::Hotkey;
use rand::{rngs::StdRng, Rng, SeedableRng};
use std::collections::BTreeMap;

/// A batch between its two calls.
pub struct Round {
    pub(super) targets: Tensor,
    pub(super) inputs: Tensor,
    draws: BTreeMap<Hotkey, f64>,
    /// Whom the gate chose of the coalition: whose answers are joined and learned from.
    chosen: Vec<Hotkey>,
    /// Whose answers, joined, the student learns from.
    pub(super) teachers: Vec<Hotkey>,
    /// What is asked besides, for the student's sake alone.
    lesson: Option<Tensor>,
}

impl Round {
    /// Whether this peer is to be asked.
    pub fn asks(&self, peer: &Hotkey) -> bool {
        self.chosen.contains(peer) || self.teachers.contains(peer)
    }

    /// What all of them are sent: the batch without the labels, or the last token, and after it what was made up for the
    /// student, if it learns from some of them. The same for those who teach and those who do not: how long they take is
    /// compared.
    pub fn inputs(&self) -> Tensor {
        match &self.lesson {
            Some(lesson) => Tensor::cat(&[&self.inputs, lesson], 0),
            None => self.inputs.shallow_clone(),
        }
    }

    /// The part of an answer that is about the batch.
    pub(super) fn of_batch(&self, answer: &Tensor) -> Tensor {
        answer.narrow(0, 0, self.inputs.size()[0])
    }
}

/// What a batch gave.
pub struct Finished {
    /// The joined loss, in nats: a token over all positions, or a class. Half of the examples were answered without the local
    /// model, so that it is above what the network loses on others ([`Learner::assess`]).
    pub loss: f64,
    /// The gradient of the loss with respect to each answer, `[batch, sequence, dim]`.
    pub gradients: Vec<(Hotkey, Tensor)>,
    /// Whose answers were joined and learned from.
    pub joined: Vec<Hotkey>,
}

/// The loss was not finite; nothing was learned.
#[derive(Debug, thiserror::Error)]
#[error("the loss of step {0} is not finite: nothing was learned; if this goes on, lower --rate, or go on from the checkpoint before")]
pub struct Diverged(pub u64);

impl Learner {
    /// Begins a batch, whose targets are kept back: the gate chooses at most `k` of the coalition for it, and, where
    /// the student has something to learn from the network, as many of those known to help. A random coalition is no
    /// good teacher: every other one is without the best peer.
    pub fn begin(&mut self, batch: &Batch, coalition: &[Hotkey], helping: &[Hotkey]) -> Round {
        self.take_in(coalition);
        let draws = Tensor::randn([coalition.len() as i64], (Kind::Double, Device::Cpu));
        let draws: Vec<f64> = Vec::try_from(draws).unwrap_or_default();
        let draws: BTreeMap<Hotkey, f64> = coalition.iter().copied().zip(draws).collect();
        let local = self.local.network(Parameters::Latest);
        let features = || features(&local.represent(&batch.inputs));
        let chosen = self.top_k(coalition, |peers| {
            self.noisy_scores(&features(), &draws, peers)
        });
        let mut round = Round {
            targets: batch.targets.shallow_clone(),
            inputs: batch.inputs.shallow_clone(),
            draws,
            chosen,
            teachers: Vec::new(),
            lesson: None,
        };
        if self.teaches() {
            round.teachers = self.top_k(helping, |peers| {
                gate::scores(&features(), &self.rows(peers, Parameters::Average))
            });
        }
        if let (Some(student), false) = (&self.student, round.teachers.is_empty()) {
            let (modality, student) = (self.modality(), student.network(Parameters::Average));
            round.lesson = Some(self.lessons.make(modality, student, &round.inputs));
        }
        let lesson = round.lesson.as_ref().map_or(0, |lesson| lesson.size()[0]);
        self.question_rows = round.inputs.size()[0] + lesson;
        round
    }

    /// Makes parts for those of the peers that have none.
    fn take_in<'a>(&mut self, peers: impl IntoIterator<Item = &'a Hotkey>) {
        for peer in peers {
            let part = || Part::new(&self.config, self.device);
            self.parts.entry(*peer).or_insert_with(part);
        }
    }

    /// Whether there is a student, and the network knew more than it when they were last assessed.
    fn teaches(&self) -> bool {
        self.student.is_some() && self.network_leads
    }

    /// Rows of the last question that [`Learner::begin`] made; 0 before the first.
    pub fn question_rows(&self) -> i64 {
        self.question_rows
    }

    /// The most rows that the question of a batch of so many may have, what is made up for the student included.
    pub fn most_question_rows(&self, batch: i64) -> i64 {
        let lesson = self.student.is_some().then(|| lessons::rows(batch));
        batch + lesson.unwrap_or(0)
    }

    /// The `k` of these peers, those with parts, whose scores `[b, n]` over the batch are best; asked for only where there
    /// are more.
    fn top_k(&self, peers: &[Hotkey], scores: impl Fn(&[Hotkey]) -> Tensor) -> Vec<Hotkey> {
        let known = peers.iter().filter(|peer| self.parts.contains_key(*peer));
        let known: Vec<Hotkey> = known.copied().collect();
        if known.len() <= self.config.k {
            return known;
        }
        let kept = no_grad(|| {
            let over_batch = scores(&known).mean_dim(0, true, Kind::Float);
            gate::keep_top_k(&over_batch, &all(&over_batch), self.config.k)
        });
        let places = known.iter().enumerate();
        places
            .filter(|(place, _)| kept.int64_value(&[0, *place as i64]) != 0)
            .map(|(_, peer)| *peer)
            .collect()
    }

    /// Learns from the batch with the answers that came of those asked, each `f32 [b, s, dim]` of what they were sent,
    /// and finite.
    ///
    /// # Errors
    ///
    /// [`Diverged`] when the loss is not finite; then no parameter has changed.
    pub fn finish(
        &mut self,
        round: Round,
        answers: Vec<(Hotkey, Tensor)>,
    ) -> Result<Finished, Diverged> {
        // The batch before may have let go of some, when they had not answered yet.
        self.take_in(answers.iter().map(|(peer, _)| peer));
        for (peer, answer) in &answers {
            if let Some(part) = self.parts.get_mut(peer) {
                part.measure(&round.of_batch(answer));
            }
        }
        let taught = self.taught(&round, &answers);
        let answers: Vec<(Hotkey, Tensor)> = answers
            .into_iter()
            .filter(|(peer, _)| round.chosen.contains(peer))
            .map(|(peer, answer)| {
                (
                    peer,
                    round.of_batch(&answer).detach().set_requires_grad(true),
                )
            })
            .collect();
        let peers: Vec<Hotkey> = answers.iter().map(|(peer, _)| *peer).collect();
        let local = self.local.network(Parameters::Latest);
        let representation = local.represent(&round.inputs);
        let joined = if peers.is_empty() {
            representation
        } else {
            let scores = self.noisy_scores(&features(&representation), &round.draws, &peers);
            let weights = gate::weights(&scores, &all(&scores));
            let adapted = self.adapted(&answers, Parameters::Latest);
            let at_times = join::at_times(&representation, &self.draws(&round));
            join::joined(&at_times, &adapted, &weights)
        };
        let loss = local.loss(&joined, &round.targets);
        let value = loss.double_value(&[]);
        if !value.is_finite() {
            return Err(Diverged(self.step));
        }

        let gradients = self.backward(&loss, &answers);
        // Who never answered has a part that says nothing, and of a large market many do not.
        for peer in round.draws.keys() {
            if self
                .parts
                .get(peer)
                .is_some_and(|part| part.step_count() == 0)
            {
                self.parts.remove(peer);
            }
        }
        self.train_twin(&round);
        self.train_student(&round, taught.as_ref());
        self.step += 1;
        Ok(Finished {
            loss: value,
            gradients,
            joined: peers,
        })
    }

    /// A number in [0, 1) for each example, `[b]`; seed and step decide it.
    fn draws(&self, round: &Round) -> Tensor {
        let mut rng = StdRng::seed_from_u64(self.config.seed ^ (self.step << 20));
        let examples = 0..round.inputs.size()[0];
        let draws: Vec<f32> = examples.map(|_| rng.random()).collect();
        Tensor::from_slice(&draws).to_device(self.device)
    }

    /// Backward through model, join and gate; steps every optimizer; returns the answers' gradients.
    fn backward(&mut self, loss: &Tensor, answers: &[(Hotkey, Tensor)]) -> Vec<(Hotkey, Tensor)> {
        let mut inputs = self.local.parameters();
        let parts = || answers.iter().filter_map(|(peer, _)| self.parts.get(peer));
        for part in parts() {
            inputs.extend(part.parameters());
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
        let (own, others) = rest.split_at(self.local.parameters().len());
        rest = others;
        self.local.step(own, rising(rate, self.step), clip);
        for (peer, _) in answers {
            if let Some(part) = self.parts.get_mut(peer) {
                let (own, others) = rest.split_at(part.parameters().len());
                rest = others;
                part.step(own, falling(adapter_rate, part.step_count()), clip);
            }
        }
        let gradients = answers.iter().zip(for_answers);
        gradients
            .filter(|(_, gradient)| gradient.defined())
            .map(|((peer, _), gradient)| (*peer, gradient))
            .collect()
    }

    /// The gate's scores of these peers for the batch, `[b, n]`, with the batch's noise.
    fn noisy_scores(
        &self,
        features: &Tensor,
        draws: &BTreeMap<Hotkey, f64>,
        peers: &[Hotkey],
    ) -> Tensor {
        let parts = peers.iter().filter_map(|peer| self.parts.get(peer));
        let noise: Vec<&Tensor> = parts.map(|part| &part.noise).collect();
        let draws: Vec<f32> = (peers.iter())
            .map(|peer| draws.get(peer).map_or(0.0, |draw| *draw as f32))
            .collect();
        let draws = Tensor::from_slice(&draws)
            .to_device(self.device)
            .unsqueeze(0);
        let clean = gate::scores(features, &self.rows(peers, Parameters::Latest));
        gate::noisy(&clean, features, &Tensor::stack(&noise, 0), &draws)
    }
}

/// The learning rate of a model: it rises over the first steps.
pub(super) fn rising(rate: f64, step: u64) -> f64 {
    const STEPS: f64 = 20.0;
    falling(rate, step) * ((step + 1) as f64 / STEPS).min(1.0)
}

/// The rate falls with the number of steps, down to a twentieth, for peers go on changing. One that never falls leaves
/// the joined loss above that of the best peer alone.
fn falling(rate: f64, step: u64) -> f64 {
    const HOLD: f64 = 250.0;
    rate * (HOLD / (step + 1) as f64).clamp(0.05, 1.0)
}
