//! `noesis market list`: every market in a line.

use anyhow::Result;
use clap::Args;
use noesis_chain::{BlockNumber, MarketId, Metagraph, Modality};
use serde::Serialize;

use crate::{
    amount::Amount,
    flags::{NodeFlags, OutputFlags},
    screen::say,
    settings::Settings,
    table::{self, Column},
    words,
};

/// What a narrow terminal goes without, the most dispensable first.
const DISPENSABLE: [&str; 4] = ["minted NOE", "registration", "next epoch", "stake NOE"];

/// Flags of `noesis market list`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis market list\n  noesis market list --json | jq '.[].registration_cost'"
)]
pub struct Arguments {
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// A market in short. Amounts are in units.
#[derive(Serialize)]
pub struct Summary {
    market: MarketId,
    modality: Modality,
    neurons: usize,
    capacity: u16,
    stake: u64,
    epoch: u64,
    next_epoch_block: BlockNumber,
    tempo: BlockNumber,
    loss: f64,
    in_consensus: bool,
    minted: u64,
    registration_cost: u64,
    hides_weights: bool,
}

impl Summary {
    /// What the snapshot says in short.
    pub fn of(metagraph: &Metagraph) -> Self {
        Self {
            market: metagraph.market,
            modality: metagraph.modality,
            neurons: metagraph.neurons.len(),
            capacity: metagraph.rules.capacity,
            stake: metagraph.neurons.iter().map(|neuron| neuron.stake).sum(),
            epoch: metagraph.epoch,
            next_epoch_block: metagraph.next_epoch_block,
            tempo: metagraph.rules.tempo,
            loss: metagraph.loss.to_f64(),
            in_consensus: metagraph.in_consensus,
            minted: metagraph.minted,
            registration_cost: metagraph.registration_cost,
            hides_weights: metagraph.rules.reveal_period > 0,
        }
    }

    /// In lines, for people; with what of its stake is delegated, and its share of the emission.
    pub fn text(&self, delegated: u64, emission_share: &str) -> String {
        let consensus = match self.in_consensus {
            true => "in consensus",
            false => "no consensus",
        };
        let weights = match self.hides_weights {
            true => "committed to, shown later",
            false => "in the clear",
        };
        let pairs = [
            (
                "market",
                format!("{} ({})", self.market, self.modality.word()),
            ),
            ("neurons", format!("{} of {}", self.neurons, self.capacity)),
            ("stake", Amount(self.stake).to_string()),
            ("delegated", format!("{} of it", Amount(delegated))),
            (
                "epoch",
                format!("{}, every {} blocks", self.epoch, self.tempo),
            ),
            ("next epoch", format!("at block {}", self.next_epoch_block)),
            ("consensus loss", format!("{:.3} ({consensus})", self.loss)),
            ("emission share", emission_share.into()),
            ("last minted", Amount(self.minted).to_string()),
            ("registration", Amount(self.registration_cost).to_string()),
            ("weights", weights.into()),
        ];
        table::pairs(pairs.iter().map(|(label, value)| (*label, value.as_str())))
    }
}

/// Prints the markets.
pub async fn run(arguments: Arguments) -> Result<()> {
    let chain = arguments.node.connect(&Settings::load()?).await?;
    let markets: Vec<_> = chain.markets().await?.iter().map(Summary::of).collect();
    if arguments.output.json {
        say(&serde_json::to_string_pretty(&markets)?);
        return Ok(());
    }
    let column =
        |header, cell: fn(&Summary) -> String| Column::numbers(header, markets.iter().map(cell));
    let columns = vec![
        column("market", |market| market.market.to_string()),
        Column::words(
            "trades",
            markets
                .iter()
                .map(|market| market.modality.word().to_string()),
        ),
        column("neurons", |market| market.neurons.to_string()),
        column("slots", |market| market.capacity.to_string()),
        column("stake NOE", |market| words::noe(market.stake)),
        column("epoch", |market| market.epoch.to_string()),
        column("next epoch", |market| market.next_epoch_block.to_string()),
        column("loss", |market| format!("{:.3}", market.loss)),
        column("minted NOE", |market| words::noe(market.minted)),
        column("registration", |market| {
            words::noe(market.registration_cost)
        }),
    ];
    say(&table::text(columns, &DISPENSABLE));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::market;
    use noesis_chain::NOE;

    #[test]
    fn a_market_in_short_says_what_registering_costs_and_how_full_it_is() {
        let text = Summary::of(&market(3, 10 * NOE)).text(NOE, "0.5");
        assert!(text.contains("neurons         2 of 0"), "{text}");
        assert!(text.contains("registration    1 NOE"), "{text}");
        assert!(text.contains("delegated       1 NOE of it"), "{text}");
        assert!(text.contains("emission share  0.5"), "{text}");
        assert!(text.contains("-0.250 (in consensus)"), "{text}");
    }
}
