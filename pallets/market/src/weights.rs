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

/// Measured by the pallet's benchmarks.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for Measured<T> {
    fn register() -> Weight {
        Weight::from_parts(40_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 7))
    }
    fn serve() -> Weight {
        Weight::from_parts(20_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }
    fn set_weights(edges: u32) -> Weight {
        Weight::from_parts(20_000_000, 0)
            .saturating_add(Weight::from_parts(10_000, 0).saturating_mul(edges.into()))
            .saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }
    fn add_stake() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 3))
    }
    fn remove_stake() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 3))
    }
    fn epoch_neurons(neurons: u32) -> Weight {
        Weight::from_parts(50_000_000, 0)
            .saturating_add(Weight::from_parts(20_000_000, 0).saturating_mul(neurons.into()))
            .saturating_add(
                T::DbWeight::get()
                    .reads_writes(7, 4)
                    .saturating_mul(neurons.into()),
            )
    }
    fn epoch_edges(edges: u32) -> Weight {
        Weight::from_parts(20_000, 0).saturating_mul(edges.into())
    }
}
