//! Epsilon edges: honest neurons are bribed to give a cabal trust, at weights next to nothing.

use anyhow::Result;
use clap::Args;
use indicatif::ProgressIterator;
use market_mechanism::{Parameters, ONE};

use crate::{
    flags::{within, ParameterFlags, Peers},
    report::{Report, Table, Value},
    search::spread,
    words::{given, percent},
    world::{World, STAKE},
};
use noesis_chart::{Axis, Chart, Series};

/// The smallest weight there is, beside one of 1.
const DUST: f64 = 1.0 / u16::MAX as f64;
/// How far above the threshold an edge is bought.
const ABOVE: f64 = 1.02;

/// Flags of `noesis-lab epsilon-edges`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab epsilon-edges\n  noesis-lab epsilon-edges --cabal-stake 0.3 --trust-threshold 0.5 --format csv"
)]
pub struct Flags {
    /// The cabal's share of all stake: 0 to 1.
    #[arg(long, default_value_t = 0.4, value_parser = within(0.0, 1.0))]
    cabal_stake: f64,
    #[command(flatten)]
    peers: Peers,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// The weight beside one of 1 that is just above the trust threshold, in a row of honest edges and
/// one to each of the cabal.
fn priced(parameters: &Parameters, peers: Peers) -> f64 {
    let threshold = parameters.trust_threshold as f64 / ONE as f64;
    let (honest, cabal) = (f64::from(peers.honest_peers), f64::from(peers.cabal_peers));
    // w / (honest + cabal w) = threshold / n. Never above 1: at most the threshold is 1, all alike.
    let weight = threshold * honest / (honest + cabal - threshold * cabal);
    (weight * ABOVE).clamp(DUST, 1.0)
}

/// What the cabal is paid, over its share of the stake, with `bribed` honest neurons giving each of
/// its members `weight` beside the 1 that they give each honest neuron.
fn pay_ratio(flags: &Flags, parameters: Parameters, bribed: u16, weight: f64) -> Option<f64> {
    let sides = [
        (1.0 - flags.cabal_stake, flags.peers.honest_peers),
        (flags.cabal_stake, flags.peers.cabal_peers),
    ];
    let (mut world, [honest, cabal]) = World::new(parameters, STAKE, sides);
    world.vote_alike(&honest, &honest);
    world.vote_alike(&cabal, &cabal);
    for voter in honest.clone().take(bribed.into()) {
        let row = honest.clone().map(|uid| (uid, 1.0));
        world.vote(voter, row.chain(cabal.clone().map(|uid| (uid, weight))));
    }
    world.pay_ratio(&cabal)
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    let parameters = flags.parameters.parameters();
    let open = Parameters {
        trust_threshold: 0,
        ..parameters
    };
    let price = priced(&parameters, flags.peers);
    let settings = [(open, DUST), (parameters, DUST), (parameters, price)];
    let each = (1.0 - flags.cabal_stake) / f64::from(flags.peers.honest_peers);
    let rows: Vec<(f64, [Option<f64>; 3])> = spread(flags.peers.honest_peers)
        .into_iter()
        .progress()
        .map(|bribed| {
            let ratios =
                settings.map(|(parameters, weight)| pay_ratio(flags, parameters, bribed, weight));
            (f64::from(bribed) * each, ratios)
        })
        .collect();
    let cost = {
        let bought = price * f64::from(flags.peers.cabal_peers);
        bought / (bought + f64::from(flags.peers.honest_peers))
    };
    let row = |(stake, ratios): &(f64, [Option<f64>; 3])| {
        let ratios = ratios.map(Value::from);
        std::iter::once(Value::Real(*stake)).chain(ratios).collect()
    };
    Ok(Report {
        question: format!(
            "Can a cabal with {} of the stake buy trust from honest neurons who give it next to no weight?",
            given(flags.cabal_stake)
        ),
        answer: answer(flags, &rows, cost),
        table: Table {
            columns: vec!["bribed_stake", "dust_no_threshold", "dust", "priced"],
            rows: rows.iter().map(row).collect(),
        },
        reading: None,
        chart: chart(flags, &rows),
    })
}

/// The least bribed stake at which the cabal is paid more than its share.
fn gains_from(rows: &[(f64, [Option<f64>; 3])], index: usize) -> Option<f64> {
    let gaining = rows
        .iter()
        .find(|(_, ratios)| ratios[index].unwrap_or(0.0) > 1.0);
    gaining.map(|&(stake, _)| stake)
}

fn answer(flags: &Flags, rows: &[(f64, [Option<f64>; 3])], cost: f64) -> String {
    let says = |index| match gains_from(rows, index) {
        Some(stake) => format!(
            "it gains once {} of all stake, {} of the honest, is bribed",
            percent(stake),
            percent(stake / (1.0 - flags.cabal_stake))
        ),
        None => "it never gains, whoever is bribed".into(),
    };
    format!(
        "With edges of the smallest weight: without a trust threshold {}; with this one {}. With edges just above the threshold {}; they cost a bribed neuron {} of its weight.",
        says(0),
        says(1),
        says(2),
        percent(cost),
    )
}

fn chart(flags: &Flags, rows: &[(f64, [Option<f64>; 3])]) -> Chart {
    let line = |label, index: usize| {
        let points = rows.iter();
        Series::line(
            label,
            points.filter_map(|&(stake, ratios)| Some((stake, ratios[index]?))),
        )
    };
    let series = vec![
        line("dust, no threshold", 0),
        line("dust, threshold", 1),
        line("just above the threshold", 2),
    ];
    Chart {
        title: format!("Trust bought by a cabal with {}", given(flags.cabal_stake)),
        x: Axis::share(
            "bribed stake, of all",
            0.0,
            (1.0 - flags.cabal_stake).max(0.01),
        ),
        y: Axis::fitting("the cabal's pay over its share of stake", &series),
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn found(given: &str) -> [Option<f64>; 3] {
        let flags: Flags = parse(given);
        let parameters = flags.parameters.parameters();
        let open = Parameters {
            trust_threshold: 0,
            ..parameters
        };
        let price = priced(&parameters, flags.peers);
        let settings = [(open, DUST), (parameters, DUST), (parameters, price)];
        settings.map(|(parameters, weight)| pay_ratio(&flags, parameters, 34, weight))
    }

    #[test]
    fn dust_buys_trust_without_a_threshold_and_nothing_with_it() {
        // 34 of 51 honest neurons: 40 % of all stake.
        let [open, dust, priced] = found("").map(Option::unwrap);
        assert!(open > 1.1, "{open}");
        assert!(dust < 0.6, "{dust}");
        // What the threshold asks for is little.
        assert!(priced > open, "{priced}");
    }

    #[test]
    fn the_priced_edge_is_just_above_the_threshold() {
        let flags: Flags = parse("--trust-threshold 0.5");
        let weight = priced(&flags.parameters.parameters(), flags.peers);
        let normalised = weight / (51.0 + 49.0 * weight);
        assert!(normalised > 0.005 && normalised < 0.0052, "{normalised}");
    }

    #[test]
    fn the_answer_names_the_stake_that_must_be_bribed() {
        let report = run(&parse("")).unwrap();
        assert_eq!(report.table.rows.len(), 52);
        assert!(
            report.answer.contains("with this one it never gains"),
            "{}",
            report.answer
        );
        assert!(report
            .answer
            .contains("without a trust threshold it gains once"));
    }
}
