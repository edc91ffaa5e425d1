//! Events: what happens, as JSON lines appended to a file, for whoever draws or measures it.

use crate::backward::Treated;
use market_primitives::Uid;
use noesis_telemetry::{Sample, Telemetry};
use serde::Serialize;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// One line.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A batch was learned from.
    Step {
        /// Batches so far.
        step: u64,
        /// The joined loss, in nats: a token over all positions, or a class; for half of the examples without the local model.
        loss: f64,
        /// Who was asked, and what came of it.
        answers: Vec<Answered>,
        /// What became known of gradients, by the peers' slots. Only numbers tell of it: the line of a step is long as it
        /// is.
        #[serde(skip)]
        gradients: Vec<(Uid, Treated)>,
    },
    /// Kept-apart examples were assessed.
    Scores {
        /// Each peer's standing.
        scores: Vec<Scored>,
        /// Spearman's correlation of Fisher scores and ablations among those who are paid.
        rank_correlation: Option<f64>,
    },
    /// Which peers answer as one.
    Copies {
        /// The groups, by slot.
        groups: Vec<Vec<Uid>>,
        /// The highest agreement of two peers in this assessment.
        highest_agreement: f64,
    },
    /// The losses at the kept-back targets of those examples, in nats.
    Evaluation {
        /// Batches so far.
        step: u64,
        /// With all peers assessed.
        joined: f64,
        /// Of the same model trained alone.
        alone: f64,
        /// Of the student, where there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        student: Option<f64>,
    },
    /// The losses at the kept-back targets of examples that nobody learned from or was scored by, in nats.
    #[serde(rename = "held_out")]
    HeldOut {
        /// Batches so far.
        step: u64,
        /// Examples.
        examples: usize,
        /// With all peers that take part.
        joined: Option<f64>,
        /// Of the same model trained alone.
        alone: Option<f64>,
        /// Of the student, where there is one.
        student: Option<f64>,
    },
    /// A row of weights was accepted by the chain.
    Weights {
        /// Epochs that the market had begun.
        epoch: u64,
        /// The row.
        weights: Vec<(Uid, u16)>,
    },
}

/// One peer in [`Event::Step`].
#[derive(Clone, Debug, Serialize)]
pub struct Answered {
    /// Its slot.
    pub uid: Uid,
    /// `ok`, `late`, or what went wrong in words.
    pub outcome: String,
    /// How long after the question it answered or was given up.
    pub milliseconds: f64,
}

/// One peer in [`Event::Scores`].
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// Its slot.
    pub uid: Uid,
    /// Its Fisher score.
    pub fisher: f64,
    /// Its ablation in nats; 0 before the first.
    pub ablation: f64,
    /// Its standard error; none before the first.
    pub error: Option<f64>,
}

/// Where events go: a file, whoever watches, or nowhere.
#[derive(Debug, Default)]
pub struct Events {
    file: Option<File>,
    telemetry: Telemetry,
    /// The last step told of: not every event names its own.
    step: u64,
}

impl Events {
    /// Appends to the file, which is made if need be; without one, events go nowhere.
    ///
    /// # Errors
    ///
    /// What the system says when the file cannot be opened.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        Ok(Self {
            file: path.map(open).transpose()?,
            ..Self::default()
        })
    }

    /// Tells the numbers of every event there too.
    #[must_use]
    pub fn and(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// Writes one line. A file that cannot be written any more is given up with a warning: the work goes on.
    pub fn write(&mut self, event: &Event) {
        if let Event::Step { step, .. } = event {
            self.step = *step;
        }
        self.telemetry.record(self.step, &samples(event));
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_string(event)
            .map_err(io::Error::from)
            .and_then(|line| file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            tracing::warn!("events are no longer written ({error}): check the file of --events and the free space");
            self.file = None;
        }
    }
}

