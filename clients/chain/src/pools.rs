//! Delegation: what others have put behind neurons, in shares of the neurons' pools.

use std::collections::{btree_map::Entry, BTreeMap};

use market_mechanism as mechanism;
use market_primitives::{BlockNumber, MarketId, Share, Uid};
use subxt::{
    dynamic,
    ext::scale_decode::{self, DecodeAsType},
    utils::AccountId32,
};

use crate::{
    error::PALLET,
    market_state::{EpochRules, EpochSummary, Outcome, Slot},
    storage::{State, StateError},
    AccountId, Chain, ChainError,
};

/// Number of a pool among those of all markets.
pub type PoolId = u64;

/// What lies in a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct Holdings {
    /// Units.
    pub value: u64,
    /// Shares that there are.
    pub shares: u64,
}

/// A higher take that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct Raise {
    /// The take, in parts of 10^18.
    pub take: u64,
    /// The block from which on it holds, for epochs that begin then.
    pub from: BlockNumber,
}

/// What others have put behind a neuron, and on what terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// What lies in it: a part of the neuron's stake.
    pub holdings: Holdings,
    /// The owner's part of what it earns, in parts of 10^18.
    pub take: u64,
    /// A higher take that was announced.
    pub raise: Option<Raise>,
}

/// What every pool goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The largest take, and that of an owner who has set none.
    pub max_take: Share,
    /// Blocks from the announcement of a higher take until it holds.
    pub take_notice: BlockNumber,
    /// Units of which a delegation is at least.
    pub min_delegation: u64,
}

/// What a delegator holds of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The pool.
    pub pool: PoolId,
    /// Shares of it.
    pub shares: u64,
    /// What lies in the pool.
    pub holdings: Holdings,
    /// Behind whom; `None` where the neuron left its slot and the pool earns no more.
    pub behind: Option<Behind>,
}

/// The neuron behind which a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Its market.
    pub market: MarketId,
    /// Its slot.
    pub uid: Uid,
    /// Its hotkey.
    pub hotkey: AccountId,
    /// The owner's part of what the pool earns.
    pub take: Share,
}

/// What a pool earned in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earned {
    /// Units that lay in it when the epoch began.
    pub of: u64,
    /// Units that the epoch added, the owner's take taken off.
    pub units: u64,
}

/// Where a pool is found, as it is stored.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
enum Place {
    Slot { market: MarketId, uid: Uid },
    Closed(Holdings),
}

/// The part of a neuron's keys that is needed here.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct Keys {
    hotkey: AccountId32,
}

impl Holdings {
    /// What so many shares would bring if they were sold, in units.
    pub fn worth(self, shares: u64) -> u64 {
        self.pool().worth(shares)
    }

    /// The fewest shares that bring `units` or more; `None` where all of them do not.
    pub fn shares_for(self, units: u64) -> Option<u64> {
        let product = u128::from(units) * u128::from(self.shares);
        let shares = product.checked_div(self.value.into())?;
        let rest = product % u128::from(self.value);
        let shares = u64::try_from(shares + u128::from(rest > 0)).ok()?;
        (shares <= self.shares).then_some(shares)
    }

    /// How many shares `units` buy, and what these cost, at most as much; `None` where they buy none.
    pub fn offer(self, units: u64) -> Option<(u64, u64)> {
        let bought = self.pool().buy(units)?;
        Some((bought.shares, bought.cost))
    }

    fn pool(self) -> mechanism::Pool {
        mechanism::Pool {
            value: self.value,
            shares: self.shares,
        }
    }
}

impl Pool {
    /// The owner's part of what an epoch that begins in a block earns.
    pub fn take_at(&self, block: BlockNumber) -> Share {
        match self.raise {
            Some(raise) if raise.from <= block => Share(raise.take),
            _ => Share(self.take),
        }
    }

    /// The take that will hold from a later block than that on, where one was announced.
    pub fn raise_after(&self, block: BlockNumber) -> Option<Raise> {
        self.raise.filter(|raise| raise.from > block)
    }
}

impl Delegation {
    /// What it would bring if all of it were sold, in units.
    pub fn worth(&self) -> u64 {
        self.holdings.worth(self.shares)
    }
}

