//! Weights that are committed to before they are shown.

use crate::{mock::*, weight_setting::commitment, *};
use frame_support::{assert_noop, assert_ok};
use market_primitives::NOE;
use proptest::prelude::*;

const SALT: [u8; 32] = [7; 32];

/// The rules of a market that hides weights for so many epochs.
fn hidden(reveal_period: u32) -> Parameters {
    Parameters {
        reveal_period,
        activity_cutoff: 1_000,
        ..rules()
    }
}

fn commit(coldkey: AccountId, hash: [u8; 32]) -> sp_runtime::DispatchResult {
    MarketPallet::commit_weights(RuntimeOrigin::signed(hotkey(coldkey)), TEXT, hash)
}

fn reveal(
    coldkey: AccountId,
    weights: &[(u16, u16)],
    salt: [u8; 32],
) -> sp_runtime::DispatchResult {
    let signer = RuntimeOrigin::signed(hotkey(coldkey));
    MarketPallet::reveal_weights(signer, TEXT, weights.to_vec(), salt)
}

fn three() {
    (1..=3).for_each(|coldkey| {
        register(coldkey);
    });
    stake(1, 100 * NOE);
}

#[test]
fn the_hash_is_the_one_that_clients_compute() {
    let salt = std::array::from_fn(|place| place as u8);
    let hash = commitment(1, 2, &[(0, 65_535), (3, 1), (258, 772)], &salt);
    // As in clients/chain/src/commitment.rs and as Python's hashlib has it.
    let expected = "34b4a712a19856c2e2217d274018cdc741dd26ee06e5e7ece7f85132081f1fd0";
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits, expected);
}

#[test]
fn a_row_is_shown_one_epoch_later_and_counts_as_of_the_commitment() {
    on_chain_with(hidden(1), || {
        three();
        let row = [(1, 3)];
        let hash = commitment(TEXT, 0, &row, &SALT);
        run_to(4);
        assert_ok!(commit(1, hash));
        System::assert_last_event(
            Event::WeightsCommitted {
                market: TEXT,
                uid: 0,
                hash,
            }
            .into(),
        );
        assert_noop!(reveal(1, &row, SALT), Error::<Test>::RevealTooEarly);
        run_to(TEMPO + 2);
        // Not another's row, nor another row, nor with another salt.
        assert_noop!(reveal(3, &row, SALT), Error::<Test>::NothingCommitted);
        assert_noop!(reveal(1, &[(2, 3)], SALT), Error::<Test>::NothingCommitted);
        assert_noop!(reveal(1, &row, [8; 32]), Error::<Test>::NothingCommitted);
        assert_ok!(reveal(1, &row, SALT));
        assert_eq!(weights_of(0), (4, row.to_vec()));
        assert_eq!(shown(0).last_update, Some(4));
        assert_noop!(reveal(1, &row, SALT), Error::<Test>::NothingCommitted);
        run_to(2 * TEMPO);
        assert!(Epochs::<Test>::get(TEXT).minted > 0);
    });
}

#[test]
fn with_the_least_activity_cutoff_every_row_counts_and_with_less_it_does_not() {
    // Of a row that is committed to in the first block of an epoch, which is the oldest when it counts.
    let minted = |reveal_period: u32, activity_cutoff: u32| {
        let mut chain = chain_with(hidden(reveal_period));
        chain.execute_with(|| {
            Markets::<Test>::mutate(TEXT, |market| {
                let market = market.as_mut().expect("it exists");
                market.parameters.activity_cutoff = activity_cutoff;
            });
            three();
            let row = [(1, 3)];
            run_to(TEMPO);
            assert_ok!(commit(1, commitment(TEXT, 0, &row, &SALT)));
            run_to((reveal_period + 2) * TEMPO - 1);
            assert_ok!(reveal(1, &row, SALT));
            run_to((reveal_period + 2) * TEMPO);
            Epochs::<Test>::get(TEXT).minted
        })
    };
    for reveal_period in [1, 2, 10] {
        let least = (reveal_period + 1) * TEMPO;
        assert!(minted(reveal_period, least) > 0, "{reveal_period}");
        assert_eq!(minted(reveal_period, least - 2), 0, "{reveal_period}");
    }
}

#[test]
#[should_panic(expected = "genesis market 0: activity_cutoff must be at least")]
fn a_market_whose_rows_would_never_count_does_not_begin() {
    chain_with(Parameters {
        activity_cutoff: 2 * TEMPO - 1,
        ..hidden(1)
    });
}

#[test]
fn a_row_that_is_not_shown_in_its_epoch_is_lost() {
    on_chain_with(hidden(1), || {
        three();
        let row = [(1, 3)];
        assert_ok!(commit(1, commitment(TEXT, 0, &row, &SALT)));
        run_to(2 * TEMPO);
        assert_noop!(reveal(1, &row, SALT), Error::<Test>::RevealTooLate);
        assert_ok!(commit(1, [1; 32]));
        assert_noop!(reveal(1, &row, SALT), Error::<Test>::NothingCommitted);
    });
}

