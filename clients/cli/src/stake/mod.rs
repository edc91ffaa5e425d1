//! `noesis stake`: what lies in the slots of one's neurons, and what one put behind those of others.

mod delegate;
mod delegations;
mod pools;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};
use noesis_chain::{AccountId, BlockNumber, Call, Chain, MarketId, Neuron, Pool, Uid};
use serde_json::json;

use crate::{
    amount::Amount,
    exit::Usage,
    flags::{NodeFlags, OutputFlags, Subject, WalletFlags},
    neuron::neuron,
    screen::say,
    settings::Settings,
    table::{self, Column},
    transaction::{carry_out, Fact, Plan},
    words,
};

/// What can be done with stake.
#[derive(Subcommand)]
pub enum Command {
    /// Move NOE from the coldkey into the slot of one of its hotkeys.
    Add(Add),
    /// Move NOE from the slot of a hotkey back to its coldkey.
    Remove(Remove),
    /// Show the stake of every neuron of a coldkey.
    Show(Show),
    /// Put NOE behind a neuron of somebody else, for a part of its dividends.
    Delegate(delegate::Delegate),
    /// Take out what lies behind a neuron, or lay there before it left.
    Undelegate(delegate::Undelegate),
    /// Show what a coldkey has put behind neurons, in all markets.
    Delegations(delegations::Arguments),
    /// Show what lies behind the neurons of a market, what their owners take and what it earned.
    Pools(pools::Arguments),
}

/// Flags of `noesis stake add`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis stake add 1.5 --dry-run\n  noesis stake add 100 --market text --hotkey miner"
)]
pub struct Add {
    /// How much: in NOE, or in units (10^-9 NOE) with that word behind.
    #[arg(allow_negative_numbers = true)]
    amount: Amount,
    #[command(flatten)]
    subject: Subject,
}

/// Flags of `noesis stake remove`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis stake remove 1.5 --dry-run\n  noesis stake remove --all --market text --hotkey miner"
)]
pub struct Remove {
    /// How much: in NOE, or in units (10^-9 NOE) with that word behind.
    #[arg(allow_negative_numbers = true, required_unless_present = "all")]
    amount: Option<Amount>,
    /// All that lies there and is the owner's.
    #[arg(long, conflicts_with = "amount")]
    all: bool,
    #[command(flatten)]
    subject: Subject,
}

/// Flags of `noesis stake show`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis stake show\n  noesis stake show 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --json"
)]
pub struct Show {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Which coldkey something is asked about.
#[derive(Args)]
pub struct Whose {
    /// Whose: the address of a coldkey. Without it, the wallet's.
    address: Option<AccountId>,
    #[command(flatten)]
    wallet: WalletFlags,
}

impl Whose {
    /// Its account.
    fn account(&self, settings: &Settings) -> Result<AccountId> {
        match self.address {
            Some(account) => Ok(account),
            None => Ok(self.wallet.coldkey(settings)?.account()),
        }
    }
}

/// Does it.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Add(arguments) => {
            let Amount(amount) = arguments.amount;
            change(arguments.subject, |_| amount, true).await
        }
        Command::Remove(arguments) => {
            let amount = arguments.amount;
            let all = |stake| amount.map_or(stake, |Amount(amount)| amount);
            change(arguments.subject, all, false).await
        }
        Command::Show(arguments) => show(arguments).await,
        Command::Delegate(arguments) => delegate::delegate(arguments).await,
        Command::Undelegate(arguments) => delegate::undelegate(arguments).await,
        Command::Delegations(arguments) => delegations::run(arguments).await,
        Command::Pools(arguments) => pools::run(arguments).await,
    }
}

