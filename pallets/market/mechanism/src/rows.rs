//! Step 1, rows: which weights of a row count.

use alloc::{borrow::Cow, vec::Vec};
use core::{mem, ops::Range};

use crate::{
    edges::Edges,
    market::Market,
    runs::{self, Runs},
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

/// What a neuron says of the others, where it lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    pub(crate) set_at: u64,
    pub(crate) gaps: &'a [u8],
    pub(crate) weights: &'a [[u8; 2]],
    /// One more than the last uid; 0 without edges.
    pub(crate) end: u32,
}

/// A weight of nothing.
const VOID: [u8; 2] = [0; 2];

impl<'a> Ballot<'a> {
    /// Said at the time `set_at`, in the unit of [`Clock::now`](crate::Clock::now), of those whom `gaps` name
    /// as [`Edges`] have them; each weight in two bytes, the lower one first. `None` where the columns do not
    /// fit each other or name a uid beyond the last.
    pub fn new(set_at: u64, gaps: &'a [u8], weights: &'a [[u8; 2]]) -> Option<Self> {
        Some(Self {
            set_at,
            gaps,
            weights,
            end: runs::end(gaps, weights.len())?,
        })
    }

    /// As the ballot of `uid` counts.
    ///
    /// Every weight does but those to an empty slot, to a neuron that registered after the row was set,
    /// or, unless the market allows it, to `uid` itself.
    pub(crate) fn counted(&self, market: &Market, uid: Uid) -> Counted<'a> {
        let named = usize::try_from(self.end).unwrap_or(usize::MAX);
        let whole = market.is_settled(self.set_at) && named <= market.slots.len();
        let own = (!market.parameters.self_weight).then(|| runs::position(self.gaps, uid));
        Counted {
            gaps: self.gaps,
            weights: if whole {
                Cow::Borrowed(self.weights)
            } else {
                Cow::Owned(self.without_strangers(market))
            },
            own: own.flatten().map(|position| (uid.into(), position)),
        }
    }

    /// The weights, with nothing for those who were not there when they were set.
    fn without_strangers(&self, market: &Market) -> Vec<[u8; 2]> {
        let mut weights = self.weights.to_vec();
        for run in Runs::new(self.gaps) {
            let weights = weights.get_mut(run.values()).unwrap_or_default();
            let slots = market.slots.get(run.first..).unwrap_or_default();
            let there = slots.len().min(weights.len());
            let (weights, beyond) = weights.split_at_mut_checked(there).unwrap_or_default();
            beyond.fill(VOID);
            for (weight, slot) in weights.iter_mut().zip(slots) {
                if slot.is_none_or(|slot| slot.registered_at > self.set_at) {
                    *weight = VOID;
                }
            }
        }
        weights
    }
}

/// A ballot as it counts.
pub(crate) struct Counted<'a> {
    gaps: &'a [u8],
    weights: Cow<'a, [[u8; 2]]>,
    /// The neuron itself, and where its edge to itself is, if that does not count.
    pub(crate) own: Option<(usize, usize)>,
}

impl Counted<'_> {
    /// The sum of the weights.
    pub(crate) fn sum(&self) -> u32 {
        let value = |&weight| u32::from(u16::from_le_bytes(weight));
        let own = self.own.and_then(|(_, place)| self.weights.get(place));
        // At most 65,536 weights of 16 bits: 32 bits.
        self.weights
            .iter()
            .fold(0_u32, |sum, weight| sum.wrapping_add(value(weight)))
            .wrapping_sub(own.map_or(0, value))
    }

    /// Calls `visit` with each run of columns that the uids name without a gap, the weights there, and
    /// where those are among the row's: a row to nearly everybody is read straight on.
    ///
    /// The neuron's own column is set aside meanwhile, an empty one in its place, where its edge to itself
    /// does not count.
    #[inline(always)]
    pub(crate) fn each_run<Column: Default>(
        &self,
        columns: &mut [Column],
        mut visit: impl FnMut(&mut [Column], &[[u8; 2]], Range<usize>),
    ) {
        let own = self.own.map(|(uid, _)| uid);
        let aside = own.and_then(|own| columns.get_mut(own)).map(mem::take);
        for run in Runs::new(self.gaps) {
            // Slots may be fewer than the row names.
            let uids = run.uids();
            let end = uids.end.min(columns.len());
            if let Some(columns) = columns.get_mut(uids.start..end) {
                let weights = self.weights.get(run.values()).unwrap_or_default();
                visit(columns, weights, run.values());
            }
        }
        let own = own.and_then(|own| columns.get_mut(own));
        if let (Some(column), Some(aside)) = (own, aside) {
            *column = aside;
        }
    }
}
