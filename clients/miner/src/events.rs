//! What happened, as JSON lines in the file that `--events` names.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use noesis_neuron::{Caller, Failure, Tensor, Treatment};
use noesis_telemetry::{Sample, Telemetry};
use serde::Serialize;

use crate::progress::Done;

/// Lines of calls in a minute: whoever may call, without end, is not to fill the disk. The calls beyond are told
/// together, and the numbers of `--metrics` have them all.
const CALLS_A_MINUTE: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    /// A step of its own training.
    Train {
        /// Steps taken so far.
        step: u64,
        /// Loss of the step's batch, in nats a token or an example.
        loss: f64,
    },
    /// A call of the model. What is refused before it comes there, as a gradient beyond the quota, is none.
    Served {
        /// `forward` or `backward`.
        method: &'a str,
        /// The caller's hotkey, in hexadecimal.
        caller: String,
        /// Sequences in it.
        batch: usize,
        /// Time that the model took; its share, where calls were computed together.
        milliseconds: f64,
        /// `ok`; or why a gradient was refused, after `refused: `; or what was wrong.
        outcome: &'a str,
    },
    /// Calls of a minute, beyond those that have lines of their own; told when it is over, or the miner is.
    #[serde(rename = "served_more")]
    ServedMore {
        /// How many.
        calls: u64,
    },
    /// The held-out loss, where scores are taken.
    #[serde(rename = "held_out")]
    HeldOut {
        /// Steps of training that the model has taken.
        step: u64,
        /// Loss of its own model, in nats.
        loss: f64,
        /// Over so many examples.
        examples: usize,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps of training in it.
        step: u64,
    },
}

/// What a model gives back.
pub(crate) trait Outcome {
    /// What became of the call, in words.
    fn words(&self) -> String {
        "ok".to_owned()
    }
}

impl Outcome for Tensor {}

impl Outcome for Treatment {
    fn words(&self) -> String {
        match self {
            Self::Applied | Self::Queued => "ok".to_owned(),
            Self::Refused(reason) => format!("{REFUSED}: {reason}"),
        }
    }
}

/// What the words of a refusal begin with.
pub(crate) const REFUSED: &str = "refused";

/// Where the lines go; nowhere when no file was named.
#[derive(Clone, Debug, Default)]
pub struct Events {
    log: Option<Arc<Mutex<Log>>>,
    telemetry: Telemetry,
    done: Arc<Mutex<Done>>,
}

