//! Flags that commands share, and what they come to with the other settings.

use anyhow::Result;
use clap::{builder::NonEmptyStringValueParser, Args};
use noesis_chain::{AccountId, Chain, MarketId};
use noesis_keys::{KeyFile, KeyFileError, PasswordFlags, Wallets};

use crate::{
    exit::{OtherChain, Usage},
    settings::{self, Settings},
};

/// Which node.
#[derive(Args)]
pub struct NodeFlags {
    /// Address of the node [default: ws://127.0.0.1:9944].
    #[arg(long, value_name = "URL", env = settings::URL.variable, hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub url: Option<String>,
}

/// Which market of which node.
#[derive(Args)]
pub struct MarketFlags {
    #[command(flatten)]
    pub node: NodeFlags,
    /// Which market: its number, or what it trades: text, image or tensor [default: text].
    #[arg(long, env = settings::MARKET.variable, hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub market: Option<String>,
}

/// How it is told.
#[derive(Args)]
pub struct OutputFlags {
    /// Print JSON, for programs. Amounts are in units of 10^-9 NOE.
    #[arg(long)]
    pub json: bool,
}

/// Which wallet.
#[derive(Args)]
pub struct WalletFlags {
    /// Folder of the wallets [default: ~/.local/share/noesis/wallets].
    #[arg(long, value_name = "FOLDER", env = settings::WALLETS.variable, hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub wallets: Option<String>,
    /// Which wallet [default: default].
    #[arg(long, value_name = "NAME", env = settings::WALLET.variable, hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub wallet: Option<String>,
}

/// Which neuron a call is about, and how it is signed.
#[derive(Args)]
pub struct Subject {
    #[command(flatten)]
    pub market: MarketFlags,
    #[command(flatten)]
    pub hotkey: HotkeyFlags,
    #[command(flatten)]
    pub signing: SigningFlags,
}

/// Which hotkey of the wallet.
#[derive(Args)]
pub struct HotkeyFlags {
    /// Which hotkey: its name in the wallet, or an address [default: default].
    #[arg(long, value_name = "NAME", env = settings::HOTKEY.variable, hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub hotkey: Option<String>,
}

/// How a call is signed and sent.
#[derive(Args)]
pub struct SigningFlags {
    #[command(flatten)]
    pub wallet: WalletFlags,
    #[command(flatten)]
    pub password: PasswordFlags,
    /// Send it without asking.
    #[arg(long, short)]
    pub yes: bool,
    /// Show the call, its fee and what would change, and send nothing. Needs no password.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait until the block that holds it is finalized.
    #[arg(long)]
    pub no_wait: bool,
    #[command(flatten)]
    pub output: OutputFlags,
}

impl NodeFlags {
    /// The node's address.
    pub fn url(&self, settings: &Settings) -> String {
        required(settings, &settings::URL, self.url.as_deref())
    }

    /// Connects to the node, and refuses one of another chain than that of the settings.
    pub async fn connect(&self, settings: &Settings) -> Result<Chain> {
        let chain = Chain::connect(&self.url(settings)).await?;
        let (wanted, _) = settings.origin(&settings::GENESIS);
        if let Some(wanted) = wanted {
            check_genesis(&chain.genesis_hash(), &wanted, chain.url())?;
        }
        Ok(chain)
    }
}

/// The hash of a first block.
pub fn parse_genesis(text: &str) -> Result<[u8; 32], Usage> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = [0; 32];
    match hex::decode_to_slice(digits, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Usage(format!(
            "the setting genesis is `{text}`: give 0x and 64 hexadecimal digits, as noesis chain status prints them"
        ))),
    }
}

/// Whether the chain is the one that the settings name.
fn check_genesis(genesis: &[u8; 32], wanted: &str, url: &str) -> Result<()> {
    let bytes = parse_genesis(wanted)?;
    match bytes == *genesis {
        true => Ok(()),
        false => Err(OtherChain {
            url: url.into(),
            found: format!("0x{}", hex::encode(genesis)),
            wanted: format!("0x{}", hex::encode(bytes)),
        }
        .into()),
    }
}

impl Subject {
    /// Whether a flag, and not the environment or the configuration file, names a hotkey or a market.
    pub fn names_a_neuron(&self) -> bool {
        let by_flag = |setting: &settings::Setting, given: &Option<String>| {
            given.is_some() && *given != std::env::var(setting.variable).ok()
        };
        by_flag(&settings::HOTKEY, &self.hotkey.hotkey)
            || by_flag(&settings::MARKET, &self.market.market)
    }
}

