//! Who votes: sends rows of weights, in the clear or committed to and shown later, and says what came of it.

use crate::{
    market::{plan, Plan, Scores, View, Vote},
    promises::{Kept, Promise, Refused},
};
use market_primitives::{BlockNumber, MarketId, Uid};
use noesis_chain::{commitment, find_neuron, Chain, ChainError, Keypair, MarketError, Metagraph};
use tokio::sync::mpsc;

/// Who votes in one market.
pub(crate) struct Voter {
    pub chain: Chain,
    pub hotkey: Keypair,
    pub market: MarketId,
    /// Rows to be shown later.
    pub kept: Kept,
    /// Where rows go that the chain accepted.
    pub votes: mpsc::Sender<Vote>,
    /// The epoch in which nothing more is to be sent.
    pub voted: Option<u64>,
    /// The block before which nothing is to be sent.
    pub not_before: BlockNumber,
}

impl Voter {
    /// What is to be done about this epoch's vote.
    pub fn plan(&self, seen: &View, scores: &Scores) -> Plan {
        let epoch = seen.metagraph.begun;
        let hidden = seen.metagraph.rules.reveal_period > 0;
        // After a new start the file alone knows.
        let promised = hidden && self.kept.promises().has(epoch);
        if seen.block < self.not_before || promised {
            return Plan::Wait;
        }
        plan(seen, &self.hotkey.public_key().0, self.voted, scores)
    }

    /// Sets a row in the clear.
    pub async fn set(&mut self, seen: &View, weights: Vec<(Uid, u16)>) {
        let epoch = seen.metagraph.begun;
        tracing::debug!(epoch, block = seen.block, ?weights, "setting weights");
        match (self.chain)
            .set_weights(&self.hotkey, self.market, &weights)
            .await
        {
            Ok(()) => {
                tracing::info!(epoch, ?weights, "weights set");
                self.voted = Some(epoch);
                self.tell(epoch, weights);
            }
            Err(error) => self.refused(epoch, "weights were not set", &error),
        }
    }

    /// Commits to a row, to be shown later.
    pub async fn commit(&mut self, seen: &View, weights: Vec<(Uid, u16)>) {
        let epoch = seen.metagraph.begun;
        let Some(neuron) = find_neuron(&seen.metagraph, &self.hotkey.public_key().0) else {
            let error = MarketError::NotRegistered.into();
            return self.refused(epoch, "nothing was committed to", &error);
        };
        let promise = Promise {
            epoch,
            weights,
            salt: rand::random(),
            in_doubt: false,
        };
        let hash = commitment(self.market, neuron.uid, &promise.weights, &promise.salt);
        // Kept before it is sent: a commitment whose row is forgotten is worth nothing.
        self.kept.change(|promises| promises.add(promise.clone()));
        match (self.chain)
            .commit_weights(&self.hotkey, self.market, hash)
            .await
        {
            Ok(()) => {
                // The row itself is nobody's business yet, not even the log's.
                tracing::info!(epoch, "committed to weights");
                self.voted = Some(epoch);
                let rate = seen.metagraph.rules.weights_rate_limit;
                self.not_before = seen.block.saturating_add(rate);
            }
            Err(error) => {
                // One that may have been taken is kept: whether it was is known when the row is shown.
                if !matches!(error, ChainError::Uncertain(_)) {
                    self.kept.change(|promises| promises.remove(&promise));
                }
                self.refused(epoch, "weights were not committed to", &error);
            }
        }
    }

    /// Shows the rows that are due.
    pub async fn reveal(&mut self, metagraph: &Metagraph) {
        let period = metagraph.rules.reveal_period;
        let over = (self.kept).change(|promises| promises.give_up(metagraph.begun, period));
        for Promise { epoch, .. } in over {
            tracing::warn!(epoch, "weights were not revealed in time and are lost");
        }
        let due = self.kept.promises().due(metagraph.begun, period);
        for promise in due {
            let epoch = promise.epoch;
            let shown = (self.chain)
                .reveal_weights(&self.hotkey, self.market, &promise.weights, promise.salt)
                .await;
            let refused = (shown.as_ref().err()).map(|error| Refused::by(error, promise.in_doubt));
            match &shown {
                Ok(()) => tracing::info!(epoch, weights = ?promise.weights, "weights revealed"),
                Err(_) if refused == Some(Refused::Shown) => tracing::info!(
                    epoch,
                    weights = ?promise.weights,
                    "weights revealed, it seems, by a call whose answer was lost"
                ),
                Err(error) if refused == Some(Refused::Early) => {
                    tracing::debug!(epoch, "weights are not revealed yet: {error}");
                }
                Err(error) if refused == Some(Refused::Again) => {
                    tracing::warn!(epoch, "weights were not revealed, next try soon: {error}");
                }
                Err(error) => {
                    tracing::warn!(epoch, "weights were not revealed and are lost: {error}")
                }
            }
            if matches!(shown, Err(ChainError::Uncertain(_))) {
                self.kept.change(|promises| promises.doubt(&promise));
            }
            if matches!(refused, Some(Refused::Early | Refused::Again)) {
                continue;
            }
            self.kept.change(|promises| promises.remove(&promise));
            if refused != Some(Refused::Lost) {
                self.tell(epoch, promise.weights);
            }
        }
    }

    /// Says that a row was not taken, and when the next try is.
    fn refused(&mut self, epoch: u64, what: &str, error: &ChainError) {
        let again = error.retryable();
        if let ChainError::Market(MarketError::WeightsTooEarly { next: Some(next) }) = error {
            self.not_before = next.saturating_sub(1);
        }
        if !again {
            // The same row would be refused again; the next epoch brings another.
            self.voted = Some(epoch);
        }
        let when = if again { "soon" } else { "in the next epoch" };
        tracing::warn!(epoch, "{what}, next try {when}: {error}");
    }

    /// Tells the loop of a row that the chain accepted.
    fn tell(&self, epoch: u64, weights: Vec<(Uid, u16)>) {
        // Full only when the loop hangs: then a missing line is the least of the troubles.
        let _ = self.votes.try_send(Vote { epoch, weights });
    }
}
