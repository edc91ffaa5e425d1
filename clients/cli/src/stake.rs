//! `noesis stake`: what lies in the slots of one's neurons.

use anyhow::Result;
use clap::{Args, Subcommand};
use noesis_chain::{AccountId, Call, Chain, MarketId, Neuron};
use serde_json::json;

use crate::{
    amount::Amount,
    exit::Usage,
    flags::{HotkeyFlags, MarketFlags, NodeFlags, OutputFlags, SigningFlags, WalletFlags},
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
}

/// Whose stake in which market is moved.
#[derive(Args)]
pub struct Mover {
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    hotkey: HotkeyFlags,
    #[command(flatten)]
    signing: SigningFlags,
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
    mover: Mover,
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
    /// All that lies there.
    #[arg(long, conflicts_with = "amount")]
    all: bool,
    #[command(flatten)]
    mover: Mover,
}

/// Flags of `noesis stake show`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis stake show\n  noesis stake show 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --json"
)]
pub struct Show {
    /// Whose: the address of a coldkey. Without it, the wallet's.
    address: Option<AccountId>,
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    wallet: WalletFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Does it.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Add(arguments) => {
            let Amount(amount) = arguments.amount;
            change(arguments.mover, |_| amount, true).await
        }
        Command::Remove(arguments) => {
            let amount = arguments.amount;
            let all = |stake| amount.map_or(stake, |Amount(amount)| amount);
            change(arguments.mover, all, false).await
        }
        Command::Show(arguments) => show(arguments).await,
    }
}

/// Adds or removes the amount that `amount` makes of the present stake.
async fn change(mover: Mover, amount: impl FnOnce(u64) -> u64, add: bool) -> Result<()> {
    let settings = Settings::load()?;
    let key = mover.signing.wallet.coldkey(&settings)?;
    let hotkey = mover.hotkey.account(&settings, &mover.signing.wallet)?;
    let (chain, market) = mover.market.open(&settings).await?;
    let metagraph = chain.metagraph(market).await?;
    let neuron = neuron(&metagraph, hotkey)?;
    let stake = neuron.stake;
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
    let told = carry_out(&chain, &settings, &mover.signing, plan).await?;
    told.print();
    Ok(())
}

/// The neurons of a coldkey in all markets.
pub async fn of_coldkey(chain: &Chain, coldkey: AccountId) -> Result<Vec<(MarketId, Neuron)>> {
    let markets = chain.markets().await?;
    let neurons = markets.into_iter().flat_map(|metagraph| {
        let market = metagraph.market;
        metagraph
            .neurons
            .into_iter()
            .map(move |neuron| (market, neuron))
    });
    Ok(neurons
        .filter(|(_, neuron)| neuron.coldkey == coldkey)
        .collect())
}

async fn show(arguments: Show) -> Result<()> {
    let settings = Settings::load()?;
    let account = match arguments.address {
        Some(account) => account,
        None => arguments.wallet.coldkey(&settings)?.account(),
    };
    let chain = arguments.node.connect(&settings).await?;
    let neurons = of_coldkey(&chain, account).await?;
    let total: u64 = neurons.iter().map(|(_, neuron)| neuron.stake).sum();
    if arguments.output.json {
        let neurons: Vec<_> = neurons
            .iter()
            .map(|(market, neuron)| {
                json!({
                    "market": market,
                    "uid": neuron.uid,
                    "hotkey": neuron.hotkey,
                    "stake": neuron.stake,
                    "pay": neuron.pay,
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
    let columns = vec![
        Column::numbers(
            "market",
            neurons.iter().map(|(market, _)| market.to_string()),
        ),
        Column::numbers(
            "uid",
            neurons.iter().map(|(_, neuron)| neuron.uid.to_string()),
        ),
        Column::words(
            "hotkey",
            neurons.iter().map(|(_, neuron)| neuron.hotkey.to_string()),
        ),
        Column::numbers(
            "stake NOE",
            neurons.iter().map(|(_, neuron)| words::noe(neuron.stake)),
        ),
        Column::numbers(
            "last pay NOE",
            neurons.iter().map(|(_, neuron)| words::noe(neuron.pay)),
        ),
    ];
    say(&table::text(columns, &["last pay NOE"]));
    say(&format!("\ntotal {}", Amount(total)));
    Ok(())
}