/// Adds or removes the amount that `amount` makes of the present stake.
async fn change(subject: Subject, amount: impl FnOnce(u64) -> u64, add: bool) -> Result<()> {
    let settings = Settings::load()?;
    let key = subject.signing.wallet.coldkey(&settings)?;
    let hotkey = subject.hotkey.account(&settings, &subject.signing.wallet)?;
    let (chain, market) = subject.market.open(&settings).await?;
    let block = chain.finalized_block().await?;
    let metagraph = chain.metagraph_at(market, block).await?;
    let neuron = neuron(&metagraph, hotkey)?;
    // What others put there is not the owner's.
    let others = delegated(&chain.pools(market, block).await?, neuron.uid);
    let stake = neuron.stake.saturating_sub(others);
    let amount = amount(stake);
    if amount == 0 {
        return Err(Usage("the amount is zero: give at least one unit (10^-9 NOE)".into()).into());
    }
    let after = match add {
        true => stake.checked_add(amount),
        false => stake.checked_sub(amount),
    };
    let after = after.map_or("too little lies there".into(), |after| {
        format!("then {}", Amount(after))
    });
    let plan = Plan {
        call: match add {
            true => Call::AddStake {
                market,
                hotkey,
                amount,
            },
            false => Call::RemoveStake {
                market,
                hotkey,
                amount,
            },
        },
        key: &key,
        facts: vec![
            Fact::number("market", market.into()),
            Fact::number("uid", neuron.uid.into()),
            Fact::account("hotkey", hotkey),
            Fact::amount("amount", amount),
            Fact::text("stake", format!("{}, {after}", Amount(stake))),
        ],
        costs: if add { amount } else { 0 },
    };
    let told = carry_out(&chain, &settings, &subject.signing, plan).await?;
    told.print();
    Ok(())
}

/// A neuron of a coldkey.
pub struct Owned {
    /// Its market.
    pub market: MarketId,
    /// The neuron.
    pub neuron: Neuron,
    /// Of its stake, what others put there, in units.
    pub delegated: u64,
}

impl Owned {
    /// Of its stake, what is its owner's, in units.
    pub fn own(&self) -> u64 {
        self.neuron.stake.saturating_sub(self.delegated)
    }
}

/// The neurons of a coldkey in all markets, after a block.
pub async fn of_coldkey(
    chain: &Chain,
    coldkey: AccountId,
    block: BlockNumber,
) -> Result<Vec<Owned>> {
    let mut owned = Vec::new();
    for metagraph in chain.markets_at(block).await? {
        let market = metagraph.market;
        let neurons = metagraph.neurons.into_iter();
        let mut neurons = neurons
            .filter(|neuron| neuron.coldkey == coldkey)
            .peekable();
        if neurons.peek().is_none() {
            continue;
        }
        let pools = chain.pools(market, block).await?;
        owned.extend(neurons.map(|neuron| Owned {
            market,
            delegated: delegated(&pools, neuron.uid),
            neuron,
        }));
    }
    Ok(owned)
}

/// What others put behind the neuron of a slot, in units.
pub fn delegated(pools: &BTreeMap<Uid, Pool>, uid: Uid) -> u64 {
    pools.get(&uid).map_or(0, |pool| pool.holdings.value)
}

async fn show(arguments: Show) -> Result<()> {
    let settings = Settings::load()?;
    let account = arguments.whose.account(&settings)?;
    let chain = arguments.node.connect(&settings).await?;
    let block = chain.finalized_block().await?;
    let neurons = of_coldkey(&chain, account, block).await?;
    let total: u64 = neurons.iter().map(Owned::own).sum();
    if arguments.output.json {
        let neurons: Vec<_> = neurons
            .iter()
            .map(|owned| {
                json!({
                    "market": owned.market,
                    "uid": owned.neuron.uid,
                    "hotkey": owned.neuron.hotkey,
                    "stake": owned.own(),
                    "delegated": owned.delegated,
                    "pay": owned.neuron.pay,
                })
            })
            .collect();
        let value = json!({ "coldkey": account, "neurons": neurons, "total": total });
        say(&value.to_string());
        return Ok(());
    }
    if neurons.is_empty() {
        say(&format!(
            "{account} owns no neuron: noesis neuron register takes a slot for a hotkey"
        ));
        return Ok(());
    }
    let numbers =
        |header, cell: fn(&Owned) -> String| Column::numbers(header, neurons.iter().map(cell));
    let mut columns = vec![
        numbers("market", |owned| owned.market.to_string()),
        numbers("uid", |owned| owned.neuron.uid.to_string()),
        Column::words(
            "hotkey",
            neurons.iter().map(|owned| owned.neuron.hotkey.to_string()),
        ),
        numbers("stake NOE", |owned| words::noe(owned.own())),
    ];
    if neurons.iter().any(|owned| owned.delegated > 0) {
        columns.push(numbers("delegated NOE", |owned| {
            words::noe(owned.delegated)
        }));
    }
    columns.push(numbers("last pay NOE", |owned| {
        words::noe(owned.neuron.pay)
    }));
    say(&table::text(columns, &["last pay NOE", "delegated NOE"]));
    say(&format!("\ntotal {}", Amount(total)));
    Ok(())
}
