//! What the models are worth on examples that nothing is learned from: losses, and the peers' ablations.

use super::{features, Learner};
use crate::{
    ablation::{self, Measurement},
    coalition::Setting,
    fisher, gate, join,
    part::{Parameters, Trained},
};
use noesis_model::{
    held_out::losses,
    network::{cross_entropy, summary, summary_targets},
    tch::{no_grad, Kind, Tensor},
    Batch,
};
use noesis_neuron::Hotkey;

/// Examples whose losses are computed at once, so that memory stays bounded.
const CHUNK: i64 = 64;

/// What the kept-apart examples showed.
pub struct Assessed {
    /// Loss at the kept-back targets with all peers assessed, in nats.
    pub joined: f64,
    /// The twin's loss there.
    pub alone: f64,
    /// The student's loss there.
    pub student: Option<f64>,
    /// What each peer showed.
    pub measured: Vec<(Hotkey, Measured)>,
}

/// What a peer showed on kept-apart examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Its ablation.
    pub ablation: Measurement,
    /// Its Fisher score, beside all who do no harm; zero for those who do.
    pub fisher: f64,
}

/// Losses at the kept-back targets in nats, example by example, side by side.
pub struct Compared {
    /// With all peers that answered.
    pub network: Vec<f64>,
    /// The student's.
    pub student: Option<Vec<f64>>,
    /// The twin's, trained alone.
    pub alone: Vec<f64>,
}

/// What the models of our own say at the kept-back targets of `b` examples.
struct Own {
    /// What was kept back, `i64 [b]`.
    targets: Tensor,
    /// The local model's representation, `[b, d]`.
    local: Tensor,
    /// What the gate sees, `[b, f]`.
    features: Tensor,
    /// The twin's losses, `[b]`.
    alone: Tensor,
    /// The student's losses, `[b]`.
    student: Option<Tensor>,
}

impl Learner {
    /// Losses, in nats: of the join of these answers `[b, s, d]`, and of the twin alone; of a text over all positions,
    /// which tells more of few examples, and where a leaking peer would be seen at its most flattering. Nothing is learned.
    pub fn evaluate(&self, batch: &Batch, answers: &[(Hotkey, Tensor)]) -> (f64, f64) {
        no_grad(|| {
            let joined = cross_entropy(&self.predict(&batch.inputs, answers), &batch.targets);
            let network = self.twin.network(Parameters::Average);
            let alone = network.loss(&network.represent(&batch.inputs), &batch.targets);
            (joined.double_value(&[]), alone.double_value(&[]))
        })
    }

    /// Measures the peers' ablations and Fisher scores on kept-apart examples, with their answers as
    /// [`Learner::summarised`] gives them, each `f32 [b, dim]`, over `coalitions` random coalitions an example.
    pub fn assess(
        &mut self,
        batch: &Batch,
        answers: &[(Hotkey, Tensor)],
        coalitions: usize,
    ) -> Assessed {
        let assessed = no_grad(|| {
            let own = self.own(batch);
            let mean = |losses: &Tensor| losses.mean(Kind::Double).double_value(&[]);
            let (peers, answers) = self.known(answers);
            let assessed = Assessed {
                joined: mean(&self.joined_losses(&own, &peers, &answers)),
                alone: mean(&own.alone),
                student: own.student.as_ref().map(mean),
                measured: Vec::new(),
            };
            if peers.is_empty() {
                return assessed;
            }
            let setting = Setting {
                local: &own.local,
                adapted: &self.adapted(&answers, Parameters::Average),
                scores: &gate::scores(&own.features, &self.rows(&peers, Parameters::Average)),
                targets: &own.targets,
                k: self.config.k,
            };
            let head = |x: &Tensor| self.local.network(Parameters::Average).logits(x);
            let uniform = |shape: &[i64]| Tensor::rand(shape, (Kind::Float, self.device));
            let ablations = ablation::without_harm(peers.len(), |members| {
                ablation::measure(&setting, members, coalitions, head, uniform)
            });
            let harmless = |one: &Option<Measurement>| one.is_some_and(|one| !one.harms());
            let harmless: Vec<bool> = ablations.iter().map(harmless).collect();
            let harmless = Tensor::from_slice(&harmless).to_device(self.device);
            let fisher = fisher::measure(&setting, &harmless, coalitions, head, uniform);
            let measured = peers.into_iter().zip(ablations.into_iter().zip(fisher));
            Assessed {
                measured: measured
                    .filter_map(|(peer, (ablation, fisher))| {
                        let ablation = ablation?;
                        Some((peer, Measured { ablation, fisher }))
                    })
                    .collect(),
                ..assessed
            }
        });
        self.network_leads = (assessed.student).is_some_and(|student| assessed.joined < student);
        assessed
    }