impl MarketFlags {
    /// The market's name or number.
    pub fn name(&self, settings: &Settings) -> String {
        required(settings, &settings::MARKET, self.market.as_deref())
    }

    /// Connects to the node and finds the market.
    pub async fn open(&self, settings: &Settings) -> Result<(Chain, MarketId)> {
        let chain = self.node.connect(settings).await?;
        let market = chain.find_market(&self.name(settings)).await?;
        Ok((chain, market))
    }
}

impl WalletFlags {
    /// The folder of the wallets.
    pub fn folder(&self, settings: &Settings) -> Result<Wallets> {
        settings
            .resolve(&settings::WALLETS, self.wallets.as_deref())
            .map(Wallets::new)
            .ok_or_else(|| Usage("there is no home folder: name one with --wallets".into()).into())
    }

    /// The wallet's name.
    pub fn name(&self, settings: &Settings) -> String {
        required(settings, &settings::WALLET, self.wallet.as_deref())
    }

    /// The file of the wallet's coldkey.
    pub fn coldkey(&self, settings: &Settings) -> Result<KeyFile> {
        let path = self.folder(settings)?.coldkey(&self.name(settings))?;
        Ok(KeyFile::read(&path)?)
    }
}

impl HotkeyFlags {
    /// The hotkey's name or address.
    pub fn name(&self, settings: &Settings) -> String {
        required(settings, &settings::HOTKEY, self.hotkey.as_deref())
    }

    /// Whose hotkey it is, which needs no file where an address is given.
    pub fn account(&self, settings: &Settings, wallet: &WalletFlags) -> Result<AccountId> {
        account_of(&self.name(settings), settings, wallet)
    }

    /// The file of the hotkey, to sign with.
    pub fn file(&self, settings: &Settings, wallet: &WalletFlags) -> Result<KeyFile> {
        let name = self.name(settings);
        if name.parse::<AccountId>().is_ok() {
            return Err(Usage(format!(
                "{name} is an address, and this is signed with the hotkey: name one of the wallet"
            ))
            .into());
        }
        let path = wallet
            .folder(settings)?
            .hotkey(&wallet.name(settings), &name)?;
        Ok(KeyFile::read(&path)?)
    }
}

/// The account of an address, or of a hotkey of the wallet by its name.
pub fn account_of(name: &str, settings: &Settings, wallet: &WalletFlags) -> Result<AccountId> {
    if let Ok(account) = name.parse() {
        return Ok(account);
    }
    let path = wallet
        .folder(settings)?
        .hotkey(&wallet.name(settings), name)?;
    let file = KeyFile::read(&path).map_err(|error| match error {
        // It may as well be meant as an address.
        KeyFileError::Missing { .. } => anyhow::Error::from(error).context(format!(
            "`{name}` is no address, and no hotkey of the wallet"
        )),
        error => error.into(),
    })?;
    Ok(file.account())
}

/// The flags of passwords, with the file that the settings name.
pub fn passwords(flags: &PasswordFlags, settings: &Settings) -> PasswordFlags {
    let given = flags
        .password_file
        .as_ref()
        .map(|path| path.display().to_string());
    PasswordFlags {
        password_file: settings
            .resolve(&settings::PASSWORD_FILE, given.as_deref())
            .map(Into::into),
    }
}

/// What counts of a setting that has a default.
fn required(settings: &Settings, setting: &settings::Setting, given: Option<&str>) -> String {
    settings
        .resolve(setting, given)
        .expect("url, market, wallet and hotkey have defaults")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_another_chain_is_refused_and_named() {
        let genesis = [7; 32];
        let ours = format!("0x{}", hex::encode(genesis));
        check_genesis(&genesis, &ours, "ws://here").unwrap();
        let error = check_genesis(&[8; 32], &ours, "ws://here").unwrap_err();
        assert_eq!(crate::exit::code(&error), 3);
        assert!(error.to_string().contains(&ours), "{error}");
        for wrong in ["", "0x12", &ours[..65], "genesis"] {
            let error = check_genesis(&genesis, wrong, "ws://here").unwrap_err();
            assert_eq!(crate::exit::code(&error), 2, "{wrong}");
        }
    }
}
