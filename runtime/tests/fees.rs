//! What transactions pay is the block's author's, to the unit; and those that pay find room in a block beside those that
//! do not.

#[path = "../benches/support/sign.rs"]
mod sign;

use codec::{Decode, Encode};
use frame_support::{dispatch::DispatchClass, traits::fungible::Inspect};
use noesis_runtime::{
    genesis_presets, AccountId, Balances, Executive, Header, Market, Runtime, RuntimeCall,
    RuntimeEvent, RuntimeGenesisConfig, RuntimeOrigin, System, UncheckedExtrinsic,
};
use serde_json::Value;
use sign::{sign, sign_as};
use sp_consensus_aura::{Slot, AURA_ENGINE_ID};
use sp_core::{sr25519, Pair};
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve, Ferdie};
use sp_runtime::{
    traits::Header as _, transaction_validity::InvalidTransaction, ApplyExtrinsicResult,
    BuildStorage, Digest, DigestItem,
};

/// Puts a preset's values in the place of the defaults.
fn merge(defaults: &mut Value, preset: Value) {
    match (defaults, preset) {
        (Value::Object(defaults), Value::Object(preset)) => {
            for (key, value) in preset {
                merge(defaults.entry(key).or_insert(Value::Null), value);
            }
        }
        (default, value) => *default = value,
    }
}

/// The chain of the two authorities Alice and Bob, in its first block, which belongs to `slot`.
fn chain(slot: u64) -> TestExternalities {
    let preset = sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET.into();
    let preset = genesis_presets::get_preset(&preset).expect("there is such a preset");
    let preset = serde_json::from_slice(&preset).expect("it is JSON");
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).expect("it is JSON");
    merge(&mut config, preset);
    let config: RuntimeGenesisConfig = serde_json::from_value(config).expect("a valid genesis");
    let mut chain = TestExternalities::new(config.build_storage().expect("a valid genesis"));
    chain.execute_with(|| {
        let digest = Digest {
            logs: vec![DigestItem::PreRuntime(
                AURA_ENGINE_ID,
                Slot::from(slot).encode(),
            )],
        };
        let hash = Default::default;
        Executive::initialize_block(&Header::new(1, hash(), hash(), hash(), digest));
    });
    chain
}

fn balance(who: Sr25519Keyring) -> u128 {
    Balances::balance(&who.to_account_id())
}

/// Applies a transaction, as the author of the block does.
fn submit(transaction: Vec<u8>) -> ApplyExtrinsicResult {
    let transaction = UncheckedExtrinsic::decode(&mut &transaction[..]).expect("it was encoded");
    Executive::apply_extrinsic(transaction)
}

/// Applies a transaction of Charlie's: what it paid.
fn apply(call: impl Into<RuntimeCall>, tip: u128) -> u128 {
    let _ = submit(sign(Charlie, call.into(), tip, None)).expect("it is valid");
    let paid = |record: frame_system::EventRecord<RuntimeEvent, _>| match record.event {
        RuntimeEvent::TransactionPayment(
            pallet_transaction_payment::Event::TransactionFeePaid { actual_fee, .. },
        ) => Some(actual_fee),
        _ => None,
    };
    System::events().into_iter().filter_map(paid).sum()
}

#[test]
fn fee_and_tip_go_to_the_author_of_the_block() {
    for (slot, author, other) in [(10, Alice, Bob), (11, Bob, Alice)] {
        chain(slot).execute_with(|| {
            let before = (balance(author), balance(other), balance(Charlie));
            let issued = Balances::total_issuance();
            let remark = frame_system::Call::<Runtime>::remark { remark: vec![7; 9] };
            let paid = apply(remark, 12_345);
            assert!(paid > 12_345);
            assert_eq!(balance(author), before.0 + paid);
            assert_eq!(balance(other), before.1);
            assert_eq!(balance(Charlie), before.2 - paid);
            assert_eq!(Balances::total_issuance(), issued, "nothing is burned");
        });
    }
}

#[test]
fn a_call_that_fails_is_paid_for_too_and_what_registration_burns_is_nobodys() {
    chain(10).execute_with(|| {
        let register = |max_cost| pallet_market::Call::<Runtime>::register {
            market: 0,
            hotkey: AccountId::new([9; 32]),
            max_cost,
        };
        let (before, issued) = (balance(Alice), Balances::total_issuance());
        let paid = apply(register(0), 0);
        assert!(paid > 0 && balance(Alice) == before + paid);
        assert_eq!(Balances::total_issuance(), issued);
    });
    chain(10).execute_with(|| {
        let cost = Market::metagraph(0).map_or(0, |market| market.registration_cost);
        let (before, issued) = (balance(Alice), Balances::total_issuance());
        let paid = apply(
            pallet_market::Call::<Runtime>::register {
                market: 0,
                hotkey: AccountId::new([9; 32]),
                max_cost: cost.into(),
            },
            0,
        );
        assert!(cost > 0 && balance(Alice) == before + paid);
        assert_eq!(Balances::total_issuance(), issued - u128::from(cost));
    });
}

/// Registers so many neurons of Charlie's in the first market; their keys, by uid.
fn neurons(count: u16) -> Vec<sr25519::Pair> {
    let neuron = |uid: u16| {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&uid.to_le_bytes());
        let pair = sr25519::Pair::from_seed(&seed);
        // Each at the price of the first.
        pallet_market::RegistrationPrices::<Runtime>::remove(0);
        let coldkey = RuntimeOrigin::signed(Charlie.to_account_id());
        Market::register(coldkey, 0, pair.public().into(), u128::MAX).expect("there is room");
        pair
    };
    (0..count).map(neuron).collect()
}

/// Picoseconds that ordinary transactions took of the block so far.
fn taken() -> u64 {
    let block = System::block_weight();
    block.get(DispatchClass::Normal).ref_time()
}

#[test]
fn free_calls_leave_half_of_a_block_to_those_that_pay_whoever_comes_first() {
    let limits = <Runtime as frame_system::Config>::BlockWeights::get();
    let most = limits.get(DispatchClass::Normal).max_total;
    let most = most.expect("there is a limit").ref_time();
    for paid_first in [false, true] {
        chain(10).execute_with(|| {
            let pay = || {
                for who in [Alice, Bob, Charlie, Dave, Eve, Ferdie] {
                    let transfer = pallet_balances::Call::<Runtime>::transfer_allow_death {
                        dest: Bob.to_account_id().into(),
                        value: 1,
                    };
                    assert_eq!(submit(sign(who, transfer.into(), 0, None)), Ok(Ok(())));
                }
            };
            let neurons = neurons(300);
            if paid_first {
                pay();
            }
            let (mut voted, mut longest) = (0, 0);
            for (uid, neuron) in (0..).zip(&neurons) {
                let vote = pallet_market::Call::<Runtime>::set_weights {
                    market: 0,
                    weights: vec![(u16::from(uid == 0), 1)],
                };
                let before = taken();
                let answer = submit(sign_as(neuron, vote.into(), 0, None));
                if answer == Err(InvalidTransaction::ExhaustsResources.into()) {
                    assert_eq!(taken(), before);
                    continue;
                }
                assert_eq!(answer, Ok(Ok(())));
                voted += 1;
                longest = longest.max(taken() - before);
            }
            assert!(voted > 0 && voted < neurons.len(), "{voted} votes");
            assert!(taken() > most / 2, "there was room for more");
            assert!(
                taken() <= most / 2 + longest,
                "no room is left to the others"
            );
            if !paid_first {
                pay();
            }
        });
    }
}
