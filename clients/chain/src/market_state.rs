//! What a market's storage holds after a block, in numbers as they are stored: for whoever computes an
//! epoch again.

use std::collections::BTreeMap;

use market_primitives::{BlockNumber, MarketId, Uid};
use subxt::{
    dynamic,
    ext::scale_decode::{self, DecodeAsType},
};

use crate::{
    error::PALLET,
    storage::{State, StateError},
    Chain, ChainError, MarketError,
};

/// A market as its storage has it after a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarketState {
    /// Those of its rules that the epoch depends on.
    pub rules: EpochRules,
    /// Its slots by uid; `None` is a free one.
    pub slots: Vec<Option<Slot>>,
    /// The neurons' rows; those without edges are not stored.
    pub rows: BTreeMap<Uid, Row>,
    /// By uid: what the bonds in each neuron come to.
    pub columns: Vec<Column>,
    /// By uid: what the last finished epoch gave each neuron.
    pub outcomes: Vec<Outcome>,
    /// The last finished epoch.
    pub epoch: EpochSummary,
}

/// The rules of a market that the arithmetic of the epoch depends on. Shares are in parts of 10^18.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct EpochRules {
    /// Steepness of the sigmoid of consensus, in parts of 10^9.
    pub rho: u64,
    /// Trust at which consensus is one half.
    pub kappa: u64,
    /// Share of the emission that is paid as dividends.
    pub lambda: u64,
    /// What bonds forget in an epoch.
    pub alpha: u64,
    /// Smallest normalised weight that counts as an edge, times the number of neurons.
    pub trust_threshold: u64,
    /// Whether a weight on oneself counts.
    pub self_weight: bool,
    /// Whether nothing is minted without consensus.
    pub consensus_gate: bool,
    /// Whether stake that does not vote counts.
    pub count_idle_stake: bool,
    /// Smallest share of all stake that must vote.
    pub quorum: u64,
    /// Age in blocks at which a row stops counting.
    pub activity_cutoff: BlockNumber,
}

/// A call in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct Moment {
    /// The block.
    pub block: BlockNumber,
    /// The call in it, from 1; 0 before the first.
    pub call: u32,
}

impl Moment {
    /// As the epoch counts time.
    pub fn time(self) -> u64 {
        u64::from(self.block) << 32 | u64::from(self.call)
    }
}

/// A taken slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct Slot {
    /// Units that lie in it.
    pub stake: u64,
    /// When its neuron took it.
    pub registered_at: Moment,
}

/// What a neuron says of the others and what it holds in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct Row {
    /// When its weights were set.
    pub set_at: Moment,
    /// The gaps between its uids, as the mechanism codes them.
    pub gaps: Vec<u8>,
    /// The weight of each edge, 0 where there is but a bond.
    pub weights: Vec<u16>,
    /// The bond of each edge in units of 2^-31 of its column, 0 where there is but a weight.
    pub bonds: Vec<u32>,
}

/// The bonds in one neuron.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct Column {
    /// What a bond of one stands for: `mantissa * 2^exponent` of the counted stake.
    pub mantissa: u64,
    /// See `mantissa`.
    pub exponent: i32,
    /// The sum of the bonds, in units of 2^-31.
    pub sum: u64,
}

/// What an epoch gave a neuron. Shares are in parts of 10^18.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct Outcome {
    /// R.
    pub rank: u64,
    /// T.
    pub trust: u64,
    /// C.
    pub consensus: u64,
    /// I.
    pub incentive: u64,
    /// D.
    pub dividend: u64,
    /// Units paid.
    pub pay: u64,
}

/// A finished epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
pub struct EpochSummary {
    /// Its number, from 1; 0 before the first is finished.
    pub epoch: u64,
    /// The block at whose start it began: it is an epoch of the state before.
    pub began: BlockNumber,
    /// The block that finished it.
    pub finished: BlockNumber,
    /// L, in parts of 10^18.
    pub loss: i64,
    /// Whether it was in consensus.
    pub in_consensus: bool,
    /// Units minted.
    pub minted: u64,
}

/// The part of a market that is needed here.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct Market {
    parameters: EpochRules,
}

impl Chain {
    /// The epoch of a market that was finished last after a block; its number is 0 where none was.
    pub async fn epoch_after(
        &self,
        market: MarketId,
        block: BlockNumber,
    ) -> Result<EpochSummary, StateError> {
        let state = self.state_after(block).await?;
        Ok(state.value(market, "Epochs").await?.unwrap_or_default())
    }

    /// A market as its storage has it after a block. `seen` is told, row by row, how many are read and
    /// how many neurons there are, each of which may have one.
    ///
    /// Fails with [`StateError::Pruned`] where the node no longer keeps that state.
    pub async fn market_state(
        &self,
        market: MarketId,
        block: BlockNumber,
        mut seen: impl FnMut(usize, usize),
    ) -> Result<MarketState, StateError> {
        let state = self.state_after(block).await?;
        let rules = state.epoch_rules(market).await?;
        let slots: Vec<Option<Slot>> = state.value(market, "Slots").await?.unwrap_or_default();
        let neurons = slots.iter().flatten().count();
        Ok(MarketState {
            rules,
            slots,
            rows: state.rows(market, |read| seen(read, neurons)).await?,
            columns: state.value(market, "Columns").await?.unwrap_or_default(),
            outcomes: state.value(market, "Outcomes").await?.unwrap_or_default(),
            epoch: state.value(market, "Epochs").await?.unwrap_or_default(),
        })
    }
}

impl State<'_> {
    /// The rules of a market that the arithmetic of the epoch depends on.
    pub(crate) async fn epoch_rules(&self, market: MarketId) -> Result<EpochRules, StateError> {
        let stored: Option<Market> = self.value(market, "Markets").await?;
        let unknown = ChainError::Market(MarketError::UnknownMarket);
        Ok(stored.ok_or(unknown)?.parameters)
    }

    /// The rows of a market, page by page.
    async fn rows(
        &self,
        market: MarketId,
        mut seen: impl FnMut(usize),
    ) -> Result<BTreeMap<Uid, Row>, StateError> {
        let address = dynamic::storage::<(MarketId, Uid), Row>(PALLET, "Rows");
        let mut rows = BTreeMap::new();
        self.each(address, (market,), |(_, uid), row| {
            rows.insert(uid, row);
            seen(rows.len());
        })
        .await?;
        Ok(rows)
    }
}
