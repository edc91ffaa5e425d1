//! How each pallet is set.

use crate::{
    AccountId, Aura, Authorities, Balance, Balances, Block, BlockNumber, Historical, Market, Nonce,
    Offences, PalletInfo, Runtime, RuntimeCall, RuntimeEvent, RuntimeFreezeReason,
    RuntimeHoldReason, RuntimeOrigin, RuntimeTask, Session, SessionKeys, System,
    UncheckedExtrinsic, EXISTENTIAL_DEPOSIT, SLOT_DURATION, VERSION,
};
use frame_support::{
    derive_impl, parameter_types,
    traits::{
        ConstBool, ConstU128, ConstU16, ConstU32, ConstU64, ConstU8, Contains, Get, VariantCountOf,
    },
    weights::{
        constants::{ParityDbWeight, WEIGHT_REF_TIME_PER_MILLIS},
        Weight, WeightToFee,
    },
    PalletId,
};
use frame_system::{
    limits::{BlockLength, BlockWeights},
    offchain::{CreateBare, CreateTransactionBase},
};
use market_primitives::NOE;
use pallet_authorities::{
    equivocation::REPORT_LONGEVITY,
    sessions::{HalfSlot, Length, NothingElse, SlotMillis},
};
use pallet_session::PeriodicSessions;
use pallet_transaction_payment::{ConstFeeMultiplier, FungibleAdapter, Multiplier};
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_runtime::{
    traits::{ConvertInto, One, OpaqueKeys, StaticLookup},
    type_with_default::TypeWithDefault,
    Perbill,
};
use sp_version::RuntimeVersion;

/// A third of the shortest time between two blocks is for computing one.
const BLOCK_WEIGHT: Weight =
    Weight::from_parts(SLOT_DURATION / 3 * WEIGHT_REF_TIME_PER_MILLIS, u64::MAX);

/// Part of a block that ordinary transactions may fill.
const NORMAL_DISPATCH_RATIO: Perbill = Perbill::from_percent(75);

parameter_types! {
    pub const BlockHashCount: BlockNumber = 2400;
    pub const Version: RuntimeVersion = VERSION;
    pub RuntimeBlockWeights: BlockWeights =
        BlockWeights::with_sensible_defaults(BLOCK_WEIGHT, NORMAL_DISPATCH_RATIO);
    /// A quarter of a block for epochs, whatever waits in the pool.
    pub EpochBudget: Weight = Perbill::from_percent(25) * BLOCK_WEIGHT;
    pub RuntimeBlockLength: BlockLength =
        BlockLength::builder().max_length(5 * 1024 * 1024).modify_max_length_for_class(
            frame_support::dispatch::DispatchClass::Normal,
            |length| *length = NORMAL_DISPATCH_RATIO * *length,
        ).build();
    pub const SS58Prefix: u8 = 42;
}

/// Refuses transfers to the account that holds all stake: it must equal the ledger to the unit, and
/// a gift would be nobody's. Stake goes in by `add_stake`. Refuses to take session keys away, too: an
/// authority without keys would drop out of the set unasked, and the last one would end the chain. Keys
/// are replaced by `session.setKeys`.
///
/// What root does by sudo is not filtered, in its own name (`force_transfer`, `force_set_balance`) or in another's
/// (`sudo_as`): that the account equals the ledger is root's to keep.
pub struct CallFilter;

impl Contains<RuntimeCall> for CallFilter {
    fn contains(call: &RuntimeCall) -> bool {
        use pallet_balances::Call::{transfer_all, transfer_allow_death, transfer_keep_alive};
        match call {
            RuntimeCall::Balances(
                transfer_allow_death { dest, .. }
                | transfer_keep_alive { dest, .. }
                | transfer_all { dest, .. },
            ) => <Runtime as frame_system::Config>::Lookup::lookup(dest.clone())
                .map_or(true, |dest| dest != Market::stake_account()),
            RuntimeCall::Session(call) => !matches!(call, pallet_session::Call::purge_keys {}),
            _ => true,
        }
    }
}

/// Where an account begins to count its transactions: at the number of the block that creates it.
///
/// A hotkey that owns nothing has an account as long as it has a slot. If it began at 0 when it comes back, whatever it
/// had signed without an end before would hold once more, for anybody who kept it: an old endpoint, an old vote. As it is,
/// that is stale, unless the hotkey had sent more transactions than blocks have been made since it first came.
#[derive(Debug)]
pub struct FirstNonce;

impl Get<Nonce> for FirstNonce {
    fn get() -> Nonce {
        System::block_number()
    }
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type BaseCallFilter = CallFilter;
    type Block = Block;
    type BlockWeights = RuntimeBlockWeights;
    type BlockLength = RuntimeBlockLength;
    type AccountId = AccountId;
    // Encoded and described as a `Nonce`.
    type Nonce = TypeWithDefault<Nonce, FirstNonce>;
    type BlockHashCount = BlockHashCount;
    type DbWeight = ParityDbWeight;
    type Version = Version;
    type AccountData = pallet_balances::AccountData<Balance>;
    type SS58Prefix = SS58Prefix;
    type MaxConsumers = ConstU32<16>;
    type SingleBlockMigrations = crate::migrations::Migrations;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = Aura;
    type MinimumPeriod = HalfSlot<Runtime>;
    type WeightInfo = ();
}

impl pallet_aura::Config for Runtime {
    type AuthorityId = AuraId;
    type DisabledValidators = Session;
    type MaxAuthorities = MaxAuthorities;
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = SlotMillis<Runtime>;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = MaxAuthorities;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<{ SESSIONS_KEPT as u64 }>;
    type KeyOwnerProof = sp_session::MembershipProof;
    type EquivocationReportSystem = pallet_grandpa::EquivocationReportSystem<
        Runtime,
        Offences,
        Historical,
        ConstU64<REPORT_LONGEVITY>,
    >;
}

