//! A small GPT over bytes: a decoder-only transformer as in "Attention is all you need" (Vaswani et
//! al., 2017), pre-norm and with learned positions as in GPT-2 (Radford et al., 2019).
//!
//! ```text
//! x = wte[token] + wpe[position]
//! x = x + attention(layer_norm(x)); x = x + mlp(layer_norm(x))     for each layer
//! representation = W_r layer_norm(x)           what a neuron answers: [batch, sequence, response_dim]
//! ```

use serde::{Deserialize, Serialize};
use tch::{
    nn::{self, Module},
    Kind, Tensor,
};

use crate::{
    network::{check_sizes, linear, variance_kept, ConfigError, DEVIATION},
    random::fill,
    text::VOCABULARY,
};

/// The sizes of a [`Transformer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Number of tokens.
    pub vocabulary: i64,
    /// Length of the vectors between the layers.
    pub width: i64,
    /// Number of blocks.
    pub layers: i64,
    /// Number of attention heads, which divides `width`.
    pub heads: i64,
    /// Longest sequence.
    pub context: i64,
    /// Length of the vectors that are answered.
    pub response_dim: i64,
}

impl Default for TransformerConfig {
    /// The size that a local network runs: about 0.14 million parameters.
    fn default() -> Self {
        Self {
            vocabulary: VOCABULARY,
            width: 64,
            layers: 2,
            heads: 4,
            context: 64,
            response_dim: 64,
        }
    }
}

impl TransformerConfig {
    /// Checks the sizes, before memory is taken for them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the size that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("vocabulary", self.vocabulary, 1 << 20),
            ("width", self.width, 1 << 16),
            ("number of layers", self.layers, 1 << 10),
            ("number of heads", self.heads, 1 << 10),
            ("context", self.context, 1 << 20),
            ("response dimension", self.response_dim, 1 << 16),
        ];
        check_sizes(&sizes)?;
        if self.width % self.heads != 0 {
            return Err(ConfigError::Heads {
                width: self.width,
                heads: self.heads,
            });
        }
        Ok(())
    }
}

fn layer_norm(path: nn::Path, width: i64) -> nn::LayerNorm {
    nn::layer_norm(path, vec![width], nn::LayerNormConfig::default())
}

/// `softmax(Q K^T / sqrt(d) + mask) V` for each head, side by side.
#[derive(Debug)]
struct CausalSelfAttention {
    query_key_value: nn::Linear,
    projection: nn::Linear,
    heads: i64,
}

impl CausalSelfAttention {
    fn new(path: &nn::Path, config: &TransformerConfig, residual_deviation: f64) -> Self {
        let width = config.width;
        Self {
            query_key_value: linear(path / "query_key_value", width, 3 * width, DEVIATION),
            projection: linear(path / "projection", width, width, residual_deviation),
            heads: config.heads,
        }
    }

    /// `[batch, sequence, width]` to the same; a position looks at itself and at earlier ones. The
    /// formula above is one kernel of libtorch, nine times as fast as matrix products and a softmax.
    fn forward(&self, x: &Tensor) -> Tensor {
        // [3, batch, heads, sequence, per_head]. No size of the input is named: what is traced from
        // this, for TorchScript, takes batches and sequences of every size.
        let parts = self
            .query_key_value
            .forward(x)
            .unflatten(-1, [3, self.heads, -1])
            .permute([2, 0, 3, 1, 4]);
        let (query, key, value) = (parts.get(0), parts.get(1), parts.get(2));
        let (dropout, causal) = (0.0, true);
        let mixed = Tensor::scaled_dot_product_attention(
            &query,
            &key,
            &value,
            None::<&Tensor>,
            dropout,
            causal,
            None, // the scale is 1 / sqrt(d)
            false,
        )
        .transpose(1, 2);
        self.projection.forward(&mixed.flatten(2, 3))
    }
}

/// Attention, then a perceptron; each reads a normalised input and adds to the stream.
#[derive(Debug)]
struct Block {
    attention_norm: nn::LayerNorm,
    attention: CausalSelfAttention,
    mlp_norm: nn::LayerNorm,
    expand: nn::Linear,
    contract: nn::Linear,
}

impl Block {
    fn new(path: &nn::Path, config: &TransformerConfig) -> Self {
        let width = config.width;
        // Every block adds twice to the stream: scaled down so that its variance stays near one.
        let residual_deviation = DEVIATION / (2.0 * config.layers as f64).sqrt();
        Self {
            attention_norm: layer_norm(path / "attention_norm", width),
            attention: CausalSelfAttention::new(&(path / "attention"), config, residual_deviation),
            mlp_norm: layer_norm(path / "mlp_norm", width),
            expand: linear(path / "expand", width, 4 * width, DEVIATION),
            contract: linear(path / "contract", 4 * width, width, residual_deviation),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let x = x + self.attention.forward(&self.attention_norm.forward(x));
        let hidden = self.expand.forward(&self.mlp_norm.forward(&x)).gelu("none");
        x + self.contract.forward(&hidden)
    }
}

/// The network. Its parameters live in the `VarStore` it was made in.
#[derive(Debug)]
pub struct Transformer {
    tokens: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: nn::LayerNorm,
    representation: nn::Linear,
}

impl Transformer {
    /// Makes a network with random parameters under `path`; [`crate::seeded`] makes them repeatable.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the sizes describe no model.
    pub fn new(path: &nn::Path, config: &TransformerConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let table = |name: &str, rows: i64| {
            let table = path.zeros(name, &[rows, config.width]);
            fill(&table, DEVIATION);
            table
        };
        Ok(Self {
            tokens: table("tokens", config.vocabulary),
            positions: table("positions", config.context),
            blocks: (0..config.layers)
                .map(|layer| Block::new(&(path / "blocks" / layer), config))
                .collect(),
            norm: layer_norm(path / "norm", config.width),
            representation: linear(
                path / "representation",
                config.width,
                config.response_dim,
                variance_kept(config.width),
            ),
        })
    }

    /// Tokens `i64 [batch, sequence]` to representations `f32 [batch, sequence, response_dim]`.
    /// Position `t` depends on the tokens up to `t` alone.
    ///
    /// # Panics
    ///
    /// On tokens that [`crate::InputShape::check`] would refuse.
    pub fn represent(&self, tokens: &Tensor) -> Tensor {
        let embed = |table, places: &Tensor| Tensor::embedding(table, places, -1, false, false);
        // Counted from the tokens, so that a trace of it knows no length.
        let positions = tokens.ones_like().cumsum(1, Kind::Int64) - 1;
        let mut x = embed(&self.tokens, tokens) + embed(&self.positions, &positions);
        for block in &self.blocks {
            x = block.forward(&x);
        }
        self.representation.forward(&self.norm.forward(&x))
    }
}

#[cfg(test)]
mod tests;
