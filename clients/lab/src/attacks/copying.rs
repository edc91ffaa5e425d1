//! Weight copying: a validator that does no work and repeats what the others vote.

use anyhow::{ensure, Result};
use clap::Args;
use indicatif::ProgressIterator;
use market_mechanism::{Outcome, Uid};

use crate::{
    chance::Chance,
    flags::{within, ParameterFlags},
    report::{Report, Table, Value},
    words::given,
    world::{Group, World, STAKE},
};
use noesis_chart::{Axis, Chart, Series};

/// The best miner is worth this many times the worst.
const SPREAD: f64 = 100.0;
/// Epochs before anything is measured, so that bonds have formed and every copy has something to copy.
const LEAD_IN: u32 = 100;
/// The most measurements of one run, for they are kept.
const MOST_MEASUREMENTS: u64 = 20_000_000;
/// A rate that leaves stakes almost as they are, so that returns can be compared.
const RATE: f64 = 0.0001;

/// Flags of `noesis-lab copying`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab copying\n  noesis-lab copying --turnover 0.01 --reveal-periods 0,1,10 --alpha 0.3 --format csv"
)]
pub struct Flags {
    /// Epochs from commit to reveal, with commas: each 0 to 100. 0: weights in the clear, copied at once.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,3,4,6,8,12,16,24,32",
          value_parser = clap::value_parser!(u32).range(0..=i64::from(LEAD_IN)))]
    reveal_periods: Vec<u32>,
    /// Chance that a miner's worth is drawn anew, per epoch: 0 to 1.
    #[arg(long, default_value_t = 0.02, value_parser = within(0.0, 1.0))]
    turnover: f64,
    /// How far off each honest measurement of a worth is at most, as a share of it: 0 to 1.
    #[arg(long, default_value_t = 0.2, value_parser = within(0.0, 1.0))]
    noise: f64,
    /// Honest validators, of the same stake as the one that copies: 1 to 100.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=100))]
    validators: u16,
    /// Miners: 2 to 1000.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(2..=1000))]
    miners: u16,
    /// Epochs that are measured, after a lead-in of 100: 1 to 10000.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: u32,
    /// Runs with worths drawn differently: 1 to 1000.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// What one reveal period led to.
#[derive(Clone, Copy, Default)]
struct Finding {
    /// Dividends of the one that copies over those of an honest validator.
    return_ratio: f64,
    /// Share of the incentive that goes to other miners than it would by their worth at that time.
    misplaced: f64,
}

/// Epoch by epoch, what each honest validator measures and what is true.
struct History {
    /// By epoch and validator, a row of weights, one for each miner, of sum 1.
    measured: Vec<Vec<Vec<f64>>>,
    /// By epoch, the miners' worths, of sum 1.
    worth: Vec<Vec<f64>>,
}

impl History {
    fn draw(flags: &Flags, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let draw = |chance: &mut Chance| SPREAD.powf(chance.share());
        let mut worth: Vec<f64> = (0..flags.miners).map(|_| draw(&mut chance)).collect();
        let mut history = Self {
            measured: Vec::new(),
            worth: Vec::new(),
        };
        for _ in 0..LEAD_IN + flags.epochs {
            for worth in &mut worth {
                if chance.share() < flags.turnover {
                    *worth = draw(&mut chance);
                }
            }
            let mut measure =
                |worth: &f64| worth * (1.0 + flags.noise * (2.0 * chance.share() - 1.0));
            let measured =
                (0..flags.validators).map(|_| normalised(worth.iter().map(&mut measure).collect()));
            history.measured.push(measured.collect());
            history.worth.push(normalised(worth.clone()));
        }
        history
    }

    /// What the honest measured at an epoch, on average.
    fn average(&self, epoch: usize) -> Vec<f64> {
        let rows = &self.measured[epoch];
        let miners = self.worth[epoch].len();
        normalised(
            (0..miners)
                .map(|miner| rows.iter().map(|row| row[miner]).sum())
                .collect(),
        )
    }
}

