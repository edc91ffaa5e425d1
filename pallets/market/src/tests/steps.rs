//! An epoch that takes several blocks: what happens meanwhile changes nothing in it.

use crate::{mock::*, *};
use frame_support::{assert_noop, traits::Hooks};
use market_primitives::NOE;

/// Eight neurons; the first two hold stake and value the others.
fn market() {
    (1..=8).for_each(|coldkey| {
        register(coldkey);
    });
    for validator in [1, 2] {
        stake(validator, 100 * NOE);
        vote(validator, &[(2, 10), (3, 20), (4, 30), (5, 40), (6, 50)]);
    }
    vote(3, &[(3, 1), (4, 1)]);
}

/// Goes on until so many epochs are finished.
fn run_to_epoch(epoch: u64) {
    let last = System::block_number() + 1_000;
    while Epochs::<Test>::get(TEXT).epoch < epoch {
        assert!(System::block_number() < last, "the epoch does not end");
        run_to(System::block_number() + 1);
    }
}

/// Of a neuron: stake, pay and bonds.
type Result = (u64, u64, Vec<(u16, u32)>);

/// What the last epoch left behind, by uid.
fn results() -> Vec<Result> {
    (0..8)
        .map(|uid| (stake_of(uid), outcome(uid).pay, bonds_of(uid)))
        .collect()
}

/// The market after its second epoch, with so many pieces a block.
fn after_two_epochs(pieces: u64) -> (u32, Vec<Result>) {
    let mut chain = chain_with(Parameters {
        tempo: 100,
        activity_cutoff: 1_000,
        ..rules()
    });
    chain.execute_with(|| {
        market();
        pieces_a_block(pieces);
        run_to(299);
        let last = Epochs::<Test>::get(TEXT);
        assert_eq!((last.epoch, last.began), (2, 200));
        (last.finished - last.began, results())
    })
}

#[test]
fn in_however_many_steps_an_epoch_comes_to_the_same() {
    let (blocks, at_once) = after_two_epochs(100);
    assert_eq!(blocks, 0);
    let mut longest = 0;
    for pieces in 1..=17 {
        let (blocks, in_steps) = after_two_epochs(pieces);
        assert_eq!(in_steps, at_once, "{pieces} pieces a block");
        longest = longest.max(blocks);
    }
    assert_eq!(longest, 17, "{longest} blocks");
}

#[test]
fn nothing_is_seen_before_the_last_step() {
    on_chain(|| {
        market();
        pieces_a_block(2);
        run_to(TEMPO);
        let before = results();
        let mut block = TEMPO;
        while EpochCursors::<Test>::contains_key(TEXT) && block < 1_000 {
            let shown = MarketPallet::metagraph(TEXT).expect("the market exists");
            assert_eq!((shown.epoch, shown.begun), (0, 1));
            assert_eq!(TotalMinted::<Test>::get(), 0);
            let shown: Vec<_> = results()
                .into_iter()
                .map(|(stake, pay, _)| (stake, pay))
                .collect();
            let then: Vec<_> = before
                .iter()
                .map(|(stake, pay, _)| (*stake, *pay))
                .collect();
            assert_eq!(shown, then);
            block += 1;
            run_to(block);
        }
        assert!(block > TEMPO + 3, "{block}");
        let shown = MarketPallet::metagraph(TEXT).expect("the market exists");
        assert_eq!((shown.epoch, shown.begun), (1, 1));
        let last = Epochs::<Test>::get(TEXT);
        assert_eq!((last.began, last.finished), (TEMPO, block));
        assert_eq!(last.minted, u64::from(TEMPO) * NOE);
    });
}

