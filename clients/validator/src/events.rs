//! Events: what happens, as JSON lines appended to a file, for whoever draws or measures it.

use market_primitives::Uid;
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
        /// The joined loss over all positions, in nats a token.
        loss: f64,
        /// Who was asked, and what came of it.
        answers: Vec<Answered>,
    },
    /// Kept-apart examples were assessed.
    Scores {
        /// Each peer's standing.
        scores: Vec<Scored>,
        /// Spearman's correlation of Fisher scores and ablations among those who help.
        rank_correlation: Option<f64>,
    },
    /// The losses at the kept-back targets of those examples, in nats.
    Evaluation {
        /// Batches so far.
        step: u64,
        /// With all peers assessed.
        joined: f64,
        /// Of the same model trained alone.
        alone: Option<f64>,
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
    /// How long it took.
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

/// Where events go: a file, or nowhere.
#[derive(Debug, Default)]
pub struct Events(Option<File>);

impl Events {
    /// Appends to the file, which is made if need be; without one, events go nowhere.
    ///
    /// # Errors
    ///
    /// What the system says when the file cannot be opened.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        path.map(open).transpose().map(Self)
    }

    /// Writes one line. A file that cannot be written any more is given up with a warning: the work goes on.
    pub fn write(&mut self, event: &Event) {
        let Some(file) = &mut self.0 else { return };
        let written = serde_json::to_string(event)
            .map_err(io::Error::from)
            .and_then(|line| file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            tracing::warn!("events are no longer written ({error}): check the file of --events and the free space");
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            Event::Evaluation {
                step: 3,
                joined: 2.0,
                alone: Some(2.5),
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
                r#"{"event":"evaluation","step":3,"joined":2.0,"alone":2.5}"#,
                "\n",
                r#"{"event":"weights","epoch":4,"weights":[[0,65535]]}"#,
                "\n"
            )
        );
        Events::default().write(&events[0]);
        assert!(Events::open(Some(folder.path())).is_err());
    }
}
