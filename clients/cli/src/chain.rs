//! `noesis chain`: the node and the chain that it follows.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{
    flags::{NodeFlags, OutputFlags},
    screen::say,
    settings::Settings,
    table,
};

/// What can be asked about a chain.
#[derive(Subcommand)]
pub enum Command {
    /// Show the node's version, its newest blocks and its peers.
    Status(Arguments),
}

/// Flags of `noesis chain status`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis chain status\n  noesis chain status --json | jq .finalized_block"
)]
pub struct Arguments {
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Answers it.
pub async fn run(Command::Status(arguments): Command) -> Result<()> {
    let chain = arguments.node.connect(&Settings::load()?).await?;
    let status = chain.status().await?;
    if arguments.output.json {
        say(&serde_json::to_string_pretty(&status)?);
        return Ok(());
    }
    let syncing = match status.syncing {
        true => ", still fetching blocks",
        false => "",
    };
    let pairs = [
        ("node", format!("{} {}", status.name, status.version)),
        ("address", status.url),
        ("chain", status.chain),
        ("genesis", status.genesis),
        ("runtime", format!("version {}", status.runtime_version)),
        ("best block", format!("{}{syncing}", status.best_block)),
        ("finalized", status.finalized_block.to_string()),
        ("peers", status.peers.to_string()),
    ];
    say(&table::pairs(
        pairs.iter().map(|(label, value)| (*label, value.as_str())),
    ));
    Ok(())
}
