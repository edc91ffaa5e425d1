//! Keys at rest: encrypted files that polkadot-js writes and opens, the folder they lie in, and where
//! the password of one comes from.
//!
//! ```no_run
//! # fn example() -> Result<(), noesis_keys::KeyFileError> {
//! use noesis_keys::{new_phrase, KeyFile, Wallets};
//! let wallets = Wallets::new("wallets");
//! let path = wallets.coldkey("main")?;
//! KeyFile::seal(&new_phrase(), "main", "a password")?.write(&path)?;
//! let keypair = KeyFile::read(&path)?.open("a password")?;
//! # Ok(()) }
//! ```

mod error;
mod file;
mod password;
mod secret;
mod wallets;

pub use error::KeyFileError;
pub use file::{write_private, KeyFile};
pub use password::{ask, on_terminal, Password, PasswordFlags};
pub use secret::new_phrase;
pub use wallets::{Entry, Wallets};
pub use zeroize::Zeroizing;
