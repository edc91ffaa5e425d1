//! The network of a market: a body of its modality that represents inputs, and a linear head that
//! reads the representation.
//!
//! ```text
//! representation = body(inputs)       what a neuron answers: [batch, sequence, response_dim]
//! logits = W_h representation + b     the head reads the representation alone
//! ```
//!
//! Since the head reads nothing but the representation, training puts all that the network knows
//! into it, and a linear map of the caller's own can read it there.
//!
//! What the head is asked depends on the modality. TEXT: at each position, the token that comes next.
//! IMAGE and TENSOR: the class, from the mean over all positions. Scores are taken at the
//! [`summary`]: the last position of a text, whose next token nobody was sent, and the mean otherwise.

use market_primitives::Modality;
use serde::{Deserialize, Serialize};
use tch::{
    nn::{self, Module},
    Kind, TchError, Tensor,
};

use crate::{
    inputs::InputShape,
    patches::{PatchNetwork, PatchesConfig},
    perceptron::{Perceptron, PerceptronConfig},
    random::fill,
    script::{Script, ScriptConfig, ScriptError},
    transformer::{Transformer, TransformerConfig},
};

/// GPT-2's deviation of the initial weights.
pub(crate) const DEVIATION: f64 = 0.02;

/// The sizes of a [`Network`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkConfig {
    /// TEXT: a small transformer over bytes.
    Transformer(TransformerConfig),
    /// IMAGE: a small convolutional network, a position for each patch.
    Patches(PatchesConfig),
    /// TENSOR: a perceptron, the same at each position.
    Perceptron(PerceptronConfig),
    /// Any: a TorchScript file of the user's own.
    Script(ScriptConfig),
}

impl From<TransformerConfig> for NetworkConfig {
    fn from(config: TransformerConfig) -> Self {
        Self::Transformer(config)
    }
}

impl NetworkConfig {
    /// The built-in network of a modality for the data that scripts/setup fetches, and for sequences of up
    /// to `context`.
    pub fn builtin(modality: Modality, context: i64, response_dim: i64) -> Self {
        match modality {
            Modality::Text => Self::Transformer(TransformerConfig {
                context,
                response_dim,
                ..TransformerConfig::default()
            }),
            Modality::Image => Self::Patches(PatchesConfig {
                response_dim,
                ..PatchesConfig::default()
            }),
            Modality::Tensor => Self::Perceptron(PerceptronConfig {
                context,
                response_dim,
                ..PerceptronConfig::default()
            }),
        }
    }

    /// Checks the sizes, before memory is taken for them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the size that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Transformer(config) => config.check(),
            Self::Patches(config) => config.check(),
            Self::Perceptron(config) => config.check(),
            Self::Script(_) => Ok(()), // examined when it was made
        }
    }

    /// What the network takes.
    pub fn inputs(&self) -> InputShape {
        match self {
            Self::Transformer(config) => InputShape::Text {
                vocabulary: config.vocabulary,
                context: config.context,
            },
            Self::Patches(config) => InputShape::Image {
                channels: config.channels,
                height: config.height,
                width: config.width,
            },
            Self::Perceptron(config) => InputShape::Tensor {
                context: config.context,
                dim: config.dim,
            },
            Self::Script(config) => config.inputs,
        }
    }

    /// Its modality.
    pub fn modality(&self) -> Modality {
        self.inputs().modality()
    }

    /// Length of the vectors that are answered.
    pub fn response_dim(&self) -> i64 {
        match self {
            Self::Transformer(config) => config.response_dim,
            Self::Patches(config) => config.response_dim,
            Self::Perceptron(config) => config.response_dim,
            Self::Script(config) => config.response_dim,
        }
    }

    /// Number of classes, or of tokens that can come next.
    pub fn classes(&self) -> i64 {
        match self {
            Self::Transformer(config) => config.vocabulary,
            Self::Patches(config) => config.classes,
            Self::Perceptron(config) => config.classes,
            Self::Script(config) => config.classes,
        }
    }

    /// Positions of the answer to inputs of this shape.
    pub fn positions(&self, shape: &[i64]) -> i64 {
        match self {
            Self::Patches(config) => config.positions(),
            Self::Script(config) if config.inputs.modality() == Modality::Image => {
                config.image_positions
            }
            _ => shape.get(1).copied().unwrap_or(0),
        }
    }

    /// Whether gradients can change how it represents its inputs.
    pub fn trainable(&self) -> bool {
        match self {
            Self::Script(config) => config.trainable,
            _ => true,
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Transformer(_) => "transformer",
            Self::Patches(_) => "patches",
            Self::Perceptron(_) => "perceptron",
            Self::Script(_) => "torchscript",
        }
    }
}

/// Why a configuration describes no network.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A size is zero, negative, or beyond all reason.
    #[error("the model's {name} is {value}: choose one from {smallest} to {largest}")]
    OutOfRange {
        /// Which.
        name: &'static str,
        /// What it is.
        value: i64,
        /// Smallest allowed.
        smallest: i64,
        /// Largest allowed.
        largest: i64,
    },
    /// The heads do not share the width evenly.
    #[error("a width of {width} cannot be shared by {heads} heads: choose a multiple")]
    Heads {
        /// The width.
        width: i64,
        /// The heads.
        heads: i64,
    },
    /// The TorchScript file.
    #[error(transparent)]
    Script(#[from] ScriptError),
}

/// Checks that each size, with its name, is from 1 to its largest.
pub(crate) fn check_sizes(sizes: &[(&'static str, i64, i64)]) -> Result<(), ConfigError> {
    for &(name, value, largest) in sizes {
        check_range(name, value, 1, largest)?;
    }
    Ok(())
}

/// Checks one size.
pub(crate) fn check_range(
    name: &'static str,
    value: i64,
    smallest: i64,
    largest: i64,
) -> Result<(), ConfigError> {
    if (smallest..=largest).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::OutOfRange {
            name,
            value,
            smallest,
            largest,
        })
    }
}

