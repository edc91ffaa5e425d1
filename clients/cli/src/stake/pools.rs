//! `noesis stake pools`: what lies behind the neurons of a market, and on what terms.

use anyhow::Result;
use clap::Args;
use noesis_chain::{Earned, Neuron, Pool, Share, StateError};
use serde_json::{json, Value};

use crate::{
    decimal,
    flags::{MarketFlags, OutputFlags},
    percentage::percentage,
    screen::say,
    settings::Settings,
    table::{self, Column},
    words,
};

/// What a narrow terminal goes without, the most dispensable first.
const DISPENSABLE: [&str; 3] = ["own NOE", "delegators", "rises"];

/// Flags of `noesis stake pools`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis stake pools --market text\n  noesis stake pools --json | jq '.pools[] | select(.delegated > 0)'\n\ntake: the owner's part of what others' units earn. rises: to what, and from which block on. return: what a hundred NOE behind the neuron earned in the last epoch, the take taken off."
)]
pub struct Arguments {
    /// Show how many delegators each pool has: reads every delegation of the chain.
    #[arg(long)]
    delegators: bool,
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// What lies behind a neuron.
struct Line {
    neuron: Neuron,
    pool: Option<Pool>,
    take: Share,
    rises: Option<(Share, u32)>,
    /// Where it was asked for.
    delegators: Option<usize>,
    earned: Option<Earned>,
}

impl Line {
    fn delegated(&self) -> u64 {
        self.pool.map_or(0, |pool| pool.holdings.value)
    }

    fn own(&self) -> u64 {
        self.neuron.stake.saturating_sub(self.delegated())
    }

    /// For programs. Amounts are in units.
    fn object(&self) -> Value {
        let rises = self
            .rises
            .map(|(take, from)| json!({ "take": take, "from": from }));
        let earned = self
            .earned
            .map(|earned| json!({ "of": earned.of, "units": earned.units }));
        json!({
            "uid": self.neuron.uid,
            "hotkey": self.neuron.hotkey,
            "pool": self.pool.map(|pool| pool.id),
            "own": self.own(),
            "delegated": self.delegated(),
            "shares": self.pool.map_or(0, |pool| pool.holdings.shares),
            "delegators": self.delegators,
            "take": self.take,
            "rises": rises,
            "earned": earned,
        })
    }
}

/// Prints the pools.
pub async fn run(arguments: Arguments) -> Result<()> {
    let (chain, market) = arguments.market.open(&Settings::load()?).await?;
    let block = chain.finalized_block().await?;
    let metagraph = chain.metagraph_at(market, block).await?;
    let terms = chain.pool_terms().await?;
    let pools = chain.pools(market, block).await?;
    let delegators = match arguments.delegators {
        true => Some(chain.delegators(block).await?),
        false => None,
    };
    let (earned, unknown) = match chain.pool_earnings(market, block).await {
        Ok(earned) => (earned, None),
        Err(pruned @ StateError::Pruned { .. }) => (Default::default(), Some(pruned)),
        Err(error) => return Err(error.into()),
    };
    let line = |neuron: Neuron| {
        let pool = pools.get(&neuron.uid).copied();
        let raise = pool.and_then(|pool| pool.raise_after(block));
        Line {
            take: pool.map_or(terms.max_take, |pool| pool.take_at(block)),
            rises: raise.map(|raise| (Share(raise.take), raise.from)),
            delegators: delegators.as_ref().map(|delegators| {
                let of_pool = pool.and_then(|pool| delegators.get(&pool.id));
                of_pool.copied().unwrap_or(0)
            }),
            earned: pool.and_then(|pool| earned.get(&pool.id).copied()),
            pool,
            neuron,
        }
    };
    let lines: Vec<_> = metagraph.neurons.into_iter().map(line).collect();
    if arguments.output.json {
        let pools: Vec<_> = lines.iter().map(Line::object).collect();
        let value = json!({
            "market": market,
            "block": block,
            "epoch": metagraph.epoch,
            "earnings_known": unknown.is_none(),
            "pools": pools,
        });
        say(&value.to_string());
        return Ok(());
    }
    if lines.is_empty() {
        say("nobody has registered yet");
        return Ok(());
    }
    say(&text(&lines));
    if let Some(pruned) = unknown {
        say(&format!(
            "\nwhat epoch {} returned is not known: {pruned}",
            metagraph.epoch
        ));
    }
    Ok(())
}

/// For people.
fn text(lines: &[Line]) -> String {
    let numbers =
        |header, cell: fn(&Line) -> String| Column::numbers(header, lines.iter().map(cell));
    let hotkeys = lines.iter().map(|line| line.neuron.hotkey.to_string());
    let mut columns = vec![
        numbers("uid", |line| line.neuron.uid.to_string()),
        Column::words("hotkey", hotkeys),
        numbers("own NOE", |line| words::noe(line.own())),
        numbers("delegated NOE", |line| words::noe(line.delegated())),
    ];
    if lines.iter().any(|line| line.delegators.is_some()) {
        columns.push(numbers("delegators", |line| {
            line.delegators.unwrap_or(0).to_string()
        }));
    }
    columns.extend([
        numbers("take", |line| percentage(line.take)),
        numbers("return", |line| line.earned.map_or("-".into(), rate)),
    ]);
    if lines.iter().any(|line| line.rises.is_some()) {
        let rises = numbers("rises", |line| match line.rises {
            Some((take, from)) => format!("{} at {from}", percentage(take)),
            None => "-".into(),
        });
        columns.insert(columns.len() - 1, rises);
    }
    table::text(columns, &DISPENSABLE)
}

/// What a hundred units earned, to four decimals, rounded down.
fn rate(earned: Earned) -> String {
    let parts = u128::from(earned.units) * 1_000_000 / u128::from(earned.of.max(1));
    let parts = u64::try_from(parts).unwrap_or(u64::MAX);
    format!("{}%", decimal::text(parts, 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::market;
    use noesis_chain::{Holdings, NOE};

    #[test]
    fn a_line_tells_the_owners_stake_from_that_of_others() {
        let [neuron, other] = <[Neuron; 2]>::try_from(market(3, NOE).neurons).unwrap();
        let holdings = Holdings {
            value: 300 * NOE,
            shares: 200 * NOE,
        };
        let line = Line {
            neuron,
            pool: Some(Pool {
                id: 7,
                holdings,
                take: Share::ONE.0 / 10,
                raise: None,
            }),
            take: Share(Share::ONE.0 / 10),
            rises: Some((Share(Share::ONE.0 / 8), 14_500)),
            delegators: Some(2),
            earned: Some(Earned {
                of: 299 * NOE,
                units: NOE,
            }),
        };
        let object = line.object();
        assert_eq!(object["own"], json!(700 * NOE));
        assert_eq!(object["delegated"], json!(300 * NOE));
        let nobody = Line {
            neuron: other,
            pool: None,
            take: Share(Share::ONE.0 / 100 * 18),
            rises: None,
            delegators: Some(0),
            earned: None,
        };
        assert_eq!(nobody.object()["earned"], Value::Null);
        let text = text(&[line, nobody]);
        let lines: Vec<_> = text.lines().collect();
        for words in [
            "700.000",
            "300.000",
            "2",
            "10%",
            "12.5% at 14500",
            "0.3344%",
        ] {
            let mut cells = lines[1].split("  ").map(str::trim);
            assert!(cells.any(|cell| cell == words), "{words}: {text}");
        }
        assert!(
            lines[2].contains("18%") && lines[2].ends_with('-'),
            "{text}"
        );
    }
}
