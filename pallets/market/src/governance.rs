//! Governance: who may be a market, and by which rules.
//!
//! A market's rules change where one epoch ends and the next begins, never in between: what is decided waits in
//! `PendingRules`, and the epoch that begins next brings it into force. That epoch settles the time before it,
//! by the rules of that time. So a share of the emission is one share for all blocks that an epoch pays for, and
//! in every block the shares in force sum to one at most: of each market the larger of its share and its pending
//! one counts as given away.

use crate::{pallet::*, types::*};
use frame_support::{ensure, traits::Get};
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{BlockNumber, MarketId, Share};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Opens a market. Its emission begins with the next block.
    pub(crate) fn do_create_market(market: Market) -> DispatchResult {
        let id = Self::market_count();
        ensure!(id < T::MaxMarkets::get(), Error::<T>::TooManyMarkets);
        market.parameters.validate().map_err(Error::<T>::from)?;
        Self::check_emission_share(None, market.emission_share)?;
        let now = Self::now();
        let (modality, emission_share) = (market.modality, market.emission_share);
        let price = RegistrationPrice {
            cost: market.parameters.registration_cost,
            at: now,
        };
        RegistrationPrices::<T>::insert(id, price);
        // As if an epoch had begun now: the first one is paid for the blocks from here on.
        let opening = EpochSummary {
            began: now,
            ..Default::default()
        };
        Epochs::<T>::insert(id, opening);
        Markets::<T>::insert(id, market);
        Self::deposit_event(Event::MarketCreated {
            market: id,
            modality,
            emission_share,
        });
        Ok(())
    }

    /// Decides on the rules of a market from its next epoch on.
    pub(crate) fn do_set_parameters(market: MarketId, rules: Rules) -> DispatchResult {
        let current = Self::market(market)?.parameters;
        rules.parameters.validate().map_err(Error::<T>::from)?;
        ensure!(
            rules.parameters.capacity >= current.capacity,
            Error::<T>::CapacityOutOfBounds
        );
        Self::check_emission_share(Some(market), rules.emission_share)?;
        PendingRules::<T>::insert(market, rules);
        Self::deposit_event(Event::ParametersScheduled { market });
        Ok(())
    }

    /// Brings what was decided for a market into force, in the block in which an epoch of it begins.
    pub(crate) fn change_rules(id: MarketId, market: &Market, now: BlockNumber) {
        let Some(rules) = PendingRules::<T>::take(id) else {
            return;
        };
        let (old, new) = (&market.parameters, &rules.parameters);
        // The price goes on from where it is, however fast it falls from now on.
        let cost = match old.registration_cost == new.registration_cost {
            true => Self::cost_in_block(id, old, now),
            false => new.registration_cost,
        };
        RegistrationPrices::<T>::insert(id, RegistrationPrice { cost, at: now });
        let market = Market {
            modality: market.modality,
            emission_share: rules.emission_share,
            parameters: rules.parameters,
        };
        Markets::<T>::insert(id, market);
        Self::deposit_event(Event::ParametersSet { market: id });
    }

    /// How many markets there are; their ids are the numbers below.
    pub(crate) fn market_count() -> MarketId {
        let exists = |id: &MarketId| Markets::<T>::contains_key(id);
        (0..MarketId::MAX).take_while(exists).count() as MarketId // fewer than there are ids
    }

    /// What all markets but `except` may have of the emission, now or after their next epoch, in parts of
    /// 10^18.
    pub(crate) fn assigned_emission(except: Option<MarketId>) -> u128 {
        let others = (0..Self::market_count()).filter(|id| Some(*id) != except);
        let share = |id: MarketId| {
            let current = Markets::<T>::get(id).map(|market| market.emission_share);
            let pending = PendingRules::<T>::get(id).map(|rules| rules.emission_share);
            current.max(pending).map_or(0, |share| share.0.into())
        };
        others.map(share).sum()
    }

    /// Whether the other markets leave so large a share.
    fn check_emission_share(market: Option<MarketId>, share: Share) -> Result<(), Error<T>> {
        let assigned = Self::assigned_emission(market).saturating_add(share.0.into());
        ensure!(
            assigned <= u128::from(market_mechanism::ONE),
            Error::EmissionShareOutOfBounds
        );
        Ok(())
    }
}
