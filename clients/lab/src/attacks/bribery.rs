//! Bribery: stake that lay idle is paid to vote for a cabal.

use anyhow::{ensure, Result};
use clap::Args;
use indicatif::ProgressIterator;
use market_mechanism::Parameters;

use crate::{
    flags::{within, Course, ParameterFlags},
    report::{Report, Table, Value},
    search::spread,
    words::{given, minted, percent},
    world::{Group, World},
};
use noesis_chart::{Axis, Chart, Series};

/// Flags of `noesis-lab bribery`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab bribery\n  noesis-lab bribery --honest-stake 0.15 --cabal-stake 0.08 --quorum 0 --format csv\n\n--count-idle-stake is varied here: given as a flag, it changes nothing."
)]
pub struct Flags {
    /// The share of all stake that votes honestly: 0 to 1.
    #[arg(long, default_value_t = 0.4, value_parser = within(0.0, 1.0))]
    honest_stake: f64,
    /// The cabal's share of all stake; what is left of it lies idle: 0 to 1.
    #[arg(long, default_value_t = 0.25, value_parser = within(0.0, 1.0))]
    cabal_stake: f64,
    /// Honest neurons, of equal stake: 1 to 1000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    honest_peers: u16,
    /// Neurons of the cabal, of equal stake: 1 to 1000.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1000))]
    cabal_peers: u16,
    /// Idle neurons, of equal stake: 1 to 1000.
    #[arg(long, default_value_t = 35, value_parser = clap::value_parser!(u16).range(1..=1000))]
    idle_peers: u16,
    #[command(flatten)]
    course: Course,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// What became of the cabal and those it bribed.
#[derive(Clone, Copy)]
struct Finding {
    /// Their share of the stake that votes, at the start.
    votes: f64,
    /// What the bribed stake is paid in the first epoch, over its share of all stake.
    bribed_pay: Option<f64>,
    /// Their share of all stake at the end.
    share: f64,
    /// Epochs in which something was minted.
    minted: u64,
}

/// Stakes of the honest, the cabal and the idle.
fn groups(flags: &Flags) -> [(f64, u16); 3] {
    let idle = 1.0 - flags.honest_stake - flags.cabal_stake;
    [
        (flags.honest_stake, flags.honest_peers),
        (flags.cabal_stake, flags.cabal_peers),
        (idle.max(0.0), flags.idle_peers),
    ]
}

fn find(flags: &Flags, count_idle_stake: bool, bribed: u16) -> Result<Finding> {
    let parameters = Parameters {
        count_idle_stake,
        ..flags.parameters.parameters()
    };
    let stake = flags.course.stake_at_start()?;
    let market = || World::new(parameters, stake, groups(flags));
    let vote = |world: &mut World, [honest, cabal, idle]: &[Group; 3]| {
        let bought = idle.start..idle.start + bribed;
        world.vote_alike(honest, honest);
        world.vote_alike(cabal, cabal);
        world.vote_alike(&bought, cabal);
    };
    let (mut world, sides) = market();
    // The bribed come right after the cabal.
    let bought: Group = sides[2].start..sides[2].start + bribed;
    let coalition: Group = sides[1].start..bought.end;
    let (own, others) = (world.share(&coalition), world.share(&sides[0]));
    let votes = if own > 0.0 { own / (own + others) } else { 0.0 };
    vote(&mut world, &sides);
    let bribed_pay = if bribed > 0 {
        world.pay_ratio(&bought)
    } else {
        None
    };

    let (mut world, sides) = market();
    let points = world.run(&flags.course, &coalition, |world, _| vote(world, &sides));
    Ok(Finding {
        votes,
        bribed_pay,
        share: points.last().map_or(own, |point| point.share),
        minted: minted(&points) as u64,
    })
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    ensure!(
        flags.honest_stake + flags.cabal_stake <= 1.0 + 1e-9,
        "--honest-stake {} and --cabal-stake {} are together more than 1: the stake that lies idle is what they leave of it",
        flags.honest_stake,
        flags.cabal_stake
    );
    let each = groups(flags)[2].0 / f64::from(flags.idle_peers);
    let rows: Vec<(f64, [Finding; 2])> = spread(flags.idle_peers)
        .into_iter()
        .progress()
        .map(|bribed| {
            let found = [find(flags, false, bribed)?, find(flags, true, bribed)?];
            Ok((f64::from(bribed) * each, found))
        })
        .collect::<Result<_>>()?;
    let row = |(stake, [off, on]): &(f64, [Finding; 2])| {
        let outcome = |found: &Finding| {
            [
                Value::from(found.bribed_pay),
                Value::Real(found.share),
                Value::Count(found.minted),
            ]
        };
        let first = [Value::Real(*stake), Value::Real(off.votes)];
        first
            .into_iter()
            .chain(outcome(off))
            .chain(outcome(on))
            .collect()
    };
    Ok(Report {
        question: format!(
            "How much idle stake must a cabal with {} of all stake bribe to outdo honest votes with {}?",
            given(flags.cabal_stake),
            given(flags.honest_stake)
        ),
        answer: answer(flags, &rows),
        table: Table {
            columns: vec![
                "bribed_stake",
                "share_of_votes",
                "bribed_pay",
                "final_share",
                "minted_epochs",
                "counted_bribed_pay",
                "counted_final_share",
                "counted_minted_epochs",
            ],
            rows: rows.iter().map(row).collect(),
        },
        reading: None,
        chart: chart(flags, &rows),
    })
}

fn answer(flags: &Flags, rows: &[(f64, [Finding; 2])]) -> String {
    let says = |rule: &str, index: usize| {
        let wins = |stake: f64, found: &Finding| {
            found.share > flags.cabal_stake + stake + 1e-9 && found.votes > 0.5
        };
        let won = rows
            .iter()
            .find(|(stake, found)| wins(*stake, &found[index]));
        let frozen = rows
            .iter()
            .filter(|(_, found)| found[index].minted == 0)
            .count();
        let first = match won {
            None => format!("{rule}, it never wins"),
            Some((stake, found)) => format!(
                "{rule}, it wins from {} of all stake on, which the market itself then pays {:.2} times its share",
                percent(*stake),
                found[index].bribed_pay.unwrap_or(0.0)
            ),
        };
        format!(
            "{first}; of the {} amounts tried, {frozen} leave nothing minted",
            rows.len()
        )
    };
    format!(
        "{}. {}.",
        says("Where idle stake does not count", 0),
        says("Where it counts", 1)
    )
}

fn chart(flags: &Flags, rows: &[(f64, [Finding; 2])]) -> Chart {
    let line = |label, index: usize| {
        let points = rows.iter();
        Series::line(
            label,
            points.map(|(stake, found)| (*stake, found[index].share)),
        )
    };
    let idle = groups(flags)[2].0;
    Chart {
        title: format!(
            "Bribed idle stake: {} honest, {} cabal",
            given(flags.honest_stake),
            given(flags.cabal_stake)
        ),
        x: Axis::share("bribed stake, of all", 0.0, idle.max(0.01)),
        y: Axis::share(
            format!("the coalition's share after {} epochs", flags.course.epochs),
            0.0,
            1.0,
        ),
        series: vec![
            Series::line(
                "at the start",
                rows.iter()
                    .map(|(stake, _)| (*stake, flags.cabal_stake + stake)),
            ),
            line("idle stake does not count", 0),
            line("idle stake counts", 1),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn bribing_a_clear_majority_wins_and_pays_for_itself() {
        let flags: Flags = parse("");
        let few = find(&flags, false, 4).unwrap();
        assert!(few.share < 0.25);
        // In between nobody has a clear majority, and nothing is minted.
        assert_eq!(find(&flags, false, 15).unwrap().minted, 0);
        let many = find(&flags, false, 30).unwrap();
        assert!(many.share > 0.6);
        assert!(many.bribed_pay.unwrap() > 0.5);
    }

    #[test]
    fn counted_idle_stake_halts_the_market_until_more_than_half_of_all_is_bought() {
        let flags: Flags = parse("");
        assert_eq!(find(&flags, true, 0).unwrap().minted, 0);
        assert_eq!(find(&flags, true, 20).unwrap().minted, 0);
        assert!(find(&flags, true, 34).unwrap().share > 0.6);
    }

    #[test]
    fn below_the_quorum_nothing_is_minted() {
        let few = "--honest-stake 0.1 --cabal-stake 0.05";
        assert_eq!(find(&parse(few), false, 0).unwrap().minted, 0);
        let without = parse(&format!("{few} --quorum 0"));
        assert_eq!(find(&without, false, 0).unwrap().minted, 100);
    }

    #[test]
    fn more_than_all_stake_is_refused_in_words() {
        let error = run(&parse("--honest-stake 0.8")).map(|_| ()).unwrap_err();
        assert!(
            error.to_string().contains("together more than 1"),
            "{error}"
        );
    }
}
