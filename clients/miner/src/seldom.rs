//! Warnings that callers can bring about: whoever may call, without end, is not to fill the log.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Time from one of them to the next.
const PAUSE: Duration = Duration::from_secs(10);

/// When one was told last; those that come too soon after it are not told.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Warns, unless that was done a moment ago.
    pub(crate) fn warn(&self, words: &str) {
        if self.is_time(Instant::now()) {
            tracing::warn!("{words} (told once in {} s at most)", PAUSE.as_secs());
        }
    }

    fn is_time(&self, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = told.is_none_or(|told| now.saturating_duration_since(told) >= PAUSE);
        if is_time {
            *told = Some(now);
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_warnings_without_end_one_is_told_now_and_then() {
        let (seldom, begin) = (Seldom::default(), Instant::now());
        let seconds = (0..60).map(|second| begin + Duration::from_secs(second));
        let told = seconds.filter(|now| seldom.is_time(*now)).count();
        assert_eq!(told, 6);
    }
}
