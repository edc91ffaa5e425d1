//! What the calls and the epoch cost.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// The weight of each call, and of an epoch by what it reads.
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
    /// Of an epoch of a market of `neurons` neurons with empty rows.
    fn epoch_neurons(neurons: u32) -> Weight;
    /// Of an epoch of a few neurons with `edges` weights and bonds together.
    fn epoch_edges(edges: u32) -> Weight;
}

/// Measured through the Wasm runtime by `cargo bench -p noesis-runtime`, which prints what is charged
/// beside what was measured; rounded up. The database is charged apart, by what is read and written.
pub struct Measured<T>(PhantomData<T>);

/// Picoseconds in a microsecond, the units of reference time.
const MICROSECOND: u64 = 1_000_000;

/// Picoseconds for each edge of a row: measured 60,000 in an epoch, decoding included.
const EDGE: u64 = 100_000;

impl<T: frame_system::Config> Measured<T> {
    fn weight(microseconds: u64, reads: u64, writes: u64) -> Weight {
        Weight::from_parts(microseconds.saturating_mul(MICROSECOND), 0)
            .saturating_add(T::DbWeight::get().reads_writes(reads, writes))
    }
}

impl<T: frame_system::Config> WeightInfo for Measured<T> {
    fn register() -> Weight {
        Self::weight(150, 6, 7)
    }
    fn serve() -> Weight {
        Self::weight(50, 3, 1)
    }
    fn set_weights(edges: u32) -> Weight {
        // The longest row may have to be read to be replaced.
        let replaced = u64::from(market_primitives::MAX_CAPACITY);
        Self::weight(60, 4, 1).saturating_add(Weight::from_parts(
            EDGE.saturating_mul(replaced.saturating_add(edges.into())),
            0,
        ))
    }
    fn add_stake() -> Weight {
        Self::weight(180, 6, 4)
    }
    fn remove_stake() -> Weight {
        Self::weight(180, 6, 4)
    }
    fn epoch_neurons(neurons: u32) -> Weight {
        Self::weight(100, 5, 4)
            .saturating_add(Self::weight(20, 4, 3).saturating_mul(neurons.into()))
    }
    fn epoch_edges(edges: u32) -> Weight {
        Weight::from_parts(EDGE.saturating_mul(edges.into()), 0)
    }
}
