//! What must hold after every block, whatever was called. Checked by `try_state` and by every test.

use crate::{
    pallet::*,
    pools::{PoolPlace, MAX_TAKE},
    types::{Column, Slot},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use frame_support::{
    ensure,
    traits::{fungible::Inspect, Get},
};
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{MarketId, Uid};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Checks every invariant.
    pub fn check_invariants() -> Result<(), TryRuntimeError> {
        Self::check_ledger()?;
        Self::check_issuance()?;
        Self::check_rules()?;
        for market in Markets::<T>::iter_keys() {
            Self::check_slots(market)?;
            Self::check_rows(market)?;
            Self::check_pools(market)?;
        }
        Self::check_delegations()?;
        Ok(())
    }

    /// The account that holds all stake holds the ledger's sum, to the unit.
    fn check_ledger() -> Result<(), TryRuntimeError> {
        let stake = |slot: Slot| u128::from(slot.stake);
        let ledger: u128 = Slots::<T>::iter_values()
            .map(|slots| slots.into_iter().flatten().map(stake).sum::<u128>())
            .sum();
        let closed = PoolPlaces::<T>::iter_values().map(|place| match place {
            PoolPlace::Closed(holdings) => u128::from(holdings.value),
            PoolPlace::Slot { .. } => 0,
        });
        let ledger = ledger.saturating_add(closed.sum());
        ensure!(
            T::Currency::total_balance(&Self::stake_account()) == ledger,
            "the stake account does not hold what the ledger says"
        );
        Ok(())
    }

    /// No more was minted than the schedule allows, and no more is staked than exists.
    fn check_issuance() -> Result<(), TryRuntimeError> {
        ensure!(
            u128::from(TotalMinted::<T>::get()) <= Self::schedule(Self::now()),
            "more was minted than the schedule allows"
        );
        ensure!(
            T::Currency::total_balance(&Self::stake_account()) <= T::Currency::total_issuance(),
            "more is staked than was issued"
        );
        Ok(())
    }

    /// Rules that are to come into force are within bounds, and no order in which they do gives away more of
    /// the emission than there is.
    fn check_rules() -> Result<(), TryRuntimeError> {
        let markets = Self::market_count();
        ensure!(
            Markets::<T>::iter_keys().all(|id| id < markets)
                && PendingRules::<T>::iter_keys().all(|id| id < markets)
                && EmissionRemainders::<T>::iter_keys().all(|id| id < markets),
            "the ids of markets are not in order, or something is kept of one that is not there"
        );
        ensure!(
            PendingRules::<T>::iter_values().all(|rules| rules.parameters.validate().is_ok()),
            "a parameter that is to come into force is out of its bounds"
        );
        ensure!(
            Self::assigned_emission(None) <= u128::from(market_mechanism::ONE),
            "the markets' shares of the emission exceed one"
        );
        Ok(())
    }

    /// Slots and hotkeys are one to one, and no slot is beyond the capacity.
    fn check_slots(market: MarketId) -> Result<(), TryRuntimeError> {
        let rules = Self::market(market)
            .map_err(|_| "a market is gone")?
            .parameters;
        let slots = Slots::<T>::get(market);
        ensure!(
            slots.len() <= usize::from(rules.capacity),
            "more slots are taken than there are"
        );
        let taken = slots.iter().flatten().count();
        let mut hotkeys = BTreeSet::new();
        for (uid, neuron) in Neurons::<T>::iter_prefix(market) {
            ensure!(
                slots.get(usize::from(uid)).is_some_and(Option::is_some),
                "a neuron is in a free slot"
            );
            ensure!(
                Uids::<T>::get(market, &neuron.hotkey) == Some(uid),
                "a hotkey does not lead back to its slot"
            );
            ensure!(
                frame_system::Pallet::<T>::sufficients(&neuron.hotkey) > 0,
                "a registered hotkey's account can be reaped"
            );
            hotkeys.insert(neuron.hotkey);
        }
        ensure!(
            hotkeys.len() == taken && Uids::<T>::iter_prefix(market).count() == taken,
            "slots and hotkeys are not one to one"
        );
        let moments: BTreeSet<_> = slots
            .iter()
            .flatten()
            .map(|slot| slot.registered_at)
            .collect();
        ensure!(moments.len() == taken, "two slots were taken by one call");
        let standings = Standings::<T>::get(market);
        ensure!(
            standings.is_none() || Epochs::<T>::get(market).minted == 0,
            "old pay is kept though the last epoch paid"
        );
        let pays = standings.unwrap_or_default();
        ensure!(
            pays.len() <= slots.len()
                && slots
                    .iter()
                    .zip(&pays)
                    .all(|(slot, pay)| slot.is_some() || *pay == 0),
            "the pay of one who left is kept"
        );
        Ok(())
    }

    /// Pools are of taken slots, in order, and hold no more than these; their terms are within bounds.
    fn check_pools(market: MarketId) -> Result<(), TryRuntimeError> {
        let (slots, pools) = (Slots::<T>::get(market), Pools::<T>::get(market));
        ensure!(
            pools.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "pools are not in order of uid"
        );
        for (uid, pool) in pools {
            let slot = slots.get(usize::from(uid)).copied().flatten();
            ensure!(
                slot.is_some_and(|slot| pool.holdings.value <= slot.stake),
                "a pool holds more than there is in its slot"
            );
            let here = PoolPlace::Slot { market, uid };
            let place = (pool.holdings.shares > 0).then_some(here);
            ensure!(
                PoolPlaces::<T>::get(pool.id) == place && pool.id <= PoolCount::<T>::get(),
                "a pool is not where it is said to be"
            );
            let highest = pool.raise.map_or(pool.take, |raise| raise.take);
            ensure!(
                pool.take <= highest && highest <= MAX_TAKE,
                "a take is too high, or announced though it is not higher"
            );
        }
        Ok(())
    }

    /// Delegators hold all shares of all pools, of which none is worth less than a unit.
    fn check_delegations() -> Result<(), TryRuntimeError> {
        let mut held = BTreeMap::new();
        for (_, pool, shares) in Delegations::<T>::iter() {
            let holdings = Self::holdings(pool).ok_or("somebody has shares of no pool")?;
            // It paid for a share at least, and more than half of what it offered.
            ensure!(
                holdings.worth(shares) >= T::MinDelegation::get() / 2,
                "a delegation is too small"
            );
            *held.entry(pool).or_insert(0_u64) += shares;
        }
        ensure!(
            PoolPlaces::<T>::iter_keys().count() == held.len(),
            "a pool is kept of which nobody has shares"
        );
        for (pool, shares) in held {
            let holdings = Self::holdings(pool).unwrap_or_default();
            ensure!(
                holdings.shares == shares && shares <= holdings.value,
                "the shares of a pool are not those that are held, or more than its units"
            );
        }
        Ok(())
    }

    /// What is kept of a slot is that of its neuron; rows are whole, and columns hold their sums.
    fn check_rows(market: MarketId) -> Result<(), TryRuntimeError> {
        let slots = Slots::<T>::get(market);
        let is_taken = |uid: Uid| slots.get(usize::from(uid)).is_some_and(Option::is_some);
        ensure!(
            Endpoints::<T>::iter_key_prefix(market).all(is_taken)
                && LastUpdates::<T>::iter_key_prefix(market).all(is_taken)
                && Commitments::<T>::iter_key_prefix(market).all(is_taken)
                && Arrivals::<T>::iter_key_prefix(market).all(is_taken),
            "a free slot has an endpoint, weights or a commitment"
        );
        let running = EpochCursors::<T>::get(market);
        let columns: Vec<Column> = Columns::<T>::get(market).into_inner();
        let mut sums = alloc::vec![0_u64; columns.len()];
        for (uid, row) in Rows::<T>::iter_prefix(market) {
            // A running epoch may have yet to read the row of one who left.
            ensure!(is_taken(uid) || running.is_some(), "a free slot has a row");
            let length = row.weights.len();
            let edges = row.edges();
            ensure!(
                edges.len() == length,
                "a row's columns are not of one length"
            );
            for (to, weight, bond) in edges.iter() {
                ensure!(usize::from(to) < slots.len(), "a row goes beyond the slots");
                ensure!(weight > 0 || bond > 0, "a row holds an edge of nothing");
                if let Some(sum) = sums.get_mut(usize::from(to)) {
                    *sum = sum.saturating_add(bond.into());
                }
            }
        }
        // While an epoch renews bonds, rows are those of two epochs.
        let whole = running.is_none();
        ensure!(
            !whole
                || columns
                    .iter()
                    .zip(&sums)
                    .all(|(column, sum)| column.mantissa == 0 || column.sum == *sum),
            "bonds do not add up to the sums of their columns"
        );
        ensure!(
            !whole
                || !(EpochViews::<T>::contains_key(market)
                    || EpochVotes::<T>::contains_key(market)
                    || EpochVerdicts::<T>::contains_key(market)
                    || EpochDividends::<T>::contains_key(market)
                    || NextColumns::<T>::contains_key(market)
                    || Departures::<T>::contains_key(market)
                    || Arrivals::<T>::iter_key_prefix(market).next().is_some()),
            "something was left of an epoch that is over"
        );
        Ok(())
    }
}
