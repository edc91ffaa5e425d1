//! Stake.

use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok, traits::fungible::Inspect};
use market_primitives::NOE;

fn add(coldkey: AccountId, amount: u128) -> sp_runtime::DispatchResult {
    MarketPallet::add_stake(RuntimeOrigin::signed(coldkey), TEXT, hotkey(1), amount)
}

fn remove(coldkey: AccountId, amount: u128) -> sp_runtime::DispatchResult {
    MarketPallet::remove_stake(RuntimeOrigin::signed(coldkey), TEXT, hotkey(1), amount)
}

#[test]
fn stake_goes_in_and_comes_back_to_the_unit() {
    on_chain(|| {
        let uid = register(1);
        let before = Balances::free_balance(1);
        assert_ok!(add(1, u128::from(5 * NOE)));
        assert_eq!(stake_of(uid), 5 * NOE);
        assert_eq!(
            Balances::total_balance(&MarketPallet::stake_account()),
            u128::from(5 * NOE)
        );
        check();
        // All but one unit, which the account must go on holding exactly.
        assert_ok!(remove(1, u128::from(5 * NOE - 1)));
        check();
        assert_ok!(remove(1, 1));
        assert_eq!(Balances::free_balance(1), before);
        assert_eq!(stake_of(uid), 0);
    });
}

#[test]
fn only_the_owner_moves_it() {
    on_chain(|| {
        register(1);
        stake(1, NOE);
        assert_noop!(add(2, 1), Error::<Test>::NotOwner);
        assert_noop!(remove(2, 1), Error::<Test>::NotOwner);
    });
}

#[test]
fn amounts_that_are_not_there_are_refused() {
    on_chain(|| {
        register(1);
        stake(1, NOE);
        assert_noop!(add(1, 0), Error::<Test>::AmountZero);
        assert_noop!(remove(1, 0), Error::<Test>::AmountZero);
        assert_noop!(
            remove(1, u128::from(NOE) + 1),
            Error::<Test>::InsufficientStake
        );
        assert_noop!(remove(1, u128::MAX), Error::<Test>::InsufficientStake);
        assert_noop!(
            add(1, u128::from(ENDOWMENT)),
            Error::<Test>::InsufficientBalance
        );
        assert_noop!(add(1, u128::MAX), Error::<Test>::InsufficientBalance);
        assert_noop!(
            add(1, u128::from(u64::MAX)),
            Error::<Test>::InsufficientBalance
        );
    });
}

#[test]
fn wrong_market_and_unregistered_hotkey_are_refused() {
    on_chain(|| {
        assert_noop!(add(1, 1), Error::<Test>::NotRegistered);
        assert_noop!(
            MarketPallet::add_stake(RuntimeOrigin::signed(1), 7, hotkey(1), 1),
            Error::<Test>::UnknownMarket
        );
        assert_noop!(remove(1, 1), Error::<Test>::NotRegistered);
    });
}
