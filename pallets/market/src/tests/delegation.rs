//! Delegation: what others put behind a neuron, what it earns, and that nobody can take it from them.

use crate::{mock::*, pools::*, *};
use frame_support::{assert_noop, assert_ok};
use market_primitives::{Share, NOE};
use sp_runtime::DispatchResult;

const PERCENT: u64 = Share::ONE.0 / 100;

fn delegate(who: AccountId, coldkey: AccountId, amount: u64) -> DispatchResult {
    let origin = RuntimeOrigin::signed(who);
    MarketPallet::delegate(origin, TEXT, hotkey(coldkey), amount.into())
}

fn undelegate(who: AccountId, pool: PoolId, shares: u64) -> DispatchResult {
    MarketPallet::undelegate(RuntimeOrigin::signed(who), pool, shares)
}

fn undelegate_all(who: AccountId, pool: PoolId) -> u64 {
    let before = Balances::free_balance(who);
    undelegate(who, pool, Delegations::<Test>::get(who, pool)).expect("it holds shares");
    (Balances::free_balance(who) - before) as u64
}

fn set_take(coldkey: AccountId, take: u64) -> DispatchResult {
    let origin = RuntimeOrigin::signed(coldkey);
    MarketPallet::set_take(origin, TEXT, hotkey(coldkey), Share(take))
}

/// What somebody's shares of a pool are worth.
fn worth(who: AccountId, pool: PoolId) -> u64 {
    let shares = Delegations::<Test>::get(who, pool);
    MarketPallet::holdings(pool).map_or(0, |holdings| holdings.worth(shares))
}

/// One validator, with 100 NOE of its own, and two miners whom it values alike.
fn market() {
    (1..=3).for_each(|coldkey| {
        register(coldkey);
    });
    stake(1, 100 * NOE);
    vote(1, &[(1, 1), (2, 1)]);
}

/// What an epoch of ten blocks pays the validator: half of the emission is dividends, and it holds all bonds.
const DIVIDENDS: u64 = 5 * NOE;

#[test]
fn delegated_units_are_stake_and_earn_dividends_less_the_take() {
    on_chain(|| {
        market();
        assert_ok!(delegate(11, 1, 200 * NOE));
        System::assert_last_event(
            Event::Delegated {
                market: TEXT,
                uid: 0,
                pool: 1,
                delegator: 11,
                shares: 200 * NOE,
                amount: 200 * NOE,
            }
            .into(),
        );
        assert_ok!(delegate(12, 1, 100 * NOE));
        assert_eq!(stake_of(0), 400 * NOE);
        run_to(TEMPO);
        assert_eq!(outcome(0).pay, DIVIDENDS);
        assert_eq!(stake_of(0), 400 * NOE + DIVIDENDS);
        // Three quarters of the stake, 18 % of whose part is the owner's.
        let earned = DIVIDENDS / 4 * 3 / 100 * 82;
        assert_eq!(
            (worth(11, 1), worth(12, 1)),
            (200 * NOE + earned / 3 * 2, 100 * NOE + earned / 3)
        );
        // The rest is the owner's, who can take it out, and not a unit more.
        let own = (100 * NOE + DIVIDENDS - earned).into();
        let remove =
            |amount| MarketPallet::remove_stake(RuntimeOrigin::signed(1), TEXT, hotkey(1), amount);
        assert_noop!(remove(own + 1), Error::<Test>::InsufficientStake);
        assert_ok!(remove(own));
        assert_eq!(stake_of(0), 300 * NOE + earned);
        check();
        assert_eq!(undelegate_all(11, 1), 200 * NOE + earned / 3 * 2);
        assert_eq!(undelegate_all(12, 1), 100 * NOE + earned / 3);
        assert_eq!(stake_of(0), 0);
        assert!(!PoolPlaces::<Test>::contains_key(1));
        // The terms stay, and who comes again finds the same pool.
        assert_ok!(delegate(12, 1, NOE));
        assert_eq!(Delegations::<Test>::get(12, 1), NOE);
    });
}

#[test]
fn what_a_miner_earns_by_work_is_its_own() {
    on_chain(|| {
        market();
        assert_ok!(delegate(11, 2, 50 * NOE));
        run_to(TEMPO);
        // It was paid, but not for stake.
        assert!(outcome(1).pay > NOE);
        assert_eq!(worth(11, 1), 50 * NOE);
    });
}

