//! The edges of one neuron: to whom, with which weight, and which share of the other's bonds it holds.
//!
//! Both kinds of edge are kept side by side, column by column, since they mostly lead to the same
//! neurons: a uid is then stored once, and an epoch reads straight on.

use alloc::vec::Vec;

use crate::{
    fixed::{share, ONE},
    rows::Ballot,
    runs, Uid,
};

/// An edge of a row of weights as it is handed in: to whom, and how much.
pub type Weight = (Uid, u16);

/// One in units of a stored bond: bonds are shares of their column, in units of 2^-31.
pub const WHOLE_BOND: u32 = 1 << 31;

/// Edges in rising order of uid, in columns: the gaps between uids, weights, bonds.
///
/// Of each uid is kept how many were skipped since the last, in one byte, or in two after a byte of 255:
/// a row to everybody takes a byte an edge, and so does, but for a few edges, one to every sixtieth.
/// Weights and bonds are bytes, the lowest one first, as a database holds them: an epoch reads a stored row
/// where it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    gaps: Vec<u8>,
    weights: Vec<[u8; 2]>,
    bonds: Vec<[u8; 4]>,
    /// One more than the last uid; 0 without edges.
    end: u32,
}

impl Edges {
    /// The gaps between uids, to be stored.
    pub fn gaps(&self) -> &[u8] {
        &self.gaps
    }

    /// The weight of each edge, as it was set; 0 where there is but a bond.
    pub fn weights(&self) -> impl Iterator<Item = u16> + '_ {
        self.weights.iter().map(|&bytes| u16::from_le_bytes(bytes))
    }

    /// The bond of each edge: its share of all bonds in that neuron, in units of 2^-31
    /// ([`WHOLE_BOND`]); 0 where there is but a weight.
    pub fn bonds(&self) -> impl Iterator<Item = u32> + '_ {
        self.bonds.iter().map(|&bytes| u32::from_le_bytes(bytes))
    }

    /// What is said with weights set at the time `set_at`, and the bonds, to be changed.
    pub(crate) fn ballot_and_bonds(&mut self, set_at: u64) -> (Ballot<'_>, &mut [[u8; 4]]) {
        let ballot = Ballot {
            set_at,
            gaps: &self.gaps,
            weights: &self.weights,
            end: self.end,
        };
        (ballot, &mut self.bonds)
    }

    /// What is said with weights set at the time `set_at`.
    pub(crate) fn ballot(&self, set_at: u64) -> Ballot<'_> {
        Ballot {
            set_at,
            gaps: &self.gaps,
            weights: &self.weights,
            end: self.end,
        }
    }

    /// Gaps, weights and bonds, to be stored.
    pub fn into_parts(self) -> (Vec<u8>, Vec<u16>, Vec<u32>) {
        let (weights, bonds) = (self.weights().collect(), self.bonds().collect());
        (self.gaps, weights, bonds)
    }

    /// From what [`Self::into_parts`] gave; `None` where the columns do not fit each other or name a uid
    /// beyond the last.
    pub fn from_parts(gaps: Vec<u8>, weights: Vec<u16>, bonds: Vec<u32>) -> Option<Self> {
        let end = runs::end(&gaps, weights.len())?;
        (weights.len() == bonds.len()).then(|| Self {
            gaps,
            weights: weights.into_iter().map(u16::to_le_bytes).collect(),
            bonds: bonds.into_iter().map(u32::to_le_bytes).collect(),
            end,
        })
    }

    /// How many edges there are.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// To whom, strictly rising.
    pub fn uids(&self) -> impl Iterator<Item = Uid> + '_ {
        runs::uids(&self.gaps)
    }

    /// The edges one by one: to whom, weight, bond.
    pub fn iter(&self) -> impl Iterator<Item = (Uid, u16, u32)> + '_ {
        let values = self.weights().zip(self.bonds());
        self.uids()
            .zip(values)
            .map(|(uid, (weight, bond))| (uid, weight, bond))
    }

    /// The same bonds with other weights; what has neither is left out. A weight whose uid is not
    /// larger than those before it is ignored.
    #[must_use]
    pub fn with_weights(&self, weights: &[Weight]) -> Self {
        let mut merged = Self::default();
        let mut held = self.iter().filter(|&(_, _, bond)| bond > 0).peekable();
        let mut least = 0_u32;
        for &(uid, weight) in weights {
            if u32::from(uid) < least {
                continue;
            }
            least = u32::from(uid).saturating_add(1);
            while let Some((other, _, bond)) = held.next_if(|&(other, _, _)| other < uid) {
                merged.push(other, 0, bond);
            }
            let bond = held
                .next_if(|&(other, _, _)| other == uid)
                .map_or(0, |(_, _, bond)| bond);
            if weight > 0 || bond > 0 {
                merged.push(uid, weight, bond);
            }
        }
        for (uid, _, bond) in held {
            merged.push(uid, 0, bond);
        }
        merged
    }

    /// Leaves out what has neither weight nor bond.
    pub fn compact(&mut self) {
        let mut kept = Self::default();
        for (uid, weight, bond) in self.iter().filter(|&(_, w, b)| w > 0 || b > 0) {
            kept.push(uid, weight, bond);
        }
        *self = kept;
    }

    /// The caller keeps the order.
    fn push(&mut self, uid: Uid, weight: u16, bond: u32) {
        let gap = u32::from(uid).saturating_sub(self.end);
        runs::push(&mut self.gaps, gap);
        self.weights.push(weight.to_le_bytes());
        self.bonds.push(bond.to_le_bytes());
        self.end = u32::from(uid).saturating_add(1);
    }
}

/// The largest normalised weight of a row as it was handed in, in parts of 10^18, rounded up; 0 for
/// an empty row. For the pallet's check of `max_weight`.
pub fn largest_share(edges: &[Weight]) -> u64 {
    let sum = edges.iter().fold(0, |sum: u128, &(_, weight)| {
        sum.saturating_add(weight.into())
    });
    let largest = edges.iter().map(|&(_, weight)| weight).max().unwrap_or(0);
    let rest = sum.saturating_sub(largest.into());
    if sum == 0 {
        0
    } else {
        ONE.saturating_sub(share(rest, sum))
    }
}
