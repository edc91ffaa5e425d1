//! Stake: units that lie in a slot, all of them in the pallet's one account.

use crate::pallet::*;
use frame_support::{
    ensure,
    traits::{fungible::Mutate, tokens::Preservation, Get},
};
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{MarketId, Uid};
use sp_runtime::{traits::AccountIdConversion, DispatchResult};

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Moves units from the coldkey into its neuron's slot.
    pub(crate) fn do_add_stake(
        market: MarketId,
        hotkey: T::AccountId,
        coldkey: T::AccountId,
        amount: u128,
    ) -> DispatchResult {
        let uid = Self::owned_slot(market, &hotkey, &coldkey)?;
        ensure!(amount > 0, Error::<T>::AmountZero);
        // More than `u64` holds is more than will ever exist.
        let amount = u64::try_from(amount).map_err(|_| Error::<T>::InsufficientBalance)?;
        Self::stake_from(&coldkey, amount)?;
        let add = |stake: u64| stake.checked_add(amount);
        Self::change_stake(market, uid, add).ok_or(Error::<T>::InsufficientBalance)?;
        Self::deposit_event(Event::StakeAdded {
            market,
            uid,
            amount,
        });
        Ok(())
    }

    /// Moves units from the slot back to the coldkey; what others put there is not its own.
    pub(crate) fn do_remove_stake(
        market: MarketId,
        hotkey: T::AccountId,
        coldkey: T::AccountId,
        amount: u128,
    ) -> DispatchResult {
        let uid = Self::owned_slot(market, &hotkey, &coldkey)?;
        ensure!(amount > 0, Error::<T>::AmountZero);
        let amount = u64::try_from(amount).map_err(|_| Error::<T>::InsufficientStake)?;
        let delegated = Self::pool(market, uid).map_or(0, |pool| pool.holdings.value);
        let take = |stake: u64| {
            let left = stake.checked_sub(amount)?;
            (left >= delegated).then_some(left)
        };
        Self::change_stake(market, uid, take).ok_or(Error::<T>::InsufficientStake)?;
        Self::unstake(&coldkey, amount)?;
        Self::deposit_event(Event::StakeRemoved {
            market,
            uid,
            amount,
        });
        Ok(())
    }

    /// The slot of `hotkey`, if `coldkey` is the one that registered it.
    pub(crate) fn owned_slot(
        market: MarketId,
        hotkey: &T::AccountId,
        coldkey: &T::AccountId,
    ) -> Result<Uid, Error<T>> {
        Self::market(market)?;
        let uid = Self::uid(market, hotkey)?;
        let neuron = Neurons::<T>::get(market, uid).ok_or(Error::NotRegistered)?;
        ensure!(neuron.coldkey == *coldkey, Error::NotOwner);
        Ok(uid)
    }

    /// Changes the stake of a taken slot to what `change` makes of it; `None`, and no change, where
    /// that is nothing.
    pub(crate) fn change_stake(
        market: MarketId,
        uid: Uid,
        change: impl FnOnce(u64) -> Option<u64>,
    ) -> Option<()> {
        Slots::<T>::try_mutate(market, |slots| {
            let slot = slots.get_mut(usize::from(uid)).and_then(Option::as_mut);
            let slot = slot.ok_or(())?;
            slot.stake = change(slot.stake).ok_or(())?;
            Ok::<_, ()>(())
        })
        .ok()
    }

    /// Moves units from an account to where all stake is held.
    pub(crate) fn stake_from(account: &T::AccountId, units: u64) -> DispatchResult {
        T::Currency::transfer(
            account,
            &Self::stake_account(),
            units.into(),
            Preservation::Preserve,
        )
        .map_err(|_| Error::<T>::InsufficientBalance)?;
        Ok(())
    }

    /// Moves units that are no longer stake to an account.
    pub(crate) fn unstake(account: &T::AccountId, units: u64) -> DispatchResult {
        T::Currency::transfer(
            &Self::stake_account(),
            account,
            units.into(),
            Preservation::Expendable,
        )?;
        Ok(())
    }
}

impl<T: Config> Pallet<T> {
    /// The account that holds all stake of all markets, and nothing else.
    pub fn stake_account() -> T::AccountId {
        T::PalletId::get().into_account_truncating()
    }
}
