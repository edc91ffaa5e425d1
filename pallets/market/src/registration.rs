//! Slots: who takes one, and what it costs.

use crate::{pallet::*, types::*};
use frame_support::{
    ensure,
    traits::{
        fungible::Mutate,
        tokens::{Fortitude, Precision, Preservation},
    },
};
use frame_system::pallet_prelude::{BlockNumberFor, OriginFor};
use market_primitives::{BlockNumber, MarketId, Uid};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Takes the next free slot of `market` for `hotkey`, at the price of this block.
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
        let uid = NeuronCount::<T>::get(market);
        ensure!(uid < rules.capacity, Error::<T>::MarketFull);

        let now = Self::now();
        let cost = Self::registration_cost(market, &rules, now);
        ensure!(u128::from(cost) <= max_cost, Error::<T>::CostAboveMaximum);
        T::Currency::burn_from(
            &coldkey,
            cost.into(),
            Preservation::Preserve,
            Precision::Exact,
            Fortitude::Polite,
        )
        .map_err(|_| Error::<T>::InsufficientBalance)?;

        // A hotkey signs without owning anything: the slot alone keeps its account alive.
        frame_system::Pallet::<T>::inc_sufficients(&hotkey);
        let price = RegistrationPrice::after(cost, now);
        RegistrationPrices::<T>::insert(market, price);
        Slots::<T>::insert(
            market,
            uid,
            Slot {
                hotkey: hotkey.clone(),
                coldkey: coldkey.clone(),
                registered_at: now,
            },
        );
        Uids::<T>::insert(market, &hotkey, uid);
        NeuronCount::<T>::insert(market, uid.saturating_add(1));
        Self::deposit_event(Event::Registered {
            market,
            uid,
            hotkey,
            coldkey,
            cost,
        });
        Ok(())
    }

    /// Units that a registration costs in block `now`.
    pub fn registration_cost(market: MarketId, rules: &crate::Parameters, now: BlockNumber) -> u64 {
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

    /// The number of the current block.
    pub(crate) fn now() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().into()
    }
}
