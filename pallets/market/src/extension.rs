//! What the transaction pool refuses: free calls that would fail.
//!
//! `set_weights`, `commit_weights`, `reveal_weights` and `serve` cost a registered hotkey nothing. So that nobody fills
//! blocks for free, every check of these calls is made before they enter a block: one that would fail is invalid,
//! with `InvalidTransaction::Custom(i)`, `i` the index of the reason in the pallet's
//! [`Error`](crate::Error), which any client finds in the metadata. Of those that are ready the pool holds one such call
//! of a kind of a hotkey and market at a time, and prefers it to what pays a fee, since the market stops where nobody can
//! vote. The rate limit alone does not keep such calls few: two full markets may make more of them than fit into blocks,
//! and no fee outranks them. So no more of them come into a block once half of what ordinary calls may have of it is
//! taken: the author goes on to those that pay. The extension carries no data and none is signed, so that ordinary
//! clients need not know it.

use crate::{Call, Config, Error, Pallet};
use codec::{Decode, DecodeWithMemTracking, Encode};
use core::marker::PhantomData;
use frame_support::{
    dispatch::DispatchClass,
    pallet_prelude::TransactionSource,
    traits::{Get, GetCallName, IsSubType, OriginTrait},
    weights::Weight,
    DefaultNoBound,
};
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::TypeInfo;
use sp_runtime::{
    impl_tx_ext_default,
    traits::{DispatchInfoOf, TransactionExtension, ValidateResult},
    transaction_validity::{InvalidTransaction, TransactionPriority, ValidTransaction},
};

/// Priority of a free call in the pool: above any fee, below what the operator submits by hand.
const FREE_CALL_PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

/// Makes free calls of this pallet that would fail invalid.
#[derive(Encode, Decode, DecodeWithMemTracking, DefaultNoBound, Clone, Eq, PartialEq, TypeInfo)]
#[scale_info(skip_type_params(T))]
pub struct CheckMarketCall<T>(PhantomData<T>);

impl<T> core::fmt::Debug for CheckMarketCall<T> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("CheckMarketCall")
    }
}

impl<T: Config + Send + Sync> TransactionExtension<T::RuntimeCall> for CheckMarketCall<T>
where
    T::RuntimeCall: IsSubType<Call<T>>,
    BlockNumberFor<T>: Into<u32>,
{
    const IDENTIFIER: &'static str = "CheckMarketCall";
    type Implicit = ();
    type Val = ();
    type Pre = ();

    /// Nothing: what a call costs was measured with its check, and one that does not pass is in no block.
    fn weight(&self, _: &T::RuntimeCall) -> Weight {
        Weight::zero()
    }

    fn validate(
        &self,
        origin: T::RuntimeOrigin,
        call: &T::RuntimeCall,
        _info: &DispatchInfoOf<T::RuntimeCall>,
        _len: usize,
        _implicit: (),
        _implication: &impl Encode,
        source: TransactionSource,
    ) -> ValidateResult<(), T::RuntimeCall> {
        let (Some(hotkey), Some(call)) = (origin.as_signer(), call.is_sub_type()) else {
            return Ok((ValidTransaction::default(), (), origin));
        };
        // Before all that takes time: an author may have to skip many.
        if source == TransactionSource::InBlock && is_free(call) && is_half_full::<T>() {
            return Err(InvalidTransaction::ExhaustsResources.into());
        }
        let (market, checked) = match call {
            Call::set_weights { market, weights } => (
                market,
                Pallet::<T>::check_weights(*market, hotkey, weights).err(),
            ),
            Call::commit_weights { market, .. } => {
                (market, Pallet::<T>::check_commitment(*market, hotkey).err())
            }
            Call::reveal_weights {
                market,
                weights,
                salt,
            } => (
                market,
                Pallet::<T>::check_revelation(*market, hotkey, weights, salt).err(),
            ),
            Call::serve {
                market, endpoint, ..
            } => (
                market,
                Pallet::<T>::check_serve(*market, hotkey, endpoint).err(),
            ),
            _ => return Ok((ValidTransaction::default(), (), origin)),
        };
        if let Some(error) = checked {
            return Err(InvalidTransaction::Custom(index(&error)).into());
        }
        let kind = call.get_call_name();
        let validity = ValidTransaction::with_tag_prefix("market")
            .and_provides((kind, market, hotkey))
            .priority(FREE_CALL_PRIORITY)
            .build()?;
        Ok((validity, (), origin))
    }

    impl_tx_ext_default!(T::RuntimeCall; prepare);
}

/// Whether a call costs a registered hotkey nothing.
fn is_free<T: Config>(call: &Call<T>) -> bool
where
    BlockNumberFor<T>: Into<u32>,
{
    matches!(
        call,
        Call::set_weights { .. }
            | Call::commit_weights { .. }
            | Call::reveal_weights { .. }
            | Call::serve { .. }
    )
}

/// Whether the block has more than half of the ordinary calls that fit into it. Free ones come first, so this is their
/// part.
fn is_half_full<T: Config>() -> bool {
    let most = T::BlockWeights::get().get(DispatchClass::Normal).max_total;
    let taken = frame_system::Pallet::<T>::block_weight();
    let taken = *taken.get(DispatchClass::Normal);
    most.is_some_and(|most| taken.any_gt(most.saturating_div(2)))
}

/// The index of an error in the pallet's list, as the metadata numbers it.
fn index<T: Config>(error: &Error<T>) -> u8 {
    // A field-less variant encodes as its index alone.
    error.encode().first().copied().unwrap_or(u8::MAX)
}
