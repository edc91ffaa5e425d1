//! `noesis market parameters`: every parameter of a market, by the names of the runtime.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::{
    amount::Amount,
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
    let parameters = chain.parameters(market).await?;
    if arguments.output.json {
        let object: serde_json::Map<_, _> = parameters.into_iter().collect();
        say(&serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    let lines: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), words(name, value)))
        .collect();
    say(&table::pairs(
        lines.iter().map(|(name, value)| (*name, value.as_str())),
    ));
    Ok(())
}

/// A value with its unit; of a parameter that this program does not know, the bare number.
fn words(name: &str, value: &Value) -> String {
    let Some(number) = value.as_u64() else {
        return value.to_string();
    };
    match name {
        "rho" => decimal(number, 9),
        "kappa" | "lambda" | "alpha" | "trust_threshold" | "quorum" | "max_weight" => {
            decimal(number, 18)
        }
        "tempo" | "weights_rate_limit" | "activity_cutoff" | "immunity" => {
            format!("{number} blocks")
        }
        "reveal_period" => format!("{number} epochs"),
        "registration_cost" | "registration_cost_floor" => Amount(number).to_string(),
        _ => number.to_string(),
    }
}

/// A number of parts of a power of ten, exactly.
fn decimal(parts: u64, decimals: usize) -> String {
    let digits = format!("{parts:0>width$}", width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    match part.trim_end_matches('0') {
        "" => whole.into(),
        part => format!("{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_shown_exactly_and_in_its_unit() {
        for (name, number, shown) in [
            ("kappa", 500_000_000_000_000_000_u64, "0.5"),
            ("quorum", 1_000_000_000_000_000_000, "1"),
            ("alpha", 1, "0.000000000000000001"),
            ("rho", 10_000_000_000, "10"),
            ("tempo", 10, "10 blocks"),
            ("registration_cost_floor", 10_000_000, "0.01 NOE"),
            ("something_new", 7, "7"),
        ] {
            assert_eq!(words(name, &number.into()), shown);
        }
        assert_eq!(words("self_weight", &false.into()), "false");
    }
}
