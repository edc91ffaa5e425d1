//! Secrets as people write them, made into the bytes that a key file holds.

use std::str::FromStr;

use noesis_chain::KeyError;
use rand::{rngs::OsRng, TryRngCore};
use schnorrkel::{
    derive::{ChainCode, Derivation},
    ExpansionMode, MiniSecretKey, SecretKey,
};
use subxt_signer::{bip39::Mnemonic, DeriveJunction, ExposeSecret, SecretUri};
use zeroize::Zeroizing;

/// A new phrase of twelve words, from 128 bits of the system's randomness.
pub fn new_phrase() -> Zeroizing<String> {
    let mut entropy = Zeroizing::new([0; 16]);
    OsRng
        .try_fill_bytes(entropy.as_mut())
        .expect("a system without randomness can keep no secret");
    let phrase =
        Mnemonic::from_entropy(entropy.as_ref()).expect("128 bits are a length that BIP-39 knows");
    Zeroizing::new(phrase.to_string())
}

/// The secret key of a phrase, a 0x seed or a development key, with its derivations, as
/// [`noesis_chain::keypair`] makes a pair of it.
pub(crate) fn expand(uri: &str) -> Result<SecretKey, KeyError> {
    // The same words for the same mistakes, before anything is done by hand.
    noesis_chain::keypair(uri)?;
    let unusable = |reason: String| KeyError(reason);
    let uri = SecretUri::from_str(uri).map_err(|error| unusable(error.to_string()))?;
    let phrase = uri.phrase.expose_secret();
    let mini = match phrase.strip_prefix("0x") {
        Some(digits) => {
            let seed = hex::decode(digits).map_err(|error| unusable(error.to_string()))?;
            MiniSecretKey::from_bytes(&seed).map_err(|error| unusable(error.to_string()))?
        }
        None => {
            let phrase = Mnemonic::from_str(phrase).map_err(|error| unusable(error.to_string()))?;
            let (entropy, length) = phrase.to_entropy_array();
            let password = uri
                .password
                .as_ref()
                .map_or("", |text| text.expose_secret());
            substrate_bip39::mini_secret_from_entropy(&entropy[..length], password)
                .map_err(|error| unusable(format!("{error:?}")))?
        }
    };
    let root = mini.expand(ExpansionMode::Ed25519);
    Ok(uri
        .junctions
        .into_iter()
        .fold(root, |key, junction| match junction {
            DeriveJunction::Soft(code) => key.derived_key_simple(ChainCode(code), []).0,
            DeriveJunction::Hard(code) => key
                .hard_derive_mini_secret_key(Some(ChainCode(code)), b"")
                .0
                .expand(ExpansionMode::Ed25519),
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_gives_the_same_key_as_where_it_signs() {
        for uri in [
            "//Alice",
            "//Alice//hotkey/soft",
            "0x398f0c28f98885e046333d4a41c19cee4c37368a9832c6502f6cfd182e2aef89",
            "bottom drive obey lake curtain smoke basket hold race lonely fit walk///pass",
        ] {
            let ours = expand(uri).unwrap().to_public().to_bytes();
            let signs = noesis_chain::keypair(uri).unwrap().public_key().0;
            assert_eq!(ours, signs, "{uri}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        let error = expand("0x12 secret").unwrap_err().to_string();
        assert!(
            !error.contains("secret)") && !error.contains("0x12"),
            "{error}"
        );
        assert!(expand("0x1234").is_err() && expand("").is_err());
    }

    #[test]
    fn every_new_phrase_is_another_and_makes_a_key() {
        let (one, two) = (new_phrase(), new_phrase());
        assert_ne!(one, two);
        assert_eq!(one.split(' ').count(), 12);
        expand(&one).unwrap();
    }
}
