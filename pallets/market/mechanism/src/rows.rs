//! Step 1, rows: which weights of a row count.

use alloc::vec::Vec;

use crate::{
    edges::Edges,
    market::{Market, Slot},
    Uid,
};

/// What a neuron says of the others, and what it holds in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// When its weights were set, in the unit of [`Clock::now`](crate::Clock::now).
    pub set_at: u64,
    /// Its weights and bonds.
    pub edges: Edges,
}

impl Row {
    /// Whether every weight of the row of `uid` counts, as is the rule. A weight does not that goes to an
    /// empty slot, to a neuron that registered after the row was set, or, unless the market allows it, to
    /// `uid` itself.
    pub(crate) fn counts_whole(&self, market: &Market, uid: Uid) -> bool {
        market.is_settled(self.set_at)
            && self.edges.end() <= market.slots.len()
            && (market.parameters.self_weight || self.edges.position(uid).is_none())
    }

    /// The weights of the row of `uid` as they count, where not all do: 0 for an edge that does not.
    pub(crate) fn counted(&self, market: &Market, uid: Uid) -> Vec<u16> {
        let counts = |slot: &Slot| slot.registered_at <= self.set_at;
        let mut weights: Vec<u16> = self
            .edges
            .weights_beside(market.slots)
            .map(|(weight, slot)| match slot {
                Some(Some(slot)) if counts(slot) => weight,
                _ => 0,
            })
            .collect();
        let own = self
            .edges
            .position(uid)
            .filter(|_| !market.parameters.self_weight);
        if let Some(weight) = own.and_then(|position| weights.get_mut(position)) {
            *weight = 0;
        }
        weights
    }
}
