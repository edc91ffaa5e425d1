//! Who may call: the neurons of the market, as the last finalized metagraph knows them. And whether
//! they are told to call here, or elsewhere, or nowhere.

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
    /// Whether callers are sent here.
    pub fn standing(&self, metagraph: &Metagraph) -> Standing {
        let neuron = find_neuron(metagraph, &self.hotkey);
        match neuron.and_then(|neuron| neuron.endpoint.as_ref()) {
            Some(published) if *published == self.endpoint => Standing::Here,
            Some(other) => Standing::Elsewhere(other.clone()),
            None => Standing::Nowhere,
        }
    }
}

/// Where callers of a miner that published its endpoint are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To it.
    Here,
    /// To this endpoint, which was published later with the same hotkey.
    Elsewhere(String),
    /// Nowhere: its neuron lost its slot, or got another and has published nothing since.
    Nowhere,
}

impl Standing {
    /// Says in the log what has become of us.
    fn tell(&self) {
        match self {
            Self::Here => tracing::info!("callers are sent here again"),
            Self::Elsewhere(other) => tracing::warn!(
                "callers are now sent to {other} and not here: another miner published that with this \
                 hotkey; end one of the two, or give it a --hotkey of its own"
            ),
            Self::Nowhere => tracing::warn!(
                "this hotkey has lost its slot in the market: another neuron took it, or its owner \
                 deregistered it or swapped the hotkey; nobody is sent here and nothing is earned; start \
                 the miner again with the hotkey that has the slot, or with this one to register anew for \
                 --max-cost at most"
            ),
        }
    }
}

/// Publishes the callers anew with each finalized block, for as long as anyone listens. A node that
/// goes away leaves those that were known last; when it is back, it goes on. Says in the log, once, when
/// another takes our place or we have lost our slot, and when we have it back.
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
    let mut standing = Standing::Here;
    while let Some(block) = blocks.next().await {
        block?;
        match chain.metagraph(market).await {
            Ok(metagraph) => {
                let now = ourselves.standing(&metagraph);
                if now != standing {
                    now.tell();
                    standing = now;
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
    fn a_miner_knows_where_its_callers_are_sent_and_when_it_has_lost_its_slot() {
        let ourselves = |byte: u8| Ourselves {
            hotkey: [byte; 32],
            endpoint: "127.0.0.1:9101".into(),
        };
        let moved = market(Some("127.0.0.1:9102"));
        let other = Standing::Elsewhere("127.0.0.1:9102".into());
        assert_eq!(ourselves(7).standing(&moved), other);
        let ours = market(Some("127.0.0.1:9101"));
        assert_eq!(ourselves(7).standing(&ours), Standing::Here);
        // Another took the slot; and later it has one again, where it has published nothing.
        assert_eq!(ourselves(9).standing(&ours), Standing::Nowhere);
        assert_eq!(ourselves(7).standing(&market(None)), Standing::Nowhere);
        assert_eq!(callers(&moved).0[&[7; 32]], 5);
    }
}
