//! Weights and bonds of a whole market between two epochs, for those who hold them in memory.

use alloc::{vec, vec::Vec};

use crate::{bonds::Column, edges::Weight, rows::Row, Uid};

/// Rows by holder, and what the shares in them are shares of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// By uid of the neuron that sets the weights and holds the bonds.
    pub rows: Vec<Row>,
    /// By uid of the neuron in whom bonds are held.
    pub columns: Vec<Column>,
}

impl Graph {
    /// Of a market with this many slots: no weights, no bonds.
    pub fn new(slots: usize) -> Self {
        Self {
            rows: vec![Row::default(); slots],
            columns: vec![Column::default(); slots],
        }
    }

    /// Replaces a neuron's weights, in rising order of uid; its bonds stay. Nothing happens where there
    /// is no such slot.
    pub fn set_weights(&mut self, uid: Uid, set_at: u64, weights: &[Weight]) {
        if let Some(row) = self.rows.get_mut(usize::from(uid)) {
            row.edges = row.edges.with_weights(weights);
            row.set_at = set_at;
        }
    }

    /// Empties a slot: its weights, the bonds that it holds and those held in it go.
    pub fn vacate(&mut self, uid: Uid) {
        let index = usize::from(uid);
        if let Some(row) = self.rows.get_mut(index) {
            crate::bonds::withdraw(&mut self.columns, &row.edges);
            *row = Row::default();
        }
        if let Some(column) = self.columns.get_mut(index) {
            *column = Column::default();
        }
    }
}
