//! `noesis neuron`: slots in a market, and who speaks from them.

pub mod take;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use noesis_chain::{find_neuron, AccountId, Call, ChainError, MarketError, Metagraph, Neuron};
use noesis_keys::KeyFile;
use serde_json::json;

use crate::{
    amount::Amount,
    exit::Usage,
    flags::{account_of, HotkeyFlags, MarketFlags, OutputFlags, Subject, WalletFlags},
    receipt::receipt,
    screen::say,
    settings::Settings,
    stake::delegated,
    table,
    transaction::{carry_out, Fact, Plan},
    words::share,
};

/// What can be done with neurons.
#[derive(Subcommand)]
pub enum Command {
    /// Take a slot of a market for a hotkey; the coldkey pays what it costs.
    Register(Register),
    /// Publish where a hotkey serves.
    Serve(Serve),
    /// Show a neuron: its stake, its worth, its pay.
    Show(Show),
    /// Show or set the owner's part of what others' NOE earns behind a neuron.
    Take(take::Arguments),
    /// Give up the slot of a hotkey; the owner's stake goes back to the coldkey.
    Deregister(Deregister),
    /// Let another hotkey speak from the slot of one.
    Swap(Swap),
}

/// Flags of `noesis neuron register`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis neuron register --market text --dry-run\n  noesis neuron register --market text --hotkey miner --max-cost 2.5"
)]
pub struct Register {
    /// Most that it may cost, in NOE; without it, twice what it costs now.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    max_cost: Option<Amount>,
    #[command(flatten)]
    subject: Subject,
}

/// Flags of `noesis neuron serve`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  noesis neuron serve 203.0.113.7:9101 --market text --hotkey miner\n\nnoesis-miner publishes its endpoint itself."
)]
pub struct Serve {
    /// Where it serves.
    #[arg(value_name = "HOST:PORT")]
    endpoint: String,
    /// BLAKE3 fingerprint of its TLS certificate: 64 hexadecimal digits.
    #[arg(long, value_name = "FINGERPRINT")]
    certificate: Option<String>,
    #[command(flatten)]
    subject: Subject,
}

/// Flags of `noesis neuron show`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis neuron show --hotkey miner\n  noesis neuron show --hotkey 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --json | jq .pay"
)]
pub struct Show {
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    hotkey: HotkeyFlags,
    #[command(flatten)]
    wallet: WalletFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Flags of `noesis neuron deregister`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  noesis neuron deregister --market text --hotkey miner --dry-run"
)]
pub struct Deregister {
    #[command(flatten)]
    subject: Subject,
}

/// Flags of `noesis neuron swap`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  noesis neuron swap second --market text --hotkey miner\n\nThe neuron keeps its uid, its stake and its bonds."
)]
pub struct Swap {
    /// The new hotkey: its name in the wallet, or an address.
    #[arg(value_name = "NEW_HOTKEY")]
    to: String,
    #[command(flatten)]
    subject: Subject,
}

/// Does it.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Register(arguments) => register(arguments).await,
        Command::Serve(arguments) => serve(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Take(arguments) => take::run(arguments).await,
        Command::Deregister(arguments) => deregister(arguments.subject).await,
        Command::Swap(arguments) => swap(arguments).await,
    }
}

