//! What independent models share, and what copies do: the measurement behind the threshold.
//!
//! `NOESIS_TRIALS=1000` runs the thousand of a nightly run, over more models.

// The configuration lets tests unwrap, and does not take their helpers for tests.
#![allow(clippy::unwrap_used)]

use noesis_model::{
    tch::{no_grad, Device, Kind, Tensor},
    DataSet, Modality, Split, Trainer, TrainingConfig,
};
use noesis_neuron::Hotkey;
use noesis_validator::copies::{agreements, positions, THRESHOLD};
use rand::{rngs::StdRng, seq::SliceRandom, Rng, SeedableRng};
use std::path::PathBuf;

const EXAMPLES: usize = 256;
const LENGTH: usize = 64;
const RESPONSE_DIM: i64 = 64;

fn data(modality: Modality) -> DataSet {
    let cache = std::env::var_os("NOESIS_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").expect("HOME or NOESIS_CACHE is set");
        PathBuf::from(home).join(".cache/noesis")
    });
    let path = cache.join(match modality {
        Modality::Text => "data/king-james.txt",
        Modality::Image | Modality::Tensor => "data/fashion-mnist",
    });
    DataSet::load(modality, &path, LENGTH).expect("run scripts/setup first")
}

/// A model of its own seed after so many steps.
fn trained(data: &DataSet, seed: u64, steps: u64) -> Trainer {
    let config = TrainingConfig {
        batch: 16,
        decay_steps: steps.max(100),
        seed,
        ..TrainingConfig::default()
    };
    let mut trainer = Trainer::new(&data.builtin(RESPONSE_DIM), config, Device::Cpu).unwrap();
    while trainer.step_count() < steps {
        trainer.train_step(data).unwrap();
    }
    trainer
}

/// Its answers at the positions that are compared, in half precision as on the wire.
fn answer(model: &Trainer, inputs: &Tensor) -> Tensor {
    let answer = no_grad(|| model.model().represent(inputs));
    let positions = positions(answer.size()[1].unsigned_abs() as usize);
    let answer = answer.index_select(1, &Tensor::from_slice(&positions));
    answer.to_kind(Kind::Half).to_kind(Kind::Float)
}

/// What [`disguised`] does: nothing, mixing, a little noise, filling up with noise.
const ALL: [usize; 4] = [0, 1, 2, 3];

/// A relayed answer, as it stands or disguised.
fn disguised(answer: &Tensor, kind: usize) -> Tensor {
    let dim = answer.size()[2];
    let options = (Kind::Float, Device::Cpu);
    match kind {
        0 => answer.shallow_clone(),
        1 => answer.matmul(&Tensor::randn([dim, dim], options)) + Tensor::randn([dim], options),
        2 => answer + answer.std(true) * Tensor::randn(answer.size(), options) * 0.1,
        // Half of the numbers mean nothing.
        _ => {
            let mixed = answer.matmul(&Tensor::randn([dim, dim / 2], options));
            let spread = mixed.std(true);
            let noise =
                spread * Tensor::randn([mixed.size()[0], mixed.size()[1], dim / 2], options);
            Tensor::cat(&[mixed, noise], -1)
        }
    }
}

#[test]
fn copies_of_texts_are_found_and_independent_models_are_not_taken_for_them() {
    find(Modality::Text, &ALL);
}

#[test]
fn copies_of_images_are_found_and_independent_models_are_not_taken_for_them() {
    find(Modality::Image, &ALL);
}

/// Of vectors an answer has one position, so that an assessment has few rows to fit maps to: there noise, among the numbers or
/// instead of them, hides a copy.
#[test]
fn plain_copies_of_vectors_are_found_and_independent_models_are_not_taken_for_them() {
    find(Modality::Tensor, &ALL[..2]);
}