/// Most authorities there can be.
type MaxAuthorities = ConstU32<32>;

/// Sessions for which an offence can be reported after they are over.
const SESSIONS_KEPT: u32 = 168;

impl pallet_authorship::Config for Runtime {
    type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Runtime, Aura>;
    type EventHandler = ();
}

impl pallet_session::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = PeriodicSessions<Length<Runtime>, ConstU32<0>>;
    type NextSessionRotation = PeriodicSessions<Length<Runtime>, ConstU32<0>>;
    type SessionManager = pallet_session::historical::NoteHistoricalRoot<Runtime, Authorities>;
    type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
    type Keys = SessionKeys;
    // Up to a third of the others, so that as many are left as GRANDPA needs.
    type DisablingStrategy = pallet_session::disabling::UpToLimitDisablingStrategy;
    type WeightInfo = ();
    type Currency = Balances;
    type KeyDeposit = ConstU128<KEY_DEPOSIT>;
}

/// What lies on hold while an account has session keys, so that storage is not filled for a fee.
const KEY_DEPOSIT: Balance = NOE as Balance;

impl pallet_session::historical::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type FullIdentification = ();
    type FullIdentificationOf = NothingElse;
}

impl pallet_offences::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = pallet_session::historical::IdentificationTuple<Runtime>;
    type OnOffenceHandler = Authorities;
}

impl pallet_authorities::Config for Runtime {
    type SessionsKept = ConstU32<SESSIONS_KEPT>;
    type Offences = Offences;
}

/// Reports of offences are what the runtime hands to the pool itself.
impl<LocalCall> CreateTransactionBase<LocalCall> for Runtime
where
    RuntimeCall: From<LocalCall>,
{
    type RuntimeCall = RuntimeCall;
    type Extrinsic = UncheckedExtrinsic;
}

impl<LocalCall> CreateBare<LocalCall> for Runtime
where
    RuntimeCall: From<LocalCall>,
{
    fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
        UncheckedExtrinsic::new_bare(call)
    }
}

impl pallet_balances::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
    type Balance = Balance;
    type DustRemoval = ();
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
    type ReserveIdentifier = [u8; 8];
    type FreezeIdentifier = RuntimeFreezeReason;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ();
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type DoneSlashHandler = ();
}

/// What computing costs: 0.001 NOE a millisecond of execution on the reference machine.
pub struct ComputeFee;

impl WeightToFee for ComputeFee {
    type Balance = Balance;

    fn weight_to_fee(weight: &Weight) -> Balance {
        let a_millisecond = Balance::from(NOE / 1000);
        Balance::from(weight.ref_time()).saturating_mul(a_millisecond)
            / Balance::from(WEIGHT_REF_TIME_PER_MILLIS)
    }
}

/// What a transaction's bytes cost: 0.000001 NOE each.
pub struct LengthFee;

impl WeightToFee for LengthFee {
    type Balance = Balance;

    fn weight_to_fee(length: &Weight) -> Balance {
        Balance::from(length.ref_time()).saturating_mul(Balance::from(NOE / 1_000_000))
    }
}

parameter_types! {
    pub FeeMultiplier: Multiplier = Multiplier::one();
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type OnChargeTransaction = FungibleAdapter<Balances, crate::fees::ToAuthor>;
    type WeightToFee = ComputeFee;
    type LengthToFee = LengthFee;
    type FeeMultiplierUpdate = ConstFeeMultiplier<FeeMultiplier>;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}

impl pallet_skip_feeless_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
}

impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = pallet_sudo::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    pub const MarketPalletId: PalletId = PalletId(*b"noesismk");
}

impl pallet_market::Config for Runtime {
    /// Whoever acts as root: in the presets, the key of `sudo`.
    type GovernanceOrigin = frame_system::EnsureRoot<AccountId>;
    type Currency = Balances;
    type WeightInfo = pallet_market::weights::Measured<Runtime>;
    type MaxMarkets = ConstU16<64>;
    type EpochBudget = EpochBudget;
    type PalletId = MarketPalletId;
    type BlockReward = ConstU64<NOE>;
    type HalvingInterval = ConstU32<10_500_000>;
    /// A tenth of a NOE.
    type MinDelegation = ConstU64<{ NOE / 10 }>;
    /// A day of blocks of six seconds.
    type TakeNotice = ConstU32<14_400>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transfer of one unit.
    fn transfer(dest: AccountId) -> RuntimeCall {
        RuntimeCall::Balances(pallet_balances::Call::transfer_allow_death {
            dest: dest.into(),
            value: 1,
        })
    }

    #[test]
    fn nobody_drops_out_of_the_authorities_by_taking_its_keys_away() {
        let purge = pallet_session::Call::purge_keys {};
        assert!(!CallFilter::contains(&RuntimeCall::Session(purge)));
    }

    #[test]
    fn the_stake_account_takes_no_gifts() {
        assert!(!CallFilter::contains(&transfer(Market::stake_account())));
        assert!(CallFilter::contains(&transfer([7; 32].into())));
        let all = RuntimeCall::Balances(pallet_balances::Call::transfer_all {
            dest: Market::stake_account().into(),
            keep_alive: false,
        });
        assert!(!CallFilter::contains(&all));
        let other = RuntimeCall::System(frame_system::Call::remark { remark: vec![] });
        assert!(CallFilter::contains(&other));
    }
}
