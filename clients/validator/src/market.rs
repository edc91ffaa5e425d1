//! The validator's dealings with the chain: enlisting, following the market, voting once an epoch.

use crate::weights::{self, NoVote};
use anyhow::Context;
use futures::StreamExt;
use market_primitives::{BlockNumber, MarketId, Uid, NOE};
use noesis_chain::{find_neuron, AccountId, Chain, ChainError, Keypair, MarketError, Metagraph};
use noesis_neuron::Hotkey;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Pause before the market is looked for again after the node went away.
const PAUSE: Duration = Duration::from_secs(2);

/// The market as last seen.
#[derive(Clone, Debug)]
pub struct View {
    /// The finalized block.
    pub block: BlockNumber,
    /// The market there.
    pub metagraph: Metagraph,
}

/// A row that the chain accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Epochs that the market had finished.
    pub epoch: u64,
    /// The row.
    pub weights: Vec<(Uid, u16)>,
}

/// Scores of peers, as the loop gives them out.
pub type Scores = Vec<(Hotkey, f64)>;

/// Registers the hotkey if it is not, and adds what it lacks of `stake` units.
///
/// # Errors
///
/// The chain's refusal, in words that say what to do.
pub async fn enlist(
    chain: &Chain,
    coldkey: &Keypair,
    hotkey: Hotkey,
    market: MarketId,
    stake: u64,
    max_cost: u64,
) -> anyhow::Result<()> {
    let metagraph = chain.metagraph(market).await?;
    let staked = match find_neuron(&metagraph, &hotkey) {
        Some(neuron) => {
            let owner = AccountId(coldkey.public_key().0);
            anyhow::ensure!(
                neuron.coldkey == owner,
                "this hotkey was registered by {}, who would own what it earns, not by {owner}: name that \
                 coldkey with --coldkey, or another hotkey with --hotkey",
                neuron.coldkey
            );
            tracing::info!(uid = neuron.uid, "already registered");
            neuron.stake
        }
        None => {
            let uid = chain
                .register(coldkey, market, hotkey, max_cost)
                .await
                .context("the validator could not be registered")?;
            tracing::info!(uid, "registered");
            0
        }
    };
    let lacking = stake.saturating_sub(staked);
    if lacking > 0 {
        chain
            .add_stake(coldkey, market, hotkey, lacking)
            .await
            .context(
            "the stake could not be added: choose less with --stake, or send the coldkey some NOE",
        )?;
        tracing::info!("added stake of {:.3} NOE", lacking as f64 / NOE as f64);
    }
    Ok(())
}

