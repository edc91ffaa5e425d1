//! The market's JSON-RPC methods on a running node, and what a snapshot of 1024 neurons costs there.

use anyhow::{ensure, Context, Result};
use frame_support::{sp_runtime::traits::Zero, BoundedVec};
use market_mechanism::{Edges, WHOLE_BOND};
use noesis_chain::{keypair, NOE};
use noesis_runtime::Runtime;
use noesis_tests::{ask, chain_spec, free_port, Node};
use pallet_market::types::{Endpoint, Moment, Neuron, Outcome, Row, Slot};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

const TEXT: u16 = 0;

/// The error of an answer in words.
fn refusal(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_answers_or_says_what_there_is_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let mut node = Node::start(folder.path(), port)?;
    let chain = node.chain().await?;
    let coldkey = keypair("//Alice")?;
    let hotkeys = [keypair("//Alice//one")?, keypair("//Alice//two")?];
    for hotkey in &hotkeys {
        let id = hotkey.public_key().0;
        chain.register(&coldkey, TEXT, id, 10 * NOE).await?;
        chain.add_stake(&coldkey, TEXT, id, 5 * NOE).await?;
    }
    chain.set_weights(&hotkeys[0], TEXT, &[(1, 7)]).await?;
    // What is answered is of finalized blocks.
    let start = Instant::now();
    let weights = loop {
        let weights = ask(port, "market_weights", json!([TEXT, 0]))?["result"].clone();
        if weights == json!([[1, 7]]) || start.elapsed() > Duration::from_secs(30) {
            break weights;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    ensure!(weights == json!([[1, 7]]), "{weights}");

    let metagraph = ask(port, "market_metagraph", json!([TEXT]))?["result"].clone();
    let neuron = ask(port, "market_neuron", json!([TEXT, 1]))?["result"].clone();
    ensure!(
        neuron["hotkey"] == metagraph["neurons"][1]["hotkey"],
        "{neuron}"
    );
    ensure!(neuron["stake"] == json!(5 * NOE), "{neuron}");
    let bonds = ask(port, "market_bonds", json!([TEXT, 1]))?["result"].clone();
    ensure!(bonds == json!([]), "{bonds}");
    let parameters = ask(port, "market_parameters", json!([TEXT]))?["result"].clone();
    ensure!(
        parameters["tempo"] == metagraph["rules"]["tempo"],
        "{parameters}"
    );
    ensure!(parameters["kappa"].is_u64(), "{parameters}");
    let half = json!(500_000_000_000_000_000_u64);
    ensure!(parameters["emission_share"] == half, "{parameters}");
    ensure!(parameters["pending"].is_null(), "{parameters}");
    let cost = ask(port, "market_registrationCost", json!([TEXT]))?["result"].clone();
    ensure!(
        cost.as_u64().is_some_and(|cost| cost >= NOE / 100),
        "{cost}"
    );

    for (method, params, words) in [
        ("market_neuron", json!([TEXT, 2]), "no neuron in slot 2"),
        (
            "market_weights",
            json!([TEXT, 9999]),
            "no neuron in slot 9999",
        ),
        ("market_bonds", json!([TEXT, 2]), "no neuron in slot 2"),
        ("market_neuron", json!([77, 0]), "no market 77"),
        ("market_parameters", json!([77]), "no market 77"),
        ("market_registrationCost", json!([77]), "no market 77"),
        (
            "market_neuron",
            json!([TEXT, 0, format!("0x{}", "ab".repeat(32))]),
            "cannot be read",
        ),
        ("market_weights", json!([TEXT]), "Invalid params"),
        ("market_weights", json!([TEXT, 70_000]), "Invalid params"),
    ] {
        let answer = ask(port, method, params.clone())?;
        let said = refusal(&answer);
        ensure!(said.contains(words), "{method} {params}: {answer}");
    }
    ensure!(ask(port, "market_metagraph", json!([77]))?["result"].is_null());
    Ok(())
}

/// Neurons of the large market, and edges of each.
const NEURONS: u16 = 1024;
const EDGES: u16 = 64;

/// The raw specification of the development chain with a market of [`NEURONS`] neurons, and the keys of all
/// that a snapshot of it reads.
fn large_market() -> Result<(Value, Vec<String>)> {
    let mut spec = chain_spec(&["--raw"])?;
    let top = spec
        .pointer_mut("/genesis/raw/top")
        .and_then(Value::as_object_mut)
        .context("the specification is not raw")?;
    let mut state = sp_io::TestExternalities::new_empty();
    let mut read = Vec::new();
    state.execute_with(|| {
        use pallet_market::*;
        for uid in 0..NEURONS {
            let mut hotkey = [1; 32];
            hotkey[..2].copy_from_slice(&uid.to_le_bytes());
            let hotkey = noesis_runtime::AccountId::new(hotkey);
            Uids::<Runtime>::insert(TEXT, &hotkey, uid);
            let coldkey = hotkey.clone();
            Neurons::<Runtime>::insert(TEXT, uid, Neuron { hotkey, coldkey });
            let address = BoundedVec::truncate_from(format!("192.0.2.1:{uid}").into_bytes());
            let endpoint = Endpoint {
                address,
                certificate: Some([7; 32]),
                published_at: 0,
            };
            Endpoints::<Runtime>::insert(TEXT, uid, endpoint);
            LastUpdates::<Runtime>::insert(TEXT, uid, 0);
            let mut weights: Vec<_> = (1..=EDGES)
                .map(|step| ((uid + step) % NEURONS, 1))
                .collect();
            weights.sort_unstable();
            let (gaps, weights, _) = Edges::default().with_weights(&weights).into_parts();
            let bonds = vec![WHOLE_BOND / u32::from(EDGES); weights.len()];
            let edges = Edges::from_parts(gaps, weights, bonds).expect("they fit");
            Rows::<Runtime>::insert(TEXT, uid, Row::new(Moment::default(), edges));
            read.extend([
                Neurons::<Runtime>::hashed_key_for(TEXT, uid),
                Endpoints::<Runtime>::hashed_key_for(TEXT, uid),
                LastUpdates::<Runtime>::hashed_key_for(TEXT, uid),
            ]);
        }
        let slot = Some(Slot {
            stake: NOE,
            registered_at: Moment::default(),
        });
        let slots = BoundedVec::truncate_from(vec![slot; NEURONS.into()]);
        Slots::<Runtime>::insert(TEXT, slots);
        let outcomes = BoundedVec::truncate_from(vec![Outcome::default(); NEURONS.into()]);
        Outcomes::<Runtime>::insert(TEXT, outcomes);
        read.extend([
            Markets::<Runtime>::hashed_key_for(TEXT),
            Epochs::<Runtime>::hashed_key_for(TEXT),
            RegistrationPrices::<Runtime>::hashed_key_for(TEXT),
            Slots::<Runtime>::hashed_key_for(TEXT),
            Outcomes::<Runtime>::hashed_key_for(TEXT),
        ]);
        let mut key = Vec::new();
        while let Some(next) = sp_io::storage::next_key(&key) {
            let value = sp_io::storage::get(&next).unwrap_or_default();
            // The code is the chain's own.
            if !next.starts_with(b":") {
                top.insert(prefixed(&next), prefixed(&value).into());
            }
            key = next;
        }
    });
    Ok((spec, read.iter().map(|key| prefixed(key)).collect()))
}

/// Bytes as JSON-RPC writes them.
fn prefixed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// The median time of some questions to a node.
fn median(mut question: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..31 {
        let start = Instant::now();
        question()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_market_is_answered_whole_and_how_fast_is_printed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let (spec, read) = large_market()?;
    let mut node = Node::start_from(&spec, folder.path(), port)?;
    node.chain().await?;
    let metagraph = ask(port, "market_metagraph", json!([TEXT]))?;
    let neurons = metagraph["result"]["neurons"]
        .as_array()
        .map_or(0, Vec::len);
    ensure!(neurons == usize::from(NEURONS), "{neurons} neurons");

    let head = ask(port, "chain_getFinalizedHead", json!([]))?["result"].clone();
    let raw = ask(port, "state_queryStorageAt", json!([read, head]))?;
    let values = raw["result"][0]["changes"]
        .as_array()
        .context("no values")?;
    let present = values.iter().filter(|pair| !pair[1].is_null());
    let bytes: usize = present
        .map(|pair| pair[1].as_str().map_or(0, |value| value.len() / 2 - 1))
        .sum();
    ensure!(!bytes.is_zero());

    let snapshot = median(|| {
        let metagraph = ask(port, "market_metagraph", json!([TEXT, head]))?;
        ensure!(metagraph["result"]["neurons"].is_array());
        Ok(())
    })?;
    let typed = median(|| {
        // The runtime's own answer, without the words that JSON makes of it.
        let answer = ask(
            port,
            "state_call",
            json!(["MarketApi_metagraph", "0x0000", head]),
        )?;
        ensure!(answer["result"].is_string(), "{answer}");
        Ok(())
    })?;
    let plain = median(|| {
        let raw = ask(port, "state_queryStorageAt", json!([read, head]))?;
        ensure!(raw["result"].is_array());
        Ok(())
    })?;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{NEURONS} neurons, {} values of {bytes} bytes in all: market_metagraph {:.1} ms, state_call {:.1} ms, \
         the values raw by state_queryStorageAt {:.1} ms; {:.2} and {:.2} times",
        read.len(),
        milliseconds(snapshot),
        milliseconds(typed),
        milliseconds(plain),
        snapshot.as_secs_f64() / plain.as_secs_f64(),
        typed.as_secs_f64() / plain.as_secs_f64(),
    );
    Ok(())
}
