//! What a command goes by: a flag, else the environment, else the configuration file, else a default.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use noesis_files::BY_UMASK;
use toml_edit::{DocumentMut, Item, Value};

use crate::exit::Usage;

/// The variable that names another configuration file.
pub const CONFIG_VARIABLE: &str = "NOESIS_CONFIG";

/// One thing that can be set.
pub struct Setting {
    /// Its key in the file, which is the flag's name with `_`.
    pub key: &'static str,
    /// Its environment variable.
    pub variable: &'static str,
    /// What it is.
    pub meaning: &'static str,
    /// What counts where nobody set it.
    default: fn() -> Option<String>,
}

/// Address of the node.
pub const URL: Setting = Setting {
    key: "url",
    variable: "NOESIS_URL",
    meaning: "address of the node",
    default: || Some("ws://127.0.0.1:9944".into()),
};

/// Which market.
pub const MARKET: Setting = Setting {
    key: "market",
    variable: "NOESIS_MARKET",
    meaning: "which market: its number, or what it trades",
    default: || Some("text".into()),
};

/// Folder of the wallets.
pub const WALLETS: Setting = Setting {
    key: "wallets",
    variable: "NOESIS_WALLETS",
    meaning: "folder of the wallets",
    default: || {
        Some(
            home("XDG_DATA_HOME", ".local/share")?
                .join("wallets")
                .display()
                .to_string(),
        )
    },
};

/// Which wallet.
pub const WALLET: Setting = Setting {
    key: "wallet",
    variable: "NOESIS_WALLET",
    meaning: "which wallet",
    default: || Some("default".into()),
};

/// Which hotkey of the wallet.
pub const HOTKEY: Setting = Setting {
    key: "hotkey",
    variable: "NOESIS_HOTKEY_NAME",
    meaning: "which hotkey of the wallet",
    default: || Some("default".into()),
};

/// The file with the password.
pub const PASSWORD_FILE: Setting = Setting {
    key: "password_file",
    variable: "NOESIS_PASSWORD_FILE",
    meaning: "file whose first line is the password",
    default: || None,
};

/// The only chain to talk to.
pub const GENESIS: Setting = Setting {
    key: "genesis",
    variable: "NOESIS_GENESIS",
    meaning: "hash of the first block of the chain to talk to, and to no other",
    default: || None,
};

/// All of them, as `noesis config show` lists them.
pub const ALL: [&Setting; 7] = [
    &URL,
    &MARKET,
    &WALLETS,
    &WALLET,
    &HOTKEY,
    &PASSWORD_FILE,
    &GENESIS,
];

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Its variable.
    Environment,
    /// The configuration file.
    File,
    /// Nobody set it.
    Default,
}

/// The configuration file, read.
pub struct Settings {
    path: PathBuf,
    document: DocumentMut,
}

impl Settings {
    /// Reads the user's file, which need not exist. A key that means nothing is an error.
    pub fn load() -> Result<Self> {
        let path = match env::var_os(CONFIG_VARIABLE) {
            Some(path) => path.into(),
            None => home("XDG_CONFIG_HOME", ".config")
                .ok_or_else(|| {
                    Usage(format!(
                        "there is no home folder to keep settings in: set HOME, or {CONFIG_VARIABLE}"
                    ))
                })?
                .join("config.toml"),
        };
        Self::read(path)
    }

