//! What clients read.

use crate::{mock::*, *};
use codec::{Decode, Encode};
use frame_support::{
    assert_ok,
    view_functions::{DispatchViewFunction, ViewFunctionId},
};
use market_primitives::{Governance, Metagraph, Scheduled, Share, NOE};

/// Three neurons; the first two hold stake and value the third.
fn market() {
    (1..=3).for_each(|coldkey| {
        register(coldkey);
    });
    for validator in [1, 2] {
        stake(validator, 100 * NOE);
        vote(validator, &[(2, 10)]);
    }
}

/// A preview, which must leave everything as it was.
fn preview() -> Metagraph<AccountId> {
    let before = sp_io::storage::root(sp_runtime::StateVersion::V1);
    let shown = MarketPallet::preview_epoch(TEXT).expect("the market exists");
    let after = sp_io::storage::root(sp_runtime::StateVersion::V1);
    assert_eq!(before, after, "a query has changed the state");
    shown
}

/// Of a snapshot, what an epoch decides.
fn decided(shown: Metagraph<AccountId>) -> (u64, bool, u64, Vec<(u64, u64, Share)>) {
    let neurons = shown.neurons.iter();
    let neurons = neurons.map(|neuron| (neuron.stake, neuron.pay, neuron.incentive));
    (
        shown.epoch,
        shown.in_consensus,
        shown.minted,
        neurons.collect(),
    )
}

#[test]
fn each_query_tells_what_was_set_and_nothing_of_what_is_not_there() {
    on_chain(|| {
        market();
        assert_eq!(MarketPallet::weights(TEXT, 0), Some(vec![(2, 10)]));
        assert_eq!(MarketPallet::weights(TEXT, 2), Some(vec![]));
        assert_eq!(MarketPallet::bonds(TEXT, 0), Some(vec![]));
        run_to(TEMPO);

        for validator in [0, 1] {
            let bonds = MarketPallet::bonds(TEXT, validator).expect("it is registered");
            let [(2, Share(bond))] = bonds[..] else {
                panic!("{bonds:?}");
            };
            // Half of all, to the unit in which bonds are kept.
            assert!(
                bond.abs_diff(Share::ONE.0 / 2) < Share::ONE.0 >> 28,
                "{bond}"
            );
        }
        assert_eq!(MarketPallet::neuron(TEXT, 2), Some(shown(2)));
        assert_eq!(MarketPallet::parameters(TEXT), Some(rules()));
        let metagraph = MarketPallet::metagraph(TEXT).expect("the market exists");
        let cost = Some(metagraph.registration_cost);
        assert_eq!(MarketPallet::registration_cost(TEXT), cost);
        let summary = MarketPallet::summary(TEXT).expect("the market exists");
        assert_eq!((summary.epoch, summary.neurons), (1, 3));
        assert_eq!(summary.minted, metagraph.minted);

        for (market, uid) in [(TEXT, 3), (TEXT, u16::MAX), (7, 0)] {
            assert_eq!(MarketPallet::neuron(market, uid), None);
            assert_eq!(MarketPallet::weights(market, uid), None);
            assert_eq!(MarketPallet::bonds(market, uid), None);
        }
        assert_eq!(MarketPallet::parameters(7), None);
        assert_eq!(MarketPallet::governance(7), None);
        assert_eq!(MarketPallet::registration_cost(7), None);
        assert_eq!(MarketPallet::preview_epoch(7), None);
        assert!(MarketPallet::summary(7).is_none());
    });
}

#[test]
fn what_is_decided_is_told_beside_what_is_in_force_until_it_is() {
    on_chain(|| {
        let in_force = Governance {
            emission_share: Share::ONE,
            parameters: rules(),
            pending: None,
        };
        assert_eq!(MarketPallet::governance(TEXT), Some(in_force.clone()));

        let emission_share = Share(Share::ONE.0 / 2);
        let parameters = Parameters {
            kappa: Share(Share::ONE.0 / 4),
            ..rules()
        };
        let root = RuntimeOrigin::root();
        assert_ok!(MarketPallet::set_parameters(
            root,
            TEXT,
            emission_share,
            parameters.clone()
        ));
        let pending = Some(Scheduled {
            from_block: TEMPO,
            emission_share,
            parameters: parameters.clone(),
        });
        let waiting = Governance {
            pending,
            ..in_force
        };
        assert_eq!(MarketPallet::governance(TEXT), Some(waiting));

        run_to(TEMPO);
        let in_force = Governance {
            emission_share,
            parameters,
            pending: None,
        };
        assert_eq!(MarketPallet::governance(TEXT), Some(in_force));
    });
}

