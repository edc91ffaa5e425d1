//! What a chain of an older version lacks in this runtime, beside what its pallets' own migrations change.

use crate::{AccountId, Grandpa, Runtime, SessionKeys};
use alloc::vec::Vec;
use frame_support::{traits::OnRuntimeUpgrade, weights::Weight, BoundedVec};
use pallet_session::SessionManager;
use sp_runtime::traits::OpaqueKeys;

/// The migrations of this runtime, each of which looks for itself whether it is needed.
pub type Migrations = (
    pallet_market::migrations::v2::Migration<Runtime>,
    AuthoritiesIntoSessions,
);

/// From version 100, which had no sessions: its authorities were those of the genesis. They go on, as the first
/// set, in sessions of the default length: without, nobody would be known as the author of a block, fees
/// would be burned and equivocations not be reported.
///
/// The account of an authority is that of its Aura key, as in the genesis of version 100.
pub struct AuthoritiesIntoSessions;

impl OnRuntimeUpgrade for AuthoritiesIntoSessions {
    fn on_runtime_upgrade() -> Weight {
        let weight = <Runtime as frame_system::Config>::DbWeight::get();
        // The set is never empty in a chain that has sessions.
        if !pallet_authorities::Authorities::<Runtime>::get().is_empty() {
            return weight.reads(1);
        }
        let keys = session_keys();
        for (account, keys) in &keys {
            introduce(account, keys);
        }
        let accounts: Vec<_> = keys.iter().map(|(account, _)| account.clone()).collect();
        pallet_authorities::Authorities::<Runtime>::put(BoundedVec::truncate_from(
            accounts.clone(),
        ));
        // In the order of a genesis: the history of the first two sessions is written before there are keys in the
        // queue, since what is queued already is nothing new.
        type Manager = <Runtime as pallet_session::Config>::SessionManager;
        for session in 0..2 {
            let _ = <Manager as SessionManager<AccountId>>::new_session_genesis(session);
        }
        pallet_session::Validators::<Runtime>::put(accounts);
        let authorities = keys.len() as u64;
        pallet_session::QueuedKeys::<Runtime>::put(keys);
        <Manager as SessionManager<AccountId>>::start_session(0);
        weight.reads_writes(
            authorities.saturating_mul(4).saturating_add(8),
            authorities.saturating_mul(4).saturating_add(8),
        )
    }

    #[cfg(feature = "try-runtime")]
    fn post_upgrade(_: Vec<u8>) -> Result<(), sp_runtime::TryRuntimeError> {
        let validators = pallet_session::Validators::<Runtime>::get().len();
        frame_support::ensure!(
            validators == pallet_aura::Authorities::<Runtime>::get().len(),
            "an authority is in no session after the upgrade"
        );
        Ok(())
    }
}

/// The authorities of a chain without sessions: account and keys. A genesis names them in the same order to Aura
/// and to GRANDPA.
fn session_keys() -> Vec<(AccountId, SessionKeys)> {
    let aura = pallet_aura::Authorities::<Runtime>::get().into_iter();
    let grandpa = Grandpa::grandpa_authorities().into_iter();
    aura.zip(grandpa)
        .map(|(aura, (grandpa, _))| {
            let account = AccountId::new(aura.clone().into_inner().0);
            (account, SessionKeys { aura, grandpa })
        })
        .collect()
}

/// Notes the keys of an authority, as a genesis does.
fn introduce(account: &AccountId, keys: &SessionKeys) {
    pallet_session::NextKeys::<Runtime>::insert(account, keys);
    for kind in SessionKeys::key_ids() {
        let key = (*kind, keys.get_raw(*kind).to_vec());
        pallet_session::KeyOwner::<Runtime>::insert(key, account);
    }
    if frame_system::Pallet::<Runtime>::inc_consumers_without_limit(account).is_err() {
        // It owns nothing, and must not vanish with its first fee.
        frame_system::Pallet::<Runtime>::inc_providers(account);
    }
}
