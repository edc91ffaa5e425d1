//! A turncoat: a cabal that answers well, is voted for by the honest, and then turns.

use anyhow::{ensure, Result};
use clap::Args;
use indicatif::ProgressIterator;

use crate::{
    flags::{within, Course, ParameterFlags},
    report::{Report, Table, Value},
    search::threshold,
    words::{after, given, minted, percent},
    world::{Point, World},
};
use noesis_chart::{Axis, Chart, Series};

/// Flags of `noesis-lab turncoat`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab turncoat\n  noesis-lab turncoat --cabal-stake 0.3 --notices 0,10,50 --rate 0.01 --epochs 400 --format csv"
)]
pub struct Flags {
    /// The cabal's share of all stake at the start: 0 to 1.
    #[arg(long, default_value_t = 0.4, value_parser = within(0.0, 1.0))]
    cabal_stake: f64,
    /// Honest neurons, of equal stake: 1 to 2048.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=2048))]
    honest_peers: u16,
    /// Neurons of the cabal, of equal stake: 1 to 2048.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=2048))]
    cabal_peers: u16,
    /// What an answer of the cabal is worth before it turns, beside an honest one: 0 to 100.
    #[arg(long, default_value_t = 1.0, value_parser = within(0.0, 100.0))]
    worth: f64,
    /// The epoch in which the cabal turns, less than --epochs.
    #[arg(long, default_value_t = 20)]
    turn: u32,
    /// For how many epochs the honest go on to vote for it, with commas.
    #[arg(long, value_delimiter = ',', default_value = "0,2,5,10,20")]
    notices: Vec<u32>,
    #[command(flatten)]
    course: Course,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// What becomes of a cabal with this share of the stake, if the honest notice so many epochs late.
fn course(flags: &Flags, cabal_stake: f64, notice: u32) -> Result<Vec<Point>> {
    let sides = [
        (1.0 - cabal_stake, flags.honest_peers),
        (cabal_stake, flags.cabal_peers),
    ];
    let stake = flags.course.stake_at_start()?;
    let (mut world, [honest, cabal]) = World::new(flags.parameters.parameters(), stake, sides);
    let noticed = flags.turn.saturating_add(notice);
    let by_worth = || {
        let honest = honest.clone().map(|uid| (uid, 1.0));
        honest.chain(cabal.clone().map(|uid| (uid, flags.worth)))
    };
    Ok(world.run(&flags.course, &cabal, |world, epoch| {
        for voter in honest.clone() {
            match epoch < noticed {
                true => world.vote(voter, by_worth()),
                false => world.vote(voter, honest.clone().map(|uid| (uid, 1.0))),
            }
        }
        for voter in cabal.clone() {
            match epoch < flags.turn {
                true => world.vote(voter, by_worth()),
                false => world.vote(voter, cabal.clone().map(|uid| (uid, 1.0))),
            }
        }
    }))
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    ensure!(
        flags.turn < flags.course.epochs,
        "--turn {} is out of range: from 0 to {}, before the last of --epochs",
        flags.turn,
        flags.course.epochs - 1
    );
    let mut rows = Vec::new();
    let mut answer = Vec::new();
    let mut series = Vec::new();
    for &notice in flags.notices.iter().progress() {
        let points = course(flags, flags.cabal_stake, notice)?;
        let shares = || points.iter().map(|point| point.share);
        let before = points.get(flags.turn.saturating_sub(1) as usize);
        let turned = before.map_or(flags.cabal_stake, |point| point.share);
        let peak = shares().skip(flags.turn as usize).fold(turned, f64::max);
        let last = shares().next_back().unwrap_or(turned);
        let critical = threshold(0.0, 0.5, |stake| {
            let points = course(flags, stake, notice)?;
            Ok(points.last().is_some_and(|point| point.share > 0.5))
        })?;
        rows.push(vec![
            Value::Count(notice.into()),
            Value::Real(turned),
            Value::Real(peak),
            Value::Real(last),
            Value::Count(minted(&points) as u64),
            critical.into(),
        ]);
        answer.push(format!(
            "noticed {}, it has {} at the end{}, and would have the majority with {} at the start",
            after(notice),
            percent(last),
            if points.last().is_some_and(|point| point.minted == 0) {
                ", the market halted"
            } else {
                ""
            },
            critical.map_or("no minority".into(), percent),
        ));
        let curve = (1..)
            .zip(shares())
            .map(|(epoch, share)| (f64::from(epoch), share));
        series.push(Series::line(
            format!("noticed {}", after(notice)),
            std::iter::once((0.0, flags.cabal_stake)).chain(curve),
        ));
    }
    Ok(Report {
        question: format!(
            "Does a cabal win that buys votes with good answers for {} epochs and then votes for itself alone, answering nobody?",
            flags.turn
        ),
        answer: format!(
            "With {} of the stake at the start and {} of it minted per epoch: {}.",
            given(flags.cabal_stake),
            given(flags.course.rate),
            answer.join("; ")
        ),
        table: Table {
            columns: vec!["notice", "share_at_turn", "peak_share", "final_share", "minted_epochs", "critical_stake"],
            rows,
        },
        reading: None,
        chart: Chart {
            title: format!("A cabal that turns after {} epochs", flags.turn),
            x: Axis::number("epochs", 0.0, f64::from(flags.course.epochs)),
            y: Axis::share("the cabal's share of all stake", 0.0, 1.0),
            series,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn final_share(given: &str, notice: u32) -> f64 {
        let flags: Flags = parse(given);
        course(&flags, flags.cabal_stake, notice)
            .unwrap()
            .last()
            .unwrap()
            .share
    }

    #[test]
    fn noticed_at_once_it_decays_and_late_it_wins() {
        assert!(final_share("", 0) < 0.2);
        assert!(final_share("", 20) > 0.5);
    }

    #[test]
    fn before_it_turns_its_share_stays_where_its_worth_is_that_of_its_stake() {
        let flags: Flags = parse("--turn 50");
        let points = course(&flags, 0.4, 0).unwrap();
        assert!(
            (points[49].share - 0.4).abs() < 1e-3,
            "{}",
            points[49].share
        );
    }

    #[test]
    fn a_turn_after_the_end_is_refused_with_the_range() {
        let error = run(&parse("--turn 100 --epochs 100"))
            .map(|_| ())
            .unwrap_err();
        assert!(error.to_string().contains("from 0 to 99"), "{error}");
    }
}
