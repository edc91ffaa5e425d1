//! Steps 8 and 9: bonds follow the votes, dividends follow the bonds.
//!
//! A bond is kept as its share of its column, `b_ij = B_ij / sum_k B_kj`, which is what the dividends
//! ask for; with each column is kept what its bonds add up to, `c_j`. Step 8 then reads
//! `b_ij <- (1 - a) c_j / c'_j b_ij + a / c'_j s_i w_ij`, where `c'_j = (1 - a) c_j + a R_j` is known
//! before the first row: one pass brings bonds forward and pays dividends.

use alloc::vec::Vec;

use crate::{
    consensus::{Contribution, Votes},
    edges::{Edges, WHOLE_BOND},
    fixed::{apportion, share, ONE},
    market::Market,
    rows::{Ballot, Row},
    scaled::Scaled,
    Uid,
};

/// Bits after the point of the factors that bonds are multiplied with.
const FACTOR_BITS: u32 = 32;

/// Significant bits of the factor that votes are multiplied with, so that the product of a vote cut to
/// the others of 64 loses no more than a sixteenth of a bond's unit.
const STEP_BITS: u32 = 28;

/// Bits after the point of a stored bond.
const BOND_BITS: i32 = 31;

/// The bonds held in one neuron.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// What a stored bond of one stands for: a share of the counted stake.
    pub scale: Scaled,
    /// The sum of the stored bonds, to the unit of 2^-31. One, but for rounding and for holders that
    /// left.
    pub sum: u64,
}

/// Takes the bonds of one holder out of the sums of their columns, since it leaves.
pub fn withdraw(columns: &mut [Column], edges: &Edges) {
    subtract(edges, columns, |column| &mut column.sum);
}

/// Subtracts the bonds of a row from the sums of their columns. Those in a column that was emptied since
/// they were stored are not in its sum, which is 0.
fn subtract<C>(edges: &Edges, columns: &mut [C], sum: impl Fn(&mut C) -> &mut u64) {
    for (to, _, bond) in edges.iter() {
        if let Some(sum) = columns.get_mut(usize::from(to)).map(&sum) {
            *sum = sum.saturating_sub(bond.into());
        }
    }
}

/// What one column asks of each bond in it.
#[derive(Clone, Copy, Debug, Default)]
struct Factors {
    /// `(1 - a) c / c'`, in units of 2^-32.
    keep: u64,
    /// `a / c'` in units of 2^-32 of a bond's unit for each unit of 2^-(62 - `shift`) of a vote.
    step: u64,
    shift: u32,
    /// Its incentive, in the unit of [`Incentives`].
    incentive: u32,
    /// Its part of what rounds bonds up or down by chance.
    dither: u32,
    /// The sum of its bonds so far.
    sum: u64,
}

/// Bonds on their way to the next epoch, and what they earn: rows go in one by one, each neuron's
/// once, in any order.
///
/// All but the sums of the [`columns`](Self::columns) and the [`dividends`](Self::dividends) follows
/// from what [`Self::new`] is given, so that the work can be put by between two blocks.
#[derive(Clone, Debug)]
pub struct Renewal {
    columns: Vec<Factors>,
    /// By uid: what a bond of one will stand for.
    scales: Vec<Scaled>,
    /// Bits by which the products of bond and incentive are too long.
    spare: u32,
    salt: u64,
    /// By uid of the holder, in units of 2^-62.
    pub dividends: Vec<u64>,
}

impl Renewal {
    /// No rows yet. `votes` are those of all rows; `incentive` is what came of them, in parts of
    /// 10^18; `columns` are those of the last epoch.
    pub fn new(market: &Market, votes: &Votes, incentive: &[u64], columns: &[Column]) -> Self {
        Self::resume(market, votes, incentive, columns, &[], Vec::new())
    }

