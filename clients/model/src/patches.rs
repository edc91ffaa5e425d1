//! A small convolutional network over images, whose answer has a position for each patch.
//!
//! ```text
//! x = (pixels - mean) / deviation
//! x = max_pool(gelu(conv(x)))                    twice: each position is now a patch of 4 x 4 pixels
//! x = x + gelu(conv(x))
//! representation = W_r layer_norm(x)             [batch, patches, response_dim], row by row
//! ```
//!
//! Convolutions see a little beyond the border of a patch, so a position knows its neighbourhood.

use serde::{Deserialize, Serialize};
use tch::{
    nn::{self, Module},
    Tensor,
};

use crate::{
    network::{check_range, check_sizes, linear, variance_kept, ConfigError},
    random::fill,
};

/// Side of a convolution's window.
const SIDE: i64 = 3;
/// Pixels along a side of a patch: two halvings.
const PATCH: i64 = 4;
/// Mean brightness of Fashion-MNIST, pixels from 0 to 1. Other pictures are near enough.
const MEAN: f64 = 0.286;
/// Their deviation.
const SPREAD: f64 = 0.353;

/// The sizes of a [`PatchNetwork`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchesConfig {
    /// Colours of an image.
    pub channels: i64,
    /// Pixels from top to bottom.
    pub height: i64,
    /// Pixels from left to right.
    pub width: i64,
    /// Filters of the first convolution; the others have twice as many.
    pub filters: i64,
    /// Number of classes.
    pub classes: i64,
    /// Length of the vectors that are answered.
    pub response_dim: i64,
}

impl Default for PatchesConfig {
    /// For Fashion-MNIST: about 0.06 million parameters, 49 patches.
    fn default() -> Self {
        Self {
            channels: 1,
            height: 28,
            width: 28,
            filters: 32,
            classes: 10,
            response_dim: 64,
        }
    }
}

impl PatchesConfig {
    /// Checks the sizes, before memory is taken for them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the size that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_range("image height", self.height, PATCH, 1 << 12)?;
        check_range("image width", self.width, PATCH, 1 << 12)?;
        check_sizes(&[
            ("number of colours", self.channels, 1 << 10),
            ("number of filters", self.filters, 1 << 12),
            ("number of classes", self.classes, 1 << 20),
            ("response dimension", self.response_dim, 1 << 16),
        ])
    }

    /// Patches of an image. What does not fill a patch, at the right and below, is left out.
    pub fn positions(&self) -> i64 {
        (self.height / PATCH) * (self.width / PATCH)
    }
}

/// The network. Its parameters live in the `VarStore` it was made in.
#[derive(Debug)]
pub struct PatchNetwork {
    edges: nn::Conv2D,
    parts: nn::Conv2D,
    neighbourhood: nn::Conv2D,
    norm: nn::LayerNorm,
    representation: nn::Linear,
}

impl PatchNetwork {
    /// Makes a network with random parameters under `path`; [`crate::seeded`] makes them repeatable.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the sizes describe no network.
    pub fn new(path: &nn::Path, config: &PatchesConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let conv = |name: &str, from, to| {
            let config = nn::ConvConfig {
                padding: 1,
                ws_init: nn::Init::Const(0.0),
                ..nn::ConvConfig::default()
            };
            let conv = nn::conv2d(path / name, from, to, SIDE, config);
            // Keeps the variance behind a rectifier (He et al., 2015).
            fill(&conv.ws, (2.0 / (from * SIDE * SIDE) as f64).sqrt());
            conv
        };
        let (few, many) = (config.filters, 2 * config.filters);
        Ok(Self {
            edges: conv("edges", config.channels, few),
            parts: conv("parts", few, many),
            neighbourhood: conv("neighbourhood", many, many),
            norm: nn::layer_norm(path / "norm", vec![many], nn::LayerNormConfig::default()),
            representation: linear(
                path / "representation",
                many,
                config.response_dim,
                variance_kept(many),
            ),
        })
    }

    /// Images `f32 [batch, channels, height, width]`, pixels from 0 to 1, to representations
    /// `f32 [batch, patches, response_dim]`, row by row.
    ///
    /// # Panics
    ///
    /// On images that [`crate::InputShape::check`] would refuse.
    pub fn represent(&self, images: &Tensor) -> Tensor {
        let halved = |x: Tensor| x.gelu("none").max_pool2d_default(2);
        let x = (images - MEAN) / SPREAD;
        let x = halved(by_position(&self.edges.forward(&x)));
        let x = halved(self.parts.forward(&x));
        let x = &x + self.neighbourhood.forward(&x).gelu("none");
        let positions = x.flatten(2, 3).transpose(1, 2);
        self.representation.forward(&self.norm.forward(&positions))
    }
}

/// The same numbers `[batch, channels, height, width]`, in memory position by position instead of channel by channel: so
/// libtorch halves an image in a tenth of the time, and what follows keeps the order.
fn by_position(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
