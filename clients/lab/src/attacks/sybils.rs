//! Sybils: one stake, and one model, behind many keys.

use anyhow::{ensure, Result};
use clap::Args;

use crate::{
    flags::{within, ParameterFlags},
    report::{Report, Table, Value},
    words::given,
    world::{World, STAKE},
};
use noesis_chart::{Axis, Chart, Series};

/// The most keys, so that with the honest they fit into a market.
const MOST_KEYS: u16 = 2000;

/// Flags of `noesis-lab sybils`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab sybils\n  noesis-lab sybils --stake 0.1 --keys 1,2,100 --preset paper --format csv"
)]
pub struct Flags {
    /// The attacker's share of all stake, divided equally among its keys: 0 to 1.
    #[arg(long, default_value_t = 0.1, value_parser = within(0.0, 1.0))]
    stake: f64,
    /// How many keys, with commas: each 1 to 2000.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4,6,8,10,12,14,16,20,24,32,48,64",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_KEYS)))]
    keys: Vec<u16>,
    /// Honest neurons, of equal stake, who vote for each other: 2 to 2000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=2000))]
    honest_peers: u16,
    /// The largest share of its row that a key may give to one other (a rule of the pallet); what it
    /// cannot give to its own keys goes to the honest: 0 to 1.
    #[arg(long, default_value_t = 1.0, value_parser = within(0.0, 1.0))]
    max_weight: f64,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// What the keys do with their votes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Votes {
    /// For the honest.
    Honest,
    /// For each other, as far as they may.
    Own,
}

/// What the keys are paid together, over their share of the stake.
///
/// `worth` is what all keys together are worth to the honest, beside one honest neuron.
fn pay_ratio(flags: &Flags, keys: u16, worth: f64, votes: Votes) -> Option<f64> {
    let groups = [(1.0 - flags.stake, flags.honest_peers), (flags.stake, keys)];
    let (mut world, [honest, own]) = World::new(flags.parameters.parameters(), STAKE, groups);
    for voter in honest.clone() {
        let others = honest.clone().map(|uid| (uid, 1.0));
        let each = worth / f64::from(keys);
        world.vote(voter, others.chain(own.clone().map(|uid| (uid, each))));
    }
    for voter in own.clone() {
        let others = own.clone().filter(|&uid| uid != voter);
        let on_own = match votes {
            Votes::Honest => 0.0,
            Votes::Own => (flags.max_weight * f64::from(keys - 1)).min(1.0),
        };
        let to_honest = (1.0 - on_own) / f64::from(flags.honest_peers);
        let to_own = on_own / f64::from((keys - 1).max(1));
        let row = honest.clone().map(|uid| (uid, to_honest));
        world.vote(voter, row.chain(others.map(|uid| (uid, to_own))));
    }
    world.pay_ratio(&own)
}

/// Worth and votes of each column.
const SETTINGS: [(f64, Votes); 4] = [
    (1.0, Votes::Honest),
    (1.0, Votes::Own),
    (0.0, Votes::Honest),
    (0.0, Votes::Own),
];

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    ensure!(
        !flags.keys.is_empty(),
        "--keys needs a number from 1 to {MOST_KEYS}"
    );
    let rows: Vec<(u16, [Option<f64>; 4])> = flags
        .keys
        .iter()
        .map(|&keys| {
            (
                keys,
                SETTINGS.map(|(worth, votes)| pay_ratio(flags, keys, worth, votes)),
            )
        })
        .collect();
    let row = |(keys, ratios): &(u16, [Option<f64>; 4])| {
        let ratios = ratios.map(Value::from);
        std::iter::once(Value::Count((*keys).into()))
            .chain(ratios)
            .collect()
    };
    Ok(Report {
        question: format!(
            "Does an attacker with {} of the stake gain by dividing it, and its answers, among many keys?",
            given(flags.stake)
        ),
        answer: answer(&rows),
        table: Table {
            columns: vec!["keys", "valued_honest", "valued_own", "worthless_honest", "worthless_own"],
            rows: rows.iter().map(row).collect(),
        },
        reading: None,
        chart: chart(flags, &rows),
    })
}

