//! Scores to a row of weights as the chain takes it: `(uid, u16)` in strictly increasing order of uid.
//!
//! Better no vote than a false one: where fewer peers than the market asks for have shown that they
//! help, there is no row, and the one voted before stands until it ages out.

use market_primitives::{Share, Uid};
use std::collections::BTreeMap;

/// Why there is no row to submit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoVote {
    /// Too few peers have a positive score.
    #[error("{found} peers have shown that they help and the market asks for {needed}: no weights this time, evidence goes on being collected")]
    TooFew {
        /// With a positive score.
        found: usize,
        /// Asked for by the market, in so many words or because none may have more than its part of the row.
        needed: usize,
    },
}

/// Positive scores as shares of their largest, in `u16`, sorted by uid. A score that is not positive, not finite
/// or that rounds to nothing gets no edge; a uid that occurs twice keeps its larger score. Where one would have more than
/// `max_weight` of the row, the largest scores are lowered to what they may have.
///
/// # Errors
///
/// [`NoVote::TooFew`] when fewer than `min_weights` (and at least one, and as many as share a row) remain.
pub fn row(
    scores: &[(Uid, f64)],
    min_weights: usize,
    max_weight: Share,
) -> Result<Vec<(Uid, u16)>, NoVote> {
    let mut positive: BTreeMap<Uid, f64> = BTreeMap::new();
    for (uid, score) in scores.iter().copied() {
        if score.is_finite() && score > 0.0 {
            let kept = positive.entry(uid).or_default();
            *kept = kept.max(score);
        }
    }
    let sharers = Share::ONE.0.div_ceil(max_weight.0.max(1));
    let sharers = usize::try_from(sharers).unwrap_or(usize::MAX);
    let needed = min_weights.max(sharers).max(1);
    let top = ceiling(positive.values().copied().collect(), max_weight);
    // `as` saturates, and the quotient lies between 0 and 1.
    let weight = |score: f64| (score.min(top) / top * f64::from(u16::MAX)).round() as u16;
    let mut row: Vec<(Uid, u16)> = (positive.into_iter())
        .map(|(uid, score)| (uid, weight(score)))
        .filter(|(_, weight)| *weight > 0)
        .collect();
    if row.len() < needed {
        return Err(NoVote::TooFew {
            found: row.len(),
            needed,
        });
    }
    // What was rounded down is missing from the sum that the largest is a part of.
    while exceeds(&row, max_weight) {
        row.iter_mut()
            .for_each(|(_, weight)| *weight = weight.saturating_add(1));
    }
    Ok(row)
}

/// The value to which the largest scores are lowered so that none of them is more than its part of all: that of `k` lowered
/// ones, `c = max_weight (k c + rest)`, where it leaves the next one as it is.
fn ceiling(mut scores: Vec<f64>, max_weight: Share) -> f64 {
    scores.sort_by(|a, b| b.total_cmp(a));
    let (most, largest) = (max_weight.to_f64(), scores.first().copied().unwrap_or(0.0));
    let shares = || scores.iter().map(|score| score / largest);
    let mut rest: f64 = shares().sum();
    let mut lowered = 0.0;
    for share in shares() {
        let ceiling = most * rest / (1.0 - lowered * most);
        if lowered * most < 1.0 && share <= ceiling {
            return ceiling.min(1.0) * largest;
        }
        rest -= share;
        lowered += 1.0;
    }
    // They are just enough, or too few: all are to have the same.
    scores.last().copied().unwrap_or(0.0)
}

/// Whether the largest weight is more than its part of the row. Each weight below it can still rise, so that raising them
/// all ends where there are enough to share the row: then all are equal.
fn exceeds(row: &[(Uid, u16)], max_weight: Share) -> bool {
    let sum: u128 = row.iter().map(|(_, weight)| u128::from(*weight)).sum();
    let largest = row.iter().map(|(_, weight)| *weight).max().unwrap_or(0);
    u128::from(largest) * u128::from(Share::ONE.0) > u128::from(max_weight.0) * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_gets_all_of_u16_and_uids_are_sorted() {
        let row = row(&[(7, 1.0), (2, 4.0), (5, 2.0)], 1, Share::ONE).unwrap();
        assert_eq!(row, [(2, 65535), (5, 32768), (7, 16384)]);
    }

    #[test]
    fn what_is_not_positive_gets_no_edge() {
        let scores = [
            (0, 0.0),
            (1, -1.0),
            (2, f64::NAN),
            (3, f64::INFINITY),
            (4, 1e-9),
            (5, 1.0),
        ];
        assert_eq!(row(&scores, 1, Share::ONE).unwrap(), [(5, 65535)]);
    }

    #[test]
    fn a_uid_never_occurs_twice() {
        assert_eq!(
            row(&[(3, 1.0), (3, 2.0), (1, 2.0)], 1, Share::ONE).unwrap(),
            [(1, 65535), (3, 65535)]
        );
    }

    #[test]
    fn too_few_edges_are_no_vote() {
        assert_eq!(
            row(&[(1, 1.0), (2, 0.0)], 2, Share::ONE),
            Err(NoVote::TooFew {
                found: 1,
                needed: 2
            })
        );
        assert_eq!(
            row(&[], 0, Share::ONE),
            Err(NoVote::TooFew {
                found: 0,
                needed: 1
            })
        );
    }

    #[test]
    fn the_tiniest_scores_keep_their_proportion() {
        assert_eq!(
            row(&[(0, 1e-300), (1, 2e-300)], 1, Share::ONE).unwrap(),
            [(0, 32768), (1, 65535)]
        );
    }

    /// The pallet's own check, which rounds the largest share up.
    fn largest(row: &[(Uid, u16)]) -> u128 {
        let sum: u128 = row.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let largest = row.iter().map(|(_, weight)| *weight).max().unwrap();
        (u128::from(largest) * u128::from(Share::ONE.0)).div_ceil(sum)
    }

    #[test]
    fn nobody_gets_more_than_the_market_allows_and_the_others_keep_their_proportion() {
        let third = Share(Share::ONE.0 / 3 + 1);
        let scores = [(0, 90.0), (1, 3.0), (2, 2.0), (3, 1.0), (4, 1.0)];
        // 90 is lowered to 3.5: a third of 3.5 + 3 + 2 + 1 + 1.
        let lowered = row(&scores, 1, third).unwrap();
        assert_eq!(
            lowered,
            [(0, 65535), (1, 56173), (2, 37449), (3, 18724), (4, 18724)]
        );
        assert_eq!(
            row(&scores[..2], 1, third),
            Err(NoVote::TooFew {
                found: 2,
                needed: 3
            })
        );
        assert_eq!(
            row(&scores[..3], 1, Share(Share::ONE.0.div_ceil(3))).unwrap(),
            [(0, 65535), (1, 65535), (2, 65535)]
        );
    }

    #[test]
    fn no_row_is_refused_for_what_rounding_took_away() {
        for count in 2..60u16 {
            for part in [2, 3, 7, 25, 50] {
                let most = Share(Share::ONE.0.div_ceil(part));
                let scores: Vec<(Uid, f64)> = (0..count)
                    .map(|uid| (uid, 0.83f64.powi(i32::from(uid))))
                    .collect();
                match row(&scores, 1, most) {
                    Ok(row) => assert!(largest(&row) <= u128::from(most.0), "{row:?}"),
                    Err(_) => assert!(u64::from(count) < part, "{count} share {part}"),
                }
            }
        }
    }
}
