//! The largest market, every edge set and every neuron delegated to, through the real Wasm: no step of its epoch is charged more of
//! a block than it may (what it took is printed, and depends on the machine) or takes more memory than a heap of 32 MiB, and its
//! edges take no more room than they may.

#[path = "../benches/support/mod.rs"]
mod support;

use frame_support::dispatch::DispatchClass;
use noesis_runtime::Runtime;
use std::time::Duration;
use support::{chain, delegate_to_all, epoch_on, Wasm, TEMPO};

/// What a block of six seconds has for computing.
const BLOCK: Duration = Duration::from_secs(2);

#[test]
fn no_step_of_the_largest_epoch_is_charged_more_than_a_quarter_of_a_block() {
    let limits = <Runtime as frame_system::Config>::BlockWeights::get();
    let block = support::duration(limits.max_block);
    assert!(limits.get(DispatchClass::Mandatory).max_total.is_none());
    let mut market = chain(4096, 4096, TEMPO - 2, true);
    delegate_to_all(&mut market, 4096, &[7; 32].into());
    let steps = epoch_on(&Wasm::runtime(), market);
    println!("step   took ms   charged ms   of this chain's block   of a block of two seconds");
    for (number, step) in (1..).zip(&steps) {
        println!(
            "{number:4} {:9.1} {:12.1} {:22.1} % {:26.1} %",
            step.time.as_secs_f64() * 1e3,
            step.charged.as_secs_f64() * 1e3,
            step.charged.as_secs_f64() / block.as_secs_f64() * 100.0,
            step.charged.as_secs_f64() / BLOCK.as_secs_f64() * 100.0,
        );
    }
    assert!(steps.len() > 1, "it would have been done in one");
    for step in &steps {
        assert!(step.charged * 4 <= block);
    }
}

/// Bytes of the database: the nodes and values of the state's trie, with their keys of 32 bytes.
fn database(neurons: u32, edges: u32) -> usize {
    let (entries, _) = chain(neurons, edges, 1, false).into_raw_snapshot();
    entries.iter().map(|(_, (value, _))| value.len() + 32).sum()
}

#[test]
fn an_edge_takes_at_most_eight_bytes_of_the_database() {
    for (neurons, edges) in [(4096, 4096), (4096, 64), (256, 256)] {
        let all = neurons * edges;
        let bytes = database(neurons, edges) - database(neurons, 0);
        let each = bytes as f64 / f64::from(all);
        println!("{neurons} neurons, {edges} edges each: {each:.2} bytes an edge, weight and bond");
        // Of short rows the keys and nodes of the trie are a good part: some 130 bytes a row.
        let most = if edges == 64 { 9.5 } else { 8.0 };
        assert!(each <= most, "{each}");
    }
}
