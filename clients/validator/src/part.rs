//! What is trained together: a model, or what belongs to one peer, with its optimizer.

use crate::learner::LearnerConfig;
use noesis_model::{
    optimizer::trainable,
    seeded,
    tch::{nn::VarStore, no_grad, Device, Kind, Tensor},
    AdamW, ConfigError, Network,
};

/// Where the gate's row of noise begins, at the constant feature of 4: `softplus(-2)` is 0.13. Coalitions
/// explore already.
const QUIET: f64 = -0.5;

/// A model in training.
pub struct Trained {
    /// The model.
    pub model: Network,
    /// Its optimizer.
    pub optimizer: AdamW,
    /// Owns the parameters.
    pub store: VarStore,
}

impl Trained {
    /// With random parameters that depend on the seed alone.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the sizes describe no model.
    pub fn new(config: &LearnerConfig, device: Device) -> Result<Self, ConfigError> {
        let store = VarStore::new(device);
        let model = seeded(config.seed, || Network::new(&store.root(), &config.model))?;
        Ok(Self {
            optimizer: AdamW::of(&store, config.weight_decay),
            model,
            store,
        })
    }

    /// All that a checkpoint keeps, under `name`.
    pub fn state(&self, name: &str) -> Vec<(String, Tensor)> {
        let parameters = trainable(&self.store).into_iter();
        let mut state: Vec<_> = parameters
            .map(|(key, tensor)| (format!("{name}/{key}"), tensor))
            .collect();
        state.extend(self.optimizer.state(&format!("{name}.optimizer")));
        state
    }
}

/// What belongs to one peer: its adapter and its rows of the gate.
pub struct Part {
    /// The adapter, `[d, d]`.
    pub weight: Tensor,
    /// The gate's row, `[d + 1]`.
    pub gate: Tensor,
    /// The gate's row of noise, `[d + 1]`.
    pub noise: Tensor,
    /// Their optimizer.
    pub optimizer: AdamW,
}

impl Part {
    /// Adapter and gate begin at zero: a newcomer changes nothing until it is found to help.
    pub fn new(config: &LearnerConfig, device: Device) -> Self {
        let dim = config.model.response_dim();
        let zeros =
            |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, device)).set_requires_grad(true);
        let (weight, gate, noise) = (zeros(&[dim, dim]), zeros(&[dim + 1]), zeros(&[dim + 1]));
        let _ = no_grad(|| noise.narrow(0, dim, 1).fill_(QUIET));
        Self {
            optimizer: AdamW::new(named("", &weight, &gate, &noise), config.weight_decay),
            weight,
            gate,
            noise,
        }
    }

    /// All that a checkpoint keeps, for the peer of this name.
    pub fn state(&self, peer: &str) -> Vec<(String, Tensor)> {
        let prefix = format!("peer/{peer}/");
        let mut state = named(&prefix, &self.weight, &self.gate, &self.noise);
        state.extend(self.optimizer.state(&format!("peer.optimizer/{peer}")));
        state
    }
}

/// The three parameters under their names.
fn named(prefix: &str, weight: &Tensor, gate: &Tensor, noise: &Tensor) -> Vec<(String, Tensor)> {
    [("weight", weight), ("gate", gate), ("noise", noise)]
        .map(|(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone()))
        .into()
}
