//! Hedging: a cabal that gives part of its weights to the honest side, for the bonds and the consensus.

use anyhow::Result;
use clap::Args;

use crate::{
    flags::{ParameterFlags, Peers, Shares},
    graph::GraphFlags,
    report::{Report, Table, Value},
    words::given,
    world::{World, STAKE},
};
use noesis_chart::{Axis, Chart, Series};

/// Flags of `noesis-lab hedging`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab hedging\n  noesis-lab hedging --cabal-stakes 0.45 --lambda 0.8 --honest-edges 25 --format csv"
)]
pub struct Flags {
    /// The cabal's shares of all stake: with commas, or FROM:TO:STEP.
    #[arg(long, default_value = "0.1,0.2,0.3,0.4,0.45,0.49")]
    cabal_stakes: Shares,
    /// Shares of its weight that the cabal gives to the honest: with commas, or FROM:TO:STEP.
    #[arg(long, default_value = "0:1:0.05")]
    on_honest: Shares,
    #[command(flatten)]
    peers: Peers,
    #[command(flatten)]
    graph: GraphFlags,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// A cabal's share of the stake, and what it is paid by the share of its weight on the honest.
type Curve = (f64, Vec<(f64, Option<f64>)>);

/// What the cabal is paid, over its share of the stake, if it gives `on_honest` of its weight to the
/// honest, all alike, and the rest to its own.
fn pay_ratio(flags: &Flags, edges: u16, stake: f64, on_honest: f64) -> Option<f64> {
    let sides = [
        (1.0 - stake, flags.peers.honest_peers),
        (stake, flags.peers.cabal_peers),
    ];
    let (mut world, [honest, cabal]) = World::new(flags.parameters.parameters(), STAKE, sides);
    flags.graph.vote(&mut world, &honest, edges);
    let to_honest = on_honest / f64::from(flags.peers.honest_peers);
    for voter in cabal.clone() {
        let own = cabal
            .clone()
            .filter(|&uid| uid != voter || cabal.len() == 1);
        let to_own = (1.0 - on_honest) / own.clone().count() as f64;
        let row = honest.clone().map(|uid| (uid, to_honest));
        world.vote(voter, row.chain(own.map(|uid| (uid, to_own))));
    }
    world.pay_ratio(&cabal)
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    let edges = flags.graph.edges(flags.peers.honest_peers)?;
    let curves: Vec<Curve> = flags
        .cabal_stakes
        .0
        .iter()
        .map(|&stake| {
            let ratio = |&on_honest: &f64| (on_honest, pay_ratio(flags, edges, stake, on_honest));
            (stake, flags.on_honest.0.iter().map(ratio).collect())
        })
        .collect();
    let rows = curves.iter().flat_map(|(stake, curve)| {
        curve.iter().map(|&(on_honest, ratio)| {
            vec![Value::Real(*stake), Value::Real(on_honest), ratio.into()]
        })
    });
    Ok(Report {
        question: "Does a cabal of worthless neurons, for whom no honest one votes, do better by giving part of its weights to the honest?".into(),
        answer: answer(&curves),
        table: Table {
            columns: vec!["cabal_stake", "on_honest", "pay_ratio"],
            rows: rows.collect(),
        },
        reading: None,
        chart: chart(&curves),
    })
}

fn answer(curves: &[Curve]) -> String {
    let sentences = curves.iter().map(|(stake, curve)| {
        let paid = curve
            .iter()
            .filter_map(|&(on_honest, ratio)| Some((on_honest, ratio?)));
        let best = paid.reduce(|best, other| if other.1 > best.1 { other } else { best });
        match best {
            None => format!("with {}: nothing is minted", given(*stake)),
            Some((on_honest, ratio)) => format!(
                "with {}: {ratio:.2} times its share, {} on the honest",
                given(*stake),
                given(on_honest)
            ),
        }
    });
    let most = curves
        .iter()
        .flat_map(|(_, curve)| curve.iter().filter_map(|&(_, ratio)| ratio))
        .fold(0.0, f64::max);
    let verdict = if most > 1.0 + 1e-6 {
        "It can gain"
    } else {
        "It never gains"
    };
    format!(
        "{verdict}. What it is paid at best: {}.",
        sentences.collect::<Vec<_>>().join("; ")
    )
}

fn chart(curves: &[Curve]) -> Chart {
    let series: Vec<Series> = curves
        .iter()
        .map(|(stake, curve)| {
            let points = curve.iter();
            Series::line(
                format!("cabal with {}", given(*stake)),
                points.filter_map(|&(on_honest, ratio)| Some((on_honest, ratio?))),
            )
        })
        .collect();
    Chart {
        title: "A cabal that hedges".into(),
        x: Axis::share("weight that the cabal gives to the honest", 0.0, 1.0),
        y: Axis::fitting("the cabal's pay over its share of stake", &series),
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn no_mixture_lets_a_minority_gain() {
        let report = run(&parse("--cabal-stakes 0.05:0.45:0.1")).unwrap();
        assert!(
            report.answer.starts_with("It never gains."),
            "{}",
            report.answer
        );
    }

    #[test]
    fn small_cabals_do_best_by_honest_votes_and_large_ones_by_few() {
        let flags: Flags = parse("");
        let paid = |stake, on_honest| pay_ratio(&flags, 51, stake, on_honest).unwrap();
        assert!(paid(0.2, 1.0) > paid(0.2, 0.0));
        assert!(paid(0.49, 1.0) < paid(0.49, 0.2));
        // Dividends alone: half of the emission.
        assert!((paid(0.2, 1.0) - 0.5).abs() < 0.01);
    }
}
