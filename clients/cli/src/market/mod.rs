//! `noesis market`: the markets of a chain, their neurons and their parameters.

mod govern;
mod list;
mod metagraph;
mod parameters;
mod value;

use anyhow::Result;
use clap::{Args, Subcommand};
use noesis_chain::ParameterValue;

use self::value::EMISSION_SHARE;
use crate::{flags::MarketFlags, flags::OutputFlags, screen::say, settings::Settings};

/// What can be asked about markets, and what root decides about them.
#[derive(Subcommand)]
pub enum Command {
    /// List the markets.
    List(list::Arguments),
    /// Show one market in short.
    Show(Show),
    /// Print one market with all its neurons, as of the last finalized block.
    Metagraph(metagraph::Arguments),
    /// Print a market's share of the emission and every parameter of it.
    Parameters(parameters::Arguments),
    /// Open a market, by root.
    Create(govern::Create),
    /// Change parameters of a market from its next epoch on, by root.
    Set(govern::Set),
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
        Command::Create(arguments) => govern::create(arguments).await,
        Command::Set(arguments) => govern::set(arguments).await,
    }
}

async fn show(arguments: Show) -> Result<()> {
    let (chain, market) = arguments.market.open(&Settings::load()?).await?;
    let block = chain.finalized_block().await?;
    let summary = list::Summary::of(&chain.metagraph_at(market, block).await?);
    let pools = chain.pools(market, block).await?;
    let delegated: u64 = pools.values().map(|pool| pool.holdings.value).sum();
    let share = ParameterValue::Number(chain.governance(market).await?.now.emission_share.0);
    match arguments.output.json {
        true => {
            let mut object = serde_json::to_value(&summary)?;
            object["delegated"] = delegated.into();
            object[EMISSION_SHARE] = value::json(EMISSION_SHARE, share);
            say(&serde_json::to_string_pretty(&object)?);
        }
        false => say(&summary.text(delegated, &value::words(EMISSION_SHARE, share))),
    }
    Ok(())
}
