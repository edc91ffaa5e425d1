//! The rules of the market that a call can break, in words that say what to do.

use market_primitives::BlockNumber;

use super::bounds::out_of_bounds;

/// A rule of the market that a call breaks: the pallet's errors, as far as this client knows them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    /// No market has the number.
    #[error("no market has that number: `noesis market list` shows those there are")]
    UnknownMarket,
    /// Every slot of the market is taken, and by neurons that cannot be replaced yet.
    #[error("every slot of the market is taken, by neurons too young to be replaced: try again later, or choose another market")]
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
    #[error(
        "the slot holds less stake of its owner's than that: ask for less, or add stake first"
    )]
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
    /// The market hides weights, and a row came in the clear.
    #[error("this market takes no weights in the clear: commit to them (commit_weights), and reveal them `reveal_period` epochs later")]
    CommitFirst,
    /// The market takes weights in the clear, and a commitment came.
    #[error("this market takes weights in the clear: send the row itself (set_weights)")]
    WeightsInTheClear,
    /// No commitment waits for that row and salt.
    #[error("no commitment of this hotkey waits for that row and salt: reveal exactly what was committed to, and once")]
    NothingCommitted,
    /// The epoch in which the row is to be shown has not come.
    #[error("these weights are to be revealed in a later epoch: try again when it has begun")]
    RevealTooEarly,
    /// The epoch in which the row was to be shown is over.
    #[error("the epoch in which these weights were to be revealed is over: commit to new ones")]
    RevealTooLate,
    /// While an epoch is being computed nobody delegates, and only so many neurons leave.
    #[error("an epoch of the market is being computed: try again in some blocks")]
    EpochRunning,
    /// A delegation is of a least amount, and so is what is left of one.
    #[error("a delegation is of a tenth of a NOE and of one share at least: offer more, or take out less, or all")]
    DelegationTooSmall,
    /// Not as many shares of the pool.
    #[error("you hold fewer shares of this pool than that: ask for less")]
    InsufficientShares,
    /// There are as many markets as there can be.
    #[error("there are as many markets as the chain has room for: change one of those there are")]
    TooManyMarkets,
    /// A parameter is out of its bounds.
    #[error("{parameter} is out of its bounds: it must be {bounds}")]
    OutOfBounds {
        /// Its name.
        parameter: &'static str,
        /// What it must be.
        bounds: &'static str,
    },
    /// More than an owner may take of what delegated units earn.
    #[error("a take is at most 18 %: set a lower one")]
    TakeTooHigh,
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
            "CommitFirst" => Self::CommitFirst,
            "WeightsInTheClear" => Self::WeightsInTheClear,
            "NothingCommitted" => Self::NothingCommitted,
            "RevealTooEarly" => Self::RevealTooEarly,
            "RevealTooLate" => Self::RevealTooLate,
            "EpochRunning" => Self::EpochRunning,
            "DelegationTooSmall" => Self::DelegationTooSmall,
            "InsufficientShares" => Self::InsufficientShares,
            "TakeTooHigh" => Self::TakeTooHigh,
            "TooManyMarkets" => Self::TooManyMarkets,
            _ => return out_of_bounds(name),
        })
    }

    /// Whether the same call may succeed in a later block.
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::WeightsTooEarly { .. }
                | Self::ServeTooEarly
                | Self::RevealTooEarly
                | Self::EpochRunning
        )
    }
}
