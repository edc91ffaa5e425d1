//! `noesis stake delegate` and `undelegate`: NOE behind a neuron of somebody else, and back.

use anyhow::{bail, Context, Result};
use clap::Args;
use noesis_chain::{
    AccountId, BlockNumber, Call, Chain, ChainError, Delegation, MarketError, Pool, PoolId,
};

use crate::{
    amount::Amount,
    flags::Subject,
    neuron::neuron,
    percentage::percentage,
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
    /// How much: in NOE, or in units (10^-9 NOE) with that word behind.
    #[arg(allow_negative_numbers = true, required_unless_present = "all")]
    amount: Option<Amount>,
    /// All that one has there.
    #[arg(long, conflicts_with = "amount")]
    all: bool,
    /// Which pool: its number, as noesis stake delegations shows it, also of a neuron that left. Without it,
    /// that behind the hotkey.
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
    let neuron = neuron(&metagraph, hotkey)?;
    let terms = chain.pool_terms().await?;
    let pool = chain.pools(market, block).await?.remove(&neuron.uid);
    let holdings = pool.map(|pool| pool.holdings).unwrap_or_default();
    let offer = holdings.offer(amount);
    let Some((shares, cost)) = offer.filter(|_| amount >= terms.min_delegation) else {
        return Err(ChainError::Market(MarketError::DelegationTooSmall).into());
    };
    let take = match &pool {
        Some(pool) => take_in_words(pool, block),
        None => percentage(terms.max_take),
    };
    let plan = Plan {
        call: Call::Delegate {
            market,
            hotkey,
            amount,
        },
        key: &key,
        facts: vec![
            Fact::number("market", market.into()),
            Fact::number("uid", neuron.uid.into()),
            Fact::account("hotkey", hotkey),
            Fact::amount("amount", amount),
            Fact::number("shares", shares),
            Fact::amount("cost", cost),
            Fact::text("take", take),
            Fact::text(
                "delegated",
                format!(
                    "{}, then {}",
                    Amount(holdings.value),
                    Amount(holdings.value.saturating_add(cost))
                ),
            ),
        ],
        costs: amount,
    };
    let told = carry_out(&chain, &settings, &subject.signing, plan).await?;
    told.print();
    Ok(())
}

/// Takes out what lies behind a neuron.
pub async fn undelegate(arguments: Undelegate) -> Result<()> {
    let settings = Settings::load()?;
    let subject = &arguments.subject;
    let key = subject.signing.wallet.coldkey(&settings)?;
    let chain = subject.market.node.connect(&settings).await?;
    let held = find(&arguments, &settings, &chain, key.account()).await?;
    let Delegation { pool, holdings, .. } = held;
    let shares = match arguments.amount {
        None => held.shares,
        Some(Amount(0)) => return Err(ChainError::Market(MarketError::AmountZero).into()),
        Some(Amount(amount)) => holdings
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
        None => facts.push(Fact::text("behind", "nobody: its neuron left")),
    }
    let left = Amount(holdings.worth(held.shares.saturating_sub(shares)));
    facts.extend([
        Fact::amount("amount", holdings.worth(shares)),
        Fact::number("shares", shares),
        Fact::text(
            "delegation",
            format!("{}, then {left}", Amount(held.worth())),
        ),
    ]);
    let plan = Plan {
        call: Call::Undelegate { pool, shares },
        key: &key,
        facts,
        costs: 0,
    };
    let told = carry_out(&chain, &settings, &subject.signing, plan).await?;
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

/// The owner's take, and a higher one that was announced.
pub fn take_in_words(pool: &Pool, block: BlockNumber) -> String {
    let take = percentage(pool.take_at(block));
    match pool.raise_after(block) {
        Some(raise) => format!(
            "{take}, from block {} on {}",
            raise.from,
            percentage(noesis_chain::Share(raise.take))
        ),
        None => take,
    }
}
