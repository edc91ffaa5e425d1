//! Step 1, rows: which edges of a row of weights count.

use crate::{
    bond::Bond,
    bonds::Holding,
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

/// Which uids an edge of one row may go to: those of occupied slots whose owner was there when the row
/// was set, and not its own unless the market allows it.
pub(crate) struct Reach<'a> {
    market: &'a Market<'a>,
    set_at: u64,
    /// Whether all slots are such: then there is no need to look at each.
    settled: bool,
    excluded: Option<Uid>,
}

impl<'a> Reach<'a> {
    /// Of the row of `uid` that was set at the given time.
    pub(crate) fn new(market: &'a Market<'a>, uid: Uid, set_at: u64) -> Self {
        Self {
            market,
            set_at,
            settled: market.is_settled(set_at),
            excluded: (!market.parameters.self_weight).then_some(uid),
        }
    }

    /// Whether an edge to this uid counts.
    #[inline]
    pub(crate) fn has(&self, to: Uid) -> bool {
        let known = if self.settled {
            usize::from(to) < self.market.slots.len()
        } else {
            self.market.is_known(to, self.set_at)
        };
        known && self.excluded != Some(to)
    }
}

/// The edges of the row of `uid` that count, in rising order of uid.
pub(crate) fn edges<'a>(
    market: &'a Market,
    uid: Uid,
    row: &Row<'a>,
) -> impl Iterator<Item = Weight> + 'a {
    let reach = Reach::new(market, uid, row.set_at);
    let mut least = 0_u32;
    row.edges.iter().copied().filter(move |&(to, weight)| {
        let in_order = u32::from(to) >= least;
        if in_order {
            least = u32::from(to).saturating_add(1);
        }
        in_order && weight > 0 && reach.has(to)
    })
}

/// The edges of a row beside the bonds of the same neuron, both as they are stored: uid by uid, in
/// rising order, weight 0 or [`Bond::ZERO`] where there is but one of the two. What is out of order is
/// left out.
pub(crate) fn side_by_side<'a>(
    mut edges: &'a [Weight],
    mut bonds: &'a [Holding],
) -> impl Iterator<Item = (Uid, u16, Bond)> + 'a {
    let mut least = 0_u32;
    core::iter::from_fn(move || loop {
        let edge = edges.split_first();
        let bond = bonds.split_first();
        let uid = match (edge, bond) {
            (Some((edge, _)), Some((bond, _))) => edge.0.min(bond.0),
            (Some((edge, _)), None) => edge.0,
            (None, Some((bond, _))) => bond.0,
            (None, None) => return None,
        };
        let mut found = (uid, 0, Bond::ZERO);
        if let Some((&(_, weight), rest)) = edge.filter(|(edge, _)| edge.0 == uid) {
            found.1 = weight;
            edges = rest;
        }
        if let Some((&(_, bond), rest)) = bond.filter(|(bond, _)| bond.0 == uid) {
            found.2 = bond;
            bonds = rest;
        }
        if u32::from(uid) >= least {
            least = u32::from(uid).saturating_add(1);
            return Some(found);
        }
    })
}