/// Follows the finalized blocks and keeps `view` at the last one. Survives a node that goes away and comes back.
///
/// # Errors
///
/// Returns only when the node follows another chain, or the market is gone.
pub async fn follow(
    chain: Chain,
    market: MarketId,
    view: watch::Sender<Option<Arc<View>>>,
) -> Result<(), ChainError> {
    loop {
        match chain.finalized_blocks().await {
            Ok(mut blocks) => {
                while let Some(block) = blocks.next().await {
                    let block = block?;
                    match chain.metagraph(market).await {
                        Ok(metagraph) => {
                            tracing::debug!(block, epoch = metagraph.epoch, "market seen");
                            view.send_replace(Some(Arc::new(View { block, metagraph })));
                        }
                        Err(error) if error.retryable() => {
                            tracing::warn!("the market cannot be seen at the moment: {error}");
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) if error.retryable() => tracing::warn!("{error}"),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is to be done about this epoch's vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It was cast, or it is too early for it.
    Wait,
    /// There is nothing to vote for.
    NoVote(NoVote),
    /// Submit this row.
    Submit(Vec<(Uid, u16)>),
}

/// Decides about the vote: one an epoch, not before the market's rate limit allows it, for those who are in the
/// market now and not for ourselves.
pub fn plan(view: &View, ourselves: &Hotkey, voted: Option<u64>, scores: &Scores) -> Plan {
    let metagraph = &view.metagraph;
    let neuron = find_neuron(metagraph, ourselves);
    let earliest = neuron
        .and_then(|neuron| neuron.last_update)
        .map_or(0, |last| {
            last.saturating_add(metagraph.rules.weights_rate_limit)
        });
    // The call comes into the block after this one at the soonest.
    if voted == Some(metagraph.epoch) || view.block.saturating_add(1) < earliest {
        return Plan::Wait;
    }
    let scores: Vec<(Uid, f64)> = scores
        .iter()
        .filter(|(peer, _)| peer != ourselves)
        .filter_map(|(peer, score)| Some((find_neuron(metagraph, peer)?.uid, *score)))
        .collect();
    match weights::row(&scores, usize::from(metagraph.rules.min_weights)) {
        Ok(row) => Plan::Submit(row),
        Err(reason) => Plan::NoVote(reason),
    }
}

/// Votes once an epoch until the loop lets go of `scores`. A refusal is explained in words and tried again only where
/// that can help; votes that were accepted go to `votes`.
pub async fn vote(
    chain: Chain,
    hotkey: Keypair,
    market: MarketId,
    mut view: watch::Receiver<Option<Arc<View>>>,
    scores: watch::Receiver<Scores>,
    votes: mpsc::Sender<Vote>,
) {
    let ourselves = hotkey.public_key().0;
    let (mut voted, mut not_before, mut explained) = (None, 0, None);
    while view.changed().await.is_ok() && scores.has_changed().is_ok() {
        let Some(seen) = view.borrow_and_update().clone() else {
            continue;
        };
        if seen.block < not_before {
            continue;
        }
        let epoch = seen.metagraph.epoch;
        let planned = plan(&seen, &ourselves, voted, &scores.borrow());
        let weights = match planned {
            Plan::Wait => continue,
            Plan::NoVote(reason) => {
                if explained != Some(epoch) {
                    tracing::info!(epoch, "no vote yet: {reason}");
                    explained = Some(epoch);
                }
                continue;
            }
            Plan::Submit(weights) => weights,
        };
        tracing::debug!(epoch, block = seen.block, ?weights, "setting weights");
        match chain.set_weights(&hotkey, market, &weights).await {
            Ok(()) => {
                tracing::info!(epoch, ?weights, "weights set");
                voted = Some(epoch);
                // Full only when the loop hangs: then a missing line is the least of the troubles.
                let _ = votes.try_send(Vote { epoch, weights });
            }
            Err(error) => {
                let again = error.retryable();
                if let ChainError::Market(MarketError::WeightsTooEarly { next: Some(next) }) =
                    &error
                {
                    not_before = next.saturating_sub(1);
                }
                if !again {
                    // The same row would be refused again; the next epoch brings another.
                    voted = Some(epoch);
                }
                let when = if again { "soon" } else { "in the next epoch" };
                tracing::warn!(epoch, "weights were not set, next try {when}: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market_primitives::{MarketRules, Modality, Neuron, Share, SignedShare};

    fn view(epoch: u64, block: BlockNumber, last_update: Option<BlockNumber>) -> View {
        let neuron = |uid: Uid| Neuron {
            uid,
            hotkey: [uid as u8; 32].into(),
            coldkey: [99; 32].into(),
            endpoint: None,
            certificate: None,
            stake: 0,
            rank: Share(0),
            trust: Share(0),
            consensus: Share(0),
            incentive: Share(0),
            dividend: Share(0),
            pay: 0,
            last_update,
            registered_at: 0,
        };
        let metagraph = Metagraph {
            market: 0,
            modality: Modality::Text,
            rules: MarketRules {
                tempo: 10,
                capacity: 16,
                min_weights: 2,
                weights_rate_limit: 5,
                activity_cutoff: 100,
                response_dim: 64,
            },
            epoch,
            block: 0,
            next_epoch_block: 10,
            loss: SignedShare(0),
            in_consensus: false,
            minted: 0,
            registration_cost: 0,
            neurons: (0..4).map(neuron).collect(),
        };
        View { block, metagraph }
    }

    fn scores(scores: &[(u8, f64)]) -> Scores {
        let scores = scores.iter();
        scores.map(|(peer, score)| ([*peer; 32], *score)).collect()
    }

    #[test]
    fn one_vote_an_epoch_and_not_before_the_rate_limit() {
        let good = scores(&[(1, 1.0), (2, 2.0)]);
        let row = Plan::Submit(vec![(1, 32768), (2, 65535)]);
        let ours = [0; 32];
        assert_eq!(plan(&view(3, 40, None), &ours, None, &good), row);
        assert_eq!(plan(&view(3, 40, None), &ours, Some(2), &good), row);
        assert_eq!(plan(&view(3, 40, None), &ours, Some(3), &good), Plan::Wait);
        assert_eq!(plan(&view(3, 40, Some(37)), &ours, None, &good), Plan::Wait);
        assert_eq!(plan(&view(3, 41, Some(37)), &ours, None, &good), row);
    }

    #[test]
    fn only_for_others_who_are_still_in_the_market() {
        let ours = [0; 32];
        let gone = scores(&[(0, 9.0), (1, 1.0), (7, 5.0)]);
        assert_eq!(
            plan(&view(3, 40, None), &ours, None, &gone),
            Plan::NoVote(NoVote::TooFew {
                found: 1,
                needed: 2
            })
        );
        let enough = scores(&[(0, 9.0), (1, 1.0), (2, 1.0), (7, 5.0)]);
        assert_eq!(
            plan(&view(3, 40, None), &ours, None, &enough),
            Plan::Submit(vec![(1, 65535), (2, 65535)])
        );
    }
}
