//! What is trained together: a model, or what belongs to one peer, with its optimizer.

use crate::{join, learner::LearnerConfig};
use noesis_model::{
    optimizer::trainable,
    seeded,
    tch::{nn::VarStore, no_grad, Device, Kind, Tensor},
    AdamW, ConfigError, Network,
};

/// Where the gate's row of noise begins, at the constant feature of 4: `softplus(-2)` is 0.13. Coalitions
/// explore already.
const QUIET: f64 = -0.5;

/// Of the parameters in training, which are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// As the last step left them: what the next is taken from.
    Latest,
    /// Their average over about the last ninth of the steps: what predictions for others are made with. It is the
    /// better model: the noise of batches and coalitions is averaged away.
    Average,
}

/// Draws averages after the parameters, after so many steps. The older weigh less: polynomial-decay averaging (Shamir
/// and Zhang, 2013), which needs no horizon.
fn follow<'a>(
    averages: impl IntoIterator<Item = &'a Tensor>,
    parameters: impl IntoIterator<Item = &'a Tensor>,
    steps: i64,
) {
    const DECAY: f64 = 8.0;
    let share = (DECAY + 1.0) / (DECAY + steps.max(1) as f64);
    no_grad(|| {
        for (average, parameter) in averages.into_iter().zip(parameters) {
            let _ = average.shallow_clone().lerp_(parameter, share);
        }
    });
}

/// A model in training.
pub struct Trained {
    /// As the last step left it.
    latest: Network,
    /// With averaged parameters.
    average: Network,
    optimizer: AdamW,
    /// The average's parameters, by name, in the order of the optimizer's.
    averages: Vec<(String, Tensor)>,
    device: Device,
}

impl Trained {
    /// With random parameters that depend on the seed alone.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the sizes describe no model.
    pub fn new(config: &LearnerConfig, device: Device) -> Result<Self, ConfigError> {
        let new = || {
            let store = VarStore::new(device);
            let network = seeded(config.seed, || Network::new(&store.root(), &config.model))?;
            Ok::<_, ConfigError>((network, store))
        };
        let ((latest, store), (average, averages)) = (new()?, new()?);
        Ok(Self {
            optimizer: AdamW::of(&store, config.weight_decay),
            latest,
            average,
            averages: trainable(&averages),
            device,
        })
    }

    /// The network with these of its parameters.
    pub fn network(&self, which: Parameters) -> &Network {
        match which {
            Parameters::Latest => &self.latest,
            Parameters::Average => &self.average,
        }
    }

    /// The averaged parameters, by name: those of the network that is left to others.
    pub fn averages(&self) -> &[(String, Tensor)] {
        &self.averages
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Steps taken.
    pub fn step_count(&self) -> u64 {
        self.optimizer.step_count().unsigned_abs()
    }

    /// What [`Trained::step`] wants gradients for, in order.
    pub fn parameters(&self) -> Vec<&Tensor> {
        self.optimizer.parameters()
    }

    /// One step with these gradients.
    pub fn step(&mut self, gradients: &[Tensor], rate: f64, clip: f64) {
        self.optimizer.step(gradients, rate, clip);
        self.follow();
    }

    /// One step down this loss.
    pub fn minimise(&mut self, loss: &Tensor, rate: f64, clip: f64) {
        self.optimizer.minimise(loss, rate, clip);
        self.follow();
    }

    fn follow(&self) {
        let averages = self.averages.iter().map(|(_, average)| average);
        follow(averages, self.parameters(), self.optimizer.step_count());
    }

    /// All that a checkpoint keeps, under `name`.
    pub fn state(&self, name: &str) -> Vec<(String, Tensor)> {
        let mut state = Vec::new();
        for ((key, average), latest) in self.averages.iter().zip(self.parameters()) {
            state.push((format!("{name}/{key}"), latest.shallow_clone()));
            state.push((format!("{name}.average/{key}"), average.shallow_clone()));
        }
        state.extend(self.optimizer.state(&format!("{name}.optimizer")));
        state
    }
}

/// How a peer is read: its adapter and its row of the gate.
pub struct Reading {
    /// The adapter, `[d, d]`.
    pub weight: Tensor,
    /// The gate's row, `[d + 1]`.
    pub gate: Tensor,
}

impl Reading {
    fn zeros(dim: i64, device: Device) -> Self {
        Self {
            weight: Tensor::zeros([dim, dim], (Kind::Float, device)),
            gate: Tensor::zeros([dim + 1], (Kind::Float, device)),
        }
    }

