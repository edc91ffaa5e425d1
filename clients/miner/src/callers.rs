//! Who may call: the neurons of the market, as the last finalized metagraph knows them. And whether
//! they are told to call here.

use std::sync::Arc;

use futures::StreamExt;
use noesis_chain::{find_neuron, Chain, ChainError, MarketId, Metagraph};
use noesis_neuron::{Callers, Hotkey};
use tokio::sync::watch;

/// Every neuron of the market, and its stake.
pub fn callers(metagraph: &Metagraph) -> Callers {
    let neurons = metagraph.neurons.iter();
    neurons
        .map(|neuron| (neuron.hotkey.0, neuron.stake))
        .collect()
}

/// Who serves here, and where.
#[derive(Clone, Debug)]
pub struct Ourselves {
    /// The neuron's key.
    pub hotkey: Hotkey,
    /// What was published.
    pub endpoint: String,
}

impl Ourselves {
    /// Where callers are sent instead, if they are.
    pub fn replaced_by(&self, metagraph: &Metagraph) -> Option<String> {
        let published = find_neuron(metagraph, &self.hotkey)?.endpoint.clone()?;
        (published != self.endpoint).then_some(published)
    }
}

/// Publishes the callers anew with each finalized block, for as long as anyone listens. A node that
/// goes away leaves those that were known last; when it is back, it goes on. Says in the log when
/// another takes our place, and when we have it back.
///
/// # Errors
///
/// The [`ChainError`] that ends the blocks for good: another chain at the same address.
pub async fn follow(
    chain: Chain,
    market: MarketId,
    ourselves: Ourselves,
    known: watch::Sender<Arc<Callers>>,
) -> Result<(), ChainError> {
    let mut blocks = chain.finalized_blocks().await?;
    let mut replaced = None;
    while let Some(block) = blocks.next().await {
        block?;
        match chain.metagraph(market).await {
            Ok(metagraph) => {
                let other = ourselves.replaced_by(&metagraph);
                if other != replaced {
                    match &other {
                        Some(other) => tracing::warn!(
                            "callers are now sent to {other} and not here: another miner published \
                             that with this hotkey; end one of the two, or give it a --hotkey of \
                             its own"
                        ),
                        None => tracing::info!("callers are sent here again"),
                    }
                    replaced = other;
                }
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

#[cfg(test)]
mod tests {
    use noesis_chain::{AccountId, Neuron};

    use super::*;

    /// A market of one neuron that published this endpoint.
    fn market(endpoint: Option<&str>) -> Metagraph {
        Metagraph {
            neurons: vec![Neuron {
                hotkey: AccountId([7; 32]),
                coldkey: AccountId([8; 32]),
                endpoint: endpoint.map(str::to_owned),
                stake: 5,
                ..Neuron::default()
            }],
            ..Metagraph::default()
        }
    }

    #[test]
    fn a_miner_whose_callers_are_sent_elsewhere_knows_where() {
        let ourselves = |byte: u8| Ourselves {
            hotkey: [byte; 32],
            endpoint: "127.0.0.1:9101".into(),
        };
        let moved = market(Some("127.0.0.1:9102"));
        let other = ourselves(7).replaced_by(&moved);
        assert_eq!(other.as_deref(), Some("127.0.0.1:9102"));
        assert_eq!(
            ourselves(7).replaced_by(&market(Some("127.0.0.1:9101"))),
            None
        );
        assert_eq!(ourselves(7).replaced_by(&market(None)), None);
        assert_eq!(ourselves(9).replaced_by(&moved), None);
        assert_eq!(callers(&moved).0[&[7; 32]], 5);
    }
}
