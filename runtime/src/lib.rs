//! The Noesis chain's runtime: the market pallet among the few others that a chain needs.
//!
//! `configs` says how each pallet is set, `fees` who gets what transactions pay, `genesis_presets` how a chain starts, `migrations` what
//! a chain of an older version needs, `apis` what the node may ask.

#![cfg_attr(not(feature = "std"), no_std)]
// Composition is all macros, and FRAME's macros do not document what they generate.
#![allow(missing_docs)]

extern crate alloc;

pub mod apis;
pub mod configs;
pub mod fees;
pub mod genesis_presets;
pub mod migrations;

use alloc::vec::Vec;
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
    MultiAddress, MultiSignature,
};
use sp_version::RuntimeVersion;

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

pub use pallet_market::Parameters;

/// Signature of a transaction, by any of Substrate's schemes.
pub type Signature = MultiSignature;
/// An account: 32 bytes, shown as SS58 with prefix 42.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// Address of an account in a transaction.
pub type Address = MultiAddress<AccountId, ()>;
/// An amount, in units of 10^-9 NOE.
pub type Balance = u128;
/// Number of a transaction of an account, which begins with [`configs::FirstNonce`].
pub type Nonce = u32;
/// A hash.
pub type Hash = sp_core::H256;
/// Number of a block.
pub type BlockNumber = market_primitives::BlockNumber;
/// A block's header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// Milliseconds from one block to the next, of a chain whose genesis does not say otherwise
/// (`authorities.slotDuration`), and the fewest that one may say. What a block may compute is a third of it, however
/// long the slots are.
pub const SLOT_DURATION: u64 = pallet_authorities::DEFAULT_SLOT_DURATION;

/// The least that an account can own. One unit, so that the account that holds all stake can equal
/// its ledger exactly, whatever is left in it; what keeps people from creating accounts without
/// end is the fee.
pub const EXISTENTIAL_DEPOSIT: Balance = 1;

/// Blocks as the node's networking sees them: it need not understand a transaction to pass it on.
pub mod opaque {
    pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

    /// An opaque block.
    pub type Block = sp_runtime::generic::Block<super::Header, UncheckedExtrinsic>;
}

impl_opaque_keys! {
    /// The keys of an authority.
    pub struct SessionKeys {
        pub aura: Aura,
        pub grandpa: Grandpa,
    }
}

/// Which runtime this is.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: alloc::borrow::Cow::Borrowed("noesis"),
    impl_name: alloc::borrow::Cow::Borrowed("noesis"),
    authoring_version: 1,
    spec_version: 101,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

/// What wallets show amounts in, and signers without a network too: both are part of the metadata's hash.
pub const TOKEN_SYMBOL: &str = "NOE";

/// Decimals of an amount in [`TOKEN_SYMBOL`]: a unit is 10^-9 of it.
pub const TOKEN_DECIMALS: u8 = 9;

/// The checks of every transaction. Besides the usual ones only [`pallet_market::CheckMarketCall`],
/// which carries no data, so that ordinary clients need not know it.
pub type TransactionExtensions = (
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    // Before the nonce, which refuses an account that owns nothing without saying that it is not
    // registered.
    pallet_market::CheckMarketCall<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_skip_feeless_payment::SkipCheckIfFeeless<
        Runtime,
        pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    >,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
);

/// A transaction as it comes from outside.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TransactionExtensions>;

/// What the signature of a transaction covers.
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TransactionExtensions>;

/// Executes blocks.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;

    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;

    #[runtime::pallet_index(2)]
    pub type Aura = pallet_aura;

    #[runtime::pallet_index(3)]
    pub type Grandpa = pallet_grandpa;

    #[runtime::pallet_index(4)]
    pub type Balances = pallet_balances;

    #[runtime::pallet_index(5)]
    pub type TransactionPayment = pallet_transaction_payment;

    #[runtime::pallet_index(6)]
    pub type SkipFeelessPayment = pallet_skip_feeless_payment;

    #[runtime::pallet_index(7)]
    pub type Sudo = pallet_sudo;

    #[runtime::pallet_index(8)]
    pub type Market = pallet_market;

    // Before the sessions, whose genesis asks it for the first set.
    #[runtime::pallet_index(9)]
    pub type Authorities = pallet_authorities;

    #[runtime::pallet_index(10)]
    pub type Authorship = pallet_authorship;

    #[runtime::pallet_index(11)]
    pub type Session = pallet_session;

    #[runtime::pallet_index(12)]
    pub type Historical = pallet_session::historical;

    // No pallet makes several calls out of one transaction, and none may before the market's moments count calls:
    // `registration::moment`.
    #[runtime::pallet_index(13)]
    pub type Offences = pallet_offences;
}
