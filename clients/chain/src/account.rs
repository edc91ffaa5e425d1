//! Accounts as people write them: SS58 addresses with prefix 42, and secret URIs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use subxt::utils::AccountId32;
use subxt_signer::{sr25519::Keypair, SecretUri};

/// Public key of an account; shown, parsed and serialised as its SS58 address (prefix 42).
///
/// Whatever prefix an address has, the account is the same; only ours is ever written.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub [u8; 32]);

/// A text that is no SS58 address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no SS58 address ({reason}): an address looks like 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")]
pub struct AccountIdError {
    text: String,
    reason: String,
}

impl From<[u8; 32]> for AccountId {
    fn from(key: [u8; 32]) -> Self {
        Self(key)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        AccountId32(self.0).fmt(formatter)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        AccountId32::from_str(text)
            .map(|account| Self(account.0))
            .map_err(|error| AccountIdError {
                text: text.into(),
                reason: error.to_string(),
            })
    }
}

impl Serialize for AccountId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        AccountId32(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AccountId32::deserialize(deserializer).map(|account| Self(account.0))
    }
}

/// A text that is no secret URI. Never holds the text, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key can be made of the secret URI ({0}): give a development key such as //Charlie//hotkey, a 12 to 24 word phrase, or a 0x seed of 32 bytes")]
pub struct KeyError(pub String);

/// The sr25519 key pair of a secret URI such as `//Charlie//hotkey`.
///
/// Nothing at all is no secret: the empty phrase would stand for the one that all development keys come from.
pub fn keypair(uri: &str) -> Result<Keypair, KeyError> {
    if uri.trim().is_empty() {
        return Err(KeyError("it is empty".into()));
    }
    let uri = SecretUri::from_str(uri).map_err(|error| KeyError(error.to_string()))?;
    Keypair::from_uri(&uri).map_err(|error| KeyError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

    #[test]
    fn ss58_round_trips_in_text_and_json() {
        let alice = AccountId(keypair("//Alice").unwrap().public_key().0);
        assert_eq!(alice.to_string(), ALICE);
        assert_eq!(ALICE.parse::<AccountId>().unwrap(), alice);
        let json = serde_json::to_string(&alice).unwrap();
        assert_eq!(json, format!("\"{ALICE}\""));
        assert_eq!(serde_json::from_str::<AccountId>(&json).unwrap(), alice);
    }

    #[test]
    fn an_address_with_a_typing_error_is_refused_in_words() {
        let wrong = ALICE.replace("KutQY", "KutQZ");
        let error = wrong.parse::<AccountId>().unwrap_err();
        assert!(error.to_string().contains(&wrong));
        assert!(error.to_string().contains("no SS58 address"));
        assert!("".parse::<AccountId>().is_err());
    }

    #[test]
    fn a_bad_secret_uri_is_refused_without_being_shown() {
        let error = keypair("one two three").unwrap_err().to_string();
        assert!(!error.contains("one two"));
        assert!(error.contains("//Charlie//hotkey"));
        assert!(keypair("").is_err() && keypair(" ").is_err());
    }
}