impl Chain {
    /// What every pool goes by.
    pub async fn pool_terms(&self) -> Result<Terms, StateError> {
        let state = self.state_after(self.finalized_block().await?).await?;
        Ok(Terms {
            max_take: Share(state.constant("MaxTake")?),
            take_notice: state.constant("TakeNotice")?,
            min_delegation: state.constant("MinDelegation")?,
        })
    }

    /// The pools of a market after a block, by the slots of their neurons. A neuron behind whom nobody has
    /// ever put anything, and whose owner has set no take, has none.
    pub async fn pools(
        &self,
        market: MarketId,
        block: BlockNumber,
    ) -> Result<BTreeMap<Uid, Pool>, StateError> {
        self.state_after(block).await?.pools(market).await
    }

    /// What an account holds of pools, of all markets, after a block: in order of the pools' numbers.
    pub async fn delegations(
        &self,
        account: AccountId,
        block: BlockNumber,
    ) -> Result<Vec<Delegation>, StateError> {
        let state = self.state_after(block).await?;
        let mut held = BTreeMap::new();
        let prefix = (AccountId32(account.0),);
        let each = |(_, pool), shares| {
            held.insert(pool, shares);
        };
        state.each(delegations(), prefix, each).await?;
        let mut pools = BTreeMap::new();
        let mut found = Vec::new();
        for (id, shares) in held {
            let place = dynamic::storage::<(PoolId,), Place>(PALLET, "PoolPlaces");
            let place = state.fetch(place, (id,)).await?;
            let lost = || ChainError::Unexpected(format!("pool {id} is nowhere"));
            let (holdings, behind) = match place.ok_or_else(lost)? {
                Place::Closed(holdings) => (holdings, None),
                Place::Slot { market, uid } => {
                    let pools = match pools.entry(market) {
                        Entry::Occupied(read) => read.into_mut(),
                        Entry::Vacant(unread) => unread.insert(state.pools(market).await?),
                    };
                    let pool = pools.get(&uid).ok_or_else(lost)?;
                    let behind = Behind {
                        market,
                        uid,
                        hotkey: state.hotkey(market, uid).await?.ok_or_else(lost)?,
                        take: pool.take_at(block),
                    };
                    (pool.holdings, Some(behind))
                }
            };
            found.push(Delegation {
                pool: id,
                shares,
                holdings,
                behind,
            });
        }
        Ok(found)
    }

    /// How many delegators each pool has after a block, of all markets. Reads every delegation of the chain.
    pub async fn delegators(
        &self,
        block: BlockNumber,
    ) -> Result<BTreeMap<PoolId, usize>, StateError> {
        let mut counts = BTreeMap::new();
        let count = |(_, pool), _| *counts.entry(pool).or_default() += 1;
        let state = self.state_after(block).await?;
        state.each(delegations(), (), count).await?;
        Ok(counts)
    }

    /// What each pool of a market earned, to the unit, in the epoch that was finished last after a block; of
    /// those that were there when it began and are still there.
    ///
    /// It is computed again from the state before that epoch: fails with [`StateError::Pruned`] where the node no
    /// longer keeps that.
    pub async fn pool_earnings(
        &self,
        market: MarketId,
        block: BlockNumber,
    ) -> Result<BTreeMap<PoolId, Earned>, StateError> {
        let after = self.state_after(block).await?;
        let epoch: Option<EpochSummary> = after.value(market, "Epochs").await?;
        let epoch = epoch.unwrap_or_default();
        if epoch.epoch == 0 {
            return Ok(BTreeMap::new());
        }
        let outcomes: Vec<Outcome> = after.value(market, "Outcomes").await?.unwrap_or_default();
        let there: Vec<PoolId> = after
            .pools(market)
            .await?
            .values()
            .map(|pool| pool.id)
            .collect();
        // An epoch is of the state before the block in which it begins.
        let before = self.state_after(epoch.began.saturating_sub(1)).await?;
        let rules = before.epoch_rules(market).await?;
        let slots: Vec<Option<Slot>> = before.value(market, "Slots").await?.unwrap_or_default();
        let pools = before.pools(market).await?;
        // Who was bought out while it was running earned nothing.
        let last = self.state_after(epoch.finished.saturating_sub(1)).await?;
        let last = last.pools(market).await?;
        let earned = pools.iter().filter_map(|(uid, pool)| {
            let paid = last.get(uid)?;
            let stays = paid.id == pool.id && there.contains(&pool.id);
            if !stays || paid.holdings.shares == 0 || pool.holdings.shares == 0 {
                return None;
            }
            let slot = slots.get(usize::from(*uid)).copied().flatten()?;
            let outcome = outcomes.get(usize::from(*uid))?;
            let units = earnings(&rules, outcome, slot.stake, pool, epoch.began);
            let of = pool.holdings.value;
            Some((pool.id, Earned { of, units }))
        });
        Ok(earned.collect())
    }
}

