//! Snapshots: what clients read.

use crate::{
    pallet::*,
    types::{Market, Outcome, Slot},
};
use alloc::{string::String, vec::Vec};
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{MarketId, MarketRules, Metagraph, Neuron, Uid};

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// The results of the last finished epoch of a market, and its neurons as they stand now.
    /// `None` where there is no such market.
    pub fn metagraph(market: MarketId) -> Option<Metagraph<T::AccountId>> {
        let Market {
            modality,
            parameters,
            ..
        } = Markets::<T>::get(market)?;
        let now = Self::now();
        let last = Epochs::<T>::get(market);
        let registration_cost = Self::registration_cost(market, &parameters, now);
        let outcomes = Outcomes::<T>::get(market);
        let neurons: Vec<_> = (0..)
            .zip(Slots::<T>::get(market))
            .filter_map(|(uid, slot)| {
                let outcome = outcomes.get(usize::from(uid)).copied();
                Self::shown(market, uid, slot?, outcome.unwrap_or_default())
            })
            .collect();
        Some(Metagraph {
            market,
            modality,
            rules: MarketRules {
                tempo: parameters.tempo,
                capacity: parameters.capacity,
                min_weights: parameters.min_weights,
                weights_rate_limit: parameters.weights_rate_limit,
                activity_cutoff: parameters.activity_cutoff,
                immunity: parameters.immunity,
                reveal_period: parameters.reveal_period,
                response_dim: parameters.response_dim,
            },
            epoch: last.epoch,
            begun: Self::epochs_begun(market),
            block: last.finished,
            next_epoch_block: parameters.next_epoch_block(now),
            loss: last.loss,
            in_consensus: last.in_consensus,
            minted: last.minted,
            registration_cost,
            neurons,
        })
    }

    /// The neuron in a slot, as clients see it.
    fn shown(
        market: MarketId,
        uid: Uid,
        slot: Slot,
        outcome: Outcome,
    ) -> Option<Neuron<T::AccountId>> {
        let keys = Neurons::<T>::get(market, uid)?;
        let endpoint = Endpoints::<T>::get(market, uid);
        let certificate = endpoint.as_ref().and_then(|endpoint| endpoint.certificate);
        Some(Neuron {
            uid,
            hotkey: keys.hotkey,
            coldkey: keys.coldkey,
            // Only printable ASCII is ever stored.
            endpoint: endpoint
                .map(|endpoint| String::from_utf8_lossy(&endpoint.address).into_owned()),
            certificate,
            stake: slot.stake,
            rank: outcome.rank,
            trust: outcome.trust,
            consensus: outcome.consensus,
            incentive: outcome.incentive,
            dividend: outcome.dividend,
            pay: outcome.pay,
            last_update: LastUpdates::<T>::get(market, uid),
            registered_at: slot.registered_at.block,
        })
    }
}
