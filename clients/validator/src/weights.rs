//! Scores to a row of weights as the chain takes it: `(uid, u16)` in strictly increasing order of uid.
//!
//! Better no vote than a false one: where fewer peers than the market's `min_weights` have shown that they
//! help, there is no row, and the one voted before stands until it ages out.

use market_primitives::Uid;

/// Why there is no row to submit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoVote {
    /// Too few peers have a positive score.
    #[error("{found} peers have shown that they help and the market asks for {needed}: no weights this time, evidence goes on being collected")]
    TooFew {
        /// With a positive score.
        found: usize,
        /// Asked for by the market.
        needed: usize,
    },
}

/// Positive scores as shares of their largest, in `u16`, sorted by uid. A score that is not positive, not finite
/// or that rounds to nothing gets no edge; a uid that occurs twice keeps its larger score.
///
/// # Errors
///
/// [`NoVote::TooFew`] when fewer than `min_weights` (and at least one) remain.
pub fn row(scores: &[(Uid, f64)], min_weights: usize) -> Result<Vec<(Uid, u16)>, NoVote> {
    let positive = |score: &f64| score.is_finite() && *score > 0.0;
    let scores: Vec<_> = scores.iter().filter(|(_, score)| positive(score)).collect();
    let largest = scores.iter().map(|(_, score)| *score).fold(0.0, f64::max);
    let mut row: Vec<(Uid, u16)> = scores
        .into_iter()
        // `as` saturates, and the quotient lies between 0 and 1.
        .map(|(uid, score)| (*uid, (score / largest * f64::from(u16::MAX)).round() as u16))
        .filter(|(_, weight)| *weight > 0)
        .collect();
    row.sort_unstable_by_key(|(uid, weight)| (*uid, u16::MAX - weight));
    row.dedup_by_key(|(uid, _)| *uid);
    let needed = min_weights.max(1);
    if row.len() < needed {
        return Err(NoVote::TooFew {
            found: row.len(),
            needed,
        });
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_gets_all_of_u16_and_uids_are_sorted() {
        let row = row(&[(7, 1.0), (2, 4.0), (5, 2.0)], 1).unwrap();
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
        assert_eq!(row(&scores, 1).unwrap(), [(5, 65535)]);
    }

    #[test]
    fn a_uid_never_occurs_twice() {
        assert_eq!(
            row(&[(3, 1.0), (3, 2.0), (1, 2.0)], 1).unwrap(),
            [(1, 65535), (3, 65535)]
        );
    }

    #[test]
    fn too_few_edges_are_no_vote() {
        assert_eq!(
            row(&[(1, 1.0), (2, 0.0)], 2),
            Err(NoVote::TooFew {
                found: 1,
                needed: 2
            })
        );
        assert_eq!(
            row(&[], 0),
            Err(NoVote::TooFew {
                found: 0,
                needed: 1
            })
        );
    }

    #[test]
    fn the_tiniest_scores_keep_their_proportion() {
        assert_eq!(
            row(&[(0, 1e-300), (1, 2e-300)], 1).unwrap(),
            [(0, 32768), (1, 65535)]
        );
    }
}
