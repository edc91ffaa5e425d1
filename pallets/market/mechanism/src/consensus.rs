//! Steps 2 to 7: from votes to rank, trust, consensus, incentive, loss.

use alloc::{vec, vec::Vec};

use crate::{
    fixed::{apportion, share, HALF, ONE},
    market::Market,
    rows::{Ballot, Row},
    scaled::Scaled,
    sigmoid, Uid,
};

/// Bits of all ranks together, as they are added up.
const RANK_BITS: i32 = 62;

/// What the votes for one neuron add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Stake times normalised weight, in units of [`Votes::rank_unit`].
    pub rank: u64,
    /// Stake with an edge, in units of stake (or, where more than 2^63 units vote, in larger ones).
    pub trust: u64,
}

/// The votes of a market, as far as they are counted: rows go in one by one, in rising order of uid.
///
/// Plain integers, 20 bytes a neuron, so that a count can be put by between two blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    /// By uid of the neuron voted for.
    pub tallies: Vec<Tally>,
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
}

/// What a voter's weights add to the ranks of others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contribution {
    factor: u64,
    cut: u32,
}

impl Contribution {
    /// Of a neuron with this stake and sum of weights, where `voting` votes in all; nothing where the
    /// sum is 0.
    pub(crate) fn new(stake: u64, row_sum: u32, voting: u128) -> Self {
        let unit = Votes::unit_exponent(voting);
        // With a weight of 16 bits, 63.
        let (factor, exponent) = Scaled::ratio(stake.into(), row_sum.into()).cut(47);
        let shift = exponent.saturating_sub(unit);
        if shift > 0 {
            // The product with any weight up to the sum is no more than all ranks together.
            Self {
                factor: factor.checked_shl(shift.unsigned_abs()).unwrap_or(0),
                cut: 0,
            }
        } else {
            Self {
                factor,
                cut: shift.unsigned_abs().min(63),
            }
        }
    }

    /// What one weight adds, in units of [`Votes::rank_unit`].
    #[inline(always)]
    pub(crate) fn of(self, weight: u16) -> u64 {
        self.factor
            .wrapping_mul(weight.into())
            .wrapping_shr(self.cut)
    }
}

impl Votes {
    /// No votes yet.
    pub fn new(market: &Market) -> Self {
        Self {
            tallies: vec![Tally::default(); market.slots.len()],
            row_sums: vec![0; market.slots.len()],
            stake: 0,
        }
    }

    /// Counts the row of one neuron; a second row of the same neuron is ignored.
    pub fn add_row(&mut self, market: &Market, uid: Uid, row: &Row) {
        self.add(market, uid, row.edges.ballot(row.set_at));
    }

    /// The same where the row lies.
    pub fn add(&mut self, market: &Market, uid: Uid, ballot: Ballot) {
        let voter = market.voter(uid, ballot.set_at);
        let row_sum = self.row_sums.get_mut(usize::from(uid));
        let (Some(voter), Some(row_sum @ 0)) = (voter, row_sum) else {
            return;
        };
        let counted = ballot.counted(market, uid);
        let sum = counted.sum();
        if sum == 0 {
            return;
        }
        *row_sum = sum;
        self.add_stake(voter.stake);
        let vote = Contribution::new(voter.stake, sum, self.stake);
        let limit = market.trust_limit(sum.into());
        let limit = u16::try_from(limit).unwrap_or(u16::MAX);
        let trust = self.trusted(voter.stake);
        // No sum overflows: over all rows, ranks come to less than 2^62, and trust to less than 2^63.
        counted.each_run(&mut self.tallies, |tallies, weights, _| {
            for (tally, &weight) in tallies.iter_mut().zip(weights) {
                let weight = u16::from_le_bytes(weight);
                tally.rank = tally.rank.wrapping_add(vote.of(weight));
                let trust = if weight > limit { trust } else { 0 };
                tally.trust = tally.trust.wrapping_add(trust);
            }
        });
    }

    /// Adds a voter's stake, and makes the units of ranks and trust coarser as it takes.
    fn add_stake(&mut self, stake: u64) {
        let units = |voting| (Self::unit_exponent(voting), Self::trust_shift(voting));
        let before = units(self.stake);
        self.stake = self.stake.saturating_add(stake.into());
        let now = units(self.stake);
        if now != before {
            let ranks = now.0.saturating_sub(before.0).unsigned_abs();
            let trust = now.1.saturating_sub(before.1);
            for tally in &mut self.tallies {
                tally.rank = tally.rank.checked_shr(ranks).unwrap_or(0);
                tally.trust = tally.trust.checked_shr(trust).unwrap_or(0);
            }
        }
    }

    /// By how many bits trust is cut while this much stake votes: by none, unless that is more than any
    /// currency has units.
    fn trust_shift(voting: u128) -> u32 {
        65_u32.saturating_sub(voting.leading_zeros())
    }

    /// What an edge of a voter with this stake adds to trust.
    fn trusted(&self, stake: u64) -> u64 {
        stake
            .checked_shr(Self::trust_shift(self.stake))
            .unwrap_or(0)
    }

    /// The share of the counted stake that trusts as a tally says, in parts of 10^18.
    pub(crate) fn trust(&self, tally: &Tally, counted_stake: u128) -> u64 {
        let trust = u128::from(tally.trust).wrapping_shl(Self::trust_shift(self.stake));
        share(trust, counted_stake)
    }

    /// The unit of ranks while this much stake votes: 2^this of a unit of stake. All ranks together
    /// have [`RANK_BITS`] bits, however little or much stake votes.
    fn unit_exponent(voting: u128) -> i32 {
        let bits = u128::BITS.saturating_sub(voting.leading_zeros());
        RANK_BITS.saturating_neg().saturating_add_unsigned(bits)
    }

    /// The unit of ranks, in units of stake.
    pub(crate) fn rank_unit(&self) -> Scaled {
        Scaled::new(1, Self::unit_exponent(self.stake))
    }

    /// The stake of which stake shares are taken.
    pub(crate) fn counted_stake(&self, market: &Market) -> u128 {
        if market.parameters.count_idle_stake {
            market.stake
        } else {
            self.stake
        }
    }

    /// Draws the conclusions, when all rows are in.
    pub fn verdict(&self, market: &Market) -> Verdict {
        let parameters = &market.parameters;
        let counted_stake = self.counted_stake(market);
        let weights: Vec<u64> = self.tallies.iter().map(|tally| tally.rank).collect();
        let rank = apportion(share(self.stake, counted_stake), &weights);

        let trust: Vec<u64> = self
            .tallies
            .iter()
            .map(|tally| self.trust(tally, counted_stake))
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
            .tallies
            .iter()
            .zip(&sigmoids)
            .map(|(tally, sigmoid)| Scaled::new(tally.rank.into(), 0).multiply(sigmoid.exact));
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
