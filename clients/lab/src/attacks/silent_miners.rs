//! Silent miners: the honest are paid in stake that does not vote, the cabal in stake that does.

use anyhow::Result;
use clap::Args;
use indicatif::ProgressIterator;
use market_mechanism::Parameters;

use crate::{
    flags::{within, Course, ParameterFlags, Shares},
    report::{Report, Table, Value},
    search::threshold,
    words::{given, percent},
    world::World,
};
use noesis_chart::{Axis, Chart, Series};

/// Flags of `noesis-lab silent-miners`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab silent-miners\n  noesis-lab silent-miners --voting 0,1 --lambda 0.8 --format csv\n\n--gate concerns the final shares; the stakes from which on the cabal holds and wins are found with both."
)]
pub struct Flags {
    /// The cabal's share of all stake at the start: 0 to 1.
    #[arg(long, default_value_t = 0.45, value_parser = within(0.0, 1.0))]
    cabal_stake: f64,
    /// Shares of the honest miners that vote with what they earn: with commas, or FROM:TO:STEP.
    #[arg(long, default_value = "0:1:0.1")]
    voting: Shares,
    /// Honest validators, of equal stake, for whom nobody votes: 1 to 1000.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u16).range(1..=1000))]
    validators: u16,
    /// Honest miners, for whom the honest vote, without stake at the start: 1 to 1000.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=1000))]
    miners: u16,
    /// Neurons of the cabal, of equal stake, who all vote for all of them: 1 to 1000.
    #[arg(long, default_value_t = 49, value_parser = clap::value_parser!(u16).range(1..=1000))]
    cabal_peers: u16,
    #[command(flatten)]
    course: Course,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// What became of the cabal.
struct Finding {
    /// Its share of the stake that votes, at the end.
    votes: f64,
    /// Its share of all stake, at the end.
    share: f64,
    /// Epochs in which something was minted.
    minted: u64,
}

fn find(flags: &Flags, parameters: Parameters, cabal_stake: f64, voting: f64) -> Result<Finding> {
    let groups = [
        (1.0 - cabal_stake, flags.validators),
        (0.0, flags.miners),
        (cabal_stake, flags.cabal_peers),
    ];
    let stake = flags.course.stake_at_start()?;
    let (mut world, [validators, miners, cabal]) = World::new(parameters, stake, groups);
    let voters = (voting * f64::from(flags.miners)).round() as u16;
    // Validators and the miners that vote are next to each other.
    let voters = validators.start..miners.start + voters;
    let mut minted = 0;
    for _ in 0..flags.course.epochs {
        world.vote_alike(&voters, &miners);
        world.vote_alike(&cabal, &cabal);
        minted += u64::from(world.settle(flags.course.rate).minted > 0);
    }
    let (honest, own) = (world.stake(&voters) as f64, world.stake(&cabal) as f64);
    Ok(Finding {
        votes: own / (honest + own),
        share: world.share(&cabal),
        minted,
    })
}

/// The least stake at the start with which the cabal ends with `enough`, of what it starts with and
/// what it has of the votes at the end.
fn critical(
    flags: &Flags,
    gate: bool,
    voting: f64,
    enough: fn(f64, f64) -> bool,
) -> Result<Option<f64>> {
    let parameters = Parameters {
        consensus_gate: gate,
        ..flags.parameters.parameters()
    };
    threshold(0.01, 0.5, |stake| {
        let found = find(flags, parameters, stake, voting)?;
        Ok(enough(stake, found.votes))
    })
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    let mut rows = Vec::new();
    let mut curves = [Vec::new(), Vec::new()];
    for &voting in flags.voting.0.iter().progress() {
        let found = find(
            flags,
            flags.parameters.parameters(),
            flags.cabal_stake,
            voting,
        )?;
        let stays = critical(flags, true, voting, |start, end| end > start - 1e-6)?;
        let wins = critical(flags, false, voting, |_, end| end > 0.5)?;
        for (curve, stake) in curves.iter_mut().zip([stays, wins]) {
            curve.extend(stake.map(|stake| (voting, stake)));
        }
        rows.push(vec![
            Value::Real(voting),
            Value::Real(found.votes),
            Value::Real(found.share),
            Value::Count(found.minted),
            Value::from(stays),
            Value::from(wins),
        ]);
    }
    let [stays, wins] = curves;
    let stakes = stays.iter().chain(&wins).map(|&(_, stake)| stake);
    let least = (stakes.fold(0.45, f64::min) * 20.0 - 0.5).floor() / 20.0;
    let sentence = |curve: &[(f64, f64)]| {
        let ends = [curve.first(), curve.last()].into_iter().flatten();
        let ends: Vec<String> = ends
            .map(|(voting, stake)| {
                format!(
                    "from {} on where {} of the honest miners vote",
                    percent(*stake),
                    given(*voting)
                )
            })
            .collect();
        if ends.is_empty() {
            "with no minority".into()
        } else {
            ends.join(", ")
        }
    };
    Ok(Report {
        question: "From which stake on does a cabal hold its own against honest votes, where honest miners do not vote with what they earn?".into(),
        answer: format!(
            "With the gate on, its share of the votes does not decay (after {} epochs; the market then mints nothing): {}. With the gate off it gets most of the votes: {}.",
            flags.course.epochs,
            sentence(&stays),
            sentence(&wins),
        ),
        table: Table {
            columns: vec!["voting_miners", "final_share_of_votes", "final_share", "minted_epochs", "holds_from_gate_on", "wins_from_gate_off"],
            rows,
        },
        reading: None,
        chart: Chart {
            title: "A cabal among honest miners that do not vote".into(),
            x: Axis::share("honest miners that vote with what they earn", 0.0, 1.0),
            y: Axis::share("the cabal's stake at the start", least, 0.52),
            series: vec![
                Series::line("gate on: from here on it does not decay", stays),
                Series::line("gate off: from here on it gets most of the votes", wins),
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn a_cabal_gains_on_validators_whose_miners_are_silent_and_not_where_they_vote() {
        let flags: Flags = parse("");
        let votes = |gate, stake, voting| {
            let parameters = Parameters {
                consensus_gate: gate,
                ..Parameters::DEFAULT
            };
            find(&flags, parameters, stake, voting).unwrap().votes
        };
        assert!(votes(false, 0.45, 0.0) > 0.9);
        assert!(votes(false, 0.45, 1.0) < 0.1);
        // The gate keeps it from winning: the market halts instead.
        assert!((0.45..0.5).contains(&votes(true, 0.45, 0.0)));
        assert!(votes(true, 0.42, 0.0) < 0.1);
    }

    #[test]
    fn the_answer_has_the_shares_at_both_ends() {
        let report = run(&parse("--voting 0,1 --epochs 40")).unwrap();
        assert_eq!(report.table.rows.len(), 2);
        assert!(
            report
                .answer
                .contains("on where 0 % of the honest miners vote"),
            "{}",
            report.answer
        );
    }
}
