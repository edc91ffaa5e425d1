//! An epoch whose state is lost or damaged between two blocks: it is dropped, and the market goes on.

use crate::{mock::*, *};
use market_primitives::NOE;
use sp_io::storage;

/// Eight neurons; the first two hold stake and bonds in the others since the first epoch.
fn market() {
    pieces_a_block(1_000);
    (1..=8).for_each(|coldkey| {
        register(coldkey);
    });
    for validator in [1, 2] {
        stake(validator, 100 * NOE);
        vote(validator, &[(2, 10), (3, 20), (4, 30), (5, 40), (6, 50)]);
    }
    vote(3, &[(3, 1), (4, 1)]);
    run_to(2 * TEMPO - 1);
    assert_eq!(Epochs::<Test>::get(TEXT).epoch, 1);
    pieces_a_block(1);
    run_to(2 * TEMPO);
}

/// The entries that there are of the second epoch.
fn entries() -> Vec<Vec<u8>> {
    let all = [
        EpochCursors::<Test>::hashed_key_for(TEXT),
        EpochViews::<Test>::hashed_key_for(TEXT),
        EpochVotes::<Test>::hashed_key_for(TEXT),
        EpochVerdicts::<Test>::hashed_key_for(TEXT),
        NextColumns::<Test>::hashed_key_for(TEXT),
        EpochDividends::<Test>::hashed_key_for(TEXT),
    ];
    let there = |key: &Vec<u8>| storage::exists(key);
    all.into_iter().filter(there).collect()
}

/// Lets the second epoch run for so many blocks; then its `entry` is as `damage` leaves it. Whether there
/// is such an entry.
fn dropped(wait: u32, entry: usize, damage: impl Fn(&[u8])) -> bool {
    let mut chain = chain_with(rules());
    chain.execute_with(|| {
        market();
        let bonds = bonds_of(0);
        run_to(2 * TEMPO + wait / 2);
        // Some leave, some follow them, some vote.
        leave(2);
        assert_eq!(register(9), 1);
        vote(9, &[(6, 1)]);
        leave(8);
        vote(1, &[(5, 1)]);
        run_to(2 * TEMPO + wait);
        let before = (Balances::free_balance(2), Balances::free_balance(8));
        let stakes: Vec<_> = (0..8).map(stake_of).collect();
        let Some(key) = entries().get(entry).cloned() else {
            return false;
        };
        damage(&key);

        run_to(System::block_number() + 1);
        let last = Epochs::<Test>::get(TEXT);
        assert_eq!((last.epoch, last.minted), (2, 0));
        System::assert_has_event(
            Event::EpochDropped {
                market: TEXT,
                epoch: 2,
            }
            .into(),
        );
        // The rows are cleared up as far as the budget goes; meanwhile everybody may do as they like.
        assert!(EpochCursors::<Test>::contains_key(TEXT));
        let shown = MarketPallet::metagraph(TEXT).expect("the market exists");
        assert_eq!((shown.epoch, shown.begun), (2, 2));
        assert!(shown.neurons.iter().all(|neuron| neuron.pay == 0));
        leave(7);
        assert_eq!(register(10), 6);
        vote(10, &[(2, 1)]);
        run_to(System::block_number() + 4);
        leave(5);
        pieces_a_block(1_000);
        run_to(System::block_number() + 1);
        assert!(!EpochCursors::<Test>::contains_key(TEXT));

        // Nobody was paid, neither who stayed nor who left.
        assert_eq!(TotalMinted::<Test>::get(), u64::from(TEMPO) * NOE);
        assert_eq!(
            before,
            (Balances::free_balance(2), Balances::free_balance(8))
        );
        for uid in [0, 1, 2, 3, 5] {
            assert_eq!(stake_of(uid), stakes[usize::from(uid)], "slot {uid}");
        }
        // What was set meanwhile is there; of those who left nothing is.
        assert_eq!(weights_of(0).1, [(5, 1)]);
        assert_eq!(weights_of(1).1, [(6, 1)]);
        assert_eq!(weights_of(2).1, [(3, 1), (4, 1)]);
        assert_eq!(weights_of(6).1, [(2, 1)]);
        assert!(bonds_of(1).is_empty() && bonds_of(6).is_empty());
        // Bonds are what they were or what the epoch had made of them.
        assert_eq!(bonds_of(0).len(), bonds.len());

        // The next begins at its time, or at once if that is past, and is paid for the blocks since the one that was dropped began.
        let due = (3 * TEMPO).max(System::block_number() + 1);
        run_to(due);
        let last = Epochs::<Test>::get(TEXT);
        assert_eq!((last.epoch, last.began), (3, due));
        assert_eq!(last.minted, u64::from(due - 2 * TEMPO) * NOE);
        assert!(outcome(5).pay > 0);
        run_to(due + 3 * TEMPO);
        assert_eq!(Epochs::<Test>::get(TEXT).epoch, 6);
        true
    })
}

#[test]
fn an_epoch_whose_state_is_lost_is_dropped_and_the_next_is_paid() {
    let mut cases = 0;
    // While votes are counted, when they are, and while bonds are renewed.
    for wait in [0, 5, 8, 9, 13, 16] {
        for entry in 0..6 {
            let damages: [fn(&[u8]); 3] = [
                storage::clear,
                |key| storage::set(key, &[0xff]),
                // A list of nothing, or the cursor of an absurd epoch.
                |key| storage::set(key, &[0; 64]),
            ];
            for damage in damages {
                cases += usize::from(dropped(wait, entry, damage));
            }
        }
    }
    assert_eq!(cases, (2 * 3 + 4 * 6) * 3);
}

#[test]
fn a_dropped_epoch_does_not_make_everybody_equal() {
    let mut chain = chain_with(Parameters {
        immunity: 10,
        ..rules()
    });
    chain.execute_with(|| {
        market();
        EpochVotes::<Test>::remove(TEXT);
        run_to(2 * TEMPO + 1);
        let last = Epochs::<Test>::get(TEXT);
        assert_eq!((last.epoch, last.minted), (2, 0));
        assert!(shown(0).pay == 0 && outcome(0).pay == 0);
        // The last, whom nobody values, and not the first, who holds the most.
        next_call();
        MarketPallet::register(RuntimeOrigin::signed(9), TEXT, hotkey(9), u128::MAX)
            .expect("one gives way");
        assert_eq!(Uids::<Test>::get(TEXT, hotkey(9)), Some(7));
        check();
    });
}

#[test]
fn clearing_up_begins_again_where_its_own_state_is_lost() {
    let mut chain = chain_with(rules());
    chain.execute_with(|| {
        market();
        EpochVotes::<Test>::remove(TEXT);
        run_to(2 * TEMPO + 5);
        let cursor = EpochCursors::<Test>::get(TEXT).expect("it is being cleared up");
        assert!(cursor.next > 1);
        NextColumns::<Test>::remove(TEXT);
        pieces_a_block(1_000);
        run_to(3 * TEMPO);
        let last = Epochs::<Test>::get(TEXT);
        assert_eq!((last.epoch, last.minted), (3, u64::from(TEMPO) * NOE));
    });
}
