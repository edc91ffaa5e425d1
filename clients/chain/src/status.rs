//! What a node says of itself.

use market_primitives::BlockNumber;
use serde::Serialize;

use crate::{Chain, ChainError};

/// A node and the chain that it follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Its address.
    pub url: String,
    /// The program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The chain's name.
    pub chain: String,
    /// Hash of the chain's first block, in hexadecimal digits after `0x`.
    pub genesis: String,
    /// The runtime's version.
    pub runtime_version: u32,
    /// The newest block that it knows.
    pub best_block: BlockNumber,
    /// The newest block that will not be taken back.
    pub finalized_block: BlockNumber,
    /// Nodes that it is connected to.
    pub peers: usize,
    /// Whether it still fetches blocks.
    pub syncing: bool,
}

impl Chain {
    /// What the node says of itself.
    pub async fn status(&self) -> Result<NodeStatus, ChainError> {
        let health = self.ask(self.methods.system_health()).await?;
        let best = self.ask(self.methods.chain_get_header(None)).await?;
        let best = best.ok_or_else(|| ChainError::Unexpected("it has no best block".into()))?;
        let runtime = self
            .ask(self.methods.state_get_runtime_version(None))
            .await?;
        Ok(NodeStatus {
            url: self.url().into(),
            name: self.ask(self.methods.system_name()).await?,
            version: self.ask(self.methods.system_version()).await?,
            chain: self.ask(self.methods.system_chain()).await?,
            genesis: hex(&self.genesis_hash()),
            runtime_version: runtime.spec_version,
            // The runtime counts in 32 bits.
            best_block: BlockNumber::try_from(best.number).unwrap_or(BlockNumber::MAX),
            finalized_block: self.finalized_block().await?,
            peers: health.peers,
            syncing: health.is_syncing,
        })
    }
}

/// Bytes as hexadecimal digits after `0x`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold("0x".into(), |text, byte| text + &format!("{byte:02x}"))
}
