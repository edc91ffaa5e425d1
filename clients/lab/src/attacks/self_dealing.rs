//! Self-dealing: neurons that the others value, and that give most of their own weight to themselves.

use anyhow::Result;
use clap::Args;
use indicatif::ProgressIterator;

use crate::{
    flags::{within, ParameterFlags},
    report::{Report, Table, Value},
    search::spread,
    words::given,
    world::{World, STAKE},
};
use noesis_chart::{Axis, Chart, Series};

/// Keys of a neuron that deals with itself: each votes for the other.
const KEYS: u16 = 2;

/// Flags of `noesis-lab self-dealing`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab self-dealing\n  noesis-lab self-dealing --on-itself 0.2 --format csv"
)]
pub struct Flags {
    /// Neurons of equal stake and equal worth: 2 to 2000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=2000))]
    peers: u16,
    /// How much of its row a dealer gives to its other key; the rest goes to all others alike, which
    /// keeps their trust and its own: 0 to 1.
    #[arg(long, default_value_t = 0.8, value_parser = within(0.0, 1.0))]
    on_itself: f64,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// What honest neurons and dealers are paid, over their share of the stake, where so many deal.
fn pay_ratios(flags: &Flags, dealers: u16) -> [Option<f64>; 2] {
    let dealing = f64::from(dealers) / f64::from(flags.peers);
    let groups = [
        (1.0 - dealing, flags.peers - dealers),
        (dealing, dealers * KEYS),
    ];
    let (mut world, [honest, keys]) = World::new(flags.parameters.parameters(), STAKE, groups);
    // What each uid is worth: that of one neuron, divided among its keys.
    let worths = || {
        let honest = honest.clone().map(|uid| (uid, 1.0));
        honest.chain(keys.clone().map(|uid| (uid, 1.0 / f64::from(KEYS))))
    };
    for voter in honest.clone() {
        world.vote(voter, worths().filter(|&(uid, _)| uid != voter));
    }
    for voter in keys.clone() {
        // Keys come in pairs.
        let place = voter - keys.start;
        let other = keys.start + (place ^ 1);
        let rest = (1.0 - flags.on_itself) / f64::from(flags.peers - 1);
        let others = worths().filter(|&(uid, _)| uid != voter && uid != other);
        let others = others.map(|(uid, worth)| (uid, worth * rest));
        world.vote(voter, others.chain([(other, flags.on_itself)]));
    }
    // The second epoch pays as the first did: the votes are the same, and little was minted.
    let honest_pay = world.pay_ratio(&honest);
    [honest_pay, world.pay_ratio(&keys)]
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    let rows: Vec<(u16, [Option<f64>; 2])> = spread(flags.peers)
        .into_iter()
        .progress()
        .map(|dealers| (dealers, pay_ratios(flags, dealers)))
        .collect();
    let row = |&(dealers, [honest, dealing]): &(u16, [Option<f64>; 2])| {
        vec![
            Value::Count(dealers.into()),
            Value::from(honest),
            Value::from(dealing),
        ]
    };
    Ok(Report {
        question: format!(
            "Of {} neurons of equal worth, does one gain that gives {} of its weight to a second key of its own?",
            flags.peers,
            given(flags.on_itself)
        ),
        answer: answer(flags, &rows),
        table: Table {
            columns: vec!["dealers", "honest_pay", "dealer_pay"],
            rows: rows.iter().map(row).collect(),
        },
        reading: None,
        chart: chart(flags, &rows),
    })
}

fn answer(flags: &Flags, rows: &[(u16, [Option<f64>; 2])]) -> String {
    // Whoever turns dealer compares what it has among some dealers with what it gets among more.
    let gains: Vec<f64> = rows
        .windows(2)
        .filter_map(|pair| Some(pair[1].1[1]? - pair[0].1[0]?))
        .collect();
    let say = |ratio: Option<f64>| ratio.map_or("nothing".into(), |ratio| format!("{ratio:.2}"));
    let at = |dealers| pay_ratios(flags, dealers);
    let half = flags.peers / 2;
    let verdict = match gains.iter().filter(|&&gain| gain > 0.0).count() {
        0 => "No, however many do so already",
        all if all == rows.len() - 1 => "Yes, however many do so already",
        _ => "It depends on how many do so already",
    };
    format!(
        "{verdict}. The first is paid {} times its share instead of {}; among {half} dealers, each is paid {} and each honest neuron {}; the last honest one is paid {}. Where all deal, {} of the rank says nothing but who has stake.",
        say(at(1)[1]),
        say(at(0)[0]),
        say(at(half)[1]),
        say(at(half)[0]),
        say(at(flags.peers - 1)[0]),
        given(flags.on_itself),
    )
}

fn chart(flags: &Flags, rows: &[(u16, [Option<f64>; 2])]) -> Chart {
    let peers = f64::from(flags.peers);
    let line = |label, index: usize| {
        let points = rows.iter();
        Series::line(
            label,
            points.filter_map(|&(dealers, ratios)| {
                Some((f64::from(dealers) / peers, ratios[index]?))
            }),
        )
    };
    let series = vec![
        line("neurons that vote for others", 0),
        line("neurons that deal with themselves", 1),
    ];
    Chart {
        title: format!(
            "{} of the weight for a second key of one's own",
            given(flags.on_itself)
        ),
        x: Axis::share("neurons that deal with themselves", 0.0, 1.0),
        y: Axis::fitting("pay over share of stake", &series),
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn where_none_deals_or_all_do_everybody_is_paid_its_share() {
        let flags: Flags = parse("");
        let [honest, nobody] = pay_ratios(&flags, 0);
        assert!((honest.unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(nobody, None);
        assert!((pay_ratios(&flags, 50)[1].unwrap() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_valued_neuron_gains_by_dealing_however_many_do() {
        let report = run(&parse("")).unwrap();
        assert!(
            report.answer.starts_with("Yes, however many"),
            "{}",
            report.answer
        );
        let [honest, dealers] = pay_ratios(&parse(""), 25).map(Option::unwrap);
        assert!(dealers > 1.2 && honest < 0.8, "{dealers} {honest}");
    }
}
