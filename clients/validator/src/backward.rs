//! The way back: gradients to the peers, sent without waiting and with a bound.
//!
//! At most one gradient a peer is under way at a time; one that comes meanwhile is dropped. So neither a slow
//! nor a silent peer holds up a step or fills the memory.

use crate::discover::Candidate;
use market_primitives::Modality;
use noesis_neuron::{Client, Failure, Hotkey, Tensor, Treatment};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinHandle;

/// What became of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Treated {
    /// The peer trained on it.
    Applied,
    /// The peer took it into a queue.
    Queued,
    /// The peer refused it.
    Refused,
    /// It did not arrive, or no answer came of it.
    Lost,
    /// It was not sent: the one before was still under way.
    Dropped,
}

impl Treated {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Queued => "queued",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Dropped => "dropped",
        }
    }
}

/// Sends gradients.
#[derive(Debug)]
pub struct Backward {
    client: Client,
    deadline: Duration,
    under_way: HashMap<Hotkey, JoinHandle<Result<Treatment, Failure>>>,
}

impl Backward {
    /// Sends with this client; each gradient has until the deadline to arrive.
    pub fn new(client: Client, deadline: Duration) -> Self {
        Self {
            client,
            deadline,
            under_way: HashMap::new(),
        }
    }

    /// Sends a gradient with the inputs it belongs to, unless one is still under way. Returns at once, with what became of
    /// the one before, if there was one; where that is still under way, of this one.
    pub async fn send(
        &mut self,
        candidate: &Candidate,
        modality: Modality,
        inputs: Arc<Tensor>,
        gradient: Tensor,
    ) -> Option<Treated> {
        let mut treated = None;
        if let Some(before) = self.under_way.remove(&candidate.hotkey) {
            if !before.is_finished() {
                self.under_way.insert(candidate.hotkey, before);
                return Some(Treated::Dropped);
            }
            treated = Some(match before.await {
                Ok(Ok(Treatment::Applied)) => Treated::Applied,
                Ok(Ok(Treatment::Queued)) => Treated::Queued,
                Ok(Ok(Treatment::Refused(reason))) => {
                    tracing::debug!(uid = candidate.uid, "gradient refused: {reason}");
                    Treated::Refused
                }
                Ok(Err(failure)) => {
                    tracing::debug!(uid = candidate.uid, "gradient lost: {failure}");
                    Treated::Lost
                }
                Err(_) => Treated::Lost,
            });
        }
        let (client, peer, deadline) = (self.client.clone(), candidate.peer(), self.deadline);
        let sending = tokio::spawn(async move {
            let sent = client.backward(&peer, modality, &inputs, &gradient, deadline);
            sent.await
        });
        self.under_way.insert(candidate.hotkey, sending);
        treated
    }

    /// Forgets all but these peers.
    pub fn keep_only(&mut self, peers: &BTreeSet<Hotkey>) {
        self.under_way.retain(|peer, _| peers.contains(peer));
    }
}

impl Drop for Backward {
    fn drop(&mut self) {
        self.under_way.values().for_each(JoinHandle::abort);
    }
}
