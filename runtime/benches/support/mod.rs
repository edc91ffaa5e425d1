//! A chain whose runtime is the real Wasm, and markets of any size on it.

use codec::Encode;
use frame_support::{
    dispatch::DispatchClass, traits::fungible::Mutate, weights::Weight, BoundedVec,
};
use market_mechanism::{Edges, WHOLE_BOND};
use market_primitives::{Modality, Share, Uid, NOE};
use noesis_runtime::{
    AccountId, Balances, Header, Market, Runtime, RuntimeGenesisConfig, SLOT_DURATION, WASM_BINARY,
};
use pallet_market::{
    pools::{Holdings, Pool, PoolId, PoolPlace, MAX_TAKE},
    types::{Column, Market as MarketRules, Moment, Neuron, Row, Slot},
    Parameters,
};
use sc_executor::{HeapAllocStrategy, WasmExecutor};
use sp_consensus_aura::{Slot as AuraSlot, AURA_ENGINE_ID};
use sp_core::traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode};
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::{Alice, Bob};
use sp_runtime::{traits::Header as _, BuildStorage, Digest, DigestItem};
use std::{borrow::Cow, time::Duration};

/// The market that all this is about.
pub const MARKET: u16 = 0;

/// Blocks in its epochs.
pub const TEMPO: u32 = 100;

/// Runs functions of Wasm as a node does.
pub struct Wasm {
    executor: WasmExecutor<sp_io::SubstrateHostFunctions>,
    code: Cow<'static, [u8]>,
}

impl Wasm {
    /// The runtime.
    pub fn runtime() -> Self {
        let code = WASM_BINARY.expect("the runtime was built with its Wasm");
        let wasm = Self::of(code.into());
        // The first call compiles it.
        begin_block(&wasm, &mut chain(1, 0, 1, false), 2);
        wasm
    }

    /// Any code, with a heap of 32 MiB, as little as a node may be given.
    pub fn of(code: Cow<'static, [u8]>) -> Self {
        let heap = HeapAllocStrategy::Static { extra_pages: 512 };
        let executor = WasmExecutor::builder();
        Self {
            executor: executor.with_onchain_heap_alloc_strategy(heap).build(),
            code,
        }
    }

    /// Calls a function of the runtime on this state; what it answered, and how long it took.
    pub fn call(
        &self,
        chain: &mut TestExternalities,
        name: &str,
        data: &[u8],
    ) -> (Vec<u8>, Duration) {
        let code = WrappedRuntimeCode((&*self.code).into());
        let code = RuntimeCode {
            code_fetcher: &code,
            heap_pages: None,
            hash: b"noesis".to_vec(),
        };
        let context = CallContext::Onchain { import: false };
        let start = processor_time();
        let (result, _) = self
            .executor
            .call(&mut chain.ext(), &code, name, data, context);
        let took = processor_time().saturating_sub(start);
        (result.expect("the runtime does not fail"), took)
    }
}

