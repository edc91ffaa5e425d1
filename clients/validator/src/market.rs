//! The validator's dealings with the chain: enlisting, following the market, voting once an epoch.

use crate::{
    promises::Kept,
    voter::Voter,
    weights::{self, NoVote},
};
use anyhow::Context;
use futures::StreamExt;
use market_primitives::{BlockNumber, MarketId, Uid, NOE};
use noesis_chain::{check_owner, find_neuron, Chain, ChainError, Keypair, Metagraph};
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
    /// Epochs that the market had begun.
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
            check_owner(neuron, coldkey)?;
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
/// Returns only when the node follows another chain.
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
                        Err(error) if is_for_good(&error) => return Err(error),
                        Err(error) => {
                            tracing::warn!("the market cannot be seen at the moment: {error}");
                        }
                    }
                }
            }
            Err(error) if is_for_good(&error) => return Err(error),
            Err(error) => tracing::warn!("{error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the market will not be seen again. Whatever else a node says, that it is busy, cannot read a block, or is so far
/// behind that it knows no such market (none is ever closed), it may say otherwise at the next block.
fn is_for_good(error: &ChainError) -> bool {
    matches!(error, ChainError::AnotherChain { .. })
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

/// Decides about the vote: one an epoch, not before the market's rate limit allows it, for those who serve in the
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
    if voted == Some(metagraph.begun) || view.block.saturating_add(1) < earliest {
        return Plan::Wait;
    }
    let scores: Vec<(Uid, f64)> = scores
        .iter()
        .filter(|(peer, _)| peer != ourselves)
        .filter_map(|(peer, score)| Some((find_neuron(metagraph, peer)?, *score)))
        .filter(|(neuron, _)| neuron.endpoint.is_some())
        .map(|(neuron, score)| (neuron.uid, score))
        .collect();
    let rules = &metagraph.rules;
    match weights::row(&scores, usize::from(rules.min_weights), rules.max_weight) {
        Ok(row) => Plan::Submit(row),
        Err(reason) => Plan::NoVote(reason),
    }
}

/// Votes once an epoch until the loop lets go of `scores`. A refusal is explained in words and tried again only where
/// that can help; votes that were accepted go to `votes`.
///
/// In a market that hides weights, what was promised `reveal_period` epochs ago is shown first, and then the present
/// row committed to; `kept` holds what is still to be shown.
pub async fn vote(
    chain: Chain,
    hotkey: Keypair,
    market: MarketId,
    kept: Kept,
    mut view: watch::Receiver<Option<Arc<View>>>,
    scores: watch::Receiver<Scores>,
    votes: mpsc::Sender<Vote>,
) {
    let mut voter = Voter {
        chain,
        hotkey,
        market,
        kept,
        votes,
        voted: None,
        not_before: 0,
    };
    let mut explained = None;
    while view.changed().await.is_ok() && scores.has_changed().is_ok() {
        let Some(seen) = view.borrow_and_update().clone() else {
            continue;
        };
        let hidden = seen.metagraph.rules.reveal_period > 0;
        if hidden {
            voter.reveal(&seen.metagraph).await;
        }
        let planned = voter.plan(&seen, &scores.borrow());
        match planned {
            Plan::Submit(weights) if hidden => voter.commit(&seen, weights).await,
            Plan::Submit(weights) => voter.set(&seen, weights).await,
            Plan::NoVote(reason) if explained != Some(seen.metagraph.begun) => {
                explained = Some(seen.metagraph.begun);
                tracing::info!(epoch = seen.metagraph.begun, "no vote yet: {reason}");
            }
            Plan::NoVote(_) | Plan::Wait => {}
        }
    }
}

#[cfg(test)]
mod tests;
