//! `noesis wallet create`, `import` and `list`: the key files.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{builder::NonEmptyStringValueParser, Args};
use noesis_keys::{new_phrase, on_terminal, KeyFile, KeyFileError, PasswordFlags, Zeroizing};
use serde_json::{json, Value};

use crate::{
    exit::Usage,
    flags::{passwords, OutputFlags, WalletFlags},
    screen::say,
    settings::Settings,
    table::{self, Column},
};

/// A phrase is shorter.
const LONGEST_SECRET: u64 = 4096;

/// Which key is made.
#[derive(Args)]
pub struct NewKey {
    #[command(flatten)]
    wallet: WalletFlags,
    /// Make a hotkey of this name in the wallet; without it, the wallet's coldkey.
    #[arg(long, value_name = "NAME")]
    hotkey: Option<String>,
    #[command(flatten)]
    password: PasswordFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Flags of `noesis wallet create`.
#[derive(Args)]
#[command(after_help = "Examples:
  noesis wallet create                                the coldkey of the wallet `default`
  noesis wallet create --hotkey default               a hotkey beside it
  noesis wallet create --wallet second --hotkey miner --password-file ~/.noesis-password

Write the phrase down: it is shown this once, and gives the key back when the file or its password is lost.")]
pub struct Create {
    #[command(flatten)]
    key: NewKey,
}

/// Flags of `noesis wallet import`.
#[derive(Args)]
#[command(after_help = "Examples:
  noesis wallet import                                asks for the phrase or 0x seed, and a password
  noesis wallet import --file exported.json           a file that polkadot-js wrote, with its own password
  noesis wallet import --password-file ~/.noesis-password < phrase.txt")]
pub struct Import {
    /// A key file of polkadot-js. Without it, a phrase, a 0x seed or a development key such as //Alice is
    /// asked for, or read from standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    key: NewKey,
}

/// Flags of `noesis wallet list`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis wallet list\n  noesis wallet list --json | jq -r '.[].address'"
)]
pub struct List {
    /// Folder of the wallets [default: ~/.local/share/noesis/wallets].
    #[arg(long, value_name = "FOLDER", env = crate::settings::WALLETS.variable, hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    wallets: Option<String>,
    #[command(flatten)]
    output: OutputFlags,
}

/// Where a new key goes, and what it is called.
struct Place {
    path: PathBuf,
    /// In words.
    what: String,
    /// In the file.
    name: String,
    password: PasswordFlags,
}

impl NewKey {
    /// Fails where there is a key already, before anybody is asked anything.
    fn place(&self) -> Result<Place> {
        let settings = Settings::load()?;
        let wallets = self.wallet.folder(&settings)?;
        let wallet = self.wallet.name(&settings);
        let (path, what, name) = match &self.hotkey {
            None => (
                wallets.coldkey(&wallet)?,
                format!("the coldkey of wallet {wallet}"),
                wallet,
            ),
            Some(hotkey) => (
                wallets.hotkey(&wallet, hotkey)?,
                format!("the hotkey {hotkey} of wallet {wallet}"),
                format!("{wallet}/{hotkey}"),
            ),
        };
        if path.exists() {
            return Err(KeyFileError::Exists { path }.into());
        }
        Ok(Place {
            path,
            what,
            name,
            password: passwords(&self.password, &settings),
        })
    }
}

/// Makes a key.
pub fn create(arguments: Create) -> Result<()> {
    let place = arguments.key.place()?;
    let password = place.password.new_password(&place.what)?;
    let phrase = new_phrase();
    let file = KeyFile::seal(&phrase, &place.name, &password)?;
    file.write(&place.path)?;
    if arguments.key.output.json {
        let mut made = made(&file, &place.path);
        made["phrase"] = phrase.as_str().into();
        say(&made.to_string());
        return Ok(());
    }
    say(&format!(
        "{} is {}\n{}\n\nIts phrase, shown this once; write it down where nobody else finds it:\n\n  {}\n",
        place.what,
        file.account(),
        place.path.display(),
        *phrase
    ));
    Ok(())
}

/// Takes a key in.
pub fn import(arguments: Import) -> Result<()> {
    let place = arguments.key.place()?;
    let file = match &arguments.file {
        Some(path) => {
            let file = KeyFile::read(path).map_err(|error| match error {
                KeyFileError::Missing { path } => KeyFileError::NothingToImport { path },
                error => error,
            })?;
            let password = place.password.password(&path.display().to_string())?;
            // A file whose password nobody knows any more is better noticed now.
            file.open(&password)?;
            file
        }
        None => {
            let secret = secret()?;
            // What is wrong with the secret is said before a password is asked for.
            noesis_chain::keypair(&secret).map_err(KeyFileError::from)?;
            let password = place.password.new_password(&place.what)?;
            KeyFile::seal(&secret, &place.name, &password)?
        }
    };
    file.write(&place.path)?;
    match arguments.key.output.json {
        true => say(&made(&file, &place.path).to_string()),
        false => say(&format!(
            "{} is {}\n{}",
            place.what,
            file.account(),
            place.path.display()
        )),
    }
    Ok(())
}

/// What is told of a new key.
fn made(file: &KeyFile, path: &Path) -> Value {
    json!({ "address": file.account(), "path": path })
}

/// The phrase or seed: typed unseen at a terminal, else the first line of the input.
fn secret() -> Result<Zeroizing<String>> {
    if on_terminal() {
        return noesis_keys::ask("Phrase or seed: ", "the secret to import").map_err(Into::into);
    }
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .take(LONGEST_SECRET)
        .read_to_string(&mut text)
        .context("cannot read the secret from the input")?;
    let line = text.lines().next().unwrap_or("").trim();
    match line.is_empty() {
        true => Err(Usage(
            "there is nothing to import: give the phrase or seed on the input, or --file FILE"
                .into(),
        )
        .into()),
        false => Ok(Zeroizing::new(line.to_owned())),
    }
}

/// Lists the keys.
pub fn list(arguments: List) -> Result<()> {
    let wallets = WalletFlags {
        wallets: arguments.wallets,
        wallet: None,
    }
    .folder(&Settings::load()?)?;
    let entries = wallets.list()?;
    if arguments.output.json {
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "wallet": entry.wallet,
                    "hotkey": entry.hotkey,
                    "address": entry.file.as_ref().ok().map(KeyFile::account),
                    "path": entry.path,
                    "problem": entry.file.as_ref().err().map(ToString::to_string),
                })
            })
            .collect();
        say(&serde_json::to_string_pretty(&entries)?);
        return Ok(());
    }
    if entries.is_empty() {
        say(&format!(
            "there are no keys in {}: noesis wallet create makes one",
            wallets.folder().display()
        ));
        return Ok(());
    }
    let columns = vec![
        Column::words("wallet", entries.iter().map(|entry| entry.wallet.clone())),
        Column::words(
            "key",
            entries.iter().map(|entry| match &entry.hotkey {
                None => "coldkey".into(),
                Some(name) => format!("hotkey {name}"),
            }),
        ),
        Column::words(
            "address",
            entries.iter().map(|entry| match &entry.file {
                Ok(file) => file.account().to_string(),
                Err(error) => error.to_string(),
            }),
        ),
    ];
    say(&table::text(columns, &[]));
    Ok(())
}