/// `y = x W^T + b`, with weights drawn from a normal distribution.
pub(crate) fn linear(path: nn::Path, from: i64, to: i64, deviation: f64) -> nn::Linear {
    let config = nn::LinearConfig {
        ws_init: nn::Init::Const(0.0),
        bs_init: Some(nn::Init::Const(0.0)),
        bias: true,
    };
    let linear = nn::linear(path, from, to, config);
    fill(&linear.ws, deviation);
    linear
}

/// The deviation with which a linear map keeps the variance of what it reads: an untrained network's
/// answer is as large as a trained one's.
pub(crate) fn variance_kept(from: i64) -> f64 {
    1.0 / (from as f64).sqrt()
}

/// What represents the inputs.
#[derive(Debug)]
enum Body {
    Transformer(Transformer),
    Patches(Box<PatchNetwork>), // three times as large as the others
    Perceptron(Perceptron),
    Script(Script),
}

/// The network. Its parameters live in the `VarStore` it was made in.
#[derive(Debug)]
pub struct Network {
    config: NetworkConfig,
    body: Body,
    head: nn::Linear,
}

impl Network {
    /// Makes a network with random parameters under `path`; [`crate::seeded`] makes them repeatable.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the sizes describe no network.
    pub fn new(path: &nn::Path, config: &NetworkConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let body = match config {
            NetworkConfig::Transformer(config) => {
                Body::Transformer(Transformer::new(path, config)?)
            }
            NetworkConfig::Patches(config) => {
                Body::Patches(Box::new(PatchNetwork::new(path, config)?))
            }
            NetworkConfig::Perceptron(config) => Body::Perceptron(Perceptron::new(path, config)?),
            NetworkConfig::Script(config) => Body::Script(Script::load(path, config)?),
        };
        let (dim, classes) = (config.response_dim(), config.classes());
        Ok(Self {
            body,
            head: linear(path / "head", dim, classes, DEVIATION),
            config: config.clone(),
        })
    }

    /// Its sizes.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Inputs to representations `f32 [batch, sequence, response_dim]`.
    ///
    /// # Panics
    ///
    /// On inputs that [`InputShape::check`] would refuse, and where a TorchScript module fails: see
    /// [`Network::f_represent`].
    pub fn represent(&self, inputs: &Tensor) -> Tensor {
        self.f_represent(inputs)
            .expect("a built-in network represents every input that was checked")
    }

    /// As [`Network::represent`], of a network that may fail: a TorchScript module.
    ///
    /// # Errors
    ///
    /// What libtorch says where the module fails, or that its answer is of another shape than when it
    /// was examined.
    pub fn f_represent(&self, inputs: &Tensor) -> Result<Tensor, TchError> {
        let answer = match &self.body {
            Body::Transformer(body) => body.represent(inputs),
            Body::Patches(body) => body.represent(inputs),
            Body::Perceptron(body) => body.represent(inputs),
            Body::Script(body) => body.represent(inputs)?,
        };
        let shape = inputs.size();
        let batch = shape.first().copied().unwrap_or(0);
        let positions = self.config.positions(&shape);
        let expected = [batch, positions, self.config.response_dim()];
        if answer.size() != expected {
            let found = answer.size();
            let words = format!("the model answered {found:?} in place of {expected:?}");
            return Err(TchError::Shape(words));
        }
        Ok(answer)
    }

    /// The head: `[.., response_dim]` to logits `[.., classes]`. Of representations, of their
    /// [`summary`], or of either after others' answers were joined to them.
    pub fn logits(&self, x: &Tensor) -> Tensor {
        self.head.forward(x)
    }

    /// Representations `[batch, sequence, response_dim]` to the logits that targets are held against:
    /// TEXT `[batch, sequence, classes]`, else `[batch, classes]`.
    pub fn predict(&self, representation: &Tensor) -> Tensor {
        match self.config.modality() {
            Modality::Text => self.logits(representation),
            modality => self.logits(&summary(modality, representation)),
        }
    }

    /// Mean cross entropy, in nats, of representations `[batch, sequence, response_dim]` against the
    /// targets of a [`crate::Batch`].
    pub fn loss(&self, representation: &Tensor, targets: &Tensor) -> Tensor {
        cross_entropy(&self.predict(representation), targets)
    }
}

/// The representation at which scores are taken, `[batch, sequence, d]` to `[batch, d]`: the last
/// position of a text, the mean over the positions otherwise. Linear, so that answers of others can be
/// summarised before they are joined.
pub fn summary(modality: Modality, x: &Tensor) -> Tensor {
    match modality {
        Modality::Text => x.select(1, x.size()[1] - 1),
        Modality::Image | Modality::Tensor => x.mean_dim(1, false, Kind::Float),
    }
}

/// The targets at the [`summary`], `i64 [batch]`, of the targets of a [`crate::Batch`].
pub fn summary_targets(modality: Modality, targets: &Tensor) -> Tensor {
    match modality {
        Modality::Text => targets.select(1, targets.size()[1] - 1),
        Modality::Image | Modality::Tensor => targets.shallow_clone(),
    }
}

/// Mean cross entropy, in nats, of logits `[.., classes]` against classes `i64 [..]`.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Tensor {
    let classes = logits.size().last().copied().unwrap_or(1);
    logits
        .reshape([-1, classes])
        .cross_entropy_for_logits(&targets.reshape([-1]))
}

#[cfg(test)]
mod tests;
