//! What the calls and the epoch cost.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// The weight of each call, and of each piece of an epoch.
pub trait WeightInfo {
    /// Of `register`.
    fn register() -> Weight;
    /// Of `serve`.
    fn serve() -> Weight;
    /// Of `set_weights` with a row of `edges` edges.
    fn set_weights(edges: u32) -> Weight;
    /// Of `add_stake`.
    fn add_stake() -> Weight;
    /// Of `remove_stake`.
    fn remove_stake() -> Weight;
    /// Of `deregister`.
    fn deregister() -> Weight;
    /// Of `swap_hotkey`.
    fn swap_hotkey() -> Weight;
    /// Of `commit_weights`.
    fn commit_weights() -> Weight;
    /// Of `reveal_weights` with a row of `edges` edges.
    fn reveal_weights(edges: u32) -> Weight;
    /// Of `delegate`.
    fn delegate() -> Weight;
    /// Of `undelegate`.
    fn undelegate() -> Weight;
    /// Of `set_take`.
    fn set_take() -> Weight;
    /// Of `create_market` where there can be so many.
    fn create_market(markets: u32) -> Weight;
    /// Of `set_parameters` where there can be so many markets.
    fn set_parameters(markets: u32) -> Weight;
    /// Of beginning the epoch of a market of so many slots, of bringing new rules into force, and of putting it by.
    fn epoch_begin(slots: u32) -> Weight;
    /// Of taking an epoch up again, and of putting it by.
    fn epoch_resume(slots: u32) -> Weight;
    /// Of counting the votes of a row of `edges` edges.
    fn epoch_count_row(edges: u32) -> Weight;
    /// Of what follows from the votes.
    fn epoch_verdict(slots: u32) -> Weight;
    /// Of renewing the bonds of a row of `edges` edges, those included that arrived meanwhile.
    fn epoch_renew_row(edges: u32) -> Weight;
    /// Of paying, publishing and forgetting.
    fn epoch_finish(slots: u32) -> Weight;
}

/// Measured through the Wasm runtime by `cargo bench --workspace --bench weights` (`runtime/benches/weights.rs`), which
/// prints what is charged beside what was measured and fails where that is more; rounded up, and typed here by hand, so
/// that whoever changes a call runs it. Of a free call that is with its check in
/// [`CheckMarketCall`](crate::CheckMarketCall), which is charged nothing by itself. The database is charged apart, by
/// what is read and written.
pub struct Measured<T>(PhantomData<T>);

/// Picoseconds in a microsecond, the units of reference time.
const MICROSECOND: u64 = 1_000_000;

/// Picoseconds for each edge of a row that is read and counted.
const COUNT_EDGE: u64 = 8_000;

/// Picoseconds for each edge of a row that is read, changed and written: of one that is taken apart for
/// it, since edges come or go. One in which but the bonds change takes less than half.
const RENEW_EDGE: u64 = 40_000;

/// Picoseconds for each slot of a market whose slots are read or written.
const SLOT: u64 = 100_000;

/// Picoseconds for each pool of a market whose pools are read or written.
const POOL: u64 = 200_000;

/// The longest row, and the largest market.
const MOST: u64 = market_primitives::MAX_CAPACITY as u64;

impl<T: frame_system::Config> Measured<T> {
    fn weight(microseconds: u64, reads: u64, writes: u64) -> Weight {
        Weight::from_parts(microseconds.saturating_mul(MICROSECOND), 0)
            .saturating_add(T::DbWeight::get().reads_writes(reads, writes))
    }

    /// Of so many things that take so many picoseconds each.
    fn each(count: u64, picoseconds: u64) -> Weight {
        Weight::from_parts(count.saturating_mul(picoseconds), 0)
    }

    /// Of reading and writing all slots of the largest market.
    fn all_slots() -> Weight {
        Self::each(MOST, SLOT)
    }

    /// Of reading and writing the pools of all slots of the largest market.
    fn all_pools() -> Weight {
        Self::each(MOST, POOL)
    }

