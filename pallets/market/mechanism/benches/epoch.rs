//! What an epoch costs, against a plain read of the same rows from memory beside it.
//!
//! `cargo bench -p market-mechanism` prints, for markets of several sizes, the time of the read, of the
//! whole epoch and of its two passes, and the ratio of the epoch to the read. Of each the fastest of
//! several runs counts, taken in turn, so that what else the machine does disturbs all alike.

#![allow(clippy::unwrap_used)] // a benchmark may

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use market_mechanism::{
    epoch, Clock, Graph, Market, Parameters, Renewal, Slot, Uid, Votes, Weight,
};

/// Runs of each; the fastest counts.
const RUNS: u64 = 9;

fn main() {
    // `cargo test --benches` asks every benchmark to list itself.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    println!(
        "{:>7} {:>6} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "neurons",
        "edges",
        "all edges",
        "read ms",
        "votes ms",
        "bonds ms",
        "epoch ms",
        "ns/edge",
        "ratio"
    );
    for neurons in [256, 1024, 4096] {
        for edges in [64, neurons] {
            measure(neurons, edges);
        }
    }
}

/// A market in which everybody holds stake and sets `edges` edges, spread evenly.
fn market(neurons: usize, edges: usize) -> (Vec<Option<Slot>>, Graph) {
    let slots = (0..neurons).map(|uid| {
        Some(Slot {
            stake: 1_000_000 + uid as u64 * 7_919,
            registered_at: 0,
        })
    });
    let mut graph = Graph::new(neurons);
    for uid in 0..neurons {
        let mut row: Vec<Weight> = (0..edges)
            .map(|edge| (uid * 97 + edge * (neurons / edges) + edge % 3) % neurons)
            .map(|to| (to as Uid, (1 + (uid * 31 + to * 17) % 60_000) as u16))
            .collect();
        row.sort_unstable();
        row.dedup_by_key(|edge| edge.0);
        graph.set_weights(uid as Uid, 90, &row);
    }
    (slots.collect(), graph)
}

fn measure(neurons: usize, edges: usize) {
    let (slots, mut graph) = market(neurons, edges);
    // Every edge counts, the diagonal too: what is computed is what is read.
    let parameters = Parameters {
        self_weight: true,
        ..Parameters::DEFAULT
    };
    let mut best = [Duration::MAX; 4];
    let mut note = |index: usize, start: Instant| best[index] = best[index].min(start.elapsed());
    for run in 0..RUNS {
        let clock = Clock {
            epoch: run + 1,
            now: 100,
        };
        let market = Market::new(parameters, &slots, clock);

        let start = Instant::now();
        black_box(read(&graph));
        note(0, start);

        let mut pass = graph.clone();
        let start = Instant::now();
        let mut votes = Votes::new(&market);
        for (uid, row) in (0..).zip(&pass.rows) {
            votes.add_row(&market, uid, row);
        }
        note(1, start);
        let incentive = votes.verdict(&market).incentive;
        let start = Instant::now();
        let mut renewal = Renewal::new(&market, &votes, &incentive, &pass.columns);
        for (uid, row) in (0..).zip(&mut pass.rows) {
            renewal.renew_row(&market, &votes, uid, row);
        }
        black_box(renewal.dividends());
        note(2, start);
        drop(pass);

        let start = Instant::now();
        black_box(epoch(&market, &mut graph, 1_000_000_000));
        note(3, start);
    }
    let all: usize = graph.rows.iter().map(|row| row.edges.len()).sum();
    let [read, votes, bonds, whole] = best.map(|time| time.as_secs_f64() * 1e3);
    println!(
        "{neurons:7} {edges:6} {all:10} {read:9.3} {votes:9.3} {bonds:9.3} {whole:9.3} {:9.2} {:7.2}",
        whole * 1e6 / all as f64,
        whole / read
    );
}

/// Reads every byte of the rows once.
fn read(graph: &Graph) -> u64 {
    let mut sum = 0_u64;
    for row in &graph.rows {
        for &gap in row.edges.gaps() {
            sum = sum.wrapping_add(gap.into());
        }
        for weight in row.edges.weights() {
            sum = sum.wrapping_add(weight.into());
        }
        for bond in row.edges.bonds() {
            sum = sum.wrapping_add(bond.into());
        }
    }
    sum
}
