//! Random sequences of all calls and of blocks, held against an independent [`model`](super::model): after
//! every step the chain is what the model says, to the unit and to the bit, the invariants hold, and a
//! call that was refused has changed nothing.
//!
//! Thousands of them, and what they did:
//! `NOESIS_SEQUENCES=10000 cargo test --release -p pallet-market sequences -- --nocapture`

mod attempts;
mod compare;
mod found;
mod generators;

use super::model::{moment, promise_hash, Ballot, Model, Moment, Neuron, ENDPOINTS};
use crate::{mock::*, Call, CheckMarketCall, Epochs, Parameters};
use compare::compare;
use frame_support::{
    pallet_prelude::TransactionSource,
    traits::{GetCallName, Hooks},
};
use generators::*;
use market_primitives::{Uid, NOE};
use proptest::{prelude::*, test_runner::TestRunner};
use sp_io::storage::root;
use sp_runtime::{
    traits::{DispatchTransaction, Dispatchable},
    transaction_validity::{InvalidTransaction, TransactionValidityError},
    DispatchError, DispatchResult, StateVersion,
};
use std::{cell::RefCell, collections::BTreeMap};

/// Sequences of a run for which nobody asked for more.
const SEQUENCES: u32 = 400;

/// Stands for governance, which is no account.
const ROOT: AccountId = 0;

/// What the sequences did.
#[derive(Debug, Default)]
struct Tally {
    sequences: u32,
    blocks: u32,
    /// By call.
    succeeded: BTreeMap<&'static str, u32>,
    /// By reason.
    refused: BTreeMap<&'static str, u32>,
    succeeded_during_epochs: u32,
    epochs: u32,
    epochs_of_several_blocks: u32,
    epochs_that_minted: u32,
    epochs_that_paid_who_had_left: u32,
    epochs_that_paid_delegators: u32,
    closed_pools_that_were_paid: u32,
}

/// A chain and its model.
struct World<'a> {
    model: Model,
    /// Pieces of an epoch in a block.
    pieces: u64,
    /// By hash, the rows that were promised and their salts.
    secrets: BTreeMap<[u8; 32], (Ballot, [u8; 32])>,
    tally: &'a mut Tally,
}

impl World<'_> {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Blocks(count) => (0..*count).for_each(|_| self.next_block()),
            Step::Call(attempt) => self.attempt(attempt),
        }
    }

    /// One block. When an epoch begins and what it gives the model knows; when it is done depends on
    /// the budget, and is all that the chain tells it.
    fn next_block(&mut self) {
        let block = System::block_number() + 1;
        let finished = Epochs::<Test>::get(TEXT).epoch;
        System::set_block_number(block);
        sp_io::storage::clear(b":extrinsic_index"); // the start of a block is no call
        let weight = MarketPallet::on_initialize(block);
        assert!(weight.all_lte(EpochBudget::get()));
        System::set_extrinsic_index(0);

        self.model.begin_block(block);
        if Epochs::<Test>::get(TEXT).epoch > finished {
            let before = (self.model.delegated(), self.model.closed.clone());
            self.model.publish(block);
            self.count_epoch();
            self.tally.epochs_that_paid_delegators += u32::from(self.model.delegated() > before.0);
            self.tally.closed_pools_that_were_paid += u32::from(self.model.closed != before.1);
        }
        self.tally.blocks += 1;
        compare(&self.model);
    }

    fn count_epoch(&mut self) {
        let last = &self.model.last;
        let blocks = last.finished - last.began + 1;
        // Each row twice, and once what follows from either pass.
        let pieces = 2 * (last.neurons.len() as u64 + 1);
        assert_eq!(u64::from(blocks), pieces.div_ceil(self.pieces));
        let into_slots: u64 = last.neurons.iter().map(|neuron| neuron.payout).sum();
        self.tally.epochs += 1;
        self.tally.epochs_of_several_blocks += u32::from(blocks > 1);
        self.tally.epochs_that_minted += u32::from(last.minted > 0);
        self.tally.epochs_that_paid_who_had_left += u32::from(into_slots < last.minted);
    }

    /// One call, in the pool and in the block.
    fn attempt(&mut self, attempt: &Attempt) {
        let (signer, call) = self.call(attempt);
        next_call();
        let index = System::extrinsic_index().expect("a call has begun");
        let now = (System::block_number(), index + 1);
        let running = self.model.is_running();
        let expected = self.model.call(signer, &call, now);
        let expected: DispatchResult = expected.map_err(Into::into);

        let name = call.get_call_name();
        let call = RuntimeCall::from(call);
        let origin = match signer {
            ROOT => RuntimeOrigin::root(),
            _ => RuntimeOrigin::signed(signer),
        };
        assert_eq!(
            pool(origin.clone(), &call),
            refusal(&call, expected),
            "{signer} in the pool: {call:?}"
        );
        let before = expected.is_err().then(|| root(StateVersion::V1));
        let result = call.clone().dispatch(origin);
        let result = result.map(|_| ()).map_err(|refused| refused.error);
        assert_eq!(result, expected, "{signer}: {call:?}");
        if let Some(before) = before {
            assert_eq!(
                before,
                root(StateVersion::V1),
                "refused, {call:?} changed the state"
            );
        }
        match result {
            Ok(()) => *self.tally.succeeded.entry(name).or_default() += 1,
            Err(error) => *self.tally.refused.entry(error.into()).or_default() += 1,
        }
        self.tally.succeeded_during_epochs += u32::from(running && result.is_ok());
        compare(&self.model);
    }
}

