//! The edges of one neuron: to whom, with which weight, and which share of the other's bonds it holds.
//!
//! Both kinds of edge are kept side by side, column by column, since they mostly lead to the same
//! neurons: a uid is then stored once, and an epoch reads straight on.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{
    fixed::{share, ONE},
    Uid,
};

/// An edge of a row of weights as it is handed in: to whom, and how much.
pub type Weight = (Uid, u16);

/// One in units of a stored bond: bonds are shares of their column, in units of 2^-31.
pub const WHOLE_BOND: u32 = 1 << 31;

/// In coded gaps: the gap follows in two bytes, the lower one first.
const WIDE: u8 = u8::MAX;

/// Edges in rising order of uid, in columns: the gaps between uids, weights, bonds.
///
/// Of each uid is kept how many were skipped since the last, in one byte, or in two after a byte of 255:
/// a row to everybody takes a byte an edge, and so does, but for a few edges, one to every sixtieth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    gaps: Vec<u8>,
    weights: Vec<u16>,
    bonds: Vec<u32>,
    /// One more than the last uid; 0 without edges.
    end: u32,
}

impl Edges {
    /// The gaps between uids, to be stored.
    pub fn gaps(&self) -> &[u8] {
        &self.gaps
    }

    /// The weight of each edge, as it was set; 0 where there is but a bond.
    pub fn weights(&self) -> &[u16] {
        &self.weights
    }

    /// The bond of each edge: its share of all bonds in that neuron, in units of 2^-31
    /// ([`WHOLE_BOND`]); 0 where there is but a weight.
    pub fn bonds(&self) -> &[u32] {
        &self.bonds
    }

    /// Gaps, weights and bonds, to change the bonds.
    pub(crate) fn parts_mut(&mut self) -> (&[u8], &[u16], &mut [u32]) {
        (&self.gaps, &self.weights, &mut self.bonds)
    }

    /// Gaps, weights and bonds, to be stored.
    pub fn into_parts(self) -> (Vec<u8>, Vec<u16>, Vec<u32>) {
        (self.gaps, self.weights, self.bonds)
    }

    /// From what [`Self::into_parts`] gave; `None` where the columns do not fit each other or name a uid
    /// beyond the last.
    pub fn from_parts(gaps: Vec<u8>, weights: Vec<u16>, bonds: Vec<u32>) -> Option<Self> {
        let mut runs = Runs::new(&gaps);
        let (mut count, mut end) = (0_usize, 0_usize);
        for (first, length) in runs.by_ref() {
            count = count.saturating_add(length);
            end = first.saturating_add(length);
        }
        let fits = runs.gaps.is_empty()
            && count == weights.len()
            && count == bonds.len()
            && end <= usize::from(Uid::MAX).saturating_add(1);
        fits.then_some(Self {
            gaps,
            weights,
            bonds,
            end: u32::try_from(end).ok()?,
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

    /// One more than the last uid; 0 without edges.
    pub(crate) fn end(&self) -> usize {
        usize::try_from(self.end).unwrap_or(usize::MAX)
    }

    /// Where the edge to one uid is among the others.
    pub(crate) fn position(&self, uid: Uid) -> Option<usize> {
        let mut next = 0_usize;
        for (first, length) in Runs::new(&self.gaps) {
            let offset = usize::from(uid).checked_sub(first)?;
            if offset < length {
                return Some(next.wrapping_add(offset));
            }
            next = next.wrapping_add(length);
        }
        None
    }

    /// Beside the weight of each edge what `columns` has at its uid, if that is so long.
    pub(crate) fn weights_beside<'a, Column>(
        &'a self,
        columns: &'a [Column],
    ) -> impl Iterator<Item = (u16, Option<&'a Column>)> {
        let mut weights = self.weights.as_slice();
        Runs::new(&self.gaps).flat_map(move |(first, length)| {
            let run = columns.get(first..).unwrap_or_default().iter().map(Some);
            let run = run.chain(core::iter::repeat(None)).take(length);
            let (own, rest) = weights.split_at_checked(length).unwrap_or_default();
            weights = rest;
            own.iter().copied().zip(run)
        })
    }

    /// To whom, strictly rising.
    pub fn uids(&self) -> impl Iterator<Item = Uid> + '_ {
        uids(&self.gaps)
    }

    /// The edges one by one: to whom, weight, bond.
    pub fn iter(&self) -> impl Iterator<Item = (Uid, u16, u32)> + '_ {
        let values = self.weights.iter().zip(&self.bonds);
        self.uids()
            .zip(values)
            .map(|(uid, (&weight, &bond))| (uid, weight, bond))
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
    pub(crate) fn compact(&mut self) {
        let mut kept = Self::default();
        for (uid, weight, bond) in self.iter().filter(|&(_, w, b)| w > 0 || b > 0) {
            kept.push(uid, weight, bond);
        }
        *self = kept;
    }

    /// The caller keeps the order.
    fn push(&mut self, uid: Uid, weight: u16, bond: u32) {
        let gap = u32::from(uid).saturating_sub(self.end);
        match u8::try_from(gap) {
            Ok(gap) if gap < WIDE => self.gaps.push(gap),
            _ => {
                // Between two uids of 16 bits.
                let [low, high] = u16::try_from(gap).unwrap_or(u16::MAX).to_le_bytes();
                self.gaps.extend([WIDE, low, high]);
            }
        }
        self.weights.push(weight);
        self.bonds.push(bond);
        self.end = u32::from(uid).saturating_add(1);
    }
}

/// Coded gaps as runs of uids without a gap: the first, and how many. Ends early at what is no code, with
/// `gaps` left over.
struct Runs<'a> {
    gaps: &'a [u8],
    end: usize,
}