#[test]
fn a_take_falls_at_once_and_rises_after_it_was_announced() {
    on_chain(|| {
        market();
        assert_ok!(delegate(11, 1, 100 * NOE));
        assert_ok!(set_take(1, 10 * PERCENT));
        System::assert_last_event(
            Event::TakeSet {
                market: TEXT,
                uid: 0,
                take: Share(10 * PERCENT),
                from: 1,
            }
            .into(),
        );
        let earned = |until: u32| {
            let before = worth(11, 1);
            let part = before as f64 / stake_of(0) as f64;
            run_to(until);
            let gross = DIVIDENDS as f64 * part;
            100.0 - (worth(11, 1) - before) as f64 / gross * 100.0
        };
        let is = |found: f64, percent: f64| assert!((found - percent).abs() < 1e-6, "{found}");
        is(earned(10), 10.0);
        assert_ok!(set_take(1, 0));
        is(earned(20), 0.0);
        // Announced in block 20, and again in block 24: it holds from block 49 on.
        assert_ok!(set_take(1, 5 * PERCENT));
        run_to(24);
        assert_ok!(set_take(1, 15 * PERCENT));
        is(earned(30), 0.0);
        is(earned(40), 0.0);
        is(earned(50), 15.0);
        // One that was announced can be taken back by setting what holds.
        assert_ok!(set_take(1, 18 * PERCENT));
        assert_ok!(set_take(1, 15 * PERCENT));
        run_to(79);
        is(earned(80), 15.0);
        assert_noop!(set_take(1, 18 * PERCENT + 1), Error::<Test>::TakeTooHigh);
        assert_noop!(set_take(1, u64::MAX), Error::<Test>::TakeTooHigh);
        assert_noop!(
            MarketPallet::set_take(RuntimeOrigin::signed(2), TEXT, hotkey(1), Share(0)),
            Error::<Test>::NotOwner
        );
        assert_noop!(
            MarketPallet::set_take(RuntimeOrigin::signed(1), 7, hotkey(1), Share(0)),
            Error::<Test>::UnknownMarket
        );
        assert_noop!(set_take(9, 0), Error::<Test>::NotRegistered);
    });
}

#[test]
fn what_cannot_be_delegated_or_taken_out_is_refused() {
    on_chain(|| {
        market();
        let least = NOE / 10;
        assert_noop!(delegate(11, 1, 0), Error::<Test>::DelegationTooSmall);
        assert_noop!(
            delegate(11, 1, least - 1),
            Error::<Test>::DelegationTooSmall
        );
        assert_noop!(delegate(11, 9, NOE), Error::<Test>::NotRegistered);
        assert_noop!(
            delegate(11, 1, ENDOWMENT),
            Error::<Test>::InsufficientBalance
        );
        let offer = |market, amount| {
            MarketPallet::delegate(RuntimeOrigin::signed(11), market, hotkey(1), amount)
        };
        assert_noop!(offer(7, NOE.into()), Error::<Test>::UnknownMarket);
        assert_noop!(offer(TEXT, u128::MAX), Error::<Test>::InsufficientBalance);
        assert_eq!(PoolCount::<Test>::get(), 0);

        assert_ok!(delegate(11, 1, 3 * least));
        assert_noop!(undelegate(11, 1, 0), Error::<Test>::AmountZero);
        assert_noop!(
            undelegate(11, 1, 3 * least + 1),
            Error::<Test>::InsufficientShares
        );
        assert_noop!(undelegate(12, 1, 1), Error::<Test>::InsufficientShares);
        assert_noop!(undelegate(11, 2, 1), Error::<Test>::InsufficientShares);
        assert_noop!(
            undelegate(11, 1, 2 * least + 1),
            Error::<Test>::DelegationTooSmall
        );
        assert_ok!(undelegate(11, 1, 2 * least));
        assert_ok!(undelegate(11, 1, least));
        assert_eq!(Balances::free_balance(11), ENDOWMENT.into());
        assert_eq!(Delegations::<Test>::iter().count(), 0);
    });
}

