//! What each encoding of answers does to the validator's loss.
//!
//! `cargo bench --workspace --bench encodings` trains one learner for each encoding over the same peers, batches and
//! coalitions, and prints its loss on examples that nobody learned from, beside that of exact answers.

#![allow(clippy::unwrap_used)] // a benchmark may

#[path = "support/peers.rs"]
mod peers;

use noesis_model::{
    held_out,
    tch::{Device, Tensor},
};
use noesis_neuron::{Formats, Hotkey};
use noesis_validator::{
    coalition,
    examples::OwnData,
    learner::{Learner, LearnerConfig},
    wire,
};
use rand::{rngs::StdRng, SeedableRng};
use std::str::FromStr;

const ENCODINGS: [&str; 5] = ["f32", "f16", "bf16", "int8", "int8,zstd"];
/// Steps of training of the peers.
const PEERS: [u64; 4] = [400, 200, 100, 50];
/// Steps of each learner.
const STEPS: u64 = 300;
const BATCH: usize = 16;
const OWN_BYTES: usize = 128 * 1024;
const EXAMPLES: usize = 2048;

fn main() {
    noesis_model::set_threads(1);
    let data = peers::data();
    let peers: Vec<_> = (PEERS.iter().zip(1u8..))
        .map(|(steps, seed)| {
            let peer = peers::trained(&data, seed.into(), *steps, Device::Cpu);
            ([seed; 32], peer)
        })
        .collect();
    let keys: Vec<Hotkey> = peers.iter().map(|(hotkey, _)| *hotkey).collect();
    let held_out = held_out(&data, EXAMPLES).unwrap();
    let mut exact = None;
    println!(
        "{:>10} {:>12} {:>8} {:>12}",
        "encoding", "bytes", "loss", "above exact"
    );
    for encoding in ENCODINGS {
        let formats = Formats::from_str(encoding).unwrap();
        let (mut rng, mut bytes) = (StdRng::seed_from_u64(7), 0);
        let own = OwnData::take(&data, OWN_BYTES, &mut rng).unwrap();
        let mut learner = Learner::new(LearnerConfig::default(), Device::Cpu).unwrap();
        for _ in 0..STEPS {
            let batch = own.sample(BATCH, Device::Cpu, &mut rng);
            let coalition = coalition::draw(&keys, 0.5, &mut rng);
            let round = learner.begin(&batch, &coalition, &[]);
            let answers = peers::answers(&peers, |peer| round.asks(peer), &batch.inputs);
            let answers = answers.into_iter().map(|(peer, answer)| {
                let (answer, size) = as_sent(&answer, formats);
                bytes = size;
                (peer, answer)
            });
            let answers = answers.collect();
            learner.finish(round, answers).unwrap();
        }
        let mut losses = Vec::new();
        for batch in &held_out {
            let answers = peers::answers(&peers, |_| true, &batch.inputs);
            let sent = answers.iter().map(|(peer, answer)| {
                let answer = as_sent(answer, formats).0;
                (*peer, learner.summarised(&answer))
            });
            losses.extend(learner.compare(batch, &sent.collect::<Vec<_>>()).network);
        }
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        let exact = *exact.get_or_insert(loss);
        println!(
            "{encoding:>10} {bytes:>12} {loss:>8.4} {:>+12.4}",
            loss - exact
        );
    }
}

/// An answer as it comes out at the other end, and its bytes on the wire.
fn as_sent(answer: &Tensor, formats: Formats) -> (Tensor, usize) {
    let sent = wire::gradient(answer).unwrap().to_wire_in(formats).unwrap();
    let bytes = sent.data.len();
    let came = noesis_neuron::Tensor::from_wire(&sent).unwrap();
    let shape = came.shape.clone();
    let values = wire::answer(came, &shape).unwrap();
    (wire::torch(&values, &shape, Device::Cpu).unwrap(), bytes)
}
