//! A key file: one sr25519 pair in the format of polkadot-js (version 3), which its extension, its apps
//! and `@polkadot/keyring` open. The pair is coded as PKCS#8 and sealed with XSalsa20-Poly1305 under a key
//! that scrypt makes of the password.

use std::{
    fs,
    io::Read,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{engine::general_purpose::STANDARD, Engine};
use crypto_secretbox::{
    aead::{Aead, KeyInit},
    Key, Nonce, XSalsa20Poly1305,
};
use noesis_chain::{AccountId, Keypair};
use noesis_files::OWNER_ALONE;
use rand::{rngs::OsRng, TryRngCore};
use serde::{Deserialize, Serialize};
use subxt_signer::polkadot_js_compat::{decrypt_json, Error as OpenError};
use zeroize::Zeroizing;

use crate::{
    error::{KeyFileError, READING},
    secret,
};

/// Cost of a guess: 128 MiB and some tenths of a second, the highest that polkadot-js lets in.
const SCRYPT_LOG_N: u8 = 17;
const SCRYPT_P: u32 = 1;
const SCRYPT_R: u32 = 8;

/// What stands before the secret and before the public key in PKCS#8 as polkadot-js writes it.
const PKCS8_HEADER: [u8; 16] = [48, 83, 2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
const PKCS8_DIVIDER: [u8; 5] = [161, 35, 3, 33, 0];

/// Salt, three parameters of scrypt, nonce; then the tag and the coded pair.
const SEALED_LENGTH: usize = 32 + 3 * 4 + 24 + 16 + (16 + 64 + 5 + 32);

/// A file that is longer holds no key.
const LONGEST: u64 = 1 << 16;

/// An encrypted key, with where it was read from.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// Where it lies, for words about it.
    path: PathBuf,
    /// Whose key it is.
    account: AccountId,
    /// What its owner calls it.
    name: Option<String>,
    /// The file itself.
    text: String,
}

/// The file as JSON.
#[derive(Serialize, Deserialize)]
struct Json {
    encoded: String,
    encoding: Encoding,
    address: AccountId,
    #[serde(default)]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct Encoding {
    content: Vec<String>,
    #[serde(rename = "type")]
    kind: Vec<String>,
    version: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when_created: Option<u64>,
}

impl KeyFile {
    /// Encrypts the key of a phrase, a 0x seed or a development key under `password`.
    ///
    /// Fails with [`KeyFileError::Secret`] where the secret makes no key, and with
    /// [`KeyFileError::EmptyPassword`].
    pub fn seal(uri: &str, name: &str, password: &str) -> Result<Self, KeyFileError> {
        if password.is_empty() {
            return Err(KeyFileError::EmptyPassword);
        }
        let secret = secret::expand(uri)?;
        let public = secret.to_public().to_bytes();
        let coded: Zeroizing<Vec<u8>> = Zeroizing::new(
            [
                &PKCS8_HEADER[..],
                &*Zeroizing::new(secret.to_ed25519_bytes()),
                &PKCS8_DIVIDER,
                &public,
            ]
            .concat(),
        );
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let json = Json {
            encoded: STANDARD.encode(encrypt(&coded, password)),
            encoding: Encoding {
                content: vec!["pkcs8".into(), "sr25519".into()],
                kind: vec!["scrypt".into(), "xsalsa20-poly1305".into()],
                version: "3".into(),
            },
            address: AccountId(public),
            meta: Meta {
                name: Some(name.into()),
                when_created: now.ok().map(|time| time.as_millis() as u64),
            },
        };
        Ok(Self {
            path: PathBuf::from(name),
            account: json.address,
            name: json.meta.name.clone(),
            text: serde_json::to_string_pretty(&json).expect("strings and numbers are always JSON"),
        })
    }

    /// Reads a file, which nobody but its owner may be able to read, without opening what it holds.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        Self::parse(path, read_private(path)?)
    }

    /// Takes the text of a file for a key.
    fn parse(path: &Path, text: String) -> Result<Self, KeyFileError> {
        let damaged = |reason: String| KeyFileError::Damaged {
            path: path.into(),
            reason,
        };
        let unsupported = |what: &str| KeyFileError::Unsupported {
            path: path.into(),
            what: what.into(),
        };
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if json.get("accounts").is_some() {
            return Err(unsupported("holds several accounts"));
        }
        let json: Json =
            serde_json::from_value(json).map_err(|error| damaged(error.to_string()))?;
        if json.encoding.version != "3" {
            return Err(unsupported("is of another version of the format"));
        }
        if json.encoding.content != ["pkcs8", "sr25519"] {
            return Err(unsupported("holds no sr25519 key"));
        }
        if json.encoding.kind != ["scrypt", "xsalsa20-poly1305"] {
            return Err(unsupported(
                "is not encrypted with scrypt and xsalsa20-poly1305",
            ));
        }
        match STANDARD.decode(&json.encoded) {
            Ok(sealed) if sealed.len() == SEALED_LENGTH => Ok(Self {
                path: path.into(),
                account: json.address,
                name: json.meta.name,
                text,
            }),
            Ok(sealed) => Err(damaged(format!(
                "{} bytes where a key takes {SEALED_LENGTH}",
                sealed.len()
            ))),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    /// Whose key it is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// What its owner calls it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Opens it. Takes some tenths of a second.
    ///
    /// Fails with [`KeyFileError::WrongPassword`], also where the sealed bytes were altered, for nothing can
    /// tell the two apart.
    pub fn open(&self, password: &str) -> Result<Keypair, KeyFileError> {
        decrypt_json(&self.text, password).map_err(|error| match error {
            OpenError::Secretbox(_) => KeyFileError::WrongPassword {
                path: self.path.clone(),
            },
            other => KeyFileError::Damaged {
                path: self.path.clone(),
                reason: other.to_string(),
            },
        })
    }

    /// Writes it for its owner alone, whole or not at all; an existing file is left as it is.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        write_private(path, &self.text)
    }
}

/// Salt, parameters, nonce and the sealed bytes.
fn encrypt(coded: &[u8], password: &str) -> Vec<u8> {
    let mut random = [0; 32 + 24];
    OsRng
        .try_fill_bytes(&mut random)
        .expect("a system without randomness can keep no secret");
    let (salt, nonce) = random.split_at(32);
    let parameters = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P, 32)
        .expect("the constants are in scrypt's range");
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password.as_bytes(), salt, &parameters, key.as_mut())
        .expect("32 bytes are a length of a key");
    let sealed = XSalsa20Poly1305::new(Key::from_slice(key.as_ref()))
        .encrypt(Nonce::from_slice(nonce), coded)
        .expect("117 bytes are no more than the cipher takes");
    let mut out = salt.to_vec();
    for parameter in [1 << SCRYPT_LOG_N, SCRYPT_P, SCRYPT_R] {
        out.extend(u32::to_le_bytes(parameter));
    }
    out.extend(nonce);
    out.extend(sealed);
    out
}

