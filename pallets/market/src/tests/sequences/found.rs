//! What random sequences found, each as short as it gets.

use super::*;
use crate::{weight_setting::commitment, EpochCursors};
use frame_support::assert_ok;

/// Lets an epoch that is running end.
fn end_epoch() {
    pieces_a_block(WHOLE);
    run_to(System::block_number() + 1);
}

/// Two miners, and one validator that holds all bonds.
fn market() {
    (1..=3).for_each(|coldkey| {
        register(coldkey);
    });
    stake(1, 100 * NOE);
    vote(1, &[(1, 1), (2, 1)]);
}

#[test]
fn who_takes_a_new_slot_while_an_epoch_is_running_may_vote_at_once() {
    on_chain(|| {
        market();
        pieces_a_block(1);
        run_to(TEMPO);
        register(4);
        vote(4, &[(0, 1)]);
        end_epoch();
        assert_eq!(weights_of(3), (TEMPO, vec![(0, 1)]));
    });
}

#[test]
fn the_only_holder_of_bonds_earns_them_all_though_it_left_before_the_epoch_ended() {
    // It leaves before its bonds are renewed, and after.
    for blocks in [0, 5] {
        on_chain(|| {
            market();
            pieces_a_block(1);
            run_to(TEMPO + blocks);
            assert!(EpochCursors::<Test>::contains_key(TEXT));
            let before = Balances::free_balance(1);
            leave(1);
            end_epoch();
            let earned = Balances::free_balance(1) - before - u128::from(100 * NOE);
            assert_eq!(earned, u128::from(NOE) * u128::from(TEMPO) / 2);
        });
    }
}

#[test]
fn of_two_equal_promises_the_one_that_is_due_is_shown() {
    let hiding = Parameters {
        reveal_period: 1,
        ..rules()
    };
    on_chain_with(hiding, || {
        register(1);
        register(2);
        let (weights, salt) = (vec![(1, 1)], [0; 32]);
        let hash = commitment(TEXT, 0, &weights, &salt);
        for epoch in 0..2 {
            run_to(1 + epoch * TEMPO);
            let hotkey = RuntimeOrigin::signed(hotkey(1));
            assert_ok!(MarketPallet::commit_weights(hotkey, TEXT, hash));
        }
        run_to(2 * TEMPO);
        let hotkey = RuntimeOrigin::signed(hotkey(1));
        assert_ok!(MarketPallet::reveal_weights(hotkey, TEXT, weights, salt));
        assert_eq!(weights_of(0).0, 1 + TEMPO);
    });
}
