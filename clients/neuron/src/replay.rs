//! The memory of requests already admitted, so that none is admitted twice.

use std::collections::{BTreeMap, HashMap};

use crate::{Failure, Hotkey};

/// Remembers each admitted request until it has expired, within a bound. A request that has to be
/// forgotten takes all that expire no later with it: at or below `floor` nothing is admitted, so a
/// clock that is set back, or a restart, which starts with a floor, opens nothing to replay.
///
/// One half of the memory is for who comes first, the other half for callers with fewer in both than their share of
/// one half by stake: those without cannot fill it.
#[derive(Debug)]
pub(crate) struct Replay {
    /// By expiry and hash of the request, who sent it.
    seen: BTreeMap<(u64, [u8; 32]), Hotkey>,
    per_caller: HashMap<Hotkey, usize>,
    floor: u64,
    /// Until when a request at the first floor is more likely early than replayed.
    settled: u64,
    capacity: usize,
    capacity_per_caller: usize,
}

impl Replay {
    /// A memory that begins at `start`. An earlier run may have admitted whatever expires at most
    /// `window` after that, so this one never does. All in milliseconds, times since 1970. Until
    /// `settled`, what is refused for that is told to come again instead of being called a replay.
    pub(crate) fn new(
        start: u64,
        window: u64,
        settled: u64,
        capacity: usize,
        capacity_per_caller: usize,
    ) -> Self {
        Self {
            seen: BTreeMap::new(),
            per_caller: HashMap::new(),
            floor: start.saturating_add(window),
            settled,
            capacity,
            capacity_per_caller,
        }
    }

    /// Whether a request may be admitted, which [`Replay::remember`] then does, for the first and last time.
    /// `share` is the part of so much room that is this caller's by its stake; it is asked only where it matters. What
    /// the caller has in the half for who comes first counts against it.
    ///
    /// # Errors
    /// [`Failure::Replayed`] where it was admitted before or may have been, [`Failure::Busy`] where
    /// there is no room to remember it.
    pub(crate) fn check(
        &mut self,
        now: u64,
        sender: &Hotkey,
        expiry: u64,
        hash: [u8; 32],
        share: impl FnOnce(usize) -> usize,
    ) -> Result<(), Failure> {
        self.forget(now);
        if expiry <= self.floor {
            return Err(if now <= self.settled {
                Failure::Busy
            } else {
                Failure::Replayed
            });
        }
        if self.seen.contains_key(&(expiry, hash)) {
            return Err(Failure::Replayed);
        }
        let of_sender = self.per_caller.get(sender).copied().unwrap_or(0);
        let shared = self.capacity / 2;
        let comes_first =
            self.seen.len() < self.capacity - shared && of_sender < self.capacity_per_caller;
        let has_room = comes_first || of_sender < share(shared);
        // Shares are rounded up, and stake changes hands.
        if has_room && self.seen.len() < self.capacity {
            Ok(())
        } else {
            Err(Failure::Busy)
        }
    }

    /// Remembers a request that [`Replay::check`] let pass.
    pub(crate) fn remember(&mut self, sender: Hotkey, expiry: u64, hash: [u8; 32]) {
        self.seen.insert((expiry, hash), sender);
        *self.per_caller.entry(sender).or_default() += 1;
    }

