//! The ablation: the true difference of the loss without a peer, with its standard error.
//!
//! Measured over random coalitions on kept-back targets of examples that no gradient is ever sent for.
//! The peers' answers to these examples are fetched once and serve for very many coalitions, which cost
//! only local arithmetic.
//!
//! *The standard error.* One example serves in many coalitions, so the pairs of example and coalition
//! are not independent, and an error over pairs would be far too small. Here every example draws
//! coalitions of its own; its differences are averaged to one number for each peer, and the error is
//! that of the mean over examples. As coalitions are drawn anew for each example, their randomness is part of that
//! spread and needs no second term.

use crate::coalition::Setting;
use noesis_model::{
    held_out::losses,
    tch::{no_grad, Kind, Tensor},
};
use noesis_statistics::SIGNIFICANCE;
use serde::{Deserialize, Serialize};

/// A mean difference of loss, in nats, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Loss without the peer minus loss with it, mean over examples.
    pub mean: f64,
    /// Standard error of that mean, over examples.
    pub error: f64,
}

impl Measurement {
    /// Mean and standard error of independent values; `None` for fewer than two, or if any is not finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.len() < 2 || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            error: (squares / (count - 1.0) / count).sqrt(),
        })
    }

    /// Whether it is negative by two standard errors.
    pub fn harms(&self) -> bool {
        Sign::of(self.mean, self.error) == Sign::Negative
    }
}

/// What a mean says, two standard errors considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The peer helps.
    Positive,
    /// It cannot be told yet.
    Unclear,
    /// The peer harms.
    Negative,
}

impl Sign {
    /// Of a mean with this standard error.
    pub fn of(mean: f64, error: f64) -> Self {
        let margin = SIGNIFICANCE * error;
        if mean > margin {
            Self::Positive
        } else if mean < -margin {
            Self::Negative
        } else {
            Self::Unclear
        }
    }
}

/// Measurements of one peer on disjoint sets of examples, the older counting less: a peer's worth changes as
/// it and the validator learn.
///
/// The mean is `sum w_t m_t / sum w_t` with `w_t = memory^age`; its error follows from the independence
/// of the sets: `sqrt(sum w_t^2 e_t^2) / sum w_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    weighted_mean: f64,
    weighted_variance: f64,
    weight: f64,
}

impl Evidence {
    /// Takes in a measurement on examples that none before it used; `memory` in (0, 1] is what it keeps of
    /// the past.
    pub fn add(&mut self, measurement: Measurement, memory: f64) {
        self.weighted_mean = self.weighted_mean * memory + measurement.mean;
        self.weighted_variance =
            self.weighted_variance * memory * memory + measurement.error * measurement.error;
        self.weight = self.weight * memory + 1.0;
    }

    /// The mean difference of loss in nats; zero without evidence.
    pub fn mean(&self) -> f64 {
        if self.weight > 0.0 {
            self.weighted_mean / self.weight
        } else {
            0.0
        }
    }

    /// The standard error of the mean; infinite without evidence.
    pub fn error(&self) -> f64 {
        if self.weight > 0.0 {
            self.weighted_variance.sqrt() / self.weight
        } else {
            f64::INFINITY
        }
    }

    /// Whether the mean is away from zero by two standard errors.
    pub fn sign(&self) -> Sign {
        Sign::of(self.mean(), self.error())
    }
}

/// Measures peers in rounds, `round` measuring those that are members, until nobody measured is harmful by two
/// standard errors: the harmful are let go after each round. So nobody is praised for standing in the way of
/// somebody who harms. A peer's measurement is that of its last round.
pub fn without_harm(
    peers: usize,
    mut round: impl FnMut(&[bool]) -> Vec<Option<Measurement>>,
) -> Vec<Option<Measurement>> {
    let mut members = vec![true; peers];
    let mut measured = vec![None; peers];
    loop {
        let now = round(&members);
        let mut left = false;
        for (peer, measurement) in now.into_iter().enumerate().take(peers) {
            if members[peer] {
                measured[peer] = measurement;
                members[peer] = !measurement.is_some_and(|one| one.harms());
                left |= !members[peer];
            }
        }
        if !left || !members.contains(&true) {
            return measured;
        }
    }
}

