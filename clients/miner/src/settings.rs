//! What a worker is told: limits, rules for gradients, training, checkpoints.

use std::{path::PathBuf, sync::Arc, time::Duration};

use noesis_model::DataSet;
use noesis_neuron::Hotkey;

use crate::events::Events;

/// How gradients of callers are treated.
#[derive(Clone, Copy, Debug)]
pub struct FeedbackRules {
    /// Learning rate of the step that each of them takes.
    pub rate: f64,
    /// Norm to which the parameters' gradient is clipped.
    pub clip: f64,
    /// Gradients that a caller may send in a window; none: all are refused.
    pub quota: u32,
    /// Length of that window.
    pub window: Duration,
}

impl Default for FeedbackRules {
    fn default() -> Self {
        Self {
            rate: 3e-4,
            clip: 1.0,
            quota: 600,
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
    /// Share of the time that it may take, above 0 and at most 1.
    pub duty: f64,
}

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
    /// Public key under which it answers.
    pub hotkey: Hotkey,
    /// Jobs that wait at most; one more is answered `busy`.
    pub queue: usize,
    /// Positions that the answer to one call may have, over its whole batch.
    pub positions_a_call: usize,
    /// Positions of answers that are computed together at most, where calls of one shape wait at the same time.
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

impl Settings {
    /// Serves, follows gradients, neither trains by itself nor keeps anything: what a test needs.
    pub fn new(hotkey: Hotkey) -> Self {
        Self {
            hotkey,
            queue: 32,
            positions_a_call: 1 << 14,
            positions_a_batch: 1 << 12,
            feedback: FeedbackRules::default(),
            training: None,
            keeping: None,
            events: Events::default(),
            threads: 1,
        }
    }
}
