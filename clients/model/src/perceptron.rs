//! A multilayer perceptron over vectors, the same at each position.
//!
//! ```text
//! x = gelu(W_1 input); x = x + gelu(W_2 x)
//! representation = W_r layer_norm(x)                  [batch, sequence, response_dim]
//! ```

use serde::{Deserialize, Serialize};
use tch::{
    nn::{self, Module},
    Tensor,
};

use crate::network::{check_sizes, linear, variance_kept, ConfigError};

/// The sizes of a [`Perceptron`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerceptronConfig {
    /// Length of the vectors that it takes.
    pub dim: i64,
    /// Longest sequence.
    pub context: i64,
    /// Length of the vectors between the layers.
    pub width: i64,
    /// Number of classes.
    pub classes: i64,
    /// Length of the vectors that are answered.
    pub response_dim: i64,
}

impl Default for PerceptronConfig {
    /// For Fashion-MNIST as vectors: about 0.13 million parameters.
    fn default() -> Self {
        Self {
            dim: 784,
            context: 64,
            width: 128,
            classes: 10,
            response_dim: 64,
        }
    }
}

impl PerceptronConfig {
    /// Checks the sizes, before memory is taken for them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the size that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_sizes(&[
            ("input dimension", self.dim, 1 << 20),
            ("context", self.context, 1 << 20),
            ("width", self.width, 1 << 16),
            ("number of classes", self.classes, 1 << 20),
            ("response dimension", self.response_dim, 1 << 16),
        ])
    }
}

/// The network. Its parameters live in the `VarStore` it was made in.
#[derive(Debug)]
pub struct Perceptron {
    first: nn::Linear,
    second: nn::Linear,
    norm: nn::LayerNorm,
    representation: nn::Linear,
}

impl Perceptron {
    /// Makes a network with random parameters under `path`; [`crate::seeded`] makes them repeatable.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the sizes describe no network.
    pub fn new(path: &nn::Path, config: &PerceptronConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let layer = |name: &str, from, to| linear(path / name, from, to, variance_kept(from));
        let width = config.width;
        Ok(Self {
            first: layer("first", config.dim, width),
            second: layer("second", width, width),
            norm: nn::layer_norm(path / "norm", vec![width], nn::LayerNormConfig::default()),
            representation: layer("representation", width, config.response_dim),
        })
    }

    /// Vectors `f32 [batch, sequence, dim]` to representations `f32 [batch, sequence, response_dim]`.
    ///
    /// # Panics
    ///
    /// On vectors that [`crate::InputShape::check`] would refuse.
    pub fn represent(&self, vectors: &Tensor) -> Tensor {
        let x = self.first.forward(vectors).gelu("none");
        let x = &x + self.second.forward(&x).gelu("none");
        self.representation.forward(&self.norm.forward(&x))
    }
}
