//! The node's command line.

const EXAMPLES: &str = "\
Examples, a chain on this machine that makes a block a second:
  noesis-node --dev                             gone when it ends
  noesis-node --dev --base-path ~/noesis        kept in that folder
  noesis-node --dev --rpc-port 9950 --port 0    beside another";

/// Everything that one can ask of the node.
#[derive(Debug, clap::Parser)]
// In the long help: what follows the short one is overwritten by Substrate's own.
#[command(after_long_help = EXAMPLES)]
pub struct Cli {
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,

    /// How to run it.
    #[clap(flatten)]
    pub run: sc_cli::RunCmd,

    /// When to stop for want of disk.
    #[clap(flatten)]
    pub storage_monitor: sc_storage_monitor::StorageMonitorParams,
}

/// What the node does besides running.
#[derive(Debug, clap::Subcommand)]
// Parsed once at start: its size is of no concern.
#[allow(clippy::large_enum_variant)]
pub enum Subcommand {
    /// Generate, inspect and insert keys.
    #[command(subcommand)]
    Key(sc_cli::KeySubcommand),

    /// Print a chain specification.
    ExportChainSpec(sc_cli::ExportChainSpecCmd),

    /// Validate blocks of the database again.
    CheckBlock(sc_cli::CheckBlockCmd),

    /// Write blocks to a file.
    ExportBlocks(sc_cli::ExportBlocksCmd),

    /// Write the state of a block as a chain specification.
    ExportState(sc_cli::ExportStateCmd),

    /// Read blocks from a file.
    ImportBlocks(sc_cli::ImportBlocksCmd),

    /// Remove the whole chain from the base path.
    PurgeChain(sc_cli::PurgeChainCmd),

    /// Go back to an earlier block.
    Revert(sc_cli::RevertCmd),

    /// Show the database's columns.
    ChainInfo(sc_cli::ChainInfoCmd),
}
