//! What can go wrong with the chain, in words that say what to do.

use market_primitives::BlockNumber;
use subxt::{
    error::{DispatchError, TokenError},
    Metadata,
};

/// Name of the market's pallet in the runtime.
pub(crate) const PALLET: &str = "Market";

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
    #[error("no node answers at {url} ({reason}): start one (noesis-node --chain dev --alice), or give the address of one that runs")]
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
    /// The market's rules forbid the call. It changed nothing.
    #[error(transparent)]
    Market(#[from] MarketError),
    /// The account cannot pay the fee.
    #[error("the account cannot pay the transaction's fee: send it some NOE first")]
    CannotPayFee,
    /// Another transaction of the account waits with the same nonce ("priority is too low").
    #[error("another transaction of this account is already waiting for a block: wait for it, then try again")]
    AlreadyPending,
    /// The node's pool has no room.
    #[error("the node's transaction pool takes no more ({0}): try again in some blocks")]
    PoolFull(String),
    /// The pool, or the block, refused the transaction for another reason. It changed nothing.
    #[error("the chain refused the transaction: {0}")]
    Refused(String),
    /// The transaction was sent and its fate is not known. Look before sending again.
    #[error("it is not known whether the transaction reached a block ({0}): look at the metagraph or the balance before you send it again")]
    Uncertain(String),
    /// The node answered something this client cannot read.
    #[error("the node's answer cannot be understood ({0}): node and client are probably of different versions; update the older one")]
    Unexpected(String),
}

impl ChainError {
    /// Whether the same call, unchanged, may succeed later, and can do no harm by being repeated.
    ///
    /// `Uncertain` is not: an `add_stake` sent twice stakes twice.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::AlreadyPending | Self::PoolFull(_) => true,
            Self::Market(error) => error.retryable(),
            _ => false,
        }
    }
}

/// A rule of the market that a call breaks: the pallet's errors, one for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    /// No market has the number.
    #[error("no market has that number: `noesis metagraph --market text` finds one by its name")]
    UnknownMarket,
    /// Every slot of the market is taken.
    #[error("every slot of the market is taken: choose another market")]
    MarketFull,
    /// The hotkey holds no slot.
    #[error("the hotkey holds no slot in that market: register it first (and check that it was not replaced)")]
    NotRegistered,
    /// The hotkey holds a slot already.
    #[error("the hotkey holds a slot in that market already: use it, or register another hotkey")]
    AlreadyRegistered,
    /// The registration costs more than the caller would pay.
    #[error("registration now costs more than the most you offered: offer more, or wait, for the cost falls with every block")]
    CostAboveMaximum,
    /// The coldkey does not own the hotkey.
    #[error("this coldkey does not own the hotkey: sign with the coldkey that registered it")]
    NotOwner,
    /// Not as much stake in the slot.
    #[error("the slot holds less stake than that: ask for less, or add stake first")]
    InsufficientStake,
    /// Not as much on the account.
    #[error("the account holds less than that: take a smaller amount, or send it some NOE first")]
    InsufficientBalance,
    /// The row of weights is too long.
    #[error(
        "the row has more weights than the market has neurons: give each uid one weight at most"
    )]
    TooManyWeights,
    /// The row of weights is too short.
    #[error("the row has fewer weights than the market asks for: add edges (the market's rules say how many)")]
    TooFewWeights,
    /// The row is not strictly increasing in its uids.
    #[error("the uids of the row are not strictly increasing: sort them and name each once")]
    WeightsUnsorted,
    /// The row names a slot that nobody holds.
    #[error("the row names a uid that nobody holds: read the metagraph again and leave it out")]
    UnknownUid,
    /// The row has only zeros.
    #[error("every weight of the row is zero: give at least one neuron a weight")]
    AllWeightsZero,
    /// One weight takes more than the market lets it.
    #[error("one weight of the row is larger than the market allows: give more neurons a part")]
    WeightTooLarge,
    /// The row names its own author.
    #[error("the row gives its own author a weight: leave your own uid out")]
    SelfWeight,
    /// The hotkey set weights a short while ago.
    #[error("weights were set too short a time ago: try again {}", later(*.next))]
    WeightsTooEarly {
        /// First block in which a row will be taken, where it is known.
        next: Option<BlockNumber>,
    },
    /// The hotkey published its endpoint a short while ago.
    #[error("the endpoint was published too short a time ago: try again in some blocks")]
    ServeTooEarly,
    /// The endpoint is empty, too long or no `host:port`.
    #[error(
        "the endpoint is not valid: give host:port in at most 128 bytes, such as 203.0.113.7:9101"
    )]
    EndpointInvalid,
    /// The amount is zero.
    #[error("the amount is zero: give at least one unit (10^-9 NOE)")]
    AmountZero,
}

/// When to try again, in words.
fn later(next: Option<BlockNumber>) -> String {
    match next {
        Some(block) => format!("from block {block} on"),
        None => "in some blocks".into(),
    }
}

impl MarketError {
    /// The error of the pallet's own name, e.g. `WeightsUnsorted`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "UnknownMarket" => Self::UnknownMarket,
            "MarketFull" => Self::MarketFull,
            "NotRegistered" => Self::NotRegistered,
            "AlreadyRegistered" => Self::AlreadyRegistered,
            "CostAboveMaximum" => Self::CostAboveMaximum,
            "NotOwner" => Self::NotOwner,
            "InsufficientStake" => Self::InsufficientStake,
            "InsufficientBalance" => Self::InsufficientBalance,
            "TooManyWeights" => Self::TooManyWeights,
            "TooFewWeights" => Self::TooFewWeights,
            "WeightsUnsorted" => Self::WeightsUnsorted,
            "UnknownUid" => Self::UnknownUid,
            "AllWeightsZero" => Self::AllWeightsZero,
            "WeightTooLarge" => Self::WeightTooLarge,
            "SelfWeight" => Self::SelfWeight,
            "WeightsTooEarly" => Self::WeightsTooEarly { next: None },
            "ServeTooEarly" => Self::ServeTooEarly,
            "EndpointInvalid" => Self::EndpointInvalid,
            "AmountZero" => Self::AmountZero,
            _ => return None,
        })
    }

    /// Whether the same call may succeed in a later block.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::WeightsTooEarly { .. } | Self::ServeTooEarly)
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

/// The error of a pallet by its names; of one that this client does not know, the runtime's own words.
pub(crate) fn of_pallet(pallet: &str, name: &str, docs: &[String]) -> ChainError {
    match (pallet, name) {
        (PALLET, _) => MarketError::from_name(name),
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
                None => ChainError::Refused(words(message, data)),
            }
        }
        1013 | 1014 => ChainError::AlreadyPending,
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
