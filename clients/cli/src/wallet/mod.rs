//! `noesis wallet`: keys on this machine and what they hold.

mod balance;
mod keys;
mod send;

use anyhow::Result;
use clap::Subcommand;

/// What can be done with wallets.
#[derive(Subcommand)]
pub enum Command {
    /// Make a new key, a coldkey or a hotkey, and show its phrase once.
    Create(keys::Create),
    /// Take in a key: from its phrase or seed, or from a file of polkadot-js.
    Import(keys::Import),
    /// List the keys.
    List(keys::List),
    /// Show what an account holds, free and as stake.
    Balance(balance::Arguments),
    /// Send NOE to another account.
    Send(send::Arguments),
}

/// Does it.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Create(arguments) => keys::create(arguments),
        Command::Import(arguments) => keys::import(arguments),
        Command::List(arguments) => keys::list(arguments),
        Command::Balance(arguments) => balance::run(arguments).await,
        Command::Send(arguments) => send::run(arguments).await,
    }
}
