//! What transactions pay is the block's author's, to the unit.

#[path = "../benches/support/sign.rs"]
mod sign;

use codec::{Decode, Encode};
use frame_support::traits::fungible::Inspect;
use noesis_runtime::{
    genesis_presets, AccountId, Balances, Executive, Header, Market, Runtime, RuntimeCall,
    RuntimeEvent, RuntimeGenesisConfig, System, UncheckedExtrinsic,
};
use serde_json::Value;
use sign::sign;
use sp_consensus_aura::{Slot, AURA_ENGINE_ID};
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie};
use sp_runtime::{traits::Header as _, BuildStorage, Digest, DigestItem};

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

/// Applies a transaction of Charlie's: what it paid.
fn apply(call: impl Into<RuntimeCall>, tip: u128) -> u128 {
    let transaction = sign(Charlie, call.into(), tip, None);
    let transaction = UncheckedExtrinsic::decode(&mut &transaction[..]).expect("it was encoded");
    let _ = Executive::apply_extrinsic(transaction).expect("it is valid");
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
