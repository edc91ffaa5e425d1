//! Copies: peers whose answers agree beyond what independent models can are one, and one of them is paid.
//!
//! Every peer is sent a batch in a secret [`Order`] of its own. Who returns what another was asked, from a cache or a
//! wire tap, answers the wrong rows, and is worth nothing. Who *relays* its own question answers the right rows with
//! another's words, and no question can tell it from the original. But then the two answer the same inputs alike,
//! and that shows:
//!
//! *Agreement.* Of the answers at the same positions of the same examples, first what the validator's own models
//! know is taken away (a linear fit of their representations): every model of a text knows the last byte, and sharing
//! that is no evidence. Then the one's rest is fitted linearly to the other's on half of the examples, and the share
//! of its variance that the fit explains on the other half is the agreement, the larger of both directions. A
//! rotation or a scale does not lower it, noise added to a relayed answer lowers it by no more than the noise's
//! share of the variance, and numbers that mean nothing, added to fill it up, leave one direction as it was.
//!
//! *One or two.* From [`THRESHOLD`] on in two assessments in a row two peers are one, and below it in two in a row they are two
//! again. What counts is what is answered, not how it came about: miners that started from one checkpoint are one
//! until training on has led them apart.
//!
//! *Consequence.* Of two that are one only that is paid which answers sooner: a relay has to wait for the original, so it
//! never does. Equal parts would pay a relay as much as its original, and rights of the eldest would let whoever came
//! first take the pay of any newcomer by relaying it. Among those who serve the same model, the faster server is of more
//! use. Who is one with two that are not one with each other, because it mixes both, does not make one of those: from the
//! soonest on each is paid unless it is one with somebody who is paid already.
//!
//! *What this does not see.* How soon a peer answers is measured in training, since questions of an examination come again
//! and could be answered from a memory at once. Who answers the training with a quick imitation of another's model, near enough to
//! share its adapter, and examinations with the other's words would be the sooner of the two.

use noesis_model::tch::{Kind, Tensor};
use noesis_neuron::Hotkey;
use rand::{seq::SliceRandom, Rng};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Agreement from which on two peers are one, between what independent models share and what copies do.
///
/// `tests/copies.rs` measures both, of models of 25 seeds trained from 0 to 1000 steps and of copies that are relayed as they
/// stand, mixed, with noise of a tenth of their spread or filled up with numbers that mean nothing. A thousand trials of two
/// assessments each gave, of a single assessment, as the highest agreement of two independent models and the lowest of a
/// copy 0.78 and 0.86 of texts, 0.47 and 0.79 of images, 0.56 and 0.80 of vectors, and by two in a row found all copies of
/// texts, 995 of images and all of vectors. None of the 20,000 other pairs of each was taken for a copy; they are of 300
/// pairs of models, so that with 95 % confidence fewer than one pair in a hundred is. Who answers what another was asked
/// agrees with nobody, by 0.07 at most. Vectors have one position an example: copies with noise, which are left out of
/// those trials, fell to 0.34 and pass; a lower threshold would take those for one who were trained for longer. Of two that
/// were trained on apart from one checkpoint, 0.84 after 10 steps and 0.69 after 100.
pub const THRESHOLD: f64 = 0.8;
/// Assessments in a row that it takes to change a mind.
const ENOUGH: u32 = 2;
/// Ridge of the linear fits, as a share of the mean variance.
const RIDGE: f64 = 1e-4;
/// Rows for each feature of our own that it takes to know what the feature explains: of fewer rows, fewer features count.
const FEWEST_ROWS: i64 = 4;
/// Every so many positions of an answer are compared.
const STRIDE: usize = 4;

/// The order in which one peer is sent the rows of a batch.
#[derive(Clone, Debug)]
pub struct Order {
    /// The row at each place.
    rows: Vec<i64>,
    /// The place of each row.
    places: Vec<i64>,
}

