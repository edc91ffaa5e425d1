//! The epoch: from what storage holds to what everybody is paid.
//!
//! It runs at the start of a block, on what stood at the end of the one before. All arithmetic is
//! [`market_mechanism`]'s: rows of weights and bonds are handed over one by one, so that no more
//! than one of them is decoded at a time.

use crate::{pallet::*, types::*, WeightInfo};
use alloc::vec::Vec;
use frame_support::{
    traits::{fungible::Mutate, Get},
    weights::Weight,
    BoundedVec,
};
use frame_system::pallet_prelude::BlockNumberFor;
use market_mechanism as mechanism;
use market_primitives::{BlockNumber, MarketId, Share, SignedShare, Uid};

/// What an epoch read, which is what it costs.
#[derive(Clone, Copy, Default)]
pub struct Size {
    /// Slots.
    pub neurons: u32,
    /// Edges in rows of weights, and bonds.
    pub edges: u32,
}

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Runs the epoch of every market that is due in block `now`; its weight.
    pub(crate) fn run_due_epochs(now: BlockNumber) -> Weight {
        let mut weight = T::DbWeight::get().reads(1);
        for id in 0..T::MaxMarkets::get() {
            let Some(market) = Markets::<T>::get(id) else {
                break; // ids are given in order
            };
            weight.saturating_accrue(T::DbWeight::get().reads(1));
            if market.parameters.is_epoch(now) {
                let size = Self::run_epoch(id, &market, now);
                weight.saturating_accrue(Self::epoch_weight(size));
            }
        }
        weight
    }

    /// What an epoch that read this much costs.
    pub fn epoch_weight(size: Size) -> Weight {
        T::WeightInfo::epoch_neurons(size.neurons)
            .saturating_add(T::WeightInfo::epoch_edges(size.edges))
    }

    /// Runs one epoch of one market.
    pub(crate) fn run_epoch(id: MarketId, market: &Market, now: BlockNumber) -> Size {
        let last = Epochs::<T>::get(id);
        let epoch = last.epoch.saturating_add(1);
        let emission = Self::emission_between(last.block, now, market.emission_share);
        let slots = Self::slots(id);
        let view = mechanism::Market::new(
            market.parameters.mechanism(),
            &slots,
            mechanism::Clock {
                epoch,
                now: now.saturating_sub(1).into(),
                previous: last.block.saturating_sub(1).into(),
            },
        );

        let mut size = Size {
            neurons: slots.len() as u32, // a uid each
            edges: 0,
        };
        let verdict = Self::count_votes(id, &view, &mut size);
        let dividends = Self::renew_bonds(id, &view, &verdict, &mut size);
        let payouts = mechanism::emission::payouts(
            &view,
            verdict.in_consensus,
            &verdict.incentive,
            &dividends,
            emission,
        );
        let outcome = mechanism::Outcome::new(&verdict, &dividends, &payouts);
        let minted = Self::pay(id, &outcome);

        let summary = EpochSummary {
            epoch,
            block: now,
            loss: SignedShare(outcome.loss),
            in_consensus: outcome.in_consensus,
            minted,
        };
        Epochs::<T>::insert(id, summary);
        Self::deposit_event(Event::EpochFinished {
            market: id,
            epoch,
            loss: summary.loss,
            in_consensus: summary.in_consensus,
            minted,
        });
        size
    }

    /// The slots of a market as the mechanism sees them, by uid.
    fn slots(market: MarketId) -> Vec<Option<mechanism::Slot>> {
        (0..NeuronCount::<T>::get(market))
            .map(|uid| {
                Slots::<T>::get(market, uid).map(|slot| mechanism::Slot {
                    stake: Stakes::<T>::get(market, uid),
                    registered_at: slot.registered_at.into(),
                })
            })
            .collect()
    }

    /// Steps 1 to 7: from rows of weights to rank, trust, consensus, incentive and loss.
    fn count_votes(
        market: MarketId,
        view: &mechanism::Market,
        size: &mut Size,
    ) -> mechanism::Verdict {
        let mut votes = mechanism::Votes::new(view);
        for uid in view.uids() {
            Self::with_row(market, uid, |row| {
                size.edges = size.edges.saturating_add(row.edges.len() as u32);
                votes.add_row(view, uid, row);
            });
        }
        votes.finish(view)
    }

    /// Steps 8 and 9: rows of bonds follow the votes; dividends by uid.
    fn renew_bonds(
        market: MarketId,
        view: &mechanism::Market,
        verdict: &mechanism::Verdict,
        size: &mut Size,
    ) -> Vec<u64> {
        let mut bonds = mechanism::Bonds::new(view);
        let mut renewed = Vec::new();
        for uid in view.uids() {
            let held = Self::bonds(market, uid);
            size.edges = size.edges.saturating_add(held.len() as u32);
            Self::with_row(market, uid, |row| {
                bonds.update_row(view, verdict, uid, row, &held, &mut renewed);
            });
            Self::store_bonds(market, uid, &renewed);
        }
        let mut dividends = bonds.finish(verdict);
        for uid in view.uids() {
            dividends.add_row(uid, &Self::bonds(market, uid));
        }
        dividends.finish()
    }

    /// Steps 10 and 11: mints what is to be paid and pays it into the slots; units minted.
    fn pay(market: MarketId, outcome: &mechanism::Outcome) -> u64 {
        // Nothing is paid that was not minted, so that the ledger stays true even if minting failed.
        let account = Self::stake_account();
        let mint = |units: u64| T::Currency::mint_into(&account, units.into());
        let minted = match outcome.minted {
            0 => 0,
            units => mint(units).map_or(0, |_| units),
        };
        TotalMinted::<T>::mutate(|total| *total = total.saturating_add(minted));
        for (uid, neuron) in (0..).zip(&outcome.neurons) {
            let pay = if minted > 0 { neuron.payout } else { 0 };
            Outcomes::<T>::insert(
                market,
                uid,
                Outcome {
                    rank: Share(neuron.rank),
                    trust: Share(neuron.trust),
                    consensus: Share(neuron.consensus),
                    incentive: Share(neuron.incentive),
                    dividend: Share(neuron.dividend),
                    pay,
                },
            );
            if pay > 0 {
                Stakes::<T>::mutate(market, uid, |stake| *stake = stake.saturating_add(pay));
            }
        }
        minted
    }

    /// Hands over the row of weights of a neuron, an empty one where it set none.
    fn with_row(market: MarketId, uid: Uid, hand_over: impl FnOnce(&mechanism::Row)) {
        match Weights::<T>::get(market, uid) {
            Some(row) => hand_over(&mechanism::Row {
                set_at: row.set_at.into(),
                edges: &row.edges,
            }),
            None => hand_over(&mechanism::Row::default()),
        }
    }

    /// The row of bonds of a neuron.
    fn bonds(market: MarketId, uid: Uid) -> Vec<mechanism::Holding> {
        Bonds::<T>::get(market, uid)
            .into_iter()
            .map(|(to, bits)| (to, mechanism::Bond::from_bits(bits)))
            .collect()
    }

    /// Stores the row of bonds of a neuron; an empty one takes no room.
    fn store_bonds(market: MarketId, uid: Uid, row: &[mechanism::Holding]) {
        if row.is_empty() {
            Bonds::<T>::remove(market, uid);
        } else {
            let row = row.iter().map(|(to, bond)| (*to, bond.to_bits())).collect();
            // A row has one bond a slot at most, which is its bound.
            Bonds::<T>::insert(market, uid, BoundedVec::truncate_from(row));
        }
    }
}
