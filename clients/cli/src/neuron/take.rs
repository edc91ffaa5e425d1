//! `noesis neuron take`: the owner's part of what others' units earn behind a neuron.

use anyhow::Result;
use clap::Args;
use noesis_chain::{BlockNumber, Call, ChainError, MarketError, Pool, Raise, Share, Terms};
use serde_json::json;

use super::{neuron, own_neuron};
use crate::{
    flags::Subject,
    percentage::{percentage, Percentage},
    receipt::receipt,
    screen::say,
    settings::Settings,
    table,
    transaction::{carry_out, Fact, Plan},
};

/// Flags of `noesis neuron take`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis neuron take --hotkey judge\n  noesis neuron take 12.5% --hotkey judge --dry-run\n\nA lower take holds at once, a higher one after a notice. It is 18% at most, which it is where none was set."
)]
pub struct Arguments {
    /// The new take, as a percentage with its sign. Without it, the present one is shown.
    #[arg(allow_negative_numbers = true)]
    take: Option<Percentage>,
    #[command(flatten)]
    subject: Subject,
}

/// Shows or sets it.
pub async fn run(arguments: Arguments) -> Result<()> {
    let settings = Settings::load()?;
    let subject = arguments.subject;
    let hotkey = subject.hotkey.account(&settings, &subject.signing.wallet)?;
    let (chain, market) = subject.market.open(&settings).await?;
    let block = chain.finalized_block().await?;
    let metagraph = chain.metagraph_at(market, block).await?;
    let neuron = neuron(&metagraph, hotkey)?;
    let terms = chain.pool_terms().await?;
    let pool = chain.pools(market, block).await?.remove(&neuron.uid);
    let Some(Percentage(take)) = arguments.take else {
        show(pool.as_ref(), &terms, block, subject.signing.output.json);
        return Ok(());
    };
    if take > terms.max_take {
        return Err(ChainError::Market(MarketError::TakeTooHigh).into());
    }
    let key = subject.signing.wallet.coldkey(&settings)?;
    own_neuron(&metagraph, hotkey, &key)?;
    let now = take_at(pool.as_ref(), &terms, block);
    // The call counts from its own block, which comes after this one.
    let (notice, holds) = match take > now {
        true => (terms.take_notice, "blocks after it is sent"),
        false => (0, "blocks: at once"),
    };
    let mut facts = vec![
        Fact::number("market", market.into()),
        Fact::number("uid", neuron.uid.into()),
        Fact::account("hotkey", hotkey),
        Fact::both("take_now", percentage(now), json!(now)),
        Fact::both("take", percentage(take), json!(take)),
        Fact::both("notice", format!("{notice} {holds}"), notice),
    ];
    if let Some(raise) = pool.and_then(|pool| pool.raise_after(block)) {
        facts.push(rise("no_more_announced", raise));
    }
    let plan = Plan {
        call: Call::SetTake {
            market,
            hotkey,
            take,
        },
        key: &key,
        facts,
        costs: 0,
    };
    let mut told = carry_out(&chain, &settings, &subject.signing, plan).await?;
    if let Some([from]) = receipt(&chain, &mut told, "TakeSet", ["from"]).await {
        told.tell("from", from);
        told.line(format!("it holds for epochs from block {from} on"));
    }
    told.print();
    Ok(())
}

/// A higher take that was announced.
pub fn rise(label: &'static str, raise: Raise) -> Fact {
    let take = Share(raise.take);
    let words = format!("{} from block {} on", percentage(take), raise.from);
    Fact::both(label, words, json!({ "take": take, "from": raise.from }))
}

/// The take of a pool that need not be there yet.
pub fn take_at(pool: Option<&Pool>, terms: &Terms, block: BlockNumber) -> Share {
    pool.map_or(terms.max_take, |pool| pool.take_at(block))
}

/// Prints the present take, and a higher one that was announced.
fn show(pool: Option<&Pool>, terms: &Terms, block: BlockNumber, json: bool) {
    let take = take_at(pool, terms, block);
    let raise = pool.and_then(|pool| pool.raise_after(block));
    if json {
        let rises = raise.map(|raise| json!({ "take": Share(raise.take), "from": raise.from }));
        let value = json!({
            "take": take,
            "rises": rises,
            "max_take": terms.max_take,
            "notice": terms.take_notice,
        });
        return say(&value.to_string());
    }
    let rises = raise.map_or("-".into(), |raise| {
        let blocks = raise.from.saturating_sub(block);
        let take = percentage(Share(raise.take));
        format!("{take} from block {} on, in {blocks} blocks", raise.from)
    });
    let most = percentage(terms.max_take);
    let notice = format!("{} blocks before it rises", terms.take_notice);
    let pairs = [
        ("take", percentage(take)),
        ("rises", rises),
        ("at most", most),
        ("notice", notice),
    ];
    say(&table::pairs(
        pairs.iter().map(|(label, value)| (*label, value.as_str())),
    ));
}
