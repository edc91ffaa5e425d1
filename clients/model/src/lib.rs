//! Models, tensors, data sets and checkpoints: the only crate that names `tch`.
//!
//! The way of the data: a [`text::Text`] gives batches of tokens, a [`transformer::Transformer`]
//! turns tokens into representations and these into logits, a [`training::Trainer`] lowers the
//! next-token loss with [`optimizer::AdamW`], and [`checkpoint`] keeps all of it across a crash.
//!
//! A tensor can go from one thread to another but cannot be shared between them: one thread owns a
//! model. Nothing here panics because of what a file holds; what comes over a wire goes through
//! [`transformer::TransformerConfig::check_tokens`] before it becomes a tensor.

pub mod checkpoint;
pub mod device;
pub mod optimizer;
pub mod text;
pub mod training;
pub mod transformer;

pub use tch;

pub use checkpoint::{Checkpoint, CheckpointError, Folder};
pub use device::{set_threads, DeviceChoice, DeviceError};
pub use optimizer::AdamW;
pub use text::{DataError, Split, Text, VOCABULARY};
pub use training::{Trainer, TrainingConfig, TrainingError};
pub use transformer::{ConfigError, TokenError, Transformer, TransformerConfig};

use std::sync::{Mutex, PoisonError};

/// Runs `build` with libtorch's generator seeded, so that the parameters made in it depend on `seed`
/// alone. The generator is one for the whole process: a lock keeps two models that are built at the
/// same time from drawing each other's numbers.
pub fn seeded<T>(seed: u64, build: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(i64::from_ne_bytes(seed.to_ne_bytes()));
    build()
}
