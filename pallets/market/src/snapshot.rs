//! Snapshots: what clients read.

use crate::{pallet::*, types::Market};
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
        let neurons: Vec<_> = (0..NeuronCount::<T>::get(market))
            .filter_map(|uid| Self::neuron(market, uid))
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
                response_dim: parameters.response_dim,
            },
            epoch: last.epoch,
            block: last.block,
            next_epoch_block: parameters.next_epoch_block(now),
            loss: last.loss,
            in_consensus: last.in_consensus,
            minted: last.minted,
            registration_cost,
            neurons,
        })
    }

    /// One neuron of a market; `None` where the slot is empty.
    pub fn neuron(market: MarketId, uid: Uid) -> Option<Neuron<T::AccountId>> {
        let slot = Slots::<T>::get(market, uid)?;
        let outcome = Outcomes::<T>::get(market, uid);
        let endpoint = Endpoints::<T>::get(market, uid);
        let certificate = endpoint.as_ref().and_then(|endpoint| endpoint.certificate);
        Some(Neuron {
            uid,
            hotkey: slot.hotkey,
            coldkey: slot.coldkey,
            // Only printable ASCII is ever stored.
            endpoint: endpoint
                .map(|endpoint| String::from_utf8_lossy(&endpoint.address).into_owned()),
            certificate,
            stake: Stakes::<T>::get(market, uid),
            rank: outcome.rank,
            trust: outcome.trust,
            consensus: outcome.consensus,
            incentive: outcome.incentive,
            dividend: outcome.dividend,
            pay: outcome.pay,
            last_update: Weights::<T>::get(market, uid).map(|row| row.set_at),
            registered_at: slot.registered_at,
        })
    }
}
