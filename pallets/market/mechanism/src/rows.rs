//! Step 1, rows: which weights of a row count.

use alloc::vec::Vec;

use crate::{edges::Edges, market::Market, Uid};

/// What a neuron says of the others, and what it holds in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// When its weights were set, in the unit of [`Clock::now`](crate::Clock::now).
    pub set_at: u64,
    /// Its weights and bonds.
    pub edges: Edges,
}

impl Row {
    /// Whether every weight of the row of `uid` counts, as is the rule; none does not that goes to an
    /// empty slot, to a neuron that registered after the row was set, or, unless the market allows it, to
    /// itself.
    pub(crate) fn counts_whole(&self, market: &Market, uid: Uid) -> bool {
        market.is_settled(self.set_at)
            && self.edges.end() <= market.slots.len()
            && (market.parameters.self_weight || self.edges.weight_of(uid) == 0)
    }

    /// The weights of the row of `uid` as they count, where not all do: 0 for an edge that does not.
    pub(crate) fn counted(&self, market: &Market, uid: Uid) -> Vec<u16> {
        let excluded = (!market.parameters.self_weight).then_some(uid);
        let counts = |to: Uid| excluded != Some(to) && market.is_known(to, self.set_at);
        self.edges
            .iter()
            .map(|(to, weight, _)| if counts(to) { weight } else { 0 })
            .collect()
    }
}
