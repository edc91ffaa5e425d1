//! Snapshots: what clients read, as view functions of the pallet and through the runtime's API.

use crate::{
    pallet::*,
    running::Pass,
    types::{Market, Moment, Outcome, Slot},
    Parameters,
};
use alloc::{string::String, vec::Vec};
use frame_support::{
    storage::{with_transaction, TransactionOutcome},
    weights::WeightMeter,
};
use frame_system::pallet_prelude::BlockNumberFor;
use market_mechanism::{self as mechanism, ONE, WHOLE_BOND};
use market_primitives::{
    Governance, MarketId, MarketRules, MarketSummary, Metagraph, Neuron, Scheduled, Share, Uid,
};
use sp_runtime::DispatchError;

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// The results of the last finished epoch of a market, and its neurons as they stand now.
    /// `None` where there is no such market.
    pub(crate) fn read_metagraph(market: MarketId) -> Option<Metagraph<T::AccountId>> {
        let Market {
            modality,
            parameters,
            ..
        } = Markets::<T>::get(market)?;
        let now = Self::now();
        let last = Epochs::<T>::get(market);
        let registration_cost = Self::cost_in_block(market, &parameters, now);
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
                max_weight: parameters.max_weight,
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

    /// How a market stands, without its neurons.
    pub fn summary(market: MarketId) -> Option<MarketSummary> {
        let parameters = Markets::<T>::get(market)?.parameters;
        let (now, last) = (Self::now(), Epochs::<T>::get(market));
        let slots = Slots::<T>::get(market);
        let neurons = || slots.iter().flatten();
        let arrived = neurons().filter(|slot| slot.registered_at.block == now);
        Some(MarketSummary {
            epoch: last.epoch,
            begun: Self::epochs_begun(market),
            block: last.finished,
            loss: last.loss,
            in_consensus: last.in_consensus,
            minted: last.minted,
            neurons: neurons().count() as u16, // at most 4096
            arrived: arrived.count() as u16,
            registration_cost: Self::cost_in_block(market, &parameters, now),
        })
    }

    /// What governance decided for a market, and what of it waits for the next epoch.
    pub(crate) fn read_governance(market: MarketId) -> Option<Governance<Parameters>> {
        let current = Markets::<T>::get(market)?;
        let from_block = current.parameters.next_epoch_block(Self::now());
        let pending = PendingRules::<T>::get(market).map(|rules| Scheduled {
            from_block,
            emission_share: rules.emission_share,
            parameters: rules.parameters,
        });
        Some(Governance {
            emission_share: current.emission_share,
            parameters: current.parameters,
            pending,
        })
    }

    /// One neuron as in the metagraph; `None` where there is no such market or the slot is free.
    pub(crate) fn read_neuron(market: MarketId, uid: Uid) -> Option<Neuron<T::AccountId>> {
        let index = usize::from(uid);
        let slot = Slots::<T>::get(market).get(index).copied().flatten()?;
        let outcome = Outcomes::<T>::get(market).get(index).copied();
        Self::shown(market, uid, slot, outcome.unwrap_or_default())
    }

    /// The row that a neuron set last, as pairs of uid and weight.
    pub(crate) fn read_weights(market: MarketId, uid: Uid) -> Option<Vec<(Uid, u16)>> {
        let slot = Slots::<T>::get(market).get(usize::from(uid)).copied()??;
        // One that waits for a running epoch is younger than the one that the epoch has yet to read.
        if let Some(arrival) = Arrivals::<T>::get(market, uid) {
            return Some(arrival.weights.into_inner());
        }
        let edges = Self::edges_of(market, uid, &slot);
        let weights = edges.iter().filter(|(_, weight, _)| *weight > 0);
        Some(weights.map(|(to, weight, _)| (to, weight)).collect())
    }

    /// The bonds that a neuron holds, as pairs of uid and its share of all bonds in that neuron.
    pub(crate) fn read_bonds(market: MarketId, uid: Uid) -> Option<Vec<(Uid, Share)>> {
        let slots = Slots::<T>::get(market);
        let slot = slots.get(usize::from(uid)).copied()??;
        let columns = Columns::<T>::get(market);
        let running = EpochCursors::<T>::get(market);
        let began = match &running {
            Some(cursor) => cursor.began,
            None => Epochs::<T>::get(market).began,
        };
        // Bonds in a neuron that left stay in the rows of their holders until an epoch renews these; its successor
        // has none before an epoch has begun.
        let is_held = |to: Uid| {
            let there = slots.get(usize::from(to)).copied().flatten();
            there.is_some_and(|there| there.registered_at < Moment::start_of(began))
        };
        // A row that a running epoch has renewed has bonds of its columns, of which all rows together come to one.
        let renewed =
            running.is_some_and(|cursor| cursor.pass == Pass::Renewing && uid < cursor.next);
        let whole = |to: Uid| match renewed {
            true => u64::from(WHOLE_BOND),
            false => columns.get(usize::from(to)).map_or(0, |column| column.sum),
        };
        let edges = Self::edges_of(market, uid, &slot);
        let bonds = edges
            .iter()
            .filter(|(to, _, bond)| *bond > 0 && is_held(*to));
        let share = |(to, _, bond): (Uid, u16, u32)| {
            let whole = u128::from(whole(to));
            // At most one: after an epoch was dropped rows may be of other columns until they are cleared up.
            let bond = u128::from(bond).min(whole);
            let parts = bond.saturating_mul(ONE.into()).checked_div(whole)?;
            Some((to, Share(parts as u64)))
        };
        Some(bonds.filter_map(share).collect())
    }

    /// The row of the neuron in a slot. That of one who left, which a running epoch has yet to read, is not its own.
    fn edges_of(market: MarketId, uid: Uid, slot: &Slot) -> mechanism::Edges {
        let row = Self::row(market, uid);
        match row.set_at < slot.registered_at.time() {
            true => Default::default(),
            false => row.edges,
        }
    }

    /// What the running epoch, or else the next one, would publish if nothing changed until it is done:
    /// the epoch itself, with all that it wrote taken back.
    pub(crate) fn read_preview(market: MarketId) -> Option<Metagraph<T::AccountId>> {
        with_transaction(|| {
            Self::finish_next_epoch(market);
            let shown = Self::read_metagraph(market);
            TransactionOutcome::Rollback(Ok::<_, DispatchError>(shown))
        })
        .ok()
        .flatten()
    }

    /// Runs the epoch that is running to its end, or else the next as it will stand when it is due.
    fn finish_next_epoch(id: MarketId) {
        let Some(market) = Markets::<T>::get(id) else {
            return;
        };
        let now = Self::now();
        let at = match EpochCursors::<T>::contains_key(id) {
            true => now,
            false => market.parameters.next_epoch_block(now),
        };
        let mut meter = WeightMeter::new(); // no limit
        let run = Self::begin_epoch(id, &market, at, &mut meter)
            .or_else(|| Self::take_up(id, &market, at, &mut meter));
        if let Some(run) = run {
            Self::advance(id, run, at, &mut meter);
        }
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
