//! How many gradients a caller may send: a count for each, over windows of fixed length.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use noesis_neuron::Hotkey;

/// Counts for each caller in the window that is open now.
#[derive(Debug)]
pub struct Quota {
    per_window: u32,
    window: Duration,
    opened: Instant,
    taken: HashMap<Hotkey, u32>,
}

impl Quota {
    /// At most `per_window` for each caller in each window; the first opens at `now`.
    pub fn new(per_window: u32, window: Duration, now: Instant) -> Self {
        Self {
            per_window,
            window,
            opened: now,
            taken: HashMap::new(),
        }
    }

    /// Takes one of the caller's; false when none is left until the next window opens.
    ///
    /// The counts are bounded by the callers of one window, and who may call is bounded by the
    /// market's capacity.
    pub fn take(&mut self, caller: Hotkey, now: Instant) -> bool {
        if now.saturating_duration_since(self.opened) >= self.window {
            self.opened = now;
            self.taken.clear();
        }
        let taken = self.taken.entry(caller).or_insert(0);
        let left = *taken < self.per_window;
        if left {
            *taken += 1;
        }
        left
    }

    /// The rule in words, for whom it stops.
    pub fn rule(&self) -> String {
        let seconds = self.window.as_secs();
        format!("{} gradients a caller in {seconds} s", self.per_window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_its_own_and_a_new_window_gives_it_back() {
        let start = Instant::now();
        let window = Duration::from_secs(10);
        let mut quota = Quota::new(2, window, start);
        let (one, other) = ([1; 32], [2; 32]);
        assert!(quota.take(one, start) && quota.take(one, start));
        assert!(!quota.take(one, start + window / 2));
        assert!(quota.take(other, start + window / 2));
        assert!(quota.take(one, start + window));
        assert_eq!(quota.taken.len(), 1, "the old window is forgotten");
    }

    #[test]
    fn a_quota_of_none_refuses_all() {
        let now = Instant::now();
        assert!(!Quota::new(0, Duration::from_secs(1), now).take([0; 32], now));
    }
}
