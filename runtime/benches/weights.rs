//! What the market's calls and its epoch cost, measured through the real Wasm runtime: an epoch by
//! neurons and by edges, beside a block without one; each call as a signed transaction.
//!
//! `cargo bench -p noesis-runtime` prints the ratio of what `pallets/market/src/weights.rs` charges to
//! what was measured. State lies in memory here, and what is charged for the database counts as charged.
//! Of a call, the cost of a transaction that does nothing is taken off.

use codec::Encode;
use frame_support::dispatch::GetDispatchInfo;
use frame_support::traits::fungible::Mutate;
use market_primitives::{Modality, Share, Uid, NOE};
use noesis_runtime::{
    Address, Balances, Header, Market, Runtime, RuntimeCall, RuntimeGenesisConfig, Signature,
    SignedPayload, TransactionExtensions, UncheckedExtrinsic, SLOT_DURATION, VERSION, WASM_BINARY,
};
use pallet_market::{
    epoch::Size,
    types::{Market as MarketRules, Slot, WeightRow},
    Call, Parameters,
};
use sc_executor::WasmExecutor;
use sp_consensus_aura::{Slot as AuraSlot, AURA_ENGINE_ID};
use sp_core::traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode};
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::{Alice, Bob};
use sp_runtime::{
    generic::Era, traits::Header as _, BuildStorage, Digest, DigestItem, MultiAddress,
};
use std::time::{Duration, Instant};

const MARKET: u16 = 0;

/// Repetitions; the median counts.
const REPEAT: usize = 9;

/// Runs the runtime's functions as a node does.
struct Wasm {
    executor: WasmExecutor<sp_io::SubstrateHostFunctions>,
    code: &'static [u8],
}

impl Wasm {
    /// Calls a function of the runtime on this state; what it answered, and how long it took.
    fn call(&self, chain: &mut TestExternalities, name: &str, data: &[u8]) -> (Vec<u8>, Duration) {
        let code = WrappedRuntimeCode(self.code.into());
        let code = RuntimeCode {
            code_fetcher: &code,
            heap_pages: None,
            hash: b"noesis".to_vec(),
        };
        let context = CallContext::Onchain { import: false };
        let start = Instant::now();
        let (result, _) = self
            .executor
            .call(&mut chain.ext(), &code, name, data, context);
        (result.expect("the runtime does not fail"), start.elapsed())
    }
}

