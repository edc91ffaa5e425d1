//! What a market's storage holds after a block, in numbers as they are stored: for whoever computes an
//! epoch again.
//!
//! Values are decoded by the metadata of the runtime of that block. Fields that are not asked for here
//! may come and go; one that is asked for and is not there is an error in words.

use std::collections::BTreeMap;

use market_primitives::{BlockNumber, MarketId, Uid};
use subxt::{
    client::{ClientAtBlock, OnlineClientAtBlockImpl},
    dynamic::{self, At, Value},
    error::{OnlineClientAtBlockError, StorageError},
    ext::{
        scale_decode::{self, DecodeAsType},
        scale_value::{Composite, Primitive, ValueDef},
    },
    SubstrateConfig,
};

use crate::{error::PALLET, Chain, ChainError};

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

/// What keeps a market's state of an earlier block from being read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The node has thrown that state away.
    #[error("the node at {url} no longer keeps the state of block {block}: run the node with --state-pruning archive from its first block on, or give the address of one that keeps it")]
    Pruned {
        /// Its address.
        url: String,
        /// The block.
        block: BlockNumber,
    },
    /// The node does not have that block.
    #[error("the node at {url} has no block {block}: wait until it has all blocks, or give the address of another")]
    NoSuchBlock {
        /// Its address.
        url: String,
        /// The block.
        block: BlockNumber,
    },
    /// Anything else.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// The part of a market that is needed here.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct Market {
    parameters: EpochRules,
}

type Client = ClientAtBlock<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

impl Chain {
    /// The number of the last finalized block.
    pub async fn finalized_block(&self) -> Result<BlockNumber, ChainError> {
        let block = self.ask(self.client.at_current_block()).await?;
        // The runtime counts in 32 bits.
        Ok(BlockNumber::try_from(block.block_number()).unwrap_or(BlockNumber::MAX))
    }

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
        let Market { parameters: rules } = state
            .value(market, "Markets")
            .await?
            .ok_or(ChainError::Market(crate::MarketError::UnknownMarket))?;
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

    /// The row of a neuron after the last finalized block; `None` where it has no edge.
    pub async fn row(&self, market: MarketId, uid: Uid) -> Result<Option<Row>, StateError> {
        const ENTRY: &str = "Rows";
        let state = self.state_after(self.finalized_block().await?).await?;
        let address = dynamic::storage::<(MarketId, Uid), Row>(PALLET, ENTRY);
        let question = async {
            let storage = state.client.storage();
            storage.try_fetch(address, (market, uid)).await
        };
        let row = state.ask(ENTRY, question).await?;
        let decoded = row.map(|row| row.decode()).transpose();
        decoded.map_err(|error| unreadable(ENTRY, &error))
    }

    /// Every parameter of a market after the last finalized block by its name, in the runtime's order: a
    /// number as it is stored, or `true` or `false`.
    pub async fn parameters(
        &self,
        market: MarketId,
    ) -> Result<Vec<(String, serde_json::Value)>, StateError> {
        let state = self.state_after(self.finalized_block().await?).await?;
        let market: Value = state
            .value(market, "Markets")
            .await?
            .ok_or(ChainError::Market(crate::MarketError::UnknownMarket))?;
        let parameters = market.at("parameters").map(|value| &value.value);
        let Some(ValueDef::Composite(Composite::Named(fields))) = parameters else {
            return Err(unreadable("Markets", &"it has no parameters by name"));
        };
        let plain = |(name, value): &(String, Value)| Some((name.clone(), plain(value)?));
        let plain: Option<Vec<_>> = fields.iter().map(plain).collect();
        plain.ok_or_else(|| unreadable("Markets", &"a parameter is no number"))
    }

