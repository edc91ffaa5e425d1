//! The epoch: from what storage holds to what everybody is paid.
//!
//! It begins at the start of a block, on what stood at the end of the one before, and takes as many
//! blocks as it needs: of each, all markets together have [`Config::EpochBudget`]. A small market is
//! done in one. What it gave is published by its last step, all at once. Epochs that are due in the same block begin in
//! it, all of them, before any is computed.
//!
//! All arithmetic is [`market_mechanism`]'s: rows are handed over one by one, so that no more than one
//! of them is in memory at a time.

use crate::{delegation::Earned, pallet::*, running::*, stored_row, types::*, WeightInfo};
use alloc::vec::Vec;
use frame_support::{
    traits::{fungible::Mutate, Get},
    weights::{Weight, WeightMeter},
    BoundedVec,
};
use frame_system::pallet_prelude::BlockNumberFor;
use market_mechanism as mechanism;
use market_primitives::{BlockNumber, MarketId, Share, SignedShare, Uid};

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Begins the epochs that are due in block `now` and goes on with those that are running, as far as
    /// the budget of a block goes; the weight of that.
    pub(crate) fn run_epochs(now: BlockNumber) -> Weight {
        let mut markets = Vec::new();
        while let Some(market) = Markets::<T>::get(markets.len() as MarketId) {
            markets.push(market); // ids are given in order
        }
        let reads = T::DbWeight::get().reads(markets.len() as u64 + 1);
        // Each block another market comes first, so that none waits for another's large epoch for long.
        let first = (now as usize).checked_rem(markets.len()).unwrap_or(0);
        let turns = (0..markets.len()).map(|turn| (first + turn) % markets.len());

        let mut meter = WeightMeter::with_limit(T::EpochBudget::get());
        // All that are due begin before anything is computed, as far as the budget goes, so that they see the stake of
        // one block: a unit that is moved counts in one market then. What begins costs little beside what is computed,
        // and begins anew only after it was finished, so that there is always budget left in some block to come.
        let begin =
            |index: usize| Self::begin_epoch(index as MarketId, &markets[index], now, &mut meter);
        let begun: Vec<_> = turns.clone().map(begin).collect();
        for (index, begun) in turns.zip(begun) {
            let id = index as MarketId;
            let run = begun.or_else(|| Self::take_up(id, &markets[index], now, &mut meter));
            if let Some(run) = run {
                Self::advance(id, run, now, &mut meter);
            }
        }
        reads.saturating_add(meter.consumed())
    }

    /// The epoch of a market that is running, if the budget is enough to take it up again.
    pub(crate) fn take_up(
        id: MarketId,
        market: &Market,
        now: BlockNumber,
        meter: &mut WeightMeter,
    ) -> Option<Run> {
        meter.try_consume(T::DbWeight::get().reads(2)).ok()?;
        if !Self::is_running(id) {
            return None;
        }
        let slots = Slots::<T>::decode_len(id).unwrap_or(0) as u32; // it had no more of them
        meter.try_consume(T::WeightInfo::epoch_resume(slots)).ok()?;
        match Self::resume_epoch(id) {
            Resumed::Running(run) => return Some(*run),
            Resumed::Dropped(cursor) => Self::clear_up(id, cursor, meter),
            Resumed::Lost => Self::drop_epoch(id, market, now, meter),
        }
        None
    }

    /// Whether an epoch is running: whatever is left of an epoch's state says that there is one.
    fn is_running(id: MarketId) -> bool {
        EpochCursors::<T>::contains_key(id) || EpochViews::<T>::contains_key(id)
    }

    /// The epoch of a market, if none is running and one is due, if the budget is enough to begin it.
    pub(crate) fn begin_epoch(
        id: MarketId,
        market: &Market,
        now: BlockNumber,
        meter: &mut WeightMeter,
    ) -> Option<Run> {
        meter.try_consume(T::DbWeight::get().reads(3)).ok()?;
        if Self::is_running(id) {
            return None;
        }
        let last = Epochs::<T>::get(id);
        if last.began >= market.parameters.last_epoch_block(now) {
            return None; // not due
        }
        let slots = Slots::<T>::decode_len(id).unwrap_or(0) as u32;
        meter.try_consume(T::WeightInfo::epoch_begin(slots)).ok()?;
        let cursor = Cursor {
            epoch: last.epoch.saturating_add(1),
            began: now,
            slots: slots as u16, // at most 4096
            pass: Pass::Counting,
            next: 0,
        };
        let view = View {
            parameters: market.parameters.clone(),
            emission: Self::allot_emission(id, last.began, now, market.emission_share),
            slots: Slots::<T>::get(id),
            delegated: Self::delegated(id, now),
        };
        // It settles the time until now, by the rules of that time; from now on others may hold.
        Self::change_rules(id, market, now);
        Some(Run::new(cursor, view))
    }

    /// Takes an epoch as far as the budget goes, and finishes it or puts it by.
    pub(crate) fn advance(id: MarketId, mut run: Run, now: BlockNumber, meter: &mut WeightMeter) {
        let slots = run.cursor.slots.into();
        if Self::count_votes(id, &mut run, meter)
            && Self::renew_bonds(id, &mut run, meter)
            && meter
                .try_consume(T::WeightInfo::epoch_finish(slots))
                .is_ok()
        {
            Self::finish(id, run, now);
        } else {
            Self::put_epoch_by(id, run);
        }
    }

    /// Steps 1 to 7: from rows of weights to rank, trust, consensus, incentive and loss. Whether it is
    /// done.
    fn count_votes(id: MarketId, run: &mut Run, meter: &mut WeightMeter) -> bool {
        if run.renewing.is_some() {
            return true;
        }
        let market = market(&run.cursor, &run.view, &run.slots);
        let longest = T::WeightInfo::epoch_count_row(run.cursor.slots.into());
        while run.cursor.next < run.cursor.slots {
            if !meter.can_consume(longest) {
                return false;
            }
            let uid = run.cursor.next;
            let mut stored = stored_row::read::<T>(id, uid);
            let row = stored.as_mut().and_then(|stored| stored.columns());
            let edges = row.as_ref().map_or(0, |row| row.bonds.len());
            meter.consume(T::WeightInfo::epoch_count_row(edges as u32));
            if let Some(row) = row {
                run.votes.add(&market, uid, row.ballot);
            }
            run.cursor.next = uid.saturating_add(1);
        }
        let verdict = T::WeightInfo::epoch_verdict(run.cursor.slots.into());
        if meter.try_consume(verdict).is_err() {
            return false;
        }
        let verdict = run.votes.verdict(&market);
        let columns = Self::columns(id);
        let renewal = mechanism::Renewal::new(&market, &run.votes, &verdict.incentive, &columns);
        run.renewing = Some(Renewing { verdict, renewal });
        run.cursor.pass = Pass::Renewing;
        run.cursor.next = 0;
        true
    }

    /// Steps 8 and 9: rows of bonds follow the votes, and earn dividends. Whether it is done.
    fn renew_bonds(id: MarketId, run: &mut Run, meter: &mut WeightMeter) -> bool {
        let market = market(&run.cursor, &run.view, &run.slots);
        let Some(Renewing { renewal, .. }) = &mut run.renewing else {
            return false;
        };
        let now = Slots::<T>::get(id);
        // A row may be followed by one as long that came meanwhile, in a market that may have grown.
        let slots = u32::from(run.cursor.slots).saturating_add(now.len() as u32);
        let longest = T::WeightInfo::epoch_renew_row(slots);
        while run.cursor.next < run.cursor.slots {
            if !meter.can_consume(longest) {
                return false;
            }
            let uid = run.cursor.next;
            let arrival = Arrivals::<T>::take(id, uid);
            let mut stored = stored_row::read::<T>(id, uid);
            let row = stored.as_mut().and_then(|stored| stored.columns());
            let arrived = arrival.as_ref().map_or(0, |arrival| arrival.weights.len());
            let edges = row.as_ref().map_or(0, |row| row.bonds.len());
            let edges = edges.saturating_add(arrived) as u32; // twice the slots at most
            meter.consume(T::WeightInfo::epoch_renew_row(edges));
            let vacant = row
                .is_some_and(|row| renewal.renew(&market, &run.votes, uid, row.ballot, row.bonds));
            let gone = changed_hands(uid, &run.view.slots, &now);
            match stored {
                Some(mut stored) if !vacant && !gone && arrival.is_none() => stored.put_back(),
                None if arrival.is_none() => {}
                stored => {
                    let row = stored
                        .and_then(|mut stored| stored.row())
                        .unwrap_or_default();
                    let mut set_at = row.set_at;
                    let mut edges = row.edges();
                    edges.compact();
                    if gone {
                        renewal.withdraw(&edges);
                        edges = Default::default();
                    }
                    if let Some(arrival) = arrival {
                        edges = edges.with_weights(&arrival.weights);
                        set_at = arrival.set_at;
                    }
                    Self::store_row(id, uid, set_at, edges);
                }
            }
            run.cursor.next = uid.saturating_add(1);
        }
        true
    }

    /// Steps 10 and 11, and publication.
    fn finish(id: MarketId, run: Run, now: BlockNumber) {
        let market = market(&run.cursor, &run.view, &run.slots);
        let Some(Renewing { verdict, renewal }) = run.renewing else {
            return; // it was not done
        };
        let (dividends, mut columns) = (renewal.dividends(), renewal.columns());
        let payouts = mechanism::emission::payouts(
            &market,
            verdict.in_consensus,
            &verdict.incentive,
            &dividends,
            run.view.emission,
        );
        let mut outcome = mechanism::Outcome::new(&verdict, &dividends, &payouts);
        let mut slots = Slots::<T>::get(id);
        let earned = Self::earned(&run.view, &outcome.neurons);
        let minted = Self::pay(id, slots.as_mut(), &mut outcome.neurons, &earned);
        for (uid, (neuron, column)) in (0..).zip(outcome.neurons.iter_mut().zip(&mut columns)) {
            if changed_hands(uid, &run.view.slots, &slots) {
                *neuron = Default::default();
                *column = Default::default();
            }
        }
        Slots::<T>::insert(id, slots);
        Self::store_columns::<Columns<T>>(id, columns);
        if minted > 0 {
            Standings::<T>::remove(id);
        } else {
            Self::keep_standings(id);
        }
        let outcomes = outcome.neurons.into_iter().map(Into::into).collect();
        Outcomes::<T>::insert(id, BoundedVec::truncate_from(outcomes));
        let summary = EpochSummary {
            epoch: run.cursor.epoch,
            began: run.cursor.began,
            finished: now,
            loss: SignedShare(outcome.loss),
            in_consensus: outcome.in_consensus,
            minted,
        };
        Epochs::<T>::insert(id, summary);
        Self::forget_epoch(id);
        Self::deposit_event(Event::EpochFinished {
            market: id,
            epoch: summary.epoch,
            loss: summary.loss,
            in_consensus: summary.in_consensus,
            minted,
        });
    }

    /// Mints what is to be paid: into the slots, and to the coldkeys and the closed pools of those who left
    /// since the epoch began. Units minted; what could not be minted is not paid.
    fn pay(
        id: MarketId,
        slots: &mut [Option<Slot>],
        neurons: &mut [mechanism::Neuron],
        earned: &[Earned],
    ) -> u64 {
        let mut minted = 0_u64;
        for (uid, coldkey) in Departures::<T>::get(id) {
            if let Some(neuron) = neurons.get_mut(usize::from(uid)) {
                let others = earned.binary_search_by_key(&uid, |earned| earned.uid);
                let others = others.ok().and_then(|index| earned.get(index));
                let others = others.map_or(0, Self::pay_closed_pool);
                let own = Self::mint(&coldkey, neuron.payout.saturating_sub(others));
                minted = minted.saturating_add(others).saturating_add(own);
                neuron.payout = 0;
            }
        }
        let into_slots = neurons.iter().map(|neuron| neuron.payout);
        let due = into_slots.fold(0, u64::saturating_add);
        if Self::mint(&Self::stake_account(), due) == 0 {
            neurons.iter_mut().for_each(|neuron| neuron.payout = 0);
        } else {
            minted = minted.saturating_add(due);
            for (slot, neuron) in slots.iter_mut().zip(neurons.iter()) {
                if let Some(slot) = slot {
                    slot.stake = slot.stake.saturating_add(neuron.payout);
                }
            }
            Self::credit_pools(id, earned);
        }
        TotalMinted::<T>::mutate(|total| *total = total.saturating_add(minted));
        minted
    }

    /// Mints units; how many were.
    pub(crate) fn mint(account: &T::AccountId, units: u64) -> u64 {
        match units {
            0 => 0,
            _ => T::Currency::mint_into(account, units.into()).map_or(0, |_| units),
        }
    }
}

/// Whether a slot is no longer the neuron's that the view shows.
fn changed_hands(uid: Uid, then: &[Option<Slot>], now: &[Option<Slot>]) -> bool {
    let owner = |slots: &[Option<Slot>]| {
        let slot = slots.get(usize::from(uid)).copied().flatten();
        slot.map(|slot| slot.registered_at)
    };
    owner(then) != owner(now)
}

impl From<mechanism::Neuron> for Outcome {
    fn from(neuron: mechanism::Neuron) -> Self {
        Self {
            rank: Share(neuron.rank),
            trust: Share(neuron.trust),
            consensus: Share(neuron.consensus),
            incentive: Share(neuron.incentive),
            dividend: Share(neuron.dividend),
            pay: neuron.payout,
        }
    }
}
