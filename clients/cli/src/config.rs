//! `noesis config`: what commands go by where no flag says otherwise.

use anyhow::Result;
use clap::{Args, Subcommand};
use noesis_chain::{AccountId, ChainError};
use noesis_keys::Wallets;
use serde_json::{json, Map};

use crate::{
    exit::Usage,
    flags::{parse_genesis, OutputFlags},
    screen::say,
    settings::{self, Settings, Source, ALL},
    table::{self, Column},
};

/// What can be done with the settings.
#[derive(Subcommand)]
pub enum Command {
    /// Show every setting and where its value comes from.
    Show(Show),
    /// Set one in the configuration file.
    Set(Set),
    /// Take one out of the configuration file.
    Unset(Unset),
    /// Print where the configuration file lies.
    Path(Path),
}

/// Flags of `noesis config show`.
#[derive(Args)]
#[command(after_help = "Example:\n  noesis config show")]
pub struct Show {
    #[command(flatten)]
    output: OutputFlags,
}

/// Flags of `noesis config set`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis config set url ws://127.0.0.1:9900\n  noesis config set market image"
)]
pub struct Set {
    /// Which setting, as `noesis config show` names it.
    key: String,
    /// Its value.
    value: String,
}

/// Flags of `noesis config unset`.
#[derive(Args)]
#[command(after_help = "Example:\n  noesis config unset market")]
pub struct Unset {
    /// Which setting.
    key: String,
}

/// Flags of `noesis config path`.
#[derive(Args)]
#[command(after_help = "Example:\n  cat \"$(noesis config path)\"")]
pub struct Path {}

/// Does it.
pub fn run(command: Command) -> Result<()> {
    let mut settings = Settings::load()?;
    match command {
        Command::Show(arguments) => show(&settings, arguments.output.json),
        Command::Set(Set { key, value }) => {
            if value.trim().is_empty() {
                return Err(Usage(format!(
                    "the value is empty: noesis config unset {key} takes it out"
                ))
                .into());
            }
            check(&key, &value)?;
            settings.write(&key, Some(&value))?;
        }
        Command::Unset(Unset { key }) => settings.write(&key, None)?,
        Command::Path(Path {}) => say(&settings.path().display().to_string()),
    }
    Ok(())
}

/// Refuses what no command could use.
fn check(key: &str, value: &str) -> Result<()> {
    if key == settings::URL.key {
        check_url(value)?;
    } else if key == settings::GENESIS.key {
        parse_genesis(value)?;
    } else if key == settings::WALLET.key {
        Wallets::new("").coldkey(value)?;
    } else if key == settings::HOTKEY.key && value.parse::<AccountId>().is_err() {
        Wallets::new("").hotkey("any", value)?;
    }
    Ok(())
}

/// Whether it is an address of a node, which need not be there.
fn check_url(url: &str) -> Result<(), ChainError> {
    let host = url
        .strip_prefix("ws://")
        .or_else(|| url.strip_prefix("wss://"));
    match host {
        Some(host)
            if host.starts_with(|letter: char| letter.is_alphanumeric() || letter == '[') =>
        {
            Ok(())
        }
        _ => Err(ChainError::BadUrl { url: url.into() }),
    }
}

fn show(settings: &Settings, json: bool) {
    let all: Vec<_> = ALL
        .into_iter()
        .map(|setting| (setting, settings.origin(setting)))
        .collect();
    if json {
        let object: Map<_, _> = all
            .into_iter()
            .map(|(setting, (value, source))| {
                (
                    setting.key.into(),
                    json!({ "value": value, "source": source }),
                )
            })
            .collect();
        return say(&json!(object).to_string());
    }
    let source = |setting: &crate::settings::Setting, source: Source| match source {
        Source::Environment => setting.variable.to_owned(),
        Source::File => "file".to_owned(),
        Source::Default => "default".to_owned(),
    };
    let columns = vec![
        Column::words("setting", all.iter().map(|(setting, _)| setting.key.into())),
        Column::words(
            "value",
            all.iter()
                .map(|(_, (value, _))| value.clone().unwrap_or_else(|| "-".into())),
        ),
        Column::words(
            "from",
            all.iter()
                .map(|(setting, (_, from))| source(setting, *from)),
        ),
        Column::words(
            "meaning",
            all.iter().map(|(setting, _)| setting.meaning.into()),
        ),
    ];
    say(&table::text(columns, &["meaning"]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_command_could_use_is_not_written_down() {
        for (key, wrong, right) in [
            ("url", "http://127.0.0.1:9944", "ws://127.0.0.1:9944"),
            ("url", "ws://", "wss://[::1]:9944/path"),
            ("genesis", "0x12", &"ab".repeat(32)),
            ("wallet", "../other", "other"),
            ("hotkey", "a b", "judge"),
        ] {
            let error = check(key, wrong).unwrap_err();
            assert_eq!(crate::exit::code(&error), 2, "{key} {wrong}: {error}");
            check(key, right).unwrap();
        }
        check("hotkey", &AccountId([1; 32]).to_string()).unwrap();
    }
}
