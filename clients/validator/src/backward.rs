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

/// How peers treated the gradients that were sent to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treated {
    /// Applied, or taken into a queue.
    pub taken: u64,
    /// Refused, or never arrived.
    pub refused: u64,
    /// Not sent: the one before was still under way.
    pub dropped: u64,
}

/// Sends gradients.
#[derive(Debug)]
pub struct Backward {
    client: Client,
    deadline: Duration,
    under_way: HashMap<Hotkey, JoinHandle<Result<Treatment, Failure>>>,
    treated: HashMap<Hotkey, Treated>,
}

impl Backward {
    /// Sends with this client; each gradient has until the deadline to arrive.
    pub fn new(client: Client, deadline: Duration) -> Self {
        Self {
            client,
            deadline,
            under_way: HashMap::new(),
            treated: HashMap::new(),
        }
    }

    /// How a peer treated its gradients so far.
    pub fn treated(&self, peer: &Hotkey) -> Treated {
        self.treated.get(peer).copied().unwrap_or_default()
    }

    /// Sends a gradient with the inputs it belongs to, unless one is still under way. Returns at once.
    pub async fn send(
        &mut self,
        candidate: &Candidate,
        modality: Modality,
        inputs: Arc<Tensor>,
        gradient: Tensor,
    ) {
        let treated = self.treated.entry(candidate.hotkey).or_default();
        if let Some(before) = self.under_way.remove(&candidate.hotkey) {
            if !before.is_finished() {
                treated.dropped += 1;
                self.under_way.insert(candidate.hotkey, before);
                return;
            }
            match before.await {
                Ok(Ok(Treatment::Applied | Treatment::Queued)) => treated.taken += 1,
                Ok(Ok(Treatment::Refused(reason))) => {
                    tracing::debug!(uid = candidate.uid, "gradient refused: {reason}");
                    treated.refused += 1;
                }
                Ok(Err(failure)) => {
                    tracing::debug!(uid = candidate.uid, "gradient lost: {failure}");
                    treated.refused += 1;
                }
                Err(_) => treated.refused += 1,
            }
        }
        let (client, peer, deadline) = (self.client.clone(), candidate.peer(), self.deadline);
        let sending = tokio::spawn(async move {
            let sent = client.backward(&peer, modality, &inputs, &gradient, deadline);
            sent.await
        });
        self.under_way.insert(candidate.hotkey, sending);
    }

    /// Forgets all but these peers.
    pub fn keep_only(&mut self, peers: &BTreeSet<Hotkey>) {
        self.under_way.retain(|peer, _| peers.contains(peer));
        self.treated.retain(|peer, _| peers.contains(peer));
    }
}

impl Drop for Backward {
    fn drop(&mut self) {
        self.under_way.values().for_each(JoinHandle::abort);
    }
}
