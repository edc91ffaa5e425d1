//! Halting: votes scattered so that consensus is lost and nobody is paid.

use anyhow::Result;
use clap::Args;

use crate::{
    flags::{ParameterFlags, Peers, Shares},
    graph::{ring, GraphFlags},
    report::{Report, Table, Value},
    search::threshold,
    words::percent,
    world::{loss, World, STAKE},
};
use noesis_chart::{Axis, Chart, Series};

/// Flags of `noesis-lab halting`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab halting\n  noesis-lab halting --rho 20 --honest-edges 40 --format csv"
)]
pub struct Flags {
    /// The saboteur's shares of all stake: with commas, or FROM:TO:STEP.
    #[arg(long, default_value = "0.02:0.6:0.02")]
    stakes: Shares,
    #[command(flatten)]
    peers: Peers,
    #[command(flatten)]
    graph: GraphFlags,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// The loss and whether the epoch is in consensus, where each neuron of the saboteur votes for
/// `targets` of its own.
fn epoch(flags: &Flags, honest_edges: u16, stake: f64, targets: u16) -> (f64, bool) {
    let sides = [
        (1.0 - stake, flags.peers.honest_peers),
        (stake, flags.peers.cabal_peers),
    ];
    let (mut world, [honest, own]) = World::new(flags.parameters.parameters(), STAKE, sides);
    flags.graph.vote(&mut world, &honest, honest_edges);
    for voter in own.clone() {
        world.vote(
            voter,
            ring(&own, voter, targets).into_iter().map(|uid| (uid, 1.0)),
        );
    }
    let outcome = world.settle(0.0);
    (loss(&outcome), outcome.in_consensus)
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    let edges = flags.graph.edges(flags.peers.honest_peers)?;
    let together = flags.peers.cabal_peers;
    let rows: Vec<(f64, f64, f64)> = flags
        .stakes
        .0
        .iter()
        .map(|&stake| {
            let loss = |targets| epoch(flags, edges, stake, targets).0;
            (stake, loss(1), loss(together))
        })
        .collect();
    let halts = |targets| threshold(0.0, 0.5, |stake| Ok(!epoch(flags, edges, stake, targets).1));
    let say = |stake: Option<f64>| stake.map_or("No minority".into(), percent);
    let row = |&(stake, scattered, together): &(f64, f64, f64)| {
        vec![
            Value::Real(stake),
            Value::Real(scattered),
            Value::Real(together),
        ]
    };
    Ok(Report {
        question: format!(
            "Which share of the stake can keep a market from consensus, where each of {} honest neurons votes for {edges} of them?",
            flags.peers.honest_peers
        ),
        answer: format!(
            "{} is enough if each of its neurons votes for one other of its own alone, {} if each votes for all of its own. Whoever does so is not paid either.",
            say(halts(1)?),
            say(halts(together)?),
        ),
        table: Table {
            columns: vec!["stake", "loss_scattered", "loss_together"],
            rows: rows.iter().map(row).collect(),
        },
        reading: None,
        chart: chart(&rows),
    })
}

fn chart(rows: &[(f64, f64, f64)]) -> Chart {
    let most = rows.iter().map(|&(stake, ..)| stake).fold(0.01, f64::max);
    Chart {
        title: "What it takes to halt a market".into(),
        x: Axis::share("stake that votes for its own alone", 0.0, most),
        y: Axis::number("loss (nothing is minted from 0 on)", -0.5, 0.5),
        series: vec![
            Series::line(
                "each for one",
                rows.iter().map(|&(stake, loss, _)| (stake, loss)),
            ),
            Series::line(
                "each for all",
                rows.iter().map(|&(stake, _, loss)| (stake, loss)),
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn scattered_votes_halt_a_market_with_less_stake_than_a_cabal() {
        let flags: Flags = parse("--preset paper");
        let consensus = |stake, targets| epoch(&flags, 51, stake, targets).1;
        assert!(consensus(0.36, 1));
        assert!(!consensus(0.39, 1));
        assert!(consensus(0.39, 49));
        assert!(consensus(0.49, 49));
    }

    #[test]
    fn the_answer_names_both_shares() {
        let report = run(&parse("--preset paper --stakes 0.1,0.4")).unwrap();
        assert_eq!(report.table.rows.len(), 2);
        assert!(report.answer.starts_with("36.9 %"), "{}", report.answer);
    }
}
