//! `noesis-validator student evaluate`: the student beside the network, its best peer, and the same model trained
//! alone, without a chain and without a peer.
//!
//! The network is judged by the answers that the last assessments kept, at targets that no peer was sent, on the
//! validation split; all others on the very same examples. Student and twin need no peers, so they are read over
//! the evaluation split too, a text at all positions.

use crate::{
    ablation::Measurement,
    kept_answers::KeptAnswers,
    learner::Compared,
    learner::Learner,
    part::{Parameters, Trained},
    validator::check,
};
use noesis_model::{
    training::evaluate, DataError, DataSet, InputError, NetworkConfig, Split, TrainingError,
};
use noesis_neuron::Hotkey;
use rand::{rngs::StdRng, SeedableRng};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// Batches of the evaluation split that are read.
const BATCHES: u64 = 16;
/// Examples in each of them.
const BATCH: usize = 64;

/// One model's losses.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Which model.
    pub model: String,
    /// At the kept-back targets of the kept assessments, in nats.
    pub kept_back: Option<f64>,
    /// The standard error of what it is above the network there.
    pub error: Option<f64>,
    /// Over the evaluation split, a text at all positions, in nats.
    pub evaluation: Option<f64>,
}

/// The comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Steps of training behind all of them.
    pub step: u64,
    /// Steps of training behind the student, where there is one: fewer if it came later.
    pub student_steps: Option<u64>,
    /// Examples with kept answers.
    pub examples: usize,
    /// The models.
    pub lines: Vec<Line>,
    /// Share of the network's gain over the model alone that the student keeps, at the kept-back targets.
    pub kept_share: Option<f64>,
}

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The data give no example.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Their examples are no inputs of the model.
    #[error("the model of the checkpoint does not take what --data names: {0}; name the data that the validator was given")]
    Inputs(InputError),
    /// Their labels are not those that the model tells apart.
    #[error("the model of the checkpoint tells {known} classes apart, and what --data names has {found}: name the data that the validator was given")]
    Classes {
        /// The model's.
        known: i64,
        /// Of the data.
        found: i64,
    },
    /// The model fails on them.
    #[error(transparent)]
    Training(#[from] TrainingError),
}

/// Checks that the data are such as the model learned from.
fn check_data(model: &NetworkConfig, data: &DataSet) -> Result<(), CompareError> {
    let one = data.sample(Split::Evaluation, 1, &mut StdRng::seed_from_u64(0))?;
    check(model, &one.inputs).map_err(CompareError::Inputs)?;
    let known = model.classes();
    let found = data.builtin(model.response_dim()).classes();
    if known != found {
        return Err(CompareError::Classes { known, found });
    }
    Ok(())
}

/// Compares everything that there is.
///
/// # Errors
///
/// [`CompareError`] when the data are not such as the learner learned from.
pub fn compare(
    learner: &Learner,
    kept: &KeptAnswers,
    data: &DataSet,
) -> Result<Comparison, CompareError> {
    check_data(&learner.config().model, data)?;
    let mut all = Gathered::default();
    for kept in kept.assessments() {
        let device = learner.device();
        let answers: Vec<_> = (kept.answers.iter())
            .map(|(peer, answer)| (*peer, answer.to_device(device)))
            .collect();
        let examples = kept.examples.to_device(device);
        let with_one = learner.compare_each(&examples, &answers);
        all.take(learner.compare(&examples, &answers), with_one);
    }
    let over_all = |model: &Trained| evaluation_loss(model, data);
    let student = learner.student();

    let network = all.line("network", &all.network, None);
    let (with_one, best) = all.best();
    let best = all.line(&with_one, &best, None);
    let lines = vec![
        network,
        best,
        all.line("student", &all.student, student.map(over_all).transpose()?),
        all.line(
            "the same model alone",
            &all.alone,
            Some(over_all(learner.twin())?),
        ),
    ];
    let kept_back = |line: usize| lines[line].kept_back;
    let kept_share = match (kept_back(0), kept_back(2), kept_back(3)) {
        (Some(network), Some(student), Some(alone)) if alone > network => {
            Some((alone - student) / (alone - network))
        }
        _ => None,
    };
    Ok(Comparison {
        step: learner.step_count(),
        student_steps: student.map(Trained::step_count),
        examples: all.network.len(),
        lines,
        kept_share,
    })
}

/// Losses of one example after another.
#[derive(Default)]
struct Gathered {
    network: Vec<f64>,
    student: Vec<f64>,
    alone: Vec<f64>,
    /// With each peer alone, which may have missed some examples.
    with_one: BTreeMap<Hotkey, Vec<f64>>,
}

