//! Delegation: units that others put behind a neuron, in shares of its pool.
//!
//! What is delegated lies in the slot and counts as its stake; the value of the pool says how much of it is not
//! the owner's. Shares are bought and sold as [`market_mechanism::Pool`] says, and it divides what a neuron is
//! paid. Two rules keep that fair:
//!
//! * Nobody buys while an epoch of the market is running: its pay is for those who were there when it began.
//!   Who sells meanwhile leaves theirs to the others.
//! * The owner's take falls at once, but rises only [`Config::TakeNotice`] blocks after that was announced.
//!
//! A pool belongs to a registration. When its neuron leaves the slot it is *closed*: it earns no more, but what
//! a running epoch still gives it, and its shares are sold as before. So nothing is to be done for each
//! delegator, and it does not matter who has the slot or the hotkey since.

use crate::{pallet::*, pools::*, running::View};
use alloc::vec::Vec;
use frame_support::{ensure, traits::Get, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use market_mechanism as mechanism;
use market_primitives::{BlockNumber, MarketId, Share, Uid};
use sp_runtime::DispatchResult;

/// What a pool earned in an epoch.
pub(crate) struct Earned {
    pub uid: Uid,
    pub pool: PoolId,
    pub units: u64,
}

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Buys shares of the pool behind `hotkey` for `amount` units at most.
    pub(crate) fn do_delegate(
        market: MarketId,
        hotkey: T::AccountId,
        delegator: T::AccountId,
        amount: u128,
    ) -> DispatchResult {
        Self::market(market)?;
        let uid = Self::uid(market, &hotkey)?;
        ensure!(
            !EpochCursors::<T>::contains_key(market),
            Error::<T>::EpochRunning
        );
        ensure!(
            amount >= T::MinDelegation::get().into(),
            Error::<T>::DelegationTooSmall
        );
        // More than `u64` holds is more than will ever exist.
        let amount = u64::try_from(amount).map_err(|_| Error::<T>::InsufficientBalance)?;
        let (pool, bought) = Self::mutate_pool(market, uid, |pool| {
            let bought = pool.holdings.with(|holdings| holdings.buy(amount));
            Ok((pool.id, bought.ok_or(Error::DelegationTooSmall)?))
        })?;
        let (shares, cost) = (bought.shares, bought.cost);
        Self::stake_from(&delegator, cost)?;
        let add = |stake: u64| stake.checked_add(cost);
        Self::change_stake(market, uid, add).ok_or(Error::<T>::InsufficientBalance)?;
        PoolPlaces::<T>::insert(pool, PoolPlace::Slot { market, uid });
        Delegations::<T>::mutate(&delegator, pool, |held| *held = held.saturating_add(shares));
        Self::deposit_event(Event::Delegated {
            market,
            uid,
            pool,
            delegator,
            shares,
            amount: cost,
        });
        Ok(())
    }

    /// Sells shares of a pool, open or closed.
    pub(crate) fn do_undelegate(
        pool: PoolId,
        delegator: T::AccountId,
        shares: u64,
    ) -> DispatchResult {
        ensure!(shares > 0, Error::<T>::AmountZero);
        let held = Delegations::<T>::get(&delegator, pool);
        let left = held.checked_sub(shares);
        let left = left.ok_or(Error::<T>::InsufficientShares)?;
        let place = PoolPlaces::<T>::get(pool).ok_or(Error::<T>::InsufficientShares)?;
        let sell = |holdings: &mut Holdings| {
            let amount = holdings.with(|holdings| holdings.sell(shares));
            Ok((amount.ok_or(Error::<T>::InsufficientShares)?, *holdings))
        };
        let (amount, after) = match place {
            PoolPlace::Slot { market, uid } => {
                let sold = Self::mutate_pool(market, uid, |pool| sell(&mut pool.holdings))?;
                let take = |stake: u64| stake.checked_sub(sold.0);
                Self::change_stake(market, uid, take).ok_or(Error::<T>::InsufficientShares)?;
                sold
            }
            PoolPlace::Closed(mut holdings) => {
                let sold = sell(&mut holdings)?;
                PoolPlaces::<T>::insert(pool, PoolPlace::Closed(holdings));
                sold
            }
        };
        ensure!(
            left == 0 || after.worth(left) >= T::MinDelegation::get(),
            Error::<T>::DelegationTooSmall
        );
        if after.shares == 0 {
            PoolPlaces::<T>::remove(pool);
        }
        match left {
            0 => Delegations::<T>::remove(&delegator, pool),
            _ => Delegations::<T>::insert(&delegator, pool, left),
        }
        Self::unstake(&delegator, amount)?;
        Self::deposit_event(Event::Undelegated {
            pool,
            delegator,
            shares,
            amount,
        });
        Ok(())
    }

    /// Lowers the take of a neuron's pool, or announces that it will rise.
    pub(crate) fn do_set_take(
        market: MarketId,
        hotkey: T::AccountId,
        coldkey: T::AccountId,
        take: Share,
    ) -> DispatchResult {
        let uid = Self::owned_slot(market, &hotkey, &coldkey)?;
        ensure!(take <= MAX_TAKE, Error::<T>::TakeTooHigh);
        let now = Self::now();
        let from = Self::mutate_pool(market, uid, |pool| {
            let current = pool.take_at(now);
            let rises = take > current;
            let notice = if rises { T::TakeNotice::get() } else { 0 };
            let from = now.saturating_add(notice);
            pool.take = current.min(take);
            pool.raise = rises.then_some(Raise { take, from });
            Ok(from)
        })?;
        Self::deposit_event(Event::TakeSet {
            market,
            uid,
            take,
            from,
        });
        Ok(())
    }

    /// What others have put behind the neurons of a market, for an epoch that begins now.
    pub(crate) fn delegated(market: MarketId, now: BlockNumber) -> DelegatedBySlot {
        let pools = Pools::<T>::get(market).into_iter();
        let delegated = pools.filter(|(_, pool)| pool.holdings.shares > 0);
        let delegated = delegated.map(|(uid, pool)| {
            let delegated = Delegated {
                pool: pool.id,
                value: pool.holdings.value,
                take: pool.take_at(now),
            };
            (uid, delegated)
        });
        BoundedVec::truncate_from(delegated.collect()) // one a slot at most
    }

    /// What each pool earns of the payouts of an epoch.
    pub(crate) fn earned(view: &View, neurons: &[mechanism::Neuron]) -> Vec<Earned> {
        let rules = view.parameters.mechanism();
        let earned = view.delegated.iter().filter_map(|(uid, delegated)| {
            let neuron = neurons.get(usize::from(*uid))?;
            let slot = view.slots.get(usize::from(*uid))?.as_ref()?;
            let backing = mechanism::Backing {
                stake: slot.stake,
                delegated: delegated.value,
                take: delegated.take.0,
            };
            Some(Earned {
                uid: *uid,
                pool: delegated.pool,
                units: mechanism::earnings(&rules, neuron, &backing),
            })
        });
        earned.collect()
    }

    /// Adds what pools earned to their value, where they are still there and not empty. The units are in the
    /// slots already.
    pub(crate) fn credit_pools(market: MarketId, earned: &[Earned]) {
        if earned.is_empty() {
            return;
        }
        Pools::<T>::mutate(market, |pools| {
            let mut earned = earned.iter().peekable();
            for (uid, pool) in pools.iter_mut() {
                // Both are in order of uid.
                while earned.next_if(|one| one.uid < *uid).is_some() {}
                let found = earned.next_if(|one| one.uid == *uid && one.pool == pool.id);
                if let Some(Earned { units, .. }) = found {
                    pool.holdings.with(|holdings| holdings.earn(*units));
                }
            }
        });
    }

    /// Mints what the pool of a neuron that left has earned; the units, 0 where nobody holds shares any more.
    pub(crate) fn pay_closed_pool(earned: &Earned) -> u64 {
        let Some(PoolPlace::Closed(mut holdings)) = PoolPlaces::<T>::get(earned.pool) else {
            return 0;
        };
        let minted = Self::mint(&Self::stake_account(), earned.units);
        holdings.with(|holdings| holdings.earn(minted));
        PoolPlaces::<T>::insert(earned.pool, PoolPlace::Closed(holdings));
        minted
    }
}
