//! Markets created by governance, and rules that change where one epoch ends and the next begins.

use crate::{mock::*, types::*, *};
use frame_support::{assert_noop, assert_ok};
use market_primitives::{Modality, Share, NOE};
use sp_runtime::{DispatchError, DispatchResult};

fn set(parameters: Parameters, share: u64) -> DispatchResult {
    MarketPallet::set_parameters(RuntimeOrigin::root(), TEXT, Share(share), parameters)
}

fn create(share: u64, parameters: Parameters) -> DispatchResult {
    let market = Market {
        modality: Modality::Tensor,
        emission_share: Share(share),
        parameters,
    };
    MarketPallet::create_market(RuntimeOrigin::root(), market)
}

fn in_force() -> Parameters {
    let market = Markets::<Test>::get(TEXT).expect("it exists");
    market.parameters
}

/// Two neurons of which one holds all stake and votes for the other.
fn market() {
    register(1);
    register(2);
    stake(1, 100 * NOE);
    vote(1, &[(1, 1)]);
}

const ONE: u64 = Share::ONE.0;

#[test]
fn what_is_decided_waits_for_the_next_epoch_which_is_still_settled_without_it() {
    on_chain(|| {
        market();
        let new = Parameters {
            tempo: 7,
            capacity: 9,
            ..rules()
        };
        run_to(4);
        assert_ok!(set(new.clone(), ONE / 2));
        System::assert_last_event(Event::ParametersScheduled { market: TEXT }.into());
        run_to(TEMPO - 1);
        assert_eq!(in_force(), rules());
        let pending = PendingRules::<Test>::get(TEXT).expect("it waits");
        assert_eq!(
            (pending.parameters, pending.emission_share),
            (new.clone(), Share(ONE / 2))
        );

        run_to(TEMPO);
        System::assert_has_event(Event::ParametersSet { market: TEXT }.into());
        assert_eq!(
            (in_force(), PendingRules::<Test>::get(TEXT)),
            (new.clone(), None)
        );
        // The epoch that began now pays for ten blocks under the whole share; the next, in the next block
        // that is a multiple of seven, for four under half of it.
        assert_eq!(Epochs::<Test>::get(TEXT).minted, 10 * NOE);
        run_to(13);
        assert_eq!(Epochs::<Test>::get(TEXT).epoch, 1);
        run_to(14);
        let last = Epochs::<Test>::get(TEXT);
        assert_eq!((last.epoch, last.began, last.minted), (2, 14, 2 * NOE));
        (3..=9).for_each(|coldkey| {
            register(coldkey);
        });
    });
}

#[test]
fn a_running_epoch_never_sees_new_rules() {
    // With quorum one, nothing would be minted, for half of the stake does not vote.
    let strict = Parameters {
        quorum: Share(ONE),
        ..rules()
    };
    let minted = |decide_at: u32| {
        let mut minted = Vec::new();
        chain_with(rules()).execute_with(|| {
            market();
            register(3);
            stake(3, 100 * NOE);
            pieces_a_block(1);
            while Epochs::<Test>::get(TEXT).epoch < 3 {
                let before = Epochs::<Test>::get(TEXT);
                let next = System::block_number() + 1;
                run_to(next);
                if next == decide_at {
                    set(strict.clone(), ONE).expect("it is within bounds");
                }
                let last = Epochs::<Test>::get(TEXT);
                if last.epoch > before.epoch {
                    minted.push(last.minted > 0);
                }
            }
        });
        pieces_a_block(1_000);
        minted
    };
    assert_eq!(minted(0), [true; 3]);
    // Decided before the first, while it runs, and while the second runs.
    assert_eq!(minted(9), [true, false, false]);
    assert_eq!(minted(TEMPO), [true, true, false]);
    assert_eq!(minted(TEMPO + 3), [true, true, false]);
    assert_eq!(minted(2 * TEMPO), [true; 3]);
}

#[test]
fn the_last_decision_counts() {
    on_chain(|| {
        for immunity in [5, 6] {
            assert_ok!(set(
                Parameters {
                    immunity,
                    ..rules()
                },
                ONE
            ));
        }
        run_to(TEMPO);
        assert_eq!(in_force().immunity, 6);
    });
}

#[test]
fn the_price_of_a_slot_goes_on_from_where_it_is() {
    on_chain(|| {
        register(1); // 1.26 NOE from block 1 on
        assert_ok!(set(
            Parameters {
                tempo: 100,
                activity_cutoff: 100,
                ..rules()
            },
            ONE
        ));
        let price = || MarketPallet::cost_in_block(TEXT, &in_force(), System::block_number());
        run_to(TEMPO - 1);
        let before = price();
        run_to(TEMPO);
        let after = price();
        assert!(before > after && before - after < NOE / 10);
        run_to(TEMPO + 100);
        assert_eq!(price(), after / 2);
        // One that governance sets is the price.
        assert_ok!(set(
            Parameters {
                registration_cost: 77 * NOE,
                ..rules()
            },
            ONE
        ));
        run_to(200);
        assert_eq!(price(), 77 * NOE);
    });
}

