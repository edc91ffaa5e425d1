//! The gate: a sparse, noisy, trainable choice of peers (Shazeer et al., 2017, section 2.1).
//!
//! A peer has a row of weights and a row of noise scales over the features of an example. Its score is
//! `H(x)_i = (x W)_i + N(0, 1) softplus((x V)_i)`; the `k` best of those that may be chosen are kept,
//! and the others are masked *before* the softmax, so that the gate of whoever is left sums to one.
//!
//! Everything here is a function over tensors: examples `b`, peers `n`, features `f`.

use noesis_model::tch::{Kind, Tensor};

/// Scores without noise: features `[b, f]` by rows `[n, f]`, giving `[b, n]`.
pub fn scores(features: &Tensor, rows: &Tensor) -> Tensor {
    features.matmul(&rows.tr())
}

/// Scores with the trainable noise of the paper: `scores + standard_normal * softplus(x V)`, `[b, n]`.
///
/// The draw is passed in (`[b, n]` or `[1, n]`), so that a seed decides it.
pub fn noisy(
    scores: &Tensor,
    features: &Tensor,
    noise_rows: &Tensor,
    standard_normal: &Tensor,
) -> Tensor {
    scores + standard_normal * features.matmul(&noise_rows.tr()).softplus()
}

/// Keeps the `k` best of those allowed in each row: scores `[b, n]`, allowed `[b, n]` or `[1, n]`
/// of booleans, giving `[b, n]` of booleans. Fewer than `k` allowed: all of them.
pub fn keep_top_k(scores: &Tensor, allowed: &Tensor, k: usize) -> Tensor {
    let peers = scores.size().last().copied().unwrap_or(0);
    let k = i64::try_from(k).unwrap_or(i64::MAX).min(peers);
    let allowed = allowed.expand_as(scores);
    if k == peers {
        return allowed.shallow_clone();
    }
    let masked = scores.masked_fill(&allowed.logical_not(), f64::NEG_INFINITY);
    let (_, best) = masked.topk(k, -1, true, false);
    let kept = Tensor::zeros_like(&masked).scatter_value(-1, &best, 1.0);
    kept.to_kind(Kind::Bool).logical_and(&allowed)
}

/// Softmax over those kept: scores `[b, n]`, kept `[b, n]` or `[1, n]` of booleans, giving `[b, n]`.
///
/// A row sums to one over the peers kept; a row with nobody kept is all zero, with zero gradient.
pub fn weights(scores: &Tensor, kept: &Tensor) -> Tensor {
    let kept = kept.expand_as(scores);
    let dropped = kept.logical_not();
    // Where nobody is kept the softmax would be 0 / 0: give it finite scores, then zero the result.
    let nobody = dropped.all_dim(-1, true);
    let masked = scores
        .masked_fill(&dropped, f64::NEG_INFINITY)
        .masked_fill(&nobody, 0.0);
    masked.softmax(-1, Kind::Float).masked_fill(&dropped, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_model::tch::Device;

    fn row(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).unsqueeze(0)
    }

    fn allowed(values: &[bool]) -> Tensor {
        Tensor::from_slice(values).unsqueeze(0)
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.flatten(0, -1).to_kind(Kind::Float)).unwrap()
    }

    #[test]
    fn the_best_k_of_the_allowed_are_kept() {
        let scores = row(&[3.0, 9.0, 1.0, 2.0]);
        let kept = keep_top_k(&scores, &allowed(&[true, false, true, true]), 2);
        assert_eq!(values(&kept), [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn fewer_allowed_than_k_are_all_kept() {
        let scores = row(&[3.0, 9.0, 1.0, 2.0]);
        let kept = keep_top_k(&scores, &allowed(&[false, false, true, false]), 3);
        assert_eq!(values(&kept), [0.0, 0.0, 1.0, 0.0]);
        let all = keep_top_k(&scores, &allowed(&[true, false, true, true]), 10);
        assert_eq!(values(&all), [1.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn masking_comes_before_the_softmax() {
        let scores = row(&[1.0, 100.0, 1.0]);
        let weights = weights(&scores, &allowed(&[true, false, true]));
        assert_eq!(values(&weights), [0.5, 0.0, 0.5]);
    }

    #[test]
    fn a_masked_score_that_is_not_finite_does_no_harm() {
        let scores = row(&[1.0, f32::NAN, f32::INFINITY, 1.0]);
        let weights = weights(&scores, &allowed(&[true, false, false, true]));
        assert_eq!(values(&weights), [0.5, 0.0, 0.0, 0.5]);
    }

    #[test]
    fn nobody_kept_gives_zeros_and_a_finite_gradient() {
        let scores = row(&[1.0, 2.0]).set_requires_grad(true);
        let weights = weights(&scores, &allowed(&[false, false]));
        assert_eq!(values(&weights), [0.0, 0.0]);
        weights.sum(Kind::Float).backward();
        assert_eq!(values(&scores.grad()), [0.0, 0.0]);
    }

    #[test]
    fn the_gradient_reaches_the_rows_and_the_noise_of_those_kept_alone() {
        let features = Tensor::from_slice(&[1.0f32, -2.0]).unsqueeze(0);
        let rows = Tensor::from_slice(&[0.3f32, 0.1, 0.2, -0.4, 0.5, 0.6]).view([3, 2]);
        let rows = rows.set_requires_grad(true);
        let noise = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let draw = row(&[0.5, -0.5, 1.0]);
        let clean = scores(&features, &rows);
        let noisy = noisy(&clean, &features, &noise, &draw);
        let kept = keep_top_k(&noisy, &allowed(&[true, true, false]), 2);
        let weights = weights(&noisy, &kept);
        (weights * row(&[1.0, 3.0, 7.0]))
            .sum(Kind::Float)
            .backward();
        for gradient in [rows.grad(), noise.grad()] {
            let norms: Vec<f32> =
                Vec::try_from(gradient.abs().sum_dim_intlist(-1, false, Kind::Float)).unwrap();
            assert!(norms[0] > 1e-3 && norms[1] > 1e-3, "{norms:?}");
            assert_eq!(norms[2], 0.0);
        }
    }
}
