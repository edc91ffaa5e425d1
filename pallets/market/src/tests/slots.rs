//! Who gives way in a full market, and how one leaves.

use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok};
use market_primitives::NOE;

/// Fills the market's eight slots with the neurons of the coldkeys 1 to 8, 0 and 1 being validators that
/// value the neurons 2 to 6, the last of them most.
fn full_market() {
    (1..=8).for_each(|coldkey| {
        register(coldkey);
    });
    for validator in [1, 2] {
        stake(validator, 100 * NOE);
        vote(validator, &[(2, 10), (3, 20), (4, 30), (5, 40), (6, 50)]);
    }
}

fn try_register(coldkey: AccountId) -> sp_runtime::DispatchResult {
    MarketPallet::register(
        RuntimeOrigin::signed(coldkey),
        TEXT,
        hotkey(coldkey),
        u128::MAX,
    )
}

#[test]
fn while_all_are_immune_a_full_market_is_refused_and_costs_nothing() {
    on_chain(|| {
        full_market();
        run_to(200);
        assert_noop!(try_register(9), Error::<Test>::MarketFull);
        assert_eq!(Balances::free_balance(9), u128::from(ENDOWMENT));
        // Registered in block 1, immune for twenty tempos of ten blocks.
        run_to(201);
        assert_ok!(try_register(9));
    });
}

#[test]
fn the_worst_paid_gives_way_and_gets_its_stake_back() {
    on_chain_with(
        Parameters {
            immunity: 10,
            activity_cutoff: 1_000,
            ..rules()
        },
        || {
            full_market();
            stake(8, 3 * NOE);
            run_to(TEMPO + 1);
            // Neuron 7 was not valued by anybody.
            let before = Balances::free_balance(8);
            assert_ok!(try_register(9));
            assert_eq!(Uids::<Test>::get(TEXT, hotkey(9)), Some(7));
            assert_eq!(Uids::<Test>::get(TEXT, hotkey(8)), None);
            assert_eq!(Balances::free_balance(8), before + u128::from(3 * NOE));
            assert_eq!(stake_of(7), 0);
            System::assert_has_event(
                Event::Deregistered {
                    market: TEXT,
                    uid: 7,
                    hotkey: hotkey(8),
                    coldkey: 8,
                    stake: 3 * NOE,
                }
                .into(),
            );
            // The newcomer is immune: next is the least valued of the others.
            next_call();
            assert_ok!(try_register(10));
            assert_eq!(Uids::<Test>::get(TEXT, hotkey(10)), Some(2));
            assert_eq!(
                outcome(2).pay,
                0,
                "what the last owner was paid is not shown"
            );
        },
    );
}

#[test]
fn an_epoch_that_pays_nobody_does_not_make_everybody_equal() {
    on_chain_with(
        Parameters {
            immunity: 10,
            ..rules()
        },
        || {
            full_market();
            run_to(TEMPO);
            assert!(Epochs::<Test>::get(TEXT).minted > 0);
            // Rows grow too old to count.
            run_to(11 * TEMPO + 1);
            let last = Epochs::<Test>::get(TEXT);
            assert_eq!((last.epoch, last.in_consensus, last.minted), (11, false, 0));
            assert!((0..8).all(|uid| shown(uid).pay == 0));
            // Those who were never paid go first, then those who were paid least; the oldest are the best paid.
            for (coldkey, uid) in [(9, 7), (10, 2), (11, 3), (12, 4)] {
                next_call();
                assert_ok!(try_register(coldkey));
                assert_eq!(Uids::<Test>::get(TEXT, hotkey(coldkey)), Some(uid));
            }
            // Newcomers have no record, however many such epochs follow.
            run_to(13 * TEMPO);
            next_call();
            assert_ok!(try_register(13));
            assert_eq!(Uids::<Test>::get(TEXT, hotkey(13)), Some(7));
            // Who is paid least by the next epoch that pays goes then.
            vote(1, &[(5, 10), (6, 1)]);
            vote(2, &[(5, 10), (6, 1)]);
            run_to(14 * TEMPO);
            assert!(Epochs::<Test>::get(TEXT).minted > 0);
            assert!(!Standings::<Test>::contains_key(TEXT));
            next_call();
            assert_ok!(try_register(14));
            assert_eq!(Uids::<Test>::get(TEXT, hotkey(14)), Some(2));
        },
    );
}

