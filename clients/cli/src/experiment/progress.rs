//! How far the experiment is, and how long it will take.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::screen::say;

/// Between two lines where there is no terminal for a bar.
const PAUSE: Duration = Duration::from_secs(30);

/// The progress over all seeds: a bar on a terminal, lines elsewhere.
pub struct Progress {
    bar: ProgressBar,
    seeds: u32,
    /// Steps of a validator in a seed.
    steps: u64,
    /// The seed at work, from 0.
    seed: u32,
    begin: Instant,
    /// When this seed began.
    seed_begin: Instant,
    /// When its validators took their first step.
    first_step: Option<Instant>,
    said: Option<Instant>,
}

impl Progress {
    /// Of so many seeds of so many steps.
    pub fn new(seeds: u32, steps: u64) -> Self {
        let bar = ProgressBar::new(u64::from(seeds) * steps);
        let style = ProgressStyle::with_template("{bar:30} {percent} %, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let now = Instant::now();
        Self {
            bar,
            seeds,
            steps,
            seed: 0,
            begin: now,
            seed_begin: now,
            first_step: None,
            said: None,
        }
    }

    /// Begins a seed, counted from 0.
    pub fn seed(&mut self, seed: u32) {
        self.seed = seed;
        self.seed_begin = Instant::now();
        self.first_step = None;
    }

    /// Says a line.
    pub fn say(&self, words: &str) {
        let words = format!(
            "[{:4.1} min] seed {} of {}: {words}",
            self.begin.elapsed().as_secs_f64() / 60.0,
            self.seed + 1,
            self.seeds
        );
        if self.bar.is_hidden() {
            say(&words);
        } else {
            self.bar.println(words);
        }
    }

    /// The slower validator has taken so many steps, so many epochs were paid, so many members are started.
    pub fn steps(&mut self, done: u64, paid: usize, started: usize) {
        let now = Instant::now();
        if done > 0 && self.first_step.is_none() {
            self.first_step = Some(now);
        }
        let left = match self.left(done, now) {
            Some(left) => format!("about {:.0} min left", (left.as_secs_f64() / 60.0).ceil()),
            None => format!("{started} members started"),
        };
        let words = format!("step {done} of {}, {paid} epochs paid, {left}", self.steps);
        let position = u64::from(self.seed) * self.steps + done.min(self.steps);
        self.bar.set_position(position);
        self.bar.set_message(words.clone());
        let due = self.said.is_none_or(|said| now - said >= PAUSE);
        if self.bar.is_hidden() && due {
            self.said = Some(now);
            self.say(&words);
        }
    }

    /// How long all seeds will still take, as this one goes.
    fn left(&self, done: u64, now: Instant) -> Option<Duration> {
        // The first steps take longer than the others.
        let first = self.first_step.filter(|_| done > 20)?;
        let whole = (now - first).mul_f64(self.steps as f64 / done.max(1) as f64);
        let seed = (first - self.seed_begin) + whole;
        let left = whole.saturating_sub(now - first);
        Some(left + seed * (self.seeds - self.seed).saturating_sub(1))
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_this_seed_and_of_those_after_it() {
        let mut progress = Progress::new(3, 1000);
        let now = Instant::now();
        assert_eq!(progress.left(0, now), None);
        progress.seed_begin = now;
        progress.first_step = Some(now + Duration::from_secs(60));
        progress.seed = 1;
        // A quarter done in 100 s: 300 s left, and 460 s for the last seed.
        let left = progress.left(250, now + Duration::from_secs(160));
        assert_eq!(left.map(|left| left.as_secs()), Some(760));
    }
}
