//! `noesis stake delegate` and `undelegate`: NOE behind a neuron of somebody else, and back.

use anyhow::{bail, Context, Result};
use clap::Args;
use noesis_chain::{
    find_neuron, AccountId, Call, Chain, ChainError, Delegation, MarketError, PoolId,
};
use serde_json::{json, Value};

use super::HowMuch;
use crate::{
    amount::Amount,
    exit::Usage,
    flags::Subject,
    neuron::take::{rise, take_at},
    percentage::percentage,
    receipt::receipt,
    settings::Settings,
    transaction::{carry_out, Fact, Plan},
};

/// Flags of `noesis stake delegate`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis stake pools --market text\n  noesis stake delegate 25 --hotkey 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --dry-run\n\nIt earns of the neuron's dividends, less the owner's take, and can be taken out at any time."
)]
pub struct Delegate {
    /// How much at most: in NOE, or in units (10^-9 NOE) with that word behind.
    #[arg(allow_negative_numbers = true)]
    amount: Amount,
    #[command(flatten)]
    subject: Subject,
}

/// Flags of `noesis stake undelegate`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis stake undelegate 2.5 --hotkey 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --dry-run\n  noesis stake undelegate --all --pool 7\n\nWhole shares are sold: the fewest that bring the amount or more."
)]
pub struct Undelegate {
    #[command(flatten)]
    how_much: HowMuch,
    /// Which pool: its number, as noesis stake delegations shows it, also of a neuron that left. Without it,
    /// that behind the hotkey in the market.
    #[arg(long)]
    pool: Option<PoolId>,
    #[command(flatten)]
    subject: Subject,
}

/// Puts NOE behind a neuron.
pub async fn delegate(arguments: Delegate) -> Result<()> {
    let settings = Settings::load()?;
    let (Amount(amount), subject) = (arguments.amount, arguments.subject);
    let key = subject.signing.wallet.coldkey(&settings)?;
    let hotkey = subject.hotkey.account(&settings, &subject.signing.wallet)?;
    let (chain, market) = subject.market.open(&settings).await?;
    let block = chain.finalized_block().await?;
    let metagraph = chain.metagraph_at(market, block).await?;
    let neuron = find_neuron(&metagraph, &hotkey.0).with_context(|| {
        format!("{hotkey} has no neuron in market {market}: noesis stake pools --market {market} shows those there are")
    })?;
    let terms = chain.pool_terms().await?;
    let pool = chain.pools(market, block).await?.remove(&neuron.uid);
    let holdings = pool.map(|pool| pool.holdings).unwrap_or_default();
    let offer = holdings.offer(amount);
    let Some((shares, cost)) = offer.filter(|_| amount >= terms.min_delegation) else {
        return Err(ChainError::Market(MarketError::DelegationTooSmall).into());
    };
    let take = take_at(pool.as_ref(), &terms, block);
    let mut facts = vec![
        Fact::number("market", market.into()),
        Fact::number("uid", neuron.uid.into()),
        Fact::account("hotkey", hotkey),
        Fact::both("take", percentage(take), json!(take)),
    ];
    if let Some(raise) = pool.and_then(|pool| pool.raise_after(block)) {
        facts.push(rise("rises", raise));
    }
    let then = holdings.value.saturating_add(cost);
    facts.extend([
        Fact::amount("amount", amount),
        Fact::amount("delegated", holdings.value),
        Fact::both(
            "planned",
            format!(
                "{shares} shares for {}; {} then lie there",
                Amount(cost),
                Amount(then)
            ),
            json!({ "shares": shares, "cost": cost, "delegated": then }),
        ),
    ]);
    let plan = Plan {
        call: Call::Delegate {
            market,
            hotkey,
            amount,
        },
        key: &key,
        facts,
        costs: amount,
    };
    let mut told = carry_out(&chain, &settings, &subject.signing, plan).await?;
    let names = ["pool", "shares", "amount"];
    if let Some([pool, shares, cost]) = receipt(&chain, &mut told, "Delegated", names).await {
        told.tell("pool", pool);
        told.tell("shares", shares);
        told.tell("cost", cost);
        told.line(format!("bought {shares} shares for {}", Amount(cost)));
    }
    told.print();
    Ok(())
}

/// Takes out what lies behind a neuron.
pub async fn undelegate(arguments: Undelegate) -> Result<()> {
    let settings = Settings::load()?;
    let amount = arguments.how_much.amount;
    let amount = amount.map(Amount::positive).transpose()?;
    let subject = &arguments.subject;
    if arguments.pool.is_some() && subject.names_a_neuron() {
        return Err(Usage(
            "--pool names one pool among those of all markets: leave --hotkey and --market out, or it"
                .into(),
        )
        .into());
    }
    let key = subject.signing.wallet.coldkey(&settings)?;
    let chain = subject.market.node.connect(&settings).await?;
    let held = find(&arguments, &settings, &chain, key.account()).await?;
    let Delegation { pool, holdings, .. } = held;
    let shares = match amount {
        None => held.shares,
        Some(amount) => holdings
            .shares_for(amount)
            .filter(|shares| *shares <= held.shares)
            .ok_or(ChainError::Market(MarketError::InsufficientShares))
            .with_context(|| format!("{} of yours lies there", Amount(held.worth())))?,
    };
    let mut facts = vec![Fact::number("pool", pool)];
    match held.behind {
        Some(behind) => facts.extend([
            Fact::number("market", behind.market.into()),
            Fact::number("uid", behind.uid.into()),
            Fact::account("hotkey", behind.hotkey),
        ]),
        None => facts.push(Fact::both(
            "market",
            "none: its neuron left".into(),
            Value::Null,
        )),
    }
    let (worth, brings) = (held.worth(), holdings.worth(shares));
    let left = holdings.worth(held.shares.saturating_sub(shares));
    facts.extend([
        Fact::number("shares", shares),
        Fact::amount("worth", worth),
        Fact::both(
            "planned",
            format!(
                "{} for the shares; {} then stay",
                Amount(brings),
                Amount(left)
            ),
            json!({ "amount": brings, "worth": left }),
        ),
    ]);
    let plan = Plan {
        call: Call::Undelegate { pool, shares },
        key: &key,
        facts,
        costs: 0,
    };
    let mut told = carry_out(&chain, &settings, &subject.signing, plan).await?;
    if let Some([amount]) = receipt(&chain, &mut told, "Undelegated", ["amount"]).await {
        told.tell("amount", amount);
        told.line(format!("sold {shares} shares for {}", Amount(amount)));
    }
    told.print();
    Ok(())
}

/// What the account has in the pool that the flags name.
async fn find(
    arguments: &Undelegate,
    settings: &Settings,
    chain: &Chain,
    account: AccountId,
) -> Result<Delegation> {
    let held = chain
        .delegations(account, chain.finalized_block().await?)
        .await?;
    let lists = "noesis stake delegations lists what it holds";
    if let Some(pool) = arguments.pool {
        let found = held.into_iter().find(|held| held.pool == pool);
        return found.with_context(|| format!("{account} holds no shares of pool {pool}: {lists}"));
    }
    let subject = &arguments.subject;
    let hotkey = subject.hotkey.account(settings, &subject.signing.wallet)?;
    let market = chain.find_market(&subject.market.name(settings)).await?;
    let there = |held: &Delegation| {
        let behind = held.behind;
        behind.is_some_and(|behind| behind.market == market && behind.hotkey == hotkey)
    };
    match held.into_iter().find(there) {
        Some(held) => Ok(held),
        None => bail!("{account} has nothing behind {hotkey} in market {market}: {lists}"),
    }
}