impl<'a> Runs<'a> {
    fn new(gaps: &'a [u8]) -> Self {
        Self { gaps, end: 0 }
    }
}

impl Iterator for Runs<'_> {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (gap, rest) = match *self.gaps {
            [WIDE, low, high, ref rest @ ..] => (u16::from_le_bytes([low, high]).into(), rest),
            [WIDE, ..] | [] => return None,
            [gap, ref rest @ ..] => (gap.into(), rest),
        };
        let zeros = zeros(rest);
        // No more than 2^16 for each of the bytes in memory.
        let first = self.end.wrapping_add(gap);
        let length = zeros.wrapping_add(1);
        self.gaps = rest.get(zeros..).unwrap_or_default();
        self.end = first.wrapping_add(length);
        Some((first, length))
    }
}

/// How many zeros the bytes begin with, looked at eight at a time.
#[inline(always)]
fn zeros(bytes: &[u8]) -> usize {
    if bytes.first().is_none_or(|&byte| byte != 0) {
        return 0;
    }
    let (words, _) = bytes.as_chunks::<8>();
    let whole = words
        .iter()
        .take_while(|word| u64::from_le_bytes(**word) == 0)
        .count()
        .saturating_mul(8);
    let rest = bytes.get(whole..).unwrap_or_default();
    whole.saturating_add(rest.iter().take_while(|&&byte| byte == 0).count())
}

/// The uids that coded gaps stand for.
pub(crate) fn uids(gaps: &[u8]) -> impl Iterator<Item = Uid> + '_ {
    Runs::new(gaps)
        .flat_map(|(first, length)| first..first.saturating_add(length))
        .filter_map(|uid| Uid::try_from(uid).ok())
}

/// Calls `visit` with each run of columns that a row's uids name without a gap, and which of the row's
/// values those are: a row to nearly everybody is read straight on.
#[inline(always)]
pub(crate) fn each_run<Column>(
    columns: &mut [Column],
    gaps: &[u8],
    mut visit: impl FnMut(&mut [Column], Range<usize>),
) {
    let mut next = 0_usize;
    for (first, length) in Runs::new(gaps) {
        let values = next..next.wrapping_add(length);
        next = values.end;
        // Slots may be fewer than the row names.
        let end = first.wrapping_add(length).min(columns.len());
        if let Some(run) = columns.get_mut(first..end) {
            visit(run, values);
        }
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
