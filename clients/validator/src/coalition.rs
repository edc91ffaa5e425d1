//! Random coalitions: in each batch every peer is kept with a probability of about one half.
//!
//! Left to itself the gate collapses onto one peer, and removing a peer from the full set shows almost
//! nothing, since others stand in. From random coalitions a peer's worth shows. Nobody at all is a coalition
//! too: the local model must know how to do without, or the ablation would praise whoever is there.

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
