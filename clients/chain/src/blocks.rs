//! The finalized blocks as they come, across absences of the node.

use std::time::Duration;

use futures::{stream, Stream};
use market_primitives::BlockNumber;
use subxt::{
    config::{HashFor, RpcConfigFor},
    rpcs::{client::RpcSubscription, RpcConfig},
    SubstrateConfig,
};

use crate::{Chain, ChainError};

type Heads = RpcSubscription<<RpcConfigFor<SubstrateConfig> as RpcConfig>::Header>;

/// Pause before subscribing again to a node that went away.
const PAUSE: Duration = Duration::from_millis(500);

impl Chain {
    /// The numbers of the finalized blocks from now on.
    ///
    /// Finality may jump, so numbers may be skipped; none comes twice in a row. When the node goes
    /// away the stream says so in the log, waits and goes on; it ends only after one error, which is
    /// [`ChainError::AnotherChain`] when the node that came back follows another chain.
    pub async fn finalized_blocks(
        &self,
    ) -> Result<impl Stream<Item = Result<BlockNumber, ChainError>> + Send + Unpin, ChainError>
    {
        let heads = self.subscribe().await?;
        let start = Some((self.clone(), heads, None));
        Ok(Box::pin(stream::unfold(start, |state| async move {
            let (chain, mut heads, mut last) = state?;
            loop {
                match heads.next().await {
                    Some(Ok(header)) => {
                        // The runtime counts in 32 bits.
                        let number =
                            BlockNumber::try_from(header.number).unwrap_or(BlockNumber::MAX);
                        if last != Some(number) {
                            last = Some(number);
                            return Some((Ok(number), Some((chain, heads, last))));
                        }
                    }
                    lost => {
                        let reason = match lost {
                            Some(Err(error)) => error.to_string(),
                            _ => "the subscription ended".into(),
                        };
                        tracing::warn!(url = chain.url(), reason, "lost the node; waiting for it");
                        match chain.subscribe_again().await {
                            Ok(again) => heads = again,
                            Err(error) => return Some((Err(error), None)),
                        }
                        tracing::info!(url = chain.url(), "the node is back");
                    }
                }
            }
        })))
    }

    async fn subscribe(&self) -> Result<Heads, ChainError> {
        self.ask(self.methods.chain_subscribe_finalized_heads())
            .await
    }

    /// Subscribes as soon as the node is back; fails only when it follows another chain.
    async fn subscribe_again(&self) -> Result<Heads, ChainError> {
        loop {
            tokio::time::sleep(PAUSE).await;
            let genesis: HashFor<SubstrateConfig> =
                match self.ask(self.methods.genesis_hash()).await {
                    Ok(genesis) => genesis,
                    Err(_) => continue,
                };
            if genesis.0 != self.genesis_hash() {
                return Err(ChainError::AnotherChain {
                    url: self.url().into(),
                });
            }
            if let Ok(heads) = self.subscribe().await {
                return Ok(heads);
            }
        }
    }
}
