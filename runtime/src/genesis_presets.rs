//! How a chain starts: `dev`, one authority, and `local_testnet`, two. Both open a market of each modality with
//! fast epochs and endow the well-known development accounts.

use crate::{
    AccountId, AuraConfig, BalancesConfig, GrandpaConfig, MarketConfig, RuntimeGenesisConfig,
    SudoConfig,
};
use alloc::{vec, vec::Vec};
use frame_support::build_struct_json_patch;
use market_primitives::{Modality, Share, NOE};
use pallet_market::{types::Market, Parameters};
use serde_json::Value;
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// Blocks in an epoch of the presets.
const TEMPO: u32 = 10;

/// What each development account owns at the start.
const ENDOWMENT: u128 = 10_000 * NOE as u128;

/// The accounts that own something at the start: //Alice to //Ferdie.
fn endowed() -> [Sr25519Keyring; 6] {
    use Sr25519Keyring::{Alice, Bob, Charlie, Dave, Eve, Ferdie};
    [Alice, Bob, Charlie, Dave, Eve, Ferdie]
}

/// A market of each modality, with answers of 64 dimensions, which small models serve quickly. Text comes first
/// and gets half of the emission, the others a quarter each.
fn markets() -> Vec<Market> {
    let market = |modality, part: u64| Market {
        modality,
        emission_share: Share(Share::ONE.0 / part),
        parameters: Parameters {
            response_dim: 64,
            ..Parameters::with_tempo(TEMPO)
        },
    };
    vec![
        market(Modality::Text, 2),
        market(Modality::Image, 4),
        market(Modality::Tensor, 4),
    ]
}

/// A chain whose blocks are made and finalized by these authorities.
fn genesis(authorities: &[(Sr25519Keyring, Ed25519Keyring)]) -> Value {
    let account = |who: Sr25519Keyring| -> AccountId { who.to_account_id() };
    build_struct_json_patch!(RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: endowed().map(|who| (account(who), ENDOWMENT)).to_vec(),
        },
        aura: AuraConfig {
            authorities: authorities
                .iter()
                .map(|(aura, _)| aura.public().into())
                .collect::<Vec<_>>(),
        },
        grandpa: GrandpaConfig {
            authorities: authorities
                .iter()
                .map(|(_, grandpa)| (grandpa.public().into(), 1))
                .collect::<Vec<_>>(),
        },
        sudo: SudoConfig {
            key: Some(account(Sr25519Keyring::Alice)),
        },
        market: MarketConfig { markets: markets() },
    })
}

/// The preset of this name as JSON, or `None`.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    let alice = (Sr25519Keyring::Alice, Ed25519Keyring::Alice);
    let bob = (Sr25519Keyring::Bob, Ed25519Keyring::Bob);
    let patch = match id.as_ref() {
        DEV_RUNTIME_PRESET => genesis(&[alice]),
        LOCAL_TESTNET_RUNTIME_PRESET => genesis(&[alice, bob]),
        _ => return None,
    };
    serde_json::to_vec(&patch).ok()
}

/// The names of the presets.
pub fn preset_names() -> Vec<PresetId> {
    vec![
        PresetId::from(DEV_RUNTIME_PRESET),
        PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET),
    ]
}
