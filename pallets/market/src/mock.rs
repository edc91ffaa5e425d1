//! A chain of this pallet, balances and nothing else. Every test's state is checked against the
//! invariants, at its end and after every block.

use crate::{self as pallet_market, types::Market, Event, Parameters};
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU128, ConstU16, ConstU32, ConstU64, Hooks},
    PalletId,
};
use market_primitives::{Modality, Share, NOE};
use sp_runtime::BuildStorage;

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
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type MarketPallet = pallet_market;
}

pub type Block = frame_system::mocking::MockBlockU32<Test>;
pub type AccountId = u64;

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = u128;
    type ExistentialDeposit = ConstU128<1>;
}

parameter_types! {
    pub const MarketPalletId: PalletId = PalletId(*b"noesismk");
}

impl pallet_market::Config for Test {
    type Currency = Balances;
    type WeightInfo = crate::weights::Measured<Test>;
    type MaxMarkets = ConstU16<4>;
    type PalletId = MarketPalletId;
    type BlockReward = ConstU64<NOE>;
    type HalvingInterval = ConstU32<1_000>;
}

/// The market that most tests use.
pub const TEXT: u16 = 0;

/// Blocks in an epoch of that market.
pub const TEMPO: u32 = 10;

/// What each of the accounts 1 to 20 owns at the start, in units.
pub const ENDOWMENT: u64 = 1_000 * NOE;

/// The rules of that market.
pub fn rules() -> Parameters {
    Parameters {
        capacity: 8,
        ..Parameters::with_tempo(TEMPO)
    }
}

/// A chain with one market that gets all emission, in block 1.
pub fn chain_with(parameters: Parameters) -> sp_io::TestExternalities {
    let market = Market {
        modality: Modality::Text,
        emission_share: Share::ONE,
        parameters,
    };
    let mut storage = frame_system::GenesisConfig::<Test>::default()
        .build_storage()
        .expect("the system's genesis is valid");
    pallet_balances::GenesisConfig::<Test> {
        balances: (1..=20).map(|who| (who, ENDOWMENT.into())).collect(),
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .expect("the balances are valid");
    pallet_market::GenesisConfig::<Test> {
        markets: vec![market],
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .expect("the market is valid");
    let mut chain = sp_io::TestExternalities::from(storage);
    chain.execute_with(|| System::set_block_number(1));
    chain
}

/// Runs a test on such a chain and checks the invariants after it.
pub fn on_chain(test: impl FnOnce()) {
    on_chain_with(rules(), test);
}

/// The same under other rules.
pub fn on_chain_with(parameters: Parameters, test: impl FnOnce()) {
    chain_with(parameters).execute_with(|| {
        test();
        check();
    });
}

/// Fails where an invariant does not hold, or where a unit was made or lost: what was issued is what
/// the accounts hold, and it is the genesis, plus what epochs minted, less what registrations burned.
pub fn check() {
    let mut expected = 20 * i128::from(ENDOWMENT);
    let mut minted = 0;
    for record in System::events() {
        match record.event {
            RuntimeEvent::MarketPallet(Event::Registered { cost, .. }) => {
                expected -= i128::from(cost);
            }
            RuntimeEvent::MarketPallet(Event::EpochFinished { minted: units, .. }) => {
                minted += units;
            }
            _ => {}
        }
    }
    assert_eq!(crate::TotalMinted::<Test>::get(), minted);
    let issued = Balances::total_issuance() as i128;
    assert_eq!(issued, expected + i128::from(minted));
    let held: u128 = frame_system::Account::<Test>::iter_values()
        .map(|account| account.data.free + account.data.reserved)
        .sum();
    assert_eq!(issued, held as i128);
    if let Err(reason) = MarketPallet::check_invariants() {
        panic!("block {}: {reason:?}", System::block_number());
    }
}

/// Goes on to `block`, epoch by epoch.
pub fn run_to(block: u32) {
    while System::block_number() < block {
        let next = System::block_number() + 1;
        System::set_block_number(next);
        MarketPallet::on_initialize(next);
        check();
    }
}

/// The hotkey of a coldkey in these tests.
pub fn hotkey(coldkey: AccountId) -> AccountId {
    coldkey + 100
}

/// Registers the neuron of `coldkey` and returns its uid.
pub fn register(coldkey: AccountId) -> u16 {
    MarketPallet::register(
        RuntimeOrigin::signed(coldkey),
        TEXT,
        hotkey(coldkey),
        u128::MAX,
    )
    .expect("there is room and money");
    crate::Uids::<Test>::get(TEXT, hotkey(coldkey)).expect("it was just registered")
}

/// Puts `amount` units behind the neuron of `coldkey`.
pub fn stake(coldkey: AccountId, amount: u64) {
    MarketPallet::add_stake(
        RuntimeOrigin::signed(coldkey),
        TEXT,
        hotkey(coldkey),
        amount.into(),
    )
    .expect("it has that much");
}

/// Sets the row of the neuron of `coldkey`.
pub fn vote(coldkey: AccountId, weights: &[(u16, u16)]) {
    MarketPallet::set_weights(
        RuntimeOrigin::signed(hotkey(coldkey)),
        TEXT,
        weights.to_vec(),
    )
    .expect("the row is valid");
}
