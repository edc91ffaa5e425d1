//! The Fisher score: how much the loss feels a peer's contribution, from one backward pass.
//!
//! `r_i = mean_b <g_b, dF_ib>^2`, the empirical Fisher form of the paper's pruning score (section 2):
//! `g_b = dQ_b/dF` at the kept-back target of example `b`, and `dF_ib` the change of the joined
//! representation there when peer `i`'s answer is removed and the gate renormalised. A square has no
//! sign; the sign is [`crate::ablation`]'s.

use crate::gate;
use noesis_model::tch::{Kind, Tensor};

/// The change `dF [n, b, d]` of the joined representation at one position when each peer in turn is
/// removed: adapted answers there `[n, b, d]`, gate scores `[b, n]`, kept `[1, n]` or `[b, n]`.
///
/// A peer that is not kept changes nothing.
pub fn removals(adapted: &Tensor, scores: &Tensor, kept: &Tensor) -> Tensor {
    let peers = adapted.size().first().copied().unwrap_or(0);
    let kept = kept.expand_as(scores);
    let with = contribution(adapted, &gate::weights(scores, &kept));
    let changes: Vec<Tensor> = (0..peers)
        .map(|peer| {
            let without = kept.index_fill(1, &Tensor::from_slice(&[peer]), 0.0);
            contribution(adapted, &gate::weights(scores, &without)) - &with
        })
        .collect();
    if changes.is_empty() {
        return adapted.zeros_like();
    }
    Tensor::stack(&changes, 0)
}

/// `sum_i w_bi a_ib`: adapted `[n, b, d]`, weights `[b, n]`, giving `[b, d]`.
pub fn contribution(adapted: &Tensor, weights: &Tensor) -> Tensor {
    (adapted * weights.tr().unsqueeze(-1)).sum_dim_intlist(0, false, Kind::Float)
}

/// `r_i = mean_b <g_b, dF_ib>^2`: gradients `[b, d]` of each example's own loss, changes `[n, b, d]`.
pub fn scores(gradients: &Tensor, changes: &Tensor) -> Vec<f64> {
    let products = (changes * gradients.unsqueeze(0)).sum_dim_intlist(-1, false, Kind::Float);
    let means = products
        .square()
        .mean_dim(-1, false, Kind::Double)
        .contiguous();
    Vec::try_from(means).unwrap_or_default()
}

/// An exponential moving average that starts unbiased: over the first values it is their plain mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MovingAverage {
    sum: f64,
    weight: f64,
    /// Values taken in.
    pub count: u64,
}

impl MovingAverage {
    /// Takes in a value; `memory` in (0, 1) is what one value keeps of the past. A value that is not finite is
    /// left out.
    pub fn add(&mut self, value: f64, memory: f64) {
        if value.is_finite() {
            self.sum = self.sum * memory + value;
            self.weight = self.weight * memory + 1.0;
            self.count += 1;
        }
    }

    /// The average; zero before the first value.
    pub fn value(&self) -> f64 {
        if self.weight > 0.0 {
            self.sum / self.weight
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32], shape: &[i64]) -> Tensor {
        Tensor::from_slice(values).view(shape)
    }

    /// Two peers, one example, equal scores: F = (a + b) / 2; without a it is b, so dF_a = (b - a) / 2.
    #[test]
    fn removing_one_of_two_equals_leaves_the_other_alone() {
        let adapted = tensor(&[1.0, 3.0, 5.0, 7.0], &[2, 1, 2]);
        let scores_ = tensor(&[0.0, 0.0], &[1, 2]);
        let kept = Tensor::from_slice(&[true, true]).unsqueeze(0);
        let changes = removals(&adapted, &scores_, &kept);
        let expected = tensor(&[2.0, 2.0, -2.0, -2.0], &[2, 1, 2]);
        assert!(changes.allclose(&expected, 1e-6, 1e-6, false));
        // <g, dF_a> = 1*2 + 2*2 = 6, squared 36.
        assert_eq!(
            scores(&tensor(&[1.0, 2.0], &[1, 2]), &changes),
            [36.0, 36.0]
        );
    }

    /// The only peer removed: dF = -a, so r = mean over examples of <g_b, a_b>^2.
    #[test]
    fn the_mean_is_over_examples_of_squares() {
        let adapted = tensor(&[1.0, 0.0, 0.0, 2.0], &[1, 2, 2]);
        let kept = Tensor::from_slice(&[true]).unsqueeze(0);
        let changes = removals(&adapted, &tensor(&[0.3, -0.7], &[2, 1]), &kept);
        let gradients = tensor(&[3.0, 100.0, 100.0, 1.0], &[2, 2]);
        // Example 0: (3)^2 = 9; example 1: (2)^2 = 4.
        assert_eq!(scores(&gradients, &changes), [6.5]);
    }

    #[test]
    fn a_peer_that_is_not_kept_scores_zero() {
        let adapted = tensor(&[1.0, 3.0, 5.0, 7.0], &[2, 1, 2]);
        let kept = Tensor::from_slice(&[true, false]).unsqueeze(0);
        let changes = removals(&adapted, &tensor(&[0.0, 0.0], &[1, 2]), &kept);
        let scores = scores(&tensor(&[1.0, 1.0], &[1, 2]), &changes);
        assert_eq!(scores, [16.0, 0.0]);
    }

    #[test]
    fn the_average_starts_as_a_mean_and_forgets() {
        let mut average = MovingAverage::default();
        assert_eq!(average.value(), 0.0);
        average.add(2.0, 0.5);
        assert_eq!(average.value(), 2.0);
        average.add(5.0, 0.5);
        assert_eq!(average.value(), 4.0); // (2 / 2 + 5) / (1 / 2 + 1)
        average.add(f64::NAN, 0.5);
        assert_eq!((average.value(), average.count), (4.0, 2));
        for _ in 0..60 {
            average.add(1.0, 0.5);
        }
        assert!((average.value() - 1.0).abs() < 1e-9);
    }
}
