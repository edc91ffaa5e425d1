//! Back-off: a peer that fails is left alone for a while, twice as long with each failure in a row; first for a moment
//! only where it was late, which may have been by little.

use noesis_neuron::Hotkey;
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use tokio::time::Instant;

/// Pause after the first failure in a row.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The same where it was late: some steps.
pub const LATE_PAUSE: Duration = Duration::from_millis(250);
/// Pause after a busy peer, always the same: it says so itself, and at once.
pub const BUSY_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// How often a peer failed in a row, and until when it is left alone.
#[derive(Clone, Copy, Debug)]
struct Pause {
    failures: u32,
    until: Instant,
}

/// The peers that are being left alone.
#[derive(Debug, Default)]
pub struct BackOff(HashMap<Hotkey, Pause>);

impl BackOff {
    /// Whether the peer may be asked now.
    pub fn may_ask(&self, peer: &Hotkey, now: Instant) -> bool {
        self.0.get(peer).is_none_or(|pause| now >= pause.until)
    }

    /// The peer answered: its failures are forgotten.
    pub fn answered(&mut self, peer: &Hotkey) {
        self.0.remove(peer);
    }

    /// The peer failed: it is left alone for 1, 2, 4, ... up to 64 seconds. Returns the pause.
    pub fn failed(&mut self, peer: Hotkey, now: Instant) -> Duration {
        self.longer(FIRST_PAUSE, peer, now)
    }

    /// The peer was no longer waited for: the same, from a quarter of a second on.
    pub fn late(&mut self, peer: Hotkey, now: Instant) -> Duration {
        self.longer(LATE_PAUSE, peer, now)
    }

    fn longer(&mut self, first: Duration, peer: Hotkey, now: Instant) -> Duration {
        let before = self.0.get(&peer).map_or(0, |pause| pause.failures);
        let pause = first
            .saturating_mul(2u32.saturating_pow(before))
            .min(LONGEST_PAUSE);
        self.0.insert(
            peer,
            Pause {
                failures: before.saturating_add(1),
                until: now + pause,
            },
        );
        pause
    }

    /// The peer said that it is busy: it is left alone for a moment, and that is no failure.
    pub fn busy(&mut self, peer: Hotkey, now: Instant) -> Duration {
        let failures = self.0.get(&peer).map_or(0, |pause| pause.failures);
        let until = now + BUSY_PAUSE;
        self.0.insert(peer, Pause { failures, until });
        BUSY_PAUSE
    }

    /// Forgets all but these, so that it never grows beyond the market.
    pub fn keep_only(&mut self, peers: &BTreeSet<Hotkey>) {
        self.0.retain(|peer, _| peers.contains(peer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_an_answer_ends_them() {
        let (peer, now) = ([1; 32], Instant::now());
        let mut back_off = BackOff::default();
        let pauses: Vec<u64> = (0..9)
            .map(|_| back_off.failed(peer, now).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert!(!back_off.may_ask(&peer, now + Duration::from_secs(63)));
        assert!(back_off.may_ask(&peer, now + Duration::from_secs(64)));
        assert!(back_off.may_ask(&[2; 32], now));
        back_off.answered(&peer);
        assert!(back_off.may_ask(&peer, now));
        assert_eq!(back_off.failed(peer, now), FIRST_PAUSE);
        for _ in 0..9 {
            assert_eq!(back_off.busy(peer, now), BUSY_PAUSE);
        }
        assert_eq!(back_off.failed(peer, now), 2 * FIRST_PAUSE);
        assert_eq!(back_off.late(peer, now), 4 * LATE_PAUSE);
        back_off.keep_only(&BTreeSet::new());
        assert!(back_off.may_ask(&peer, now));
    }
}
