//! `noesis wallet balance`: what an account holds: free, on hold, as stake of its neurons, and behind those of others.

use anyhow::Result;
use clap::Args;
use noesis_chain::{AccountId, Delegation, Funds};
use serde_json::json;

use crate::{
    amount::Amount,
    flags::{NodeFlags, OutputFlags, WalletFlags},
    screen::say,
    settings::Settings,
    stake::{self, Owned},
    table,
};

/// Flags of `noesis wallet balance`.
#[derive(Args)]
#[command(after_help = "Examples:
  noesis wallet balance
  noesis wallet balance 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --json")]
pub struct Arguments {
    /// Whose: an address. Without it, the wallet's coldkey.
    address: Option<AccountId>,
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    wallet: WalletFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Prints it.
pub async fn run(arguments: Arguments) -> Result<()> {
    let settings = Settings::load()?;
    let account = match arguments.address {
        Some(account) => account,
        None => arguments.wallet.coldkey(&settings)?.account(),
    };
    let chain = arguments.node.connect(&settings).await?;
    let Funds { free, on_hold } = chain.funds(account).await?;
    let block = chain.finalized_block().await?;
    let owned = stake::of_coldkey(&chain, account, block).await?;
    let staked: u64 = owned.iter().map(Owned::own).sum();
    let held = chain.delegations(account, block).await?;
    let delegated: u64 = held.iter().map(Delegation::worth).sum();
    let parts = [free, on_hold, staked, delegated];
    let total = parts.into_iter().fold(0, u64::saturating_add);
    if arguments.output.json {
        let value = json!({
            "address": account,
            "free": free,
            "on_hold": on_hold,
            "staked": staked,
            "delegated": delegated,
            "total": total,
        });
        say(&value.to_string());
        return Ok(());
    }
    let pairs = [
        ("address", account.to_string()),
        ("free", Amount(free).to_string()),
        ("on hold", Amount(on_hold).to_string()),
        ("staked", Amount(staked).to_string()),
        ("delegated", Amount(delegated).to_string()),
        ("total", Amount(total).to_string()),
    ];
    say(&table::pairs(
        pairs.iter().map(|(label, value)| (*label, value.as_str())),
    ));
    Ok(())
}
