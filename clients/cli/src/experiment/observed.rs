//! What programs told of themselves in a run: lines of JSON, read when they have ended.

use std::path::Path;

use anyhow::{Context, Result};
use noesis_statistics::SIGNIFICANCE;

use super::figures::HeldOut;
use crate::local::events::{Event, Scored};

/// Losses of a validator on the way, at the kept-back targets of the examples by which it scores its peers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Steps of training.
    pub step: u64,
    /// Of its model joined with the network.
    pub joined: f64,
    /// Of the same model trained alone.
    pub alone: Option<f64>,
    /// Of the student.
    pub student: Option<f64>,
}

/// What a validator measured: on the way, and at the end.
pub fn validator(path: &Path) -> Result<(Vec<Point>, HeldOut)> {
    let (mut curve, mut held_out) = (Vec::new(), None);
    let (mut correlation, mut below) = (None, None);
    for line in lines(path)? {
        match line.event.as_str() {
            "evaluation" => {
                if let (Some(step), Some(joined)) = (line.step, line.joined) {
                    curve.push(Point {
                        step,
                        joined,
                        alone: line.alone,
                        student: line.student,
                    });
                }
            }
            "scores" => {
                correlation = line.rank_correlation;
                below = others_below(&line.scores);
            }
            "held_out" => held_out = Some(line),
            _ => {}
        }
    }
    let held_out = || {
        let last = held_out?;
        Some(HeldOut {
            joined: last.joined?,
            alone: last.alone?,
            student: last.student?,
            // The student is a model like the validator's own: alone, they are one.
            student_alone: last.alone?,
            correlation,
            others_below: below,
        })
    };
    let held_out = held_out().with_context(|| {
        format!(
            "{} has no measurement of the end: see the validator's log beside it",
            path.display()
        )
    })?;
    Ok((curve, held_out))
}

/// Of the peers that were measured and whose ablation is not above two standard errors, the share whose Fisher score is
/// below that of everybody whose ablation is; `None` where there is nobody to be below.
///
/// An assessment in which a peer does harm counts as 0, and once it is left out for that its score is 0. Copies count like
/// everybody, by their own ablations.
fn others_below(scores: &[Scored]) -> Option<f64> {
    let measured = scores
        .iter()
        .filter_map(|one| Some((one.fisher?, one.ablation? > SIGNIFICANCE * one.error?)));
    let (useful, others): (Vec<_>, Vec<_>) = measured.partition(|(_, helps)| *helps);
    let least = useful.iter().map(|(fisher, _)| *fisher).reduce(f64::min)?;
    let not_below = others.iter().filter(|(fisher, _)| *fisher >= least).count();
    Some(1.0 - not_below as f64 / others.len().max(1) as f64)
}

/// The loss of a miner's own model that its evaluation measured.
pub fn miner(path: &Path) -> Result<f64> {
    let lines = lines(path)?;
    let last = lines.iter().rev().find(|line| line.event == "held_out");
    last.and_then(|line| line.loss).with_context(|| {
        format!(
            "{} has no held-out loss: see the evaluation's log beside it",
            path.display()
        )
    })
}

/// The lines of a file; one of another version is left out.
fn lines(path: &Path) -> Result<Vec<Event>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_measurement_counts_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(
            &path,
            r#"{"event":"step","step":1,"loss":5.5,"answers":[]}
no JSON
{"event":"evaluation","step":20,"joined":2.5,"alone":3.5,"student":3.0}
{"event":"scores","scores":[],"rank_correlation":0.5}
"#,
        )
        .unwrap();
        let error = validator(&path).unwrap_err().to_string();
        assert!(error.contains("events.jsonl"), "{error}");
        assert!(miner(&path).is_err());
        let more = r#"{"event":"scores","scores":[{"uid":0,"fisher":0.5,"ablation":0.25,"error":0.0625},{"uid":1,"fisher":0.25,"ablation":0.0,"error":0.0625}],"rank_correlation":0.9}
{"event":"held_out","step":20,"joined":2.0,"alone":3.0,"student":2.5}
{"event":"held_out","loss":1.75,"examples":64,"joined":1.9,"alone":3.0,"student":2.5}
"#;
        let text = std::fs::read_to_string(&path).unwrap() + more;
        std::fs::write(&path, text).unwrap();
        let (curve, held_out) = validator(&path).unwrap();
        assert_eq!(
            curve,
            [Point {
                step: 20,
                joined: 2.5,
                alone: Some(3.5),
                student: Some(3.0)
            }]
        );
        assert_eq!((held_out.joined, held_out.correlation), (1.9, Some(0.9)));
        assert_eq!(held_out.others_below, Some(1.0));
        assert_eq!(miner(&path).unwrap(), 1.75);
    }

    #[test]
    fn whoever_is_not_known_to_help_is_to_have_the_lesser_fisher_score() {
        let scored = |fisher, ablation, error| Scored {
            fisher: Some(fisher),
            ablation: Some(ablation),
            error,
        };
        // Two who help; of the third it cannot be told, the fourth harms, the fifth was never measured.
        let mut scores = vec![
            scored(0.5, 0.25, Some(0.0625)),
            scored(0.25, 0.5, Some(0.0625)),
            scored(0.125, 0.125, Some(0.0625)),
            scored(0.0, -0.5, Some(0.0625)),
            scored(9.0, 0.0, None),
        ];
        assert_eq!(others_below(&scores), Some(1.0));
        // The least of those who help is what counts, and as much is not below.
        scores[2].fisher = Some(0.25);
        assert_eq!(others_below(&scores), Some(0.5));
        // It harmed only of late.
        scores[3].fisher = Some(0.375);
        assert_eq!(others_below(&scores), Some(0.0));
        assert_eq!(others_below(&scores[2..]), None, "nobody helps");
        assert_eq!(others_below(&scores[..2]), Some(1.0), "nobody is left");
    }
}