#[test]
fn whoever_drives_up_the_price_of_a_share_takes_nothing_from_who_buys() {
    let rules = Parameters {
        quorum: Share(0),
        ..rules()
    };
    on_chain_with(rules, || {
        // The only stake of the market is a pool with little in it: each epoch multiplies its price, and each
        // time all but the least is taken out.
        (1..=2).for_each(|coldkey| {
            register(coldkey);
        });
        assert_ok!(set_take(1, 0));
        assert_ok!(delegate(1, 1, NOE / 10));
        for epoch in 0..6 {
            vote(1, &[(1, 1)]);
            run_to((epoch + 1) * TEMPO);
            let held = Delegations::<Test>::get(1, 1);
            let price = worth(1, 1) / held;
            let keep = (NOE / 10).div_ceil(price.max(1)).max(1) + 1;
            if held > keep {
                assert_ok!(undelegate(1, 1, held - keep));
            }
        }
        let holdings = MarketPallet::holdings(1).expect("it keeps some");
        let price = holdings.value / holdings.shares;
        assert!(price > NOE, "a share costs {price}");
        // Who offers less than a share costs is refused; who offers more pays for whole shares alone.
        assert_noop!(
            delegate(11, 1, price / 2),
            Error::<Test>::DelegationTooSmall
        );
        let before = Balances::free_balance(11);
        assert_ok!(delegate(11, 1, price + price / 2));
        let paid = (before - Balances::free_balance(11)) as u64;
        assert!(paid <= price + 1 && worth(11, 1) + 1 >= paid);
        undelegate_all(1, 1);
        assert!(undelegate_all(11, 1) + 1 >= paid);
    });
}

#[test]
fn who_leaves_or_is_replaced_takes_nothing_of_the_delegators_along() {
    let rules = Parameters {
        immunity: 0,
        capacity: 3,
        ..rules()
    };
    on_chain_with(rules, || {
        market();
        assert_ok!(delegate(11, 1, 30 * NOE));
        assert_ok!(delegate(12, 3, 20 * NOE));
        let before = Balances::free_balance(1);
        leave(1);
        assert_eq!(Balances::free_balance(1), before + u128::from(100 * NOE));
        System::assert_has_event(
            Event::PoolClosed {
                market: TEXT,
                uid: 0,
                pool: 1,
                value: 30 * NOE,
            }
            .into(),
        );
        // The same hotkey, in the same slot: another registration, and another pool.
        assert_eq!(register(1), 0);
        assert_ok!(delegate(11, 1, 7 * NOE));
        assert_eq!((worth(11, 1), worth(11, 3)), (30 * NOE, 7 * NOE));
        // Nobody was paid yet: the oldest gives way to a newcomer, and then the next.
        register(4);
        register(5);
        assert!(!Uids::<Test>::contains_key(TEXT, hotkey(3)));
        check();
        assert_eq!(undelegate_all(12, 2), 20 * NOE);
        assert_ok!(undelegate(11, 1, 10 * NOE));
        assert_noop!(
            undelegate(11, 1, 20 * NOE - 1),
            Error::<Test>::DelegationTooSmall
        );
        assert_ok!(undelegate(11, 1, 20 * NOE));
        assert!(!PoolPlaces::<Test>::contains_key(1));
        assert_eq!(undelegate_all(11, 3), 7 * NOE);
    });
}

#[test]
fn a_swapped_hotkey_keeps_its_pool() {
    on_chain(|| {
        market();
        assert_ok!(delegate(11, 1, 30 * NOE));
        assert_ok!(MarketPallet::swap_hotkey(
            RuntimeOrigin::signed(1),
            TEXT,
            hotkey(1),
            77
        ));
        assert_ok!(MarketPallet::delegate(
            RuntimeOrigin::signed(11),
            TEXT,
            77,
            NOE.into()
        ));
        assert_eq!(undelegate_all(11, 1), 31 * NOE);
    });
}

#[test]
fn a_running_epoch_pays_those_who_were_there_when_it_began() {
    on_chain(|| {
        market();
        assert_ok!(delegate(11, 1, 100 * NOE));
        assert_ok!(delegate(12, 1, 100 * NOE));
        pieces_a_block(1);
        run_to(TEMPO);
        // Nobody comes for the pay of an epoch that has begun, and a lower take does not touch it either.
        assert_noop!(delegate(13, 1, 100 * NOE), Error::<Test>::EpochRunning);
        assert_ok!(set_take(1, 0));
        // Who sells leaves the pay to the others.
        assert_eq!(undelegate_all(12, 1), 100 * NOE);
        pieces_a_block(1_000);
        run_to(TEMPO + 1);
        let earned = (u128::from(DIVIDENDS) * 2 / 3) as u64;
        let earned = earned - (u128::from(earned) * 18 / 100) as u64;
        assert_eq!(worth(11, 1), 100 * NOE + earned);
        assert_ok!(delegate(13, 1, 100 * NOE));
        assert_eq!(worth(11, 1), 100 * NOE + earned);

        // Where all have sold, it is the owner's.
        pieces_a_block(1);
        run_to(2 * TEMPO);
        undelegate_all(11, 1);
        undelegate_all(13, 1);
        let before = stake_of(0);
        pieces_a_block(1_000);
        run_to(2 * TEMPO + 1);
        assert_eq!(stake_of(0), before + DIVIDENDS);
        assert_eq!(MarketPallet::holdings(1), None);
    });
}