    /// Losses of what there is to compare, on examples and answers as for [`Learner::assess`].
    pub fn compare(&self, batch: &Batch, answers: &[(Hotkey, Tensor)]) -> Compared {
        no_grad(|| {
            let own = self.own(batch);
            let (peers, answers) = self.known(answers);
            Compared {
                network: values(&self.joined_losses(&own, &peers, &answers)),
                student: own.student.as_ref().map(values),
                alone: values(&own.alone),
            }
        })
    }

    /// Each peer's losses on such examples, with its answer alone beside the local model.
    pub fn compare_each(
        &self,
        batch: &Batch,
        answers: &[(Hotkey, Tensor)],
    ) -> Vec<(Hotkey, Vec<f64>)> {
        no_grad(|| {
            let own = self.own(batch);
            let (peers, answers) = self.known(answers);
            let with_one = peers.iter().zip(&answers).map(|(peer, answer)| {
                let answer = std::slice::from_ref(answer);
                (*peer, values(&self.joined_losses(&own, &[*peer], answer)))
            });
            with_one.collect()
        })
    }

    /// What our own models know at some positions of examples, `[b, p, f]`.
    pub fn knowledge(&self, batch: &Batch, positions: &[i64]) -> Tensor {
        let positions = Tensor::from_slice(positions).to_device(self.device);
        let chunks = batch.inputs.split(CHUNK, 0);
        no_grad(|| {
            let known = chunks.iter().map(|inputs| {
                let seen = [&self.local, &self.twin].map(|one| {
                    let network = one.network(Parameters::Average);
                    network.represent(inputs).index_select(1, &positions)
                });
                Tensor::cat(&seen, -1)
            });
            Tensor::cat(&known.collect::<Vec<_>>(), 0)
        })
    }

    /// Runs our own models over examples.
    fn own(&self, batch: &Batch) -> Own {
        let modality = self.modality();
        let targets = summary_targets(modality, &batch.targets);
        let (mut local, mut seen) = (Vec::new(), Vec::new());
        let (mut alone, mut student) = (Vec::new(), Vec::new());
        let chunks = batch.inputs.split(CHUNK, 0);
        for (inputs, targets) in chunks.iter().zip(&targets.split(CHUNK, 0)) {
            let network = self.local.network(Parameters::Average);
            let representation = network.represent(inputs);
            seen.push(features(&representation));
            local.push(summary(modality, &representation));
            let loss = |model: &Trained| {
                let network = model.network(Parameters::Average);
                let seen = summary(modality, &network.represent(inputs));
                losses(&network.logits(&seen), targets)
            };
            alone.push(loss(&self.twin));
            student.extend(self.student.as_ref().map(loss));
        }
        Own {
            targets,
            local: Tensor::cat(&local, 0),
            features: Tensor::cat(&seen, 0),
            alone: Tensor::cat(&alone, 0),
            student: (self.student.as_ref()).map(|_| Tensor::cat(&student, 0)),
        }
    }

    /// Each example's loss with these peers, who have parts, and without them where there are none, `[b]`.
    fn joined_losses(&self, own: &Own, peers: &[Hotkey], answers: &[(Hotkey, Tensor)]) -> Tensor {
        let joined = if peers.is_empty() {
            own.local.shallow_clone()
        } else {
            let weights = self.weights(&own.features, peers);
            &own.local + join::contribution(&self.adapted(answers, Parameters::Average), &weights)
        };
        let network = self.local.network(Parameters::Average);
        losses(&network.logits(&joined), &own.targets)
    }
}

/// Losses `[b]` one by one.
fn values(losses: &Tensor) -> Vec<f64> {
    let losses = losses.to_kind(Kind::Double).contiguous();
    Vec::try_from(losses).unwrap_or_default()
}