fn find(modality: Modality, disguises: &[usize]) {
    noesis_model::set_threads(1);
    let trials: usize = (std::env::var("NOESIS_TRIALS").ok()).map_or(24, |trials| {
        trials.parse().expect("NOESIS_TRIALS is a number")
    });
    let data = data(modality);
    // From well trained, as far as a test has time for, to not at all.
    let steps: &[u64] = if trials >= 500 {
        &[
            1000, 1000, 600, 600, 600, 300, 300, 300, 150, 150, 80, 40, 0,
        ]
    } else {
        &[300, 300, 300, 150, 150, 80, 40, 0]
    };
    let pool: Vec<Trainer> = (steps.iter().zip(100..))
        .map(|(steps, seed)| trained(&data, seed, *steps))
        .collect();
    // What a validator knows after its first assessments.
    let own = [trained(&data, 1, 60), trained(&data, 2, 60)];

    let mut rng = StdRng::seed_from_u64(7);
    let (mut found, mut wrong, mut pairs) = (0, 0, 0);
    let (mut lowest_copy, mut highest_other) = (f64::INFINITY, f64::NEG_INFINITY);
    for trial in 0..trials {
        let inputs = data
            .sample(Split::Validation, EXAMPLES, &mut rng)
            .unwrap()
            .inputs;
        let known = Tensor::cat(&own.each_ref().map(|model| answer(model, &inputs)), -1);
        let mut members: Vec<usize> = (0..pool.len()).collect();
        members.shuffle(&mut rng);
        members.truncate(7);
        let mut answers: Vec<(Hotkey, Tensor)> = (members.iter().zip(0u8..))
            .map(|(member, place)| ([place; 32], answer(&pool[*member], &inputs)))
            .collect();
        // A relay of one that has learned something: there is nothing else worth copying.
        let worth: Vec<u8> = (members.iter().zip(0u8..))
            .filter(|(member, _)| steps[**member] >= 150)
            .map(|(_, place)| place)
            .collect();
        let victim = worth[rng.random_range(0..worth.len())];
        let disguise = disguises[trial % disguises.len()];
        let copy = disguised(&answers[usize::from(victim)].1, disguise);
        answers.push(([7; 32], copy));
        for (first, second, agreement) in agreements(&answers, &known) {
            let is_copy = (first, second) == ([victim; 32], [7; 32]);
            if is_copy {
                found += usize::from(agreement >= THRESHOLD);
                lowest_copy = lowest_copy.min(agreement);
            } else {
                pairs += 1;
                wrong += usize::from(agreement >= THRESHOLD);
                highest_other = highest_other.max(agreement);
            }
        }
    }
    println!(
        "{modality:?}, {trials} trials: {found} copies found, {wrong} of {pairs} other pairs taken for copies; \
         lowest agreement of a copy {lowest_copy:.3}, highest of others {highest_other:.3}"
    );
    assert!(found * 100 >= trials * 99, "{found} of {trials}");
    assert!(wrong * 100 <= trials, "{wrong} in {trials} trials");
}

/// Two miners that started from one checkpoint are one until training on has led them apart.
#[test]
fn two_from_one_checkpoint_are_one_at_first() {
    noesis_model::set_threads(1);
    let data = data(Modality::Text);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let parent = trained(&data, 100, 200);
    parent.save(&path).unwrap();
    let own = [trained(&data, 1, 60), trained(&data, 2, 60)];
    let mut children: Vec<Trainer> = (0..2)
        .map(|child| {
            let config = TrainingConfig {
                batch: 16,
                decay_steps: 600,
                seed: 200 + child,
                ..TrainingConfig::default()
            };
            Trainer::resume(&path, &data.builtin(RESPONSE_DIM), config, Device::Cpu).unwrap()
        })
        .collect();
    let mut rng = StdRng::seed_from_u64(8);
    let inputs = data
        .sample(Split::Validation, EXAMPLES, &mut rng)
        .unwrap()
        .inputs;
    let known = Tensor::cat(&own.each_ref().map(|model| answer(model, &inputs)), -1);
    let mut agreed = Vec::new();
    for apart in [0, 10, 100] {
        for child in &mut children {
            while child.step_count() < 200 + apart {
                child.train_step(&data).unwrap();
            }
        }
        let answers: Vec<_> = (children.iter().zip(0u8..))
            .map(|(child, place)| ([place; 32], answer(child, &inputs)))
            .collect();
        let agreement = agreements(&answers, &known)[0].2;
        println!("{apart} steps apart: agreement {agreement:.3}");
        agreed.push(agreement);
    }
    assert!(agreed[0] > 0.99 && agreed[2] < THRESHOLD, "{agreed:?}");
}
