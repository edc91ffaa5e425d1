//! `noesis market`: the markets of a chain, their neurons and their parameters.

mod list;
mod metagraph;
mod parameters;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{flags::MarketFlags, flags::OutputFlags, screen::say, settings::Settings};

/// What can be asked about markets.
#[derive(Subcommand)]
pub enum Command {
    /// List the markets.
    List(list::Arguments),
    /// Show one market in short.
    Show(Show),
    /// Print one market with all its neurons, as of the last finalized block.
    Metagraph(metagraph::Arguments),
    /// Print every parameter of one market.
    Parameters(parameters::Arguments),
}

/// Flags of `noesis market show`.
#[derive(Args)]
#[command(after_help = "Example:\n  noesis market show --market text")]
pub struct Show {
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Answers it.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::List(arguments) => list::run(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Metagraph(arguments) => metagraph::run(arguments).await,
        Command::Parameters(arguments) => parameters::run(arguments).await,
    }
}

async fn show(arguments: Show) -> Result<()> {
    let (chain, market) = arguments.market.open(&Settings::load()?).await?;
    let summary = list::Summary::of(&chain.metagraph(market).await?);
    match arguments.output.json {
        true => say(&serde_json::to_string_pretty(&summary)?),
        false => say(&summary.text()),
    }
    Ok(())
}
