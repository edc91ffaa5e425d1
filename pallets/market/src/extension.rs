//! What the transaction pool refuses: free calls that would fail.
//!
//! `set_weights`, `commit_weights`, `reveal_weights` and `serve` cost a registered hotkey nothing. So that nobody fills blocks for free,
//! every check of these calls is made before they enter a block: one that would fail is invalid,
//! with `InvalidTransaction::Custom(i)`, `i` the index of the reason in the pallet's
//! [`Error`](crate::Error), which any client finds in the metadata. The pool holds one such call of a
//! kind of a hotkey and market at a time, whatever its nonce, and prefers it to what pays a fee, since it is rare by its rate
//! limit and the market stops where nobody can vote. The extension carries no data and none is signed,
//! so that ordinary clients need not know it.

use crate::{Call, Config, Error, Pallet};
use codec::{Decode, DecodeWithMemTracking, Encode};
use core::marker::PhantomData;
use frame_support::{
    pallet_prelude::TransactionSource,
    traits::{GetCallName, IsSubType, OriginTrait},
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

    fn weight(&self, call: &T::RuntimeCall) -> Weight {
        use crate::WeightInfo;
        // The checks read what the calls read: their weight bounds that of the checks.
        match call.is_sub_type() {
            Some(Call::set_weights { weights, .. }) => {
                T::WeightInfo::set_weights(weights.len() as u32)
            }
            Some(Call::reveal_weights { weights, .. }) => {
                T::WeightInfo::reveal_weights(weights.len() as u32)
            }
            Some(Call::commit_weights { .. }) => T::WeightInfo::commit_weights(),
            Some(Call::serve { .. }) => T::WeightInfo::serve(),
            _ => Weight::zero(),
        }
    }

    fn validate(
        &self,
        origin: T::RuntimeOrigin,
        call: &T::RuntimeCall,
        _info: &DispatchInfoOf<T::RuntimeCall>,
        _len: usize,
        _implicit: (),
        _implication: &impl Encode,
        _source: TransactionSource,
    ) -> ValidateResult<(), T::RuntimeCall> {
        let (Some(hotkey), Some(call)) = (origin.as_signer(), call.is_sub_type()) else {
            return Ok((ValidTransaction::default(), (), origin));
        };
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

/// The index of an error in the pallet's list, as the metadata numbers it.
fn index<T: Config>(error: &Error<T>) -> u8 {
    // A field-less variant encodes as its index alone.
    error.encode().first().copied().unwrap_or(u8::MAX)
}