#[test]
fn there_are_no_bonds_in_who_left_nor_in_who_came_and_those_who_stay_hold_the_rest() {
    on_chain(|| {
        market();
        run_to(TEMPO);
        // One of two holders leaves: the other has all that is left.
        leave(2);
        let all = Some(vec![(2, Share::ONE)]);
        assert_eq!(MarketPallet::bonds(TEXT, 0), all);
        leave(3);
        assert_eq!(MarketPallet::bonds(TEXT, 0), Some(vec![]));
        register(4);
        assert_eq!(register(5), 2);
        assert_eq!(MarketPallet::bonds(TEXT, 0), Some(vec![]));
    });
}

#[test]
fn while_an_epoch_is_running_nobody_is_shown_what_its_predecessor_said_and_held() {
    // While votes are counted, and while bonds are renewed.
    for wait in [0, 1, 4, 5, 6] {
        on_chain(|| {
            pieces_a_block(1_000);
            market();
            run_to(2 * TEMPO - 1);
            pieces_a_block(1);
            run_to(2 * TEMPO + wait);
            assert!(EpochCursors::<Test>::contains_key(TEXT));
            leave(2);
            assert_eq!(MarketPallet::weights(TEXT, 1), None);
            assert_eq!(register(4), 1);
            assert_eq!(MarketPallet::weights(TEXT, 1), Some(vec![]), "{wait}");
            assert_eq!(MarketPallet::bonds(TEXT, 1), Some(vec![]), "{wait}");
            // Its own are.
            vote(4, &[(0, 7)]);
            assert_eq!(MarketPallet::weights(TEXT, 1), Some(vec![(0, 7)]));
            assert_eq!(MarketPallet::bonds(TEXT, 1), Some(vec![]), "{wait}");
            // Bonds in who leaves are gone, too.
            assert_eq!(
                MarketPallet::bonds(TEXT, 0).map(|bonds| bonds.len()),
                Some(1)
            );
            leave(3);
            assert_eq!(MarketPallet::bonds(TEXT, 0), Some(vec![]));
            assert_eq!(register(5), 2);
            assert_eq!(MarketPallet::bonds(TEXT, 0), Some(vec![]));
            pieces_a_block(1_000);
            run_to(System::block_number() + 1);
            assert_eq!(MarketPallet::bonds(TEXT, 0), Some(vec![]));
            assert_eq!(MarketPallet::weights(TEXT, 0), Some(vec![(2, 10)]));
        });
    }
}

#[test]
fn a_preview_is_the_epoch_to_come_and_changes_nothing() {
    on_chain(|| {
        market();
        let expected = decided(preview());
        assert!(expected.2 > 0, "it pays nobody");
        run_to(TEMPO);
        let shown = MarketPallet::metagraph(TEXT).expect("the market exists");
        assert_eq!(decided(shown), expected);
    });
}

#[test]
fn while_an_epoch_is_running_a_preview_is_its_end_and_weights_are_the_latest() {
    on_chain(|| {
        market();
        pieces_a_block(2);
        run_to(TEMPO);
        let expected = decided(preview());
        assert_eq!(expected.0, 1);
        vote(2, &[(0, 1)]); // waits for the epoch
        assert_eq!(MarketPallet::weights(TEXT, 1), Some(vec![(0, 1)]));
        let mut block = TEMPO;
        while Epochs::<Test>::get(TEXT).epoch == 0 {
            block += 1;
            run_to(block);
        }
        assert!(block > TEMPO, "the epoch was done at once");
        let shown = MarketPallet::metagraph(TEXT).expect("the market exists");
        assert_eq!(decided(shown), expected);
        assert_eq!(MarketPallet::weights(TEXT, 1), Some(vec![(0, 1)]));
    });
}

#[test]
fn view_functions_answer_by_the_ids_in_the_metadata() {
    on_chain(|| {
        market();
        let metadata = MarketPallet::pallet_view_functions_metadata();
        let names: Vec<_> = metadata.iter().map(|function| function.name).collect();
        let expected = [
            "metagraph",
            "neuron",
            "weights",
            "bonds",
            "parameters",
            "governance",
            "registration_cost",
            "preview_epoch",
        ];
        assert_eq!(names, expected);
        let mut answer = Vec::new();
        let id = ViewFunctionId::decode(&mut &metadata[2].id[..]).expect("an id is 32 bytes");
        let input = (TEXT, 0u16).encode();
        MarketPallet::dispatch_view_function(&id, &mut &input[..], &mut answer)
            .expect("the function exists");
        let weights = Option::<Vec<(u16, u16)>>::decode(&mut &answer[..]);
        assert_eq!(weights, Ok(Some(vec![(2, 10)])));
    });
}
