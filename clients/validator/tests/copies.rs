//! What independent models share, and what copies do: the measurement behind the threshold.
//!
//! A trial has eight peers, as a validator examines them: two assessments, in whose questions each peer finds the rows in an
//! order of its own. Six answer with models of their own, one relays its questions to one of these, and one answers what that
//! one was asked in place of what it was asked itself.
//!
//! `NOESIS_TRIALS=1000` runs the thousand of a nightly run, over three hundred pairs of models in place of 28.

// The configuration lets tests unwrap, and does not take their helpers for tests.
#![allow(clippy::unwrap_used)]

#[path = "../../model/tests/common/cache.rs"]
mod cache;

use noesis_model::{
    tch::{no_grad, Device, Kind, Tensor},
    DataSet, Modality, Split, Trainer, TrainingConfig,
};
use noesis_neuron::Hotkey;
use noesis_validator::copies::{agreements, positions, Copies, Order, THRESHOLD};
use rand::{rngs::StdRng, seq::SliceRandom, Rng, SeedableRng};
use std::f32::consts::TAU;

/// Examples in an assessment.
const EXAMPLES: usize = 256;
/// Of them in a question, which is as large as one of the training.
const QUESTION: usize = 16;
/// Peers in a trial that answer with models of their own.
const HONEST: usize = 6;
/// Trials over the same two assessments: who is who differs, and the models answer once for all of them.
const TRIALS_A_ROUND: usize = 8;
const LENGTH: usize = 64;
const RESPONSE_DIM: i64 = 64;