#[test]
fn the_same_row_may_be_promised_twice() {
    on_chain_with(hidden(1), || {
        three();
        let row = [(1, 3)];
        let hash = commitment(TEXT, 0, &row, &SALT);
        for (made, shown) in [(1, None), (11, Some(22)), (28, Some(32))] {
            run_to(made);
            assert_ok!(commit(1, hash));
            if let Some(block) = shown {
                run_to(block);
                assert_ok!(reveal(1, &row, SALT));
                assert_eq!(shown_at(), Some(made));
            }
        }
    });
}

fn shown_at() -> Option<u32> {
    shown(0).last_update
}

#[test]
fn each_market_takes_weights_in_its_own_way() {
    on_chain(|| {
        three();
        assert_noop!(commit(1, [1; 32]), Error::<Test>::WeightsInTheClear);
    });
    on_chain_with(hidden(1), || {
        three();
        assert_noop!(
            MarketPallet::set_weights(RuntimeOrigin::signed(hotkey(1)), TEXT, vec![(1, 1)]),
            Error::<Test>::CommitFirst
        );
    });
}

#[test]
fn commitments_keep_the_rate_limit() {
    on_chain_with(hidden(2), || {
        three();
        assert_ok!(commit(1, [1; 32]));
        run_to(5);
        assert_noop!(commit(1, [2; 32]), Error::<Test>::WeightsTooEarly);
        run_to(6);
        assert_ok!(commit(1, [2; 32]));
        assert_eq!(
            Commitments::<Test>::get(TEXT, 0).len(),
            1,
            "the last of an epoch"
        );
        // Three wait when the first is due: those of this epoch and of the two before.
        for block in [12, 22, 32, 42] {
            run_to(block);
            assert_ok!(commit(1, [block as u8; 32]));
        }
        assert_eq!(Commitments::<Test>::get(TEXT, 0).len(), 3);
    });
}

#[test]
fn what_was_shown_counts_for_the_rate_limit() {
    let rules = Parameters {
        weights_rate_limit: 25,
        ..hidden(1)
    };
    on_chain_with(rules, || {
        three();
        let row = [(1, 3)];
        run_to(TEMPO - 1);
        assert_ok!(commit(1, commitment(TEXT, 0, &row, &SALT)));
        run_to(TEMPO);
        assert_ok!(reveal(1, &row, SALT));
        assert!(!Commitments::<Test>::contains_key(TEXT, 0));
        run_to(TEMPO + 23);
        assert_noop!(commit(1, [1; 32]), Error::<Test>::WeightsTooEarly);
        run_to(TEMPO + 24);
        assert_ok!(commit(1, [1; 32]));
    });
}

#[test]
fn a_successor_cannot_show_what_its_predecessor_committed_to() {
    on_chain_with(hidden(1), || {
        three();
        let row = [(1, 3)];
        assert_ok!(commit(1, commitment(TEXT, 0, &row, &SALT)));
        leave(1);
        assert_eq!(register(4), 0);
        run_to(TEMPO);
        assert_noop!(reveal(4, &row, SALT), Error::<Test>::NothingCommitted);
    });
}

#[test]
fn a_neuron_that_left_after_the_commitment_takes_its_edge_along() {
    on_chain_with(hidden(1), || {
        three();
        let row = [(1, 3), (2, 1)];
        assert_ok!(commit(1, commitment(TEXT, 0, &row, &SALT)));
        leave(2);
        assert_eq!(register(4), 1);
        leave(3);
        run_to(TEMPO);
        assert_ok!(reveal(1, &row, SALT));
        run_to(2 * TEMPO);
        // Neither the newcomer nor the free slot: the row speaks of those who were there.
        assert_eq!(outcome(1).rank.0, 0);
        assert_eq!(Epochs::<Test>::get(TEXT).minted, 0);
    });
}

#[test]
fn a_row_that_is_wrong_is_refused_when_it_is_shown() {
    on_chain_with(hidden(1), || {
        three();
        let wrong: [&[(u16, u16)]; 4] = [&[], &[(2, 1), (1, 1)], &[(0, 1)], &[(5, 1)]];
        let errors = [
            Error::<Test>::AllWeightsZero,
            Error::<Test>::WeightsUnsorted,
            Error::<Test>::SelfWeight,
            Error::<Test>::UnknownUid,
        ];
        for (tempo, (row, error)) in (0..).zip(wrong.iter().zip(errors)) {
            run_to(1 + tempo * TEMPO);
            assert_ok!(commit(1, commitment(TEXT, 0, row, &SALT)));
            run_to(1 + (tempo + 1) * TEMPO);
            assert_noop!(reveal(1, row, SALT), error);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A commitment made in any block can be shown from the beginning of the `period`-th epoch after
    /// it to its end, and not a block before or after.
    #[test]
    fn the_window_is_exact(period in 1u32..=10, made in 1u32..60, wait in 0u32..160) {
        chain_with(hidden(period)).execute_with(|| {
            three();
            run_to(made);
            let row = [(1, 3)];
            assert_ok!(commit(1, commitment(TEXT, 0, &row, &SALT)));
            run_to(made + wait);
            let expected = match ((made + wait) / TEMPO).cmp(&(made / TEMPO + period)) {
                std::cmp::Ordering::Less => Err(Error::<Test>::RevealTooEarly.into()),
                std::cmp::Ordering::Equal => Ok(()),
                std::cmp::Ordering::Greater => Err(Error::<Test>::RevealTooLate.into()),
            };
            assert_eq!(reveal(1, &row, SALT), expected);
            check();
        });
    }
}
