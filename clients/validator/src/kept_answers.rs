//! The last assessments' examples and the peers' answers to them, kept in a file, so that the network can be compared
//! with its student when no peer is there.

use crate::saved::hotkey;
use noesis_model::{checkpoint, tch::Tensor, Batch, CheckpointError, NetworkConfig};
use noesis_neuron::Hotkey;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

/// Assessments that are kept.
const MOST: usize = 8;

/// One assessment.
#[derive(Debug)]
pub struct Kept {
    /// The examples.
    pub examples: Batch,
    /// The peers' answers, summarised, each `f32 [b, dim]`.
    pub answers: Vec<(Hotkey, Tensor)>,
}

/// The last assessments, oldest first.
#[derive(Debug, Default)]
pub struct KeptAnswers(VecDeque<Kept>);

/// What is kept beside the tensors.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// The validator's model, which the examples are for.
    model: NetworkConfig,
    /// Whose answers each assessment has.
    peers: Vec<Vec<String>>,
}

impl KeptAnswers {
    /// The file, beside the checkpoint at `path`.
    pub fn beside(path: &Path) -> PathBuf {
        path.with_file_name("assessments.safetensors")
    }

    /// Takes in one more; the oldest gives way.
    pub fn add(&mut self, kept: Kept) {
        self.0.push_back(kept);
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// The assessments, oldest first.
    pub fn assessments(&self) -> impl Iterator<Item = &Kept> {
        self.0.iter()
    }

    /// Writes them, atomically.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::File`] when the system refuses.
    pub fn save(
        &self,
        path: &Path,
        model: &NetworkConfig,
        step: u64,
    ) -> Result<(), CheckpointError> {
        let name = |kept: &Kept| {
            kept.answers
                .iter()
                .map(|(one, _)| hex::encode(one))
                .collect()
        };
        let saved = Saved {
            model: model.clone(),
            peers: self.0.iter().map(name).collect(),
        };
        checkpoint::save(path, step, &saved, &self.named(&saved.peers))
    }

    /// Reads them; none where there is no file.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] when the file is damaged, or left by a validator of another model.
    pub fn load(path: &Path, model: &NetworkConfig) -> Result<Self, CheckpointError> {
        let Some(checkpoint) = checkpoint::load(path)? else {
            return Ok(Self::default());
        };
        let saved: Saved = checkpoint.config()?;
        if saved.model != *model {
            let found = saved.model;
            return Err(checkpoint.mismatch(format!(
                "it was left by a validator of {found:?}, and this one has {model:?}: move it away"
            )));
        }
        let tensor = |name: String| {
            let missing = || checkpoint.mismatch(format!("it has no `{name}`"));
            checkpoint.tensor(&name).ok_or_else(missing)
        };
        let assessments = saved.peers.iter().enumerate().map(|(number, peers)| {
            let examples = Batch {
                inputs: tensor(format!("{number}/inputs"))?,
                targets: tensor(format!("{number}/targets"))?,
            };
            let answers = peers.iter().map(|peer| {
                let answer = tensor(format!("{number}/{peer}"))?;
                let fits = answer.dim() == 2 && answer.size()[..1] == examples.inputs.size()[..1];
                if !fits {
                    let size = answer.size();
                    return Err(checkpoint.mismatch(format!("`{number}/{peer}` is {size:?}")));
                }
                Ok((hotkey(&checkpoint, peer)?, answer))
            });
            let answers = answers.collect::<Result<_, CheckpointError>>()?;
            Ok(Kept { examples, answers })
        });
        Ok(Self(assessments.collect::<Result<_, CheckpointError>>()?))
    }

    fn named(&self, peers: &[Vec<String>]) -> Vec<(String, Tensor)> {
        let mut named = Vec::new();
        for (number, (kept, peers)) in self.0.iter().zip(peers).enumerate() {
            let Batch { inputs, targets } = &kept.examples;
            named.push((format!("{number}/inputs"), inputs.shallow_clone()));
            named.push((format!("{number}/targets"), targets.shallow_clone()));
            for ((_, answer), peer) in kept.answers.iter().zip(peers) {
                named.push((format!("{number}/{peer}"), answer.shallow_clone()));
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_model::{
        tch::{Device, Kind},
        Modality,
    };

    #[test]
    fn the_last_ones_are_kept_across_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = KeptAnswers::beside(&folder.path().join("validator.safetensors"));
        let model = NetworkConfig::builtin(Modality::Text, 5, 2);
        let load = || KeptAnswers::load(&path, &model);
        assert_eq!(load().unwrap().assessments().count(), 0);
        let mut kept = KeptAnswers::default();
        for number in 0..10 {
            kept.add(Kept {
                examples: Batch {
                    inputs: Tensor::full([3, 5], number, (Kind::Int64, Device::Cpu)),
                    targets: Tensor::full([3, 5], 1, (Kind::Int64, Device::Cpu)),
                },
                answers: vec![(
                    [7; 32],
                    Tensor::full([3, 2], 0.5, (Kind::Float, Device::Cpu)),
                )],
            });
        }
        kept.save(&path, &model, 4).unwrap();
        let loaded = load().unwrap();
        let numbers: Vec<i64> = (loaded.assessments())
            .map(|kept| kept.examples.inputs.int64_value(&[0, 0]))
            .collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8, 9]);
        let last = loaded.assessments().last().unwrap();
        assert_eq!(last.answers[0].0, [7; 32]);
        assert_eq!(last.answers[0].1.double_value(&[2, 1]), 0.5);
        // Of a validator of images, which was started in the same folder.
        let other = NetworkConfig::builtin(Modality::Image, 5, 2);
        let refused = KeptAnswers::load(&path, &other).unwrap_err().to_string();
        assert!(refused.contains("move it away"), "{refused}");
    }
}