    fn forget(&mut self, now: u64) {
        while let Some(oldest) = self.seen.first_entry() {
            let (expiry, _) = *oldest.key();
            if expiry > now {
                return;
            }
            let sender = oldest.remove();
            self.floor = self.floor.max(expiry);
            if let Some(count) = self.per_caller.get_mut(&sender) {
                *count -= 1;
                if *count == 0 {
                    self.per_caller.remove(&sender);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Replay {
        /// Admits a request of a caller whose share is one.
        fn admit(
            &mut self,
            now: u64,
            sender: Hotkey,
            expiry: u64,
            hash: [u8; 32],
        ) -> Result<(), Failure> {
            self.check(now, &sender, expiry, hash, |_| 1)?;
            self.remember(sender, expiry, hash);
            Ok(())
        }
    }

    const ALICE: Hotkey = [1; 32];
    const BOB: Hotkey = [2; 32];

    fn open(capacity: usize, capacity_per_caller: usize) -> Replay {
        Replay::new(0, 0, 0, capacity, capacity_per_caller)
    }

    #[test]
    fn a_request_is_admitted_once() {
        let mut replay = open(9, 9);
        assert_eq!(replay.admit(1, ALICE, 10, [7; 32]), Ok(()));
        assert_eq!(replay.admit(2, ALICE, 10, [7; 32]), Err(Failure::Replayed));
        assert_eq!(replay.admit(2, ALICE, 10, [8; 32]), Ok(()));
    }

    #[test]
    fn a_full_memory_is_busy_and_forgets_nothing_alive() {
        let mut replay = open(2, 2);
        assert_eq!(replay.admit(1, ALICE, 10, [1; 32]), Ok(()));
        assert_eq!(replay.admit(1, BOB, 12, [2; 32]), Ok(()));
        assert_eq!(replay.admit(1, BOB, 12, [3; 32]), Err(Failure::Busy));
        assert_eq!(replay.admit(9, ALICE, 10, [1; 32]), Err(Failure::Replayed));
        // The first has expired and made room.
        assert_eq!(replay.admit(10, ALICE, 12, [3; 32]), Ok(()));
        assert_eq!(replay.seen.len(), 2);
    }

    #[test]
    fn one_caller_cannot_fill_the_memory_of_all() {
        let mut replay = open(9, 1);
        assert_eq!(replay.admit(1, ALICE, 10, [1; 32]), Ok(()));
        assert_eq!(replay.admit(1, ALICE, 10, [2; 32]), Err(Failure::Busy));
        assert_eq!(replay.admit(1, BOB, 10, [3; 32]), Ok(()));
        assert_eq!(replay.admit(10, ALICE, 20, [4; 32]), Ok(()));
        assert_eq!(replay.per_caller.len(), 1);
    }

    #[test]
    fn those_without_stake_leave_half_of_the_memory_to_those_with() {
        let mut replay = open(8, 8);
        let mut admit = |sender: Hotkey, number: u8, share: usize| {
            let of = |room: usize| {
                assert_eq!(room, 4);
                share
            };
            replay.check(1, &sender, 10, [number; 32], of)?;
            replay.remember(sender, 10, [number; 32]);
            Ok(())
        };
        for number in 0..4 {
            assert_eq!(admit(ALICE, number, 0), Ok(()));
        }
        assert_eq!(admit(ALICE, 4, 0), Err(Failure::Busy));
        for number in 4..7 {
            assert_eq!(admit(BOB, number, 3), Ok(()));
        }
        assert_eq!(
            admit(BOB, 7, 3),
            Err(Failure::Busy),
            "no more than its share"
        );
    }

    #[test]
    fn a_clock_set_back_opens_nothing() {
        let mut replay = open(9, 9);
        assert_eq!(replay.admit(1, ALICE, 10, [1; 32]), Ok(()));
        assert_eq!(replay.admit(11, ALICE, 20, [2; 32]), Ok(()));
        assert_eq!(replay.admit(5, ALICE, 10, [1; 32]), Err(Failure::Replayed));
    }

    #[test]
    fn a_restart_does_not_reopen_the_window() {
        let mut before = Replay::new(0, 30, 0, 9, 9);
        assert_eq!(before.admit(100, ALICE, 130, [1; 32]), Ok(()));
        let mut after = Replay::new(101, 30, 105, 9, 9);
        assert_eq!(after.admit(102, ALICE, 130, [1; 32]), Err(Failure::Busy));
        assert_eq!(
            after.admit(106, ALICE, 130, [1; 32]),
            Err(Failure::Replayed)
        );
        assert_eq!(after.admit(106, ALICE, 136, [2; 32]), Ok(()));
    }
}