    fn tensors(&self) -> [Tensor; 2] {
        [self.weight.shallow_clone(), self.gate.shallow_clone()]
    }
}

/// What belongs to one peer.
pub struct Part {
    /// How it is read.
    latest: Reading,
    /// The same, averaged.
    average: Reading,
    /// The gate's row of noise, `[d + 1]`.
    pub noise: Tensor,
    /// Mean square of the numbers that it answers, `[]`.
    mean_square: Tensor,
    /// Answers that were measured, `[]`.
    measured: Tensor,
    optimizer: AdamW,
}

impl Part {
    /// Adapter and gate begin at zero: a newcomer changes nothing until it is found to help.
    pub fn new(config: &LearnerConfig, device: Device) -> Self {
        let dim = config.model.response_dim();
        let (latest, average) = (Reading::zeros(dim, device), Reading::zeros(dim, device));
        let noise = latest.gate.zeros_like();
        let _ = noise.narrow(0, dim, 1).fill_(QUIET);
        for mut parameter in latest.tensors().into_iter().chain([noise.shallow_clone()]) {
            let _ = parameter.requires_grad_(true);
        }
        Self {
            optimizer: AdamW::new(named("", &latest, &noise), config.weight_decay),
            latest,
            average,
            noise,
            mean_square: Tensor::ones([], (Kind::Float, device)),
            measured: Tensor::zeros([], (Kind::Float, Device::Cpu)),
        }
    }

    /// How the peer is read.
    pub fn reading(&self, which: Parameters) -> &Reading {
        match which {
            Parameters::Latest => &self.latest,
            Parameters::Average => &self.average,
        }
    }

    /// Takes note of how large the numbers are that the peer answers, over about the last hundred answers.
    pub fn measure(&mut self, answer: &Tensor) {
        const SHORTEST_MEMORY: f64 = 0.01;
        let _ = self.measured.g_add_scalar_(1);
        let share = (1.0 / self.measured.double_value(&[])).max(SHORTEST_MEMORY);
        let _ = no_grad(|| self.mean_square.lerp_(&join::mean_square(answer), share));
    }

    /// An answer in units of the peer's own, as [`join::in_units`] has it.
    pub fn in_units(&self, answer: &Tensor) -> Tensor {
        join::in_units(answer, &self.mean_square)
    }

    /// Steps taken.
    pub fn step_count(&self) -> u64 {
        self.optimizer.step_count().unsigned_abs()
    }

    /// What [`Part::step`] wants gradients for, in order.
    pub fn parameters(&self) -> Vec<&Tensor> {
        self.optimizer.parameters()
    }

    /// One step with these gradients.
    pub fn step(&mut self, gradients: &[Tensor], rate: f64, clip: f64) {
        self.optimizer.step(gradients, rate, clip);
        let (averages, parameters) = (self.average.tensors(), self.latest.tensors());
        follow(&averages, &parameters, self.optimizer.step_count());
    }

    /// All that a checkpoint keeps, for the peer of this name.
    pub fn state(&self, peer: &str) -> Vec<(String, Tensor)> {
        let mut state = named(&format!("peer/{peer}/"), &self.latest, &self.noise);
        let averages = ["weight", "gate"].into_iter().zip(self.average.tensors());
        state.extend(averages.map(|(name, one)| (format!("peer.average/{peer}/{name}"), one)));
        let sizes = [
            ("mean_square", &self.mean_square),
            ("measured", &self.measured),
        ];
        state.extend(
            sizes.map(|(name, one)| (format!("peer.size/{peer}/{name}"), one.shallow_clone())),
        );
        state.extend(self.optimizer.state(&format!("peer.optimizer/{peer}")));
        state
    }
}

/// The three parameters under their names.
fn named(prefix: &str, reading: &Reading, noise: &Tensor) -> Vec<(String, Tensor)> {
    [
        ("weight", &reading.weight),
        ("gate", &reading.gate),
        ("noise", noise),
    ]
    .map(|(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone()))
    .into()
}
