//! Whom a run attends to, as the market is seen.

use super::Attention;
use crate::{
    discover::{attend, candidates, Candidate, Turns},
    market::View,
    validator::Validator,
};
use noesis_neuron::Hotkey;
use rand::{rngs::StdRng, SeedableRng};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

/// How long the market is waited for where there is nothing to do without it.
const SEEN: Duration = Duration::from_secs(30);

/// The peers that are attended to, drawn anew with each epoch, and whenever somebody comes, goes or moves.
pub(super) struct Attending {
    attention: Attention,
    view: watch::Receiver<Option<Arc<View>>>,
    peers: Vec<Candidate>,
    /// Epoch, and how many there were to choose from. None before the market was seen.
    drawn_for: Option<(u64, usize)>,
    turns: Turns,
    rng: StdRng,
}

impl Attending {
    /// Nobody yet.
    pub(super) fn new(attention: Attention, view: watch::Receiver<Option<Arc<View>>>) -> Self {
        Self {
            attention,
            view,
            peers: Vec::new(),
            drawn_for: None,
            turns: Turns::default(),
            rng: StdRng::from_os_rng(),
        }
    }

    /// Those who are attended to.
    pub(super) fn peers(&self) -> &[Candidate] {
        &self.peers
    }

    /// Looks once the market has been seen, or after half a minute: a run that was at its end when it began has not looked yet.
    pub(super) async fn seen(&mut self, validator: &mut Validator) {
        let seen = timeout(SEEN, self.view.wait_for(Option::is_some)).await;
        if !matches!(seen, Ok(Ok(_))) {
            tracing::warn!("the market was not seen: the end is measured without peers");
        }
        drop(seen);
        self.look(validator);
    }

    /// Takes up what is new in the market.
    pub(super) fn look(&mut self, validator: &mut Validator) {
        if !self.view.has_changed().unwrap_or(false) && self.drawn_for.is_some() {
            return;
        }
        let Some(view) = self.view.borrow_and_update().clone() else {
            return;
        };
        let (metagraph, modality) = (&view.metagraph, validator.learner().modality());
        let found = candidates(metagraph, &self.attention.ourselves, modality);
        let members: BTreeSet<Hotkey> = metagraph.neurons.iter().map(|one| one.hotkey.0).collect();
        validator.keep_only(&members);
        let moved = |one: &Candidate| !found.iter().any(|other| one.peer() == other.peer());
        let state = (metagraph.epoch, found.len());
        if self.drawn_for != Some(state) || self.peers.iter().any(moved) {
            self.drawn_for = Some(state);
            self.turns.begin(metagraph.epoch, &members);
            let Attention {
                places,
                exploration,
                ..
            } = self.attention;
            self.peers = attend(found, places, exploration, &self.turns, &mut self.rng);
            self.turns.take(&self.peers);
        }
    }
}
