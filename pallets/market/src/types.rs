//! What storage holds.

use crate::Parameters;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use market_mechanism as mechanism;
use market_primitives::{share_parts, BlockNumber, Modality, Share, SignedShare, Uid};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Slots of the largest market, and so the edges of the longest row.
pub type MaxSlots = ConstU32<{ market_primitives::MAX_CAPACITY as u32 }>;

/// Something of each slot of a market, by uid.
pub type BySlot<Value> = BoundedVec<Value, MaxSlots>;

/// Bytes of the longest row of uids: one an edge, and two more for each gap of 255 or more, of which
/// there are at most 16 in 4096.
pub type MaxGaps = ConstU32<{ market_primitives::MAX_CAPACITY as u32 + 32 }>;

/// The longest `reveal_period`, in epochs, and so the most commitments that can wait at a time, less
/// one.
pub const MAX_REVEAL_PERIOD: u32 = 10;

/// Most commitments of a neuron that can wait to be revealed.
pub type MaxCommitments = ConstU32<{ MAX_REVEAL_PERIOD + 1 }>;

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

/// What governance may change of a market.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Rules {
    /// Its share of the chain's emission.
    pub emission_share: Share,
    /// Its rules.
    pub parameters: Parameters,
}

/// A moment on the chain: a call in a block, so that what happened in one block has an order.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Moment {
    /// The block.
    pub block: BlockNumber,
    /// The call in it, from 1; 0 before the first.
    pub call: u32,
}

impl Moment {
    /// The beginning of a block, before its first call.
    pub fn start_of(block: BlockNumber) -> Self {
        Self { block, call: 0 }
    }

    /// As the mechanism counts time.
    pub fn time(self) -> u64 {
        u64::from(self.block) << 32 | u64::from(self.call)
    }

    /// The longest time that counts as an age of `blocks` blocks.
    pub fn age(blocks: BlockNumber) -> u64 {
        Self {
            block: blocks,
            call: u32::MAX,
        }
        .time()
    }
}

/// Whose a slot is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Neuron<AccountId> {
    /// Serves and sets weights.
    pub hotkey: AccountId,
    /// Owns the stake.
    pub coldkey: AccountId,
}

/// A taken slot, as far as the epoch is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Slot {
    /// Units that lie in it.
    pub stake: u64,
    /// When its neuron took it.
    pub registered_at: Moment,
}

/// Where a neuron serves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Endpoint {
    /// `host:port`, printable.
    pub address: BoundedVec<u8, MaxEndpointLength>,
    /// BLAKE3 fingerprint of the TLS certificate, where there is one.
    pub certificate: Option<[u8; 32]>,
    /// The block in which it was published.
    pub published_at: BlockNumber,
}

/// What a neuron says of the others and what it holds in them: the mechanism's
/// [`Row`](mechanism::Row), seven bytes an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Row {
    /// When its weights were set.
    pub set_at: Moment,
    /// The gaps between its uids, coded as [`Edges`](mechanism::Edges) says.
    pub gaps: BoundedVec<u8, MaxGaps>,
    /// The weight of each edge, 0 where there is but a bond.
    pub weights: BySlot<u16>,
    /// The bond of each edge, its share of its column in units of 2^-31; 0 where there is but a weight.
    pub bonds: BySlot<u32>,
}

impl Row {
    /// To be stored.
    pub fn new(set_at: Moment, edges: mechanism::Edges) -> Self {
        let (gaps, weights, bonds) = edges.into_parts();
        // No row has an edge twice, nor one beyond the slots: the bounds hold.
        Self {
            set_at,
            gaps: BoundedVec::truncate_from(gaps),
            weights: BoundedVec::truncate_from(weights),
            bonds: BoundedVec::truncate_from(bonds),
        }
    }

    /// To be computed with.
    pub fn edges(self) -> mechanism::Edges {
        let (weights, bonds) = (self.weights.into_inner(), self.bonds.into_inner());
        // What was stored above comes back.
        mechanism::Edges::from_parts(self.gaps.into_inner(), weights, bonds).unwrap_or_default()
    }
}

/// A row of weights that was set while an epoch was running that had yet to read the one before.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Arrival {
    /// When it was set.
    pub set_at: Moment,
    /// Pairs of uid and weight.
    pub weights: BySlot<(Uid, u16)>,
}

/// A row of weights that is promised and not yet shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Commitment {
    /// The epoch in which it was made: of those begun, the number of the last.
    pub epoch: u64,
    /// When it was made; the row speaks of the neurons that were there then.
    pub made_at: Moment,
    /// What [`commitment`](crate::weight_setting::commitment) makes of row and salt.
    pub hash: [u8; 32],
}

/// The bonds in one neuron: the mechanism's [`Column`](mechanism::Column).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Column {
    /// What a bond of one stands for: `mantissa * 2^exponent` of the counted stake.
    pub mantissa: u64,
    /// See `mantissa`.
    pub exponent: i32,
    /// The sum of the bonds, in units of 2^-31.
    pub sum: u64,
}

impl From<mechanism::Column> for Column {
    fn from(column: mechanism::Column) -> Self {
        let (mantissa, exponent) = column.scale.parts();
        Self {
            mantissa,
            exponent,
            sum: column.sum,
        }
    }
}

impl From<Column> for mechanism::Column {
    fn from(column: Column) -> Self {
        Self {
            scale: mechanism::Scaled::from_parts(column.mantissa, column.exponent),
            sum: column.sum,
        }
    }
}

/// What an epoch gave a neuron.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct EpochSummary {
    /// Its number, from 1; also how many are finished.
    pub epoch: u64,
    /// The block at whose start it began: it is an epoch of the state before.
    pub began: BlockNumber,
    /// The block that finished it.
    pub finished: BlockNumber,
    /// L.
    pub loss: SignedShare,
    /// Whether it was in consensus.
    pub in_consensus: bool,
    /// Units minted.
    pub minted: u64,
}

/// The price of registration after the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
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
