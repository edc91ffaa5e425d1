//! Follows a market from finalized block to finalized block, without missing an epoch.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt;
use noesis_chain::{BlockNumber, Chain, ChainError, MarketId, Metagraph, Pool, Uid};
use tokio::{sync::mpsc, time::timeout};

/// Pause before asking again a node that does not answer yet.
const PAUSE: Duration = Duration::from_millis(500);

/// Silence after which the node is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(10);

/// What the follower has to tell.
pub enum Update {
    /// The market as of a finalized block.
    Snapshot {
        /// The block.
        block: BlockNumber,
        /// The market.
        metagraph: Box<Metagraph>,
        /// What others put behind its neurons; nothing where it was not asked for, or the node does not tell.
        pools: BTreeMap<Uid, Pool>,
    },
    /// The node does not answer; the follower goes on trying.
    Waiting(ChainError),
    /// Nothing more will come.
    Failed(ChainError),
}

/// Whether the follower also asks, at each block, what others put behind the neurons.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pools {
    /// It asks.
    Asked,
    /// It does not.
    LeftOut,
}

/// Follows the market called `market` on the node at `url`, whether or not it answers already.
///
/// The follower ends when the receiver is dropped.
pub fn follow(url: String, market: String, pools: Pools) -> mpsc::Receiver<Update> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        // The receiver's end is the only thing that stops it in between; then nobody listens.
        let Err(error) = run(&url, &market, pools, &sender).await else {
            return;
        };
        let _ = sender.send(Update::Failed(error)).await;
    });
    receiver
}

async fn run(
    url: &str,
    market: &str,
    pools: Pools,
    out: &mpsc::Sender<Update>,
) -> Result<(), ChainError> {
    let (chain, market) = loop {
        match open(url, market).await {
            Ok(opened) => break opened,
            Err(error) if error.retryable() => {
                if out.send(Update::Waiting(error)).await.is_err() {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    };
    let mut blocks = chain.finalized_blocks().await?;
    let mut last: Option<Metagraph> = None;
    let mut seen: BlockNumber = 0;
    loop {
        match timeout(SILENCE, blocks.next()).await {
            Ok(Some(block)) => seen = block?,
            Ok(None) => return Ok(()),
            Err(_) => {}
        }
        let now = match chain.metagraph(market).await {
            Ok(metagraph) => metagraph,
            Err(error @ ChainError::AnotherChain { .. }) => return Err(error),
            // Whatever else it says of this block, it may say otherwise of the next.
            Err(error) => {
                if out.send(Update::Waiting(error)).await.is_err() {
                    return Ok(());
                }
                continue;
            }
        };
        for metagraph in missed(&chain, market, last.as_ref(), &now).await {
            let found = behind(&chain, market, metagraph.block, pools).await;
            if !tell(out, metagraph.block, metagraph, found).await {
                return Ok(());
            }
        }
        last = Some(now.clone());
        // The snapshot may be of a later block than the one that woke us, never of an earlier one.
        let block = seen.max(now.block);
        let found = behind(&chain, market, block, pools).await;
        if !tell(out, block, now, found).await {
            return Ok(());
        }
    }
}

/// Passes a snapshot on; `false` when nobody listens any more.
async fn tell(
    out: &mpsc::Sender<Update>,
    block: BlockNumber,
    metagraph: Metagraph,
    pools: BTreeMap<Uid, Pool>,
) -> bool {
    let snapshot = Update::Snapshot {
        block,
        metagraph: Box::new(metagraph),
        pools,
    };
    out.send(snapshot).await.is_ok()
}

/// What others put behind the neurons. The market is worth showing without that, too: an older runtime has no pools.
async fn behind(
    chain: &Chain,
    market: MarketId,
    block: BlockNumber,
    pools: Pools,
) -> BTreeMap<Uid, Pool> {
    match pools {
        Pools::Asked => chain.pools(market, block).await.unwrap_or_default(),
        Pools::LeftOut => BTreeMap::new(),
    }
}

async fn open(url: &str, market: &str) -> Result<(Chain, MarketId), ChainError> {
    let chain = Chain::connect(url).await?;
    let market = chain.find_market(market).await?;
    Ok((chain, market))
}

/// The epochs that finality jumped over, oldest first. What the node no longer keeps is left out.
async fn missed(
    chain: &Chain,
    market: MarketId,
    last: Option<&Metagraph>,
    now: &Metagraph,
) -> Vec<Metagraph> {
    let mut found = Vec::new();
    let Some(last) = last else { return found };
    let (mut epoch, mut due) = (last.epoch + 1, last.next_epoch_block);
    while epoch < now.epoch {
        match chain.metagraph_at(market, due).await {
            Ok(metagraph) if metagraph.epoch == epoch && metagraph.next_epoch_block > due => {
                (epoch, due) = (epoch + 1, metagraph.next_epoch_block);
                found.push(metagraph);
            }
            _ => break,
        }
    }
    found
}
