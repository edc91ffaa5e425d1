//! Slots and their price.

use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok, traits::fungible::Inspect};
use market_primitives::NOE;

/// What the first registration costs in block 1 of a market whose price halves in ten.
const FIRST: u64 = NOE - NOE / 20;

#[test]
fn a_registration_burns_its_cost_and_takes_the_next_slot() {
    on_chain(|| {
        let issuance = Balances::total_issuance();
        assert_ok!(MarketPallet::register(
            RuntimeOrigin::signed(1),
            TEXT,
            hotkey(1),
            FIRST.into()
        ));
        assert_eq!(Balances::free_balance(1), u128::from(ENDOWMENT - FIRST));
        assert_eq!(Balances::total_issuance(), issuance - u128::from(FIRST));
        assert_eq!(Uids::<Test>::get(TEXT, hotkey(1)), Some(0));
        let neuron = Neurons::<Test>::get(TEXT, 0).expect("the slot is taken");
        assert_eq!((neuron.hotkey, neuron.coldkey), (hotkey(1), 1));
        assert_eq!(slot(0).map(|slot| slot.registered_at.block), Some(1));
        System::assert_last_event(
            Event::Registered {
                market: TEXT,
                uid: 0,
                hotkey: hotkey(1),
                coldkey: 1,
                cost: FIRST,
            }
            .into(),
        );
        assert_eq!(register(2), 1);
    });
}

#[test]
fn an_unknown_market_is_refused() {
    on_chain(|| {
        assert_noop!(
            MarketPallet::register(RuntimeOrigin::signed(1), 7, hotkey(1), u128::MAX),
            Error::<Test>::UnknownMarket
        );
    });
}

#[test]
fn a_hotkey_has_one_slot_in_a_market() {
    on_chain(|| {
        register(1);
        assert_noop!(
            MarketPallet::register(RuntimeOrigin::signed(2), TEXT, hotkey(1), u128::MAX),
            Error::<Test>::AlreadyRegistered
        );
    });
}

#[test]
fn nobody_pays_more_than_the_offer() {
    on_chain(|| {
        assert_noop!(
            MarketPallet::register(
                RuntimeOrigin::signed(1),
                TEXT,
                hotkey(1),
                u128::from(FIRST) - 1
            ),
            Error::<Test>::CostAboveMaximum
        );
    });
}

#[test]
fn a_coldkey_without_money_is_refused() {
    on_chain(|| {
        assert_noop!(
            MarketPallet::register(RuntimeOrigin::signed(99), TEXT, hotkey(99), u128::MAX),
            Error::<Test>::InsufficientBalance
        );
    });
}

#[test]
fn the_price_rises_with_demand_and_falls_with_every_block() {
    on_chain(|| {
        let cost = || MarketPallet::cost_in_block(TEXT, &rules(), System::block_number());
        assert_eq!(cost(), FIRST, "it falls from genesis on");
        run_to(10);
        assert_eq!(cost(), NOE / 2);
        register(1);
        assert_eq!(cost(), NOE * 63 / 100);
        let mut last = cost();
        for block in 11..=20 {
            run_to(block);
            assert!(cost() < last, "block {block}: {} then {}", last, cost());
            last = cost();
        }
        assert_eq!(cost(), NOE * 315 / 1000, "halved in a tempo");
        run_to(300);
        assert_eq!(cost(), NOE / 100, "never below the floor");
        run_to(5_000);
        assert_eq!(cost(), NOE / 100, "however long nobody comes");
    });
}

#[test]
fn a_hotkey_signs_without_owning_anything() {
    on_chain(|| {
        register(1);
        assert_eq!(Balances::total_balance(&hotkey(1)), 0);
        assert_eq!(System::sufficients(&hotkey(1)), 1);
    });
}