/// Lets `meddle` act in each block of the first epoch, and returns what the epoch paid, by uid, and the
/// stake that it went to.
fn pay_despite(meddle: impl Fn()) -> Vec<u64> {
    let mut chain = chain_with(rules());
    chain.execute_with(|| {
        market();
        pieces_a_block(1);
        run_to(TEMPO);
        let issued = Balances::total_issuance();
        let mut burned = 0;
        while Epochs::<Test>::get(TEXT).epoch == 0 && System::block_number() < 1_000 {
            let before = Balances::total_issuance();
            meddle();
            burned += before - Balances::total_issuance();
            run_to(System::block_number() + 1);
        }
        let last = Epochs::<Test>::get(TEXT);
        assert_eq!(last.minted, u64::from(TEMPO) * NOE);
        assert_eq!(
            Balances::total_issuance(),
            issued - burned + u128::from(last.minted)
        );
        (0..8).map(|uid| outcome(uid).pay).collect()
    })
}

#[test]
fn stake_moved_meanwhile_counts_for_the_next_epoch() {
    let undisturbed = pay_despite(|| {});
    assert_eq!(undisturbed, pay_despite(|| stake(1, 10 * NOE)));
    assert_eq!(undisturbed, pay_despite(|| stake(5, 10 * NOE)));
}

#[test]
fn weights_set_meanwhile_count_for_the_next_epoch() {
    let undisturbed = pay_despite(|| {});
    let disturbed = pay_despite(|| {
        for coldkey in [1, 2, 8] {
            next_call();
            // Most are too early; those that are not must not count.
            let _ = MarketPallet::set_weights(
                RuntimeOrigin::signed(hotkey(coldkey)),
                TEXT,
                vec![(5, 1)],
            );
        }
        assert!(
            shown(0).last_update >= Some(TEMPO),
            "its first was accepted"
        );
    });
    assert_eq!(undisturbed, disturbed);
    // The next epoch reads the new rows.
    let mut chain = chain_with(rules());
    chain.execute_with(|| {
        market();
        pieces_a_block(1);
        run_to(TEMPO);
        vote(1, &[(7, 1)]);
        vote(2, &[(7, 1)]);
        assert!(Arrivals::<Test>::contains_key(TEXT, 0));
        run_to_epoch(1);
        assert_eq!(outcome(7).pay, 0);
        assert_eq!(weights_of(0), (TEMPO, vec![(7, 1)]));
        assert_eq!(bonds_of(0).len(), 5, "bonds are those of the old row");
        run_to_epoch(2);
        assert!(outcome(7).pay > 0);
    });
}

#[test]
fn who_leaves_meanwhile_is_paid_and_its_successor_starts_from_nothing() {
    // Before its row is read for the last time, and after.
    for (wait, past) in [(0, false), (9, false), (11, true), (16, true)] {
        let mut chain = chain_with(rules());
        chain.execute_with(|| {
            market();
            pieces_a_block(1);
            run_to(TEMPO + wait);
            let cursor = EpochCursors::<Test>::get(TEXT).expect("the epoch is running");
            assert_eq!(cursor.is_past(1), past);
            leave(2);
            assert_eq!(register(9), 1);
            vote(9, &[(6, 1)]);
            let before = Balances::free_balance(2);
            run_to_epoch(1);
            let paid = Balances::free_balance(2) - before;
            assert!(paid > 0, "the coldkey of the neuron that left is paid");
            assert!(
                paid.abs_diff(outcome(0).pay.into()) <= 1,
                "as much as its equal"
            );
            assert_eq!((outcome(1), stake_of(1)), (Default::default(), 0));
            assert_eq!(weights_of(1).1, [(6, 1)]);
            assert!(bonds_of(1).is_empty());
            check();
            run_to(3 * TEMPO + 5);
        });
    }
}

#[test]
fn only_so_many_leave_while_an_epoch_is_running() {
    let many = crate::running::MAX_DEPARTURES as u64 + 1;
    let capacity = many as u16 + 1;
    let mut chain = chain_with(Parameters {
        capacity,
        registration_cost: 100,
        registration_cost_floor: 100,
        ..rules()
    });
    chain.execute_with(|| {
        // All of one coldkey.
        for hotkey in 0..=many {
            next_call();
            RegistrationPrices::<Test>::remove(TEXT);
            MarketPallet::register(RuntimeOrigin::signed(1), TEXT, 1_000 + hotkey, u128::MAX)
                .expect("there is room and money");
        }
        pieces_a_block(1);
        run_to(TEMPO);
        let leave =
            |hotkey| MarketPallet::deregister(RuntimeOrigin::signed(1), TEXT, 1_000 + hotkey);
        (0..many - 1).for_each(|hotkey| leave(hotkey).expect("there is room to note it"));
        assert_noop!(leave(many - 1), Error::<Test>::EpochRunning);
        check();
        run_to_epoch(1);
        leave(many - 1).expect("none is running");
    });
}