    /// Goes on where another left off, with the sums of its columns and its `dividends`.
    pub fn resume(
        market: &Market,
        votes: &Votes,
        incentive: &[u64],
        columns: &[Column],
        sums: &[u64],
        mut dividends: Vec<u64>,
    ) -> Self {
        let (rate, whole) = market.parameters.bond_rate(market.clock.epoch);
        let keep = Scaled::ratio(whole.saturating_sub(rate).into(), whole.into());
        // What a unit of a tally's rank adds to the bonds of its column.
        let counted_stake = votes.counted_stake(market);
        let unit = Scaled::ratio(rate.into(), whole.into())
            .multiply(votes.rank_unit())
            .divide(Scaled::new(counted_stake, 0));
        let incentives = Incentives::new(incentive);
        let salt = mix(market.clock.epoch);
        let count = market.slots.len();
        let mut scales = Vec::with_capacity(count);
        let factors = (0..count).map(|index| {
            let column = columns.get(index).copied().unwrap_or_default();
            let tally = votes.tallies.get(index).copied().unwrap_or_default();
            let held = column
                .scale
                .multiply(Scaled::new(column.sum.into(), BOND_BITS.saturating_neg()));
            let voted = unit.multiply(Scaled::new(tally.rank.into(), 0));
            let scale = keep.multiply(held).plus(voted);
            scales.push(scale);
            let (step, shift) = step(unit.divide(scale));
            // `(1 - a) c / c'` is what the votes leave over, to all that is held: so written, the bonds
            // of a column add up to one whatever the step was rounded to.
            let voted = tally.rank.wrapping_shr(shift).saturating_mul(step);
            let left = (u64::from(WHOLE_BOND) << FACTOR_BITS).saturating_sub(voted);
            Factors {
                keep: left.checked_div(column.sum).unwrap_or(0),
                step,
                shift,
                incentive: incentives.of(index),
                dither: lower(mix(salt ^ votes.trust(&tally, counted_stake))),
                sum: sums.get(index).copied().unwrap_or(0),
            }
        });
        let columns = factors.collect();
        dividends.resize(count, 0);
        Self {
            columns,
            scales,
            spare: incentives.spare,
            salt,
            dividends,
        }
    }

    /// By uid: what the bonds in each neuron come to, of the rows so far.
    pub fn columns(&self) -> Vec<Column> {
        let columns = self.columns.iter().zip(&self.scales);
        columns
            .map(|(column, &scale)| Column {
                scale,
                sum: column.sum,
            })
            .collect()
    }

    /// Brings one neuron's bonds forward by one epoch and adds what they earn to its dividend. `row` is
    /// the same as was counted in the votes.
    ///
    /// Bonds that fall below their unit leave the row, and so do those in slots that changed hands.
    pub fn renew_row(&mut self, market: &Market, votes: &Votes, uid: Uid, row: &mut Row) {
        let (ballot, bonds) = row.edges.ballot_and_bonds(row.set_at);
        if self.renew(market, votes, uid, ballot, bonds) {
            row.edges.compact();
        }
    }

    /// The same where the row lies, its bonds beside its ballot: whether it is left with an edge that has
    /// neither weight nor bond, and is to be [compacted](Edges::compact).
    pub fn renew(
        &mut self,
        market: &Market,
        votes: &Votes,
        uid: Uid,
        ballot: Ballot,
        bonds: &mut [[u8; 4]],
    ) -> bool {
        let index = usize::from(uid);
        let (Some(slot), Some(dividend)) = (market.slot(uid), self.dividends.get_mut(index)) else {
            return false;
        };
        let row_sum = votes.row_sums.get(index).copied().unwrap_or(0);
        let mut pen = Pen {
            vote: Contribution::new(slot.stake, row_sum, votes.stake),
            dither: lower(mix(self.salt ^ mix(share(slot.stake.into(), votes.stake)))),
            spare: self.spare,
            earned: *dividend,
            vacant: false,
        };
        let counted = ballot.counted(market, uid);
        let own_bond = counted.own.and_then(|(_, place)| bonds.get(place).copied());
        counted.each_run(&mut self.columns, |columns, weights, values| {
            let bonds = bonds.get_mut(values).unwrap_or_default();
            for ((column, &weight), bond) in columns.iter_mut().zip(weights).zip(bonds) {
                *bond = pen.renew(column, weight, *bond);
            }
        });
        if let (Some((own, place)), Some(bond)) = (counted.own, own_bond) {
            let column = self.columns.get_mut(own);
            if let (Some(column), Some(place)) = (column, bonds.get_mut(place)) {
                *place = pen.renew(column, [0; 2], bond);
            }
        }
        *dividend = pen.earned;
        // A weight that does not count is kept all the same.
        pen.vacant
            && ballot
                .weights
                .iter()
                .zip(bonds)
                .any(|(weight, bond)| *weight == [0; 2] && *bond == [0; 4])
    }

    /// Takes a holder's renewed bonds out of the sums, since it left meanwhile.
    pub fn withdraw(&mut self, edges: &Edges) {
        subtract(edges, &mut self.columns, |column| &mut column.sum);
    }

