//! Who makes and finalizes blocks: the set that governance wants, how long sessions and slots are, and
//! what becomes of authorities that equivocate.
//!
//! [`sessions`] hands the set to `pallet_session`, and takes offenders out of it; [`equivocation`] is the
//! report that somebody signed two blocks of one slot. GRANDPA brings its own. [`invariants`] says what always holds.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod equivocation;
pub mod invariants;
pub mod sessions;

pub use pallet::*;

use equivocation::AuraEquivocation;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_session::MembershipProof;

/// Two headers of one slot, signed by one authority.
pub type EquivocationProof<Header> = sp_consensus_slots::EquivocationProof<Header, AuraId>;

sp_api::decl_runtime_apis! {
    /// What a node needs to report that somebody made two blocks in one slot.
    pub trait AuraEquivocationApi {
        /// Proves that a key was an authority's in the session of the block.
        fn prove_key_ownership(authority: AuraId) -> Option<MembershipProof>;

        /// Hands a report to the node's own pool, out of which the next block of this node takes it.
        fn submit_aura_equivocation(
            equivocation: EquivocationProof<Block::Header>,
            key_owner: MembershipProof,
        ) -> Option<()>;
    }
}

/// The pallet.
// The macros generate items that no comment of ours can reach.
#[allow(missing_docs)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};
    use frame_support::{
        pallet_prelude::*,
        traits::{BuildGenesisConfig, ConstU64},
    };
    use frame_system::pallet_prelude::*;
    use sp_consensus_aura::Slot;
    use sp_staking::{offence::ReportOffence, SessionIndex};

    /// What the runtime decides.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>>
        + pallet_aura::Config<AuthorityId = AuraId>
        + pallet_session::Config<ValidatorId = <Self as frame_system::Config>::AccountId>
        + pallet_session::historical::Config<FullIdentification = ()>
    {
        /// Sessions for which an offence can be reported after they are over.
        #[pallet::constant]
        type SessionsKept: Get<SessionIndex>;
        /// Where offences are recorded.
        type Offences: ReportOffence<
            Self::AccountId,
            (Self::AccountId, ()),
            AuraEquivocation<Self::AccountId>,
        >;
    }

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// The authorities that governance wants, less those that equivocated since. They take over two
    /// sessions later.
    #[pallet::storage]
    pub type Authorities<T: Config> =
        StorageValue<_, BoundedVec<T::AccountId, T::MaxAuthorities>, ValueQuery>;

    /// Who equivocated: the latest session in which it did. `Offences` has the reports.
    #[pallet::storage]
    pub type Offenders<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, SessionIndex>;

    /// The slot of the block that began each session that is kept: its authorities made the blocks of
    /// the slots after it, up to the one that began the next.
    #[pallet::storage]
    pub type SessionStarts<T> = StorageMap<_, Twox64Concat, SessionIndex, Slot>;

    /// Blocks in a session.
    #[pallet::storage]
    pub type SessionLength<T: Config> =
        StorageValue<_, BlockNumberFor<T>, ValueQuery, DefaultSessionLength<T>>;

    /// Milliseconds from one block to the next.
    #[pallet::storage]
    pub type SlotDuration<T> = StorageValue<_, u64, ValueQuery, ConstU64<DEFAULT_SLOT_DURATION>>;

    /// Milliseconds from one block to the next where the genesis says nothing; also the fewest that it may say.
    pub const DEFAULT_SLOT_DURATION: u64 = 1_000;

    /// Blocks in a session where the genesis says nothing.
    #[pallet::type_value]
    pub fn DefaultSessionLength<T: Config>() -> BlockNumberFor<T> {
        600u32.into()
    }

    /// How the chain begins.
    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// The first authorities; `session` has their keys.
        pub authorities: Vec<T::AccountId>,
        /// Blocks in a session.
        pub session_length: BlockNumberFor<T>,
        /// Milliseconds from one block to the next.
        pub slot_duration: u64,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            Self {
                authorities: Vec::new(),
                session_length: DefaultSessionLength::<T>::get(),
                slot_duration: DEFAULT_SLOT_DURATION,
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(
                self.session_length > 1u32.into(),
                "session_length must be at least 2 blocks"
            );
            // What a block may compute follows from this constant, not from the slots: of shorter ones it would be
            // more than the time in which a block is made, sent and imported.
            assert!(
                (DEFAULT_SLOT_DURATION..=60_000).contains(&self.slot_duration),
                "slot_duration must be {DEFAULT_SLOT_DURATION} to 60000 milliseconds"
            );
            SessionLength::<T>::put(self.session_length);
            SlotDuration::<T>::put(self.slot_duration);
            let authorities = BoundedVec::try_from(self.authorities.clone());
            Authorities::<T>::put(authorities.unwrap_or_else(|authorities| {
                panic!(
                    "the genesis has {} authorities, more than the runtime allows (MaxAuthorities)",
                    authorities.len()
                )
            }));
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Governance wants other authorities.
        AuthoritiesSet { authorities: Vec<T::AccountId> },
        /// An authority equivocated in `session`. Unless it was the last one it is `removed` from
        /// the set, and governance may want it back.
        Offended {
            authority: T::AccountId,
            session: SessionIndex,
            removed: bool,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// A chain needs an authority: name at least one.
        NoAuthorities,
        /// More authorities than `MaxAuthorities`: name fewer.
        TooManyAuthorities,
        /// An account is named twice: name each once.
        DuplicateAuthority,
        /// An account has no session keys: it must call `session.setKeys` first.
        NoSessionKeys,
        /// The headers do not show that one key signed two blocks of one slot.
        NoEquivocation,
        /// The key was no authority's in that session, or the session is not kept any more.
        UnknownKey,
        /// The slot is not of the session in which the key is shown to be an authority's.
        WrongSession,
        /// This authority's equivocation in that session is recorded already.
        KnownOffence,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_invariants()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Replaces the set of authorities. Root only. Those who are new must have set their session
        /// keys. The session after the next is theirs.
        #[pallet::call_index(0)]
        #[pallet::weight(set_authorities::<T>(authorities.len() as u64))]
        pub fn set_authorities(
            origin: OriginFor<T>,
            authorities: Vec<T::AccountId>,
        ) -> DispatchResult {
            ensure_root(origin)?;
            ensure!(!authorities.is_empty(), Error::<T>::NoAuthorities);
            let bounded = BoundedVec::try_from(authorities.clone())
                .map_err(|_| Error::<T>::TooManyAuthorities)?;
            let distinct: BTreeSet<_> = authorities.iter().collect();
            ensure!(
                distinct.len() == authorities.len(),
                Error::<T>::DuplicateAuthority
            );
            ensure!(
                authorities
                    .iter()
                    .all(pallet_session::NextKeys::<T>::contains_key),
                Error::<T>::NoSessionKeys
            );
            Authorities::<T>::put(bounded);
            Self::deposit_event(Event::AuthoritiesSet { authorities });
            Ok(())
        }

        /// Reports that an authority signed two blocks of one slot. Authors put it into their blocks
        /// themselves; nobody signs it and the network does not pass it on.
        #[pallet::call_index(1)]
        #[pallet::weight((report::<T>(), DispatchClass::Operational))]
        pub fn report_equivocation_unsigned(
            origin: OriginFor<T>,
            equivocation: Box<EquivocationProof<HeaderFor<T>>>,
            key_owner: MembershipProof,
        ) -> DispatchResultWithPostInfo {
            ensure_none(origin)?;
            let offence = Self::check_equivocation(&equivocation, key_owner)?;
            let reporters = Vec::new(); // nobody is rewarded
            T::Offences::report_offence(reporters, offence)
                .map_err(|_| Error::<T>::KnownOffence)?;
            Ok(Pays::No.into())
        }
    }

    #[allow(deprecated)] // what takes its place is not in use in this release's own pallets either
    #[pallet::validate_unsigned]
    impl<T: Config> ValidateUnsigned for Pallet<T> {
        type Call = Call<T>;

        fn validate_unsigned(source: TransactionSource, call: &Self::Call) -> TransactionValidity {
            Self::check_report(source, call)
        }

        fn pre_dispatch(call: &Self::Call) -> Result<(), TransactionValidityError> {
            Self::check_report(TransactionSource::InBlock, call).map(drop)
        }
    }

    /// Of replacing the set: the keys of each are looked up.
    fn set_authorities<T: frame_system::Config>(authorities: u64) -> Weight {
        let each = Weight::from_parts(10_000_000, 0).saturating_mul(authorities);
        Weight::from_parts(20_000_000, 0)
            .saturating_add(each)
            .saturating_add(T::DbWeight::get().reads_writes(authorities, 1))
    }

    /// Of a report: two signatures, and the keys of all authorities of the present session, of which the
    /// proof of ownership is one path. Twice, since the check goes before the call.
    fn report<T: Config>() -> Weight {
        let authorities = u64::from(T::MaxAuthorities::get());
        Weight::from_parts(1_000_000_000, 0)
            .saturating_add(Weight::from_parts(100_000_000, 0).saturating_mul(authorities))
            .saturating_add(T::DbWeight::get().reads_writes(authorities.saturating_add(8), 8))
    }
}