impl Gathered {
    fn take(&mut self, compared: Compared, with_one: Vec<(Hotkey, Vec<f64>)>) {
        for (peer, losses) in with_one {
            self.with_one.entry(peer).or_default().extend(losses);
        }
        self.network.extend(compared.network);
        self.student.extend(compared.student.unwrap_or_default());
        self.alone.extend(compared.alone);
    }

    /// The name and the losses of the peer with which alone the loss is lowest, of those that answered every time.
    fn best(&self) -> (String, Vec<f64>) {
        let everywhere = (self.with_one.iter())
            .filter(|(_, losses)| losses.len() == self.network.len() && !losses.is_empty());
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let best = everywhere.min_by(|a, b| mean(a.1).total_cmp(&mean(b.1)));
        match best {
            Some((peer, losses)) => {
                let peer = hex::encode(&peer[..4]);
                (format!("best single peer ({peer})"), losses.clone())
            }
            None => ("best single peer".into(), Vec::new()),
        }
    }

    fn line(&self, model: &str, losses: &[f64], evaluation: Option<f64>) -> Line {
        let differences = losses
            .iter()
            .zip(&self.network)
            .map(|(one, network)| one - network);
        let differences: Vec<f64> = differences.collect();
        Line {
            model: model.into(),
            kept_back: Measurement::of(losses).map(|measured| measured.mean),
            error: Measurement::of(&differences).map(|measured| measured.error),
            evaluation,
        }
    }
}

/// Loss over the evaluation split: the same examples every time.
fn evaluation_loss(model: &Trained, data: &DataSet) -> Result<f64, TrainingError> {
    let (network, device) = (model.network(Parameters::Average), model.device());
    let found = evaluate(network, device, data, Split::Evaluation, BATCHES, BATCH)?;
    Ok(found.loss)
}

/// The table that a terminal shows and that stands in the card.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
        writeln!(
            f,
            "| model | kept-back targets | above the network | evaluation split |"
        )?;
        writeln!(f, "|---|---|---|---|")?;
        for line in &self.lines {
            let above = (line.kept_back.zip(self.lines[0].kept_back)).zip(line.error);
            let above = above.map_or("-".into(), |((own, network), error)| {
                format!("{:+.3} ± {error:.3}", own - network)
            });
            let (kept, evaluation) = (number(line.kept_back), number(line.evaluation));
            writeln!(f, "| {} | {kept} | {above} | {evaluation} |", line.model)?;
        }
        writeln!(
            f,
            "\nLosses in nats, after {} steps; {} examples with kept answers.",
            self.step, self.examples
        )?;
        if let Some(share) = self.kept_share {
            let percent = 100.0 * share;
            writeln!(f, "The student keeps {percent:.0} % of the network's gain.")?;
        }
        match self.student_steps {
            Some(steps) if steps < self.step => writeln!(
                f,
                "The student came later and learned for {steps} steps: the comparison is not even."
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::LearnerConfig;
    use noesis_model::{tch::Device, Modality};

    /// Vectors of so many numbers and classes.
    fn vectors(side: u32, classes: u32) -> DataSet {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, magic: u32, sizes: &[u32], bytes: Vec<u8>| {
            let sizes = sizes.iter().flat_map(|size| size.to_be_bytes());
            let header = magic.to_be_bytes().into_iter().chain(sizes);
            let file: Vec<u8> = header.chain(bytes).collect();
            std::fs::write(folder.path().join(name), file).unwrap();
        };
        for part in ["train", "t10k"] {
            let (images, labels) = (
                format!("{part}-images-idx3-ubyte"),
                format!("{part}-labels-idx1-ubyte"),
            );
            let pixels = vec![7; (24 * side * side) as usize];
            write(&images, 0x0803, &[24, side, side], pixels);
            let numbers = (0..24).map(|number| (number % classes) as u8);
            write(&labels, 0x0801, &[24], numbers.collect());
        }
        DataSet::load(Modality::Tensor, folder.path(), 4).unwrap()
    }

    #[test]
    fn data_of_another_size_or_of_other_classes_are_refused() {
        noesis_model::set_threads(1);
        let own = vectors(4, 3);
        let config = LearnerConfig {
            model: own.builtin(4),
            ..LearnerConfig::default()
        };
        let learner = Learner::new(config, Device::Cpu).unwrap();
        let with = |data: &DataSet| compare(&learner, &KeptAnswers::default(), data);
        assert!(with(&own).is_ok());
        for other in [vectors(5, 3), vectors(4, 5), vectors(4, 2)] {
            let refused = with(&other).unwrap_err().to_string();
            assert!(refused.contains("--data"), "{refused}");
        }
    }
}
