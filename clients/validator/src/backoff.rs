//! Back-off: a peer that fails is left alone for a while, twice as long with each failure in a row.
//!
//! One that was late may have been so by little: it is left alone for shorter times, and still asked where there is no
//! hurry, so that what it is worth is known of how it answers and not of how busy the machine was. One that hardly ever
//! answers in time is treated as if it failed.

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
/// The same where it was late: nobody is forgotten who is some milliseconds behind the others.
pub const LONGEST_LATE_PAUSE: Duration = Duration::from_secs(8);
/// Late so often, in about a minute, with hardly an answer between, it gives the training nothing that it could be paid
/// for. An answer makes up for half of the times: who has one of every seven in time does not come here.
pub const TOO_OFTEN_LATE: u32 = 12;

/// How often a peer failed, and until when it is left alone.
#[derive(Clone, Copy, Debug)]
struct Pause {
    /// In a row.
    failures: u32,
    /// How often it was late, halved by each answer.
    late: u32,
    until: Instant,
    /// Whether it is left alone because it was late.
    for_lateness: bool,
}

impl Pause {
    /// Of two pauses at a time, for an examination and for a question of the training, the longer counts.
    fn at_least(&mut self, until: Instant, for_lateness: bool) {
        if until >= self.until {
            (self.until, self.for_lateness) = (until, for_lateness);
        }
    }
}

/// The peers that are being left alone.
#[derive(Debug, Default)]
pub struct BackOff(HashMap<Hotkey, Pause>);

impl BackOff {
    /// Whether the peer may be asked now.
    pub fn may_ask(&self, peer: &Hotkey, now: Instant) -> bool {
        self.0.get(peer).is_none_or(|pause| now >= pause.until)
    }

    /// Whether it may be asked now where there is no hurry: whoever was only late too, unless it always is.
    pub fn may_ask_unhurried(&self, peer: &Hotkey, now: Instant) -> bool {
        let late = |pause: &Pause| pause.for_lateness && pause.late < TOO_OFTEN_LATE;
        self.may_ask(peer, now) || self.0.get(peer).is_some_and(late)
    }

    /// The peer answered: its failures are forgotten, and half of the times that it was late.
    pub fn answered(&mut self, peer: &Hotkey, now: Instant) {
        let late = self.0.get(peer).map_or(0, |pause| pause.late / 2);
        self.0.remove(peer);
        if late > 0 {
            self.of(*peer, now).late = late;
        }
    }

    /// The peer failed: it is left alone for 1, 2, 4, ... up to 64 seconds. Returns the pause.
    pub fn failed(&mut self, peer: Hotkey, now: Instant) -> Duration {
        let pause = self.of(peer, now);
        let time = doubled(FIRST_PAUSE, pause.failures).min(LONGEST_PAUSE);
        pause.failures = pause.failures.saturating_add(1);
        pause.at_least(now + time, false);
        time
    }

    /// The peer was no longer waited for: the same, from a quarter of a second up to 8, and up to 64 once it was so too
    /// often.
    pub fn late(&mut self, peer: Hotkey, now: Instant) -> Duration {
        let pause = self.of(peer, now);
        let time = doubled(LATE_PAUSE, pause.late);
        pause.late = pause.late.saturating_add(1);
        let longest = if pause.late < TOO_OFTEN_LATE {
            LONGEST_LATE_PAUSE
        } else {
            LONGEST_PAUSE
        };
        let time = time.min(longest);
        pause.at_least(now + time, true);
        time
    }

    /// The peer said that it is busy: it is left alone for a moment, and that is no failure.
    pub fn busy(&mut self, peer: Hotkey, now: Instant) -> Duration {
        self.of(peer, now).at_least(now + BUSY_PAUSE, false);
        BUSY_PAUSE
    }

    fn of(&mut self, peer: Hotkey, now: Instant) -> &mut Pause {
        self.0.entry(peer).or_insert(Pause {
            failures: 0,
            late: 0,
            until: now,
            for_lateness: false,
        })
    }

    /// Forgets all but these, so that it never grows beyond the market.
    pub fn keep_only(&mut self, peers: &BTreeSet<Hotkey>) {
        self.0.retain(|peer, _| peers.contains(peer));
    }
}

/// `first`, doubled so often.
fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times))
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
        back_off.answered(&peer, now);
        assert!(back_off.may_ask(&peer, now));
        assert_eq!(back_off.failed(peer, now), FIRST_PAUSE);
        for _ in 0..9 {
            assert_eq!(back_off.busy(peer, now), BUSY_PAUSE);
        }
        assert_eq!(back_off.failed(peer, now), 2 * FIRST_PAUSE);
        assert_eq!(back_off.late(peer, now), LATE_PAUSE);
        back_off.keep_only(&BTreeSet::new());
        assert!(back_off.may_ask(&peer, now));
    }

    #[test]
    fn who_is_late_is_left_alone_for_less_and_still_asked_where_there_is_no_hurry() {
        let (peer, now) = ([1; 32], Instant::now());
        let mut back_off = BackOff::default();
        let pauses: Vec<u128> = (0..8)
            .map(|_| back_off.late(peer, now).as_millis())
            .collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert!(!back_off.may_ask(&peer, now));
        assert!(back_off.may_ask_unhurried(&peer, now));
        let pauses = (8..TOO_OFTEN_LATE).map(|_| back_off.late(peer, now));
        assert_eq!(pauses.max(), Some(LONGEST_PAUSE));
        assert!(!back_off.may_ask_unhurried(&peer, now), "always late");
        back_off.answered(&peer, now);
        assert!(back_off.may_ask(&peer, now));
        back_off.failed(peer, now);
        assert!(!back_off.may_ask_unhurried(&peer, now));
        assert!(back_off.may_ask_unhurried(&peer, now + FIRST_PAUSE));
    }

    #[test]
    fn of_two_pauses_at_a_time_the_longer_counts() {
        let (peer, now) = ([1; 32], Instant::now());
        let mut back_off = BackOff::default();
        for _ in 0..3 {
            back_off.failed(peer, now);
        }
        back_off.late(peer, now);
        back_off.busy(peer, now);
        let almost = now + 4 * FIRST_PAUSE - LATE_PAUSE;
        assert!(!back_off.may_ask_unhurried(&peer, almost), "it failed");
        for _ in 0..6 {
            back_off.late(peer, now);
        }
        assert!(back_off.may_ask_unhurried(&peer, almost));
        assert!(!back_off.may_ask(&peer, almost));
        let busy = [2; 32];
        back_off.busy(busy, now);
        assert!(!back_off.may_ask_unhurried(&busy, now));
        assert!(back_off.may_ask_unhurried(&busy, now + BUSY_PAUSE));
    }

    #[test]
    fn one_answer_of_seven_in_time_is_enough_where_there_is_no_hurry() {
        let (peer, now) = ([1; 32], Instant::now());
        let always_asked = |late_between: u32| {
            let mut back_off = BackOff::default();
            (0..20).all(|_| {
                let asked = (0..late_between).all(|_| {
                    back_off.late(peer, now);
                    back_off.may_ask_unhurried(&peer, now)
                });
                back_off.answered(&peer, now);
                asked
            })
        };
        assert!(always_asked(1) && always_asked(6));
        assert!(!always_asked(7) && !always_asked(11));
    }
}