/// A market of `neurons` neurons with `row` edges each, at the end of block `at`: as costly as it can be.
/// Everybody has a vote, so that everybody is paid; no bonds are there yet, so that every edge makes a
/// new one; one neuron came late, so that every edge is looked at.
fn chain(neurons: u32, row: u32, at: u32) -> TestExternalities {
    let storage = RuntimeGenesisConfig {
        market: noesis_runtime::MarketConfig {
            markets: vec![MarketRules {
                modality: Modality::Text,
                emission_share: Share::ONE,
                parameters: Parameters {
                    consensus_gate: false,
                    ..Parameters::with_tempo(10)
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
            pallet_market::Stakes::<Runtime>::insert(MARKET, uid, NOE);
            let coldkey = Bob.to_account_id();
            let slot = Slot {
                hotkey,
                coldkey,
                registered_at: if u32::from(uid) + 1 == neurons { 5 } else { 0 },
            };
            pallet_market::Slots::<Runtime>::insert(MARKET, uid, slot);
        }
        pallet_market::NeuronCount::<Runtime>::insert(MARKET, neurons as Uid);
        for uid in 0..neurons as Uid {
            // Each row begins where the last one ended, so that every neuron is voted for.
            let first = u32::from(uid) * row;
            let mut edges: Vec<(Uid, u16)> = (first..first + row)
                .map(|to| ((to % neurons) as Uid, uid + 1))
                .collect();
            edges.sort_unstable();
            let edges = edges.try_into().expect("a row fits");
            let row = WeightRow { set_at: 1, edges };
            pallet_market::Weights::<Runtime>::insert(MARKET, uid, row);
        }
        Balances::set_balance(&Market::stake_account(), (u64::from(neurons) * NOE).into());
        Balances::set_balance(&Bob.to_account_id(), (1_000_000 * NOE).into());
        frame_system::Pallet::<Runtime>::set_block_number(at);
    });
    chain.commit_all().expect("nothing is open");
    chain
}

/// Begins a block; block 10 runs the epoch.
fn begin_block(wasm: &Wasm, chain: &mut TestExternalities, number: u32) -> Duration {
    let slot = AuraSlot::from(u64::from(number) * 1_000 / SLOT_DURATION);
    let digest = Digest {
        logs: vec![DigestItem::PreRuntime(AURA_ENGINE_ID, slot.encode())],
    };
    let hash = Default::default;
    let header = Header::new(number, hash(), hash(), hash(), digest);
    wasm.call(chain, "Core_initialize_block", &header.encode())
        .1
}

fn median(mut measure: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..REPEAT).map(|_| measure()).collect();
    times.sort();
    times[REPEAT / 2]
}

/// What a block with the epoch takes longer than one without it.
fn epoch(wasm: &Wasm, neurons: u32, row: u32) -> Duration {
    let block = |number| {
        median(|| {
            let mut chain = chain(neurons, row, number - 1);
            begin_block(wasm, &mut chain, number)
        })
    };
    block(10).saturating_sub(block(11))
}

/// A signed transaction, applied in block 11 of a market of 1024 neurons.
fn call(wasm: &Wasm, signer: sp_keyring::Sr25519Keyring, call: impl Into<RuntimeCall>) -> Duration {
    let call: RuntimeCall = call.into();
    median(|| {
        // The row that is replaced is as long as it can be.
        let mut chain = chain(1024, 1023, 10);
        begin_block(wasm, &mut chain, 11);
        let transaction = chain.execute_with(|| sign(signer, call.clone()));
        let (answer, time) = wasm.call(&mut chain, "BlockBuilder_apply_extrinsic", &transaction);
        assert_eq!(answer, [0, 0], "the call was refused: {call:?}");
        time
    })
}

fn sign(signer: sp_keyring::Sr25519Keyring, call: RuntimeCall) -> Vec<u8> {
    let extensions: TransactionExtensions = (
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        frame_system::CheckEra::from(Era::Immortal),
        Default::default(),
        frame_system::CheckNonce::from(0),
        frame_system::CheckWeight::new(),
        pallet_transaction_payment::ChargeTransactionPayment::from(0).into(),
        frame_metadata_hash_extension::CheckMetadataHash::new(false),
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
        None,
    );
    let payload = SignedPayload::from_raw(call.clone(), extensions.clone(), implicit);
    let signature = payload.using_encoded(|bytes| signer.sign(bytes));
    let address: Address = MultiAddress::Id(signer.to_account_id());
    UncheckedExtrinsic::new_signed(call, address, Signature::Sr25519(signature), extensions)
        .encode()
}

/// Prints one line: microseconds measured, microseconds charged, and their ratio.
fn print(name: &str, measured: Duration, charged: Duration) {
    println!(
        "{name:32} {:12.1} {:12.1} {:8.2}",
        measured.as_secs_f64() * 1e6,
        charged.as_secs_f64() * 1e6,
        charged.as_secs_f64() / measured.as_secs_f64()
    );
}

fn main() {
    // `cargo test --benches` asks every benchmark to list itself.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let wasm = Wasm {
        executor: WasmExecutor::builder().build(),
        code: WASM_BINARY.expect("the runtime was built with its Wasm"),
    };
    let charged = |weight: frame_support::weights::Weight| {
        // Picoseconds of reference time.
        Duration::from_nanos(weight.ref_time() / 1_000)
    };
    begin_block(&wasm, &mut chain(1, 0, 10), 11); // compiles the Wasm
    println!(
        "{:32} {:>12} {:>12} {:>8}",
        "", "measured us", "charged us", "ratio"
    );
    for (neurons, row) in [
        (1, 0),
        (64, 1),
        (256, 1),
        (1024, 1),
        (256, 64),
        (256, 255),
        (1024, 255),
    ] {
        let edges = neurons * row;
        print(
            &format!("epoch, {neurons} neurons, {edges} edges"),
            epoch(&wasm, neurons, row),
            charged(Market::epoch_weight(Size { neurons, edges })),
        );
    }
    let hotkey = || Alice.to_account_id();
    let row = |edges: Uid| (1..=edges).map(|uid| (uid, uid)).collect::<Vec<_>>();
    let calls: [(&str, _, Call<Runtime>); 6] = [
        (
            "register",
            Bob,
            Call::register {
                market: MARKET,
                hotkey: [9; 32].into(),
                max_cost: u128::MAX,
            },
        ),
        (
            "serve",
            Alice,
            Call::serve {
                market: MARKET,
                endpoint: [b"a".repeat(122), b":65535".to_vec()].concat(),
                certificate: Some([1; 32]),
            },
        ),
        (
            "set_weights, 1 edge",
            Alice,
            Call::set_weights {
                market: MARKET,
                weights: row(1),
            },
        ),
        (
            "set_weights, 1023 edges",
            Alice,
            Call::set_weights {
                market: MARKET,
                weights: row(1023),
            },
        ),
        (
            "add_stake",
            Bob,
            Call::add_stake {
                market: MARKET,
                hotkey: hotkey(),
                amount: 1,
            },
        ),
        (
            "remove_stake",
            Bob,
            Call::remove_stake {
                market: MARKET,
                hotkey: hotkey(),
                amount: 1,
            },
        ),
    ];
    let nothing = call(
        &wasm,
        Bob,
        frame_system::Call::<Runtime>::remark { remark: vec![] },
    );
    for (name, signer, market_call) in calls {
        let call_: RuntimeCall = market_call.into();
        let weight = call_.get_dispatch_info().call_weight;
        let own = call(&wasm, signer, call_).saturating_sub(nothing);
        print(name, own, charged(weight));
    }
}
