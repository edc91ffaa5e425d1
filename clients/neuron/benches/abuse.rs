//! How much longer a caller with stake waits while others abuse the neuron.
//!
//! `cargo bench -p noesis-neuron --bench abuse` measures calls of a caller with stake in calm and, in turn, while
//! callers without stake open connections, send bytes slowly, call without a signature, call with one and
//! send compression bombs (`tests/common/abuse.rs`). Of several rounds the calmest of each counts. The
//! abusers have a core of their own, as they would have machines of their own; neuron and caller share another, in calm, too.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{abuse::abuse, limits, start, tokens, validator, Mood, Running, Toy, DIM, SOON};
use noesis_neuron::{Client, Limits, Modality, Tensor};
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};
use tokio::runtime::Runtime;

const ROUNDS: usize = 6;
const CALLS: usize = 5000;

fn main() {
    // `cargo test --benches` asks every benchmark to list itself.
    if std::env::args().any(|one| one == "--test" || one == "--list") {
        return;
    }
    let allowed = sched_getaffinity(None).expect("a process may ask");
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|&core| allowed.is_set(core))
        .collect();
    let [ours, theirs, ..] = cores[..] else {
        println!(
            "there is one core alone, and the abusers need one of their own: nothing measured"
        );
        return;
    };
    let theirs = on(theirs);
    on(ours).block_on(compare(&theirs));
}

/// A runtime on this core; and so is this thread until the next is made.
fn on(core: usize) -> Runtime {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).expect("the core was allowed");
    // Its threads are bound as the one that starts them is.
    Runtime::new().expect("a runtime")
}

/// Calm and abuse in turn, the abusers in a runtime of `theirs`.
async fn compare(theirs: &Runtime) {
    let values = vec![0.5; 64 * DIM as usize];
    let answer = Tensor::f32([1, 64, DIM as usize], values).expect("fits");
    let toy = Toy {
        mood: Mood::Says(answer),
        ..Toy::default()
    };
    let limits = Limits {
        replay_capacity: 1 << 20,
        replay_capacity_per_caller: 1 << 18,
        ..limits()
    };
    let neuron = start(toy, limits).await;
    let client = validator();
    calls(&neuron, &client).await;
    let mut best = [[f64::MAX; 2]; 2];
    for _ in 0..ROUNDS {
        keep(&mut best[0], calls(&neuron, &client).await);
        let mut abusers = {
            let _entered = theirs.enter();
            abuse(neuron.address)
        };
        abusers.goes_on().await;
        // Until it has settled: all begin at once.
        tokio::time::sleep(Duration::from_millis(300)).await;
        keep(&mut best[1], calls(&neuron, &client).await);
        abusers.goes_on().await;
        drop(abusers);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    for (name, [median, late]) in ["calm", "abused"].iter().zip(best) {
        println!("{name:>8}: median {median:.3} ms, 99th percentile {late:.3} ms");
    }
    println!(
        "   ratio: median {:.2}, 99th percentile {:.2}",
        best[1][0] / best[0][0],
        best[1][1] / best[0][1]
    );
}

fn keep(best: &mut [f64; 2], found: [f64; 2]) {
    for (best, found) in best.iter_mut().zip(found) {
        *best = best.min(found);
    }
}

/// Median and 99th percentile of as many calls, one after the other, in milliseconds.
async fn calls(neuron: &Running, client: &Client) -> [f64; 2] {
    let (peer, inputs) = (neuron.peer(), tokens([1, 64]));
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let start = Instant::now();
        let answer = client.forward(&peer, Modality::Text, &inputs, SOON).await;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        answer.expect("answered");
    }
    times.sort_unstable_by(f64::total_cmp);
    [times[CALLS / 2], times[CALLS * 99 / 100]]
}
