//! Rows of weights.

use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok};
use market_primitives::Share;

fn set(weights: &[(u16, u16)]) -> sp_runtime::DispatchResult {
    MarketPallet::set_weights(RuntimeOrigin::signed(hotkey(1)), TEXT, weights.to_vec())
}

/// Registers the neurons 0, 1 and 2.
fn three() {
    (1..=3).for_each(|coldkey| {
        register(coldkey);
    });
}

#[test]
fn a_row_replaces_the_last_one_and_holds_no_zeros() {
    on_chain(|| {
        three();
        assert_ok!(set(&[(1, 3), (2, 0)]));
        assert_eq!(weights_of(0), (1, vec![(1, 3)]));
        run_to(6);
        assert_ok!(set(&[(1, 1), (2, 2)]));
        assert_eq!(weights_of(0), (6, vec![(1, 1), (2, 2)]));
    });
}

#[test]
fn each_fault_has_its_reason() {
    on_chain(|| {
        assert_noop!(set(&[(1, 1)]), Error::<Test>::NotRegistered);
        three();
        assert_noop!(
            MarketPallet::set_weights(RuntimeOrigin::signed(hotkey(1)), 7, vec![(1, 1)]),
            Error::<Test>::UnknownMarket
        );
        assert_noop!(
            set(&[(0, 1), (1, 1), (2, 1), (3, 1)]),
            Error::<Test>::TooManyWeights
        );
        assert_noop!(set(&[(2, 1), (1, 1)]), Error::<Test>::WeightsUnsorted);
        assert_noop!(set(&[(1, 1), (1, 1)]), Error::<Test>::WeightsUnsorted);
        assert_noop!(set(&[(1, 1), (3, 1)]), Error::<Test>::UnknownUid);
        assert_noop!(set(&[]), Error::<Test>::AllWeightsZero);
        assert_noop!(set(&[(1, 0), (2, 0)]), Error::<Test>::AllWeightsZero);
        assert_noop!(set(&[(0, 1), (1, 1)]), Error::<Test>::SelfWeight);
        assert_ok!(set(&[(0, 0), (1, 1)]));
    });
}

#[test]
fn rows_too_thin_or_too_peaked_are_refused() {
    let rules = Parameters {
        min_weights: 2,
        max_weight: Share(Share::ONE.0 / 2),
        ..rules()
    };
    on_chain_with(rules, || {
        three();
        assert_noop!(set(&[(1, 1)]), Error::<Test>::TooFewWeights);
        assert_noop!(set(&[(1, 1), (2, 0)]), Error::<Test>::TooFewWeights);
        assert_noop!(set(&[(1, 1), (2, 2)]), Error::<Test>::WeightTooLarge);
        assert_ok!(set(&[(1, 65_535), (2, 65_535)]));
    });
}

#[test]
fn the_rate_limit_holds_to_the_block() {
    on_chain(|| {
        three();
        assert_ok!(set(&[(1, 1)]));
        run_to(5);
        assert_noop!(set(&[(1, 1)]), Error::<Test>::WeightsTooEarly);
        run_to(6);
        assert_ok!(set(&[(1, 1)]));
    });
}
