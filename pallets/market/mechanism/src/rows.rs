//! Step 1, rows: which edges of a row of weights count.

use crate::{
    fixed::{share, ONE},
    market::Market,
    Uid,
};

/// An edge of a row of weights: to whom, and how much.
pub type Weight = (Uid, u16);

/// A neuron's row of weights, in rising order of uid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row<'a> {
    /// When it was set, in the unit of [`Clock::now`](crate::Clock::now).
    pub set_at: u64,
    /// Its edges. An edge whose uid is not larger than those before it is ignored, as one of weight 0.
    pub edges: &'a [Weight],
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

/// The edges of the row of `uid` that count: to occupied slots whose owner was there when the row was
/// set, in rising order of uid, and not to itself unless the market allows it.
pub(crate) fn edges<'a>(
    market: &'a Market,
    uid: Uid,
    row: &Row<'a>,
) -> impl Iterator<Item = Weight> + 'a {
    let set_at = row.set_at;
    let settled = market.is_settled(set_at);
    let itself = (!market.parameters.self_weight).then_some(uid);
    let mut least = 0_u32;
    row.edges.iter().copied().filter(move |&(to, weight)| {
        let in_order = u32::from(to) >= least;
        if in_order {
            least = u32::from(to).saturating_add(1);
        }
        let known = if settled {
            usize::from(to) < market.slots.len()
        } else {
            market.is_known(to, set_at)
        };
        in_order && weight > 0 && known && itself != Some(to)
    })
}
