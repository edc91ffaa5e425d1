//! Weights: one row a neuron, checked before it is stored.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use frame_support::{ensure, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{MarketId, Uid};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Replaces the row of `hotkey`. Zero weights are no edges and are left out.
    pub(crate) fn do_set_weights(
        market: MarketId,
        hotkey: T::AccountId,
        mut weights: Vec<(Uid, u16)>,
    ) -> DispatchResult {
        let uid = Self::check_weights(market, &hotkey, &weights)?;
        weights.retain(|(_, weight)| *weight > 0);
        let edges = BoundedVec::try_from(weights).map_err(|_| Error::<T>::TooManyWeights)?;
        let count = edges.len() as u16; // bounded by the capacity, which is a `u16`
        let set_at = Self::now();
        Weights::<T>::insert(market, uid, WeightRow { set_at, edges });
        Self::deposit_event(Event::WeightsSet {
            market,
            uid,
            edges: count,
        });
        Ok(())
    }

    /// Everything that can be wrong with a call of `set_weights`. The pool asks this too, so that a
    /// free call that would fail never enters a block.
    pub(crate) fn check_weights(
        market: MarketId,
        hotkey: &T::AccountId,
        weights: &[(Uid, u16)],
    ) -> Result<Uid, Error<T>> {
        let rules = Self::market(market)?.parameters;
        let uid = Self::uid(market, hotkey)?;
        if let Some(row) = Weights::<T>::get(market, uid) {
            let age = Self::now().saturating_sub(row.set_at);
            ensure!(age >= rules.weights_rate_limit, Error::WeightsTooEarly);
        }

        let neurons = NeuronCount::<T>::get(market);
        ensure!(weights.len() <= usize::from(neurons), Error::TooManyWeights);
        ensure!(
            weights.windows(2).all(|pair| pair[0].0 < pair[1].0),
            Error::WeightsUnsorted
        );
        ensure!(
            weights.last().is_none_or(|(uid, _)| *uid < neurons),
            Error::UnknownUid
        );
        let positive = weights.iter().filter(|(_, weight)| *weight > 0);
        ensure!(positive.clone().next().is_some(), Error::AllWeightsZero);
        ensure!(
            rules.self_weight || positive.clone().all(|(to, _)| *to != uid),
            Error::SelfWeight
        );
        ensure!(
            positive.count() >= usize::from(rules.min_weights),
            Error::TooFewWeights
        );
        ensure!(
            market_mechanism::rows::largest_share(weights) <= rules.max_weight.0,
            Error::WeightTooLarge
        );
        Ok(uid)
    }
}