/// What the transaction pool says.
fn pool(origin: RuntimeOrigin, call: &RuntimeCall) -> Result<(), InvalidTransaction> {
    let source = TransactionSource::External;
    let info = Default::default();
    let answer =
        CheckMarketCall::<Test>::default().validate_only(origin, call, &info, 0, source, 0);
    answer.map(|_| ()).map_err(|error| match error {
        TransactionValidityError::Invalid(invalid) => invalid,
        TransactionValidityError::Unknown(unknown) => panic!("{unknown:?}"),
    })
}

/// What the pool must say of a call of which this comes in a block: it refuses free calls that would
/// fail, with the index of the error.
fn refusal(call: &RuntimeCall, expected: DispatchResult) -> Result<(), InvalidTransaction> {
    let RuntimeCall::MarketPallet(call) = call else {
        return Ok(());
    };
    let is_free = matches!(
        call,
        Call::serve { .. }
            | Call::set_weights { .. }
            | Call::commit_weights { .. }
            | Call::reveal_weights { .. }
    );
    match expected {
        Err(DispatchError::Module(error)) if is_free => {
            Err(InvalidTransaction::Custom(error.error[0]))
        }
        _ => Ok(()),
    }
}

#[test]
fn the_chain_does_what_the_model_does() {
    let asked = std::env::var("NOESIS_SEQUENCES").ok();
    let sequences = asked.map_or(SEQUENCES, |count| {
        count.parse().expect("NOESIS_SEQUENCES is a number")
    });
    let tally = RefCell::new(Tally::default());
    let config = ProptestConfig {
        cases: sequences,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Default::default()
    };
    let outcome = TestRunner::new(config).run(&sequence(), |(rules, pieces, start, steps)| {
        let tally = &mut tally.borrow_mut();
        pieces_a_block(pieces);
        chain_with(rules.clone()).execute_with(|| {
            System::set_block_number(start);
            let model = Model::new(rules);
            let mut world = World {
                model,
                pieces,
                secrets: BTreeMap::new(),
                tally,
            };
            opening()
                .iter()
                .chain(&steps)
                .for_each(|step| world.take(step));
            while world.model.is_running() {
                world.next_block();
            }
            check();
        });
        tally.sequences += 1;
        Ok(())
    });
    pieces_a_block(WHOLE);
    let tally = tally.into_inner();
    println!("{tally:#?}");
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    println!("violations: 0");
    if sequences >= SEQUENCES {
        // They were worth it.
        assert_eq!(tally.succeeded.len(), 14, "not every call succeeded");
        assert!(
            tally.epochs_that_minted > sequences,
            "too few epochs minted anything"
        );
        assert!(tally.epochs_that_paid_who_had_left > 0);
        assert!(tally.epochs_that_paid_delegators > sequences);
        assert!(tally.closed_pools_that_were_paid > 0);
    }
}