impl Order {
    /// A random order of so many rows.
    pub fn draw(rows: usize, rng: &mut impl Rng) -> Self {
        let mut order: Vec<usize> = (0..rows).collect();
        order.shuffle(rng);
        let mut places = vec![0; rows];
        for (place, row) in order.iter().enumerate() {
            places[*row] = place as i64;
        }
        Self {
            rows: order.into_iter().map(|row| row as i64).collect(),
            places,
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// A batch as this peer is sent it.
    pub fn sent(&self, batch: &Tensor) -> Tensor {
        let rows = Tensor::from_slice(&self.rows).to_device(batch.device());
        batch.index_select(0, &rows)
    }

    /// What it answered, in the order of the batch.
    pub fn returned(&self, answer: &Tensor) -> Tensor {
        let places = Tensor::from_slice(&self.places).to_device(answer.device());
        answer.index_select(0, &places)
    }
}

/// The positions that are compared of answers with so many: every fourth, the last among them.
pub fn positions(sequence: usize) -> Vec<i64> {
    let mut positions: Vec<i64> = (0..sequence)
        .rev()
        .step_by(STRIDE)
        .map(|position| position as i64)
        .collect();
    positions.reverse();
    positions
}

/// What a peer's answers hold beyond what is known, on both halves of the examples, each `[n, d]`.
#[derive(Debug)]
pub struct Beyond {
    fitted: Tensor,
    held: Tensor,
    /// Of the first half, once for all fits from it.
    solver: Tensor,
}

/// Takes from answers `[b, p, d]` what a linear map of our own representations `[b, p, f]` explains.
pub fn beyond(answer: &Tensor, known: &Tensor) -> Beyond {
    let (known_fitted, known_held) = halves(known);
    let (known_fitted, known_held) = strongest(known_fitted, known_held);
    let (fitted, held) = halves(&crate::join::normalised(answer));
    let map = solver(&known_fitted).matmul(&fitted);
    let fitted = fitted - known_fitted.matmul(&map);
    Beyond {
        solver: solver(&fitted),
        held: held - known_held.matmul(&map),
        fitted,
    }
}

/// Of features `[n, f]` on both halves as many directions as there are rows for, those in which the first half varies most.
fn strongest(fitted: Tensor, held: Tensor) -> (Tensor, Tensor) {
    let (rows, features) = fitted.size2().unwrap_or((0, 0));
    let most = (rows / FEWEST_ROWS).max(1);
    if most >= features {
        return (fitted, held);
    }
    // In rising order. Should they not be found, all features are taken away: at worst a copy is not known for one.
    let Ok((_, directions)) = fitted.tr().matmul(&fitted).f_linalg_eigh("L") else {
        return (fitted, held);
    };
    let directions = directions.narrow(1, features - most, most);
    (fitted.matmul(&directions), held.matmul(&directions))
}

/// How far one of two is a linear map of the other: near 1 for copies, at most 1.
pub fn agreement(first: &Beyond, second: &Beyond) -> f64 {
    explained(first, second).max(explained(second, first))
}

/// The share of the second's variance that a linear map of the first explains, on examples it was not fitted to.
fn explained(first: &Beyond, second: &Beyond) -> f64 {
    let map = first.solver.matmul(&second.fitted);
    let left = (&second.held - first.held.matmul(&map))
        .square()
        .sum(Kind::Double);
    let all = second.held.square().sum(Kind::Double).double_value(&[]);
    if all > 0.0 {
        1.0 - left.double_value(&[]) / all
    } else {
        0.0
    }
}

/// The two halves of the examples, a row a position, with a mean of zero.
fn halves(x: &Tensor) -> (Tensor, Tensor) {
    let examples = x.size().first().copied().unwrap_or(0);
    let half = |begin: i64, count: i64| {
        let dim = x.size().last().copied().unwrap_or(1);
        let rows = x
            .narrow(0, begin, count)
            .reshape([-1, dim])
            .to_kind(Kind::Double);
        &rows - rows.mean_dim(0, true, Kind::Double)
    };
    (
        half(0, examples / 2),
        half(examples / 2, examples - examples / 2),
    )
}

/// What, times numbers `[n, d]`, is the linear map `[f, d]` of ridge regression to them from `[n, f]`.
fn solver(from: &Tensor) -> Tensor {
    let size = from.size()[1];
    let products = from.tr().matmul(from);
    let ridge = products.trace() * (RIDGE / size as f64) + f64::MIN_POSITIVE.sqrt();
    let unit = Tensor::eye(size, (Kind::Double, from.device()));
    // Positive definite because of the ridge; `ex` does not fail where rounding says otherwise.
    let solved = Tensor::linalg_solve_ex(&(products + unit * ridge), &from.tr(), true, false);
    solved.0.nan_to_num(0.0, 0.0, 0.0)
}

/// All agreements of `[b, p, d]` answers of peers, given our own representations `[b, p, f]`.
pub fn agreements(answers: &[(Hotkey, Tensor)], known: &Tensor) -> Vec<(Hotkey, Hotkey, f64)> {
    let beyond: Vec<(Hotkey, Beyond)> = (answers.iter())
        .map(|(peer, answer)| (*peer, beyond(answer, known)))
        .collect();
    let mut pairs = Vec::new();
    for (place, (first, one)) in beyond.iter().enumerate() {
        for (second, other) in &beyond[place + 1..] {
            pairs.push((*first, *second, agreement(one, other)));
        }
    }
    pairs
}

/// What is known of two peers, the lesser hotkey first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pair {
    /// The last agreement.
    agreement: f64,
    /// Whether they are taken for one.
    one: bool,
    /// Assessments in a row that said otherwise.
    otherwise: u32,
}

/// Which peers are one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copies(BTreeMap<(Hotkey, Hotkey), Pair>);

/// A change of mind about two peers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The two.
    pub peers: (Hotkey, Hotkey),
    /// Whether they are one from now on.
    pub one: bool,
    /// Their agreement.
    pub agreement: f64,
}

