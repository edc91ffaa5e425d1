//! `noesis stake`: what lies in the slots of one's neurons, and what one put behind those of others.

mod delegate;
mod delegations;
mod pools;

use std::collections::BTreeMap;

use anyhow::{bail, Result};
use clap::{Args, Subcommand};
use noesis_chain::{
    AccountId, BlockNumber, Call, Chain, ChainError, MarketError, MarketId, Neuron, Pool, Uid,
};
use noesis_keys::KeyFile;
use serde_json::json;

use crate::{
    amount::Amount,
    flags::{NodeFlags, OutputFlags, SigningFlags, Subject, WalletFlags},
    neuron::own_neuron,
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
    #[command(flatten)]
    how_much: HowMuch,
    #[command(flatten)]
    subject: Subject,
}

/// How much is taken out.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct HowMuch {
    /// How much: in NOE, or in units (10^-9 NOE) with that word behind.
    #[arg(allow_negative_numbers = true)]
    amount: Option<Amount>,
    /// All that lies there and is one's own.
    #[arg(long)]
    all: bool,
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
        Command::Add(arguments) => add(arguments).await,
        Command::Remove(arguments) => remove(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Delegate(arguments) => delegate::delegate(arguments).await,
        Command::Undelegate(arguments) => delegate::undelegate(arguments).await,
        Command::Delegations(arguments) => delegations::run(arguments).await,
        Command::Pools(arguments) => pools::run(arguments).await,
    }
}

async fn add(arguments: Add) -> Result<()> {
    let settings = Settings::load()?;
    let amount = arguments.amount.positive()?;
    let stake = Stake::read(&settings, arguments.subject).await?;
    let call = Call::AddStake {
        market: stake.market,
        hotkey: stake.hotkey,
        amount,
    };
    let then = stake.own.saturating_add(amount);
    stake.change(&settings, call, amount, then, amount).await
}

async fn remove(arguments: Remove) -> Result<()> {
    let settings = Settings::load()?;
    let amount = arguments.how_much.amount;
    let amount = amount.map(Amount::positive).transpose()?;
    let stake = Stake::read(&settings, arguments.subject).await?;
    if amount.is_none() && stake.own == 0 {
        bail!(
            "nothing of yours lies there: {} in market {}",
            stake.hotkey,
            stake.market
        );
    }
    let amount = amount.unwrap_or(stake.own);
    let then = stake.own.checked_sub(amount);
    let then = then.ok_or(ChainError::Market(MarketError::InsufficientStake))?;
    let call = Call::RemoveStake {
        market: stake.market,
        hotkey: stake.hotkey,
        amount,
    };
    stake.change(&settings, call, amount, then, 0).await
}

/// What of its owner's lies in a slot, and who would change it.
struct Stake {
    chain: Chain,
    key: KeyFile,
    signing: SigningFlags,
    market: MarketId,
    uid: Uid,
    hotkey: AccountId,
    /// In units, without what others put there.
    own: u64,
}

impl Stake {
    async fn read(settings: &Settings, subject: Subject) -> Result<Self> {
        let key = subject.signing.wallet.coldkey(settings)?;
        let hotkey = subject.hotkey.account(settings, &subject.signing.wallet)?;
        let (chain, market) = subject.market.open(settings).await?;
        let block = chain.finalized_block().await?;
        let metagraph = chain.metagraph_at(market, block).await?;
        let neuron = own_neuron(&metagraph, hotkey, &key)?;
        let others = delegated(&chain.pools(market, block).await?, neuron.uid);
        Ok(Self {
            uid: neuron.uid,
            own: neuron.stake.saturating_sub(others),
            chain,
            key,
            signing: subject.signing,
            market,
            hotkey,
        })
    }

    /// Makes the call that moves `amount`, after which `then` is to lie there.
    async fn change(
        self,
        settings: &Settings,
        call: Call,
        amount: u64,
        then: u64,
        costs: u64,
    ) -> Result<()> {
        let plan = Plan {
            call,
            key: &self.key,
            facts: vec![
                Fact::number("market", self.market.into()),
                Fact::number("uid", self.uid.into()),
                Fact::account("hotkey", self.hotkey),
                Fact::amount("amount", amount),
                Fact::amount("own", self.own),
                Fact::both(
                    "planned",
                    format!("own {}", Amount(then)),
                    json!({ "own": then }),
                ),
            ],
            costs,
        };
        let told = carry_out(&self.chain, settings, &self.signing, plan).await?;
        told.print();
        Ok(())
    }
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
                    "stake": owned.neuron.stake,
                    "own": owned.own(),
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
        numbers("own NOE", |owned| words::noe(owned.own())),
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
    say(&format!("\ntotal {} of its own", Amount(total)));
    Ok(())
}
