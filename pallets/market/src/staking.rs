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
        let stake = Stakes::<T>::get(market, uid)
            .checked_add(amount)
            .ok_or(Error::<T>::InsufficientBalance)?;
        T::Currency::transfer(
            &coldkey,
            &Self::stake_account(),
            amount.into(),
            Preservation::Preserve,
        )
        .map_err(|_| Error::<T>::InsufficientBalance)?;
        Stakes::<T>::insert(market, uid, stake);
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
        let stake = Stakes::<T>::get(market, uid)
            .checked_sub(amount)
            .ok_or(Error::<T>::InsufficientStake)?;
        T::Currency::transfer(
            &Self::stake_account(),
            &coldkey,
            amount.into(),
            Preservation::Expendable,
        )?;
        Stakes::<T>::insert(market, uid, stake);
        Self::deposit_event(Event::StakeRemoved {
            market,
            uid,
            amount,
        });
        Ok(())
    }

    /// The slot of `hotkey`, if `coldkey` is the one that registered it.
    fn owned_slot(
        market: MarketId,
        hotkey: &T::AccountId,
        coldkey: &T::AccountId,
    ) -> Result<Uid, Error<T>> {
        Self::market(market)?;
        let uid = Self::uid(market, hotkey)?;
        let slot = Slots::<T>::get(market, uid).ok_or(Error::NotRegistered)?;
        ensure!(slot.coldkey == *coldkey, Error::NotOwner);
        Ok(uid)
    }
}

impl<T: Config> Pallet<T> {
    /// The account that holds all stake of all markets, and nothing else.
    pub fn stake_account() -> T::AccountId {
        T::PalletId::get().into_account_truncating()
    }
}
