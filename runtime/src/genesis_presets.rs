//! How a chain starts: `dev`, one authority, and `local_testnet`, two, which are fast and endow the well-known
//! development accounts; `staging`, four authorities, blocks of six seconds and keys of its own. Each opens
//! a market of each modality.

use crate::{
    AccountId, AuthoritiesConfig, BalancesConfig, MarketConfig, RuntimeGenesisConfig,
    SessionConfig, SessionKeys, SudoConfig, SLOT_DURATION,
};
use alloc::{vec, vec::Vec};
use frame_support::build_struct_json_patch;
use market_primitives::{Modality, Share, NOE};
use pallet_grandpa::AuthorityId as GrandpaId;
use pallet_market::{types::Market, Parameters};
use serde_json::Value;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_core::{ed25519, hex2array as hex, sr25519};
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// The name of the preset with four authorities.
pub const STAGING_RUNTIME_PRESET: &str = "staging";

/// The account and the GRANDPA key of each authority of the staging network; the account's is its Aura key,
/// too. Both come from `//noesis//staging//<0 to 3>`, root from `//noesis//staging//root`: derivations of the
/// development phrase, so that anybody can try the network out. Before anything on it is worth something
/// they must be replaced, all of them: `docs/chain.md`.
const STAGING: [([u8; 32], [u8; 32]); 4] = [
    (
        hex!("52df557e57a65c794c41152fe2b1d0817be5e30d6140e8586179a2de71fbdb41"),
        hex!("ea7b65c88b5e65643edca1e7fd7547141ee0a34a05f4d5df2de8141b842be821"),
    ),
    (
        hex!("2a9065b3402275ba62388f55bfa073886208f571a682f26030ace4bf7318681a"),
        hex!("3d688861971adfa6abb10363d677cc5b9da95546575fad19176ed16e7197baee"),
    ),
    (
        hex!("00431c00bf4535a1c2a391011a062ccf231e01c7c83c7ee896f70baa789af510"),
        hex!("ac67c15bac6ba1b57fe449a563c0a1165aca97d2394dbe640a4b179501025989"),
    ),
    (
        hex!("c26f997811207d97d4ef7e1101b2359ffeb25f815ac999d466ba1a55d81f8403"),
        hex!("7f9cb777636e4f49abeedf5fa730de51f27954b0f8a6135d285d412f316d8891"),
    ),
];

/// Root of the staging network.
const STAGING_ROOT: [u8; 32] =
    hex!("7c44c3072382ec416659a2f4c3a471556099285effebb04e89d4eae958e4e467");

/// Blocks in an epoch of the fast presets.
const TEMPO: u32 = 10;

/// Blocks in an epoch of the staging network.
const STAGING_TEMPO: u32 = 100;

/// What each development account owns at the start.
const ENDOWMENT: u128 = 10_000 * NOE as u128;

/// The accounts that own something at the start: //Alice to //Ferdie.
fn endowed() -> [Sr25519Keyring; 6] {
    use Sr25519Keyring::{Alice, Bob, Charlie, Dave, Eve, Ferdie};
    [Alice, Bob, Charlie, Dave, Eve, Ferdie]
}

/// A market of each modality, with answers of 64 dimensions, which small models serve quickly. Text comes first
/// and gets half of the emission, the others a quarter each.
fn markets(tempo: u32) -> Vec<Market> {
    let market = |modality, part: u64| Market {
        modality,
        emission_share: Share(Share::ONE.0 / part),
        parameters: Parameters {
            response_dim: 64,
            ..Parameters::with_tempo(tempo)
        },
    };
    vec![
        market(Modality::Text, 2),
        market(Modality::Image, 4),
        market(Modality::Tensor, 4),
    ]
}

/// An authority at the start: the account that is one, and what it signs blocks and votes with.
type Authority = (AccountId, AuraId, GrandpaId);

/// The development authority of that name.
fn development(aura: Sr25519Keyring, grandpa: Ed25519Keyring) -> Authority {
    (
        aura.to_account_id(),
        aura.public().into(),
        grandpa.public().into(),
    )
}

/// An authority of the staging network.
fn staging((account, grandpa): ([u8; 32], [u8; 32])) -> Authority {
    (
        AccountId::new(account),
        sr25519::Public::from_raw(account).into(),
        ed25519::Public::from_raw(grandpa).into(),
    )
}

/// How fast a chain is, and who is root in it.
struct Rules {
    /// Milliseconds from one block to the next.
    slot_duration: u64,
    /// Blocks in a session.
    session_length: u32,
    /// Who may do all.
    root: AccountId,
    /// Those who own something at the start.
    endowed: Vec<AccountId>,
    /// The markets.
    markets: Vec<Market>,
}

impl Rules {
    /// Those of the presets for trying things out: a block a second, sessions of a minute, //Alice.
    fn fast() -> Self {
        Self {
            slot_duration: SLOT_DURATION,
            session_length: 60,
            root: Sr25519Keyring::Alice.to_account_id(),
            endowed: endowed().map(|who| who.to_account_id()).to_vec(),
            markets: markets(TEMPO),
        }
    }
}

/// A chain whose blocks are made and finalized by these authorities.
fn genesis(authorities: &[Authority], rules: Rules) -> Value {
    let keys = authorities.iter().cloned().map(|(who, aura, grandpa)| {
        let keys = SessionKeys { aura, grandpa };
        (who.clone(), who, keys)
    });
    build_struct_json_patch!(RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: rules
                .endowed
                .into_iter()
                .map(|who| (who, ENDOWMENT))
                .collect::<Vec<_>>(),
        },
        authorities: AuthoritiesConfig {
            authorities: authorities
                .iter()
                .map(|(who, ..)| who.clone())
                .collect::<Vec<_>>(),
            session_length: rules.session_length,
            slot_duration: rules.slot_duration,
        },
        session: SessionConfig {
            keys: keys.collect::<Vec<_>>(),
        },
        sudo: SudoConfig {
            key: Some(rules.root),
        },
        market: MarketConfig {
            markets: rules.markets
        },
    })
}

/// The preset of this name as JSON, or `None`.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    let alice = || development(Sr25519Keyring::Alice, Ed25519Keyring::Alice);
    let bob = || development(Sr25519Keyring::Bob, Ed25519Keyring::Bob);
    let patch = match id.as_ref() {
        DEV_RUNTIME_PRESET => genesis(&[alice()], Rules::fast()),
        LOCAL_TESTNET_RUNTIME_PRESET => genesis(&[alice(), bob()], Rules::fast()),
        STAGING_RUNTIME_PRESET => {
            let authorities = STAGING.map(staging);
            let endowed = authorities.iter().map(|(who, ..)| who.clone());
            let rules = Rules {
                slot_duration: 6_000,
                session_length: 600,
                root: AccountId::new(STAGING_ROOT),
                endowed: endowed.chain([AccountId::new(STAGING_ROOT)]).collect(),
                markets: markets(STAGING_TEMPO),
            };
            genesis(&authorities, rules)
        }
        _ => return None,
    };
    serde_json::to_vec(&patch).ok()
}

/// The names of the presets.
pub fn preset_names() -> Vec<PresetId> {
    vec![
        PresetId::from(DEV_RUNTIME_PRESET),
        PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET),
        PresetId::from(STAGING_RUNTIME_PRESET),
    ]
}
