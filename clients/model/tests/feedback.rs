//! Gradients of others make a model better by its own measure: of two miners alike, the one that follows a
//! validator's gradients between its own steps is ahead of the one that does not. With a validator as small as can be, so
//! that it can be looked at on the way and repeated to the bit; with a real one see `clients/validator/tests/gradients.rs`.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

#[path = "common/cache.rs"]
mod cache;

use noesis_model::{
    optimizer::trainable,
    tch::{nn::VarStore, no_grad, Device, Kind, Tensor},
    AdamW, Batch, DataSet, Modality, Network, NetworkConfig, Split, Trainer, TrainingConfig,
    TransformerConfig,
};
use rand::{rngs::StdRng, SeedableRng};

const DIM: i64 = 32;
/// Batches that the validator learns from. The miners take a step of their own after each fourth.
const ROUNDS: u64 = 240;

fn text() -> DataSet {
    let path = cache::data("king-james.txt");
    DataSet::load(Modality::Text, &path, 32).expect("run scripts/setup first")
}

fn config() -> NetworkConfig {
    NetworkConfig::Transformer(TransformerConfig {
        width: 32,
        layers: 1,
        heads: 2,
        context: 32,
        response_dim: DIM,
        ..TransformerConfig::default()
    })
}

fn miner() -> Trainer {
    let training = TrainingConfig {
        batch: 8,
        warmup_steps: 10,
        seed: 1,
        ..TrainingConfig::default()
    };
    Trainer::new(&config(), training, Device::Cpu).unwrap()
}

/// As small as a validator can be: a model of its own, and one adapter through which it reads its peer.
struct Validator {
    network: Network,
    adapter: Tensor,
    optimizer: AdamW,
    rng: StdRng,
    _store: VarStore,
}

impl Validator {
    fn new() -> Self {
        let store = VarStore::new(Device::Cpu);
        let network = noesis_model::seeded(2, || Network::new(&store.root(), &config())).unwrap();
        let zeros = Tensor::zeros([DIM, DIM], (Kind::Float, Device::Cpu));
        let adapter = zeros.set_requires_grad(true);
        let mut parameters = trainable(&store);
        parameters.push(("adapter".into(), adapter.shallow_clone()));
        Self {
            network,
            adapter,
            optimizer: AdamW::new(parameters, 0.1),
            rng: StdRng::seed_from_u64(2),
            _store: store,
        }
    }

    /// Learns from a batch with the miner's answer joined in; returns what the miner is sent.
    fn round(&mut self, data: &DataSet, miner: &Trainer) -> (Tensor, Tensor) {
        let batch = data.sample(Split::Training, 8, &mut self.rng).unwrap();
        let Batch { inputs, targets } = batch;
        let answer = no_grad(|| miner.model().represent(&inputs)).set_requires_grad(true);
        let joined = self.network.represent(&inputs) + answer.matmul(&self.adapter.tr());
        let loss = self.network.loss(&joined, &targets);
        let mut wanted = self.optimizer.parameters();
        wanted.push(&answer);
        let mut gradients = Tensor::run_backward(&[loss], &wanted, false, false);
        let for_the_miner = gradients.pop().unwrap();
        self.optimizer.step(&gradients, 4e-3, 1.0);
        (inputs, for_the_miner)
    }
}

/// The held-out losses of a miner after each sixty rounds.
fn losses(data: &DataSet, follows: bool) -> Vec<f64> {
    noesis_model::set_threads(1);
    let (mut miner, mut validator) = (miner(), Validator::new());
    let mut losses = Vec::new();
    for round in 1..=ROUNDS {
        let (inputs, gradient) = validator.round(data, &miner);
        if follows {
            let norm = miner.follow(&inputs, &gradient, 1e-3, 1.0).unwrap();
            assert!(norm.is_some_and(f64::is_finite));
        }
        if round % 4 == 0 {
            miner.train_step(data).unwrap();
        }
        if round % 60 == 0 {
            let held_out = miner.evaluate(data, Split::Evaluation, 32).unwrap();
            losses.push(held_out.loss);
        }
    }
    losses
}

#[test]
fn a_miner_that_follows_gradients_is_ahead_of_its_twin_that_does_not() {
    let data = text();
    let (followed, alone) = (losses(&data, true), losses(&data, false));
    println!("held-out nats a byte: following {followed:.3?}, alone {alone:.3?}");
    // Not at first: through an adapter that has learned nothing yet, a gradient is noise.
    for (number, (followed, alone)) in followed.iter().zip(&alone).enumerate().skip(1) {
        assert!(
            followed + 0.02 < *alone,
            "{number}: {followed} against {alone}"
        );
    }
    assert_eq!(losses(&data, true), followed, "the same again");
}
