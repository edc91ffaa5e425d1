//! What the transaction pool refuses, and what is free.

use crate::{mock::*, *};
use codec::Encode;
use frame_support::{dispatch::CheckIfFeeless, pallet_prelude::TransactionSource};
use sp_runtime::{
    traits::DispatchTransaction,
    transaction_validity::{InvalidTransaction, TransactionValidityError},
};

fn validate(signer: AccountId, call: &RuntimeCall) -> Result<(), TransactionValidityError> {
    CheckMarketCall::<Test>::default()
        .validate_only(
            RuntimeOrigin::signed(signer),
            call,
            &Default::default(),
            0,
            TransactionSource::External,
            0,
        )
        .map(|_| ())
}

fn set_weights(weights: &[(u16, u16)]) -> RuntimeCall {
    Call::set_weights {
        market: TEXT,
        weights: weights.to_vec(),
    }
    .into()
}

fn serve(endpoint: &[u8]) -> RuntimeCall {
    Call::serve {
        market: TEXT,
        endpoint: endpoint.to_vec(),
        certificate: None,
    }
    .into()
}

/// The pool's answer that names this error of the pallet.
fn refused(error: Error<Test>) -> Result<(), TransactionValidityError> {
    Err(InvalidTransaction::Custom(error.encode()[0]).into())
}

#[test]
fn a_free_call_that_would_fail_never_enters_a_block() {
    on_chain(|| {
        assert_eq!(
            validate(hotkey(1), &set_weights(&[(1, 1)])),
            refused(Error::NotRegistered)
        );
        register(1);
        register(2);
        assert_eq!(
            validate(hotkey(1), &set_weights(&[(1, 0)])),
            refused(Error::AllWeightsZero)
        );
        assert_eq!(
            validate(hotkey(1), &serve(b"nowhere")),
            refused(Error::EndpointInvalid)
        );
        assert_eq!(validate(hotkey(1), &set_weights(&[(1, 1)])), Ok(()));
        vote(1, &[(1, 1)]);
        assert_eq!(
            validate(hotkey(1), &set_weights(&[(1, 1)])),
            refused(Error::WeightsTooEarly)
        );
        assert_eq!(validate(hotkey(1), &serve(b"host:80")), Ok(()));
    });
}

#[test]
fn the_pool_holds_one_free_call_of_a_hotkey_whatever_its_nonce() {
    on_chain(|| {
        register(1);
        register(2);
        let tags = |signer, call: &RuntimeCall| {
            CheckMarketCall::<Test>::default()
                .validate_only(
                    RuntimeOrigin::signed(signer),
                    call,
                    &Default::default(),
                    0,
                    TransactionSource::External,
                    0,
                )
                .expect("the call is valid")
                .0
                .provides
        };
        let vote = tags(hotkey(1), &set_weights(&[(1, 1)]));
        assert_eq!(vote.len(), 1);
        assert_eq!(vote, tags(hotkey(1), &set_weights(&[(1, 2)])));
        assert_ne!(vote, tags(hotkey(2), &set_weights(&[(0, 1)])));
        assert_ne!(vote, tags(hotkey(1), &serve(b"host:80")));
    });
}

#[test]
fn other_calls_pass() {
    on_chain(|| {
        let call = Call::add_stake {
            market: TEXT,
            hotkey: hotkey(1),
            amount: 1,
        }
        .into();
        assert_eq!(validate(1, &call), Ok(()));
    });
}

#[test]
fn only_registered_hotkeys_call_for_free() {
    on_chain(|| {
        register(1);
        let free = |signer, call: &RuntimeCall| call.is_feeless(&RuntimeOrigin::signed(signer));
        assert!(free(hotkey(1), &set_weights(&[(1, 1)])));
        assert!(free(hotkey(1), &serve(b"host:80")));
        assert!(!free(hotkey(2), &set_weights(&[(1, 1)])));
        assert!(!free(1, &set_weights(&[(1, 1)])));
        let paid = Call::add_stake {
            market: TEXT,
            hotkey: hotkey(1),
            amount: 1,
        }
        .into();
        assert!(!free(1, &paid));
    });
}
