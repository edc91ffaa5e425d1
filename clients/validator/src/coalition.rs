//! Random coalitions: in each batch every peer is kept with a probability of about one half.
//!
//! Left to itself the gate collapses onto one peer, and removing a peer from the full set shows almost
//! nothing, since others stand in. From random coalitions a peer's worth shows. Nobody at all is a coalition
//! too: the local model must know how to do without, or the ablation would praise whoever is there.

use crate::{gate, join};
use noesis_model::tch::Tensor;
use rand::Rng;

/// Keeps each of `peers` with probability `keep`, independently; perhaps nobody.
pub fn draw<T: Clone>(peers: &[T], keep: f64, rng: &mut impl Rng) -> Vec<T> {
    let keep = if keep.is_finite() {
        keep.clamp(0.0, 1.0)
    } else {
        1.0
    };
    let kept = peers.iter().filter(|_| rng.random_bool(keep));
    kept.cloned().collect()
}

/// Examples and all that is needed to join the answers of any coalition on them: examples `b`, peers `n`.
pub struct Setting<'a> {
    /// The local model's representation at the kept-back position, `[b, d]`.
    pub local: &'a Tensor,
    /// The peers' answers there, through their adapters, `[n, b, d]`.
    pub adapted: &'a Tensor,
    /// Gate scores without noise, `[b, n]`.
    pub scores: &'a Tensor,
    /// The kept-back targets, `i64 [b]`.
    pub targets: &'a Tensor,
    /// Most peers in a gate.
    pub k: usize,
}

impl Setting<'_> {
    /// A random coalition for each example, `[b, n]`, of the `members`, `[n]`: every other one. `uniform` draws numbers in
    /// [0, 1).
    pub fn draw(&self, members: &Tensor, uniform: &mut impl FnMut(&[i64]) -> Tensor) -> Tensor {
        uniform(&self.scores.size()).lt(0.5).logical_and(members)
    }

    /// Whom the gate keeps of these coalitions, `[b, n]`.
    pub fn kept(&self, coalition: &Tensor) -> Tensor {
        gate::keep_top_k(self.scores, coalition, self.k)
    }

    /// The gate's weights of those it keeps, `[b, n]`.
    pub fn weights(&self, kept: &Tensor) -> Tensor {
        gate::weights(self.scores, kept)
    }

    /// The joined representation with these weights, `[b, d]`.
    pub fn joined(&self, weights: &Tensor) -> Tensor {
        self.local + join::contribution(self.adapted, weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{rngs::StdRng, SeedableRng};

    #[test]
    fn about_half_are_kept_and_now_and_then_nobody() {
        let mut rng = StdRng::seed_from_u64(1);
        let peers: Vec<usize> = (0..4).collect();
        let (mut kept, mut nobody) = ([0usize; 4], 0);
        for _ in 0..2000 {
            let coalition = draw(&peers, 0.5, &mut rng);
            nobody += usize::from(coalition.is_empty());
            coalition.iter().for_each(|peer| kept[*peer] += 1);
        }
        assert!(
            kept.iter().all(|times| (900..1100).contains(times)),
            "{kept:?}"
        );
        assert!((90..160).contains(&nobody), "{nobody}"); // one in sixteen
        assert!(draw::<usize>(&[], 0.5, &mut rng).is_empty());
        assert_eq!(draw(&peers, 1.0, &mut rng), peers);
    }
}
