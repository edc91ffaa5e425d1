//! A node of the Noesis chain.

// Substrate's own errors are large, and are returned once, at the start or the end of the program.
#![allow(clippy::result_large_err)]

mod chain_spec;
mod cli;
mod command;
mod counted_pool;
mod equivocation;
mod metrics;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
    command::run()
}
