//! What becomes of an epoch whose state was lost between two blocks: an entry is gone, or reads as
//! something else, as after an upgrade that changed what is stored without migrating it.
//!
//! Such an epoch is *dropped*: it is over, gave nobody anything, and an event says so. Whoever left
//! while it was running gets nothing of it either; their stake went back when they left. What it had
//! done to the rows cannot be undone, and need not be: a bond is a share of its column before the epoch
//! and after it. So the rows are walked once more, in as many blocks as that takes, until they are those
//! of the neurons that are there, with what arrived meanwhile, and columns have the sums of their bonds.
//! Then the next epoch begins at its time.

use crate::{pallet::*, running::*, types::*, WeightInfo};
use frame_support::{weights::WeightMeter, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{BlockNumber, MarketId, Uid};

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Drops a market's epoch, if the budget is enough for that.
    pub(crate) fn drop_epoch(
        id: MarketId,
        market: &Market,
        now: BlockNumber,
        meter: &mut WeightMeter,
    ) {
        let slots = Slots::<T>::decode_len(id).unwrap_or(0);
        let publication = T::WeightInfo::epoch_finish(slots as u32);
        if meter.try_consume(publication).is_err() {
            return; // in the next block
        }
        let last = Epochs::<T>::get(id);
        // Where not even the cursor is left, or to be believed, it began when it was due.
        let due = market.parameters.next_epoch_block(last.began).min(now);
        let began = EpochCursors::<T>::get(id)
            .map(|cursor| cursor.began)
            .filter(|began| last.began < *began && *began <= now)
            .unwrap_or(due);
        let dropped = EpochSummary {
            epoch: last.epoch.saturating_add(1),
            began,
            finished: now,
            ..Default::default()
        };
        Self::forget_epoch(id);
        Self::keep_standings(id);
        Outcomes::<T>::remove(id);
        Epochs::<T>::insert(id, dropped);
        let cursor = Cursor {
            epoch: dropped.epoch,
            began,
            slots: slots as u16, // at most 4096
            pass: Pass::Clearing,
            next: 0,
        };
        EpochCursors::<T>::insert(id, cursor);
        Self::deposit_event(Event::EpochDropped {
            market: id,
            epoch: dropped.epoch,
        });
    }

    /// Goes on clearing up after an epoch that was dropped, as far as the budget goes.
    pub(crate) fn clear_up(id: MarketId, mut cursor: Cursor, meter: &mut WeightMeter) {
        let slots = Slots::<T>::get(id);
        let mut columns = NextColumns::<T>::get(id).into_inner();
        if columns.len() != usize::from(cursor.slots) {
            // None of it is done, or what was done is lost too: from the beginning.
            cursor.next = 0;
            columns = Columns::<T>::get(id).into_inner();
            columns.resize_with(cursor.slots.into(), Default::default);
            columns.iter_mut().for_each(|column| column.sum = 0);
        }
        let longest = T::WeightInfo::epoch_renew_row(slots.len() as u32 * 2); // at most 8192
        while cursor.next < cursor.slots && meter.can_consume(longest) {
            let (uid, slot) = (cursor.next, slots.get(usize::from(cursor.next)));
            let edges = Self::clear_row(id, uid, slot.and_then(Option::as_ref), &mut columns);
            meter.consume(T::WeightInfo::epoch_renew_row(edges));
            cursor.next = uid.saturating_add(1);
        }
        let publication = T::WeightInfo::epoch_finish(cursor.slots.into());
        if cursor.next < cursor.slots || meter.try_consume(publication).is_err() {
            NextColumns::<T>::insert(id, BoundedVec::truncate_from(columns));
            EpochCursors::<T>::insert(id, cursor);
            return;
        }
        for (column, slot) in columns.iter_mut().zip(&slots) {
            // Nobody has bonds yet in a neuron that came since, or in nobody; those in a column that the
            // dropped epoch was the first to give any have nothing to be a share of.
            let since = Moment::start_of(cursor.began);
            if slot.is_none_or(|slot| slot.registered_at >= since) || column.mantissa == 0 {
                *column = Column::default();
            }
        }
        Columns::<T>::insert(id, BoundedVec::truncate_from(columns));
        Self::forget_epoch(id);
    }

    /// Makes a row that of the neuron in its slot, with what arrived for it, and adds its bonds to the
    /// sums of `columns`. How many edges were read.
    fn clear_row(id: MarketId, uid: Uid, slot: Option<&Slot>, columns: &mut [Column]) -> u32 {
        let arrival = Arrivals::<T>::take(id, uid);
        let row = Rows::<T>::get(id, uid).unwrap_or_default();
        let mut set_at = row.set_at;
        let mut edges = row.edges();
        let arrived = arrival.as_ref().map_or(0, |arrival| arrival.weights.len());
        let read = edges.len().saturating_add(arrived) as u32; // twice the slots at most
        if slot.is_none_or(|slot| set_at < slot.registered_at) {
            edges = Default::default(); // of one who left
        }
        if let Some(arrival) = arrival {
            edges = edges.with_weights(&arrival.weights);
            set_at = arrival.set_at;
        }
        for (to, _, bond) in edges.iter() {
            if let Some(column) = columns.get_mut(usize::from(to)) {
                column.sum = column.sum.saturating_add(bond.into());
            }
        }
        Self::store_row(id, uid, set_at, edges);
        read
    }
}