#[test]
fn an_owner_who_leaves_during_an_epoch_takes_its_part_of_the_pay_alone() {
    // Its delegator stays, sells a part, or all.
    for sold in [0, 50, 100] {
        on_chain(|| {
            market();
            assert_ok!(delegate(11, 1, 100 * NOE));
            pieces_a_block(1);
            run_to(TEMPO);
            leave(1);
            register(9); // takes the slot, and has nothing of it
            if sold > 0 {
                assert_ok!(undelegate(11, 1, sold * NOE));
            }
            let before = Balances::free_balance(1);
            pieces_a_block(1_000);
            run_to(TEMPO + 1);
            let earned = if sold < 100 {
                DIVIDENDS / 2 / 100 * 82
            } else {
                0
            };
            assert_eq!(worth(11, 1), (100 - sold) * NOE + earned);
            assert_eq!(
                Balances::free_balance(1) - before,
                (DIVIDENDS - earned).into()
            );
            assert_eq!(stake_of(0), 0);
        });
    }
}

#[test]
fn in_however_many_steps_an_epoch_pays_delegators_the_same() {
    let after = |pieces: u64| {
        let mut chain = chain_with(Parameters {
            tempo: 50,
            activity_cutoff: 1_000,
            ..rules()
        });
        let result = chain.execute_with(|| {
            market();
            for (who, coldkey, noe) in [(11, 1, 33), (12, 1, 50), (11, 2, 7), (12, 3, 1)] {
                delegate(who, coldkey, noe * NOE).expect("there is enough");
            }
            set_take(2, 0).expect("it is lower");
            pieces_a_block(pieces);
            run_to(199);
            (0..3)
                .map(|uid| (stake_of(uid), MarketPallet::pool(TEXT, uid)))
                .collect::<Vec<_>>()
        });
        pieces_a_block(1_000);
        result
    };
    let at_once = after(1_000);
    let value = at_once[0].1.map(|pool| pool.holdings.value);
    assert!(value > Some(83 * NOE));
    for pieces in 1..=8 {
        assert_eq!(after(pieces), at_once, "{pieces} pieces a block");
    }
}

#[test]
fn each_of_as_many_pools_as_there_can_be_earns_its_own() {
    let large = Parameters {
        capacity: 4096,
        registration_cost: 4,
        registration_cost_floor: 4,
        ..rules()
    };
    on_chain_with(large, || {
        // Every slot has a pool; the keys of the neurons do not matter here.
        market();
        let slots = (0..4096_u32).map(|call| {
            Some(types::Slot {
                stake: NOE,
                registered_at: types::Moment { block: 0, call },
            })
        });
        let earned: Vec<_> = (0..4096_u16)
            .map(|uid| delegation::Earned {
                uid,
                pool: u64::from(uid) + 1,
                units: u64::from(uid),
            })
            .collect();
        let before = (Slots::<Test>::get(TEXT), Pools::<Test>::get(TEXT));
        Slots::<Test>::insert(
            TEXT,
            frame_support::BoundedVec::truncate_from(slots.collect()),
        );
        for uid in (0..4096).rev() {
            // In any order, numbered as they come.
            let id = MarketPallet::mutate_pool(TEXT, uid, |pool| {
                pool.id = u64::from(uid) + 1;
                pool.holdings = Holdings {
                    value: NOE,
                    shares: NOE,
                };
                Ok(pool.id)
            });
            assert_eq!(id.ok(), Some(u64::from(uid) + 1));
        }
        MarketPallet::credit_pools(TEXT, &earned);
        for uid in 0..4096 {
            let pool = MarketPallet::pool(TEXT, uid).expect("each has one");
            assert_eq!(pool.holdings.value, NOE + u64::from(uid));
        }
        Slots::<Test>::insert(TEXT, before.0);
        Pools::<Test>::insert(TEXT, before.1);
        PoolCount::<Test>::kill();
    });
}
