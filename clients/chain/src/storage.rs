//! What storage holds after a block.
//!
//! Values are decoded by the metadata of the runtime of that block. Fields that are not asked for
//! may come and go; one that is asked for and is not there is an error in words.

use std::future::Future;

use market_primitives::{BlockNumber, MarketId};
use subxt::{
    client::{ClientAtBlock, OnlineClientAtBlockImpl},
    constants, dynamic,
    error::{OnlineClientAtBlockError, StorageError},
    ext::scale_decode::DecodeAsType,
    storage::{Address, PrefixOf},
    SubstrateConfig,
};

use crate::{error::PALLET, Chain, ChainError};

/// What keeps the state of an earlier block from being read.
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

type Client = ClientAtBlock<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

/// The state after a block.
pub(crate) struct State<'a> {
    chain: &'a Chain,
    block: BlockNumber,
    client: Client,
}

impl Chain {
    /// The number of the last finalized block.
    pub async fn finalized_block(&self) -> Result<BlockNumber, ChainError> {
        let block = self.ask(self.client.at_current_block()).await?;
        // The runtime counts in 32 bits.
        Ok(BlockNumber::try_from(block.block_number()).unwrap_or(BlockNumber::MAX))
    }

    pub(crate) async fn state_after(&self, block: BlockNumber) -> Result<State<'_>, StateError> {
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

impl State<'_> {
    /// The value of a map of the market's pallet by market; `None` where none is stored.
    pub(crate) async fn value<Stored: DecodeAsType>(
        &self,
        market: MarketId,
        entry: &'static str,
    ) -> Result<Option<Stored>, StateError> {
        let address = dynamic::storage::<(MarketId,), Stored>(PALLET, entry);
        self.fetch(address, (market,)).await
    }

    /// A value by its address and its keys; `None` where none is stored.
    pub(crate) async fn fetch<Entry: Address>(
        &self,
        address: Entry,
        keys: Entry::KeyParts,
    ) -> Result<Option<Entry::Value>, StateError> {
        let entry = Name::of(&address);
        let question = async { self.client.storage().try_fetch(address, keys).await };
        let value = self.ask(&entry, question).await?;
        let decoded = value.map(|value| value.decode()).transpose();
        decoded.map_err(|error| entry.unreadable(&error))
    }

    /// Tells `seen` the keys and the value of each entry whose keys begin with `prefix`, page by page.
    pub(crate) async fn each<Entry: Address>(
        &self,
        address: Entry,
        prefix: impl PrefixOf<Entry::KeyParts>,
        mut seen: impl FnMut(Entry::KeyParts, Entry::Value),
    ) -> Result<(), StateError> {
        let entry = Name::of(&address);
        let entries = async { self.client.storage().iter(address, prefix).await };
        let mut entries = self.ask(&entry, entries).await?;
        while let Some(found) = self
            .ask(&entry, async { entries.next().await.transpose() })
            .await?
        {
            let keys = found.key().and_then(|key| key.decode());
            let keys = keys.map_err(|error| entry.unreadable(&error))?;
            let value = found.value().decode();
            seen(keys, value.map_err(|error| entry.unreadable(&error))?);
        }
        Ok(())
    }

    /// Whether the runtime has the pallet.
    pub(crate) fn has_pallet(&self, name: &str) -> bool {
        self.client.metadata_ref().pallet_by_name(name).is_some()
    }

    /// A constant of the market's pallet.
    pub(crate) fn constant<Value: DecodeAsType>(&self, name: &str) -> Result<Value, ChainError> {
        let constant = constants::dynamic::<Value>(PALLET, name);
        let lacking = |_| ChainError::NotNoesis {
            url: self.chain.url().into(),
            what: format!("the constant {PALLET}.{name}"),
        };
        self.client.constants().entry(constant).map_err(lacking)
    }

    /// Asks for something of a storage entry.
    async fn ask<Answer>(
        &self,
        entry: &Name,
        question: impl Future<Output = Result<Answer, StorageError>>,
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
                let what = format!("the storage {}", entry.0);
                return ChainError::NotNoesis { url, what }.into();
            }
            self.chain.explain_state(error, self.block)
        })
    }
}

/// What an entry is called in errors.
struct Name(String);

impl Name {
    fn of(address: &impl Address) -> Self {
        Self(format!(
            "{}.{}",
            address.pallet_name(),
            address.entry_name()
        ))
    }

    /// The error of a value that is not as this client knows it.
    fn unreadable(&self, error: &dyn std::fmt::Display) -> StateError {
        unreadable(&self.0, error)
    }
}

/// The error of something in storage that is not as this client knows it.
pub(crate) fn unreadable(what: &str, error: &dyn std::fmt::Display) -> StateError {
    // In one line, whatever subxt makes of it.
    let error = error.to_string();
    let reason: Vec<_> = error.split_whitespace().collect();
    let reason = reason.join(" ");
    ChainError::Unexpected(format!("{what} is not as this client knows it: {reason}")).into()
}
