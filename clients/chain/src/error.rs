//! What can go wrong with the chain, in words that say what to do.

mod bounds;
mod market;

use subxt::{
    error::{DispatchError, TokenError},
    metadata::ArcMetadata,
    Metadata,
};

use crate::AccountId;
pub use bounds::bounds;
pub use market::MarketError;

/// Name of the market's pallet in the runtime.
pub(crate) const PALLET: &str = "Market";

/// Name of the pallet whose key acts as root.
pub(crate) const SUDO: &str = "Sudo";

/// Anything that keeps the chain from doing what a client asked.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The text is no address of a node.
    #[error(
        "`{url}` is no address of a node: it looks like ws://127.0.0.1:9944 or wss://name:port"
    )]
    BadUrl {
        /// The text.
        url: String,
    },
    /// No node answers.
    #[error("no node answers at {url} ({reason}): start one (noesis-node --dev), or give the address of one that runs")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What was seen instead of an answer.
        reason: String,
    },
    /// The node answers, and has no market.
    #[error("the node at {url} does not serve {what}: it is no node of Noesis, or of an older version; give the address of another")]
    NotNoesis {
        /// Its address.
        url: String,
        /// What it lacks.
        what: String,
    },
    /// The node that came back follows another chain than the one that went away.
    #[error("the node at {url} now follows another chain (another genesis block): start this program again, with the address of the right chain")]
    AnotherChain {
        /// Its address.
        url: String,
    },
    /// No market has that name.
    #[error(
        "there is no market `{name}`: there are {offered}; give one of these names, or its number"
    )]
    NoSuchMarket {
        /// The name looked for.
        name: String,
        /// What there is, in words.
        offered: String,
    },
    /// Several markets have that name.
    #[error(
        "several markets trade `{name}`: those of the numbers {numbers}; give one of these numbers"
    )]
    ManyMarkets {
        /// The name looked for.
        name: String,
        /// The numbers of those that have it.
        numbers: String,
    },
    /// The market's rules forbid the call. It changed nothing.
    #[error(transparent)]
    Market(#[from] MarketError),
    /// The key is not the one that acts as root.
    #[error("only the sudo key of the chain may do that, and this is another: {}", root_key(.root.as_ref()))]
    NotRoot {
        /// The one that is, where it is known.
        root: Option<AccountId>,
    },
    /// The account cannot pay the fee.
    #[error("the account cannot pay the transaction's fee: send it some NOE first")]
    CannotPayFee,
    /// Another transaction of the account waits with the same nonce ("priority is too low").
    #[error("another transaction of this account is already waiting for a block: wait for it, then try again")]
    AlreadyPending,
    /// Another transaction of the account, signed at the same moment, took the place of this one in the pool.
    #[error("another transaction of this account was sent at the same moment and took the place of this one, which did nothing: let one program at a time sign with a key, and try again")]
    Displaced,
    /// The node's pool has no room.
    #[error("the node's transaction pool takes no more ({0}): try again in some blocks")]
    PoolFull(String),
    /// The pool did not take the transaction as it was signed, or threw it out: no block holds it.
    #[error("the chain refused the transaction: {0}")]
    Invalid(String),
    /// The pool, or the block, refused the transaction for another reason. It changed nothing.
    #[error("the chain refused the transaction: {0}")]
    Refused(String),
    /// The node refuses the question, in its own words.
    #[error("the node does not answer: {0}")]
    NoAnswer(String),
    /// The transaction was sent and its fate is not known. Look before sending again.
    #[error("it is not known what became of the transaction ({0}): look at the metagraph or the balance before you send it again")]
    Uncertain(String),
    /// A block holds root's transaction, and what came of the call that root made in it is not known.
    #[error("the chain does not say what came of root's call ({0}): look at noesis market list and noesis market parameters before you send it again")]
    RootUncertain(String),
    /// The node answered something this client cannot read.
    #[error("the node's answer cannot be understood ({0}): node and client are probably of different versions; update the older one")]
    Unexpected(String),
}

