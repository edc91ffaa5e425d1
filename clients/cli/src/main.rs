//! `noesis`: keys, stake, neurons, weights and markets of a chain, and a whole market run on this machine.

mod amount;
mod chain;
mod config;
mod decimal;
mod exit;
mod experiment;
mod flags;
mod follow;
mod local;
mod localnet;
mod market;
mod neuron;
mod percentage;
mod receipt;
mod row;
mod screen;
mod settings;
mod stake;
mod table;
mod transaction;
mod view;
mod wallet;
mod watch;
mod weights;
mod words;

use std::{io::IsTerminal, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use transaction::WouldFail;

const EXAMPLES: &str = "\
Examples:
  noesis market list
  noesis wallet create
  noesis stake add 1.5 --market text --dry-run
  noesis localnet --data bible.txt

What counts is the flag, else the environment, else the configuration file (noesis config show), else a default.";

/// A market of machine intelligence: look at it, take part in it, or run one here.
#[derive(Parser)]
#[command(version, after_help = format!("{EXAMPLES}\n\n{}", exit::CODES))]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Keys on this machine, and what they hold.
    #[command(subcommand)]
    Wallet(wallet::Command),
    /// What lies in the slots of your neurons, and what you put behind those of others.
    #[command(subcommand)]
    Stake(stake::Command),
    /// Slots in a market: register, serve, show, take, deregister, swap.
    #[command(subcommand)]
    Neuron(neuron::Command),
    /// Rows of weights: set, show, or commit and reveal.
    #[command(subcommand)]
    Weights(weights::Command),
    /// The markets of a chain, their neurons and parameters; by root: new ones, new parameters.
    #[command(subcommand)]
    Market(market::Command),
    /// The node and the chain that it follows.
    #[command(subcommand)]
    Chain(chain::Command),
    /// Show a market live, as a table.
    Watch(watch::Arguments),
    /// What commands go by where no flag says otherwise.
    #[command(subcommand)]
    Config(config::Command),
    /// Print the completions of a shell.
    Completions(Completions),
    /// Run a whole network on this machine: one node, four miners, two validators.
    Localnet(localnet::Arguments),
    /// Measure on real data whether the market pays usefulness and whether the network teaches.
    Experiment(experiment::Arguments),
}

/// Flags of `noesis completions`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  noesis completions bash > ~/.local/share/bash-completion/completions/noesis"
)]
struct Completions {
    /// Which shell.
    shell: Shell,
}

// One thread: a child process asked to die with its parent dies with the thread that started it, so
// that thread has to be the one that lives as long as the program.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    noesis_configuration::forget_empty_variables();
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
        Command::Wallet(command) => wallet::run(command).await,
        Command::Stake(command) => stake::run(command).await,
        Command::Neuron(command) => neuron::run(command).await,
        Command::Weights(command) => weights::run(command).await,
        Command::Market(command) => market::run(command).await,
        Command::Chain(command) => chain::run(command).await,
        Command::Config(command) => config::run(command),
        Command::Completions(Completions { shell }) => {
            screen::say(completions(shell).trim_end());
            Ok(())
        }
        Command::Watch(arguments) => watch::run(arguments).await,
        Command::Localnet(arguments) => localnet::run(arguments).await,
        Command::Experiment(arguments) => experiment::run(arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(WouldFail(printed)) = error.downcast_ref::<WouldFail>() {
                screen::say(printed);
            }
            eprintln!("noesis: {error:#}");
            ExitCode::from(exit::code(&error))
        }
    }
}

/// What a shell needs to complete our commands and flags.
fn completions(shell: Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "noesis", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_help_with_an_example() {
        Arguments::command().debug_assert();
        check_examples(&mut Arguments::command(), "noesis");
    }

    fn check_examples(command: &mut clap::Command, path: &str) {
        for sub in command.get_subcommands_mut() {
            let path = format!("{path} {}", sub.get_name());
            match sub.has_subcommands() {
                true => check_examples(sub, &path),
                false => {
                    let help = sub.render_long_help().to_string();
                    assert!(help.contains(&path), "{path} has no example");
                }
            }
        }
    }

    #[test]
    fn completions_know_every_group() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = completions(shell);
            for sub in Arguments::command().get_subcommands() {
                assert!(text.contains(sub.get_name()), "{shell} {}", sub.get_name());
            }
        }
    }

    #[test]
    fn no_flag_takes_a_secret() {
        // Every process of the machine reads the arguments of the others.
        let mut commands = vec![Arguments::command()];
        while let Some(command) = commands.pop() {
            for flag in command.get_arguments().filter_map(|flag| flag.get_long()) {
                assert!(!["password", "phrase", "secret", "mnemonic"].contains(&flag));
            }
            commands.extend(command.get_subcommands().cloned());
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
