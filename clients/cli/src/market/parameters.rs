//! `noesis market parameters`: a market's share of the emission and its parameters, by the names of the runtime.

use anyhow::Result;
use clap::Args;
use noesis_chain::{BlockNumber, Governance, ParameterValue};
use serde_json::{json, Map, Value};

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
    after_help = "Examples:\n  noesis market parameters --market text\n  noesis market parameters --json | jq .kappa\n\nWhat was decided and waits for the market's next epoch stands beside what holds now. In JSON it stands under\npending; shares and rho are the numbers shown here, amounts are units, times are blocks or epochs."
)]
pub struct Arguments {
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Prints them.
pub async fn run(arguments: Arguments) -> Result<()> {
    let (chain, market) = arguments.market.open(&Settings::load()?).await?;
    let governance = chain.governance(market).await?;
    // Read after them, so that it is not past where something waits for it.
    let from = chain.metagraph(market).await?.next_epoch_block;
    if arguments.output.json {
        say(&serde_json::to_string_pretty(&object(&governance, from))?);
        return Ok(());
    }
    let lines = lines(&governance, from);
    say(&table::pairs(
        lines
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    ));
    Ok(())
}

/// What is set, each with what was decided on in its place and holds from block `from` on.
fn rules(
    governance: &Governance,
) -> impl Iterator<Item = (&str, ParameterValue, Option<ParameterValue>)> {
    let decided = value::rows(governance.last_decided());
    value::rows(&governance.now)
        .zip(decided)
        .map(|((name, now), (_, then))| (name, now, (then != now).then_some(then)))
}

/// For people.
fn lines(governance: &Governance, from: BlockNumber) -> Vec<(String, String)> {
    let lines = rules(governance).map(|(name, now, then)| {
        let mut text = value::words(name, now);
        if let Some(then) = then {
            text.push_str(&format!(
                ", from block {from} on {}",
                value::words(name, then)
            ));
        }
        (name.to_owned(), text)
    });
    lines.collect()
}

/// For programs: by name, and under `pending` what waits, if anything does.
fn object(governance: &Governance, from: BlockNumber) -> Map<String, Value> {
    let mut object = Map::new();
    let mut pending = Map::new();
    for (name, now, then) in rules(governance) {
        object.insert(name.into(), value::json(name, now));
        if let Some(then) = then {
            pending.insert(name.into(), value::json(name, then));
        }
    }
    let pending = match pending.is_empty() {
        true => Value::Null,
        false => json!({ "from_block": from, "rules": pending }),
    };
    object.insert("pending".into(), pending);
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_chain::{Rules, Share};

    #[test]
    fn the_share_comes_first_and_what_waits_is_told_with_its_block() {
        let rules = |share, tempo| Rules {
            emission_share: Share(share),
            parameters: vec![("tempo".into(), ParameterValue::Number(tempo))],
        };
        let mut governance = Governance {
            now: rules(Share::ONE.0 / 2, 10),
            pending: None,
        };
        let expected = json!({ "emission_share": 0.5, "tempo": 10, "pending": null });
        assert_eq!(Value::Object(object(&governance, 40)), expected);
        governance.pending = Some(rules(Share::ONE.0 / 2, 20));
        let told: Vec<_> = lines(&governance, 40)
            .into_iter()
            .map(|(name, text)| format!("{name}: {text}"))
            .collect();
        assert_eq!(
            told,
            [
                "emission_share: 0.5",
                "tempo: 10 blocks, from block 40 on 20 blocks"
            ]
        );
        assert_eq!(
            object(&governance, 40)["pending"],
            json!({ "from_block": 40, "rules": { "tempo": 20 } })
        );
    }
}
