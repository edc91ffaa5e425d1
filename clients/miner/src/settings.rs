//! What a worker is told: limits, rules for gradients, training, checkpoints.

use std::{path::PathBuf, sync::Arc, time::Duration};

use noesis_model::DataSet;
use noesis_neuron::{Caller, Failure, POSITIONS_A_CALL};

use crate::events::Events;

/// Calls that wait at most, unless said otherwise.
pub const QUEUE: u16 = 24;

/// How gradients of callers are treated.
#[derive(Clone, Copy, Debug)]
pub struct FeedbackRules {
    /// Learning rate of the step that each of them takes.
    pub rate: f64,
    /// Norm to which the parameters' gradient is clipped.
    pub clip: f64,
    /// Gradients that a caller may send in a window; none: all are refused.
    pub quota: u32,
    /// Stake that each of these takes, in units; 0: none. Callers with less may ask for fewer positions: see
    /// [`Settings::positions_a_batch`].
    pub stake: u64,
    /// Length of that window.
    pub window: Duration,
}

impl Default for FeedbackRules {
    fn default() -> Self {
        Self {
            rate: 3e-4,
            clip: 1.0,
            quota: 600,
            stake: 0,
            window: Duration::from_secs(60),
        }
    }
}

/// The training that goes on between calls.
#[derive(Clone, Debug)]
pub struct OwnTraining {
    /// What is learned from.
    pub data: Arc<DataSet>,
    /// Steps after which it is over, those before a restart included.
    pub until_step: u64,
    /// Share of the time that it may take, from [`LEAST_DUTY`] to 1.
    pub duty: f64,
}

/// Shortest share of the time that training may take.
pub const LEAST_DUTY: f64 = 0.01;

/// Where checkpoints go, and how often.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// The file.
    pub path: PathBuf,
    /// Time between two of them; one is written at the end as well.
    pub every: Duration,
}

/// All that a [`Worker`] is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Jobs that wait at most; of one more than that, the one with the least stake is answered `busy`.
    pub queue: usize,
    /// Positions that the answer to one call may have, over its whole batch.
    pub positions_a_call: usize,
    /// Positions of answers that are computed together at most, where calls of one shape wait at the same time; no
    /// call of a caller without the stake for a gradient has more.
    pub positions_a_batch: usize,
    /// How gradients of callers are treated.
    pub feedback: FeedbackRules,
    /// Training between calls; `None`: it only serves.
    pub training: Option<OwnTraining>,
    /// Checkpoints; `None`: nothing is kept.
    pub keeping: Option<Keeping>,
    /// Where events are written.
    pub events: Events,
    /// Threads with which libtorch computes.
    pub threads: u16,
}

impl Default for Settings {
    /// Serves, follows gradients, neither trains by itself nor keeps anything.
    fn default() -> Self {
        Self {
            queue: QUEUE.into(),
            positions_a_call: POSITIONS_A_CALL,
            positions_a_batch: 1 << 12,
            feedback: FeedbackRules::default(),
            training: None,
            keeping: None,
            events: Events::default(),
            threads: 1,
        }
    }
}

impl Settings {
    pub(crate) fn call_size(&self) -> CallSize {
        CallSize {
            most: self.positions_a_call,
            most_without_stake: self.positions_a_call.min(self.positions_a_batch),
            stake: self.feedback.stake,
        }
    }
}

/// How large a call may be. One that is being computed keeps all others waiting, whatever their stake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallSize {
    most: usize,
    most_without_stake: usize,
    stake: u64,
}

impl CallSize {
    /// The same with so many positions at most for a caller without the stake for a gradient.
    pub(crate) fn without_stake(self, positions: usize) -> Self {
        Self {
            most_without_stake: self.most_without_stake.min(positions),
            ..self
        }
    }

    /// Checks the positions of the answer to a call.
    ///
    /// # Errors
    /// [`Failure::TooLarge`].
    pub(crate) fn check(self, caller: &Caller, positions: usize) -> Result<(), Failure> {
        let most = if caller.stake < self.stake {
            self.most_without_stake
        } else {
            self.most
        };
        if positions <= most {
            return Ok(());
        }
        let allowed = if most < self.most {
            format!(
                "{most} are the most here for a stake of {} units: send fewer examples at a time, or have {} units of \
                 stake, which allow {}",
                caller.stake, self.stake, self.most
            )
        } else {
            format!("{most} are the most here: send fewer examples at a time")
        };
        Err(Failure::TooLarge(format!(
            "the answer to one call would have {positions} positions, and {allowed}"
        )))
    }

    /// Checks the numbers of a call's inputs, of which a caller without the stake for a gradient may send so many.
    ///
    /// # Errors
    /// [`Failure::TooLarge`].
    pub(crate) fn check_numbers(
        self,
        caller: &Caller,
        numbers: usize,
        most_without_stake: usize,
    ) -> Result<(), Failure> {
        if caller.stake >= self.stake || numbers <= most_without_stake {
            return Ok(());
        }
        Err(Failure::TooLarge(format!(
            "the inputs of one call have {numbers} numbers, and {most_without_stake} are the most here for a stake of \
             {} units: send smaller examples, or fewer at a time, or have {} units of stake",
            caller.stake, self.stake
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_call_takes_stake() {
        let mut settings = Settings::default();
        settings.feedback.stake = 10;
        let (few, many) = (settings.positions_a_batch, settings.positions_a_call);
        assert!(few < many);
        for (stake, most) in [(0, few), (9, few), (10, many)] {
            let caller = Caller {
                hotkey: [1; 32],
                stake,
            };
            assert_eq!(settings.call_size().check(&caller, most), Ok(()));
            let larger = settings.call_size().check(&caller, most + 1);
            let Err(Failure::TooLarge(words)) = larger else {
                panic!("{larger:?}");
            };
            assert_eq!(words.contains("10 units"), stake < 10, "{words}");
        }
    }
}