    async fn state_after(&self, block: BlockNumber) -> Result<State<'_>, StateError> {
        let mut absent = false;
        let question = async {
            let found = self.client.at_block(u64::from(block)).await;
            absent = matches!(found, Err(OnlineClientAtBlockError::BlockNotFound { .. }));
            found
        };
        let answer = self.ask(question).await;
        if absent {
            let url = self.url().into();
            return Err(StateError::NoSuchBlock { url, block });
        }
        let client = answer.map_err(|error| self.explain_state(error, block))?;
        Ok(State {
            chain: self,
            block,
            client,
        })
    }

    /// The error of a question about a block that may be too old.
    fn explain_state(&self, error: ChainError, block: BlockNumber) -> StateError {
        match error {
            // The node's own words (`sc-state-db` and those who hand it on); there is no code for it.
            ChainError::Unexpected(words) if words.contains("tate already discarded") => {
                let url = self.url().into();
                StateError::Pruned { url, block }
            }
            error => error.into(),
        }
    }
}

/// The state after a block.
struct State<'a> {
    chain: &'a Chain,
    block: BlockNumber,
    client: Client,
}

impl State<'_> {
    /// The value of a map by market; `None` where none is stored.
    async fn value<Stored: DecodeAsType>(
        &self,
        market: MarketId,
        entry: &'static str,
    ) -> Result<Option<Stored>, StateError> {
        let address = dynamic::storage::<(MarketId,), Stored>(PALLET, entry);
        let value = self
            .ask(entry, async {
                self.client.storage().try_fetch(address, (market,)).await
            })
            .await?;
        let decoded = value.map(|value| value.decode()).transpose();
        decoded.map_err(|error| unreadable(entry, &error))
    }

    /// The rows of a market, page by page.
    async fn rows(
        &self,
        market: MarketId,
        mut seen: impl FnMut(usize),
    ) -> Result<BTreeMap<Uid, Row>, StateError> {
        const ENTRY: &str = "Rows";
        let address = dynamic::storage::<(MarketId, Uid), Row>(PALLET, ENTRY);
        let entries = async { self.client.storage().iter(address, (market,)).await };
        let mut entries = self.ask(ENTRY, entries).await?;
        let mut rows = BTreeMap::new();
        while let Some(entry) = self
            .ask(ENTRY, async { entries.next().await.transpose() })
            .await?
        {
            let key = entry.key().and_then(|key| key.decode());
            let (_, uid) = key.map_err(|error| unreadable(ENTRY, &error))?;
            let row = entry.value().decode();
            rows.insert(uid, row.map_err(|error| unreadable(ENTRY, &error))?);
            seen(rows.len());
        }
        Ok(rows)
    }

    /// Asks for something of a storage entry.
    async fn ask<Answer>(
        &self,
        entry: &str,
        question: impl std::future::Future<Output = Result<Answer, StorageError>>,
    ) -> Result<Answer, StateError> {
        let mut lacking = false;
        let question = async {
            let answer = question.await;
            lacking = matches!(
                answer,
                Err(StorageError::PalletNameNotFound(_)
                    | StorageError::StorageEntryNotFound { .. }
                    | StorageError::StorageInfoError(_))
            );
            answer
        };
        let answer = self.chain.ask(question).await;
        answer.map_err(|error| {
            if lacking {
                let url = self.chain.url().into();
                let what = format!("the storage {PALLET}.{entry}");
                return ChainError::NotNoesis { url, what }.into();
            }
            self.chain.explain_state(error, self.block)
        })
    }
}

/// A number or a truth value, also as the only field of a type of its own.
fn plain(value: &Value) -> Option<serde_json::Value> {
    match &value.value {
        ValueDef::Primitive(Primitive::Bool(yes)) => Some((*yes).into()),
        ValueDef::Primitive(Primitive::U128(number)) => u64::try_from(*number).ok().map(Into::into),
        ValueDef::Composite(Composite::Unnamed(fields)) if fields.len() == 1 => plain(&fields[0]),
        _ => None,
    }
}

/// The error of a value that is not as this client knows it.
fn unreadable(entry: &str, error: &dyn std::fmt::Display) -> StateError {
    // In one line, whatever subxt makes of it.
    let error = error.to_string();
    let reason: Vec<_> = error.split_whitespace().collect();
    let words = format!(
        "{PALLET}.{entry} is not as this client knows it: {}",
        reason.join(" ")
    );
    ChainError::Unexpected(words).into()
}
