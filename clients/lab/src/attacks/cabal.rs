//! The paper's experiment: a cabal whose members vote for each other alone.

use anyhow::Result;
use clap::Args;
use market_mechanism::Parameters;

use crate::{
    flags::{within, Course, ParameterFlags, Peers},
    graph::GraphFlags,
    report::{Report, Table, Value},
    words::{given, minted, percent, Fate},
    world::{Point, World},
};
use noesis_chart::{Axis, Chart, Series};

/// Flags of `noesis-lab cabal`.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  noesis-lab cabal --cabal-stake 0.49 --honest-peers 51 --cabal-peers 49 --rate 0.1 --epochs 100 --preset paper --format csv\n  noesis-lab cabal --honest-edges 20 --gate off --preset paper"
)]
pub struct Flags {
    /// The cabal's share of all stake at the start: 0 to 1.
    #[arg(long, default_value_t = 0.49, value_parser = within(0.0, 1.0))]
    cabal_stake: f64,
    #[command(flatten)]
    peers: Peers,
    #[command(flatten)]
    graph: GraphFlags,
    #[command(flatten)]
    course: Course,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// A market of two sides without an edge between them.
#[derive(Clone, Copy)]
pub struct Sides {
    /// How it computes.
    pub parameters: Parameters,
    /// How many neurons each side has.
    pub peers: Peers,
    /// Who votes for whom among the honest.
    pub graph: GraphFlags,
    /// Edges of each honest neuron.
    pub edges: u16,
    /// How long, and how much is minted.
    pub course: Course,
}

impl Sides {
    /// What becomes of a cabal that starts with this share of all stake, epoch by epoch. Everybody
    /// votes anew in each epoch, the cabal's members each for all of them.
    pub fn run(&self, cabal_stake: f64) -> Result<Vec<Point>> {
        let stake = self.course.stake_at_start()?;
        let sides = [
            (1.0 - cabal_stake, self.peers.honest_peers),
            (cabal_stake, self.peers.cabal_peers),
        ];
        let (mut world, [honest, cabal]) = World::new(self.parameters, stake, sides);
        Ok(world.run(&self.course, &cabal, |world, _| {
            self.graph.vote(world, &honest, self.edges);
            world.vote_alike(&cabal, &cabal);
        }))
    }
}

/// Runs the experiment.
pub fn run(flags: &Flags) -> Result<Report> {
    let sides = Sides {
        parameters: flags.parameters.parameters(),
        peers: flags.peers,
        graph: flags.graph,
        edges: flags.graph.edges(flags.peers.honest_peers)?,
        course: flags.course,
    };
    let points = sides.run(flags.cabal_stake)?;
    let row = |(epoch, point): (usize, &Point)| {
        vec![
            Value::Count(epoch as u64),
            Value::Real(point.share),
            Value::Real(point.loss),
            Value::Count(point.minted),
        ]
    };
    Ok(Report {
        question: format!(
            "Does a cabal with {} of the stake win that votes for itself alone, where each of {} honest neurons votes for {} of them?",
            given(flags.cabal_stake), flags.peers.honest_peers, sides.edges
        ),
        answer: answer(flags.cabal_stake, &points),
        table: Table {
            columns: vec!["epoch", "cabal_share", "loss", "minted"],
            rows: points.iter().enumerate().map(row).collect(),
        },
        reading: None,
        chart: chart(flags, sides, &points)?,
    })
}

fn answer(start: f64, points: &[Point]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    let fate = match Fate::of(start, points) {
        Fate::Gains => "Yes: it gains",
        Fate::Loses => "No: it decays",
        Fate::Stays => "No: its share stays",
        Fate::Frozen => "No: nothing is minted, and nobody's share moves",
    };
    format!(
        "{fate}. It starts with {} of the stake and has {} after {} epochs, {} of which minted something; the loss is {:+.4} in the first and {:+.4} in the last.",
        percent(start),
        percent(last.share),
        points.len(),
        minted(points),
        first.loss,
        last.loss,
    )
}

/// The cabal's share beside what it would be with every honest edge, and with the gate the other way.
fn chart(flags: &Flags, sides: Sides, points: &[Point]) -> Result<Chart> {
    let peers = flags.peers.honest_peers;
    let name = |sides: &Sides| {
        let gate = if sides.parameters.consensus_gate {
            "on"
        } else {
            "off"
        };
        format!("{} of {peers} honest edges, gate {gate}", sides.edges)
    };
    let line = |name, points: &[Point]| {
        let start = (0.0, flags.cabal_stake);
        let rest = points.iter().zip(1..);
        Series::line(
            name,
            std::iter::once(start)
                .chain(rest.map(|(point, epoch)| (f64::from(epoch), point.share))),
        )
    };
    let mut series = vec![line(name(&sides), points)];
    let mut other = sides;
    other.parameters.consensus_gate = !other.parameters.consensus_gate;
    series.push(line(name(&other), &other.run(flags.cabal_stake)?));
    if sides.edges < peers {
        let dense = Sides {
            edges: peers,
            ..sides
        };
        series.push(line(name(&dense), &dense.run(flags.cabal_stake)?));
    }
    Ok(Chart {
        title: format!("A cabal with {} of the stake", given(flags.cabal_stake)),
        x: Axis::number("epochs", 0.0, f64::from(flags.course.epochs)),
        y: Axis::share("the cabal's share of all stake", 0.0, 1.0),
        series,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn report(flags: &str) -> Report {
        run(&parse(flags)).unwrap()
    }

    #[test]
    fn with_every_edge_the_cabal_of_the_paper_decays() {
        let report = report("--preset paper");
        assert!(
            report.answer.starts_with("No: it decays."),
            "{}",
            report.answer
        );
        assert!(report.answer.contains("100 of which minted"));
        assert_eq!(report.table.rows.len(), 100);
    }

    #[test]
    fn among_sparse_honest_edges_it_wins_without_the_gate_and_with_it_nothing_is_minted() {
        let open = report("--preset paper --honest-edges 20 --gate off");
        assert!(open.answer.starts_with("Yes: it gains."), "{}", open.answer);
        let gated = report("--preset paper --honest-edges 20");
        assert!(
            gated.answer.contains("0 of which minted"),
            "{}",
            gated.answer
        );
        assert!(gated.table.rows.iter().all(|row| row[3] == Value::Count(0)));
        assert_eq!(open.chart.series.len(), 3);
    }

    #[test]
    fn a_majority_wins_and_a_random_graph_does_as_a_ring_does() {
        assert!(report("--preset paper --cabal-stake 0.51")
            .answer
            .starts_with("Yes"));
        let random = report("--preset paper --honest-edges 20 --honest-graph random --gate off");
        assert!(random.answer.starts_with("Yes"), "{}", random.answer);
    }
}
