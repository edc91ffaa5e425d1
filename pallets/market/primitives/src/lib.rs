//! What a market shows of itself: the types shared by pallet, runtime API, node and clients.
//!
//! One word on both sides: the runtime fills a [`Metagraph`], the node's JSON-RPC serialises the
//! very same struct, and clients deserialise it.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod share;

use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

pub use share::{share_parts, Share, SignedShare};

/// Number of a market, from 0 in order of creation.
pub type MarketId = u16;

/// Number of a slot within a market, below its capacity.
pub type Uid = u16;

/// Number of a block, as the runtime counts them.
pub type BlockNumber = u32;

/// One NOE in the chain's smallest unit of currency. Every amount is in such units. No more than 21 million NOE
/// (2.1e16 units) are ever minted; a genesis may endow accounts with more. `u64` holds any amount of a chain whose
/// genesis endows less than 18 billion.
pub const NOE: u64 = 1_000_000_000;

/// Most units that are ever minted.
pub const MAX_MINTED: u64 = 21_000_000 * NOE;

/// Most slots that a market can have.
pub const MAX_CAPACITY: u16 = 4096;

/// Longest endpoint, in bytes, that a neuron can publish.
pub const MAX_ENDPOINT_LENGTH: u32 = 128;

/// What a market trades: the kind of input its neurons answer.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Bytes of text, `i64 [batch, sequence]`.
    #[default]
    Text,
    /// Pictures, `f32 [batch, channels, height, width]`.
    Image,
    /// Anything else, `f32 [batch, sequence, dim]`.
    Tensor,
}

impl Modality {
    /// The name that people call it by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Tensor => "tensor",
        }
    }
}

/// One neuron in a [`Metagraph`]: who it is, and what the last finished epoch gave it.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, Serialize, Deserialize,
)]
pub struct Neuron<AccountId> {
    /// Its slot.
    pub uid: Uid,
    /// The key that serves and sets weights.
    pub hotkey: AccountId,
    /// The key that owns and pays.
    pub coldkey: AccountId,
    /// Where it serves, `host:port`; `None` until it has published one.
    pub endpoint: Option<String>,
    /// BLAKE3 fingerprint of its TLS certificate, where it published one.
    pub certificate: Option<[u8; 32]>,
    /// Its stake now, in units.
    pub stake: u64,
    /// Share of the voting stake's weight given to it (the paper's R, section 3).
    pub rank: Share,
    /// Share of the counted stake with an edge to it (the paper's T, section 4).
    pub trust: Share,
    /// Sigmoid of its trust (the paper's C, section 4).
    pub consensus: Share,
    /// Rank times consensus, normalised (the paper's I, section 4).
    pub incentive: Share,
    /// Its part of what the bonds earned (the paper's D, section 5).
    pub dividend: Share,
    /// Units paid to it by the last finished epoch.
    pub pay: u64,
    /// Block at which it last set weights.
    pub last_update: Option<BlockNumber>,
    /// Block at which it took its slot.
    pub registered_at: BlockNumber,
}

/// The parameters that clients need to know of a market.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, Serialize, Deserialize,
)]
pub struct MarketRules {
    /// Blocks from one epoch to the next.
    pub tempo: BlockNumber,
    /// Number of slots.
    pub capacity: u16,
    /// Fewest edges in a row of weights.
    pub min_weights: u16,
    /// Largest part of a row that one edge may have.
    pub max_weight: Share,
    /// Blocks that must pass between two rows of the same neuron.
    pub weights_rate_limit: BlockNumber,
    /// Age in blocks at which a row of weights stops counting.
    pub activity_cutoff: BlockNumber,
    /// Age in blocks until which a neuron cannot be replaced.
    pub immunity: BlockNumber,
    /// Epochs between the commitment to a row of weights and its being shown; 0 for rows in the clear.
    pub reveal_period: u32,
    /// Last dimension of every answer.
    pub response_dim: u32,
}

/// One consistent snapshot of a market: the results of its last finished epoch.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, Serialize, Deserialize,
)]
pub struct Metagraph<AccountId> {
    /// Which market.
    pub market: MarketId,
    /// What it trades.
    pub modality: Modality,
    /// Its rules.
    pub rules: MarketRules,
    /// Epochs finished so far; 0 before the first.
    pub epoch: u64,
    /// Epochs begun so far: one more than `epoch` while one is running.
    pub begun: u64,
    /// Block in which the last epoch was finished; 0 before the first.
    pub block: BlockNumber,
    /// Block in which the next epoch is due.
    pub next_epoch_block: BlockNumber,
    /// The consensus loss of the last epoch (the paper's L, section 4): negative in consensus.
    pub loss: SignedShare,
    /// Whether the last epoch was in consensus: `loss < 0` and the quorum met.
    pub in_consensus: bool,
    /// Units minted by the last epoch.
    pub minted: u64,
    /// Units that a registration costs now.
    pub registration_cost: u64,
    /// The neurons, in order of uid.
    pub neurons: Vec<Neuron<AccountId>>,
}

/// How a market stands, without its neurons: what a node shows of it at every block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct MarketSummary {
    /// Epochs finished so far.
    pub epoch: u64,
    /// Epochs begun so far: one more than `epoch` while one is running.
    pub begun: u64,
    /// Block in which the last epoch was finished.
    pub block: BlockNumber,
    /// The consensus loss of the last epoch.
    pub loss: SignedShare,
    /// Whether the last epoch was in consensus.
    pub in_consensus: bool,
    /// Units minted by the last epoch.
    pub minted: u64,
    /// Slots taken.
    pub neurons: u16,
    /// Those of them that were taken in this very block.
    pub arrived: u16,
    /// Units that a registration costs now.
    pub registration_cost: u64,
}

/// What governance decides for a market. In JSON shares are whole parts of 10^18, as in a genesis.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, Serialize)]
pub struct Governance<Parameters> {
    /// Its share of the chain's emission.
    #[serde(with = "share_parts")]
    pub emission_share: Share,
    /// Its rules, in JSON beside the share.
    #[serde(flatten)]
    pub parameters: Parameters,
    /// What is decided on and not yet in force.
    pub pending: Option<Scheduled<Parameters>>,
}

/// What waits for a market's next epoch, with which it comes into force.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, Serialize)]
pub struct Scheduled<Parameters> {
    /// Block in which that epoch is due; one that is overdue begins sooner.
    pub from_block: BlockNumber,
    /// The market's share of the chain's emission.
    #[serde(with = "share_parts")]
    pub emission_share: Share,
    /// Its rules, all of them, in JSON beside the share.
    #[serde(flatten)]
    pub parameters: Parameters,
}
