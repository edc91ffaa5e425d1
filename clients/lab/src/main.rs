//! `noesis-lab`: the mechanism under attack, on the very crate that the chain runs.

mod attacks;
mod chance;
mod flags;
mod graph;
mod plot;
mod replay;
mod report;
mod search;
mod sweep;
mod words;
mod world;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use report::{Format, Report};

/// Attacks on the market, simulated: what holds, what breaks, and from which stake on.
///
/// Every command states a question and answers it with figures. All of them run on
/// `market-mechanism`, the arithmetic that the chain runs; only `replay` needs a node.
#[derive(Parser)]
#[command(
    name = "noesis-lab",
    version,
    after_help = "Examples:\n  noesis-lab cabal --preset paper --format csv\n  noesis-lab cabal --honest-edges 20 --gate off --preset paper\n  noesis-lab plot sweep --gate off --out docs/lab/sweep\n  noesis-lab replay --market text"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// In words with a table to read, or for scripts.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Experiment(Experiment),
    /// Draw any of the experiments above as SVG and PNG.
    Plot(plot::Arguments),
    /// Compute an epoch of a running chain again, and compare it with what the chain stored.
    Replay(replay::Flags),
}

/// Everything that can be asked, and drawn.
#[derive(Subcommand)]
enum Experiment {
    /// The paper's experiment: a cabal that votes for itself alone, epoch by epoch.
    Cabal(attacks::cabal::Flags),
    /// The same over many stakes of the cabal and many densities of the honest graph.
    Sweep(sweep::Flags),
    /// A neuron that votes for itself.
    SelfWeight(attacks::self_weight::Flags),
    /// Neurons that the others value, and that vote for themselves with a second key.
    SelfDealing(attacks::self_dealing::Flags),
    /// Trust bought with weights next to nothing.
    EpsilonEdges(attacks::epsilon_edges::Flags),
    /// A validator that copies the others' weights, with and without commit and reveal.
    Copying(attacks::copying::Flags),
    /// One stake behind many keys.
    Sybils(attacks::sybils::Flags),
    /// A cabal that answers well for a while, and then turns.
    Turncoat(attacks::turncoat::Flags),
    /// Idle stake that is paid to vote for a cabal.
    Bribery(attacks::bribery::Flags),
    /// A cabal among honest miners that do not vote with what they earn.
    SilentMiners(attacks::silent_miners::Flags),
    /// A cabal that gives part of its weights to the honest side.
    Hedging(attacks::hedging::Flags),
    /// Votes cast so that nobody is paid.
    Halting(attacks::halting::Flags),
}

impl Experiment {
    fn run(&self) -> Result<Report> {
        match self {
            Self::Cabal(flags) => attacks::cabal::run(flags),
            Self::Sweep(flags) => sweep::run(flags),
            Self::SelfWeight(flags) => attacks::self_weight::run(flags),
            Self::SelfDealing(flags) => attacks::self_dealing::run(flags),
            Self::EpsilonEdges(flags) => attacks::epsilon_edges::run(flags),
            Self::Copying(flags) => attacks::copying::run(flags),
            Self::Sybils(flags) => attacks::sybils::run(flags),
            Self::Turncoat(flags) => attacks::turncoat::run(flags),
            Self::Bribery(flags) => attacks::bribery::run(flags),
            Self::SilentMiners(flags) => attacks::silent_miners::run(flags),
            Self::Hedging(flags) => attacks::hedging::run(flags),
            Self::Halting(flags) => attacks::halting::run(flags),
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Experiment(experiment) => report::say(&experiment.run()?.print(arguments.format)?),
        Command::Plot(plot) => plot::run(plot, arguments.format),
        Command::Replay(flags) => replay::run(flags, arguments.format),
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("noesis-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_help_with_an_example() {
        Arguments::command().debug_assert();
        let mut command = Arguments::command();
        let plot = command.find_subcommand_mut("plot").unwrap();
        assert!(plot
            .render_long_help()
            .to_string()
            .contains("noesis-lab plot"));
        for sub in command.get_subcommands_mut() {
            let help = sub.render_long_help().to_string();
            let example = format!("noesis-lab {}", sub.get_name());
            assert!(help.contains(&example), "{} has no example", sub.get_name());
        }
    }
}
