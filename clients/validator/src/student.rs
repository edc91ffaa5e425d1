//! The student: a small model distilled from the joined representation (Hinton et al., 2015), that needs no peers.
//!
//! It learns from every batch beside the network: the ordinary loss, and the divergence of its prediction from the
//! network's, joined of those who are known to help (of many, the first by the gate), as long as the network is the
//! better on examples that neither learns from. At first it is not: a teacher that is behind its student only holds it
//! up. Of what the network predicts it is told beyond the batch, too: of inputs that are made up, for which nobody has a
//! target (`learner/lessons.rs`). It has the sizes, the first parameters, the batches and the optimizer of the twin that
//! is trained alone, so what it knows beyond the twin it has from the peers.
//!
//! [`export`] writes it to a folder for others to use, [`evaluate`] compares it offline.

use noesis_model::tch::{Kind, Tensor};
use serde::{Deserialize, Serialize};

pub mod evaluate;
pub mod export;

/// How the student learns from the network's prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// Share of the divergence in the loss; the rest is the ordinary loss.
    pub share: f64,
    /// By what both predictions' logits are divided before they are compared.
    pub temperature: f64,
}

impl Default for Distillation {
    /// The greater part to the network: with little data of one's own, what came next is learned by heart.
    fn default() -> Self {
        Self {
            share: 0.8,
            temperature: 1.0,
        }
    }
}

/// `(1 - share) ordinary + share T^2 KL(softmax(network / T) || softmax(student / T))`, the divergence a mean over
/// predictions: logits `[.., classes]` of both, those of the network detached.
pub fn loss(
    ordinary: Tensor,
    student: &Tensor,
    network: &Tensor,
    distillation: &Distillation,
) -> Tensor {
    let Distillation { share, temperature } = *distillation;
    let log_probabilities = |logits: &Tensor| (logits / temperature).log_softmax(-1, Kind::Float);
    let (student, network) = (log_probabilities(student), log_probabilities(network));
    let divergence = (network.exp() * (&network - student))
        .sum_dim_intlist(-1, false, Kind::Float)
        .mean(Kind::Float);
    ordinary * (1.0 - share) + divergence * (share * temperature * temperature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_model::tch::Device;

    #[test]
    fn the_divergence_has_its_closed_form_and_vanishes_for_equals() {
        let zero = || Tensor::zeros([], (Kind::Float, Device::Cpu));
        let all = |temperature| Distillation {
            share: 1.0,
            temperature,
        };
        // p = (3/4, 1/4), q = (1/2, 1/2): KL(p || q) = 3/4 ln(3/2) + 1/4 ln(1/2).
        let network = Tensor::from_slice(&[3f32.ln(), 0.0]).view([1, 2]);
        let student = Tensor::zeros([1, 2], (Kind::Float, Device::Cpu));
        let expected = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        let found = loss(zero(), &student, &network, &all(1.0)).double_value(&[]);
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        // At temperature 2 of logits twice as large the same, times four.
        let found = loss(zero(), &student, &(&network * 2.0), &all(2.0)).double_value(&[]);
        assert!((found - 4.0 * expected).abs() < 1e-6, "{found}");
        let same = loss(zero(), &network, &network, &all(3.0)).double_value(&[]);
        assert!(same.abs() < 1e-7);
        let part = Distillation {
            share: 0.25,
            temperature: 1.0,
        };
        let ordinary = Tensor::from(2.0f32);
        let found = loss(ordinary, &student, &network, &part).double_value(&[]);
        assert!((found - (0.75 * 2.0 + 0.25 * expected)).abs() < 1e-6);
    }
}
