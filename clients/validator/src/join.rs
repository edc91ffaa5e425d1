//! The join: the peers' answers, each through a linear adapter of its own, weighted by the gate, added
//! to the local model's representation.
//!
//! Models that were trained apart do not share a basis, hence an adapter for each. An answer is
//! normalised first, so that no peer gains influence by the mere size of its numbers.
//!
//! Everything here is a function over tensors: peers `n`, examples `b`, positions `s`, dimension `d`.

use noesis_model::tch::{Kind, Tensor};

/// Largest magnitude an answer's numbers can have here: what lies beyond is cut, so that no finite answer
/// overflows in the normalisation.
const LARGEST: f64 = 1e4;

/// Normalises an answer `[b, s, d]` over its dimension: zero mean, unit variance, no parameters.
pub fn normalised(answer: &Tensor) -> Tensor {
    let dim = answer.size().last().copied().unwrap_or(1);
    answer
        .clamp(-LARGEST, LARGEST)
        .layer_norm::<Tensor>([dim], None, None, 1e-5, false)
}

/// One adapter: `weight [d, d]` over a normalised answer `[.., d]`. It has no bias: a peer is to add what it
/// answers, and nothing for being there.
pub fn adapted(answer: &Tensor, weight: &Tensor) -> Tensor {
    answer.matmul(&weight.tr())
}

/// The joined representation `F_b = local_b + sum_i w_bi a_ib`: local `[b, s, d]`, adapted answers
/// `[n, b, s, d]`, gate weights `[b, n]`.
pub fn joined(local: &Tensor, adapted: &Tensor, weights: &Tensor) -> Tensor {
    let by_peer = weights.tr().unsqueeze(-1).unsqueeze(-1); // [n, b, 1, 1]
    local + (adapted * by_peer).sum_dim_intlist(0, false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_model::tch::{manual_seed, Device};

    const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn weighted_answers_are_added() {
        let local = Tensor::ones([2, 3, 4], FLOAT);
        let adapted = Tensor::stack(
            &[
                Tensor::full([2, 3, 4], 10.0, FLOAT),
                Tensor::full([2, 3, 4], 20.0, FLOAT),
            ],
            0,
        );
        let weights = Tensor::from_slice(&[0.5f32, 0.5, 1.0, 0.0]).view([2, 2]);
        let joined = joined(&local, &adapted, &weights);
        assert_eq!(joined.double_value(&[0, 0, 0]), 16.0);
        assert_eq!(joined.double_value(&[1, 2, 3]), 11.0);
    }

    #[test]
    fn size_buys_nothing_and_cannot_overflow() {
        manual_seed(1);
        let answer = Tensor::randn([1, 2, 8], FLOAT);
        let small = normalised(&answer);
        let large = normalised(&(&answer * 1000.0));
        assert!((small - large).abs().max().double_value(&[]) < 1e-3);
        let huge = Tensor::full([1, 2, 8], f32::MAX as f64, FLOAT).set_requires_grad(true);
        let out = normalised(&huge);
        assert!(bool::try_from(out.isfinite().all()).unwrap());
        (out * Tensor::randn([1, 2, 8], FLOAT))
            .sum(Kind::Float)
            .backward();
        assert!(bool::try_from(huge.grad().isfinite().all()).unwrap());
    }

    #[test]
    fn the_gradient_reaches_local_adapter_and_answer() {
        manual_seed(2);
        let leaf = || Tensor::randn([2, 3, 4], FLOAT).set_requires_grad(true);
        let (local, answer) = (leaf(), leaf());
        let weight = Tensor::randn([4, 4], FLOAT).set_requires_grad(true);
        let stacked = adapted(&normalised(&answer), &weight).unsqueeze(0);
        let weights = Tensor::ones([2, 1], FLOAT);
        joined(&local, &stacked, &weights)
            .square()
            .sum(Kind::Float)
            .backward();
        for gradient in [local.grad(), answer.grad(), weight.grad()] {
            assert!(gradient.abs().sum(Kind::Float).double_value(&[]) > 0.0);
        }
    }
}
