//! `noesis metagraph`: one market, once.

use std::fmt::Write;

use anyhow::Result;
use clap::Args;
use noesis_chain::{Chain, Metagraph, Neuron};

use crate::{
    row::{rows, Answers, Names},
    screen::say,
    table::{columns, lines, Column},
    words,
};

/// Flags of `noesis metagraph`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis metagraph --market text\n  noesis metagraph --market 0 --json --url ws://127.0.0.1:9900 | jq .neurons"
)]
pub struct Arguments {
    /// Which market: by its number, or by what it trades, such as text.
    #[arg(long, default_value = "text")]
    market: String,
    /// Address of the node.
    #[arg(long, default_value = "ws://127.0.0.1:9944")]
    url: String,
    /// Print it as JSON, whole, for programs. Amounts are exact, in units of 10^-9 NOE.
    #[arg(long)]
    json: bool,
}

/// Prints the market.
pub async fn run(arguments: Arguments) -> Result<()> {
    let chain = Chain::connect(&arguments.url).await?;
    let market = chain.find_market(&arguments.market).await?;
    let metagraph = chain.metagraph(market).await?;
    if arguments.json {
        say(&serde_json::to_string_pretty(&metagraph)?);
    } else {
        say(text(&metagraph).trim_end());
    }
    Ok(())
}

/// The market as lines of text.
fn text(metagraph: &Metagraph) -> String {
    let mut out = String::new();
    let running = match metagraph.begun > metagraph.epoch {
        true => format!(", epoch {} is running", metagraph.begun),
        false => String::new(),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "market {} ({:?}), epoch {} at block {}{running}, next epoch at block {}\n\
         consensus loss {:.3} ({}), minted {} NOE, registration costs {} NOE\n",
        metagraph.market,
        metagraph.modality,
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
    let rows = rows(metagraph, &Names::new(), &Answers::new());
    let endpoint = |neuron: &Neuron| neuron.endpoint.clone().unwrap_or_else(|| "-".into());
    let endpoints = Column {
        header: "endpoint",
        words: true,
        cells: metagraph.neurons.iter().map(endpoint).collect(),
    };
    for line in lines(&columns(&rows, endpoints)) {
        let _ = writeln!(out, "{line}");
    }
    if rows.is_empty() {
        let _ = writeln!(out, "nobody has registered yet");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::market;
    use noesis_chain::NOE;

    #[test]
    fn the_text_names_every_neuron_and_what_it_earned() {
        let text = text(&market(3, 10 * NOE));
        assert!(text.contains("epoch 3 at block 30, next epoch at block 40"));
        assert!(text.contains("loss -0.250 (in consensus), minted 10.000 NOE"));
        assert!(text.contains("1,000.000"));
        assert!(text.contains("127.0.0.1:9911"));
        assert_eq!(text.lines().count(), 6);
    }

    #[test]
    fn an_epoch_that_is_running_is_named() {
        let mut market = market(3, 10 * NOE);
        market.begun = 4;
        let text = text(&market);
        assert!(text.contains("epoch 3 at block 30, epoch 4 is running, next epoch at block 40"));
    }

    #[test]
    fn an_empty_market_says_so() {
        let mut market = market(0, 0);
        market.neurons.clear();
        assert!(text(&market).contains("nobody has registered yet"));
    }

    #[tokio::test]
    async fn an_absent_node_is_an_error_in_words() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", free.local_addr().unwrap());
        drop(free);
        let arguments = Arguments {
            market: "text".into(),
            url,
            json: false,
        };
        let error = run(arguments).await.unwrap_err().to_string();
        assert!(error.contains("no node answers"), "{error}");
    }
}
