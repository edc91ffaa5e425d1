//! The frozen view of a market that an epoch works on.

use crate::{fixed::ONE, parameters::Parameters, Uid};

/// A neuron, as far as the epoch is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Its stake, in units of currency.
    pub stake: u64,
    /// When it took the slot, in the unit of [`Clock::now`].
    pub registered_at: u64,
}

/// Where in time the epoch is. The unit is the caller's, one for all: block numbers, or something
/// finer where the order of calls within a block matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Number of this epoch in its market, from 1 (the `t` of the formulas; 0 counts as 1).
    pub epoch: u64,
    /// When the view was frozen.
    pub now: u64,
}

/// The frozen view: parameters, slots and time. Rows of weights and bonds are handed over one by one.
#[derive(Clone, Debug)]
pub struct Market<'a> {
    /// The parameters, in range.
    pub(crate) parameters: Parameters,
    /// The slots by uid; `None` is an empty one.
    pub(crate) slots: &'a [Option<Slot>],
    /// The time.
    pub(crate) clock: Clock,
    /// Occupied slots: the `n` of the formulas.
    pub(crate) neurons: u64,
    /// All stake.
    pub(crate) stake: u128,
    /// When the last neuron registered, if no slot is empty: rows set since need no look at each edge.
    settled_at: Option<u64>,
}

impl<'a> Market<'a> {
    /// Freezes a view. `slots` are by uid; those beyond 65,536, which no uid can name, are ignored.
    /// Parameters out of range are clamped.
    pub fn new(parameters: Parameters, slots: &'a [Option<Slot>], clock: Clock) -> Self {
        let most = usize::from(Uid::MAX).saturating_add(1);
        let slots = slots.get(..most).unwrap_or(slots);
        let taken = || slots.iter().flatten();
        let neurons = taken().count();
        let latest = taken().map(|slot| slot.registered_at).max();
        Self {
            parameters: parameters.clamped(),
            slots,
            clock,
            neurons: u64::try_from(neurons).unwrap_or(u64::MAX),
            stake: taken().fold(0, |sum: u128, slot| sum.saturating_add(slot.stake.into())),
            settled_at: latest.filter(|_| neurons == slots.len()),
        }
    }

    /// The uids of all slots, occupied or not.
    pub fn uids(&self) -> impl Iterator<Item = Uid> {
        (0..=Uid::MAX).take(self.slots.len())
    }

    /// The slot of a uid, if it is occupied.
    #[inline]
    pub(crate) fn slot(&self, uid: Uid) -> Option<&Slot> {
        self.slots.get(usize::from(uid)).and_then(Option::as_ref)
    }

    /// The neuron that a row of weights set at the given time speaks for, unless the row is too old or
    /// was set by the slot's previous owner.
    pub(crate) fn voter(&self, uid: Uid, set_at: u64) -> Option<&Slot> {
        let age = self.clock.now.saturating_sub(set_at);
        self.slot(uid)
            .filter(|slot| slot.registered_at <= set_at)
            .filter(|_| age <= self.parameters.activity_cutoff)
    }

    /// Whether every slot is occupied by an owner of before the moment `since`.
    pub(crate) fn is_settled(&self, since: u64) -> bool {
        self.settled_at.is_some_and(|settled| settled <= since)
    }

    /// The largest weight that is no edge for trust, in a row with the given sum of weights: exactly
    /// `w / sum > threshold / n` where `w` is larger.
    pub(crate) fn trust_limit(&self, sum: u64) -> u64 {
        let whole = u128::from(ONE).saturating_mul(self.neurons.into());
        u128::from(self.parameters.trust_threshold)
            .saturating_mul(sum.into())
            .checked_div(whole)
            .and_then(|limit| u64::try_from(limit).ok())
            .unwrap_or(0)
    }
}
