//! How many gradients a caller may send: a count for each, by its stake, over windows of fixed length.
//!
//! A gradient changes the parameters by about the learning rate, whatever its size: what a caller can do to a
//! model is bounded by how many it may send, and what that costs, by the stake that each takes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use noesis_neuron::{Caller, Hotkey, Treatment};

use crate::settings::FeedbackRules;

/// What a model asks before it takes a gradient; a clone counts with the same quota.
#[derive(Clone, Debug)]
pub struct Feedback(Arc<Mutex<Quota>>);

impl Feedback {
    /// As the rules say; the first window opens now.
    pub fn new(rules: &FeedbackRules) -> Self {
        Self(Arc::new(Mutex::new(Quota::new(rules, Instant::now()))))
    }

    /// Takes one of the caller's gradients.
    ///
    /// # Errors
    ///
    /// What the caller is told where none is left: [`Treatment::Refused`].
    pub fn admit(&self, caller: Caller) -> Result<(), Treatment> {
        let mut quota = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if quota.take(caller, Instant::now()) {
            return Ok(());
        }
        Err(Treatment::Refused(format!(
            "the quota of {} is used up",
            quota.rule()
        )))
    }
}

/// Counts for each caller in the window that is open now.
#[derive(Debug)]
pub struct Quota {
    per_window: u32,
    /// Stake that each of them takes.
    stake: u64,
    window: Duration,
    opened: Instant,
    taken: HashMap<Hotkey, u32>,
}

impl Quota {
    /// As the rules say; the first window opens at `now`.
    pub fn new(rules: &FeedbackRules, now: Instant) -> Self {
        Self {
            per_window: rules.quota,
            stake: rules.stake,
            window: rules.window,
            opened: now,
            taken: HashMap::new(),
        }
    }

    /// Takes one of the caller's; false when none is left until the next window opens.
    ///
    /// The counts are bounded by the callers of one window, and who may call is bounded by the
    /// market's capacity.
    pub fn take(&mut self, caller: Caller, now: Instant) -> bool {
        if now.saturating_duration_since(self.opened) >= self.window {
            self.opened = now;
            self.taken.clear();
        }
        let backed = caller.stake.checked_div(self.stake).unwrap_or(u64::MAX);
        let taken = self.taken.entry(caller.hotkey).or_insert(0);
        let left = u64::from(*taken) < backed.min(self.per_window.into());
        if left {
            *taken += 1;
        }
        left
    }

    /// The rule in words, for whom it stops.
    pub fn rule(&self) -> String {
        let seconds = self.window.as_secs();
        let stake = match self.stake {
            0 => String::new(),
            stake => format!(", one for each {stake} units of its stake"),
        };
        format!(
            "{} gradients a caller in {seconds} s{stake}",
            self.per_window
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(number: u8, stake: u64) -> Caller {
        Caller {
            hotkey: [number; 32],
            stake,
        }
    }

    fn rules(quota: u32, stake: u64) -> FeedbackRules {
        FeedbackRules {
            quota,
            stake,
            window: Duration::from_secs(10),
            ..FeedbackRules::default()
        }
    }

    #[test]
    fn each_caller_has_its_own_and_a_new_window_gives_it_back() {
        let start = Instant::now();
        let rules = rules(2, 0);
        let window = rules.window;
        let mut quota = Quota::new(&rules, start);
        let (one, other) = (caller(1, 0), caller(2, 0));
        assert!(quota.take(one, start) && quota.take(one, start));
        assert!(!quota.take(one, start + window / 2));
        assert!(quota.take(other, start + window / 2));
        assert!(quota.take(one, start + window));
        assert_eq!(quota.taken.len(), 1, "the old window is forgotten");
    }

    #[test]
    fn a_quota_of_none_refuses_all() {
        let now = Instant::now();
        assert!(!Quota::new(&rules(0, 0), now).take(caller(0, 9), now));
    }

    #[test]
    fn each_gradient_takes_stake() {
        let now = Instant::now();
        for (stake, gradients) in [(0, 0), (9, 0), (10, 1), (25, 2), (1000, 3)] {
            let mut quota = Quota::new(&rules(3, 10), now);
            let taken = (0..9).filter(|_| quota.take(caller(1, stake), now)).count();
            assert_eq!(taken, gradients, "{stake}");
        }
    }
}
