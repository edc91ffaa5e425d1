//! Signed transactions.

use codec::Encode;
use frame_metadata_hash_extension::CheckMetadataHash;
use noesis_runtime::{
    AccountId, Address, Balance, Runtime, RuntimeCall, Signature, SignedPayload,
    TransactionExtensions, UncheckedExtrinsic, VERSION,
};
use sp_core::{sr25519, Pair};
use sp_keyring::Sr25519Keyring;
use sp_runtime::{generic::Era, MultiAddress};

/// The next transaction of a well-known account, encoded; over a hash of the metadata where one is given.
pub fn sign(
    signer: Sr25519Keyring,
    call: RuntimeCall,
    tip: Balance,
    metadata_hash: Option<[u8; 32]>,
) -> Vec<u8> {
    sign_as(&signer.pair(), call, tip, metadata_hash)
}

/// The same, of any account.
pub fn sign_as(
    signer: &sr25519::Pair,
    call: RuntimeCall,
    tip: Balance,
    metadata_hash: Option<[u8; 32]>,
) -> Vec<u8> {
    let account: AccountId = signer.public().into();
    let nonce = frame_system::Pallet::<Runtime>::account_nonce(&account);
    let extensions: TransactionExtensions = (
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        frame_system::CheckEra::from(Era::Immortal),
        Default::default(),
        frame_system::CheckNonce::from(nonce),
        frame_system::CheckWeight::new(),
        pallet_transaction_payment::ChargeTransactionPayment::from(tip).into(),
        metadata_hash.map_or_else(
            || CheckMetadataHash::new(false),
            CheckMetadataHash::new_with_custom_hash,
        ),
    );
    let genesis = frame_system::Pallet::<Runtime>::block_hash(0);
    let implicit = (
        (),
        VERSION.spec_version,
        VERSION.transaction_version,
        genesis,
        genesis,
        (),
        (),
        (),
        (),
        metadata_hash,
    );
    let payload = SignedPayload::from_raw(call.clone(), extensions.clone(), implicit);
    let signature = payload.using_encoded(|bytes| signer.sign(bytes));
    let address: Address = MultiAddress::Id(account);
    UncheckedExtrinsic::new_signed(call, address, Signature::Sr25519(signature), extensions)
        .encode()
}