async fn register(arguments: Register) -> Result<()> {
    let settings = Settings::load()?;
    let subject = arguments.subject;
    let key = subject.signing.wallet.coldkey(&settings)?;
    let hotkey = subject.hotkey.account(&settings, &subject.signing.wallet)?;
    let (chain, market) = subject.market.open(&settings).await?;
    let metagraph = chain.metagraph(market).await?;
    let cost = metagraph.registration_cost;
    let max_cost = match arguments.max_cost {
        Some(Amount(most)) => most,
        None => cost.saturating_mul(2),
    };
    // What the chain would refuse, and take a fee for.
    if find_neuron(&metagraph, &hotkey.0).is_some() {
        return Err(ChainError::Market(MarketError::AlreadyRegistered))
            .with_context(|| format!("{hotkey} in market {market}"));
    }
    if max_cost < cost {
        return Err(ChainError::Market(MarketError::CostAboveMaximum))
            .with_context(|| format!("it costs {}", Amount(cost)));
    }
    let plan = Plan {
        call: Call::Register {
            market,
            hotkey,
            max_cost,
        },
        key: &key,
        facts: vec![
            Fact::number("market", market.into()),
            Fact::account("hotkey", hotkey),
            Fact::amount("cost_now", cost),
            Fact::amount("max_cost", max_cost),
        ],
        costs: max_cost,
    };
    let mut told = carry_out(&chain, &settings, &subject.signing, plan).await?;
    if let Some([uid, cost]) = receipt(&chain, &mut told, "Registered", ["uid", "cost"]).await {
        told.tell("uid", uid);
        told.tell("cost", cost);
        told.line(format!(
            "registered in market {market} as uid {uid}, for {}",
            Amount(cost)
        ));
    }
    told.print();
    Ok(())
}

async fn serve(arguments: Serve) -> Result<()> {
    let settings = Settings::load()?;
    let subject = arguments.subject;
    let certificate = arguments.certificate.as_deref().map(fingerprint);
    let certificate = certificate.transpose()?;
    let key = subject.hotkey.file(&settings, &subject.signing.wallet)?;
    let (chain, market) = subject.market.open(&settings).await?;
    let metagraph = chain.metagraph(market).await?;
    let neuron = neuron(&metagraph, key.account())?;
    let before = neuron.endpoint.clone();
    let plan = Plan {
        facts: vec![
            Fact::number("market", market.into()),
            Fact::number("uid", neuron.uid.into()),
            Fact::text("endpoint", &arguments.endpoint),
            Fact::both(
                "endpoint_before",
                before.clone().unwrap_or_else(|| "none".into()),
                before,
            ),
        ],
        call: Call::Serve {
            market,
            endpoint: arguments.endpoint,
            certificate,
        },
        key: &key,
        costs: 0,
    };
    let told = carry_out(&chain, &settings, &subject.signing, plan).await?;
    told.print();
    Ok(())
}

async fn deregister(subject: Subject) -> Result<()> {
    let settings = Settings::load()?;
    let key = subject.signing.wallet.coldkey(&settings)?;
    let hotkey = subject.hotkey.account(&settings, &subject.signing.wallet)?;
    let (chain, market) = subject.market.open(&settings).await?;
    let block = chain.finalized_block().await?;
    let metagraph = chain.metagraph_at(market, block).await?;
    let neuron = own_neuron(&metagraph, hotkey, &key)?;
    let others = delegated(&chain.pools(market, block).await?, neuron.uid);
    let returned = neuron.stake.saturating_sub(others);
    let plan = Plan {
        call: Call::Deregister { market, hotkey },
        key: &key,
        facts: vec![
            Fact::number("market", market.into()),
            Fact::number("uid", neuron.uid.into()),
            Fact::account("hotkey", hotkey),
            Fact::both(
                "planned",
                format!("{} go back to the coldkey", Amount(returned)),
                json!({ "stake_returned": returned }),
            ),
            Fact::amount("delegated", others),
        ],
        costs: 0,
    };
    let mut told = carry_out(&chain, &settings, &subject.signing, plan).await?;
    if let Some([stake]) = receipt(&chain, &mut told, "Deregistered", ["stake"]).await {
        told.tell("stake_returned", stake);
        told.line(format!("{} went back to the coldkey", Amount(stake)));
    }
    told.print();
    Ok(())
}