fn normalised(mut weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    if sum > 0.0 {
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
    weights
}

/// With `period` epochs from commit to reveal, what honest validators vote in epoch `e` is what they
/// measured in `e - period`, and the copy repeats what could be read then: `e - 2 period`.
fn run_once(flags: &Flags, history: &History, period: u32) -> Finding {
    let groups = [
        (
            f64::from(flags.validators) / f64::from(flags.validators + 1),
            flags.validators,
        ),
        (1.0 / f64::from(flags.validators + 1), 1),
        (0.0, flags.miners),
    ];
    let (mut world, [honest, copier, miners]) =
        World::new(flags.parameters.parameters(), STAKE, groups);
    let row = |weights: &[f64]| -> Vec<(Uid, f64)> {
        miners.clone().zip(weights.iter().copied()).collect()
    };
    let (mut honest_return, mut copier_return, mut misplaced) = (0.0, 0.0, 0.0);
    for epoch in 0..(LEAD_IN + flags.epochs) as usize {
        let formed = epoch.saturating_sub(period as usize);
        for (voter, weights) in honest.clone().zip(&history.measured[formed]) {
            world.vote(voter, row(weights));
        }
        let copied = history.average(formed.saturating_sub(period as usize));
        world.vote(copier.start, row(&copied));
        let outcome = world.settle(RATE);
        if epoch >= LEAD_IN as usize {
            honest_return += dividends(&outcome, &honest) / f64::from(flags.validators);
            copier_return += dividends(&outcome, &copier);
            misplaced += distance(&outcome, &miners, &history.worth[epoch]);
        }
    }
    Finding {
        return_ratio: copier_return / honest_return,
        misplaced: misplaced / f64::from(flags.epochs),
    }
}

fn dividends(outcome: &Outcome, group: &Group) -> f64 {
    let neurons = group
        .clone()
        .filter_map(|uid| outcome.neurons.get(usize::from(uid)));
    neurons.map(|neuron| neuron.dividend as f64).sum()
}

/// Half the sum of the differences between incentives and worths.
fn distance(outcome: &Outcome, miners: &Group, worth: &[f64]) -> f64 {
    let incentive = |uid: Uid| {
        let neuron = outcome.neurons.get(usize::from(uid));
        neuron.map_or(0.0, |neuron| {
            neuron.incentive as f64 / market_mechanism::ONE as f64
        })
    };
    let differences = miners
        .clone()
        .zip(worth)
        .map(|(uid, worth)| (incentive(uid) - worth).abs());
    differences.sum::<f64>() / 2.0
}

/// Each reveal period with what it leads to, on average over the runs.
fn find(flags: &Flags) -> Vec<(u32, Finding)> {
    let mut rows: Vec<(u32, Finding)> = flags
        .reveal_periods
        .iter()
        .map(|&period| (period, Finding::default()))
        .collect();
    for run in (0..flags.runs).progress() {
        let history = History::draw(flags, u64::from(run) + 1);
        for (period, mean) in &mut rows {
            let finding = run_once(flags, &history, *period);
            mean.return_ratio += finding.return_ratio / f64::from(flags.runs);
            mean.misplaced += finding.misplaced / f64::from(flags.runs);
        }
    }
    rows
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    let size = u64::from(flags.epochs) * u64::from(flags.validators) * u64::from(flags.miners);
    ensure!(
        size <= MOST_MEASUREMENTS,
        "--epochs times --validators times --miners is {size}: give numbers whose product is at most {MOST_MEASUREMENTS}"
    );
    let rows = find(flags);
    let row = |&(period, finding): &(u32, Finding)| {
        vec![
            Value::Count(period.into()),
            Value::Real(finding.return_ratio),
            Value::Real(finding.misplaced),
        ]
    };
    Ok(Report {
        question: format!(
            "What does a validator earn that copies the others' weights, while {} of the miners change their worth in each epoch?",
            given(flags.turnover)
        ),
        answer: answer(&rows),
        table: Table {
            columns: vec!["reveal_period", "return_ratio", "misplaced"],
            rows: rows.iter().map(row).collect(),
        },
        reading: None,
        chart: chart(flags, &rows),
    })
}

fn answer(rows: &[(u32, Finding)]) -> String {
    let mut told = vec![0, 1, rows.len() / 2, rows.len().saturating_sub(1)];
    told.sort_unstable();
    told.dedup();
    let told = told.into_iter().filter_map(|index| rows.get(index));
    let sentences = told.map(|&(period, finding)| {
        let when = match period {
            0 => "in the clear".to_string(),
            1 => "revealed an epoch later".to_string(),
            period => format!("revealed {period} epochs later"),
        };
        format!(
            "{when} {:.1} %, with {:.1} % of the miners' pay misplaced",
            finding.return_ratio * 100.0,
            finding.misplaced * 100.0
        )
    });
    format!(
        "Of an honest validator's dividends: {}. Copying is worth it to whoever pays more of its dividends for its measurements than it would lose.",
        sentences.collect::<Vec<_>>().join("; ")
    )
}

fn chart(flags: &Flags, rows: &[(u32, Finding)]) -> Chart {
    let line = |label, value: fn(&Finding) -> f64| {
        Series::line(
            label,
            rows.iter()
                .map(|(period, finding)| (f64::from(*period), value(finding))),
        )
    };
    let most = flags
        .reveal_periods
        .iter()
        .copied()
        .max()
        .unwrap_or(1)
        .max(1);
    Chart {
        title: format!(
            "Copied weights, {} of worths new per epoch",
            given(flags.turnover)
        ),
        x: Axis::number("epochs from commit to reveal", 0.0, f64::from(most)),
        y: Axis::share("share", 0.0, 1.1),
        series: vec![
            line(
                "dividends of the copier, over those of an honest validator",
                |finding| finding.return_ratio,
            ),
            line(
                "miners' pay that goes elsewhere than by their worth",
                |finding| finding.misplaced,
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn findings(flags: &str) -> Vec<Finding> {
        let short = "--epochs 100 --runs 2 --miners 16 --validators 5";
        let found = find(&parse(&[short, flags].join(" ")));
        found.into_iter().map(|(_, finding)| finding).collect()
    }

    #[test]
    fn a_copy_in_the_clear_earns_what_the_work_earns() {
        let found = findings("--reveal-periods 0");
        assert!(
            (found[0].return_ratio - 1.0).abs() < 0.01,
            "{}",
            found[0].return_ratio
        );
    }

    #[test]
    fn the_later_weights_are_revealed_the_less_a_copy_earns_and_the_more_pay_is_misplaced() {
        let found = findings("--reveal-periods 0,4,16 --turnover 0.05");
        assert!(found[1].return_ratio < found[0].return_ratio - 0.02);
        assert!(found[2].return_ratio < found[1].return_ratio);
        assert!(found[2].misplaced > found[1].misplaced && found[1].misplaced > found[0].misplaced);
    }

    #[test]
    fn where_nothing_changes_a_copy_earns_the_same_however_late() {
        let found = findings("--reveal-periods 0,16 --turnover 0 --noise 0");
        assert!(
            (found[1].return_ratio - 1.0).abs() < 0.001,
            "{}",
            found[1].return_ratio
        );
        assert!(found[1].misplaced < 0.01);
    }
}