impl Events {
    /// Appends to a file, which is made if need be.
    ///
    /// # Errors
    ///
    /// What the system says when the file cannot be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            log: Some(Arc::new(Mutex::new(Log {
                file,
                minute: Instant::now(),
                calls: 0,
                more: 0,
            }))),
            ..Self::default()
        })
    }

    /// Tells the numbers of every event there too.
    #[must_use]
    pub fn and(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// Writes one line. A disk that is full does not stop a miner: the line is lost, with a warning.
    pub fn record(&self, event: &Event) {
        let (step, samples) = samples(event);
        self.telemetry.record(step, &samples);
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.take(event);
        drop(done);
        if let Some(log) = &self.log {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.record(event, Instant::now());
        }
    }

    /// What was done so far, as these events tell.
    pub fn done(&self) -> Done {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call that the model answered, or failed at, and that `took` so much of its time.
    pub(crate) fn served(
        &self,
        method: &str,
        caller: &Caller,
        batch: usize,
        took: Duration,
        answer: &Result<impl Outcome, Failure>,
    ) {
        self.record(&Event::Served {
            method,
            caller: hex::encode(caller.hotkey),
            batch,
            milliseconds: took.as_secs_f64() * 1e3,
            outcome: &match answer {
                Ok(answer) => answer.words(),
                Err(failure) => failure.to_string(),
            },
        });
    }
}

/// The file, and how many calls were told in this minute.
#[derive(Debug)]
struct Log {
    file: File,
    minute: Instant,
    calls: u32,
    more: u64,
}

impl Log {
    fn record(&mut self, event: &Event, now: Instant) {
        if now.saturating_duration_since(self.minute) >= MINUTE {
            (self.minute, self.calls) = (now, 0);
            self.tell_more();
        }
        if matches!(event, Event::Served { .. }) {
            if self.calls >= CALLS_A_MINUTE {
                self.more += 1;
                return;
            }
            self.calls += 1;
        }
        self.write(event);
    }

    fn tell_more(&mut self) {
        let calls = std::mem::take(&mut self.more);
        if calls > 0 {
            self.write(&Event::ServedMore { calls });
        }
    }

    fn write(&mut self, event: &Event) {
        let line = serde_json::to_string(event).expect("an event is plain data") + "\n";
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            tracing::warn!("an event could not be written: {error}; check the disk's free space");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.tell_more();
    }
}

/// An event in numbers, and the step they belong to.
fn samples(event: &Event) -> (u64, Vec<Sample>) {
    match event {
        Event::Train { step, loss } => (
            *step,
            vec![
                Sample::gauge(
                    "noesis_miner_loss",
                    "Loss of the last batch, in nats.",
                    *loss,
                ),
                Sample::gauge("noesis_miner_step", "Steps of training.", *step as f64),
            ],
        ),
        Event::Served {
            method,
            milliseconds,
            outcome,
            ..
        } => {
            // What was wrong, in words, may quote the caller: a label says only whether.
            let outcome = match *outcome {
                "ok" => "ok",
                refused if refused.starts_with(REFUSED) => REFUSED,
                _ => "failed",
            };
            let help = "Calls of the model, and what became of them.";
            let calls = Sample::counter("noesis_miner_calls_total", help, 1.0);
            let seconds = Sample::counter(
                "noesis_miner_model_seconds_total",
                "Time that the model took for calls.",
                milliseconds / 1e3,
            );
            let calls = calls.of("method", method).of("outcome", outcome);
            (0, vec![calls, seconds.of("method", method)])
        }
        // Each of them was told by itself.
        Event::ServedMore { .. } => (0, Vec::new()),
        Event::HeldOut { step, loss, .. } => {
            let help = "Loss where scores are taken, over held-out examples, in nats.";
            let loss = Sample::gauge("noesis_miner_held_out_loss", help, *loss);
            (*step, vec![loss])
        }
        Event::Checkpoint { step } => {
            let (name, help) = (
                "noesis_miner_checkpoint_step",
                "Step of the last checkpoint.",
            );
            (*step, vec![Sample::gauge(name, help, *step as f64)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_one_line_and_old_lines_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        for step in 1..=2 {
            let events = Events::open(&path).unwrap();
            events.record(&Event::Train { step, loss: 2.5 });
        }
        let lines = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            lines,
            "{\"event\":\"train\",\"step\":1,\"loss\":2.5}\n\
             {\"event\":\"train\",\"step\":2,\"loss\":2.5}\n"
        );
    }

    #[test]
    fn the_held_out_loss_belongs_to_the_models_step() {
        let (step, samples) = samples(&Event::HeldOut {
            step: 7,
            loss: 2.5,
            examples: 64,
        });
        assert_eq!((step, samples[0].value), (7, 2.5));
    }

    #[test]
    fn calls_without_end_are_counted_and_fill_no_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let now = Instant::now();
        let events = Events::open(&path).unwrap();
        let mut log = events.log.as_ref().unwrap().lock().unwrap();
        let served = || Event::Served {
            method: "forward",
            caller: String::new(),
            batch: 1,
            milliseconds: 0.5,
            outcome: "ok",
        };
        for _ in 0..100 {
            log.record(&served(), now);
        }
        log.record(&Event::Checkpoint { step: 1 }, now);
        log.record(&served(), now + 2 * MINUTE);
        for _ in 0..70 {
            log.record(&served(), now + 2 * MINUTE);
        }
        drop(log);
        drop(events);
        let lines = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 60 + 3 + 60);
        assert!(lines[60].contains("checkpoint"));
        assert_eq!(lines[61], "{\"event\":\"served_more\",\"calls\":40}");
        assert!(lines[62].contains("forward"));
        assert_eq!(lines[122], "{\"event\":\"served_more\",\"calls\":11}");
    }
}