#[test]
fn of_those_paid_alike_the_oldest_gives_way_then_the_lowest_uid() {
    on_chain_with(
        Parameters {
            immunity: 0,
            ..rules()
        },
        || {
            (1..=8).for_each(|coldkey| {
                register(coldkey);
            });
            leave(1);
            assert_eq!(register(9), 0, "a free slot is taken first");
            next_call();
            assert_ok!(try_register(10));
            assert_eq!(Uids::<Test>::get(TEXT, hotkey(10)), Some(1));
        },
    );
}

#[test]
fn whoever_leaves_takes_its_stake_along_and_nothing_of_it_stays() {
    on_chain(|| {
        register(1);
        register(2);
        stake(1, 7 * NOE);
        vote(1, &[(1, 1)]);
        vote(2, &[(0, 1)]);
        assert_ok!(MarketPallet::serve(
            RuntimeOrigin::signed(hotkey(1)),
            TEXT,
            b"localhost:1".to_vec(),
            None
        ));
        run_to(TEMPO);
        assert_eq!(bonds_of(0).len(), 1);
        let staked = stake_of(0);
        let before = Balances::free_balance(1);
        leave(1);
        assert_eq!(Balances::free_balance(1), before + u128::from(staked));
        assert_eq!((slot(0), System::sufficients(&hotkey(1))), (None, 0));
        assert!(!Rows::<Test>::contains_key(TEXT, 0));
        assert!(!Endpoints::<Test>::contains_key(TEXT, 0));
        assert_eq!(Columns::<Test>::get(TEXT)[1].sum, 0);
        assert_eq!(
            MarketPallet::metagraph(TEXT).map(|all| all.neurons.len()),
            Some(1)
        );
        // An edge to the free slot is void, and setting one is refused.
        run_to(TEMPO + 5);
        assert_noop!(
            MarketPallet::set_weights(RuntimeOrigin::signed(hotkey(2)), TEXT, vec![(0, 1)]),
            Error::<Test>::UnknownUid
        );
        run_to(2 * TEMPO);
        assert_eq!(Epochs::<Test>::get(TEXT).minted, 0);
    });
}

#[test]
fn only_the_coldkey_gives_up_its_slot() {
    on_chain(|| {
        register(1);
        let leave = |who| MarketPallet::deregister(RuntimeOrigin::signed(who), TEXT, hotkey(1));
        assert_noop!(leave(2), Error::<Test>::NotOwner);
        assert_noop!(leave(hotkey(1)), Error::<Test>::NotOwner);
        assert_ok!(leave(1));
        assert_noop!(leave(1), Error::<Test>::NotRegistered);
    });
}

#[test]
fn a_swapped_hotkey_loses_nothing() {
    on_chain(|| {
        register(1);
        register(2);
        stake(1, 7 * NOE);
        vote(1, &[(1, 1)]);
        let swap =
            |who, to| MarketPallet::swap_hotkey(RuntimeOrigin::signed(who), TEXT, hotkey(1), to);
        assert_noop!(swap(2, 77), Error::<Test>::NotOwner);
        assert_noop!(swap(1, hotkey(2)), Error::<Test>::AlreadyRegistered);
        assert_noop!(swap(1, hotkey(1)), Error::<Test>::AlreadyRegistered);
        let before = shown(0);
        assert_ok!(swap(1, 77));
        assert_eq!(
            shown(0),
            market_primitives::Neuron {
                hotkey: 77,
                ..before
            }
        );
        assert_eq!(weights_of(0), (1, vec![(1, 1)]));
        assert_eq!(System::sufficients(&hotkey(1)), 0);
        run_to(6);
        assert_ok!(MarketPallet::set_weights(
            RuntimeOrigin::signed(77),
            TEXT,
            vec![(1, 2)]
        ));
        assert_noop!(
            MarketPallet::set_weights(RuntimeOrigin::signed(hotkey(1)), TEXT, vec![(1, 2)]),
            Error::<Test>::NotRegistered
        );
    });
}