    /// Reads one file.
    pub fn read(path: PathBuf) -> Result<Self> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()))
            }
        };
        let wrong = |reason: String| Usage(format!("{}: {reason}", path.display()));
        let document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| wrong(error.to_string().trim_end().into()))?;
        for (key, item) in document.iter() {
            if known(key).is_none() {
                return Err(wrong(unknown(key)).into());
            }
            if item.as_str().is_none() {
                return Err(wrong(format!("{key} is to be a text in quotes")).into());
            }
        }
        Ok(Self { path, document })
    }

    /// Where the file lies, whether or not it is there.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What counts: what was given by flag or environment, else the file's, else the default.
    pub fn resolve(&self, setting: &Setting, given: Option<&str>) -> Option<String> {
        given
            .map(str::to_owned)
            .or_else(|| self.in_file(setting))
            .or_else(setting.default)
    }

    /// What counts where no flag is given, and where it comes from.
    pub fn origin(&self, setting: &Setting) -> (Option<String>, Source) {
        if let Ok(value) = env::var(setting.variable) {
            return (Some(value), Source::Environment);
        }
        match self.in_file(setting) {
            Some(value) => (Some(value), Source::File),
            None => ((setting.default)(), Source::Default),
        }
    }

    fn in_file(&self, setting: &Setting) -> Option<String> {
        let value = self.document.get(setting.key)?.as_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Sets a key in the file, or takes it out, and leaves the rest of the file as it is.
    pub fn write(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        if known(key).is_none() {
            return Err(Usage(unknown(key)).into());
        }
        match value {
            Some(value) => {
                let item = self.document.entry(key).or_insert(Item::None);
                let old = item.as_value().map(|value| value.decor().clone());
                let mut new = Value::from(value);
                if let Some(decor) = old {
                    *new.decor_mut() = decor;
                }
                *item = Item::Value(new);
            }
            None => {
                self.document.remove(key);
            }
        }
        let cannot = || format!("cannot write {}", self.path.display());
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).with_context(cannot)?;
        }
        let text = self.document.to_string();
        noesis_files::write(&self.path, text.as_bytes(), BY_UMASK).with_context(cannot)
    }
}

/// The setting of that key.
fn known(key: &str) -> Option<&'static Setting> {
    ALL.into_iter().find(|setting| setting.key == key)
}

fn unknown(key: &str) -> String {
    let keys: Vec<_> = ALL.iter().map(|setting| setting.key).collect();
    format!("`{key}` is no setting: there are {}", keys.join(", "))
}

/// Our folder in the user's folder of that variable, or below the home folder.
fn home(variable: &str, below: &str) -> Option<PathBuf> {
    // A relative one is to be ignored, says the XDG specification; an empty one is relative.
    let folder = |name: &str| {
        let path = env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    folder(variable)
        .or_else(|| Some(folder("HOME")?.join(below)))
        .map(|path| path.join("noesis"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        Settings::read(path)
    }

    #[test]
    fn what_is_given_wins_over_the_file_and_the_file_over_the_default() {
        let settings = read("market = \"image\"\n").unwrap();
        let market = |given| settings.resolve(&MARKET, given).unwrap();
        assert_eq!(market(Some("tensor")), "tensor");
        assert_eq!(market(None), "image");
        assert_eq!(settings.resolve(&WALLET, None).unwrap(), "default");
        assert_eq!(settings.resolve(&GENESIS, None), None);
    }

    #[test]
    fn nothing_is_no_setting() {
        let settings = read("wallets = \"\"\nmarket = \"\"\n").unwrap();
        assert_eq!(settings.resolve(&MARKET, None).unwrap(), "text");
        assert_ne!(settings.resolve(&WALLETS, None).as_deref(), Some(""));
    }

    #[test]
    fn a_key_that_means_nothing_is_an_error() {
        for (text, words) in [
            ("markt = \"text\"", "`markt` is no setting"),
            ("market = 0", "text in quotes"),
            ("[market]\nname = \"text\"", "text in quotes"),
            ("market = ", "config.toml"),
        ] {
            let error = read(text).err().unwrap();
            assert_eq!(crate::exit::code(&error), 2);
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn setting_a_key_leaves_the_rest_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("config.toml");
        let mut settings = Settings::read(path.clone()).unwrap();
        settings.write("market", Some("image")).unwrap();
        assert!(settings.write("markt", Some("image")).is_err());

        fs::write(
            &path,
            "# mine\nurl = \"ws://a:1\" # here\nmarket = \"text\"\n",
        )
        .unwrap();
        let mut settings = Settings::read(path.clone()).unwrap();
        settings.write("url", Some("ws://b:2")).unwrap();
        settings.write("market", None).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# mine\nurl = \"ws://b:2\" # here\n");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
