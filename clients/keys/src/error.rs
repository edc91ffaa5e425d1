//! What can be wrong with a key file or its password, in words that say what to do.

use std::path::PathBuf;

/// What keeps a key from being read, written or opened. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no such file.
    #[error("there is no key file {path}: `noesis wallet list` shows those there are, `noesis wallet create` makes one")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A key would be overwritten.
    #[error("{path} holds a key already, and is not overwritten: choose another name, or move the file away")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner can read the file.
    #[error("others can read {path} (mode {mode:04o}): take it back with `chmod 600 '{path}'`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is no whole key file.
    #[error(
        "{path} is no whole key file ({reason}): take a copy of it, or import the phrase again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file holds another kind of key.
    #[error("{path} {what}: export one sr25519 account from polkadot-js, with a password")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it holds.
        what: String,
    },
    /// The password does not open the file.
    #[error(
        "the password does not open {path}: try again with the password that it was made with"
    )]
    WrongPassword {
        /// The file.
        path: PathBuf,
    },
    /// There is nobody to ask for a password.
    #[error("a password is needed for {what}, and there is no terminal to ask for it: give --password-file FILE, or set NOESIS_PASSWORD_FILE or NOESIS_PASSWORD")]
    NoPassword {
        /// The key that it is for.
        what: String,
    },
    /// The file with the password cannot be read.
    #[error("the password cannot be read from {path} ({reason}): name a file whose first line it is (--password-file, NOESIS_PASSWORD_FILE), or none, to be asked for it")]
    NoPasswordFile {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No password was given.
    #[error("the password is empty: give one, for it is all that protects the file")]
    EmptyPassword,
    /// There is no such file to import.
    #[error(
        "there is no file {path} to import: give the path of a file that polkadot-js exported"
    )]
    NothingToImport {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The password was typed in two ways.
    #[error("the two passwords differ: try again")]
    PasswordsDiffer,
    /// The name is no name of a file.
    #[error("`{name}` is no name for a key: take letters, digits, `-`, `_` and `.`, at most 64, and begin with a letter or digit")]
    BadName {
        /// The name.
        name: String,
    },
    /// No key can be made of the secret.
    #[error(transparent)]
    Secret(#[from] noesis_chain::KeyError),
    /// The file system refuses.
    #[error("{doing} {path}: {error}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What came of it.
        error: std::io::Error,
    },
}

impl KeyFileError {
    /// The error of the file system, as it is said of `path`.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |error| match error.kind() {
            std::io::ErrorKind::NotFound if doing == READING => Self::Missing { path },
            std::io::ErrorKind::AlreadyExists => Self::Exists { path },
            _ => Self::Io { doing, path, error },
        }
    }
}

/// What is being done to a file that has to be there.
pub(crate) const READING: &str = "cannot read";
