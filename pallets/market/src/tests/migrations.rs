//! Chains of before go on under this version.

use crate::{migrations::v2, mock::*, *};
use codec::Encode;
use frame_support::traits::{GetStorageVersion, OnRuntimeUpgrade, StorageVersion};
use market_primitives::NOE;
use sp_io::storage;

#[test]
fn an_epoch_that_was_running_when_the_runtime_was_replaced_ends_as_it_would_have() {
    // Of version 1 and in the middle of an epoch, migrated or not; what the epoch paid.
    let minted = |migrate: bool| {
        let mut chain = chain_with(rules());
        let minted = chain.execute_with(|| {
            (1..=3).for_each(|coldkey| {
                register(coldkey);
            });
            stake(1, 100 * NOE);
            vote(1, &[(1, 1), (2, 1)]);
            pieces_a_block(1);
            run_to(TEMPO + 2);
            // The bytes as version 1 had them: nothing after the slots.
            let key = EpochViews::<Test>::hashed_key_for(TEXT);
            let view = EpochViews::<Test>::get(TEXT).expect("it is running");
            let old = v2::ViewV1 {
                parameters: view.parameters.clone(),
                emission: view.emission,
                slots: view.slots.clone(),
            };
            storage::set(&key, &old.encode());
            let (new, old) = (view.encode(), old.encode());
            assert_eq!(
                new[..new.len() - 1],
                old,
                "but for the length of an empty list"
            );
            StorageVersion::new(1).put::<MarketPallet>();
            if migrate {
                v2::Migration::<Test>::on_runtime_upgrade();
                assert_eq!(EpochViews::<Test>::get(TEXT), Some(view));
                assert_eq!(MarketPallet::on_chain_storage_version(), 2);
                // Once and no more.
                v2::Migration::<Test>::on_runtime_upgrade();
                assert_eq!(EpochViews::<Test>::get(TEXT).encode()[1..], new);
            }
            pieces_a_block(1_000);
            run_to(TEMPO + 3);
            Epochs::<Test>::get(TEXT).minted
        });
        pieces_a_block(1_000);
        minted
    };
    assert_eq!(minted(true), u64::from(TEMPO) * NOE);
    // Without, it could not be read and would be dropped.
    assert_eq!(minted(false), 0);
}
