//! What a chain must change in its storage when its runtime is replaced by a newer one. One module a version of
//! the storage; a runtime lists those that its chains may still need in `SingleBlockMigrations`.

use crate::{pallet::*, running::View, types::*, Parameters};
use codec::{Decode, Encode};
use core::marker::PhantomData;
use frame_support::{
    migrations::VersionedMigration, traits::Get, traits::UncheckedOnRuntimeUpgrade, weights::Weight,
};

/// From version 1 to 2: delegation. A running epoch says as well what of the stake is others': nothing, as it
/// began before anybody could delegate.
pub mod v2 {
    use super::*;

    /// The change, if the storage has version 1.
    pub type Migration<T> =
        VersionedMigration<1, 2, Unchecked<T>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

    /// A [`View`] of version 1.
    #[derive(Encode, Decode)]
    pub(crate) struct ViewV1 {
        pub parameters: Parameters,
        pub emission: u64,
        pub slots: BySlot<Option<Slot>>,
    }

    /// The change, whatever version the storage has.
    pub struct Unchecked<T>(PhantomData<T>);

    impl<T: Config> UncheckedOnRuntimeUpgrade for Unchecked<T> {
        fn on_runtime_upgrade() -> Weight {
            let mut views = 0;
            EpochViews::<T>::translate_values(|old: ViewV1| {
                views += 1;
                Some(View {
                    parameters: old.parameters,
                    emission: old.emission,
                    slots: old.slots,
                    delegated: Default::default(),
                })
            });
            let markets = u64::from(T::MaxMarkets::get());
            T::DbWeight::get().reads_writes(markets, views)
        }

        #[cfg(feature = "try-runtime")]
        fn pre_upgrade() -> Result<alloc::vec::Vec<u8>, sp_runtime::TryRuntimeError> {
            Ok((EpochViews::<T>::iter_keys().count() as u32).encode())
        }

        #[cfg(feature = "try-runtime")]
        fn post_upgrade(before: alloc::vec::Vec<u8>) -> Result<(), sp_runtime::TryRuntimeError> {
            let before = u32::decode(&mut &before[..]).map_err(|_| "pre_upgrade says how many")?;
            frame_support::ensure!(
                EpochViews::<T>::iter_values().count() as u32 == before,
                "an epoch's view cannot be read after the upgrade"
            );
            Ok(())
        }
    }
}