fn answer(rows: &[(u16, [Option<f64>; 4])]) -> String {
    let say = |ratio: Option<f64>| ratio.map_or("nothing".into(), |ratio| format!("{ratio:.2}"));
    let best = |index: usize| {
        let paid = rows
            .iter()
            .filter_map(|&(keys, ratios)| Some((keys, ratios[index]?)));
        paid.reduce(|best, other| if other.1 > best.1 + 1e-6 { other } else { best })
    };
    let sentence = |what: &str, index: usize| {
        let ends = [rows.first(), rows.last()].into_iter().flatten();
        let ends: Vec<String> = ends
            .map(|(keys, ratios)| format!("{} with {keys}", say(ratios[index])))
            .collect();
        let best = best(index).map_or(String::new(), |(keys, ratio)| {
            format!(", most ({ratio:.2}) with {keys}")
        });
        format!("{what}: {}{best}.", ends.join(", "))
    };
    format!(
        "Pay over share of stake, by number of keys. {} {} {} {}",
        sentence(
            "Valued together as one honest neuron is and voting for the honest",
            0
        ),
        sentence("Valued and voting for its own keys", 1),
        sentence("Worthless and voting for the honest", 2),
        sentence("Worthless and voting for its own keys", 3),
    )
}

fn chart(flags: &Flags, rows: &[(u16, [Option<f64>; 4])]) -> Chart {
    let line = |label, index: usize| {
        Series::line(
            label,
            rows.iter()
                .filter_map(|&(keys, ratios)| Some((f64::from(keys), ratios[index]?))),
        )
    };
    let series = vec![
        line("valued, votes for the honest", 0),
        line("valued, votes for its keys", 1),
        line("worthless, for the honest", 2),
        line("worthless, for its keys", 3),
    ];
    let most = flags.keys.iter().copied().max().unwrap_or(1);
    Chart {
        title: format!("{} of the stake behind many keys", given(flags.stake)),
        x: Axis::number("keys", 0.0, f64::from(most)),
        y: Axis::fitting("pay over share of stake", &series),
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn honest_votes_pay_the_same_behind_any_number_of_keys() {
        let flags: Flags = parse("");
        let paid = |keys| pay_ratio(&flags, keys, 0.0, Votes::Honest).unwrap();
        assert!((paid(1) - paid(64)).abs() < 1e-3);
    }

    #[test]
    fn the_second_key_brings_self_votes_and_more_bring_nothing() {
        let flags: Flags = parse("");
        let paid = |keys| pay_ratio(&flags, keys, 1.0, Votes::Own).unwrap();
        assert!(paid(2) > paid(1) + 0.3);
        // One key has no other to vote for, so it votes for the honest.
        assert!((paid(1) - pay_ratio(&flags, 1, 1.0, Votes::Honest).unwrap()).abs() < 1e-9);
        assert!((paid(8) - paid(2)).abs() < 0.02, "{} {}", paid(2), paid(8));
    }

    #[test]
    fn a_largest_weight_and_the_trust_threshold_together_bound_what_own_votes_bring() {
        let paid = |given: &str, keys| pay_ratio(&parse(given), keys, 1.0, Votes::Own).unwrap();
        let honest = pay_ratio(&parse(""), 1, 1.0, Votes::Honest).unwrap();
        let capped = "--max-weight 0.02";
        assert!(paid(capped, 2) < honest + 0.05);
        assert!(paid(capped, 12) < honest + 0.15);
        assert!(paid(capped, 20) < honest);
    }

    #[test]
    fn worth_cut_too_small_falls_below_the_trust_threshold() {
        let flags: Flags = parse("");
        let paid = |keys| pay_ratio(&flags, keys, 1.0, Votes::Honest).unwrap();
        // 1/(50 k) against 0.1/(50 + k).
        assert!((paid(12) - paid(1)).abs() < 0.01);
        assert!(paid(14) < paid(1) - 0.05, "{} {}", paid(14), paid(1));
    }

    #[test]
    fn the_table_has_a_row_for_each_number() {
        let report = run(&parse("--keys 1,5")).unwrap();
        assert_eq!(report.table.rows.len(), 2);
        assert_eq!(report.chart.series.len(), 4);
    }
}
