//! Gaps between the uids of a row, coded in bytes, and the runs of uids that they stand for.

use alloc::vec::Vec;
use core::ops::Range;

use crate::Uid;

/// In coded gaps: the gap follows in two bytes, the lower one first.
const WIDE: u8 = u8::MAX;

/// Appends a gap.
pub(crate) fn push(gaps: &mut Vec<u8>, gap: u32) {
    match u8::try_from(gap) {
        Ok(gap) if gap < WIDE => gaps.push(gap),
        _ => {
            // Between two uids of 16 bits.
            let [low, high] = u16::try_from(gap).unwrap_or(u16::MAX).to_le_bytes();
            gaps.extend([WIDE, low, high]);
        }
    }
}

/// Uids without a gap between them, and which of a row's values are theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// The first uid.
    pub first: usize,
    /// How many there are.
    pub length: usize,
    /// Where the value of the first is among the row's.
    pub next: usize,
}

impl Run {
    /// The uids.
    #[inline(always)]
    pub(crate) fn uids(self) -> Range<usize> {
        self.first..self.first.wrapping_add(self.length)
    }

    /// Where their values are among the row's.
    #[inline(always)]
    pub(crate) fn values(self) -> Range<usize> {
        self.next..self.next.wrapping_add(self.length)
    }
}

/// Coded gaps as runs. Ends early at what is no code, with `gaps` left over.
pub(crate) struct Runs<'a> {
    pub(crate) gaps: &'a [u8],
    /// One more than the last uid so far.
    pub(crate) end: usize,
    /// How many uids there were so far.
    pub(crate) count: usize,
}

impl<'a> Runs<'a> {
    pub(crate) fn new(gaps: &'a [u8]) -> Self {
        Self {
            gaps,
            end: 0,
            count: 0,
        }
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    #[inline(always)]
    fn next(&mut self) -> Option<Run> {
        let (gap, rest) = match *self.gaps {
            [WIDE, low, high, ref rest @ ..] => (u16::from_le_bytes([low, high]).into(), rest),
            [WIDE, ..] | [] => return None,
            [gap, ref rest @ ..] => (gap.into(), rest),
        };
        let zeros = zeros(rest);
        // No more than 2^16 for each of the bytes in memory.
        let run = Run {
            first: self.end.wrapping_add(gap),
            length: zeros.wrapping_add(1),
            next: self.count,
        };
        self.gaps = rest.get(zeros..).unwrap_or_default();
        self.end = run.uids().end;
        self.count = run.values().end;
        Some(run)
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
        .flat_map(Run::uids)
        .filter_map(|uid| Uid::try_from(uid).ok())
}

/// Where the value of one uid is among the row's.
pub(crate) fn position(gaps: &[u8], uid: Uid) -> Option<usize> {
    for run in Runs::new(gaps) {
        let before = usize::from(uid).checked_sub(run.first)?;
        if before < run.length {
            return Some(run.next.wrapping_add(before));
        }
    }
    None
}

/// One more than the last uid of `count` edges; `None` where the gaps are not of so many, or of uids
/// beyond the last.
pub(crate) fn end(gaps: &[u8], count: usize) -> Option<u32> {
    let mut runs = Runs::new(gaps);
    runs.by_ref().for_each(drop);
    let fits = runs.gaps.is_empty() && runs.count == count;
    let end = u32::try_from(runs.end).ok()?;
    (fits && end <= u32::from(Uid::MAX).saturating_add(1)).then_some(end)
}