/// Measures the members over `coalitions` random coalitions an example, each keeping every other member with
/// probability one half. `head` turns representations `[b, d]` into logits `[b, v]`; `uniform` draws
/// `[b, n]` numbers in [0, 1).
///
/// Of each peer two ablations, and the less favourable counts: *removed*, the gate renormalised over the
/// others, and *silenced*, its share of the gate left and its answer taken away. A peer that is merely in the
/// way of others takes weight from them, which helps where they are too sure of themselves: removed, it seems
/// to be missed though it says nothing; silenced, it is not.
///
/// A peer gets `None` where a loss was not finite, and where it is no member.
pub fn measure(
    setting: &Setting,
    members: &[bool],
    coalitions: usize,
    head: impl Fn(&Tensor) -> Tensor,
    mut uniform: impl FnMut(&[i64]) -> Tensor,
) -> Vec<Option<Measurement>> {
    let shape = setting.scores.size();
    let (examples, peers) = (shape[0], shape[1]);
    no_grad(|| {
        // Losses `[b]`, one for each example, of joined representations `[b, d]`.
        let loss = |joined: &Tensor| losses(&head(joined), setting.targets).to_kind(Kind::Double);
        let gate = |coalition: &Tensor| setting.weights(&setting.kept(coalition));
        let zero = || Tensor::zeros([examples], (Kind::Double, setting.local.device()));
        let mut differences: Vec<Option<[Tensor; 2]>> = members
            .iter()
            .map(|is| is.then(|| [zero(), zero()]))
            .collect();
        let members = Tensor::from_slice(members).to_device(setting.local.device());
        for _ in 0..coalitions {
            let coalition = setting.draw(&members, &mut uniform);
            for (peer, differences) in (0..peers).zip(&mut differences) {
                let Some([removed, silenced]) = differences else {
                    continue;
                };
                let column = Tensor::from_slice(&[peer]).to_device(setting.local.device());
                let gate_with = gate(&coalition.index_fill(1, &column, 1.0));
                let gate_without = gate(&coalition.index_fill(1, &column, 0.0));
                let joined = setting.joined(&gate_with);
                let share = gate_with.narrow(1, peer, 1); // [b, 1]
                let silent = &joined - share * setting.adapted.select(0, peer);
                let with = loss(&joined);
                *removed += loss(&setting.joined(&gate_without)) - &with;
                *silenced += loss(&silent) - &with;
            }
        }
        let measurement = |difference: Tensor| {
            let mean = (difference / coalitions.max(1) as f64).contiguous();
            Measurement::of(&Vec::try_from(mean).ok()?)
        };
        differences
            .into_iter()
            .map(|differences| {
                let [removed, silenced] = differences?.map(measurement);
                let (removed, silenced) = (removed?, silenced?);
                Some(if silenced.mean < removed.mean {
                    silenced
                } else {
                    removed
                })
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_model::tch::{manual_seed, Device};

    #[test]
    fn mean_and_error_of_known_values() {
        let measured = Measurement::of(&[1.0, 2.0, 3.0, 6.0]).unwrap();
        assert_eq!(measured.mean, 3.0);
        // Sample variance (4 + 1 + 0 + 9) / 3 = 14/3, over 4 examples.
        assert!((measured.error - (14.0f64 / 12.0).sqrt()).abs() < 1e-12);
        assert_eq!(Measurement::of(&[1.0]), None);
        assert_eq!(Measurement::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn evidence_adds_up_and_forgets() {
        let measurement = |mean, error| Measurement { mean, error };
        let mut evidence = Evidence::default();
        assert_eq!(evidence.sign(), Sign::Unclear);
        evidence.add(measurement(0.1, 0.1), 1.0);
        assert_eq!(evidence.sign(), Sign::Unclear);
        // Eight more of the same, nothing forgotten: the error falls to a third.
        (0..8).for_each(|_| evidence.add(measurement(0.1, 0.1), 1.0));
        assert!((evidence.error() - 0.1 / 3.0).abs() < 1e-12);
        assert_eq!(evidence.sign(), Sign::Positive);
        // The peer goes bad: with half forgotten at a time the sign turns.
        (0..6).for_each(|_| evidence.add(measurement(-0.3, 0.1), 0.5));
        assert_eq!(evidence.sign(), Sign::Negative);
    }

    /// Checkpoints of before have a number of examples too.
    #[test]
    fn evidence_that_an_older_checkpoint_kept_is_taken_up() {
        let kept = r#"{"weighted_mean":0.5,"weighted_variance":0.04,"weight":2.0,"examples":128}"#;
        let evidence: Evidence = serde_json::from_str(kept).unwrap();
        assert_eq!((evidence.mean(), evidence.error()), (0.25, 0.1));
    }

    #[test]
    fn no_difference_at_all_has_no_sign() {
        let mut evidence = Evidence::default();
        evidence.add(Measurement::of(&[0.0; 50]).unwrap(), 0.7);
        assert_eq!((evidence.error(), evidence.sign()), (0.0, Sign::Unclear));
    }

    /// Two classes, one number `x` as the representation, logits (x, -x), target 0. Peer 0 adds 2 and peer 1
    /// adds nothing; the gate halves both where both are in.
    #[test]
    fn the_ablation_has_its_closed_form() {
        let examples = 400;
        let float = (Kind::Float, Device::Cpu);
        let local = Tensor::zeros([examples, 1], float);
        let adapted = Tensor::stack(
            &[
                Tensor::full([examples, 1], 2.0, float),
                Tensor::zeros([examples, 1], float),
            ],
            0,
        );
        let scores = Tensor::zeros([examples, 2], float);
        let targets = Tensor::zeros([examples], (Kind::Int64, Device::Cpu));
        let setting = Setting {
            local: &local,
            adapted: &adapted,
            scores: &scores,
            targets: &targets,
            k: 4,
        };
        manual_seed(3);
        let head = |x: &Tensor| Tensor::cat(&[x, &-x], -1);
        let uniform = |shape: &[i64]| Tensor::rand(shape, float);
        let measured = measure(&setting, &[true, true], 64, head, uniform);
        let loss = |x: f64| (1.0 + (-2.0 * x).exp()).ln();
        // Peer 0 alone turns 0 into 2, beside peer 1 into 1. Peer 1 alone changes nothing, beside peer 0 it
        // turns 2 into 1.
        let helpful = 0.5 * (loss(0.0) - loss(2.0)) + 0.5 * (loss(0.0) - loss(1.0));
        let useless = 0.5 * (loss(2.0) - loss(1.0));
        for (measured, expected) in measured.iter().zip([helpful, useless]) {
            let measured = measured.unwrap();
            assert!(measured.error > 0.0 && measured.error < 0.01);
            assert!(
                (measured.mean - expected).abs() < 4.0 * measured.error,
                "{measured:?} {expected}"
            );
        }
    }

    /// Peer 0 is too sure of itself, and peer 1 says nothing but halves its weight: without it the loss rises.
    #[test]
    fn who_says_nothing_is_not_praised_for_taking_weight() {
        manual_seed(5);
        let float = (Kind::Float, Device::Cpu);
        let examples = 400;
        let local = Tensor::zeros([examples, 1], float);
        // Sure of the first class, in which three of four examples are.
        let adapted = Tensor::stack(
            &[
                Tensor::full([examples, 1], 8.0, float),
                Tensor::zeros([examples, 1], float),
            ],
            0,
        );
        let scores = Tensor::zeros([examples, 2], float);
        let targets = Tensor::arange(examples, (Kind::Int64, Device::Cpu))
            .remainder(4)
            .eq(0);
        let setting = Setting {
            local: &local,
            adapted: &adapted,
            scores: &scores,
            targets: &targets.to_kind(Kind::Int64),
            k: 4,
        };
        let head = |x: &Tensor| Tensor::cat(&[x, &-x], -1);
        let uniform = |shape: &[i64]| Tensor::rand(shape, float);
        let measured = measure(&setting, &[true, true], 16, head, uniform);
        assert_eq!(measured[1].unwrap().mean, 0.0);
    }

    /// Peer 1 harms, and peer 2 looks good beside it alone.
    #[test]
    fn nobody_is_praised_for_standing_in_the_way_of_harm() {
        let of = |mean| Some(Measurement { mean, error: 0.1 });
        let mut rounds = Vec::new();
        let measured = without_harm(3, |members| {
            rounds.push(members.to_vec());
            if members[1] {
                vec![of(0.5), of(-0.5), of(0.4)]
            } else {
                vec![of(0.6), None, of(0.0)]
            }
        });
        assert_eq!(measured, [of(0.6), of(-0.5), of(0.0)]);
        assert_eq!(rounds, [[true, true, true], [true, false, true]]);
        assert_eq!(without_harm(1, |_| vec![of(-1.0)]), [of(-1.0)]);
        assert!(without_harm(0, |_| Vec::new()).is_empty());
    }

    /// The error must be that over examples: with useless coalitions and examples that differ, a hundred times as
    /// many coalitions do not make it smaller.
    #[test]
    fn more_coalitions_do_not_feign_more_examples() {
        manual_seed(4);
        let float = (Kind::Float, Device::Cpu);
        let examples = 100;
        let local = Tensor::zeros([examples, 1], float);
        let adapted = Tensor::randn([1, examples, 1], float);
        let scores = Tensor::zeros([examples, 1], float);
        let targets = Tensor::zeros([examples], (Kind::Int64, Device::Cpu));
        let setting = Setting {
            local: &local,
            adapted: &adapted,
            scores: &scores,
            targets: &targets,
            k: 1,
        };
        let error = |coalitions| {
            let head = |x: &Tensor| Tensor::cat(&[x, &-x], -1);
            let uniform = |shape: &[i64]| Tensor::rand(shape, float);
            measure(&setting, &[true], coalitions, head, uniform)[0]
                .unwrap()
                .error
        };
        assert!((error(1) - error(100)).abs() < 1e-6);
        assert!(error(100) > 0.05);
    }
}
