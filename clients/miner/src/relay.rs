//! Another neuron's answers in place of one's own: what `--fault relay:HOTKEY` serves.

use std::{fmt, time::Duration};

use noesis_chain::{find_neuron, Chain, MarketId};
use noesis_neuron::{Client, Failure, Hotkey, Modality, Peer, Tensor};

/// How long the other may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks other neurons of the market in this neuron's name.
#[derive(Clone)]
pub struct Relay {
    chain: Chain,
    market: MarketId,
    client: Client,
}

impl fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (formatter
            .debug_struct("Relay")
            .field("market", &self.market))
        .finish_non_exhaustive()
    }
}

impl Relay {
    /// In this market, with a client that signs as this neuron.
    pub fn new(chain: Chain, market: MarketId, client: Client) -> Self {
        Self {
            chain,
            market,
            client,
        }
    }

    /// What the neuron of that hotkey answers to these inputs.
    ///
    /// # Errors
    ///
    /// [`Failure::Unreachable`] where it serves nowhere, or what it said.
    pub async fn forward(
        &self,
        original: Hotkey,
        modality: Modality,
        inputs: &Tensor,
    ) -> Result<Tensor, Failure> {
        let metagraph = self.chain.metagraph(self.market).await;
        let metagraph = metagraph.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let found = find_neuron(&metagraph, &original);
        let peer = found.and_then(|neuron| {
            Some(Peer {
                hotkey: original,
                endpoint: neuron.endpoint.clone()?,
                certificate: neuron.certificate,
            })
        });
        let peer =
            peer.ok_or_else(|| Failure::Unreachable("the original serves nowhere".into()))?;
        self.client.forward(&peer, modality, inputs, DEADLINE).await
    }
}
