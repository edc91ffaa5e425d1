//! What must hold after every block. Checked by `try_state` and by tests.

use crate::pallet::*;
use alloc::collections::{BTreeMap, BTreeSet};
use frame_support::{ensure, traits::Get};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Checks every invariant.
    pub fn check_invariants() -> Result<(), TryRuntimeError> {
        Self::check_set()?;
        Self::check_sessions()
    }

    /// There are authorities, each is one once, and each has keys: who has none would drop out unasked.
    fn check_set() -> Result<(), TryRuntimeError> {
        let wanted = Authorities::<T>::get();
        ensure!(!wanted.is_empty(), "there are no authorities");
        let distinct: BTreeSet<_> = wanted.iter().collect();
        ensure!(distinct.len() == wanted.len(), "an authority is one twice");
        ensure!(
            wanted
                .iter()
                .all(pallet_session::NextKeys::<T>::contains_key),
            "an authority has no session keys"
        );
        Ok(())
    }

    /// What is kept of sessions is of the present one and of those for which offences are reported, and each began
    /// in a later slot than the one before.
    fn check_sessions() -> Result<(), TryRuntimeError> {
        let starts: BTreeMap<_, _> = SessionStarts::<T>::iter().collect();
        let present = pallet_session::CurrentIndex::<T>::get();
        let kept = |session: &u32| {
            let age = present.checked_sub(*session);
            age.is_some_and(|age| age <= T::SessionsKept::get())
        };
        ensure!(
            starts.keys().all(kept),
            "a session is kept that is over for too long, or has yet to begin"
        );
        ensure!(
            starts.values().is_sorted_by(|one, next| one < next),
            "a session began before the one before it"
        );
        Ok(())
    }
}