    /// Of reading so many markets with what is pending for them.
    fn markets(count: u32) -> Weight {
        Self::weight(10, 3, 0).saturating_mul(count.into())
    }

    /// Of taking the longest row out of the largest market.
    fn vacate() -> Weight {
        Self::weight(150, 14, 17)
            .saturating_add(Self::all_pools())
            .saturating_add(Self::each(MOST, RENEW_EDGE))
            .saturating_add(Self::all_slots().saturating_mul(4))
    }
}

impl<T: frame_system::Config> WeightInfo for Measured<T> {
    fn register() -> Weight {
        Self::weight(150, 7, 7)
            .saturating_add(Self::all_slots())
            .saturating_add(Self::vacate())
    }
    fn serve() -> Weight {
        Self::weight(50, 3, 1)
    }
    fn set_weights(edges: u32) -> Weight {
        // The row that is replaced may be as long as any.
        Self::weight(60, 7, 2)
            .saturating_add(Self::all_slots())
            .saturating_add(Self::each(MOST.saturating_add(edges.into()), RENEW_EDGE))
    }
    fn add_stake() -> Weight {
        Self::weight(180, 6, 4).saturating_add(Self::all_slots())
    }
    fn remove_stake() -> Weight {
        Self::weight(180, 7, 4)
            .saturating_add(Self::all_slots())
            .saturating_add(Self::all_pools())
    }
    fn deregister() -> Weight {
        Self::weight(100, 3, 0).saturating_add(Self::vacate())
    }
    fn swap_hotkey() -> Weight {
        Self::weight(100, 6, 5)
    }
    fn commit_weights() -> Weight {
        Self::weight(60, 6, 1)
    }
    fn reveal_weights(edges: u32) -> Weight {
        // The row is hashed as well, and the commitment taken away.
        Self::set_weights(edges)
            .saturating_add(Self::weight(20, 2, 1))
            .saturating_add(Self::each(edges.into(), RENEW_EDGE))
    }
    fn delegate() -> Weight {
        Self::weight(200, 10, 7)
            .saturating_add(Self::all_slots())
            .saturating_add(Self::all_pools())
    }
    fn undelegate() -> Weight {
        Self::weight(200, 7, 6)
            .saturating_add(Self::all_slots())
            .saturating_add(Self::all_pools())
    }
    fn set_take() -> Weight {
        Self::weight(80, 6, 2).saturating_add(Self::all_pools())
    }
    fn create_market(markets: u32) -> Weight {
        Self::weight(100, 4, 4).saturating_add(Self::markets(markets))
    }
    fn set_parameters(markets: u32) -> Weight {
        Self::weight(100, 2, 1).saturating_add(Self::markets(markets))
    }
    fn epoch_begin(slots: u32) -> Weight {
        Self::weight(130, 8, 10).saturating_add(Self::each(slots.into(), 4 * SLOT + 2 * POOL))
    }
    fn epoch_resume(slots: u32) -> Weight {
        Self::weight(100, 8, 6).saturating_add(Self::each(slots.into(), 10 * SLOT + POOL))
    }
    fn epoch_count_row(edges: u32) -> Weight {
        Self::weight(10, 1, 0).saturating_add(Self::each(edges.into(), COUNT_EDGE))
    }
    fn epoch_verdict(slots: u32) -> Weight {
        Self::weight(20, 1, 0).saturating_add(Self::each(slots.into(), 40 * SLOT))
    }
    fn epoch_renew_row(edges: u32) -> Weight {
        Self::weight(20, 2, 2).saturating_add(Self::each(edges.into(), RENEW_EDGE))
    }
    fn epoch_finish(slots: u32) -> Weight {
        let left = u64::from(crate::running::MAX_DEPARTURES);
        Self::weight(200, 9, 14)
            .saturating_add(Self::weight(80, 3, 3).saturating_mul(left))
            .saturating_add(Self::each(slots.into(), 20 * SLOT + 2 * POOL))
    }
}
