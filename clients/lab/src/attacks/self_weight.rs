//! Self-weighting: a neuron that votes for itself, by the diagonal or by a second key.

use anyhow::Result;
use clap::Args;
use market_mechanism::Parameters;

use crate::{
    flags::{within, ParameterFlags, Shares},
    report::{Report, Table, Value},
    words::{given, percent},
    world::{World, STAKE},
};
use noesis_chart::{Axis, Chart, Series};

/// Flags of `noesis-lab self-weight`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab self-weight\n  noesis-lab self-weight --stakes 0.1,0.3 --on-itself 0.5 --format csv\n\n--self-weight is varied here: given as a flag, it changes nothing."
)]
pub struct Flags {
    /// The neuron's shares of all stake: with commas, or FROM:TO:STEP.
    #[arg(long, default_value = "0.02:0.48:0.02")]
    stakes: Shares,
    /// How much of its row it gives to itself; the rest goes to the honest alike: 0 to 1.
    #[arg(long, default_value_t = 1.0, value_parser = within(0.0, 1.0))]
    on_itself: f64,
    /// Honest neurons, of equal stake, who vote for each other: 2 to 4000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=4000))]
    honest_peers: u16,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// What the neuron does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conduct {
    /// It votes for the honest.
    Honest,
    /// It votes for itself, and the diagonal counts.
    Allowed,
    /// It votes for itself, and the diagonal does not count.
    Banned,
    /// Two keys with half the stake each vote for each other, and the diagonal does not count.
    TwoKeys,
}

const CONDUCTS: [Conduct; 4] = [
    Conduct::Honest,
    Conduct::Allowed,
    Conduct::Banned,
    Conduct::TwoKeys,
];

/// What a neuron with this share of the stake is paid, over that share.
///
/// `valued` is whether the honest vote for it as they do for each other.
fn pay_ratio(flags: &Flags, stake: f64, valued: bool, conduct: Conduct) -> Option<f64> {
    let parameters = Parameters {
        self_weight: conduct == Conduct::Allowed,
        ..flags.parameters.parameters()
    };
    let keys = if conduct == Conduct::TwoKeys { 2 } else { 1 };
    let groups = [(1.0 - stake, flags.honest_peers), (stake, keys)];
    let (mut world, [honest, own]) = World::new(parameters, STAKE, groups);
    for voter in honest.clone() {
        let others = honest
            .clone()
            .filter(|&uid| uid != voter)
            .map(|uid| (uid, 1.0));
        let worth = if valued { 1.0 / f64::from(keys) } else { 0.0 };
        world.vote(voter, others.chain(own.clone().map(|uid| (uid, worth))));
    }
    let on_itself = if conduct == Conduct::Honest {
        0.0
    } else {
        flags.on_itself
    };
    let each = (1.0 - on_itself) / f64::from(flags.honest_peers);
    for voter in own.clone() {
        // The other key, or itself where there is but one.
        let itself = own.start + own.end - 1 - voter;
        let row = honest.clone().map(|uid| (uid, each));
        world.vote(voter, row.chain([(itself, on_itself)]));
    }
    world.pay_ratio(&own)
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    let ratios = |valued| -> Vec<[Option<f64>; 4]> {
        let stakes = flags.stakes.0.iter();
        stakes
            .map(|&stake| CONDUCTS.map(|conduct| pay_ratio(flags, stake, valued, conduct)))
            .collect()
    };
    let (valued, worthless) = (ratios(true), ratios(false));
    let rows = flags.stakes.0.iter().zip(valued.iter().zip(&worthless));
    let rows = rows.map(|(&stake, (valued, worthless))| {
        let ratios = valued.iter().chain(worthless);
        let ratios = ratios.copied().map(Value::from);
        std::iter::once(Value::Real(stake)).chain(ratios).collect()
    });
    Ok(Report {
        question: format!(
            "Does a neuron gain by giving {} of its weight to itself?",
            given(flags.on_itself)
        ),
        answer: answer(flags, &valued, &worthless),
        table: Table {
            columns: vec![
                "stake",
                "valued_honest",
                "valued_allowed",
                "valued_banned",
                "valued_two_keys",
                "worthless_honest",
                "worthless_allowed",
                "worthless_banned",
                "worthless_two_keys",
            ],
            rows: rows.collect(),
        },
        reading: None,
        chart: chart(flags, &valued, &worthless),
    })
}

