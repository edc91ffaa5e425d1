//! Models, tensors, data sets and checkpoints: the only crate that names `tch`.
//!
//! The way of the data: [`data::DataSet`] gives batches of inputs and targets, a [`network::Network`] turns
//! inputs into representations and these into logits, a [`training::Trainer`] lowers the loss with
//! [`optimizer::AdamW`], and [`checkpoint`] keeps all of it across a crash.
//!
//! | modality | data | body of the network |
//! |---|---|---|
//! | TEXT | [`text`] | [`transformer`] |
//! | IMAGE | [`images`] | [`patches`] |
//! | TENSOR | [`images`], laid flat | [`perceptron`] |
//! | any | | [`script`]: a TorchScript file of the user's own |
//!
//! A tensor can go from one thread to another but cannot be shared between them: one thread owns a
//! model. Nothing here panics because of what a file holds; what comes over a wire goes through
//! [`inputs::InputShape::check`] before it becomes a tensor.

pub mod checkpoint;
pub mod data;
pub mod device;
pub mod held_out;
pub mod images;
pub mod inputs;
pub mod network;
pub mod optimizer;
pub mod patches;
pub mod perceptron;
pub mod random;
pub mod script;
pub mod text;
pub mod training;
pub mod transformer;

pub use market_primitives::Modality;
pub use tch;

pub use checkpoint::{Checkpoint, CheckpointError, Folder};
pub use data::{Batch, DataError, DataSet, Split};
pub use device::{set_threads, DeviceChoice, DeviceError};
pub use held_out::{held_out, held_out_loss};
pub use images::Images;
pub use inputs::{InputError, InputShape, Values};
pub use network::{ConfigError, Network, NetworkConfig};
pub use optimizer::AdamW;
pub use random::seeded;
pub use script::{telling_line, ScriptConfig, ScriptError};
pub use text::{Text, VOCABULARY};
pub use training::{Evaluation, Trainer, TrainingConfig, TrainingError};
pub use transformer::TransformerConfig;

#[cfg(test)]
#[path = "../tests/common/cache.rs"]
mod cache;
