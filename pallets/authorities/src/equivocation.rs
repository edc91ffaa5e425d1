//! Two blocks of one slot by one author. Aura has no report of its own: this is the same as BABE's, for
//! headers that Aura sealed.
//!
//! A key's owner is shown by `pallet_session::historical`. The slot must be one of the session in which it was
//! the owner's, so that one equivocation is one offence whichever proof of ownership comes with it; an
//! authority has at most one such offence a session.

use crate::{pallet::*, EquivocationProof};
use alloc::{vec, vec::Vec};
use frame_support::{ensure, traits::KeyOwnerProofSystem};
use frame_system::{
    offchain::{CreateBare, SubmitTransaction},
    pallet_prelude::HeaderFor,
};
use pallet_session::historical;
use sp_consensus_aura::{
    digests::CompatibleDigestItem,
    sr25519::{AuthorityId as AuraId, AuthoritySignature},
    Slot,
};
use sp_runtime::{
    key_types::AURA,
    traits::Header,
    transaction_validity::{
        InvalidTransaction, TransactionPriority, TransactionSource, TransactionValidity,
        ValidTransaction,
    },
    DigestItem, KeyTypeId, Perbill, RuntimeAppPublic,
};
use sp_session::MembershipProof;
use sp_staking::{
    offence::{Kind, Offence, ReportOffence},
    SessionIndex,
};

/// The offence of signing two blocks of one slot.
pub struct AuraEquivocation<AccountId> {
    /// Who did.
    pub offender: AccountId,
    /// The session of the slot.
    pub session: SessionIndex,
    /// Authorities of that session.
    pub authorities: u32,
}

impl<AccountId: Clone> Offence<(AccountId, ())> for AuraEquivocation<AccountId> {
    const ID: Kind = *b"aura:equivocatio";
    /// The whole session: that there were more slots makes it no other offence.
    type Slot = SessionIndex;

    fn offenders(&self) -> Vec<(AccountId, ())> {
        vec![(self.offender.clone(), ())]
    }

    fn session_index(&self) -> SessionIndex {
        self.session
    }

    fn validator_set_count(&self) -> u32 {
        self.authorities
    }

    fn slot(&self) -> SessionIndex {
        self.session
    }

    /// As of GRANDPA and BABE: the square of three times the offenders' part of the set, one at most.
    fn slash_fraction(&self, offenders: u32) -> Perbill {
        Perbill::from_rational(offenders.saturating_mul(3), self.authorities).square()
    }
}

impl<T: Config> Pallet<T> {
    /// Everything that can be wrong with a report; the offence.
    pub(crate) fn check_equivocation(
        equivocation: &EquivocationProof<HeaderFor<T>>,
        key_owner: MembershipProof,
    ) -> Result<AuraEquivocation<T::AccountId>, Error<T>> {
        let session = key_owner.session;
        let authorities = key_owner.validator_count;
        ensure!(
            Self::is_of_session(equivocation.slot, session),
            Error::WrongSession
        );
        let key = (AURA, equivocation.offender.clone());
        let owner =
            <historical::Pallet<T> as KeyOwnerProofSystem<(KeyTypeId, AuraId)>>::check_proof(
                key, key_owner,
            );
        let (offender, ()) = owner.ok_or(Error::UnknownKey)?;
        ensure!(
            !T::Offences::is_known_offence(&[(offender.clone(), ())], &session),
            Error::KnownOffence
        );
        ensure!(is_equivocation(equivocation), Error::NoEquivocation);
        Ok(AuraEquivocation {
            offender,
            session,
            authorities,
        })
    }

    /// Whether the authorities of `session` made the block of that slot. The block that begins a session
    /// is still by those of the one before.
    fn is_of_session(slot: Slot, session: SessionIndex) -> bool {
        let start = SessionStarts::<T>::get(session);
        let end = SessionStarts::<T>::get(session.saturating_add(1));
        start.is_some_and(|start| slot > start) && end.is_none_or(|end| slot <= end)
    }

    /// What the pool, and a block's author, ask of a report.
    pub(crate) fn check_report(source: TransactionSource, call: &Call<T>) -> TransactionValidity {
        let Call::report_equivocation_unsigned {
            equivocation,
            key_owner,
        } = call
        else {
            return InvalidTransaction::Call.into();
        };
        // Only authors report: whoever else made the chain look at signatures would do it for free.
        if !matches!(
            source,
            TransactionSource::Local | TransactionSource::InBlock
        ) {
            return InvalidTransaction::Call.into();
        }
        let offence = Self::check_equivocation(equivocation, key_owner.clone());
        let offence = offence.map_err(|reason| match reason {
            Error::KnownOffence => InvalidTransaction::Stale,
            _ => InvalidTransaction::BadProof,
        })?;
        ValidTransaction::with_tag_prefix("AuraEquivocation")
            .priority(TransactionPriority::MAX)
            .and_provides((&offence.offender, offence.session))
            .longevity(REPORT_LONGEVITY)
            .propagate(false)
            .build()
    }

    /// Hands a report to this node's pool. Called outside of blocks only.
    pub fn submit_report(
        equivocation: EquivocationProof<HeaderFor<T>>,
        key_owner: MembershipProof,
    ) -> Option<()>
    where
        T: CreateBare<Call<T>>,
    {
        let call = Call::report_equivocation_unsigned {
            equivocation: alloc::boxed::Box::new(equivocation),
            key_owner,
        };
        SubmitTransaction::<T, Call<T>>::submit_transaction(T::create_bare(call.into())).ok()
    }

    /// Shows that a key is an authority's in the present session.
    pub fn prove_key_ownership(authority: AuraId) -> Option<MembershipProof> {
        historical::Pallet::<T>::prove((AURA, authority))
    }
}

/// Blocks for which the pool keeps a report.
pub const REPORT_LONGEVITY: u64 = 600;

/// Whether two different blocks of one slot bear the signature of one key.
fn is_equivocation<H: Header>(proof: &EquivocationProof<H>) -> bool {
    let signed = |header: &H| signed_block(header, proof.slot, &proof.offender);
    match (signed(&proof.first_header), signed(&proof.second_header)) {
        (Some(first), Some(second)) => first != second,
        _ => false,
    }
}

/// The hash that is sealed, of a header of that slot under that key's signature. Of the seal itself there
/// may be any number: a signature has a random part.
fn signed_block<H: Header>(header: &H, slot: Slot, author: &AuraId) -> Option<H::Hash> {
    let mut header = header.clone();
    let seal = header.digest_mut().pop()?;
    let signature: AuthoritySignature = seal.as_aura_seal()?;
    let slot_of = |item: &DigestItem| {
        <DigestItem as CompatibleDigestItem<AuthoritySignature>>::as_aura_pre_digest(item)
    };
    let found = header.digest().logs().iter().find_map(slot_of);
    let hash = header.hash();
    let signed = found == Some(slot) && author.verify(&hash.as_ref(), &signature);
    signed.then_some(hash)
}
