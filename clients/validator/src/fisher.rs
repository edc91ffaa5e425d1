//! The Fisher score: how much the loss feels a peer's contribution, from one backward pass.
//!
//! `r_i = mean_b <g_b, dF_ib>^2`, the empirical Fisher form of the paper's pruning score (section 2):
//! `g_b = dQ_b/dF` at the kept-back target of example `b`, and `dF_ib` the change of the joined
//! representation there when peer `i`'s answer is removed and the gate renormalised. As of its ablation there are two: the
//! other with its share of the gate left and its answer taken away; the smaller counts, since one that answers noise would
//! score for the weight that it takes from others. A square has no sign; the sign is [`crate::ablation`]'s. One example counts
//! for [`MOST_NATS`] at most.
//!
//! Both are taken from the same answers to the same kept-apart examples, over random coalitions. On the batches of the
//! training a peer could have met the kept-back target in another window, and tell by that when it is not examined; and
//! one coalition a batch leaves a mean of squares that is mostly chance.

use crate::{coalition::Setting, gate, join::contribution};
use noesis_model::{
    held_out::losses,
    tch::{no_grad, with_grad, Kind, Tensor},
};

/// The largest change of an example's loss, in nats, that is squared: what is larger counts for so much. `<g, dF>` is the
/// change to first order, and of a large one tells no more than that it is large, but a mean of squares is all about those: on
/// images one assessment of 256 examples trebled a score that averages over twenty. In a simulation of that market the scores of
/// an assessment vary half as much with it, and their order is that of the ablations more surely.
const MOST_NATS: f64 = 1.0;

/// The scores of the members over `coalitions` random coalitions an example, each keeping every member with probability
/// one half; each member's a mean over those that it is in. `head` turns representations `[b, d]` into logits `[b, v]`;
/// `uniform` draws `[b, n]` numbers in [0, 1).
///
/// Zero where a peer was in no coalition, and where its score is not finite.
pub fn measure(
    setting: &Setting,
    members: &Tensor,
    coalitions: usize,
    head: impl Fn(&Tensor) -> Tensor,
    mut uniform: impl FnMut(&[i64]) -> Tensor,
) -> Vec<f64> {
    let zero = || Tensor::from(0.0);
    let (mut removed, mut silenced, mut counts) = (zero(), zero(), zero());
    for _ in 0..coalitions {
        let coalition = setting.draw(members, &mut uniform);
        let kept = setting.kept(&coalition);
        let weights = setting.weights(&kept);
        let joined = (setting.joined(&weights).detach()).set_requires_grad(true);
        // Summed, so that each example's gradient is that of its own loss.
        let sum = with_grad(|| losses(&head(&joined), setting.targets).sum(Kind::Float));
        let gradients = Tensor::run_backward(&[&sum], &[&joined], false, false);
        no_grad(|| {
            let summed = |changes: &Tensor| {
                squares(&gradients[0], changes).sum_dim_intlist(-1, false, Kind::Double)
            };
            removed = &removed + summed(&removals(setting.adapted, setting.scores, &kept));
            // Their signs are lost in the squares.
            silenced = &silenced + summed(&(setting.adapted * weights.tr().unsqueeze(-1)));
            // Whom the gate left out of its coalition was of no use there, as in its ablation.
            counts = &counts + coalition.sum_dim_intlist(0, false, Kind::Double);
        });
    }
    let means = (removed.minimum(&silenced) / counts).nan_to_num(0.0, 0.0, 0.0);
    Vec::try_from(means.contiguous()).unwrap_or_default()
}

/// The change `dF [n, b, d]` of the joined representation at one position when each peer in turn is
/// removed: adapted answers there `[n, b, d]`, gate scores `[b, n]`, kept `[1, n]` or `[b, n]`.
///
/// A peer that is not kept changes nothing.
fn removals(adapted: &Tensor, scores: &Tensor, kept: &Tensor) -> Tensor {
    let peers = adapted.size().first().copied().unwrap_or(0);
    let kept = kept.expand_as(scores);
    let with = contribution(adapted, &gate::weights(scores, &kept));
    let changes: Vec<Tensor> = (0..peers)
        .map(|peer| {
            let column = Tensor::from_slice(&[peer]).to_device(kept.device());
            let without = kept.index_fill(1, &column, 0.0);
            contribution(adapted, &gate::weights(scores, &without)) - &with
        })
        .collect();
    if changes.is_empty() {
        return adapted.zeros_like();
    }
    Tensor::stack(&changes, 0)
}

