//! The largest market, every edge set, through the real Wasm: no step of its epoch takes more of a block
//! than it may, or more memory than the smallest heap has.

#[path = "../benches/support/mod.rs"]
mod support;

use frame_support::dispatch::DispatchClass;
use noesis_runtime::Runtime;
use std::time::Duration;
use support::{epoch, Wasm};

/// What a block of six seconds has for computing.
const BLOCK: Duration = Duration::from_secs(2);

#[test]
fn no_step_of_the_largest_epoch_takes_more_than_a_quarter_of_a_block() {
    let limits = <Runtime as frame_system::Config>::BlockWeights::get();
    let block = support::duration(limits.max_block);
    assert!(limits.get(DispatchClass::Mandatory).max_total.is_none());
    let steps = epoch(&Wasm::new(), 4096, 4096);
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