/// The text of a file that nobody but its owner can read.
pub(crate) fn read_private(path: &Path) -> Result<String, KeyFileError> {
    let file = fs::File::open(path).map_err(KeyFileError::io(READING, path))?;
    let metadata = file.metadata().map_err(KeyFileError::io(READING, path))?;
    let mode = metadata.permissions().mode() & 0o777;
    // What is no file, such as /dev/fd/3 or a pipe that a secret store fills, lies nowhere.
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed {
            path: path.into(),
            mode,
        });
    }
    let mut text = String::new();
    file.take(LONGEST + 1)
        .read_to_string(&mut text)
        .map_err(KeyFileError::io(READING, path))?;
    if text.len() as u64 > LONGEST {
        return Err(KeyFileError::Damaged {
            path: path.into(),
            reason: format!("it is longer than {LONGEST} bytes"),
        });
    }
    Ok(text)
}

/// Writes a new file, in folders that are made where need be, for its owner alone, whole or not at all.
///
/// Fails with [`KeyFileError::Exists`] where there is a file of that name.
pub fn write_private(path: &Path, text: &str) -> Result<(), KeyFileError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(KeyFileError::io("cannot make the folder", folder))?;
    }
    if path.exists() {
        return Err(KeyFileError::Exists { path: path.into() });
    }
    noesis_files::write_new(path, text.as_bytes(), OWNER_ALONE)
        .map_err(KeyFileError::io("cannot write", path))
}

#[cfg(test)]
mod tests;
