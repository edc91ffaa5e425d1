//! Slots: who takes one, what it costs, and who gives way.

use crate::{pallet::*, types::*};
use frame_support::{
    ensure,
    traits::{
        fungible::Mutate,
        tokens::{Fortitude, Precision, Preservation},
    },
    BoundedVec,
};
use frame_system::pallet_prelude::{BlockNumberFor, OriginFor};
use market_primitives::{BlockNumber, MarketId, Uid};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Takes a slot of `market` for `hotkey`, at the price of this block: a free one, or in a full
    /// market that of the neuron outside immunity that was paid least.
    pub(crate) fn do_register(
        market: MarketId,
        hotkey: T::AccountId,
        coldkey: T::AccountId,
        max_cost: u128,
    ) -> DispatchResult {
        let rules = Self::market(market)?.parameters;
        ensure!(
            !Uids::<T>::contains_key(market, &hotkey),
            Error::<T>::AlreadyRegistered
        );
        let free = Self::free_slot(market, &rules);
        let uid = free.or_else(|| Self::replaceable(market, &rules));
        let uid = uid.ok_or(Error::<T>::MarketFull)?;
        if free.is_none() {
            Self::check_departure(market)?;
        }
        let now = Self::now();
        let cost = Self::cost_in_block(market, &rules, now);
        ensure!(u128::from(cost) <= max_cost, Error::<T>::CostAboveMaximum);
        T::Currency::burn_from(
            &coldkey,
            cost.into(),
            Preservation::Preserve,
            Precision::Exact,
            Fortitude::Polite,
        )
        .map_err(|_| Error::<T>::InsufficientBalance)?;

        if free.is_none() {
            Self::vacate(market, uid)?;
        }
        // A hotkey signs without owning anything: the slot alone keeps its account alive.
        frame_system::Pallet::<T>::inc_sufficients(&hotkey);
        RegistrationPrices::<T>::insert(market, RegistrationPrice::after(cost, now));
        let slot = Slot {
            stake: 0,
            registered_at: Self::moment(),
        };
        Slots::<T>::try_mutate(market, |slots| match slots.get_mut(usize::from(uid)) {
            Some(place) => {
                *place = Some(slot);
                Ok(())
            }
            None => slots.try_push(Some(slot)),
        })
        .map_err(|_| Error::<T>::MarketFull)?;
        Uids::<T>::insert(market, &hotkey, uid);
        let neuron = Neuron {
            hotkey: hotkey.clone(),
            coldkey: coldkey.clone(),
        };
        Neurons::<T>::insert(market, uid, neuron);
        Self::deposit_event(Event::Registered {
            market,
            uid,
            hotkey,
            coldkey,
            cost,
        });
        Ok(())
    }

    /// Gives up a slot; its owner's stake goes back to its coldkey.
    pub(crate) fn do_deregister(
        market: MarketId,
        hotkey: T::AccountId,
        coldkey: T::AccountId,
    ) -> DispatchResult {
        let uid = Self::owned_slot(market, &hotkey, &coldkey)?;
        Self::check_departure(market)?;
        Self::vacate(market, uid)
    }

    /// Puts another hotkey in the place of one; slot, stake, weights, bonds and all else stay.
    pub(crate) fn do_swap_hotkey(
        market: MarketId,
        hotkey: T::AccountId,
        new_hotkey: T::AccountId,
        coldkey: T::AccountId,
    ) -> DispatchResult {
        let uid = Self::owned_slot(market, &hotkey, &coldkey)?;
        ensure!(
            !Uids::<T>::contains_key(market, &new_hotkey),
            Error::<T>::AlreadyRegistered
        );
        Uids::<T>::remove(market, &hotkey);
        frame_system::Pallet::<T>::dec_sufficients(&hotkey);
        Uids::<T>::insert(market, &new_hotkey, uid);
        frame_system::Pallet::<T>::inc_sufficients(&new_hotkey);
        let neuron = Neuron {
            hotkey: new_hotkey.clone(),
            coldkey,
        };
        Neurons::<T>::insert(market, uid, neuron);
        Self::deposit_event(Event::HotkeySwapped {
            market,
            uid,
            old: hotkey,
            new: new_hotkey,
        });
        Ok(())
    }

    /// The lowest uid whose slot is free.
    fn free_slot(market: MarketId, rules: &crate::Parameters) -> Option<Uid> {
        let slots = Slots::<T>::get(market);
        let free = slots
            .iter()
            .position(Option::is_none)
            .unwrap_or(slots.len());
        // At most 4096.
        Some(free as Uid).filter(|uid| *uid < rules.capacity)
    }

    /// The neuron that gives way in a full market: of those outside immunity the one that was paid least by
    /// the last epoch that paid anybody; of those the one that has been there longest, then the lowest uid.
    fn replaceable(market: MarketId, rules: &crate::Parameters) -> Option<Uid> {
        let now = Self::now();
        let pays = Self::standings(market);
        let pay = |uid: Uid| pays.get(usize::from(uid)).copied().unwrap_or(0);
        let slots = Slots::<T>::get(market);
        (0..rules.capacity)
            .zip(&slots)
            .filter_map(|(uid, slot)| Some((uid, slot.as_ref()?)))
            .filter(|(_, slot)| now.saturating_sub(slot.registered_at.block) >= rules.immunity)
            .map(|(uid, slot)| (pay(uid), slot.registered_at, uid))
            .min()
            .map(|(_, _, uid)| uid)
    }

    /// What the last epoch that minted anything paid each neuron.
    ///
    /// Not the last epoch: if that was not in consensus it paid nobody, all would be equal, and the oldest, who
    /// founded the market, would go first: a minority that stops a market would begin with them. Nor shares of
    /// such an epoch, which are computed, but by votes that are in no consensus: who stopped the market would say who
    /// goes. By the last pay who was never paid goes before who was, as ever, and a halt changes nothing in it. Nor does it
    /// save anybody in a market of few slots: as many as register within the time of immunity take the place of others.
    fn standings(market: MarketId) -> BySlot<u64> {
        Standings::<T>::get(market).unwrap_or_else(|| {
            let pays = Outcomes::<T>::get(market);
            BoundedVec::truncate_from(pays.iter().map(|outcome| outcome.pay).collect())
        })
    }

    /// Keeps who was paid how much, since an epoch is over that paid nobody. Before its outcomes are stored.
    pub(crate) fn keep_standings(market: MarketId) {
        if !Standings::<T>::contains_key(market) {
            Standings::<T>::insert(market, Self::standings(market));
        }
    }

    /// Empties a slot: its owner's stake goes back to its coldkey, what others put there stays theirs in the
    /// closed pool, and all else that is kept of it goes.
    fn vacate(market: MarketId, uid: Uid) -> DispatchResult {
        let neuron = Neurons::<T>::take(market, uid).ok_or(Error::<T>::NotRegistered)?;
        let slot = Slots::<T>::mutate(market, |slots| {
            slots.get_mut(usize::from(uid)).and_then(Option::take)
        })
        .ok_or(Error::<T>::NotRegistered)?;
        Self::remove_row(market, uid, &slot, &neuron.coldkey);
        Outcomes::<T>::mutate(market, |outcomes| {
            if let Some(outcome) = outcomes.get_mut(usize::from(uid)) {
                *outcome = Outcome::default();
            }
        });
        Standings::<T>::mutate_extant(market, |pays| {
            if let Some(pay) = pays.get_mut(usize::from(uid)) {
                *pay = 0;
            }
        });
        Uids::<T>::remove(market, &neuron.hotkey);
        frame_system::Pallet::<T>::dec_sufficients(&neuron.hotkey);
        Endpoints::<T>::remove(market, uid);
        LastUpdates::<T>::remove(market, uid);
        Commitments::<T>::remove(market, uid);
        let stake = slot.stake.saturating_sub(Self::close_pool(market, uid));
        if stake > 0 {
            Self::unstake(&neuron.coldkey, stake)?;
        }
        Self::deposit_event(Event::Deregistered {
            market,
            uid,
            hotkey: neuron.hotkey,
            coldkey: neuron.coldkey,
            stake,
        });
        Ok(())
    }

    /// Units that a registration costs in block `now`.
    pub(crate) fn cost_in_block(
        market: MarketId,
        rules: &crate::Parameters,
        now: BlockNumber,
    ) -> u64 {
        let untouched = RegistrationPrice {
            cost: rules.registration_cost,
            at: 0,
        };
        RegistrationPrices::<T>::get(market)
            .unwrap_or(untouched)
            .at(now, rules.tempo)
            .max(rules.registration_cost_floor)
    }

    /// The market `id`, or the error that says there is none.
    pub(crate) fn market(id: MarketId) -> Result<Market, Error<T>> {
        Markets::<T>::get(id).ok_or(Error::UnknownMarket)
    }

    /// The slot of `hotkey` in a market that exists.
    pub(crate) fn uid(market: MarketId, hotkey: &T::AccountId) -> Result<Uid, Error<T>> {
        Uids::<T>::get(market, hotkey).ok_or(Error::NotRegistered)
    }

    /// Whether the origin is a hotkey with a slot in `market`, whose free calls cost nothing.
    pub(crate) fn is_registered(origin: &OriginFor<T>, market: MarketId) -> bool {
        use frame_support::traits::OriginTrait;
        origin
            .as_signer()
            .is_some_and(|hotkey| Uids::<T>::contains_key(market, hotkey))
    }

    /// The present moment. It is one transaction's, and a neuron is known by the moment at which it came: a pallet that
    /// makes several calls out of one transaction (batches, multisignatures, proxies) would give several neurons the
    /// same. Before there is one, moments must count calls.
    pub(crate) fn moment() -> Moment {
        Moment {
            block: Self::now(),
            call: frame_system::Pallet::<T>::extrinsic_index()
                .map_or(0, |index| index.saturating_add(1)),
        }
    }

    /// The number of the current block.
    pub(crate) fn now() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().into()
    }
}