async fn swap(arguments: Swap) -> Result<()> {
    let settings = Settings::load()?;
    let subject = arguments.subject;
    let key = subject.signing.wallet.coldkey(&settings)?;
    let hotkey = subject.hotkey.account(&settings, &subject.signing.wallet)?;
    let new_hotkey = account_of(&arguments.to, &settings, &subject.signing.wallet)?;
    let (chain, market) = subject.market.open(&settings).await?;
    let metagraph = chain.metagraph(market).await?;
    let neuron = own_neuron(&metagraph, hotkey, &key)?;
    let plan = Plan {
        call: Call::SwapHotkey {
            market,
            hotkey,
            new_hotkey,
        },
        key: &key,
        facts: vec![
            Fact::number("market", market.into()),
            Fact::number("uid", neuron.uid.into()),
            Fact::account("hotkey", hotkey),
            Fact::account("new_hotkey", new_hotkey),
        ],
        costs: 0,
    };
    let told = carry_out(&chain, &settings, &subject.signing, plan).await?;
    told.print();
    Ok(())
}

async fn show(arguments: Show) -> Result<()> {
    let settings = Settings::load()?;
    let hotkey = arguments.hotkey.account(&settings, &arguments.wallet)?;
    let (chain, market) = arguments.market.open(&settings).await?;
    let block = chain.finalized_block().await?;
    let metagraph = chain.metagraph_at(market, block).await?;
    let neuron = neuron(&metagraph, hotkey)?;
    let others = delegated(&chain.pools(market, block).await?, neuron.uid);
    if arguments.output.json {
        let mut object = serde_json::to_value(neuron)?;
        object["delegated"] = others.into();
        say(&serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    let updated = |block: u32| format!("block {block}");
    let pairs = [
        ("market", market.to_string()),
        ("uid", neuron.uid.to_string()),
        ("hotkey", neuron.hotkey.to_string()),
        ("coldkey", neuron.coldkey.to_string()),
        (
            "endpoint",
            neuron.endpoint.clone().unwrap_or_else(|| "-".into()),
        ),
        (
            "certificate",
            neuron.certificate.map_or("-".into(), hex::encode),
        ),
        ("stake", Amount(neuron.stake).to_string()),
        ("delegated", format!("{} of it", Amount(others))),
        ("rank", share(neuron.rank.to_f64())),
        ("trust", share(neuron.trust.to_f64())),
        ("consensus", share(neuron.consensus.to_f64())),
        ("incentive", share(neuron.incentive.to_f64())),
        ("dividend", share(neuron.dividend.to_f64())),
        (
            "last pay",
            format!("{} (epoch {})", Amount(neuron.pay), metagraph.epoch),
        ),
        (
            "weights set",
            neuron.last_update.map_or("-".into(), updated),
        ),
        ("registered", updated(neuron.registered_at)),
    ];
    say(&table::pairs(
        pairs.iter().map(|(label, value)| (*label, value.as_str())),
    ));
    Ok(())
}

/// The neuron of a hotkey; without a slot, the error that says to register it.
pub fn neuron(metagraph: &Metagraph, hotkey: AccountId) -> Result<&Neuron> {
    find_neuron(metagraph, &hotkey.0)
        .ok_or(ChainError::Market(MarketError::NotRegistered))
        .with_context(|| format!("{hotkey} in market {}", metagraph.market))
}

/// The neuron of a hotkey, which the coldkey has to own.
pub fn own_neuron<'a>(
    metagraph: &'a Metagraph,
    hotkey: AccountId,
    coldkey: &KeyFile,
) -> Result<&'a Neuron> {
    let neuron = neuron(metagraph, hotkey)?;
    match neuron.coldkey == coldkey.account() {
        true => Ok(neuron),
        false => Err(ChainError::Market(MarketError::NotOwner))
            .with_context(|| format!("{hotkey} in market {}", metagraph.market)),
    }
}

/// The bytes of a fingerprint.
fn fingerprint(text: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim_start_matches("0x"), &mut bytes).map_err(|_| {
        Usage(format!(
            "--certificate {text}: a fingerprint has 64 hexadecimal digits"
        ))
    })?;
    Ok(bytes)
}