fn data(modality: Modality) -> DataSet {
    let path = cache::data(match modality {
        Modality::Text => "king-james.txt",
        Modality::Image | Modality::Tensor => "fashion-mnist",
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
fn disguised(answer: &Tensor, kind: usize, rng: &mut StdRng) -> Tensor {
    let [rows, positions, dim] = <[i64; 3]>::try_from(answer.size()).unwrap();
    let mut normal = |shape: &[i64]| normal(shape, rng);
    match kind {
        0 => answer.shallow_clone(),
        1 => answer.matmul(&normal(&[dim, dim])) + normal(&[dim]),
        2 => answer + answer.std(true) * normal(&answer.size()) * 0.1,
        // Half of the numbers mean nothing.
        _ => {
            let mixed = answer.matmul(&normal(&[dim, dim / 2]));
            let noise = mixed.std(true) * normal(&[rows, positions, dim / 2]);
            Tensor::cat(&[mixed, noise], -1)
        }
    }
}

/// Numbers of mean 0 and spread 1. Not libtorch's, whose generator the tests beside this one draw from, too.
fn normal(shape: &[i64], rng: &mut StdRng) -> Tensor {
    let count = shape.iter().product::<i64>();
    let uniform = |rng: &mut StdRng| 1.0 - rng.random::<f32>();
    let values: Vec<f32> = (0..count)
        .map(|_| (-2.0 * uniform(rng).ln()).sqrt() * (TAU * uniform(rng)).cos())
        .collect();
    Tensor::from_slice(&values).view(shape)
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

/// The orders in which one peer is sent the questions of an assessment.
struct Orders(Vec<Order>);

impl Orders {
    fn draw(rng: &mut StdRng) -> Self {
        let questions = 0..EXAMPLES / QUESTION;
        Self(questions.map(|_| Order::draw(QUESTION, rng)).collect())
    }

    /// The examples as this peer is sent them.
    fn sent(&self, examples: &Tensor) -> Tensor {
        self.each(examples, Order::sent)
    }

    /// What it answered, in the order of the examples.
    fn returned(&self, answers: &Tensor) -> Tensor {
        self.each(answers, Order::returned)
    }

    fn each(&self, rows: &Tensor, change: impl Fn(&Order, &Tensor) -> Tensor) -> Tensor {
        let questions = rows.split(QUESTION as i64, 0);
        let changed = self.0.iter().zip(&questions);
        let changed: Vec<Tensor> = changed.map(|(order, rows)| change(order, rows)).collect();
        Tensor::cat(&changed, 0)
    }
}

/// New examples, and what the models say of them.
struct Assessment {
    /// What the validator knows itself.
    known: Tensor,
    /// Each model's orders, and what it answered to what it was sent.
    answered: Vec<(Orders, Tensor)>,
}

impl Assessment {
    fn draw(data: &DataSet, pool: &[Trainer], own: &[Trainer; 2], rng: &mut StdRng) -> Self {
        let batch = data.sample(Split::Validation, EXAMPLES, rng).unwrap();
        let inputs = batch.inputs;
        let ask = |model: &Trainer| {
            let orders = Orders::draw(rng);
            let answered = answer(model, &orders.sent(&inputs));
            (orders, answered)
        };
        Self {
            answered: pool.iter().map(ask).collect(),
            known: Tensor::cat(&own.each_ref().map(|model| answer(model, &inputs)), -1),
        }
    }

    /// The answers of a trial's peers, in the order of the examples: of those with models of their own, of who relays its
    /// questions to the victim and disguises what comes back, and of who returns what the victim answered to its own.
    fn answers(
        &self,
        members: &[usize],
        victim: usize,
        disguise: usize,
        rng: &mut StdRng,
    ) -> Vec<(Hotkey, Tensor)> {
        let in_order = |member: usize| {
            let (orders, answered) = &self.answered[member];
            orders.returned(answered)
        };
        let (relay, tap) = (Orders::draw(rng), Orders::draw(rng));
        // What a model says of an example depends on no other: so it would have answered the relay.
        let relayed = relay.sent(&in_order(members[victim]));
        let heard = &self.answered[members[victim]].1;
        let copied = [
            relay.returned(&disguised(&relayed, disguise, rng)),
            tap.returned(heard),
        ];
        let honest = members.iter().map(|member| in_order(*member));
        let places = (0..).map(key);
        places.zip(honest.chain(copied)).collect()
    }
}

/// The hotkey at a place.
fn key(place: usize) -> Hotkey {
    [place as u8; 32]
}

fn find(modality: Modality, disguises: &[usize]) {
    noesis_model::set_threads(1);
    let trials: usize = (std::env::var("NOESIS_TRIALS").ok()).map_or(24, |trials| {
        trials.parse().expect("NOESIS_TRIALS is a number")
    });
    let data = data(modality);
    // From well trained, as far as a test has time for, to not at all: each as many models of so many steps.
    let steps: &[(usize, u64)] = if trials >= 200 {
        &[
            (3, 1000),
            (2, 800),
            (4, 600),
            (3, 400),
            (4, 300),
            (4, 150),
            (2, 80),
            (2, 40),
            (1, 0),
        ]
    } else {
        &[(3, 300), (2, 150), (1, 80), (1, 40), (1, 0)]
    };
    let steps: Vec<u64> = (steps.iter())
        .flat_map(|(models, steps)| std::iter::repeat_n(*steps, *models))
        .collect();
    let pool: Vec<Trainer> = (steps.iter().zip(100..))
        .map(|(steps, seed)| trained(&data, seed, *steps))
        .collect();
    // What a validator knows after its first assessments.
    let own = [trained(&data, 1, 60), trained(&data, 2, 60)];

    let mut rng = StdRng::seed_from_u64(7);
    let (mut found, mut wrong, mut pairs, mut believed) = (0, 0, 0, 0);
    let mut lowest_copy = f64::INFINITY;
    let (mut highest_other, mut highest_tap) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let (relay, tap) = (key(HONEST), key(HONEST + 1));
    let numbers: Vec<usize> = (0..trials).collect();
    for round in numbers.chunks(TRIALS_A_ROUND) {
        let assessments = [(); 2].map(|()| Assessment::draw(&data, &pool, &own, &mut rng));
        for trial in round {
            let mut members: Vec<usize> = (0..pool.len()).collect();
            members.shuffle(&mut rng);
            members.truncate(HONEST);
            // A copy of one that has learned something: there is nothing else worth copying.
            let worth: Vec<usize> = (0..HONEST)
                .filter(|place| steps[members[*place]] >= 150)
                .collect();
            let victim = worth[rng.random_range(0..worth.len())];
            let disguise = disguises[trial % disguises.len()];
            let is_copy = |peers: (Hotkey, Hotkey)| peers == (key(victim), relay);
            let (mut copies, mut changes) = (Copies::default(), Vec::new());
            for assessment in &assessments {
                let answers = assessment.answers(&members, victim, disguise, &mut rng);
                let agreements = agreements(&answers, &assessment.known);
                for (first, second, agreement) in agreements.iter().copied() {
                    if is_copy((first, second)) {
                        lowest_copy = lowest_copy.min(agreement);
                    } else if second == tap {
                        highest_tap = highest_tap.max(agreement);
                    } else {
                        highest_other = highest_other.max(agreement);
                    }
                }
                changes.extend(copies.measured(&agreements));
            }
            // All but the copy and the seven pairs of who answers another's questions.
            pairs += (HONEST + 1) * HONEST / 2 - 1;
            for peers in changes.iter().map(|change| change.peers) {
                if is_copy(peers) {
                    found += 1;
                } else if peers.1 == tap {
                    believed += 1;
                } else {
                    wrong += 1;
                }
            }
        }
    }
    println!(
        "{modality:?}, {trials} trials of {} models: by two assessments in a row {found} copies found, {wrong} of {pairs} \
         other pairs taken for copies; by a single one the lowest agreement of a copy {lowest_copy:.3}, the highest of \
         others {highest_other:.3}, of who answers another's questions with anybody {highest_tap:.3}",
        pool.len()
    );
    assert!(found * 100 >= trials * 99, "{found} of {trials}");
    assert!(wrong * 100 <= trials, "{wrong} in {trials} trials");
    // Whose answers they are cannot be seen, for they are to other rows: they are worth nothing.
    assert_eq!(believed, 0, "answers to another's questions agree");
    assert!(highest_tap < THRESHOLD, "{highest_tap}");
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
