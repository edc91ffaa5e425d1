//! An account begins to count its transactions at the number of the block that creates it.

#[path = "../benches/support/sign.rs"]
mod sign;

use codec::Decode;
use frame_support::{assert_ok, traits::fungible::Mutate};
use market_primitives::{Modality, Share, NOE};
use noesis_runtime::{
    Balances, Executive, Market, MarketConfig, Parameters, Runtime, RuntimeGenesisConfig,
    RuntimeOrigin, System, UncheckedExtrinsic,
};
use pallet_market::{types::Market as MarketRules, Call};
use sign::sign;
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::{Alice, Bob};
use sp_runtime::{transaction_validity::InvalidTransaction, ApplyExtrinsicResult, BuildStorage};

/// A chain with one market, and with Alice, who is rich.
fn chain() -> TestExternalities {
    let config = RuntimeGenesisConfig {
        market: MarketConfig {
            markets: vec![MarketRules {
                modality: Modality::Text,
                emission_share: Share::ONE,
                parameters: Parameters::with_tempo(10),
            }],
            ..Default::default()
        },
        ..Default::default()
    };
    let storage = config.build_storage().expect("the genesis is valid");
    let mut chain = TestExternalities::new(storage);
    chain.execute_with(|| Balances::set_balance(&Alice.to_account_id(), (100 * NOE).into()));
    chain
}

/// Registers the hotkey Bob, which owns nothing, in a block.
fn register_in(block: u32) {
    System::set_block_number(block);
    let coldkey = RuntimeOrigin::signed(Alice.to_account_id());
    assert_ok!(Market::register(coldkey, 0, Bob.to_account_id(), u128::MAX));
}

/// Bob's next transaction, which costs nothing: where it serves. It is signed without an end.
fn serve(endpoint: &str) -> Vec<u8> {
    let call = Call::<Runtime>::serve {
        market: 0,
        endpoint: endpoint.into(),
        certificate: None,
    };
    sign(Bob, call.into(), 0, None)
}

fn submit(transaction: &[u8]) -> ApplyExtrinsicResult {
    let transaction = UncheckedExtrinsic::decode(&mut &transaction[..]).expect("it was encoded");
    Executive::apply_extrinsic(transaction)
}

#[test]
fn what_a_hotkey_signed_before_it_left_is_stale_when_it_comes_back() {
    chain().execute_with(|| {
        let hotkey = Bob.to_account_id();
        register_in(5);
        let old = serve("198.51.100.1:9101");
        assert_eq!(submit(&old), Ok(Ok(())));
        let next = *System::account_nonce(&hotkey);

        System::set_block_number(7);
        let coldkey = RuntimeOrigin::signed(Alice.to_account_id());
        assert_ok!(Market::deregister(coldkey, 0, hotkey.clone()));
        assert!(!System::account_exists(&hotkey));

        register_in(9);
        assert!(*System::account_nonce(&hotkey) >= next);
        assert_eq!(submit(&old), Err(InvalidTransaction::Stale.into()));
        assert_eq!(submit(&serve("198.51.100.2:9101")), Ok(Ok(())));
    });
}

#[test]
fn an_account_of_the_genesis_begins_with_0() {
    chain().execute_with(|| {
        System::set_block_number(9);
        assert_eq!(*System::account_nonce(Alice.to_account_id()), 0);
        assert_eq!(*System::account_nonce(Bob.to_account_id()), 9);
    });
}
