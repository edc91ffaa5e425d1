//! The set, session by session: what governance wants, less those that equivocated.

use crate::pallet::*;
use alloc::vec::Vec;
use frame_support::traits::Get;
use frame_system::pallet_prelude::BlockNumberFor;
use pallet_session::historical;
use sp_runtime::{traits::Convert, Perbill};
use sp_staking::{
    offence::{OffenceDetails, OffenceSeverity, OnOffenceHandler},
    SessionIndex,
};

/// An authority is identified by its account, and by nothing else.
pub struct NothingElse;

impl<AccountId> Convert<AccountId, Option<()>> for NothingElse {
    fn convert(_: AccountId) -> Option<()> {
        Some(())
    }
}

/// Blocks in a session, for `pallet_session::PeriodicSessions`.
pub struct Length<T>(core::marker::PhantomData<T>);

impl<T: Config> Get<BlockNumberFor<T>> for Length<T> {
    fn get() -> BlockNumberFor<T> {
        SessionLength::<T>::get()
    }
}

/// Milliseconds from one block to the next, for `pallet_aura`.
pub struct SlotMillis<T>(core::marker::PhantomData<T>);

impl<T: Config> Get<u64> for SlotMillis<T> {
    fn get() -> u64 {
        SlotDuration::<T>::get()
    }
}

/// The shortest time between two blocks, for `pallet_timestamp`: half of a slot.
pub struct HalfSlot<T>(core::marker::PhantomData<T>);

impl<T: Config> Get<u64> for HalfSlot<T> {
    fn get() -> u64 {
        SlotDuration::<T>::get() / 2
    }
}

/// Authorities as `pallet_session` and its history ask for them.
type Set<T> = Vec<<T as frame_system::Config>::AccountId>;

impl<T: Config> pallet_session::SessionManager<T::AccountId> for Pallet<T> {
    /// The set of the session after the next, or `None` where it and its keys are those of the next.
    fn new_session(_: SessionIndex) -> Option<Set<T>> {
        let keys = |who: T::AccountId| {
            let keys = pallet_session::NextKeys::<T>::get(&who)?;
            Some((who, keys))
        };
        let wanted = Authorities::<T>::get().into_iter();
        let wanted: Vec<_> = wanted.filter_map(keys).collect();
        let queued = pallet_session::QueuedKeys::<T>::get();
        // A chain without authorities would be none any more.
        let changes = !wanted.is_empty() && wanted != queued;
        changes.then(|| wanted.into_iter().map(|(who, _)| who).collect())
    }

    fn start_session(index: SessionIndex) {
        let slot = pallet_aura::CurrentSlot::<T>::get();
        SessionStarts::<T>::insert(index, slot);
    }

    /// Forgets the session that nobody can be reported for any more.
    fn end_session(index: SessionIndex) {
        if let Some(forgotten) = index.checked_sub(T::SessionsKept::get()) {
            SessionStarts::<T>::remove(forgotten);
            historical::Pallet::<T>::prune_up_to(forgotten.saturating_add(1));
        }
    }
}

impl<T: Config> historical::SessionManager<T::AccountId, ()> for Pallet<T> {
    fn new_session(index: SessionIndex) -> Option<Vec<(T::AccountId, ())>> {
        let set = <Self as pallet_session::SessionManager<_>>::new_session(index)?;
        Some(set.into_iter().map(|who| (who, ())).collect())
    }

    fn start_session(index: SessionIndex) {
        <Self as pallet_session::SessionManager<_>>::start_session(index)
    }

    fn end_session(index: SessionIndex) {
        <Self as pallet_session::SessionManager<_>>::end_session(index)
    }
}

impl<T: Config, Result: Default> OnOffenceHandler<T::AccountId, (T::AccountId, ()), Result>
    for Pallet<T>
{
    /// Takes offenders out of the set, down to the last one, and lets `pallet_session` disable them for
    /// the rest of their session.
    fn on_offence(
        offenders: &[OffenceDetails<T::AccountId, (T::AccountId, ())>],
        fractions: &[Perbill],
        session: SessionIndex,
    ) -> Result {
        for (details, fraction) in offenders.iter().zip(fractions) {
            let (authority, ()) = details.offender.clone();
            // Of those who offended together, the ones reported before are named again.
            if Offenders::<T>::get(&authority).is_some_and(|last| last >= session) {
                continue;
            }
            Offenders::<T>::insert(&authority, session);
            let severity = OffenceSeverity(*fraction);
            pallet_session::Pallet::<T>::report_offence(authority.clone(), severity);
            let removed = Authorities::<T>::mutate(|wanted| {
                let place = wanted.iter().position(|who| *who == authority);
                let place = place.filter(|_| wanted.len() > 1);
                place.map(|place| wanted.remove(place)).is_some()
            });
            Self::deposit_event(Event::Offended {
                authority,
                session,
                removed,
            });
        }
        Result::default()
    }
}
