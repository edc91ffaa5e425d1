//! What the market's calls and its epochs cost, measured through the real Wasm runtime.
//!
//! `cargo bench --workspace --bench weights` prints the ratio of what `pallets/market/src/weights.rs` charges to
//! what was measured, and fails where one is below 1. State lies in memory here, and what is charged for the database
//! counts as charged. Of a call, the cost of a transaction that does nothing is taken off.

#[path = "support/bare.rs"]
mod bare;
#[path = "support/sign.rs"]
mod sign;
mod support;

use frame_support::{dispatch::GetDispatchInfo, traits::Get, BoundedVec};
use market_primitives::{Modality, Share, Uid, NOE};
use noesis_runtime::{Runtime, RuntimeCall};
use pallet_market::{
    types::{Arrival, Commitment, Market, Moment, Rules, MAX_REVEAL_PERIOD},
    weight_setting::commitment,
    Call, Parameters, MAX_TAKE,
};
use sign::sign;
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob};
use std::{process::ExitCode, time::Duration};
use support::{
    begin_block, chain, delegate_to_all, duration, edges, epoch_on, Step, Wasm, MARKET, TEMPO,
};

/// Repetitions; the median counts.
const REPEAT: usize = 5;

fn median(mut measure: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..REPEAT).map(|_| measure()).collect();
    times.sort();
    times[REPEAT / 2]
}

/// Neurons of the market in which calls are measured: as many as there can be, since for so many they are charged.
const NEURONS: u32 = market_primitives::MAX_CAPACITY as u32;

/// Edges of the longest row, to everybody else.
const LONGEST: Uid = market_primitives::MAX_CAPACITY - 1;

/// A full market to all of whose neurons Bob delegated. The first neuron, Alice's, which is the first to give way, has the
/// longest row; no call looks at more than one.
fn full_market() -> TestExternalities {
    let mut chain = chain(NEURONS, 0, 60, true);
    delegate_to_all(&mut chain, NEURONS, &Bob.to_account_id());
    chain.execute_with(|| {
        pallet_market::Rows::<Runtime>::insert(MARKET, 0, edges(NEURONS, LONGEST.into(), 0));
        pallet_market::Markets::<Runtime>::mutate(MARKET, |market| {
            if let Some(market) = market {
                market.parameters.immunity = 0;
            }
        });
    });
    chain
}

/// A signed transaction, applied in such a market that is in the state that `prepare` leaves.
fn call(
    wasm: &Wasm,
    signer: Sr25519Keyring,
    call: impl Into<RuntimeCall>,
    prepare: impl Fn(),
) -> Duration {
    let call: RuntimeCall = call.into();
    median(|| {
        let mut chain = full_market();
        chain.execute_with(&prepare);
        chain.commit_all().expect("nothing is open");
        begin_block(wasm, &mut chain, 61);
        let transaction = chain.execute_with(|| sign(signer, call.clone(), 0, None));
        let (answer, time) = wasm.call(&mut chain, "BlockBuilder_apply_extrinsic", &transaction);
        assert_eq!(answer, [0, 0], "the call was refused: {call:?}");
        time
    })
}

/// A hotkey that is not in the market: none there has a byte as high.
const NEWCOMER: [u8; 32] = [255; 32];

/// What commitments are made with.
const SALT: [u8; 32] = [7; 32];

/// Weights to so many neurons.
fn row(edges: Uid) -> Vec<(Uid, u16)> {
    (1..=edges).map(|uid| (uid, uid)).collect()
}

/// Makes the market one that hides weights for as long as any can, in its eleventh epoch; Alice has
/// committed to that row in each of them, and the first is to be shown.
fn hide_weights(row: &[(Uid, u16)]) {
    pallet_market::Markets::<Runtime>::mutate(MARKET, |market| {
        if let Some(market) = market {
            market.parameters.reveal_period = MAX_REVEAL_PERIOD;
        }
    });
    pallet_market::Epochs::<Runtime>::mutate(MARKET, |last| last.epoch = MAX_REVEAL_PERIOD.into());
    let made = (0..=MAX_REVEAL_PERIOD).map(|epoch| Commitment {
        epoch: epoch.into(),
        made_at: Moment::start_of(1),
        hash: commitment(MARKET, 0, row, &SALT),
    });
    let made = BoundedVec::truncate_from(made.collect());
    pallet_market::Commitments::<Runtime>::insert(MARKET, 0, made);
}

