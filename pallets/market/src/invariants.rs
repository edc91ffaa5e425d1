//! What must hold after every block, whatever was called. Checked by `try_state` and by every test.

use crate::pallet::*;
use alloc::collections::BTreeSet;
use frame_support::{ensure, traits::fungible::Inspect};
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::MarketId;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Checks every invariant.
    pub fn check_invariants() -> Result<(), TryRuntimeError> {
        Self::check_ledger()?;
        Self::check_issuance()?;
        for market in Markets::<T>::iter_keys() {
            Self::check_slots(market)?;
            Self::check_rows(market)?;
        }
        Ok(())
    }

    /// The account that holds all stake holds the ledger's sum, to the unit.
    fn check_ledger() -> Result<(), TryRuntimeError> {
        let ledger: u128 = Stakes::<T>::iter_values().map(u128::from).sum();
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

    /// Slots are the uids below the count; uid and hotkey are one to one.
    fn check_slots(market: MarketId) -> Result<(), TryRuntimeError> {
        let count = NeuronCount::<T>::get(market);
        let capacity = Self::market(market)
            .map_err(|_| "a market is gone")?
            .parameters
            .capacity;
        ensure!(
            count <= capacity.min(market_primitives::MAX_CAPACITY),
            "more slots are taken than there are"
        );
        let mut hotkeys = BTreeSet::new();
        for (uid, slot) in Slots::<T>::iter_prefix(market) {
            ensure!(uid < count, "a slot beyond the count is taken");
            ensure!(
                Uids::<T>::get(market, &slot.hotkey) == Some(uid),
                "a hotkey does not lead back to its slot"
            );
            ensure!(
                frame_system::Pallet::<T>::sufficients(&slot.hotkey) > 0,
                "a registered hotkey's account can be reaped"
            );
            hotkeys.insert(slot.hotkey);
        }
        ensure!(
            hotkeys.len() == usize::from(count)
                && Uids::<T>::iter_prefix(market).count() == usize::from(count),
            "slots and hotkeys are not one to one"
        );
        Ok(())
    }

    /// Rows and everything else kept by slot belong to taken slots; rows are sorted and positive.
    fn check_rows(market: MarketId) -> Result<(), TryRuntimeError> {
        let count = NeuronCount::<T>::get(market);
        for (uid, row) in Weights::<T>::iter_prefix(market) {
            ensure!(uid < count, "an empty slot has weights");
            ensure!(
                row.edges.windows(2).all(|pair| pair[0].0 < pair[1].0)
                    && row
                        .edges
                        .iter()
                        .all(|(to, weight)| *to < count && *weight > 0),
                "a row of weights is unsorted, names an empty slot or holds a zero"
            );
        }
        for (uid, row) in Bonds::<T>::iter_prefix(market) {
            ensure!(uid < count, "an empty slot holds bonds");
            ensure!(
                row.windows(2).all(|pair| pair[0].0 < pair[1].0)
                    && row.iter().all(|(to, _)| *to < count),
                "a row of bonds is unsorted or names an empty slot"
            );
        }
        ensure!(
            Stakes::<T>::iter_key_prefix(market).all(|uid| uid < count)
                && Endpoints::<T>::iter_key_prefix(market).all(|uid| uid < count)
                && Outcomes::<T>::iter_key_prefix(market).all(|uid| uid < count),
            "an empty slot has a stake, an endpoint or an outcome"
        );
        Ok(())
    }
}
