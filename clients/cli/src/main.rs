//! `noesis`: look at a market, and run a whole one on this machine.

mod follow;
mod localnet;
mod metagraph;
mod row;
mod screen;
mod view;
mod watch;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A market of machine intelligence: look at it, or run one here.
#[derive(Parser)]
#[command(version, after_help = "Example:\n  noesis localnet --data bible.txt")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a market as it is in the last finalized block.
    Metagraph(metagraph::Arguments),
    /// Show a market live, as a table.
    Watch(watch::Arguments),
    /// Run a whole network on this machine: one node, four miners, two validators.
    Localnet(localnet::Arguments),
}

// One thread: a child process asked to die with its parent dies with the thread that started it, so
// that thread has to be the one that lives as long as the program.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "error".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let outcome = match arguments.command {
        Command::Metagraph(arguments) => metagraph::run(arguments).await,
        Command::Watch(arguments) => watch::run(arguments).await,
        Command::Localnet(arguments) => localnet::run(arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("noesis: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_help_with_an_example() {
        Arguments::command().debug_assert();
        let mut command = Arguments::command();
        for sub in command.get_subcommands_mut() {
            let help = sub.render_long_help().to_string();
            assert!(
                help.contains(&format!("noesis {}", sub.get_name())),
                "{} has no example",
                sub.get_name()
            );
        }
    }
}