    /// The dividends by uid, in parts of 10^18, when all rows are in: they sum to 1, or to 0 without
    /// incentive.
    ///
    /// A column that nobody holds would pay the neuron itself. There is none: where there is incentive
    /// there is rank, and whoever gave it holds bonds by that.
    pub fn dividends(&self) -> Vec<u64> {
        apportion(ONE, &self.dividends)
    }
}

/// Incentives in 32 bits: in units of 2^-(31 + spare), with as many spare bits as the largest of them
/// leaves room for.
struct Incentives<'a> {
    parts: &'a [u64],
    spare: u32,
}

impl<'a> Incentives<'a> {
    /// Of incentives in parts of 10^18.
    fn new(parts: &'a [u64]) -> Self {
        let largest = parts.iter().copied().max().unwrap_or(0);
        let zeros = share_of_one(largest).leading_zeros();
        Self {
            parts,
            spare: zeros.min(31),
        }
    }

    /// The incentive of one uid, rounded to the nearest.
    fn of(&self, uid: usize) -> u32 {
        let share = share_of_one(self.parts.get(uid).copied().unwrap_or(0));
        // The upper 32 bits of what the largest has 64 of.
        let bits = share.wrapping_shl(self.spare);
        let up = bits.wrapping_shr(31) & 1;
        let rounded = bits.wrapping_shr(32).saturating_add(up);
        u32::try_from(rounded).unwrap_or(u32::MAX)
    }
}

/// A share in parts of 10^18 as one in units of 2^-63.
fn share_of_one(parts: u64) -> u64 {
    let product = u128::from(parts).wrapping_shl(63);
    product
        .checked_div(ONE.into())
        .and_then(|share| u64::try_from(share).ok())
        .unwrap_or(0)
}

/// What renews the bonds of one row.
struct Pen {
    vote: Contribution,
    /// The holder's part of what rounds its bonds up or down by chance.
    dither: u32,
    spare: u32,
    earned: u64,
    /// Whether a bond fell to nothing.
    vacant: bool,
}

impl Pen {
    /// The bond that follows on `bond` with a vote of `weight`.
    ///
    /// Rounding is up or down by chance, in proportion, so that steps far smaller than a bond's unit
    /// are not lost over many epochs. The chance comes from the holder's stake, the trust in
    /// the other and the number of the epoch, so that it is the same everywhere and does not depend on uids.
    #[inline(always)]
    fn renew(&mut self, column: &mut Factors, weight: [u8; 2], bond: [u8; 4]) -> [u8; 4] {
        let (weight, bond) = (u16::from_le_bytes(weight), u32::from_le_bytes(bond));
        // Less than 2^63 as long as the column's sum is that of its bonds.
        let kept = column.keep.wrapping_mul(bond.into());
        let voted = self.vote.of(weight).wrapping_shr(column.shift);
        let chance = self.dither.wrapping_add(column.dither);
        let renewed = kept
            .wrapping_add(voted.wrapping_mul(column.step))
            .wrapping_add(chance.into())
            .wrapping_shr(FACTOR_BITS);
        column.sum = column.sum.wrapping_add(renewed);
        let earned = renewed.wrapping_mul(column.incentive.into());
        self.earned = self.earned.wrapping_add(earned.wrapping_shr(self.spare));
        self.vacant |= renewed == 0;
        lower(renewed).to_le_bytes()
    }
}

/// The factor that makes a vote a bond, and by how many bits to cut the vote before: of what a unit of
/// votes comes to, in bonds of one.
fn step(unit: Scaled) -> (u64, u32) {
    let (factor, exponent) = unit.cut(STEP_BITS);
    // bond = vote * factor * 2^(exponent + BOND_BITS), and the product loses FACTOR_BITS in the end.
    let bits = i32::try_from(FACTOR_BITS.saturating_add(BOND_BITS.unsigned_abs())).unwrap_or(0);
    let shift = exponent.saturating_add(bits);
    if shift < 0 {
        (factor, shift.unsigned_abs().min(63))
    } else {
        // Votes of this column are so few that the product fits all the same.
        (factor.checked_shl(shift.unsigned_abs()).unwrap_or(0), 0)
    }
}

/// The lower 32 bits.
#[inline(always)]
fn lower(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// Scatters the bits of a number over all 64 (the finaliser of SplitMix64).
fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits.wrapping_shr(30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits.wrapping_shr(27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits.wrapping_shr(31)
}