/// A pair as a checkpoint keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedPair {
    peers: (String, String),
    pair: Pair,
}

impl Copies {
    /// Takes in the agreements of an assessment. Of pairs that are two, and always were, nothing is kept.
    pub fn measured(&mut self, agreements: &[(Hotkey, Hotkey, f64)]) -> Vec<Change> {
        let mut changes = Vec::new();
        for (first, second, agreement) in agreements.iter().copied() {
            let peers = (first.min(second), first.max(second));
            let pair = self.0.entry(peers).or_insert(Pair {
                agreement,
                one: false,
                otherwise: 0,
            });
            pair.agreement = agreement;
            pair.otherwise = if (agreement >= THRESHOLD) == pair.one {
                0
            } else {
                pair.otherwise + 1
            };
            if pair.otherwise >= ENOUGH {
                pair.one = !pair.one;
                pair.otherwise = 0;
                changes.push(Change {
                    peers,
                    one: pair.one,
                    agreement,
                });
            }
            if !pair.one && pair.otherwise == 0 {
                self.0.remove(&peers);
            }
        }
        changes
    }

    /// The groups of two and more that are one, whoever is one with one of them included.
    pub fn groups(&self) -> Vec<Vec<Hotkey>> {
        let mut groups: Vec<Vec<Hotkey>> = Vec::new();
        for ((first, second), _) in self.0.iter().filter(|(_, pair)| pair.one) {
            let touches = |group: &mut Vec<Hotkey>| group.contains(first) || group.contains(second);
            let mut joined: Vec<Hotkey> = groups.extract_if(.., touches).flatten().collect();
            joined.extend([*first, *second]);
            joined.sort_unstable();
            joined.dedup();
            groups.push(joined);
        }
        groups
    }

    /// The scores without those of peers that are one with somebody who has a score, is paid, and `takes` less time to
    /// answer.
    pub fn share(
        &self,
        mut scores: Vec<(Hotkey, f64)>,
        takes: impl Fn(&Hotkey) -> f64,
    ) -> Vec<(Hotkey, f64)> {
        let mut soonest: Vec<_> = scores.iter_mut().filter(|one| one.1 > 0.0).collect();
        soonest.sort_by(|a, b| takes(&a.0).total_cmp(&takes(&b.0)));
        let mut paid: Vec<Hotkey> = Vec::new();
        for (peer, score) in soonest {
            if paid.iter().any(|other| self.are_one(peer, other)) {
                *score = 0.0;
            } else {
                paid.push(*peer);
            }
        }
        scores
    }