/// What this thread has had of the processor: other programs that want it, too, do not disturb.
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A market of `neurons` neurons that all hold as much stake, set `row` edges each and hold bonds in as
/// many, as it stands at the end of block `at`. Where one `came_late`, after the rows were set, edges to it
/// are void, and every edge is looked at.
pub fn chain(neurons: u32, row: u32, at: u32, came_late: bool) -> TestExternalities {
    let storage = RuntimeGenesisConfig {
        market: noesis_runtime::MarketConfig {
            markets: vec![MarketRules {
                modality: Modality::Text,
                emission_share: Share::ONE,
                parameters: Parameters {
                    consensus_gate: false,
                    ..Parameters::with_tempo(TEMPO)
                },
            }],
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .expect("the genesis is valid");
    let mut chain = TestExternalities::new(storage);
    chain.execute_with(|| {
        for uid in 0..neurons as Uid {
            let hotkey = match uid {
                0 => Alice.to_account_id(),
                _ => [(uid % 251) as u8 + 1, (uid / 251) as u8 + 1].repeat(16)[..32]
                    .try_into()
                    .map(|id: [u8; 32]| id.into())
                    .expect("32 bytes"),
            };
            frame_system::Pallet::<Runtime>::inc_sufficients(&hotkey);
            pallet_market::Uids::<Runtime>::insert(MARKET, &hotkey, uid);
            let coldkey = Bob.to_account_id();
            pallet_market::Neurons::<Runtime>::insert(MARKET, uid, Neuron { hotkey, coldkey });
            pallet_market::Rows::<Runtime>::insert(MARKET, uid, edges(neurons, row, uid));
        }
        let slots = (0..neurons).map(|uid| {
            Some(Slot {
                stake: NOE,
                registered_at: Moment::start_of(if came_late && uid + 1 == neurons {
                    5
                } else {
                    0
                }),
            })
        });
        let slots = BoundedVec::truncate_from(slots.collect());
        pallet_market::Slots::<Runtime>::insert(MARKET, slots);
        let column = Column {
            mantissa: 1 << 63,
            exponent: -63,
            sum: WHOLE_BOND.into(),
        };
        let columns = BoundedVec::truncate_from(vec![column; neurons as usize]);
        pallet_market::Columns::<Runtime>::insert(MARKET, columns);
        Balances::set_balance(&Market::stake_account(), (u64::from(neurons) * NOE).into());
        Balances::set_balance(&Bob.to_account_id(), (1_000_000 * NOE).into());
        frame_system::Pallet::<Runtime>::set_block_number(at);
    });
    chain.commit_all().expect("nothing is open");
    chain
}

/// Makes half of everybody's stake one delegator's.
pub fn delegate_to_all(chain: &mut TestExternalities, neurons: u32, delegator: &AccountId) {
    chain.execute_with(|| {
        let value = NOE / 2;
        let pools = (0..neurons as Uid).map(|uid| {
            let id = PoolId::from(uid) + 1;
            let place = PoolPlace::Slot {
                market: MARKET,
                uid,
            };
            pallet_market::PoolPlaces::<Runtime>::insert(id, place);
            pallet_market::Delegations::<Runtime>::insert(delegator, id, value);
            let pool = Pool {
                id,
                holdings: Holdings {
                    value,
                    shares: value,
                },
                take: MAX_TAKE,
                raise: None,
            };
            (uid, pool)
        });
        let pools = BoundedVec::truncate_from(pools.collect());
        pallet_market::Pools::<Runtime>::insert(MARKET, pools);
        pallet_market::PoolCount::<Runtime>::put(PoolId::from(neurons));
    });
    chain.commit_all().expect("nothing is open");
}

/// A row of weights and bonds of one neuron. Each begins where the last one ended, so that every neuron
/// is voted for.
pub fn edges(neurons: u32, row: u32, uid: Uid) -> Row {
    let first = u32::from(uid) * row;
    let mut weights: Vec<(Uid, u16)> = (first..first + row)
        .map(|to| ((to % neurons) as Uid, uid + 1))
        .collect();
    weights.sort_unstable();
    let row = Edges::default().with_weights(&weights);
    let (gaps, weights, _) = row.into_parts();
    let bonds = vec![WHOLE_BOND / neurons; weights.len()];
    let row = Edges::from_parts(gaps, weights, bonds).expect("they fit");
    Row::new(Moment::start_of(1), row)
}

/// Begins a block: how long that took, and what was charged for it.
pub fn begin_block(wasm: &Wasm, chain: &mut TestExternalities, number: u32) -> (Duration, Weight) {
    let slot = AuraSlot::from(u64::from(number) * 1_000 / SLOT_DURATION);
    let digest = Digest {
        logs: vec![DigestItem::PreRuntime(AURA_ENGINE_ID, slot.encode())],
    };
    let hash = Default::default;
    let header = Header::new(number, hash(), hash(), hash(), digest);
    let (_, time) = wasm.call(chain, "Core_initialize_block", &header.encode());
    let charged = chain.execute_with(|| {
        let weight = frame_system::Pallet::<Runtime>::block_weight();
        *weight.get(DispatchClass::Mandatory)
    });
    (time, charged)
}

/// One block of an epoch.
pub struct Step {
    /// How long it took.
    pub time: Duration,
    /// What was charged for it.
    pub charged: Duration,
}

/// Runs the epoch that is due in block [`TEMPO`] to its end, on a chain that is two blocks before it: its
/// steps, without what a block takes anyhow.
pub fn epoch_on(wasm: &Wasm, mut chain: TestExternalities) -> Vec<Step> {
    let (idle_time, idle_charged) = begin_block(wasm, &mut chain, TEMPO - 1);
    let mut steps = Vec::new();
    let mut done = false;
    while !done {
        let (time, charged) = begin_block(wasm, &mut chain, TEMPO + steps.len() as u32);
        steps.push(Step {
            time: time.saturating_sub(idle_time),
            charged: duration(charged.saturating_sub(idle_charged)),
        });
        done = chain.execute_with(|| pallet_market::Epochs::<Runtime>::get(MARKET).epoch == 1);
        chain.commit_all().expect("nothing is open");
    }
    steps
}

/// Weight as time: picoseconds of reference time.
pub fn duration(weight: Weight) -> Duration {
    Duration::from_nanos(weight.ref_time() / 1_000)
}
