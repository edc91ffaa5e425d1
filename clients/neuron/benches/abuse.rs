//! How much longer a caller with stake waits while others abuse the neuron.
//!
//! `cargo bench -p noesis-neuron --bench abuse` measures calls of a caller with stake in calm and, in turn, while
//! callers without stake open connections, send bytes slowly, call without a signature, with one and with another's, and
//! send compression bombs (`tests/common/abuse.rs`), all of that within the bounds of the neuron; and while they
//! open more streams, calls and connections than these let in beside it. Of several rounds the calmest of each counts. The
//! abusers have a core of their own, as they would have machines of their own; neuron and caller share another, in calm, too.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{
    abuse::{abuse, abuse_above, Abuse},
    limits, start, tokens, validator, Mood, Running, Toy, DIM, SOON,
};
use noesis_neuron::{Client, Limits, Modality, Tensor};
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};
use tokio::{runtime::Runtime, time::sleep};

const ROUNDS: usize = 6;
const CALLS: usize = 5000;
/// Until all that begins, or ends, has done so.
const SETTLED: Duration = Duration::from_millis(300);

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

/// Calm and abuse, within the bounds and above them, in turn, the abusers in a runtime of `theirs`.
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
    let neuron = start(toy, limits.clone()).await;
    let client = validator();
    calls(&neuron, &client).await;
    let mut best = [[f64::MAX; 2]; 3];
    let [calm, within, above] = &mut best;
    for _ in 0..ROUNDS {
        keep(calm, calls(&neuron, &client).await);
        let begin = || abuse(neuron.address);
        keep(within, abused(&neuron, &client, theirs, begin).await);
        let begin = || abuse_above(neuron.address, &limits);
        keep(above, abused(&neuron, &client, theirs, begin).await);
    }
    println!(
        "{:>17} {:>10} {:>6} {:>19} {:>6}",
        "", "median, ms", "ratio", "99th percentile, ms", "ratio"
    );
    let names = ["calm", "within the bounds", "above the bounds"];
    for (name, [median, late]) in names.iter().zip(best) {
        println!(
            "{name:>17} {median:>10.3} {:>6.2} {late:>19.3} {:>6.2}",
            median / best[0][0],
            late / best[0][1]
        );
    }
}

/// What [`calls`] finds while the abusers that `begin` gives are at it.
async fn abused(
    neuron: &Running,
    client: &Client,
    theirs: &Runtime,
    begin: impl FnOnce() -> Abuse,
) -> [f64; 2] {
    let mut abusers = {
        let _entered = theirs.enter();
        begin()
    };
    abusers.goes_on().await;
    sleep(SETTLED).await;
    let found = calls(neuron, client).await;
    abusers.goes_on().await;
    drop(abusers);
    sleep(SETTLED).await;
    found
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
