//! The join: the peers' answers, each through a linear adapter of its own, weighted by the gate, added
//! to the local model's representation.
//!
//! Models that were trained apart do not share a basis, hence an adapter for each. An answer is read in
//! units of its peer's usual size, so that no peer gains influence by the mere size of its numbers. How the size varies
//! from one position to the next is left: a network says with it how sure it is.
//!
//! Everything here is a function over tensors: peers `n`, examples `b`, positions `s`, dimension `d`.

use noesis_model::{
    network::summary,
    tch::{Kind, Tensor},
    Modality,
};

/// Largest magnitude an answer's numbers can have here: what lies beyond is cut, so that no finite answer
/// overflows when it is squared.
const LARGEST: f64 = 1e4;

/// Most units that a number counts for: who answers small numbers for long and then a large one gains nothing.
const MOST_UNITS: f64 = 8.0;

/// Smallest unit, squared: who answers nothing but zeros is read as that.
const SMALLEST: f64 = 1e-12;

/// An answer with every number within bounds.
pub fn bounded(answer: &Tensor) -> Tensor {
    answer.clamp(-LARGEST, LARGEST)
}

/// An answer `[b, s, d]` at the position it is judged at, `[b, d]`.
pub fn summarised(modality: Modality, answer: &Tensor) -> Tensor {
    summary(modality, &bounded(answer))
}

/// Normalises `[.., d]` over the last dimension: zero mean, unit variance, no parameters.
pub fn normalised(x: &Tensor) -> Tensor {
    let dim = x.size().last().copied().unwrap_or(1);
    bounded(x).layer_norm::<Tensor>([dim], None, None, 1e-5, false)
}

/// The mean square of an answer's numbers, `[]`.
pub fn mean_square(answer: &Tensor) -> Tensor {
    bounded(&answer.detach()).square().mean(Kind::Float)
}

/// An answer `[.., d]` in units of its peer's root mean square, of which the square is given, `[]`.
pub fn in_units(answer: &Tensor, mean_square: &Tensor) -> Tensor {
    let unit = mean_square.clamp_min(SMALLEST).sqrt();
    (bounded(answer) / unit).clamp(-MOST_UNITS, MOST_UNITS)
}

/// One adapter: `weight [d, d]` over an answer in units, `[.., d]`. It has no bias: a peer is to add what it
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

/// Part of the examples that the peers are to answer for by themselves, in training. The local model knows its few examples by
/// heart: where it always stands beside them, little is left for the peers to be right about, and on other examples it is
/// missed. It is left out as every peer is left out of every other coalition.
const WITHOUT_LOCAL: f64 = 0.5;

/// The local representation `[b, s, d]`, nothing at all for those examples whose number of `draws`, `[b]` in [0, 1), says so.
pub fn at_times(local: &Tensor, draws: &Tensor) -> Tensor {
    let with = draws.ge(WITHOUT_LOCAL).to_kind(local.kind());
    local * with.view([-1, 1, 1])
}

/// What the peers add at one position, `sum_i w_bi a_ib`: adapted `[n, b, d]`, weights `[b, n]`, giving `[b, d]`.
pub fn contribution(adapted: &Tensor, weights: &Tensor) -> Tensor {
    (adapted * weights.tr().unsqueeze(-1)).sum_dim_intlist(0, false, Kind::Float)
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
    fn the_local_model_is_there_for_an_example_or_it_is_not() {
        let local = Tensor::ones([3, 2, 2], FLOAT).set_requires_grad(true);
        let some = at_times(&local, &Tensor::from_slice(&[0.7f32, 0.2, 0.5]));
        let expected = Tensor::from_slice(&[1f32, 0.0, 1.0]).view([3, 1, 1]);
        assert_eq!(some, Tensor::ones([3, 2, 2], FLOAT) * &expected);
        some.sum(Kind::Float).backward();
        assert_eq!(local.grad(), Tensor::ones([3, 2, 2], FLOAT) * expected);
    }

    #[test]
    fn size_buys_nothing_and_cannot_overflow() {
        manual_seed(1);
        let read = |answer: &Tensor| in_units(answer, &mean_square(answer));
        let answer = Tensor::randn([1, 2, 8], FLOAT);
        let (small, large) = (read(&answer), read(&(&answer * 1000.0)));
        assert!((small - large).abs().max().double_value(&[]) < 1e-3);
        // One that was small for long gains a bounded influence at once, and one of zeros none.
        let sudden = in_units(&(&answer * 1e30), &mean_square(&answer));
        assert_eq!(sudden.abs().max().double_value(&[]), MOST_UNITS);
        assert_eq!(
            read(&answer.zeros_like()).abs().max().double_value(&[]),
            0.0
        );
        let huge = Tensor::full([1, 2, 8], f32::MAX as f64, FLOAT).set_requires_grad(true);
        let out = read(&huge);
        assert!(bool::try_from(out.isfinite().all()).unwrap());
        (out * Tensor::randn([1, 2, 8], FLOAT))
            .sum(Kind::Float)
            .backward();
        assert!(bool::try_from(huge.grad().isfinite().all()).unwrap());
    }

    #[test]
    fn what_varies_between_positions_is_kept() {
        let answer = Tensor::from_slice(&[1f32, -1.0, 3.0, -3.0]).view([1, 2, 2]);
        let read = in_units(&answer, &mean_square(&answer));
        let size = |position| read.double_value(&[0, position, 0]);
        assert!((size(1) / size(0) - 3.0).abs() < 1e-6);
        assert!((mean_square(&read).double_value(&[]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_reaches_local_adapter_and_answer() {
        manual_seed(2);
        let leaf = || Tensor::randn([2, 3, 4], FLOAT).set_requires_grad(true);
        let (local, answer) = (leaf(), leaf());
        let weight = Tensor::randn([4, 4], FLOAT).set_requires_grad(true);
        let read = in_units(&answer, &mean_square(&answer));
        let stacked = adapted(&read, &weight).unsqueeze(0);
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