/// An event in numbers.
fn samples(event: &Event) -> Vec<Sample> {
    match event {
        Event::Step {
            step,
            loss,
            answers,
            gradients,
        } => {
            let mut samples = vec![
                Sample::gauge("noesis_validator_step", "Steps of training.", *step as f64),
                Sample::gauge(
                    "noesis_validator_loss",
                    "Joined loss of the last batch, in nats; half of it without the local model.",
                    *loss,
                ),
            ];
            for answer in answers {
                let outcome = match answer.outcome.as_str() {
                    "ok" | "late" => answer.outcome.as_str(),
                    _ => "failed",
                };
                let name = "noesis_validator_answers_total";
                let count = Sample::counter(name, "What came of asking a peer.", 1.0);
                samples.push(count.of("uid", answer.uid).of("outcome", outcome));
                let seconds = answer.milliseconds / 1e3;
                let name = "noesis_validator_answer_seconds_total";
                // No gauge: only some of the peers are asked in a step.
                let took = Sample::counter(
                    name,
                    "Time from the questions to the answers of a peer, or to when it was given up.",
                    seconds,
                );
                samples.push(took.of("uid", answer.uid));
            }
            for (uid, treated) in gradients {
                let name = "noesis_validator_gradients_total";
                let count = Sample::counter(name, "What became of a gradient to a peer.", 1.0);
                samples.push(count.of("uid", uid).of("treated", treated.name()));
            }
            samples
        }
        Event::Scores {
            scores,
            rank_correlation,
        } => {
            let fisher = |value| Sample::gauge("noesis_validator_fisher", "Fisher score.", value);
            let (name, help) = ("noesis_validator_ablation", "Ablation, in nats.");
            let ablation = |value| Sample::gauge(name, help, value);
            let name = "noesis_validator_rank_correlation";
            let help = "Spearman's correlation of Fisher scores and ablations.";
            let correlation = Sample::gauge(name, help, rank_correlation.unwrap_or(f64::NAN));
            // What is no number is not shown, and ends what was shown before.
            let ended = [fisher(f64::NAN), ablation(f64::NAN), correlation];
            let each = scores.iter().flat_map(|one| {
                [fisher(one.fisher), ablation(one.ablation)].map(|sample| sample.of("uid", one.uid))
            });
            ended.into_iter().chain(each).collect()
        }
        Event::Copies {
            groups,
            highest_agreement,
        } => vec![
            Sample::gauge(
                "noesis_validator_copies",
                "Peers that answer as one with another.",
                groups.iter().map(Vec::len).sum::<usize>() as f64,
            ),
            Sample::gauge(
                "noesis_validator_agreement",
                "Highest agreement of two peers.",
                *highest_agreement,
            ),
        ],
        Event::Evaluation {
            joined,
            alone,
            student,
            ..
        } => {
            let loss = |model, loss| {
                let help = "Loss on the examples that peers are scored by, in nats.";
                Sample::gauge("noesis_validator_kept_apart_loss", help, loss).of("model", model)
            };
            let student = student.map(|student| loss("student", student));
            let both = [loss("network", *joined), loss("alone", *alone)];
            both.into_iter().chain(student).collect()
        }
        Event::HeldOut {
            joined,
            alone,
            student,
            ..
        } => {
            let help = "Loss at the end on examples that nobody was scored by, in nats.";
            [("network", joined), ("alone", alone), ("student", student)]
                .into_iter()
                .filter_map(|(model, loss)| {
                    let loss = Sample::gauge("noesis_validator_held_out_loss", help, (*loss)?);
                    Some(loss.of("model", model))
                })
                .collect()
        }
        Event::Weights { epoch, weights } => {
            let (name, help) = (
                "noesis_validator_weight",
                "Weight in the last row, of 65535.",
            );
            let each = weights
                .iter()
                .map(|(uid, weight)| Sample::gauge(name, help, f64::from(*weight)).of("uid", uid));
            let (name, help) = ("noesis_validator_vote_epoch", "Epoch of the last vote.");
            let epoch = Sample::gauge(name, help, *epoch as f64);
            each.chain([epoch]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_telemetry::metrics::Metrics;

    #[test]
    fn lines_are_as_readers_expect_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let events = [
            Event::Step {
                step: 3,
                loss: 2.5,
                answers: vec![Answered {
                    uid: 1,
                    outcome: "late".into(),
                    milliseconds: 12.5,
                }],
                gradients: vec![(1, Treated::Refused)],
            },
            Event::Scores {
                scores: vec![Scored {
                    uid: 1,
                    fisher: 0.5,
                    ablation: -0.25,
                    error: None,
                }],
                rank_correlation: None,
            },
            Event::Copies {
                groups: vec![vec![1, 4]],
                highest_agreement: 0.5,
            },
            Event::Evaluation {
                step: 3,
                joined: 2.0,
                alone: 2.5,
                student: None,
            },
            Event::Evaluation {
                step: 4,
                joined: 2.0,
                alone: 2.5,
                student: Some(2.25),
            },
            Event::Weights {
                epoch: 4,
                weights: vec![(0, 65535)],
            },
        ];
        for event in &events {
            // Opened anew each time: lines are appended.
            Events::open(Some(&path)).unwrap().write(event);
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            concat!(
                r#"{"event":"step","step":3,"loss":2.5,"answers":[{"uid":1,"outcome":"late","milliseconds":12.5}]}"#,
                "\n",
                r#"{"event":"scores","scores":[{"uid":1,"fisher":0.5,"ablation":-0.25,"error":null}],"rank_correlation":null}"#,
                "\n",
                r#"{"event":"copies","groups":[[1,4]],"highest_agreement":0.5}"#,
                "\n",
                r#"{"event":"evaluation","step":3,"joined":2.0,"alone":2.5}"#,
                "\n",
                r#"{"event":"evaluation","step":4,"joined":2.0,"alone":2.5,"student":2.25}"#,
                "\n",
                r#"{"event":"weights","epoch":4,"weights":[[0,65535]]}"#,
                "\n"
            )
        );
        Events::default().write(&events[0]);
        assert!(Events::open(Some(folder.path())).is_err());
    }

    #[test]
    fn what_becomes_of_gradients_is_counted() {
        let event = Event::Step {
            step: 3,
            loss: 2.5,
            answers: Vec::new(),
            gradients: vec![(1, Treated::Refused)],
        };
        let (name, help) = (
            "noesis_validator_gradients_total",
            "What became of a gradient to a peer.",
        );
        let count = Sample::counter(name, help, 1.0);
        let expected = count.of("uid", 1).of("treated", "refused");
        assert!(samples(&event).contains(&expected));
    }

    #[test]
    fn what_is_known_no_more_is_shown_no_more() {
        let metrics = Metrics::default();
        let scored = Scored {
            uid: 1,
            fisher: 0.5,
            ablation: 0.25,
            error: None,
        };
        metrics.take(&samples(&Event::Scores {
            scores: vec![scored],
            rank_correlation: Some(0.75),
        }));
        let text = metrics.text();
        for line in ["fisher{uid=\"1\"} 0.5", "rank_correlation 0.75"] {
            let line = format!("\nnoesis_validator_{line}\n");
            assert!(text.contains(&line), "{text}");
        }
        metrics.take(&samples(&Event::Scores {
            scores: Vec::new(),
            rank_correlation: None,
        }));
        let text = metrics.text();
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
    }
}
