//! `noesis market parameters`: every parameter of a market, by the names of the runtime.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::value;
use crate::{
    flags::{MarketFlags, OutputFlags},
    screen::say,
    settings::Settings,
    table,
};

/// Flags of `noesis market parameters`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis market parameters --market text\n  noesis market parameters --json | jq .kappa\n\nIn JSON, shares are in parts of 10^18, rho in parts of 10^9, amounts in units, times in blocks."
)]
pub struct Arguments {
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Prints the parameters.
pub async fn run(arguments: Arguments) -> Result<()> {
    let (chain, market) = arguments.market.open(&Settings::load()?).await?;
    let parameters = chain.governance(market).await?.now.parameters;
    if arguments.output.json {
        let object: serde_json::Map<_, _> = parameters
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect();
        say(&serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    let lines: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value::words(name, *value)))
        .collect();
    say(&table::pairs(
        lines.iter().map(|(name, value)| (*name, value.as_str())),
    ));
    Ok(())
}
