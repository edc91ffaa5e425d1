//! Delegation: what others stake behind a neuron is a pool of which they hold shares.
//!
//! A share is worth `value / shares` units. It is bought and sold at that price, and whatever is less than a
//! unit stays with the pool. So the price never falls, and nobody gains by buying and selling, in whatever
//! order. Who buys is given whole shares and pays for these alone, to the unit: what rounding costs
//! does not grow with the price, so nobody gains by driving it up before another buys.

use crate::{
    emission,
    fixed::{scaled_down, ONE},
    Neuron, Parameters,
};

/// What lies in a pool. Both are 0, or `0 < shares <= value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Units.
    pub value: u64,
    /// Shares that there are, held by whomever.
    pub shares: u64,
}

/// What came of an attempt to buy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Shares bought.
    pub shares: u64,
    /// Units that they cost: their price, rounded up.
    pub cost: u64,
}

impl Pool {
    /// Buys as many shares as `amount` units pay for. `None`, and no change, where they pay for none, or where
    /// the pool would hold more than 64 bits count.
    pub fn buy(&mut self, amount: u64) -> Option<Purchase> {
        let (shares, cost) = match self.shares {
            0 => (amount, amount),
            _ => {
                let shares = scaled_down(amount, self.shares, self.value)?;
                (shares, self.price(shares)?)
            }
        };
        if shares == 0 {
            return None;
        }
        let after = Self {
            value: self.value.checked_add(cost)?,
            shares: self.shares.checked_add(shares)?,
        };
        *self = after;
        Some(Purchase { shares, cost })
    }

    /// Sells shares; the units that they bring, rounded down. `None`, and no change, where there are not as many.
    pub fn sell(&mut self, shares: u64) -> Option<u64> {
        let left = self.shares.checked_sub(shares)?;
        let units = self.worth(shares);
        self.value = self.value.checked_sub(units)?;
        self.shares = left;
        Some(units)
    }

    /// What so many shares would bring if they were sold.
    pub fn worth(&self, shares: u64) -> u64 {
        scaled_down(shares, self.value, self.shares).unwrap_or(0)
    }

    /// Adds what the pool earned to the worth of all shares. What nobody holds shares of earns nothing.
    pub fn earn(&mut self, units: u64) {
        if self.shares > 0 {
            self.value = self.value.saturating_add(units);
        }
    }

    /// What so many shares cost: rounded up.
    fn price(&self, shares: u64) -> Option<u64> {
        let product = u128::from(shares).checked_mul(self.value.into())?;
        u64::try_from(product.div_ceil(u128::from(self.shares).max(1))).ok()
    }
}

/// What stood behind a neuron when an epoch began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// All of its stake, in units.
    pub stake: u64,
    /// Of that, what lies in its pool.
    pub delegated: u64,
    /// The owner's part of what the pool earns, in parts of 10^18.
    pub take: u64,
}

/// What the pool earns of a neuron's payout; the rest is the owner's.
///
/// Dividends are earned by stake: the pool has the part of them that it has of the stake, less the
/// take, which is rounded down. The incentive is earned by work, and all of it is the owner's.
pub fn earnings(parameters: &Parameters, neuron: &Neuron, backing: &Backing) -> u64 {
    let dividends = emission::from_dividends(parameters, neuron);
    let delegated = backing.delegated.min(backing.stake);
    let gross = scaled_down(dividends, delegated, backing.stake).unwrap_or(0);
    let take = scaled_down(gross, backing.take.min(ONE), ONE).unwrap_or(0);
    gross.saturating_sub(take)
}
