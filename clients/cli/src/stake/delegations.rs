//! `noesis stake delegations`: what a coldkey has put behind neurons, in all markets.

use anyhow::Result;
use clap::Args;
use noesis_chain::{Behind, Delegation};
use serde_json::{json, Value};

use crate::{
    amount::Amount,
    flags::{NodeFlags, OutputFlags},
    percentage::percentage,
    screen::say,
    settings::Settings,
    table::{self, Column},
    words,
};

use super::Whose;

/// What a narrow terminal goes without, the most dispensable first.
const DISPENSABLE: [&str; 2] = ["take", "uid"];

/// Flags of `noesis stake delegations`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis stake delegations\n  noesis stake delegations 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --json | jq .total"
)]
pub struct Arguments {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Prints them.
pub async fn run(arguments: Arguments) -> Result<()> {
    let settings = Settings::load()?;
    let account = arguments.whose.account(&settings)?;
    let chain = arguments.node.connect(&settings).await?;
    let block = chain.finalized_block().await?;
    let held = chain.delegations(account, block).await?;
    let total: u64 = held.iter().map(Delegation::worth).sum();
    if arguments.output.json {
        let held: Vec<_> = held.iter().map(object).collect();
        say(&json!({ "coldkey": account, "delegations": held, "total": total }).to_string());
    } else if held.is_empty() {
        say(&format!(
            "{account} has nothing behind any neuron: noesis stake pools shows where it could be, noesis stake delegate puts it there"
        ));
    } else {
        say(&text(&held));
        say(&format!("\ntotal {}", Amount(total)));
    }
    Ok(())
}

/// For programs. Where the neuron left there is no market.
fn object(held: &Delegation) -> Value {
    let behind = held.behind;
    json!({
        "pool": held.pool,
        "market": behind.map(|behind| behind.market),
        "uid": behind.map(|behind| behind.uid),
        "hotkey": behind.map(|behind| behind.hotkey),
        "take": behind.map(|behind| behind.take),
        "shares": held.shares,
        "worth": held.worth(),
    })
}

/// For people.
fn text(held: &[Delegation]) -> String {
    let of_neuron = |cell: fn(&Behind) -> String| {
        let cells = held.iter().map(move |held| held.behind.as_ref().map(cell));
        cells.map(|cell| cell.unwrap_or_else(|| "-".into()))
    };
    let hotkey = |held: &Delegation| match held.behind {
        Some(behind) => behind.hotkey.to_string(),
        None => "left; earns no more".into(),
    };
    let columns = vec![
        Column::numbers("pool", held.iter().map(|held| held.pool.to_string())),
        Column::numbers("market", of_neuron(|behind| behind.market.to_string())),
        Column::numbers("uid", of_neuron(|behind| behind.uid.to_string())),
        Column::words("hotkey", held.iter().map(hotkey)),
        Column::numbers("take", of_neuron(|behind| percentage(behind.take))),
        Column::numbers(
            "worth NOE",
            held.iter().map(|held| words::noe(held.worth())),
        ),
    ];
    table::text(columns, &DISPENSABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_chain::{AccountId, Holdings, Share, NOE};

    #[test]
    fn a_delegation_outlives_its_neuron() {
        let holdings = Holdings {
            value: 3 * NOE,
            shares: 2 * NOE,
        };
        let behind = Behind {
            market: 1,
            uid: 4,
            hotkey: AccountId([7; 32]),
            take: Share(Share::ONE.0 / 10),
        };
        let held = |pool, behind| Delegation {
            pool,
            shares: NOE,
            holdings,
            behind,
        };
        let held = [held(2, Some(behind)), held(3, None)];
        let text = text(&held);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[1].contains("10%") && lines[1].ends_with("1.500"),
            "{text}"
        );
        assert!(
            lines[2].contains("left") && lines[2].ends_with("1.500"),
            "{text}"
        );
        let object = object(&held[1]);
        assert_eq!(object["worth"], json!(1_500_000_000));
        assert_eq!(object["market"], Value::Null);
    }
}
