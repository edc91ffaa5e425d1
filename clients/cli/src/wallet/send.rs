//! `noesis wallet send`: NOE from the wallet's coldkey to another account.

use anyhow::Result;
use clap::Args;
use noesis_chain::{AccountId, Call};

use crate::{
    amount::Amount,
    flags::{NodeFlags, SigningFlags},
    settings::Settings,
    transaction::{carry_out, Fact, Plan},
};

/// Flags of `noesis wallet send`.
#[derive(Args)]
#[command(after_help = "Examples:
  noesis wallet send 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY 1.5 --dry-run
  noesis wallet send 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY 250000units")]
pub struct Arguments {
    /// To whom: an address.
    to: AccountId,
    /// How much: in NOE, or in units (10^-9 NOE) with that word behind.
    #[arg(allow_negative_numbers = true)]
    amount: Amount,
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    signing: SigningFlags,
}

/// Sends it.
pub async fn run(arguments: Arguments) -> Result<()> {
    let settings = Settings::load()?;
    let amount = arguments.amount.positive()?;
    let key = arguments.signing.wallet.coldkey(&settings)?;
    let chain = arguments.node.connect(&settings).await?;
    let plan = Plan {
        call: Call::Transfer {
            to: arguments.to,
            amount,
        },
        key: &key,
        facts: vec![
            Fact::account("to", arguments.to),
            Fact::amount("amount", amount),
        ],
        costs: amount,
    };
    let told = carry_out(&chain, &settings, &arguments.signing, plan).await?;
    told.print();
    Ok(())
}
