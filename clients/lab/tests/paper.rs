//! `noesis-lab cabal` beside the paper's recurrence, written from its formulas alone: dense matrices of
//! 64-bit floating point, nothing of the mechanism crate.

#![allow(clippy::unwrap_used)] // a test may

use std::process::Command;

const HONEST: usize = 51;
const PEERS: usize = 100;
const RATE: f64 = 0.1;
const EPOCHS: usize = 100;

type Matrix = Vec<Vec<f64>>;

/// One epoch's figures: the cabal's share of the stake after it, the loss, what was minted.
struct Epoch {
    cabal_share: f64,
    loss: f64,
    minted: f64,
}

/// Rows of equal weights: each honest peer for the `edges` honest ones that follow it, each of the
/// cabal for all of the cabal.
fn weights(edges: usize) -> Matrix {
    let mut weights = vec![vec![0.0; PEERS]; PEERS];
    for (i, row) in weights.iter_mut().enumerate() {
        if i < HONEST {
            for step in 1..=edges {
                row[(i + step) % HONEST] = 1.0 / edges as f64;
            }
        } else {
            row[HONEST..].fill(1.0 / (PEERS - HONEST) as f64);
        }
    }
    weights
}

/// The recurrence, with all stake at the start being 1.
fn recurrence(cabal_stake: f64, edges: usize, gate: bool) -> Vec<Epoch> {
    let w = weights(edges);
    let mut stake: Vec<f64> = (0..PEERS)
        .map(|i| match i < HONEST {
            true => (1.0 - cabal_stake) / HONEST as f64,
            false => cabal_stake / (PEERS - HONEST) as f64,
        })
        .collect();
    let mut bonds: Matrix = vec![vec![0.0; PEERS]; PEERS];
    let all = 0..PEERS;
    let mut epochs = Vec::new();
    for _ in 0..EPOCHS {
        let total: f64 = stake.iter().sum();
        let s: Vec<f64> = stake.iter().map(|stake| stake / total).collect();
        let column = |f: &dyn Fn(usize) -> f64| all.clone().map(f).sum::<f64>();
        let rank: Vec<f64> = all.clone().map(|j| column(&|i| s[i] * w[i][j])).collect();
        let trust: Vec<f64> = all
            .clone()
            .map(|j| column(&|i| if w[i][j] > 0.0 { s[i] } else { 0.0 }))
            .collect();
        let consensus: Vec<f64> = trust
            .iter()
            .map(|t| 1.0 / (1.0 + (-10.0 * (t - 0.5)).exp()))
            .collect();
        let whole = column(&|j| rank[j] * consensus[j]);
        let incentive: Vec<f64> = all
            .clone()
            .map(|j| rank[j] * consensus[j] / whole)
            .collect();
        let loss = -column(&|j| rank[j] * (consensus[j] - 0.5));
        for i in all.clone() {
            for j in all.clone() {
                bonds[i][j] += w[i][j] * s[i];
            }
        }
        let held: Vec<f64> = all.clone().map(|j| column(&|i| bonds[i][j])).collect();
        let dividend: Vec<f64> = all
            .clone()
            .map(|i| column(&|j| bonds[i][j] / held[j] * incentive[j]))
            .collect();
        let minted = if gate && loss >= 0.0 {
            0.0
        } else {
            RATE * total
        };
        for i in all.clone() {
            stake[i] += minted * (0.5 * incentive[i] + 0.5 * dividend[i]);
        }
        let total: f64 = stake.iter().sum();
        epochs.push(Epoch {
            cabal_share: stake[HONEST..].iter().sum::<f64>() / total,
            loss,
            minted,
        });
    }
    epochs
}

/// What the program prints, line by line: epoch, share of the cabal, loss, units minted.
fn laboratory(flags: &str) -> Vec<(usize, f64, f64, f64)> {
    let given =
        "cabal --cabal-stake 0.49 --honest-peers 51 --cabal-peers 49 --rate 0.1 --epochs 100 \
                 --preset paper --format csv";
    let output = Command::new(env!("CARGO_BIN_EXE_noesis-lab"))
        .args(given.split_whitespace().chain(flags.split_whitespace()))
        .output()
        .unwrap();
    assert!(output.status.success());
    let csv = String::from_utf8(output.stdout).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("epoch,cabal_share,loss,minted"));
    lines
        .map(|line| {
            let values: Vec<&str> = line.split(',').collect();
            let number = |index: usize| values[index].parse().unwrap();
            (values[0].parse().unwrap(), number(1), number(2), number(3))
        })
        .collect()
}

fn compare(flags: &str, edges: usize, gate: bool) -> Vec<Epoch> {
    let expected = recurrence(0.49, edges, gate);
    let found = laboratory(flags);
    assert_eq!(found.len(), EPOCHS);
    let first = found[0].3;
    for (index, ((epoch, share, loss, minted), expected)) in
        found.into_iter().zip(&expected).enumerate()
    {
        assert_eq!(epoch, index);
        assert!(
            (share - expected.cabal_share).abs() < 1e-6,
            "epoch {epoch}: share {share}, recurrence {}",
            expected.cabal_share
        );
        assert!(
            (loss - expected.loss).abs() < 1e-6,
            "epoch {epoch}: loss {loss}"
        );
        // In units of what the first epoch minted, which is the rate of all stake.
        let minted = if gate && first == 0.0 {
            minted
        } else {
            minted / first * RATE
        };
        assert!(
            (minted / expected.minted.max(1e-9) - 1.0).abs() < 1e-6 || minted == expected.minted
        );
    }
    expected
}

#[test]
fn the_experiment_of_the_paper_is_its_recurrence_to_a_millionth() {
    let expected = compare("", HONEST, true);
    assert!(expected.last().unwrap().cabal_share < 0.1);
    assert!(expected
        .windows(2)
        .all(|two| two[1].cabal_share < two[0].cabal_share));
}

#[test]
fn without_the_gate_a_sparse_majority_loses_as_the_recurrence_says() {
    let expected = compare("--honest-edges 20 --gate off", 20, false);
    assert!(expected.last().unwrap().cabal_share > 0.9);
}

#[test]
fn with_the_gate_a_sparse_majority_mints_nothing() {
    let expected = compare("--honest-edges 20 --gate on", 20, true);
    assert!(expected
        .iter()
        .all(|epoch| epoch.minted == 0.0 && epoch.loss > 0.0));
}
