//! `noesis market metagraph`: one market, once.

use std::{collections::BTreeMap, fmt::Write};

use anyhow::Result;
use clap::Args;
use noesis_chain::{Metagraph, Neuron, Pool, Uid};

use crate::{
    flags::{MarketFlags, OutputFlags},
    row::{rows, with_pools, Answers, Names},
    screen::say,
    settings::Settings,
    table::{self, columns, Column, DISPENSABLE},
    words,
};

/// Flags of `noesis market metagraph`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis market metagraph --market text\n  noesis market metagraph --market 0 --json --url ws://127.0.0.1:9900 | jq .neurons"
)]
pub struct Arguments {
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Prints the market.
pub async fn run(arguments: Arguments) -> Result<()> {
    let (chain, market) = arguments.market.open(&Settings::load()?).await?;
    let block = chain.finalized_block().await?;
    let metagraph = chain.metagraph_at(market, block).await?;
    if arguments.output.json {
        say(&serde_json::to_string_pretty(&metagraph)?);
    } else {
        let pools = chain.pools(market, block).await?;
        say(text(&metagraph, &pools).trim_end());
    }
    Ok(())
}

/// The market as lines of text.
fn text(metagraph: &Metagraph, pools: &BTreeMap<Uid, Pool>) -> String {
    let mut out = String::new();
    let running = match metagraph.begun > metagraph.epoch {
        true => format!(", epoch {} is running", metagraph.begun),
        false => String::new(),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "market {} ({}), epoch {} at block {}{running}, next epoch at block {}\n\
         consensus loss {:.3} ({}), minted {} NOE, registration costs {} NOE\n",
        metagraph.market,
        metagraph.modality.word(),
        metagraph.epoch,
        metagraph.block,
        metagraph.next_epoch_block,
        metagraph.loss.to_f64(),
        if metagraph.in_consensus {
            "in consensus"
        } else {
            "no consensus"
        },
        words::noe(metagraph.minted),
        words::noe(metagraph.registration_cost),
    );
    let rows = with_pools(rows(metagraph, &Names::new(), &Answers::new()), pools);
    let endpoint = |neuron: &Neuron| neuron.endpoint.clone().unwrap_or_else(|| "-".into());
    let endpoints = Column::words("endpoint", metagraph.neurons.iter().map(endpoint));
    out.push_str(&table::text(columns(&rows, endpoints), &DISPENSABLE));
    out.push('\n');
    if rows.is_empty() {
        let _ = writeln!(out, "nobody has registered yet");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::tests::{market, pool},
        table::DELEGATED,
    };
    use noesis_chain::NOE;

    #[test]
    fn the_text_names_every_neuron_and_what_it_earned() {
        let text = text(&market(3, 10 * NOE), &BTreeMap::new());
        assert!(text.starts_with("market 0 (text), epoch 3 at block 30, next epoch at block 40"));
        assert!(text.contains("loss -0.250 (in consensus), minted 10.000 NOE"));
        assert!(text.contains("1,000.000"));
        assert!(text.contains("127.0.0.1:9911"));
        assert_eq!(text.lines().count(), 6);
        assert!(!text.contains(DELEGATED));
    }

    #[test]
    fn what_others_put_behind_a_neuron_has_a_column_of_its_own() {
        let text = text(
            &market(3, 10 * NOE),
            &BTreeMap::from([(0, pool(250 * NOE))]),
        );
        let lines: Vec<_> = text.lines().collect();
        let place = lines[3].find(DELEGATED).unwrap();
        let of_first: String = lines[4].chars().skip(place).take(DELEGATED.len()).collect();
        assert_eq!(of_first.trim(), "250.000", "{text}");
    }

    #[test]
    fn an_epoch_that_is_running_is_named() {
        let mut market = market(3, 10 * NOE);
        market.begun = 4;
        let text = text(&market, &BTreeMap::new());
        assert!(text.contains("epoch 3 at block 30, epoch 4 is running, next epoch at block 40"));
    }

    #[test]
    fn an_empty_market_says_so() {
        let mut market = market(0, 0);
        market.neurons.clear();
        assert!(text(&market, &BTreeMap::new()).contains("nobody has registered yet"));
    }
}
