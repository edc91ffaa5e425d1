//! `noesis-lab plot`: any experiment as a picture.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use noesis_chart as chart;

use crate::{
    report::{say, Format},
    Experiment,
};

/// Flags of `noesis-lab plot`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis-lab plot cabal --preset paper --out cabal.png\n  noesis-lab plot sweep --preset paper --gate off --out docs/lab/sweep"
)]
pub struct Arguments {
    #[command(subcommand)]
    experiment: Experiment,
    /// The file to write, ending in .svg or .png; without an ending, both.
    #[arg(long, global = true, default_value = "lab")]
    out: PathBuf,
}

/// Runs the experiment, draws it, and prints its answer.
pub fn run(arguments: &Arguments, format: Format) -> Result<()> {
    let files = chart::files(&arguments.out).context("--out")?;
    let report = arguments.experiment.run()?;
    chart::write(&report.chart, &files).context("--out")?;
    for file in &files {
        eprintln!("wrote {}", file.display());
    }
    say(&report.print(format)?)
}
