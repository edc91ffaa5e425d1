//! The chain as its clients see it: snapshots of markets, and signed calls.
//!
//! The only crate that knows subxt. Calls are encoded against the metadata of the node that
//! answers, so that the clients build without the runtime. Reading is of finalized blocks; a signed
//! call returns when the block that holds it is finalized, so that the next snapshot shows it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use noesis_chain::{keypair, Chain};
//! let chain = Chain::connect("ws://127.0.0.1:9944").await?;
//! let market = chain.find_market("text").await?;
//! let coldkey = keypair("//Charlie")?;
//! let hotkey = keypair("//Charlie//hotkey")?;
//! let uid = chain.register(&coldkey, market, hotkey.public_key().0, 2_000_000_000).await?;
//! chain.serve(&hotkey, market, "127.0.0.1:9101", None).await?;
//! println!("slot {uid} of {:?}", chain.metagraph(market).await?.neurons);
//! # Ok(()) }
//! ```

mod account;
mod blocks;
mod call;
mod commitment;
mod connection;
mod error;
mod events;
pub mod market_state;
mod pools;
mod query;
mod rehearsal;
mod rules;
mod status;
mod storage;
mod submit;
mod verbs;

pub use account::{keypair, AccountId, AccountIdError, KeyError};
pub use call::Call;
pub use commitment::commitment;
pub use connection::Chain;
pub use error::{bounds, ChainError, MarketError};
pub use market_primitives::{
    BlockNumber, MarketId, MarketRules, Modality, Share, SignedShare, Uid, MAX_ENDPOINT_LENGTH,
    MAX_MINTED, NOE,
};
pub use market_state::MarketState;
pub use pools::{Behind, Delegation, Earned, Holdings, Pool, PoolId, Raise, Terms};
pub use query::Funds;
pub use rehearsal::Rehearsal;
pub use rules::{Governance, ParameterValue, Parameters, Rules};
pub use status::NodeStatus;
pub use storage::StateError;
pub use submit::{Preview, Sent};
pub use subxt_signer::sr25519::Keypair;

/// Public key of a neuron's hotkey.
pub type Hotkey = [u8; 32];

/// One consistent snapshot of a market, with accounts as they are written on this chain.
pub type Metagraph = market_primitives::Metagraph<AccountId>;

/// One neuron of a [`Metagraph`].
pub type Neuron = market_primitives::Neuron<AccountId>;

/// The neuron of `hotkey` in a snapshot, `None` where it holds no slot.
pub fn find_neuron<'a>(metagraph: &'a Metagraph, hotkey: &Hotkey) -> Option<&'a Neuron> {
    metagraph
        .neurons
        .iter()
        .find(|neuron| neuron.hotkey.0 == *hotkey)
}

/// A hotkey that another coldkey registered: who works with it works for that one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this hotkey was registered by {owner}, who would own what it earns, not by {coldkey}: name that coldkey with \
     --coldkey, or another hotkey with --hotkey"
)]
pub struct OtherOwner {
    /// Whose it is.
    pub owner: AccountId,
    /// Whose it was thought to be.
    pub coldkey: AccountId,
}

/// Checks that a neuron is this coldkey's.
///
/// # Errors
///
/// [`OtherOwner`] when it is another's.
pub fn check_owner(neuron: &Neuron, coldkey: &Keypair) -> Result<(), OtherOwner> {
    let (owner, coldkey) = (neuron.coldkey, AccountId(coldkey.public_key().0));
    if owner == coldkey {
        Ok(())
    } else {
        Err(OtherOwner { owner, coldkey })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_another_coldkey_is_told_whose_the_hotkey_is() {
        let (ours, other) = (keypair("//Alice").unwrap(), keypair("//Bob").unwrap());
        let neuron = Neuron {
            coldkey: AccountId(ours.public_key().0),
            ..Neuron::default()
        };
        assert_eq!(check_owner(&neuron, &ours), Ok(()));
        let words = check_owner(&neuron, &other).unwrap_err().to_string();
        assert!(words.contains(&neuron.coldkey.to_string()), "{words}");
        assert!(words.contains("--coldkey"), "{words}");
    }
}
