//! Where a password comes from: a file, the environment, or whoever sits at the terminal. Never from an
//! argument, which every process of the machine can read.

use std::{
    env,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use clap::Args;
use noesis_chain::Keypair;
use zeroize::Zeroizing;

use crate::{
    error::KeyFileError,
    file::{read_private, KeyFile},
};

/// The variable that holds a password itself.
const VARIABLE: &str = "NOESIS_PASSWORD";

/// A text that is wiped when it is no longer needed.
pub type Password = Zeroizing<String>;

/// The flags of a program that opens key files.
#[derive(Args, Clone, Debug, Default)]
pub struct PasswordFlags {
    /// File whose first line is the password of the key; only you may be able to read it. Without it the
    /// variable NOESIS_PASSWORD counts, and then you are asked.
    #[arg(long, value_name = "FILE", env = "NOESIS_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
}

impl PasswordFlags {
    /// The password of `what`, which exists already.
    pub fn password(&self, what: &str) -> Result<Password, KeyFileError> {
        match self.given()? {
            Some(password) => Ok(password),
            None => ask(&format!("Password of {what}: "), what),
        }
    }

    /// A password for `what`, which is being made; typed twice where it is typed.
    pub fn new_password(&self, what: &str) -> Result<Password, KeyFileError> {
        if let Some(password) = self.given()? {
            return Ok(password);
        }
        let password = ask(&format!("New password for {what}: "), what)?;
        if password.is_empty() {
            return Err(KeyFileError::EmptyPassword);
        }
        match *ask("The same again: ", what)? == *password {
            true => Ok(password),
            false => Err(KeyFileError::PasswordsDiffer),
        }
    }

    /// The pair of a secret URI such as //Alice, or of a key file, whose name ends in `.json`.
    pub fn keypair(&self, secret_or_file: &str) -> Result<Keypair, KeyFileError> {
        if !secret_or_file.ends_with(".json") {
            return Ok(noesis_chain::keypair(secret_or_file)?);
        }
        let file = KeyFile::read(Path::new(secret_or_file))?;
        file.open(&self.password(secret_or_file)?)
    }

    /// The password that needs nobody to be asked.
    pub fn given(&self) -> Result<Option<Password>, KeyFileError> {
        let password = match &self.password_file {
            Some(path) => {
                let text = Zeroizing::new(read_private(path).map_err(of_password_file)?);
                Some(Zeroizing::new(text.lines().next().unwrap_or("").to_owned()))
            }
            None => env::var(VARIABLE).ok().map(Zeroizing::new),
        };
        match password {
            Some(password) if password.is_empty() => Err(KeyFileError::EmptyPassword),
            other => Ok(other),
        }
    }
}

/// The error of a file that holds a password and no key.
fn of_password_file(error: KeyFileError) -> KeyFileError {
    match error {
        KeyFileError::Missing { path } => KeyFileError::NoPasswordFile {
            path,
            reason: "there is no such file".into(),
        },
        KeyFileError::Damaged { path, reason } => KeyFileError::NoPasswordFile { path, reason },
        other => other,
    }
}

/// Whether somebody can be asked.
pub fn on_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks at the terminal for a secret, without showing what is typed. `what` is what it is needed for.
///
/// Fails with [`KeyFileError::NoPassword`] where there is no terminal.
pub fn ask(prompt: &str, what: &str) -> Result<Password, KeyFileError> {
    if !on_terminal() {
        return Err(KeyFileError::NoPassword { what: what.into() });
    }
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(KeyFileError::io("cannot ask at", "the terminal"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn the_first_line_of_a_private_file_is_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, " of two words \nanother line\n").unwrap();
        let flags = PasswordFlags {
            password_file: Some(path.clone()),
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = flags.password("it").unwrap_err().to_string();
        assert!(
            error.contains("chmod 600") && error.contains("0640"),
            "{error}"
        );

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(*flags.password("it").unwrap(), " of two words ");
        let missing = PasswordFlags {
            password_file: Some(folder.path().join("nowhere")),
        };
        let error = missing.password("it").unwrap_err().to_string();
        assert!(
            error.contains("nowhere") && error.contains("--password-file"),
            "{error}"
        );
        assert!(!error.contains("key file"), "it is none: {error}");
        fs::write(&path, "\n").unwrap();
        assert!(matches!(
            flags.new_password("it"),
            Err(KeyFileError::EmptyPassword)
        ));
    }

    #[test]
    fn a_program_takes_a_secret_or_a_key_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        crate::write_private(&path("password"), "over the hills").unwrap();
        let key = KeyFile::seal("//Bob", "bob", "over the hills").unwrap();
        key.write(&path("bob.json")).unwrap();
        let flags = PasswordFlags {
            password_file: Some(path("password")),
        };
        let bob = noesis_chain::keypair("//Bob").unwrap().public_key().0;
        let file = path("bob.json").display().to_string();
        assert_eq!(flags.keypair(&file).unwrap().public_key().0, bob);
        assert_eq!(flags.keypair("//Bob").unwrap().public_key().0, bob);
        let missing = flags.keypair("nowhere.json").unwrap_err();
        assert!(matches!(missing, KeyFileError::Missing { .. }));
    }

    #[test]
    fn without_a_terminal_nobody_is_waited_for() {
        if on_terminal() {
            return;
        }
        let error = ask("Password: ", "the coldkey of main").unwrap_err();
        let words = error.to_string();
        assert!(words.contains("the coldkey of main") && words.contains("--password-file"));
    }
}
