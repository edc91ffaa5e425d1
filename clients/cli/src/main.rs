//! `noesis`: look at a market, and run a whole one on this machine.

mod experiment;
mod follow;
mod local;
mod localnet;
mod metagraph;
mod row;
mod screen;
mod table;
mod view;
mod watch;
mod words;

use std::{io::IsTerminal, process::ExitCode};

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
    /// Measure on real data whether the market pays usefulness and whether the network teaches.
    Experiment(experiment::Arguments),
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
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let outcome = match arguments.command {
        Command::Metagraph(arguments) => metagraph::run(arguments).await,
        Command::Watch(arguments) => watch::run(arguments).await,
        Command::Localnet(arguments) => localnet::run(arguments).await,
        Command::Experiment(arguments) => experiment::run(arguments).await,
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

    #[test]
    fn an_error_shows_no_flags_that_nobody_gave() {
        let error = Arguments::try_parse_from(["noesis", "localnet", "--check", "--epoch", "3"])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("--epochs"), "{error}");
        for inner in ["--data", "--cache", "--check"] {
            assert!(!error.contains(inner), "{error}");
        }
    }

    #[tokio::test]
    async fn a_network_that_is_only_checked_says_what_is_wrong_with_its_flags() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("letter"), "Dear Sir").unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let check = async |flag: &str, value: &str| {
            let network = path("network");
            let always = ["noesis", "localnet", "--check", "--folder", &network];
            // A later --folder would be given twice.
            let always = if flag == "--folder" {
                &always[..3]
            } else {
                &always
            };
            let flags = always.iter().copied().chain([flag, value]);
            let Command::Localnet(arguments) = Arguments::try_parse_from(flags).unwrap().command
            else {
                unreachable!("it is what was said");
            };
            localnet::run(arguments)
                .await
                .map_err(|error| error.to_string())
        };
        for (flag, value) in [
            ("--json", path("nowhere/out.json")),
            ("--json", path("")),
            ("--data", path("nothing")),
            ("--folder", path("")),
            ("--base-port", "80".into()),
        ] {
            let error = check(flag, &value).await.unwrap_err();
            assert!(error.contains(flag), "{flag} {value}: {error}");
        }
        assert!(
            !folder.path().join("network").exists(),
            "nothing was touched"
        );
    }
}