#[test]
fn a_created_market_lives_from_its_first_block() {
    on_chain(|| {
        run_to(3);
        assert_ok!(set(rules(), ONE / 2));
        run_to(15);
        assert_ok!(create(ONE / 2, rules()));
        System::assert_last_event(
            Event::MarketCreated {
                market: 1,
                modality: Modality::Tensor,
                emission_share: Share(ONE / 2),
            }
            .into(),
        );
        let shown = MarketPallet::metagraph(1).expect("it exists");
        assert_eq!((shown.epoch, shown.begun, shown.block), (0, 0, 0));
        assert_eq!(shown.registration_cost, NOE);
        for coldkey in [1, 2] {
            next_call();
            assert_ok!(MarketPallet::register(
                RuntimeOrigin::signed(coldkey),
                1,
                hotkey(coldkey),
                NOE.into()
            ));
            RegistrationPrices::<Test>::remove(1);
        }
        assert_ok!(MarketPallet::add_stake(
            RuntimeOrigin::signed(1),
            1,
            hotkey(1),
            NOE.into()
        ));
        assert_ok!(MarketPallet::set_weights(
            RuntimeOrigin::signed(hotkey(1)),
            1,
            vec![(1, 1)]
        ));
        // Five blocks at half of the emission, and none of those before it was there.
        run_to(20);
        let first = Epochs::<Test>::get(1);
        assert_eq!(
            (first.epoch, first.began, first.minted),
            (1, 20, 5 * NOE / 2)
        );
        run_to(30);
        assert_eq!(Epochs::<Test>::get(1).minted, 5 * NOE);
    });
}

#[test]
fn no_more_than_all_of_the_emission_is_given_away_in_whatever_order() {
    on_chain(|| {
        // All of it is the first market's until its next epoch.
        assert_noop!(create(1, rules()), Error::<Test>::EmissionShareOutOfBounds);
        assert_noop!(
            set(rules(), ONE + 1),
            Error::<Test>::EmissionShareOutOfBounds
        );
        assert_noop!(
            set(rules(), u64::MAX),
            Error::<Test>::EmissionShareOutOfBounds
        );
        assert_ok!(set(rules(), ONE - 10));
        assert_noop!(create(1, rules()), Error::<Test>::EmissionShareOutOfBounds);
        run_to(TEMPO);
        assert_noop!(create(11, rules()), Error::<Test>::EmissionShareOutOfBounds);
        assert_ok!(create(10, rules()));
        // What is promised to one cannot be promised to another.
        assert_noop!(
            set(rules(), ONE - 9),
            Error::<Test>::EmissionShareOutOfBounds
        );
        let set_second =
            |share| MarketPallet::set_parameters(RuntimeOrigin::root(), 1, Share(share), rules());
        assert_ok!(set_second(4));
        assert_noop!(
            set(rules(), ONE - 9),
            Error::<Test>::EmissionShareOutOfBounds
        );
        run_to(2 * TEMPO);
        assert_ok!(set(rules(), ONE - 5));
        assert_noop!(set_second(6), Error::<Test>::EmissionShareOutOfBounds);
        assert_ok!(set_second(5));
        run_to(3 * TEMPO);
        assert_eq!(MarketPallet::assigned_emission(None), u128::from(ONE));
    });
}

#[test]
fn what_governance_may_not_do_is_refused_by_name() {
    on_chain(|| {
        let signed = RuntimeOrigin::signed(1);
        assert_noop!(
            MarketPallet::set_parameters(signed.clone(), TEXT, Share::ONE, rules()),
            DispatchError::BadOrigin
        );
        let market = Markets::<Test>::get(TEXT).expect("it exists");
        assert_noop!(
            MarketPallet::create_market(signed, market),
            DispatchError::BadOrigin
        );
        assert_noop!(
            MarketPallet::set_parameters(RuntimeOrigin::root(), 7, Share(0), rules()),
            Error::<Test>::UnknownMarket
        );
        // The bounds have tests of their own; here, that the calls ask them.
        let endless = Parameters {
            tempo: MAX_TEMPO + 1,
            ..rules()
        };
        assert_noop!(set(endless.clone(), 0), Error::<Test>::TempoOutOfBounds);
        assert_noop!(create(0, endless), Error::<Test>::TempoOutOfBounds);
        let smaller = Parameters {
            capacity: 7,
            ..rules()
        };
        assert_noop!(set(smaller, ONE), Error::<Test>::CapacityOutOfBounds);
        for _ in 1..4 {
            assert_ok!(create(0, rules()));
        }
        assert_noop!(create(0, rules()), Error::<Test>::TooManyMarkets);
    });
}
