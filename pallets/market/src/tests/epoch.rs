//! What an epoch pays, and when it pays nothing.

use crate::{mock::*, *};
use frame_support::traits::fungible::Inspect;
use market_primitives::{Share, NOE};

/// Two validators (1 and 2, 100 NOE each) and three miners (3, 4, 5).
fn market() {
    (1..=5).for_each(|coldkey| {
        register(coldkey);
    });
    stake(1, 100 * NOE);
    stake(2, 100 * NOE);
}

fn pay(uid: u16) -> u64 {
    outcome(uid).pay
}

#[test]
fn useful_miners_earn_useless_ones_do_not_and_all_of_it_is_paid() {
    on_chain(|| {
        market();
        vote(1, &[(2, 60_000), (3, 5_000)]);
        vote(2, &[(2, 60_000), (3, 5_000)]);
        let issuance = Balances::total_issuance();
        run_to(TEMPO);

        let last = Epochs::<Test>::get(TEXT);
        assert_eq!(
            (last.epoch, last.began, last.in_consensus),
            (1, TEMPO, true)
        );
        assert!(last.loss.0 < 0);
        assert_eq!(last.minted, u64::from(TEMPO) * NOE);
        assert_eq!(TotalMinted::<Test>::get(), last.minted);
        assert_eq!(
            Balances::total_issuance(),
            issuance + u128::from(last.minted)
        );
        assert_eq!(
            (0..5).map(pay).sum::<u64>(),
            last.minted,
            "paid to the unit"
        );

        assert!(pay(2) > pay(3) && pay(3) > 0, "{} and {}", pay(2), pay(3));
        assert_eq!(pay(4), 0);
        assert_eq!(pay(0), pay(1), "equal validators earn the same dividends");
        assert_eq!(stake_of(2), pay(2), "pay is stake");
        let outcome = outcome(2);
        assert_eq!(outcome.trust, Share::ONE);
        assert_eq!(outcome.dividend, Share(0));
        System::assert_has_event(
            Event::EpochFinished {
                market: TEXT,
                epoch: 1,
                loss: last.loss,
                in_consensus: true,
                minted: last.minted,
            }
            .into(),
        );
    });
}

#[test]
fn without_votes_nothing_is_minted_not_even_later() {
    on_chain(|| {
        market();
        run_to(3 * TEMPO);
        assert_eq!(TotalMinted::<Test>::get(), 0);
        assert_eq!(Epochs::<Test>::get(TEXT).epoch, 3);
        vote(1, &[(2, 1)]);
        vote(2, &[(2, 1)]);
        run_to(4 * TEMPO);
        assert_eq!(TotalMinted::<Test>::get(), u64::from(TEMPO) * NOE);
    });
}

#[test]
fn below_the_quorum_nothing_is_minted() {
    on_chain(|| {
        market();
        register(6);
        stake(6, 40 * NOE);
        vote(6, &[(2, 1)]);
        run_to(TEMPO);
        assert!(!Epochs::<Test>::get(TEXT).in_consensus);
        assert_eq!(TotalMinted::<Test>::get(), 0);
    });
}

#[test]
fn miners_that_earn_and_never_vote_do_not_stop_the_market() {
    on_chain_with(
        Parameters {
            activity_cutoff: 1_000_000,
            ..rules()
        },
        || {
            market();
            vote(1, &[(2, 1)]);
            vote(2, &[(2, 1)]);
            for epoch in 1..=60 {
                run_to(epoch * TEMPO);
                assert!(Epochs::<Test>::get(TEXT).in_consensus, "epoch {epoch}");
            }
        },
    );
}

#[test]
fn rows_grow_too_old_to_count() {
    on_chain(|| {
        market();
        vote(1, &[(2, 1)]);
        vote(2, &[(2, 1)]);
        // The rows are of block 1 and count up to an age of 100 blocks: the epoch of block 100 sees
        // them at 98, that of block 110 at 108.
        run_to(10 * TEMPO);
        assert!(Epochs::<Test>::get(TEXT).in_consensus);
        run_to(11 * TEMPO);
        assert!(!Epochs::<Test>::get(TEXT).in_consensus);
    });
}

#[test]
fn an_edge_to_a_slot_taken_later_does_not_count() {
    on_chain(|| {
        register(1);
        stake(1, 100 * NOE);
        register(2);
        vote(1, &[(1, 1)]);
        // In the same block, after the row was set, the slot changes hands.
        leave(2);
        assert_eq!(register(3), 1);
        run_to(TEMPO);
        assert_eq!(outcome(1).rank, Share(0));
        assert_eq!(pay(1), 0);
    });
}

#[test]
fn bonds_pay_the_validator_that_was_early() {
    on_chain_with(
        Parameters {
            activity_cutoff: 1_000_000,
            ..rules()
        },
        || {
            market();
            vote(1, &[(2, 1)]);
            vote(2, &[(3, 1)]);
            run_to(3 * TEMPO);
            // Now both value miner 3 (uid 2): the first has held bonds in it for longer.
            vote(2, &[(2, 1)]);
            run_to(4 * TEMPO);
            assert!(pay(0) > pay(1), "{} and {}", pay(0), pay(1));
            assert!(!bonds_of(0).is_empty());
        },
    );
}

#[test]
fn an_empty_market_and_a_market_of_one_run_their_epochs() {
    on_chain(|| {
        run_to(TEMPO);
        assert_eq!(Epochs::<Test>::get(TEXT).epoch, 1);
        register(1);
        stake(1, NOE);
        run_to(2 * TEMPO);
        assert_eq!(Epochs::<Test>::get(TEXT).epoch, 2);
        assert_eq!(TotalMinted::<Test>::get(), 0);
    });
}

#[test]
fn the_metagraph_shows_what_the_epoch_gave() {
    on_chain(|| {
        market();
        vote(1, &[(2, 1)]);
        vote(2, &[(2, 1)]);
        run_to(TEMPO + 3);
        let shown = MarketPallet::metagraph(TEXT).expect("the market exists");
        assert_eq!(
            (shown.epoch, shown.block, shown.next_epoch_block),
            (1, TEMPO, 2 * TEMPO)
        );
        assert_eq!(shown.neurons.len(), 5);
        assert_eq!(shown.neurons[2].pay, pay(2));
        assert_eq!(shown.neurons[2].stake, stake_of(2));
        assert_eq!(shown.neurons[0].last_update, Some(1));
        assert_eq!(MarketPallet::metagraph(7), None);
        assert_eq!(
            Balances::total_balance(&MarketPallet::stake_account()),
            shown
                .neurons
                .iter()
                .map(|neuron| u128::from(neuron.stake))
                .sum::<u128>()
        );
    });
}
