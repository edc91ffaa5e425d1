//! The hash of the metadata that signers without a network check what they sign by (Polkadot's RFC 78).

#[path = "../benches/support/sign.rs"]
mod sign;

use codec::{Decode, Encode};
use frame_metadata::RuntimeMetadataPrefixed;
use frame_support::traits::fungible::Mutate;
use merkleized_metadata::{generate_metadata_digest, ExtraInfo};
use noesis_runtime::{
    Balances, Runtime, RuntimeGenesisConfig, TOKEN_DECIMALS, TOKEN_SYMBOL, VERSION, WASM_BINARY,
};
use sc_executor::WasmExecutor;
use sign::sign;
use sp_core::traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode};
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::Alice;
use sp_runtime::{
    transaction_validity::{
        InvalidTransaction::BadProof, TransactionSource, TransactionValidity,
        TransactionValidityError::Invalid,
    },
    BuildStorage,
};

/// What the Wasm was built with.
fn built_in() -> [u8; 32] {
    let hash = include_str!("../metadata-hash.txt").trim();
    let hash = hash.strip_prefix("0x").expect("it begins with 0x");
    hex::decode(hash)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .expect("64 digits of base 16 after it")
}

#[test]
fn the_hash_is_of_todays_metadata() {
    // Some constants are read from the state, which is empty here, and is not where wallets look. The hash knows none of
    // them, but only the types that a transaction is made of.
    let metadata = TestExternalities::default().execute_with(|| Runtime::metadata_at_version(15));
    let metadata = metadata.expect("version 15 is there");
    let RuntimeMetadataPrefixed(_, metadata) =
        Decode::decode(&mut &metadata[..]).expect("it was encoded");
    let information = ExtraInfo {
        spec_version: VERSION.spec_version,
        spec_name: VERSION.spec_name.to_string(),
        base58_prefix: <Runtime as frame_system::Config>::SS58Prefix::get().into(),
        decimals: TOKEN_DECIMALS,
        token_symbol: TOKEN_SYMBOL.into(),
    };
    let digest = generate_metadata_digest(&metadata, information).expect("it has one");
    let [found, built_in] = [digest.hash(), built_in()].map(hex::encode);
    assert_eq!(
        found, built_in,
        "the metadata has changed: write 0x{found} to runtime/metadata-hash.txt and build again",
    );
}

/// What the pool of a node says of Alice's first transaction, signed over `hash`.
fn pool_says(hash: [u8; 32]) -> TransactionValidity {
    let storage = RuntimeGenesisConfig::default().build_storage();
    let mut chain = TestExternalities::new(storage.expect("a valid genesis"));
    let question = chain.execute_with(|| {
        Balances::set_balance(&Alice.to_account_id(), 1_000_000_000_000);
        let remark = frame_system::Call::<Runtime>::remark { remark: vec![7; 9] };
        let transaction = sign(Alice, remark.into(), 0, Some(hash));
        let genesis = frame_system::Pallet::<Runtime>::block_hash(0);
        let mut question = TransactionSource::External.encode();
        question.extend(transaction);
        question.extend(genesis.encode());
        question
    });
    let wasm = WASM_BINARY.expect("the runtime was built with its Wasm");
    let code = WrappedRuntimeCode(wasm.into());
    let code = RuntimeCode {
        code_fetcher: &code,
        heap_pages: None,
        hash: b"noesis".to_vec(),
    };
    let executor = WasmExecutor::<sp_io::SubstrateHostFunctions>::builder().build();
    let method = "TaggedTransactionQueue_validate_transaction";
    let (answer, _) = executor.call(
        &mut chain.ext(),
        &code,
        method,
        &question,
        CallContext::Offchain,
    );
    let answer = answer.expect("the runtime does not fail");
    Decode::decode(&mut &answer[..]).expect("what the method answers")
}

#[test]
fn the_wasm_takes_signatures_over_this_hash_and_no_other() {
    let hash = built_in();
    assert!(pool_says(hash).is_ok());
    let mut other = hash;
    other[31] ^= 1;
    assert_eq!(pool_says(other), Err(Invalid(BadProof)));
}
