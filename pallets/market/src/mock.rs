//! A chain of this pallet, balances and nothing else. Every test's state is checked against the
//! invariants, at its end and after every block.

use crate::{
    self as pallet_market,
    types::{Market, Outcome, Slot},
    Event, Parameters,
};
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU128, ConstU16, ConstU32, ConstU64, Hooks},
    weights::Weight,
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
    /// Enough for any epoch, unless a test makes it smaller: see [`pieces_a_block`].
    pub static EpochBudget: Weight = Weight::from_parts(1_000_000, 0);
    /// What it takes to begin an epoch, in pieces.
    pub static Beginning: u64 = 0;
}

impl pallet_market::Config for Test {
    type GovernanceOrigin = frame_system::EnsureRoot<AccountId>;
    type Currency = Balances;
    type WeightInfo = Pieces;
    type MaxMarkets = ConstU16<4>;
    type EpochBudget = EpochBudget;
    type PalletId = MarketPalletId;
    type BlockReward = ConstU64<NOE>;
    type HalvingInterval = ConstU32<1_000>;
    type MinDelegation = ConstU64<{ NOE / 10 }>;
    type TakeNotice = ConstU32<25>;
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
        // The beginning of a block is no call.
        sp_io::storage::clear(b":extrinsic_index");
        let weight = MarketPallet::on_initialize(next);
        assert!(weight.all_lte(EpochBudget::get()));
        System::set_extrinsic_index(0);
        check();
    }
}

/// Begins the next call of the block, so that it has a moment of its own.
pub fn next_call() {
    let index = System::extrinsic_index().map_or(0, |index| index + 1);
    System::set_extrinsic_index(index);
}

/// The hotkey of a coldkey in these tests.
pub fn hotkey(coldkey: AccountId) -> AccountId {
    coldkey + 100
}

/// Registers the neuron of `coldkey` and returns its uid.
pub fn register(coldkey: AccountId) -> u16 {
    next_call();
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
    next_call();
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
    next_call();
    MarketPallet::set_weights(
        RuntimeOrigin::signed(hotkey(coldkey)),
        TEXT,
        weights.to_vec(),
    )
    .expect("the row is valid");
}

/// Units in a slot; 0 in a free one.
pub fn stake_of(uid: u16) -> u64 {
    slot(uid).map_or(0, |slot| slot.stake)
}

/// A slot, if it is taken.
pub fn slot(uid: u16) -> Option<Slot> {
    let slots = crate::Slots::<Test>::get(TEXT);
    slots.get(usize::from(uid)).copied().flatten()
}

/// What the last epoch gave a neuron.
pub fn outcome(uid: u16) -> Outcome {
    let outcomes = crate::Outcomes::<Test>::get(TEXT);
    outcomes.get(usize::from(uid)).copied().unwrap_or_default()
}

/// The weights that a neuron set last and an epoch has begun or will begin to count: when, and what.
pub fn weights_of(uid: u16) -> (u32, Vec<(u16, u16)>) {
    let row = crate::Rows::<Test>::get(TEXT, uid).unwrap_or_default();
    let set_at = row.set_at.block;
    let edges = row.edges();
    let weights = edges.iter().filter(|&(_, weight, _)| weight > 0);
    (
        set_at,
        weights.map(|(to, weight, _)| (to, weight)).collect(),
    )
}

/// The bonds that a neuron holds, as shares of their columns in units of 2^-31.
pub fn bonds_of(uid: u16) -> Vec<(u16, u32)> {
    let edges = crate::Rows::<Test>::get(TEXT, uid)
        .unwrap_or_default()
        .edges();
    let bonds = edges.iter().filter(|&(_, _, bond)| bond > 0);
    bonds.map(|(to, _, bond)| (to, bond)).collect()
}

/// Weights that are easy to reckon with: one for each row that an epoch reads, and for each of its other
/// pieces; nothing for calls, nor, unless a test says so, for beginning one.
pub struct Pieces;

impl crate::WeightInfo for Pieces {
    fn register() -> Weight {
        Weight::zero()
    }
    fn serve() -> Weight {
        Weight::zero()
    }
    fn set_weights(_: u32) -> Weight {
        Weight::zero()
    }
    fn add_stake() -> Weight {
        Weight::zero()
    }
    fn remove_stake() -> Weight {
        Weight::zero()
    }
    fn deregister() -> Weight {
        Weight::zero()
    }
    fn swap_hotkey() -> Weight {
        Weight::zero()
    }
    fn commit_weights() -> Weight {
        Weight::zero()
    }
    fn reveal_weights(_: u32) -> Weight {
        Weight::zero()
    }
    fn delegate() -> Weight {
        Weight::zero()
    }
    fn undelegate() -> Weight {
        Weight::zero()
    }
    fn set_take() -> Weight {
        Weight::zero()
    }
    fn create_market(_: u32) -> Weight {
        Weight::zero()
    }
    fn set_parameters(_: u32) -> Weight {
        Weight::zero()
    }
    fn epoch_begin(_: u32) -> Weight {
        Weight::from_parts(Beginning::get(), 0)
    }
    fn epoch_resume(_: u32) -> Weight {
        Weight::zero()
    }
    fn epoch_count_row(_: u32) -> Weight {
        Weight::from_parts(1, 0)
    }
    fn epoch_verdict(_: u32) -> Weight {
        Weight::from_parts(1, 0)
    }
    fn epoch_renew_row(_: u32) -> Weight {
        Weight::from_parts(1, 0)
    }
    fn epoch_finish(_: u32) -> Weight {
        Weight::from_parts(1, 0)
    }
}

/// Gives every block a budget of so many pieces of an epoch: rows, or what is done once.
pub fn pieces_a_block(pieces: u64) {
    EpochBudget::set(Weight::from_parts(pieces, 0));
}

/// A neuron as clients see it.
pub fn shown(uid: u16) -> market_primitives::Neuron<AccountId> {
    let metagraph = MarketPallet::metagraph(TEXT).expect("the market exists");
    let mut neurons = metagraph.neurons.into_iter();
    neurons
        .find(|neuron| neuron.uid == uid)
        .expect("the slot is taken")
}

/// Takes the neuron of `coldkey` out of the market.
pub fn leave(coldkey: AccountId) {
    next_call();
    MarketPallet::deregister(RuntimeOrigin::signed(coldkey), TEXT, hotkey(coldkey))
        .expect("it is registered");
}
