//! Random sequences of calls and blocks: whatever is called, the invariants hold after every block
//! (`run_to` checks them) and no call that fails changes anything.

use crate::{mock::*, TotalMinted};
use market_primitives::NOE;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use sp_io::storage::root;
use sp_runtime::StateVersion;
use std::cell::Cell;

#[derive(Clone, Debug)]
enum Step {
    Register(u64),
    Serve(u64),
    Vote(u64, Vec<(u16, u16)>),
    Add(u64, u64),
    Remove(u64, u64),
    Blocks(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 1u64..10;
    prop_oneof![
        2 => who().prop_map(Step::Register),
        1 => who().prop_map(Step::Serve),
        4 => (who(), vec((0u16..9, any::<u16>()), 0..6), any::<bool>()).prop_map(
            |(who, mut row, sorted)| {
                if sorted {
                    row.sort_unstable();
                    row.dedup_by_key(|(uid, _)| *uid);
                }
                Step::Vote(who, row)
            }
        ),
        2 => (who(), 0..2_000 * NOE).prop_map(|(who, amount)| Step::Add(who, amount)),
        2 => (who(), 0..200 * NOE).prop_map(|(who, amount)| Step::Remove(who, amount)),
        3 => (1u32..15).prop_map(Step::Blocks),
    ]
}

/// Does one step; a call that fails must leave the state as it was.
fn take(step: Step) {
    let signed = RuntimeOrigin::signed;
    let before = root(StateVersion::V1);
    let result = match step {
        Step::Blocks(count) => return run_to(System::block_number() + count),
        Step::Register(who) => {
            MarketPallet::register(signed(who), TEXT, hotkey(who), u128::from(3 * NOE))
        }
        Step::Serve(who) => {
            MarketPallet::serve(signed(hotkey(who)), TEXT, b"localhost:1".to_vec(), None)
        }
        Step::Vote(who, row) => MarketPallet::set_weights(signed(hotkey(who)), TEXT, row),
        Step::Add(who, amount) => {
            MarketPallet::add_stake(signed(who), TEXT, hotkey(who), amount.into())
        }
        Step::Remove(who, amount) => {
            MarketPallet::remove_stake(signed(who), TEXT, hotkey(who), amount.into())
        }
    };
    if result.is_err() {
        assert_eq!(
            before,
            root(StateVersion::V1),
            "a failed call changed the state"
        );
    }
    check();
}

/// A market in which two neurons hold stake and value a third, so that epochs pay from the start.
fn at_work() {
    (1..=3).for_each(|coldkey| {
        register(coldkey);
    });
    for validator in [1, 2] {
        stake(validator, 100 * NOE);
        vote(validator, &[(2, 1)]);
    }
}

#[test]
fn invariants_hold_over_any_sequence() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(200));
    let paid = Cell::new(0u32);
    let sequences = vec(step(), 1..100);
    runner
        .run(&sequences, |steps| {
            chain_with(rules()).execute_with(|| {
                at_work();
                steps.into_iter().for_each(take);
                paid.set(paid.get() + u32::from(TotalMinted::<Test>::get() > 0));
            });
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(
        paid.get() > 100,
        "only {} sequences minted anything",
        paid.get()
    );
}