#[test]
fn an_epoch_that_takes_longer_than_a_tempo_is_followed_by_the_next() {
    on_chain(|| {
        market();
        pieces_a_block(1);
        run_to(TEMPO);
        run_to_epoch(3);
        let last = Epochs::<Test>::get(TEXT);
        assert!(last.began > 3 * TEMPO, "late: {last:?}");
        // Nothing of the schedule is lost: what fell due since the last began is paid.
        assert_eq!(TotalMinted::<Test>::get(), u64::from(last.began) * NOE);
    });
}

#[test]
fn markets_take_turns() {
    let market = crate::types::Market {
        modality: market_primitives::Modality::Text,
        emission_share: market_primitives::Share(market_primitives::Share::ONE.0 / 4),
        parameters: rules(),
    };
    let mut chain = chain_with(rules());
    chain.execute_with(|| {
        for id in 1..4 {
            Markets::<Test>::insert(id, &market);
        }
        for id in 0..4 {
            for neuron in 0..8 {
                next_call();
                let hotkey = 1_000 + 10 * u64::from(id) + neuron;
                MarketPallet::register(RuntimeOrigin::signed(neuron + 1), id, hotkey, u128::MAX)
                    .expect("there is room and money");
            }
        }
        pieces_a_block(4);
        let blocks = 40 * TEMPO;
        for block in 1..=blocks {
            System::set_block_number(block);
            MarketPallet::on_initialize(block);
        }
        let epochs: Vec<_> = (0..4).map(|id| Epochs::<Test>::get(id).epoch).collect();
        let (least, most) = (epochs.iter().min(), epochs.iter().max());
        assert!(*least.expect("four") >= 10, "{epochs:?}");
        assert!(
            most.expect("four") - least.expect("four") <= 2,
            "{epochs:?}"
        );
    });
}

#[test]
fn what_is_due_in_one_block_begins_in_it_everywhere_so_that_stake_counts_once() {
    let other: u16 = 1;
    on_chain(|| {
        market();
        let second = crate::types::Market {
            modality: market_primitives::Modality::Text,
            emission_share: market_primitives::Share(0),
            parameters: rules(),
        };
        Markets::<Test>::insert(other, second);
        next_call();
        MarketPallet::register(RuntimeOrigin::signed(1), other, hotkey(1), u128::MAX)
            .expect("there is room and money");
        // The first could spend all on its rows before the second is begun.
        Beginning::set(2);
        pieces_a_block(6);
        run_to(TEMPO);
        for id in [TEXT, other] {
            let cursor = EpochCursors::<Test>::get(id).expect("it is running");
            assert_eq!((cursor.began, cursor.epoch), (TEMPO, 1));
        }
        // All stake of the first validator goes from one market to the other.
        next_call();
        let (from, to) = (RuntimeOrigin::signed(1), RuntimeOrigin::signed(1));
        let units = u128::from(100 * NOE);
        MarketPallet::remove_stake(from, TEXT, hotkey(1), units).expect("it is there");
        MarketPallet::add_stake(to, other, hotkey(1), units).expect("it has that much");
        run_to(TEMPO + 1);
        let counted: u64 = [TEXT, other]
            .into_iter()
            .filter_map(EpochViews::<Test>::get)
            .filter_map(|view| view.slots.first().copied().flatten())
            .map(|slot| slot.stake)
            .sum();
        assert_eq!(counted, 100 * NOE);
        // And neither waits for ever.
        run_to(6 * TEMPO);
        assert!([TEXT, other]
            .iter()
            .all(|id| Epochs::<Test>::get(id).epoch > 1));
    });
}