/// What governance calls where there are as many markets as there can be but one.
fn governance() -> [(&'static str, Call<Runtime>); 2] {
    let (emission_share, parameters) = (Share(0), Parameters::default());
    let market = Market {
        modality: Modality::Text,
        emission_share,
        parameters: parameters.clone(),
    };
    let rules = Call::set_parameters {
        market: MARKET,
        emission_share,
        parameters,
    };
    [
        ("create_market, by sudo", Call::create_market { market }),
        ("set_parameters, by sudo", rules),
    ]
}

/// Makes that many markets, each with new rules to come, and Bob root, who can pay the fee.
fn many_markets() {
    let market = pallet_market::Markets::<Runtime>::get(MARKET).expect("it exists");
    let most: u16 = <Runtime as pallet_market::Config>::MaxMarkets::get();
    for id in 1..most - 1 {
        let market = Market {
            emission_share: Share(0),
            ..market.clone()
        };
        let rules = Rules {
            emission_share: Share(0),
            parameters: market.parameters.clone(),
        };
        pallet_market::Markets::<Runtime>::insert(id, market);
        pallet_market::PendingRules::<Runtime>::insert(id, rules);
    }
    pallet_sudo::Key::<Runtime>::put(Bob.to_account_id());
}

/// An epoch of such a market.
fn epoch(wasm: &Wasm, neurons: u32, row: u32, came_late: bool) -> Vec<Step> {
    epoch_on(wasm, chain(neurons, row, TEMPO - 2, came_late))
}

/// The epoch of the largest market in which everybody sets as long a row as there is while it is running.
fn epoch_with_arrivals(wasm: &Wasm, neurons: u32) -> Vec<Step> {
    let mut chain = chain(neurons, neurons, TEMPO - 2, false);
    chain.execute_with(|| {
        let weights: Vec<_> = (0..neurons as Uid).map(|uid| (uid, uid + 1)).collect();
        let arrival = Arrival {
            set_at: Moment::start_of(TEMPO),
            weights: BoundedVec::truncate_from(weights),
        };
        for uid in 0..neurons as Uid {
            pallet_market::Arrivals::<Runtime>::insert(MARKET, uid, &arrival);
        }
    });
    chain.commit_all().expect("nothing is open");
    epoch_on(wasm, chain)
}

/// Prints one line: microseconds measured, microseconds charged, and their ratio. Whether enough is charged.
fn print(name: &str, measured: Duration, charged: Duration) -> bool {
    println!(
        "{name:32} {:12.1} {:12.1} {:8.2}",
        measured.as_secs_f64() * 1e6,
        charged.as_secs_f64() * 1e6,
        charged.as_secs_f64() / measured.as_secs_f64()
    );
    charged >= measured
}

/// Prints what of an epoch is the host's, who hands rows out and takes them back, and what the runtime's
/// own, beside what the mechanism takes native.
fn print_parts(wasm: &Wasm) {
    println!(
        "\n{:26} {:>8} {:>8} {:>8} {:>8} {:>12} {:>12} {:>10}",
        "milliseconds",
        "epoch",
        "host",
        "own",
        "native",
        "epoch/native",
        "own/native",
        "epoch/host"
    );
    let probe = Wasm::of(bare::probe().into());
    bare::host(&probe, 1, 1); // compiles it
    for (neurons, row) in [
        (256, 64),
        (256, 256),
        (1024, 64),
        (1024, 1024),
        (4096, 64),
        (4096, 4096),
    ] {
        let steps = || epoch(wasm, neurons, row, false).into_iter();
        let epoch = fastest(|| steps().map(|step| step.time).collect());
        let host = fastest(|| bare::host(&probe, neurons, row));
        let native = fastest(|| bare::native(neurons, row));
        let own = epoch - host;
        println!(
            "{:26} {epoch:8.2} {host:8.2} {own:8.2} {native:8.2} {:12.2} {:12.2} {:10.2}",
            format!("{neurons} x {row} edges"),
            epoch / native,
            own / native,
            epoch / host,
        );
    }
    println!();
}

/// Milliseconds of all blocks together, each the fastest of several runs.
fn fastest(mut measure: impl FnMut() -> Vec<Duration>) -> f64 {
    let mut best = measure();
    for _ in 1..REPEAT {
        for (best, time) in best.iter_mut().zip(measure()) {
            *best = time.min(*best);
        }
    }
    best.iter().sum::<Duration>().as_secs_f64() * 1e3
}

/// Prints one line for an epoch. Whether enough is charged for each of its steps.
fn print_epoch(name: &str, steps: &[Step]) -> bool {
    let (time, charged) = steps
        .iter()
        .fold(Default::default(), |sum: (Duration, Duration), step| {
            (sum.0 + step.time, sum.1 + step.charged)
        });
    // The step for which least was charged, against what it took.
    let worst = steps
        .iter()
        .map(|step| step.charged.as_secs_f64() / step.time.as_secs_f64())
        .fold(f64::INFINITY, f64::min);
    println!(
        "{name:32} {:12.1} {:12.1} {:8.2}  {:6} {worst:9.2}",
        time.as_secs_f64() * 1e6,
        charged.as_secs_f64() * 1e6,
        charged.as_secs_f64() / time.as_secs_f64(),
        steps.len(),
    );
    steps.iter().all(|step| step.charged >= step.time)
}

fn main() -> ExitCode {
    // `cargo test --benches` asks every benchmark to list itself.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let wasm = Wasm::runtime();
    let mut enough = true;
    println!(
        "{:32} {:>12} {:>12} {:>8}  {:>6} {:>9}",
        "", "measured us", "charged us", "ratio", "blocks", "worst"
    );
    for (neurons, row, came_late) in [
        (1, 0, false),
        (256, 0, false),
        (256, 64, false),
        (256, 256, false),
        (1024, 64, false),
        (1024, 1024, false),
        (4096, 0, false),
        (4096, 64, false),
        (4096, 4096, false),
        (4096, 4096, true),
    ] {
        let steps = epoch(&wasm, neurons, row, came_late);
        let void = if came_late { ", some void" } else { "" };
        enough &= print_epoch(&format!("epoch, {neurons} x {row} edges{void}"), &steps);
    }
    let steps = epoch_with_arrivals(&wasm, 4096);
    enough &= print_epoch("the same, every row set anew", &steps);
    let mut delegated = chain(4096, 4096, TEMPO - 2, true);
    delegate_to_all(&mut delegated, 4096, &Bob.to_account_id());
    enough &= print_epoch("and every neuron delegated to", &epoch_on(&wasm, delegated));
    print_parts(&wasm);
    let hotkey = || Alice.to_account_id();
    let calls: [(&str, _, Call<Runtime>); 14] = [
        (
            "register, in another's place",
            Bob,
            Call::register {
                market: MARKET,
                hotkey: NEWCOMER.into(),
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
            "set_weights, 4095 edges",
            Alice,
            Call::set_weights {
                market: MARKET,
                weights: row(LONGEST),
            },
        ),
        (
            "commit_weights",
            Alice,
            Call::commit_weights {
                market: MARKET,
                hash: [1; 32],
            },
        ),
        (
            "reveal_weights, 1 edge",
            Alice,
            Call::reveal_weights {
                market: MARKET,
                weights: row(1),
                salt: SALT,
            },
        ),
        (
            "reveal_weights, 4095 edges",
            Alice,
            Call::reveal_weights {
                market: MARKET,
                weights: row(LONGEST),
                salt: SALT,
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
            "deregister",
            Bob,
            Call::deregister {
                market: MARKET,
                hotkey: hotkey(),
            },
        ),
        (
            "swap_hotkey",
            Bob,
            Call::swap_hotkey {
                market: MARKET,
                hotkey: hotkey(),
                new_hotkey: NEWCOMER.into(),
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
        (
            "delegate",
            Bob,
            Call::delegate {
                market: MARKET,
                hotkey: hotkey(),
                amount: NOE.into(),
            },
        ),
        ("undelegate", Bob, Call::undelegate { pool: 1, shares: 1 }),
        (
            "set_take",
            Bob,
            Call::set_take {
                market: MARKET,
                hotkey: hotkey(),
                take: MAX_TAKE,
            },
        ),
    ];
    let nothing = call(
        &wasm,
        Bob,
        frame_system::Call::<Runtime>::remark { remark: vec![] },
        || {},
    );
    for (name, market_call) in governance() {
        let inner = Box::new(RuntimeCall::from(market_call));
        let call_: RuntimeCall = pallet_sudo::Call::<Runtime>::sudo { call: inner }.into();
        let weight = call_.get_dispatch_info().call_weight;
        let own = call(&wasm, Bob, call_, many_markets).saturating_sub(nothing);
        enough &= print(name, own, duration(weight));
    }
    for (name, signer, market_call) in calls {
        let hidden = match &market_call {
            Call::commit_weights { .. } => Some(row(1)),
            Call::reveal_weights { weights, .. } => Some(weights.clone()),
            _ => None,
        };
        let prepare = || hidden.iter().for_each(|row| hide_weights(row));
        let call_: RuntimeCall = market_call.into();
        let weight = call_.get_dispatch_info().call_weight;
        let own = call(&wasm, signer, call_, prepare).saturating_sub(nothing);
        enough &= print(name, own, duration(weight));
    }
    if !enough {
        eprintln!("a ratio is below 1: raise what pallets/market/src/weights.rs charges there");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