fn answer(flags: &Flags, valued: &[[Option<f64>; 4]], worthless: &[[Option<f64>; 4]]) -> String {
    let say = |ratio: Option<f64>| ratio.map_or("nothing".into(), |ratio| format!("{ratio:.2}"));
    let middle = flags.stakes.0.len() / 2;
    let stake = flags.stakes.0.get(middle).copied().unwrap_or(0.0);
    let sentence = |of: &str, ratios: &[[Option<f64>; 4]]| {
        let [honest, allowed, banned, two] = ratios.get(middle).copied().unwrap_or([None; 4]);
        format!(
            "{of}, it is paid {} times its share by voting for others, {} by voting for itself where the diagonal counts, {} where it does not, {} with two keys that vote for each other.",
            say(honest), say(allowed), say(banned), say(two)
        )
    };
    let from = |ratios: &[[Option<f64>; 4]], index: usize| {
        let mut pairs = flags.stakes.0.iter().zip(ratios);
        let found =
            pairs.find(|(_, ratios)| ratios[index].unwrap_or(0.0) > ratios[0].unwrap_or(0.0));
        found.map_or("at none of these stakes".into(), |(&stake, _)| {
            format!("from {} on", percent(stake))
        })
    };
    format!(
        "With {} of the stake: {} {} Two keys beat honest votes {} where the neuron is valued, {} where it is worthless.",
        percent(stake),
        sentence("valued as the others are", valued),
        sentence("valued by nobody", worthless).replacen("valued", "Valued", 1),
        from(valued, 3),
        from(worthless, 3),
    )
}

fn chart(flags: &Flags, valued: &[[Option<f64>; 4]], worthless: &[[Option<f64>; 4]]) -> Chart {
    let line = |label, ratios: &[[Option<f64>; 4]], index: usize| {
        let pairs = flags.stakes.0.iter().zip(ratios);
        Series::line(
            label,
            pairs.filter_map(|(&stake, ratios)| Some((stake, ratios[index]?))),
        )
    };
    let series = vec![
        line("valued: honest votes", valued, 0),
        line("worthless: honest votes", worthless, 0),
        line("valued: diagonal counts", valued, 1),
        line("worthless: diagonal counts", worthless, 1),
        line("valued: two keys", valued, 3),
        line("worthless: two keys", worthless, 3),
    ];
    let most = flags.stakes.0.iter().copied().fold(0.0, f64::max);
    Chart {
        title: "What a neuron that votes for itself is paid".into(),
        x: Axis::share("its share of all stake", 0.0, most.max(0.01)),
        y: Axis::fitting("pay over share of stake", &series),
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn the_diagonal_pays_where_it_counts_and_a_second_key_stands_in_where_not() {
        let flags: Flags = parse("");
        let valued = |conduct| pay_ratio(&flags, 0.1, true, conduct).unwrap();
        let honest = valued(Conduct::Honest);
        assert!(valued(Conduct::Allowed) > honest + 0.3);
        // A row of nothing but the diagonal is no vote: only the incentive is left.
        assert!(valued(Conduct::Banned) < honest);
        assert!((valued(Conduct::TwoKeys) - valued(Conduct::Allowed)).abs() < 0.01);
    }

    #[test]
    fn a_small_worthless_neuron_does_better_by_honest_votes() {
        let flags: Flags = parse("");
        let worthless = |stake, conduct| pay_ratio(&flags, stake, false, conduct).unwrap();
        assert!((worthless(0.1, Conduct::Honest) - 0.5).abs() < 0.01);
        assert!(worthless(0.1, Conduct::Allowed) < 0.1);
        assert_eq!(worthless(0.1, Conduct::Banned), 0.0);
        assert!(worthless(0.44, Conduct::Allowed) < 1.0);
        // Above that the market is out of consensus.
        assert_eq!(pay_ratio(&flags, 0.46, false, Conduct::Allowed), None);
    }

    #[test]
    fn rows_are_one_for_each_stake() {
        let report = run(&parse("--stakes 0.1,0.2,0.3")).unwrap();
        assert_eq!(report.table.rows.len(), 3);
        assert_eq!(report.table.columns.len(), report.table.rows[0].len());
        assert!(
            report.answer.starts_with("With 20.0 % of the stake"),
            "{}",
            report.answer
        );
    }
}