/// `<g_b, dF_ib>^2`, within bounds: gradients `[b, d]` of each example's own loss, changes `[n, b, d]`, giving `[n, b]`.
fn squares(gradients: &Tensor, changes: &Tensor) -> Tensor {
    (changes * gradients.unsqueeze(0))
        .sum_dim_intlist(-1, false, Kind::Float)
        .clamp(-MOST_NATS, MOST_NATS)
        .square()
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
    use noesis_model::tch::Device;

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
        // <g, dF_a> = 0.125*2 + 0.25*2 = 0.75.
        let gradients = tensor(&[0.125, 0.25], &[1, 2]);
        let square = 0.75 * 0.75;
        assert_eq!(
            squares(&gradients, &changes),
            tensor(&[square, square], &[2, 1])
        );
    }

    /// With logits `x`, two classes and target 0, `g = p - (1, 0)`; the only peer removed, dF = -a. The second peer is no
    /// member.
    #[test]
    fn the_mean_is_over_the_examples_whose_coalition_the_peer_is_in() {
        let adapted = tensor(&[2.0, 0.0, 0.0, 4.0, 9.0, 9.0, 9.0, 9.0], &[2, 2, 2]);
        let setting = Setting {
            local: &tensor(&[-2.0, 0.0, 7.0, 3.0], &[2, 2]),
            adapted: &adapted,
            scores: &tensor(&[0.3, 0.1, -0.7, 0.2], &[2, 2]),
            targets: &Tensor::from_slice(&[0i64, 0]),
            k: 8,
        };
        let members = Tensor::from_slice(&[true, false]);
        // In the first coalition of the first example alone: there F = (0, 0), p = 1/2, g = (-1/2, 1/2), <g, a> = -1.
        let mut draws = [0.0f32, 0.9, 0.9, 0.9].into_iter();
        let uniform = |shape: &[i64]| {
            let drawn: Vec<f32> = (0..2).map(|_| draws.next().unwrap_or(0.9)).collect();
            tensor(&drawn, &[2, 1]).expand(shape, false)
        };
        let scores = measure(&setting, &members, 2, Tensor::shallow_clone, uniform);
        assert!((scores[0] - 1.0).abs() < 1e-6, "{scores:?}");
        assert_eq!(scores[1], 0.0);
    }

    /// Else one that the gate seldom keeps would be paid as if it always did.
    #[test]
    fn where_the_gate_does_not_keep_a_peer_of_the_coalition_it_counts_as_nothing() {
        let adapted = tensor(&[2.0, 0.0, 2.0, 0.0, 9.0, 9.0, 9.0, 9.0], &[2, 2, 2]);
        let setting = Setting {
            local: &tensor(&[0.0, 0.0, 0.0, 0.0], &[2, 2]),
            adapted: &adapted,
            // In the first example the first peer, in the second the other.
            scores: &tensor(&[1.0, 0.0, 0.0, 1.0], &[2, 2]),
            targets: &Tensor::from_slice(&[0i64, 0]),
            k: 1,
        };
        let score = |members: [bool; 2]| {
            let all = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
            let members = Tensor::from_slice(&members);
            measure(&setting, &members, 1, Tensor::shallow_clone, all)[0]
        };
        let (alone, half) = (score([true, false]), score([true, true]));
        assert!(
            alone > 0.0 && (half - alone / 2.0).abs() < 1e-6,
            "{half} of {alone}"
        );
    }

    #[test]
    fn who_says_nothing_scores_nothing_for_the_weight_that_it_takes_from_others() {
        let setting = Setting {
            local: &tensor(&[0.0, 0.0], &[1, 2]),
            adapted: &tensor(&[0.0, 0.0, 2.0, 0.0], &[2, 1, 2]),
            scores: &tensor(&[0.0, 0.0], &[1, 2]),
            targets: &Tensor::from_slice(&[0i64]),
            k: 8,
        };
        let all = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let members = Tensor::from_slice(&[true, true]);
        let scores = measure(&setting, &members, 1, Tensor::shallow_clone, all);
        assert_eq!(scores[0], 0.0);
        assert!(scores[1] > 0.0);
        // Nor who says what another says: removed, it is not missed.
        let setting = Setting {
            adapted: &tensor(&[2.0, 0.0, 2.0, 0.0], &[2, 1, 2]),
            ..setting
        };
        let scores = measure(&setting, &members, 1, Tensor::shallow_clone, all);
        assert_eq!(scores, [0.0, 0.0]);
    }

    #[test]
    fn a_peer_that_is_not_kept_scores_zero() {
        let adapted = tensor(&[1.0, 3.0, 5.0, 7.0], &[2, 1, 2]);
        let kept = Tensor::from_slice(&[true, false]).unsqueeze(0);
        let changes = removals(&adapted, &tensor(&[0.0, 0.0], &[1, 2]), &kept);
        let squares = squares(&tensor(&[0.125, 0.125], &[1, 2]), &changes);
        assert_eq!(squares, tensor(&[0.25, 0.0], &[2, 1]));
    }

    #[test]
    fn one_example_is_not_all_of_a_score() {
        let changes = tensor(&[0.5, -0.5, 40.0, -40.0], &[1, 4, 1]);
        let gradients = tensor(&[1.0, 1.0, 1.0, 1.0], &[4, 1]);
        let found = squares(&gradients, &changes);
        assert_eq!(found, tensor(&[0.25, 0.25, 1.0, 1.0], &[1, 4]));
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
