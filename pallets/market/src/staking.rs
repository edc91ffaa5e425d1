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
        T::Currency::transfer(
            &coldkey,
            &Self::stake_account(),
            amount.into(),
            Preservation::Preserve,
        )
        .map_err(|_| Error::<T>::InsufficientBalance)?;
        let add = |stake: u64| stake.checked_add(amount);
        Self::change_stake(market, uid, add).ok_or(Error::<T>::InsufficientBalance)?;
        Self::deposit_event(Event::StakeAdded {
            market,
            uid,
            amount,
        });
        Ok(())
    }

    /// Moves units from the slot back to the coldkey.
    pub(crate) fn do_remove_stake(
        market: MarketId,
        hotkey: T::AccountId,
        coldkey: T::AccountId,
        amount: u128,
    ) -> DispatchResult {
        let uid = Self::owned_slot(market, &hotkey, &coldkey)?;
        ensure!(amount > 0, Error::<T>::AmountZero);
        let amount = u64::try_from(amount).map_err(|_| Error::<T>::InsufficientStake)?;
        let take = |stake: u64| stake.checked_sub(amount);
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
    fn change_stake(
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

    /// Moves units that no longer lie in a slot to a coldkey.
    pub(crate) fn unstake(coldkey: &T::AccountId, units: u64) -> DispatchResult {
        T::Currency::transfer(
            &Self::stake_account(),
            coldkey,
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
