//! What storage holds.

use crate::Parameters;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use market_primitives::{share_parts, BlockNumber, Modality, Share, SignedShare, Uid};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Most edges of a row: one to every slot of the largest market.
pub type MaxEdges = ConstU32<{ market_primitives::MAX_CAPACITY as u32 }>;

/// Longest endpoint, in bytes.
pub type MaxEndpointLength = ConstU32<{ market_primitives::MAX_ENDPOINT_LENGTH }>;

/// A market: what it trades and by which rules.
#[derive(
    Clone,
    Debug,
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
#[serde(deny_unknown_fields)]
pub struct Market {
    /// The kind of input that its neurons answer.
    pub modality: Modality,
    /// Its share of the chain's emission. Those of all markets together are at most one.
    #[serde(with = "share_parts")]
    pub emission_share: Share,
    /// Its rules.
    pub parameters: Parameters,
}

/// A taken slot.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Slot<AccountId> {
    /// Serves and sets weights.
    pub hotkey: AccountId,
    /// Owns the stake.
    pub coldkey: AccountId,
    /// The block in which it was taken.
    pub registered_at: BlockNumber,
}

/// Where a neuron serves.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Endpoint {
    /// `host:port`, printable.
    pub address: BoundedVec<u8, MaxEndpointLength>,
    /// BLAKE3 fingerprint of the TLS certificate, where there is one.
    pub certificate: Option<[u8; 32]>,
    /// The block in which it was published.
    pub published_at: BlockNumber,
}

/// A row of weights as it was set: positive weights, uids strictly increasing.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct WeightRow {
    /// The block in which it was set.
    pub set_at: BlockNumber,
    /// Pairs of uid and weight.
    pub edges: BoundedVec<(Uid, u16), MaxEdges>,
}

/// A row of bonds: pairs of uid and [`market_mechanism::Bond`] in its 32 bits, uids strictly
/// increasing.
pub type BondRow = BoundedVec<(Uid, u32), MaxEdges>;

/// What an epoch gave a neuron.
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
)]
pub struct Outcome {
    /// R.
    pub rank: Share,
    /// T.
    pub trust: Share,
    /// C.
    pub consensus: Share,
    /// I.
    pub incentive: Share,
    /// D.
    pub dividend: Share,
    /// Units paid.
    pub pay: u64,
}

/// A finished epoch.
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
)]
pub struct EpochSummary {
    /// Its number, from 1; also how many are finished.
    pub epoch: u64,
    /// The block that ran it.
    pub block: BlockNumber,
    /// L.
    pub loss: SignedShare,
    /// Whether it was in consensus.
    pub in_consensus: bool,
    /// Units minted.
    pub minted: u64,
}

/// The price of registration after the last one.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct RegistrationPrice {
    /// Units, at block `at`.
    pub cost: u64,
    /// When it was so.
    pub at: BlockNumber,
}

impl RegistrationPrice {
    /// The price after somebody paid `cost` in block `now`: times 1.26.
    pub fn after(cost: u64, now: BlockNumber) -> Self {
        let raised = u128::from(cost).saturating_mul(126) / 100;
        Self {
            cost: u64::try_from(raised).unwrap_or(u64::MAX),
            at: now,
        }
    }

    /// The price in block `now`, halved every `tempo` blocks and linear in between, so that it falls
    /// with every block and nobody gains by waiting for a step.
    pub fn at(&self, now: BlockNumber, tempo: BlockNumber) -> u64 {
        let tempo = tempo.max(1);
        let age = now.saturating_sub(self.at);
        let halved = u128::from(self.cost.checked_shr(age / tempo).unwrap_or(0));
        let fallen = halved.saturating_mul(u128::from(age % tempo)) / u128::from(tempo) / 2;
        u64::try_from(halved.saturating_sub(fallen)).unwrap_or(u64::MAX)
    }
}
