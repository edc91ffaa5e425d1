//! Steps 8 and 9: bonds follow the votes, dividends follow the bonds.

use alloc::{vec, vec::Vec};

use crate::{
    bond::{mix, Bond, Growth, Yield},
    consensus::Verdict,
    fixed::{apportion, ONE},
    market::Market,
    rows::{side_by_side, Reach, Row},
    scaled::Scaled,
    Uid,
};

/// A bond of a row: in whom, and how much. Rows are in rising order of uid and hold no zeros.
pub type Holding = (Uid, Bond);

/// The bonds of a market, as far as they are brought forward: rows go in one by one, each neuron's
/// once, in any order.
///
/// Plain integers, 16 bytes a neuron, so that the work can be put by between two blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bonds {
    /// By uid: the sum of all bonds in the neuron, in units of 2^-127.
    pub column_sums: Vec<u128>,
}

/// Dividends, as far as they are added up: rows of bonds go in one by one, in any order.
#[derive(Clone, Debug)]
pub struct Dividends {
    /// By uid of the neuron in whom bonds are held.
    yields: Vec<Yield>,
    /// By uid, in units of 2^-62.
    pub sums: Vec<u64>,
}

impl Bonds {
    /// No rows yet.
    pub fn new(market: &Market) -> Self {
        Self {
            column_sums: vec![0; market.slots.len()],
        }
    }

    /// Brings one neuron's bonds forward by one epoch: `B <- (1 - a) B + a s w`.
    ///
    /// `row` is the same as was counted in the votes, empty where there is none. Bonds of and in slots
    /// that are empty or changed hands since the previous epoch are left out, and so are bonds that
    /// have decayed to nothing. The new row replaces what is in `renewed`.
    pub fn update_row(
        &mut self,
        market: &Market,
        verdict: &Verdict,
        uid: Uid,
        row: &Row,
        bonds: &[Holding],
        renewed: &mut Vec<Holding>,
    ) {
        renewed.clear();
        let Some(slot) = market.slot(uid) else {
            return;
        };
        let row_sum = verdict.row_sums.get(usize::from(uid)).copied().unwrap_or(0);
        let (rate, whole) = market.parameters.bond_rate(market.clock.epoch);
        let keep = Scaled::ratio(whole.saturating_sub(rate).into(), whole.into());
        let step = Scaled::ratio(rate.into(), whole.into())
            .multiply(Scaled::ratio(slot.stake.into(), verdict.counted_stake))
            .divide(Scaled::new(row_sum.into(), 0));
        let growth = Growth::new(keep, step, mix(market.clock.epoch));

        let reach = Reach::new(market, uid, row.set_at);
        let previous = market.clock.previous;
        let settled = market.is_settled(previous);
        let kept = market.is_known(uid, previous);
        renewed.reserve(row.edges.len().max(bonds.len()));
        for (to, weight, bond) in side_by_side(row.edges, bonds) {
            let voted = row_sum > 0 && reach.has(to);
            let held = kept && (settled || market.is_known(to, previous));
            let bond = growth.grow(
                if held { bond } else { Bond::ZERO },
                if voted { weight } else { 0 },
            );
            if let Some(sum) = self.column_sums.get_mut(usize::from(to)) {
                if !bond.is_zero() {
                    *sum = sum.saturating_add(bond.to_fixed());
                    renewed.push((to, bond));
                }
            }
        }
    }

    /// Goes on to the dividends, when all rows are brought forward.
    pub fn finish(self, verdict: &Verdict) -> Dividends {
        let share = |parts: u64| Scaled::ratio(parts.into(), ONE.into());
        let columns = || verdict.incentive.iter().zip(&self.column_sums);
        Dividends {
            yields: columns()
                .map(|(&incentive, &sum)| Yield::new(share(incentive).divide(Scaled::new(sum, 0))))
                .collect(),
            // What nobody holds goes to the neuron itself.
            sums: columns()
                .map(|(&incentive, &sum)| match sum {
                    0 => share(incentive).to_fixed(Yield::BITS),
                    _ => 0,
                })
                .collect(),
        }
    }
}

impl Dividends {
    /// Adds what one neuron's row of bonds, as [`Bonds::update_row`] left it, brings it.
    pub fn add_row(&mut self, uid: Uid, bonds: &[Holding]) {
        let dividend = bonds.iter().fold(0, |sum: u64, &(to, bond)| {
            let rate = self.yields.get(usize::from(to)).copied();
            sum.saturating_add(rate.unwrap_or_default().of(bond))
        });
        if let Some(sum) = self.sums.get_mut(usize::from(uid)) {
            *sum = sum.saturating_add(dividend);
        }
    }

    /// The dividends by uid, in parts of 10^18: they sum to 1, or to 0 without incentive.
    pub fn finish(self) -> Vec<u64> {
        apportion(ONE, &self.sums)
    }
}
