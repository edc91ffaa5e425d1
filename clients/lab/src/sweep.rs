//! The cabal over many stakes and many densities of the honest graph.

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;

use crate::{
    attacks::cabal::Sides,
    flags::{Course, ParameterFlags, Peers, Shares},
    graph::{GraphFlags, Shape},
    report::{Report, Table, Value},
    words::{minted, percent, Fate},
};
use noesis_chart::{Axis, Chart, Series};

/// Flags of `noesis-lab sweep`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab sweep --preset paper --gate off\n  noesis-lab sweep --cabal-stakes 0.3,0.4,0.45,0.49 --connectivity 0.2:1:0.2 --format csv"
)]
pub struct Flags {
    /// The cabal's shares of all stake at the start: with commas, or FROM:TO:STEP.
    #[arg(long, default_value = "0.1:0.6:0.02")]
    cabal_stakes: Shares,
    /// For how many of the honest each honest neuron votes, as shares of their number.
    #[arg(long, default_value = "0.1:1:0.05")]
    connectivity: Shares,
    /// Which ones, where it is not all.
    #[arg(long, value_enum, default_value_t = Shape::Ring)]
    honest_graph: Shape,
    /// Seed of random graphs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    peers: Peers,
    #[command(flatten)]
    course: Course,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// What became of one cabal.
struct Cell {
    stake: f64,
    edges: u16,
    loss: f64,
    minted: usize,
    share: f64,
    fate: Fate,
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    let cells = cells(flags)?;
    let row = |cell: &Cell| {
        vec![
            Value::Real(cell.stake),
            Value::Count(cell.edges.into()),
            Value::Real(cell.loss),
            Value::Count(cell.minted as u64),
            Value::Real(cell.share),
            Value::Word(cell.fate.word()),
        ]
    };
    Ok(Report {
        question: format!(
            "From which stake on does a cabal win that votes for itself alone, and how much does it matter how many of the {} honest neurons each of them votes for?",
            flags.peers.honest_peers
        ),
        answer: answer(flags, &cells),
        table: Table {
            columns: vec!["cabal_stake", "honest_edges", "loss", "minted_epochs", "final_share", "fate"],
            rows: cells.iter().map(row).collect(),
        },
        reading: Some(map(&cells)),
        chart: chart(flags, &cells),
    })
}

fn cells(flags: &Flags) -> Result<Vec<Cell>> {
    let peers = flags.peers.honest_peers;
    let mut densities: Vec<u16> = flags
        .connectivity
        .0
        .iter()
        .map(|share| ((share * f64::from(peers)).round() as u16).max(1))
        .collect();
    densities.dedup();
    let stakes = &flags.cabal_stakes.0;
    let progress = ProgressBar::new((densities.len() * stakes.len()) as u64);
    let mut cells = Vec::new();
    for edges in densities {
        let sides = Sides {
            parameters: flags.parameters.parameters(),
            peers: flags.peers,
            graph: GraphFlags {
                honest_edges: Some(edges),
                honest_graph: flags.honest_graph,
                seed: flags.seed,
            },
            edges,
            course: flags.course,
        };
        for &stake in stakes {
            let points = sides.run(stake)?;
            cells.push(Cell {
                stake,
                edges,
                loss: points.first().map_or(0.0, |point| point.loss),
                minted: minted(&points),
                share: points.last().map_or(stake, |point| point.share),
                fate: Fate::of(stake, &points),
            });
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(cells)
}

/// From which stakes on each fate begins, with most, some and fewest honest edges.
fn answer(flags: &Flags, cells: &[Cell]) -> String {
    let mut densities: Vec<u16> = cells.iter().map(|cell| cell.edges).collect();
    densities.dedup();
    let mut picked = vec![densities.len().saturating_sub(1), densities.len() / 2, 0];
    picked.dedup();
    let sentences = picked
        .into_iter()
        .filter_map(|index| densities.get(index))
        .map(|&edges| {
            let first = |fate: Fate| {
                let mut row = cells.iter().filter(|cell| cell.edges == edges);
                row.find(|cell| cell.fate == fate)
                    .map(|cell| percent(cell.stake))
            };
            let says = |fate, found: &str, never: &str| match first(fate) {
                Some(stake) => format!("{found} from {stake} on"),
                None => never.to_string(),
            };
            format!(
                "With {edges} of {} honest edges it {}, and the market {}.",
                flags.peers.honest_peers,
                says(Fate::Gains, "gains", "never gains"),
                says(Fate::Frozen, "mints nothing", "always mints"),
            )
        });
    sentences.collect::<Vec<_>>().join(" ")
}

/// The fates as characters: a line for each stake, a column for each number of edges.
fn map(cells: &[Cell]) -> String {
    let mut densities: Vec<u16> = cells.iter().map(|cell| cell.edges).collect();
    densities.dedup();
    let of_first = |cell: &&Cell| Some(&cell.edges) == densities.first();
    let stakes: Vec<f64> = cells
        .iter()
        .filter(of_first)
        .map(|cell| cell.stake)
        .collect();
    let mut lines = vec!["the cabal's stake, by honest edges of a neuron\n".to_string()];
    for &stake in stakes.iter().rev() {
        let signs = cells
            .iter()
            .filter(|cell| cell.stake == stake)
            .map(|cell| match cell.fate {
                Fate::Loses => "   .",
                Fate::Gains => "   #",
                Fate::Stays => "   =",
                Fate::Frozen => "   o",
            });
        lines.push(format!(
            "{:>8}{}",
            percent(stake),
            signs.collect::<String>()
        ));
    }
    let edges: String = densities
        .iter()
        .map(|edges| format!("{edges:>4}"))
        .collect();
    lines.push(format!("        {edges}"));
    let signs = ". it decays   # it gains   = shares stay   o nothing is minted";
    lines.push(format!("\n{signs}   (--format csv has the figures)"));
    lines.join("\n")
}

fn chart(flags: &Flags, cells: &[Cell]) -> Chart {
    let peers = f64::from(flags.peers.honest_peers);
    let fates = [
        (Fate::Loses, "the cabal decays"),
        (Fate::Gains, "the cabal gains"),
        (Fate::Frozen, "nothing is minted"),
        (Fate::Stays, "shares stay"),
    ];
    let marks = |(fate, label): (Fate, &str)| {
        let of_fate = cells.iter().filter(|cell| cell.fate == fate);
        Series::marks(
            label,
            of_fate.map(|cell| (f64::from(cell.edges) / peers, cell.stake)),
        )
    };
    let gate = if flags.parameters.parameters().consensus_gate {
        "on"
    } else {
        "off"
    };
    let most = flags.cabal_stakes.0.iter().copied().fold(0.0, f64::max);
    Chart {
        title: format!(
            "What becomes of a cabal in {} epochs, gate {gate}",
            flags.course.epochs
        ),
        x: Axis::share(
            "honest neurons that each honest neuron votes for",
            0.0,
            1.05,
        ),
        y: Axis::share(
            "the cabal's share of all stake at the start",
            0.0,
            most + 0.03,
        ),
        series: fates
            .map(marks)
            .into_iter()
            .filter(|series| !series.points.is_empty())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn report(flags: &str) -> Report {
        run(&parse(flags)).unwrap()
    }

    #[test]
    fn fewer_honest_edges_let_smaller_cabals_win_unless_the_gate_is_on() {
        let grid =
            "--preset paper --epochs 30 --cabal-stakes 0.1,0.3,0.49,0.52 --connectivity 0.4,1";
        let fates = |flags: &str| -> Vec<Value> {
            let rows = report(&format!("{grid} {flags}")).table.rows;
            rows.iter().map(|row| row[5]).collect()
        };
        let [loses, gains, frozen] = ["loses", "gains", "nothing minted"].map(Value::Word);
        assert_eq!(
            fates("--gate off"),
            [loses, gains, gains, gains, loses, loses, loses, gains]
        );
        let gated = fates("--gate on");
        assert_eq!(gated[4..], [loses, loses, loses, gains]);
        assert_eq!(gated[..3], [frozen; 3]);
    }

    #[test]
    fn each_fate_is_a_series_and_the_answer_names_stakes() {
        let report =
            report("--preset paper --gate off --epochs 10 --cabal-stakes 0.4,0.6 --connectivity 1");
        assert_eq!(report.chart.series.len(), 2);
        let map = report.reading.unwrap();
        assert!(
            map.contains("  60.0 %   #\n  40.0 %   .\n          51\n"),
            "{map}"
        );
        for meaning in [". it decays", "# it gains", "= shares stay", "o nothing"] {
            assert!(map.contains(meaning), "{map}");
        }
        assert!(
            report
                .answer
                .contains("With 51 of 51 honest edges it gains from 60.0 % on"),
            "{}",
            report.answer
        );
    }
}