    fn are_one(&self, first: &Hotkey, second: &Hotkey) -> bool {
        let pair = self.0.get(&(*first.min(second), *first.max(second)));
        pair.is_some_and(|pair| pair.one)
    }

    /// Forgets all but these peers.
    pub fn keep_only(&mut self, peers: &BTreeSet<Hotkey>) {
        (self.0).retain(|(first, second), _| peers.contains(first) && peers.contains(second));
    }

    /// As a checkpoint keeps it.
    pub fn saved(&self) -> Vec<SavedPair> {
        let saved = |((first, second), pair): (&(Hotkey, Hotkey), &Pair)| SavedPair {
            peers: (hex::encode(first), hex::encode(second)),
            pair: pair.clone(),
        };
        self.0.iter().map(saved).collect()
    }

    /// Takes up what a checkpoint kept; `hotkey` reads a key.
    ///
    /// # Errors
    ///
    /// That of `hotkey`.
    pub fn restore<E>(
        saved: Vec<SavedPair>,
        hotkey: impl Fn(&str) -> Result<Hotkey, E>,
    ) -> Result<Self, E> {
        let pairs = saved.into_iter().map(|saved| {
            let peers = (hotkey(&saved.peers.0)?, hotkey(&saved.peers.1)?);
            Ok((peers, saved.pair))
        });
        Ok(Self(pairs.collect::<Result<_, E>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_model::{random, tch::Device};
    use rand::{rngs::StdRng, SeedableRng};

    fn key(byte: u8) -> Hotkey {
        [byte; 32]
    }

    #[test]
    fn an_order_is_undone_and_differs_between_peers() {
        let mut rng = StdRng::seed_from_u64(1);
        let batch = Tensor::arange(32, (Kind::Int64, Device::Cpu)).view([16, 2]);
        let (first, second) = (Order::draw(16, &mut rng), Order::draw(16, &mut rng));
        assert_ne!(first.sent(&batch), batch);
        assert_ne!(first.sent(&batch), second.sent(&batch));
        assert_eq!(first.returned(&first.sent(&batch)), batch);
        assert_ne!(second.returned(&first.sent(&batch)), batch);
    }

    #[test]
    fn every_fourth_position_and_the_last() {
        assert_eq!(positions(9), [0, 4, 8]);
        assert_eq!(positions(3), [2]);
        assert_eq!(positions(0), [0i64; 0]);
    }

    #[test]
    fn a_copy_agrees_however_it_is_disguised_and_what_all_know_is_no_evidence() {
        // Not from libtorch's generator, from which other tests draw meanwhile.
        let mut rng = StdRng::seed_from_u64(1);
        let mut normal = |shape: &[i64]| {
            let values = random::normal(&mut rng, shape.iter().product::<i64>() as usize);
            Tensor::from_slice(&values).view(shape)
        };
        let (examples, dim) = (200, 32);
        let turn = normal(&[dim, dim]);
        let mut random = || normal(&[examples, 4, dim]);
        let known = random();
        let (own, other) = (random(), random());
        let of = |own: &Tensor| beyond(&(own + &known * 3.0), &known);
        let original = of(&own);
        let mixed = (&own + &known * 3.0).matmul(&turn);
        // The same known part, something of its own beside it.
        assert!(agreement(&original, &of(&other)) < 0.1);
        assert!(agreement(&original, &of(&own)) > 0.999);
        let found = agreement(&beyond(&mixed, &known), &original);
        assert!(found > THRESHOLD, "{found}");
        let noisy = &own + random() * 0.2;
        let found = agreement(&of(&noisy), &original);
        assert!((0.9..0.99).contains(&found), "{found}");
        // Filled up with numbers that mean nothing.
        let padded = Tensor::cat(&[&own, &(random() * 2.0)], -1);
        let found = agreement(&beyond(&padded, &known), &beyond(&own, &known));
        assert!(found > 0.9, "{found}");
        let silent = beyond(&own.zeros_like(), &known);
        assert!(agreement(&silent, &original) < 0.1);
    }

    #[test]
    fn of_few_examples_what_all_know_is_no_evidence_either() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut normal = |shape: &[i64]| {
            let values = random::normal(&mut rng, shape.iter().product::<i64>() as usize);
            Tensor::from_slice(&values).view(shape)
        };
        // 96 rows to fit to, which do for 24 of the 64 features; what is known varies in eight directions.
        let known = normal(&[48, 4, 8]);
        let features = known.matmul(&normal(&[8, 64]));
        let shared = known.matmul(&normal(&[8, 32])) * 0.7;
        let (own, other) = (normal(&[48, 4, 32]), normal(&[48, 4, 32]));
        let agreed = |features: &Tensor| {
            let of = |own: &Tensor| beyond(&(own + &shared), features);
            agreement(&of(&own), &of(&other))
        };
        let (before, after) = (agreed(&features.zeros_like()), agreed(&features));
        assert!(before > 0.5 && after < 0.3, "{before}, then {after}");
    }

    #[test]
    fn two_assessments_in_a_row_make_one_of_two_and_two_of_one() {
        let mut copies = Copies::default();
        let of = |agreement| [(key(2), key(1), agreement)];
        assert!(copies.measured(&of(0.99)).is_empty());
        assert!(copies.measured(&of(0.5)).is_empty());
        assert!(copies.measured(&of(0.99)).is_empty());
        assert!(copies.groups().is_empty());
        let change = copies.measured(&of(0.98));
        assert_eq!(change.len(), 1);
        assert!(change[0].one && change[0].peers == (key(1), key(2)));
        assert_eq!(copies.groups(), [[key(1), key(2)]]);
        assert!(copies.measured(&of(0.5)).is_empty());
        assert!(!copies.measured(&of(0.5))[0].one);
        assert!(copies.groups().is_empty());
    }

    #[test]
    fn of_those_that_are_one_who_answers_soonest_is_paid() {
        let mut copies = Copies::default();
        for _ in 0..2 {
            copies.measured(&[
                (key(1), key(2), 1.0),
                (key(4), key(5), 1.0),
                (key(2), key(3), 1.0),
                (key(1), key(6), 0.3),
            ]);
        }
        let mut groups = copies.groups();
        groups.sort();
        assert_eq!(groups, [vec![key(1), key(2), key(3)], vec![key(4), key(5)]]);
        let scores = [(1, 4.0), (2, 6.0), (3, 0.0), (4, 0.0), (5, 0.0), (6, 5.0)];
        let scores = scores.map(|(peer, score)| (key(peer), score)).to_vec();
        // The third is the soonest, and of no worth.
        let takes = |peer: &Hotkey| [0.0, 20.0, 30.0, 10.0, 1.0, 1.0, 1.0][usize::from(peer[0])];
        let paid = |scores: Vec<(Hotkey, f64)>| -> Vec<f64> {
            let paid = copies.share(scores, takes);
            paid.into_iter().map(|one| one.1).collect()
        };
        assert_eq!(paid(scores.clone()), [4.0, 0.0, 0.0, 0.0, 0.0, 5.0]);
        // Of some worth after all: the second mixes the first and the third, which are not one.
        let scores = scores
            .into_iter()
            .take(3)
            .map(|(peer, score)| (peer, score + 1.0));
        let scores: Vec<(Hotkey, f64)> = scores.collect();
        assert_eq!(paid(scores.clone()), [5.0, 0.0, 1.0]);
        // Even where it is quicker than one of the two.
        let takes = |peer: &Hotkey| f64::from(peer[0]);
        let paid: Vec<f64> = copies
            .share(scores, takes)
            .into_iter()
            .map(|one| one.1)
            .collect();
        assert_eq!(paid, [5.0, 0.0, 1.0]);

        let restored = Copies::restore(copies.saved(), |text| {
            let mut key = [0; 32];
            hex::decode_to_slice(text, &mut key).map(|()| key)
        });
        assert_eq!(restored.unwrap(), copies);
        copies.keep_only(&[key(1), key(4), key(5)].into());
        assert_eq!(copies.groups(), [[key(4), key(5)]]);
    }
}
