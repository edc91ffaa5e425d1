//! How each pallet is set.

use crate::{
    AccountId, Aura, Balance, Balances, Block, BlockNumber, Market, Nonce, PalletInfo, Runtime,
    RuntimeCall, RuntimeEvent, RuntimeFreezeReason, RuntimeHoldReason, RuntimeOrigin, RuntimeTask,
    System, EXISTENTIAL_DEPOSIT, SLOT_DURATION, VERSION,
};
use frame_support::{
    derive_impl, parameter_types,
    traits::{
        ConstBool, ConstU128, ConstU16, ConstU32, ConstU64, ConstU8, Contains, FindAuthor,
        VariantCountOf,
    },
    weights::{
        constants::{ParityDbWeight, WEIGHT_REF_TIME_PER_MILLIS},
        Weight, WeightToFee,
    },
    PalletId,
};
use frame_system::limits::{BlockLength, BlockWeights};
use market_primitives::NOE;
use pallet_transaction_payment::{ConstFeeMultiplier, FungibleAdapter, Multiplier};
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_core::sr25519;
use sp_runtime::{
    traits::{One, StaticLookup},
    ConsensusEngineId, Perbill,
};
use sp_version::RuntimeVersion;

/// A third of the time between two blocks is for computing one.
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
/// a gift would be nobody's. Stake goes in by `add_stake`.
pub struct NoGiftsToStake;

impl Contains<RuntimeCall> for NoGiftsToStake {
    fn contains(call: &RuntimeCall) -> bool {
        use pallet_balances::Call::{
            force_transfer, transfer_all, transfer_allow_death, transfer_keep_alive,
        };
        let RuntimeCall::Balances(
            transfer_allow_death { dest, .. }
            | transfer_keep_alive { dest, .. }
            | transfer_all { dest, .. }
            | force_transfer { dest, .. },
        ) = call
        else {
            return true;
        };
        <Runtime as frame_system::Config>::Lookup::lookup(dest.clone())
            .map_or(true, |dest| dest != Market::stake_account())
    }
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type BaseCallFilter = NoGiftsToStake;
    type Block = Block;
    type BlockWeights = RuntimeBlockWeights;
    type BlockLength = RuntimeBlockLength;
    type AccountId = AccountId;
    type Nonce = Nonce;
    type BlockHashCount = BlockHashCount;
    type DbWeight = ParityDbWeight;
    type Version = Version;
    type AccountData = pallet_balances::AccountData<Balance>;
    type SS58Prefix = SS58Prefix;
    type MaxConsumers = ConstU32<16>;
    type SingleBlockMigrations = pallet_market::migrations::v2::Migration<Runtime>;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = Aura;
    type MinimumPeriod = ConstU64<{ SLOT_DURATION / 2 }>;
    type WeightInfo = ();
}

impl pallet_aura::Config for Runtime {
    type AuthorityId = AuraId;
    type DisabledValidators = ();
    type MaxAuthorities = ConstU32<32>;
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = ConstU64<SLOT_DURATION>;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<32>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<0>;
    type KeyOwnerProof = sp_core::Void;
    type EquivocationReportSystem = ();
}

/// The account of an Aura authority is its key.
pub struct AuraAccount;

impl FindAuthor<AccountId> for AuraAccount {
    fn find_author<'a, I>(digests: I) -> Option<AccountId>
    where
        I: 'a + IntoIterator<Item = (ConsensusEngineId, &'a [u8])>,
    {
        let index = Aura::find_author(digests)?;
        let authorities = pallet_aura::Authorities::<Runtime>::get();
        let key = authorities.get(index as usize)?;
        Some(AccountId::new(sr25519::Public::from(key.clone()).0))
    }
}

impl pallet_authorship::Config for Runtime {
    type FindAuthor = AuraAccount;
    type EventHandler = ();
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
    fn the_stake_account_takes_no_gifts() {
        assert!(!NoGiftsToStake::contains(
            &transfer(Market::stake_account())
        ));
        assert!(NoGiftsToStake::contains(&transfer([7; 32].into())));
        let all = RuntimeCall::Balances(pallet_balances::Call::transfer_all {
            dest: Market::stake_account().into(),
            keep_alive: false,
        });
        assert!(!NoGiftsToStake::contains(&all));
        let other = RuntimeCall::System(frame_system::Call::remark { remark: vec![] });
        assert!(NoGiftsToStake::contains(&other));
    }
}