impl State<'_> {
    /// The pools of a market.
    async fn pools(&self, market: MarketId) -> Result<BTreeMap<Uid, Pool>, StateError> {
        let pools: Option<Vec<(Uid, Pool)>> = self.value(market, "Pools").await?;
        Ok(pools.unwrap_or_default().into_iter().collect())
    }

    /// The hotkey of the neuron in a slot.
    async fn hotkey(&self, market: MarketId, uid: Uid) -> Result<Option<AccountId>, StateError> {
        let address = dynamic::storage::<(MarketId, Uid), Keys>(PALLET, "Neurons");
        let keys = self.fetch(address, (market, uid)).await?;
        Ok(keys.map(|keys| AccountId(keys.hotkey.0)))
    }
}

/// Who holds how many shares of which pool.
fn delegations() -> subxt::storage::DynamicAddress<(AccountId32, PoolId), u64> {
    dynamic::storage(PALLET, "Delegations")
}

/// What a pool earned of a neuron's payout.
fn earnings(
    rules: &EpochRules,
    outcome: &Outcome,
    stake: u64,
    pool: &Pool,
    began: BlockNumber,
) -> u64 {
    // Of the parameters it takes this one alone.
    let parameters = mechanism::Parameters {
        lambda: rules.lambda,
        ..mechanism::Parameters::DEFAULT
    };
    let neuron = mechanism::Neuron {
        incentive: outcome.incentive,
        dividend: outcome.dividend,
        payout: outcome.pay,
        ..mechanism::Neuron::default()
    };
    let backing = mechanism::Backing {
        stake,
        delegated: pool.holdings.value,
        take: pool.take_at(began).0,
    };
    mechanism::earnings(&parameters, &neuron, &backing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u64 = Share::ONE.0;

    fn pool(value: u64, shares: u64) -> Pool {
        Pool {
            id: 1,
            holdings: Holdings { value, shares },
            take: ONE / 10,
            raise: Some(Raise {
                take: ONE / 5,
                from: 100,
            }),
        }
    }

    #[test]
    fn a_take_that_was_announced_holds_from_its_block_on() {
        let pool = pool(1, 1);
        assert_eq!(pool.take_at(99), Share(ONE / 10));
        assert_eq!(pool.take_at(100), Share(ONE / 5));
        assert_eq!(pool.raise_after(99), pool.raise);
        assert_eq!(pool.raise_after(100), None);
    }

    #[test]
    fn the_fewest_shares_that_bring_an_amount_are_sold() {
        let holdings = Holdings {
            value: 1_000,
            shares: 300,
        };
        for units in 1..=1_000 {
            let shares = holdings.shares_for(units).unwrap();
            assert!(holdings.worth(shares) >= units, "{units}");
            assert!(holdings.worth(shares - 1) < units, "{units}");
        }
        assert_eq!(holdings.shares_for(1_001), None);
        assert_eq!(Holdings::default().shares_for(1), None);
        assert_eq!(
            holdings.offer(10),
            Some((3, 10)),
            "at 3.33 a share, whole ones"
        );
        assert_eq!(holdings.offer(3), None);
    }

    #[test]
    fn a_pool_earns_its_part_of_the_dividends_less_the_take() {
        let rules = EpochRules {
            lambda: ONE / 2,
            ..EpochRules::default()
        };
        let outcome = Outcome {
            incentive: ONE / 2,
            dividend: ONE / 2,
            pay: 1_000,
            ..Outcome::default()
        };
        // Dividends earned 500, of which the pool has a quarter of the stake: 125, less a tenth or a fifth.
        let earned = |began| earnings(&rules, &outcome, 400, &pool(100, 100), began);
        assert_eq!(earned(99), 113);
        assert_eq!(earned(100), 100);
    }
}
