//! The peers of the benchmarks: small models of seeds of their own.

use noesis_model::{
    tch::{no_grad, Device, Tensor},
    DataSet, Modality, Trainer, TrainingConfig, TransformerConfig,
};
use noesis_neuron::Hotkey;
use std::path::PathBuf;

/// The text that scripts/setup fetched.
pub fn data() -> DataSet {
    let path = std::env::var_os("NOESIS_DATA").expect("source scripts/env first");
    DataSet::load(Modality::Text, &PathBuf::from(path), 64).expect("run scripts/setup first")
}

/// A model of this seed after so many steps.
pub fn trained(data: &DataSet, seed: u64, steps: u64, device: Device) -> Trainer {
    let config = TrainingConfig {
        decay_steps: steps.max(100),
        seed,
        ..TrainingConfig::default()
    };
    let sizes = TransformerConfig::default().into();
    let mut trainer = Trainer::new(&sizes, config, device).unwrap();
    while trainer.step_count() < steps {
        trainer.train_step(data).unwrap();
    }
    trainer
}

/// What those that are asked answer, in this process and one after the other.
pub fn answers(
    peers: &[(Hotkey, Trainer)],
    asked: impl Fn(&Hotkey) -> bool,
    inputs: &Tensor,
) -> Vec<(Hotkey, Tensor)> {
    let asked = peers.iter().filter(|(hotkey, _)| asked(hotkey));
    asked
        .map(|(hotkey, peer)| (*hotkey, no_grad(|| peer.model().represent(inputs))))
        .collect()
}
