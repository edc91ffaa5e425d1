//! Who may call: the neurons of the market, as the last finalized metagraph knows them.

use std::sync::Arc;

use futures::StreamExt;
use noesis_chain::{Chain, ChainError, MarketId, Metagraph};
use noesis_neuron::Callers;
use tokio::sync::watch;

/// Every neuron of the market, and its stake.
pub fn callers(metagraph: &Metagraph) -> Callers {
    let neurons = metagraph.neurons.iter();
    neurons
        .map(|neuron| (neuron.hotkey.0, neuron.stake))
        .collect()
}

/// Publishes the callers anew with each finalized block, for as long as anyone listens. A node that
/// goes away leaves those that were known last; when it is back, it goes on.
///
/// # Errors
///
/// The [`ChainError`] that ends the blocks for good: another chain at the same address.
pub async fn follow(
    chain: Chain,
    market: MarketId,
    known: watch::Sender<Arc<Callers>>,
) -> Result<(), ChainError> {
    let mut blocks = chain.finalized_blocks().await?;
    while let Some(block) = blocks.next().await {
        block?;
        match chain.metagraph(market).await {
            Ok(metagraph) => {
                let fresh = callers(&metagraph);
                if known.send(Arc::new(fresh)).is_err() {
                    break;
                }
            }
            // Whatever it is, serving those that were known last is better than serving nobody.
            Err(error) => tracing::warn!("the callers are those of an earlier block: {error}"),
        }
    }
    Ok(())
}
