//! Steps 2 to 7: from votes to rank, trust, consensus, incentive, loss.

use alloc::{vec, vec::Vec};

use crate::{
    fixed::{apportion, share, HALF, ONE},
    market::Market,
    rows::{edges, Row},
    scaled::Scaled,
    sigmoid, Uid,
};

/// What the votes for one neuron add up to, in stake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// Stake times normalised weight, scaled so that the whole market's stake just fits.
    pub rank: u128,
    /// Stake with an edge.
    pub trust: u128,
}

/// The votes of a market, as far as they are counted: rows go in one by one, in any order.
///
/// Plain integers, 32 bytes a neuron and 4 more, so that a count can be put by between two blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    /// By uid of the neuron voted for.
    pub columns: Vec<Column>,
    /// By uid of the voter: the sum of the weights that count, 0 for one that does not vote.
    pub row_sums: Vec<u32>,
    /// Stake that votes.
    pub stake: u128,
}

/// What the votes say. Shares are in parts of 10^18, vectors by uid, empty slots 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Share of the counted stake's weight. Sums to the counted stake that votes: to 1, or to 0 without
    /// votes, unless idle stake is counted too.
    pub rank: Vec<u64>,
    /// Share of the counted stake with an edge to the neuron.
    pub trust: Vec<u64>,
    /// Sigmoid of the trust, strictly between 0 and 1.
    pub consensus: Vec<u64>,
    /// Rank times consensus, normalised: sums to 1, or to 0 without votes.
    pub incentive: Vec<u64>,
    /// The consensus loss, rounded down, between -1/2 and 1/2.
    pub loss: i64,
    /// Share of all stake that votes, rounded down.
    pub voting: u64,
    /// Whether the loss is negative and the quorum is met.
    pub in_consensus: bool,
    /// By uid: the sum of the weights that count in its row.
    pub row_sums: Vec<u32>,
    /// The stake of which stake shares are taken.
    pub counted_stake: u128,
}

impl Votes {
    /// No votes yet.
    pub fn new(market: &Market) -> Self {
        Self {
            columns: vec![Column::default(); market.slots.len()],
            row_sums: vec![0; market.slots.len()],
            stake: 0,
        }
    }

    /// Counts the row of one neuron; a second row of the same neuron is ignored.
    pub fn add_row(&mut self, market: &Market, uid: Uid, row: &Row) {
        let Some(voter) = market.voter(uid, row) else {
            return;
        };
        let Some(row_sum) = self.row_sums.get_mut(usize::from(uid)) else {
            return;
        };
        // At most 65,536 weights of 16 bits: 32 bits.
        let sum = edges(market, uid, row)
            .fold(0, |sum: u32, (_, weight)| sum.saturating_add(weight.into()));
        if sum == 0 || *row_sum != 0 {
            return;
        }
        *row_sum = sum;
        let stake = u128::from(voter.stake);
        self.stake = self.stake.saturating_add(stake);
        // The only division of the row; the rest is multiply and add. No sum below overflows: over all
        // rows the products come to no more than all stake, and that is scaled to fit.
        let factor = stake
            .wrapping_shl(market.stake.leading_zeros())
            .checked_div(sum.into())
            .unwrap_or(0);
        let limit = market.trust_limit(sum.into());
        for (to, weight) in edges(market, uid, row) {
            if let Some(column) = self.columns.get_mut(usize::from(to)) {
                column.rank = column.rank.wrapping_add(factor.wrapping_mul(weight.into()));
                if u64::from(weight) > limit {
                    column.trust = column.trust.wrapping_add(stake);
                }
            }
        }
    }

    /// Draws the conclusions, when all rows are in.
    pub fn finish(self, market: &Market) -> Verdict {
        let parameters = &market.parameters;
        let counted_stake = if parameters.count_idle_stake {
            market.stake
        } else {
            self.stake
        };
        let weights = align(
            self.columns
                .iter()
                .map(|column| Scaled::new(column.rank, 0)),
        );
        let rank = apportion(share(self.stake, counted_stake), &weights);

        let neurons = || self.columns.iter().zip(market.slots);
        let trust: Vec<u64> = neurons()
            .map(|(column, _)| share(column.trust, counted_stake))
            .collect();
        let sigmoids: Vec<_> = trust
            .iter()
            .map(|&trust| sigmoid::consensus(parameters, trust))
            .collect();
        let consensus = sigmoids
            .iter()
            .zip(market.slots)
            .map(|(sigmoid, slot)| slot.map_or(0, |_| sigmoid.parts))
            .collect();

        let products = self
            .columns
            .iter()
            .zip(&sigmoids)
            .map(|(column, sigmoid)| Scaled::new(column.rank, 0).multiply(sigmoid.exact));
        let incentive = apportion(ONE, &align(products));

        let agreement = rank
            .iter()
            .zip(&sigmoids)
            .map(|(&rank, sigmoid)| {
                let above = i128::from(sigmoid.parts).saturating_sub(HALF.into());
                i128::from(rank).saturating_mul(above)
            })
            .fold(0, i128::saturating_add);
        // Rounded down, so that a loss below zero stays below it.
        let loss = agreement
            .saturating_neg()
            .checked_div_euclid(ONE.into())
            .and_then(|loss| i64::try_from(loss).ok())
            .unwrap_or(0);
        let voting = share(self.stake, market.stake);
        Verdict {
            in_consensus: loss < 0 && voting >= parameters.quorum,
            rank,
            trust,
            consensus,
            incentive,
            loss,
            voting,
            row_sums: self.row_sums,
            counted_stake,
        }
    }
}

/// Whole numbers in the proportions of the given ones, the largest with all its 64 bits.
fn align(values: impl Iterator<Item = Scaled> + Clone) -> Vec<u64> {
    let largest = values
        .clone()
        .filter_map(Scaled::magnitude)
        .max()
        .unwrap_or(0);
    let bits = 64_i32.saturating_sub(largest);
    values.map(|value| value.to_fixed(bits)).collect()
}