/// What to do to act as root.
fn root_key(root: Option<&AccountId>) -> String {
    match root {
        Some(root) => format!("sign with the key of {root}"),
        None => "read which it is (Sudo.Key), and sign with that; a chain without one is governed otherwise".into(),
    }
}

impl ChainError {
    /// Whether the same call, unchanged, may succeed later, and can do no harm by being repeated.
    ///
    /// `Uncertain` and `RootUncertain` are not: an `add_stake` sent twice stakes twice.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::AlreadyPending | Self::PoolFull(_) => true,
            Self::Market(error) => error.retryable(),
            _ => false,
        }
    }
}

/// The error of a call that reached a block and failed in it.
pub(crate) fn of_dispatch(error: DispatchError) -> ChainError {
    match &error {
        DispatchError::Module(module) => match module.details() {
            Ok(details) => of_pallet(
                details.pallet.name(),
                &details.variant.name,
                &details.variant.docs,
            ),
            Err(_) => ChainError::Refused(error.to_string()),
        },
        DispatchError::Token(TokenError::FundsUnavailable | TokenError::NotExpendable) => {
            ChainError::Market(MarketError::InsufficientBalance)
        }
        _ => ChainError::Refused(error.to_string()),
    }
}

/// The error of a call that failed, from the runtime's bytes; `None` where this client cannot read them.
pub(crate) fn of_bytes(bytes: &[u8], metadata: &ArcMetadata) -> Option<ChainError> {
    let error = DispatchError::decode_from(bytes, metadata.clone()).ok()?;
    Some(of_dispatch(error))
}

/// The error of a pallet by its names; of one that this client does not know, the runtime's own words.
pub(crate) fn of_pallet(pallet: &str, name: &str, docs: &[String]) -> ChainError {
    match (pallet, name) {
        (PALLET, _) => MarketError::from_name(name),
        (SUDO, "RequireSudo") => return ChainError::NotRoot { root: None },
        ("Balances", "InsufficientBalance" | "Expendability") => {
            Some(MarketError::InsufficientBalance)
        }
        _ => None,
    }
    .map_or_else(
        || ChainError::Refused(words(&format!("{pallet}.{name}"), docs.join(" ").trim())),
        ChainError::Market,
    )
}

/// The error of a transaction that the node's pool refused: JSON-RPC code, message and data of
/// `author_submitAndWatchExtrinsic` (Substrate's `sc-rpc-api`, `author/error.rs`).
///
/// The pool refuses free calls of the market with a custom code that is the index of the pallet's
/// error, which `rule` turns into that error.
pub(crate) fn of_pool(
    code: i32,
    message: &str,
    data: Option<&str>,
    rule: impl FnOnce(u8) -> Option<ChainError>,
) -> ChainError {
    // The data is a JSON string.
    let data = data.unwrap_or_default().trim_matches('"');
    match code {
        1010 => {
            let broken = data
                .strip_prefix("Custom error: ")
                .and_then(|index| index.parse().ok())
                .and_then(rule);
            match broken {
                Some(error) => error,
                None if data.starts_with("Inability to pay") => ChainError::CannotPayFee,
                // A nonce that was used: somebody else signs with this key too.
                None if data.contains("outdated") => ChainError::AlreadyPending,
                None => ChainError::Invalid(words(message, data)),
            }
        }
        // The very same bytes: it arrived before, and is not to be signed anew.
        1013 => ChainError::Uncertain("the node has this very transaction already".into()),
        1014 => ChainError::AlreadyPending,
        1012 | 1016 => ChainError::PoolFull(words(message, data)),
        _ => ChainError::Refused(words(message, data)),
    }
}

/// The market's error of that index, as the runtime's metadata numbers them.
pub(crate) fn rule_of_index(metadata: &Metadata, index: u8) -> Option<ChainError> {
    let error = metadata
        .pallet_by_name(PALLET)?
        .error_variant_by_index(index)?;
    Some(of_pallet(PALLET, &error.name, &error.docs))
}

/// Message and data in one line.
fn words(message: &str, data: &str) -> String {
    if data.is_empty() {
        message.into()
    } else {
        format!("{message}: {data}")
    }
}

#[cfg(test)]
mod tests;
