//! Taking a place in the market: registering where need be, and publishing the endpoint.

use std::time::Duration;

use anyhow::{bail, Context, Result};
use futures::StreamExt;
use noesis_chain::{
    check_owner, find_neuron, Chain, ChainError, Keypair, MarketId, Metagraph, Modality, Uid, NOE,
};
use noesis_neuron::{Client, Failure, Fingerprint, Peer};

/// How long whoever serves in our place may take to say so.
const PATIENCE: Duration = Duration::from_secs(3);

/// The keys and the terms on which a place is taken.
pub struct Terms<'a> {
    /// Owns the neuron and pays for it.
    pub coldkey: &'a Keypair,
    /// Serves.
    pub hotkey: &'a Keypair,
    /// Most that the registration may cost, in units.
    pub max_cost: u64,
    /// What the model takes.
    pub modality: Modality,
    /// Length of the vectors that the model answers.
    pub response_dim: i64,
}

/// Finds the market, checks that the model fits it, and registers the hotkey unless it has a place.
/// Returns the market and the neuron's place in it.
pub async fn enrol(chain: &Chain, market: &str, terms: &Terms<'_>) -> Result<(MarketId, Uid)> {
    let market = chain.find_market(market).await?;
    let metagraph = chain.metagraph(market).await?;
    check_fits(&metagraph, terms.modality, terms.response_dim)?;
    let hotkey = terms.hotkey.public_key().0;
    if let Some(neuron) = find_neuron(&metagraph, &hotkey) {
        check_owner(neuron, terms.coldkey)?;
        tracing::info!(
            "already registered in market {market} as uid {}",
            neuron.uid
        );
        return Ok((market, neuron.uid));
    }
    tracing::info!(
        "registering in market {market}, for about {} NOE",
        metagraph.registration_cost as f64 / NOE as f64
    );
    let uid = chain
        .register(terms.coldkey, market, hotkey, terms.max_cost)
        .await
        .context("registration failed")?;
    tracing::info!("registered as uid {uid}");
    Ok((market, uid))
}

/// Whether the market is one for this model.
fn check_fits(metagraph: &Metagraph, modality: Modality, response_dim: i64) -> Result<()> {
    if metagraph.modality != modality {
        bail!(
            "market {} trades {:?}, and this model answers {modality:?}: name another with --market, or say \
             its modality with --modality",
            metagraph.market,
            metagraph.modality
        );
    }
    let wanted = metagraph.rules.response_dim;
    if i64::from(wanted) != response_dim {
        bail!(
            "market {} wants answers of {wanted} dimensions, and this model gives {response_dim}: \
             start with --response-dim {wanted} and another --checkpoint",
            metagraph.market
        );
    }
    Ok(())
}

/// Publishes where the neuron serves and under which certificate, unless that is already on chain, with a warning where that
/// takes the place of another that still serves. What waiting cures (published a moment ago, a full
/// pool, a node that went away) is tried again with each finalized block.
pub async fn publish(
    chain: &Chain,
    hotkey: &Keypair,
    market: MarketId,
    endpoint: &str,
    certificate: Option<Fingerprint>,
) -> Result<(), ChainError> {
    let metagraph = chain.metagraph(market).await?;
    let neuron = find_neuron(&metagraph, &hotkey.public_key().0);
    let published =
        neuron.and_then(|neuron| Some((neuron.endpoint.as_deref()?, neuron.certificate)));
    if published == Some((endpoint, certificate)) {
        return Ok(());
    }
    if let Some((other, its_certificate)) = published.filter(|(other, _)| *other != endpoint) {
        if serves(hotkey, chain.genesis_hash(), other, its_certificate).await {
            tracing::warn!(
                "another miner serves with this hotkey at {other}: its callers now come here; end \
                 it, or give one of the two a --hotkey of its own"
            );
        }
    }
    let mut blocks = chain.finalized_blocks().await?;
    loop {
        match chain.serve(hotkey, market, endpoint, certificate).await {
            Err(error) if error.retryable() => {
                tracing::warn!("the endpoint is not published yet: {error}");
                blocks.next().await.transpose()?;
            }
            done => return done,
        }
    }
}

/// Whether somebody answers at the endpoint with this hotkey.
pub async fn serves(
    hotkey: &Keypair,
    genesis: [u8; 32],
    endpoint: &str,
    certificate: Option<Fingerprint>,
) -> bool {
    let peer = Peer {
        hotkey: hotkey.public_key().0,
        endpoint: endpoint.into(),
        certificate,
    };
    let client = Client::new(hotkey.clone(), genesis).in_the_clear();
    let answer = client.describe(&peer, PATIENCE).await;
    // Only who has this hotkey gets as far as being busy.
    matches!(answer, Ok(_) | Err(Failure::Busy))
}

#[cfg(test)]
mod tests {
    use noesis_chain::MarketRules;

    use super::*;

    fn market(modality: Modality) -> Metagraph {
        Metagraph {
            modality,
            rules: MarketRules {
                response_dim: 64,
                ..MarketRules::default()
            },
            ..Metagraph::default()
        }
    }

    #[test]
    fn a_market_for_other_models_is_refused_before_anything_is_paid() {
        let check_text = |market: &Metagraph, dim| check_fits(market, Modality::Text, dim);
        assert!(check_text(&market(Modality::Text), 64).is_ok());
        assert!(check_fits(&market(Modality::Image), Modality::Image, 64).is_ok());
        let image = check_text(&market(Modality::Image), 64).unwrap_err();
        assert!(image.to_string().contains("--market"), "{image}");
        let other = check_text(&market(Modality::Text), 32).unwrap_err();
        assert!(other.to_string().contains("--response-dim 64"), "{other}");
    }
}
