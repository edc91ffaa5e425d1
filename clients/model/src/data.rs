//! Data sets, of any modality: batches of inputs and targets, from parts that share nothing.
//!
//! | data | inputs | targets |
//! |---|---|---|
//! | text | `i64 [b, s]` | `i64 [b, s]`: the token after each; the last of them is not in the inputs |
//! | images | `f32 [b, channels, height, width]`, brightness from 0 to 1 | `i64 [b]`: the class |
//! | vectors | `f32 [b, 1, pixels]`: the same images, without saying that they are any | `i64 [b]` |
//!
//! Vectors are images in disguise because a TENSOR market knows nothing of what it trades: here are real
//! data, with real labels, whose structure is hidden from the network as that of any other measurement is.

use std::path::{Path, PathBuf};

use market_primitives::Modality;
use rand::Rng;
use tch::{Device, Tensor};

use crate::{
    images::{Images, ImagesError},
    network::NetworkConfig,
    text::Text,
};

/// What a part of the data is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Training,
    /// To choose and score by; never learned from.
    Validation,
    /// To report on; never learned from, never chosen by.
    Evaluation,
}

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// There is no such file.
    #[error("the data file {path} does not exist: name a text file with --data (scripts/setup fetches the King James text)")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is there but cannot be read.
    #[error("the data file {path} cannot be read: {source}; check what --data names and its permissions")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds nothing.
    #[error("the data file {path} is empty: name another with --data")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It holds too little to be split.
    #[error("the data file {path} holds {bytes} bytes of text, and at least {minimum} are needed to split it: name a longer one with --data")]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Bytes of text in it.
        bytes: usize,
        /// Bytes of text needed.
        minimum: usize,
    },
    /// No book of a split is as long as the sample that was asked for.
    #[error("no book of the {split:?} part is {length} bytes long (the longest has {longest}): ask for shorter sequences or name a longer text with --data")]
    SampleTooLong {
        /// The split.
        split: Split,
        /// Tokens asked for.
        length: usize,
        /// Bytes of its longest book.
        longest: usize,
    },
    /// The images.
    #[error(transparent)]
    Images(#[from] ImagesError),
}

/// Examples and what is to be said of them.
#[derive(Debug)]
pub struct Batch {
    /// What a network, or a peer, is given: see the table above.
    pub inputs: Tensor,
    /// What it is to find out.
    pub targets: Tensor,
}

impl Batch {
    /// Of windows of a text, `i64 [b, s + 1]`: at each position the token after it is to be found out.
    pub fn of_tokens(windows: &Tensor) -> Self {
        let length = windows.size()[1] - 1;
        Self {
            inputs: windows.narrow(1, 0, length),
            targets: windows.narrow(1, 1, length),
        }
    }

    /// Of images, as vectors.
    pub fn laid_flat(self) -> Self {
        Self {
            inputs: self.inputs.flatten(2, 3),
            ..self
        }
    }

    /// The same on another device.
    pub fn to_device(&self, device: Device) -> Self {
        Self {
            inputs: self.inputs.to_device(device),
            targets: self.targets.to_device(device),
        }
    }
}

/// A data set in memory.
#[derive(Clone, Debug)]
pub enum DataSet {
    /// TEXT.
    Text {
        /// The text.
        text: Text,
        /// Tokens in the inputs of an example.
        length: usize,
    },
    /// IMAGE.
    Images(Images),
    /// TENSOR: the same files.
    Vectors {
        /// The images, each a vector.
        images: Images,
        /// Vectors that are answered at once at most. Each example is one.
        length: usize,
    },
}

impl DataSet {
    /// Loads the data of a modality: a text file, of which examples read `length` tokens; or a folder of
    /// images, of which, laid flat, the built-in network takes up to `length` at once.
    ///
    /// # Errors
    ///
    /// [`DataError`] when they are missing, unreadable or no data of that modality.
    pub fn load(modality: Modality, path: &Path, length: usize) -> Result<Self, DataError> {
        Ok(match modality {
            Modality::Text => Self::Text {
                text: Text::load(path)?,
                length,
            },
            Modality::Image => Self::Images(Images::load(path)?),
            Modality::Tensor => Self::Vectors {
                images: Images::load(path)?,
                length,
            },
        })
    }

    /// Their modality.
    pub fn modality(&self) -> Modality {
        match self {
            Self::Text { .. } => Modality::Text,
            Self::Images(_) => Modality::Image,
            Self::Vectors { .. } => Modality::Tensor,
        }
    }

    /// The built-in network of their modality, with their sizes and classes.
    pub fn builtin(&self, response_dim: i64) -> NetworkConfig {
        let length = match self {
            Self::Text { length, .. } | Self::Vectors { length, .. } => *length,
            Self::Images(_) => 1,
        };
        let mut network = NetworkConfig::builtin(self.modality(), dimension(length), response_dim);
        match (&mut network, self) {
            (NetworkConfig::Patches(config), Self::Images(images)) => {
                config.height = dimension(images.height());
                config.width = dimension(images.width());
                config.classes = dimension(images.classes());
            }
            (NetworkConfig::Perceptron(config), Self::Vectors { images, .. }) => {
                config.dim = dimension(images.height() * images.width());
                config.classes = dimension(images.classes());
            }
            _ => {} // a text has no sizes
        }
        network
    }

    /// Random examples of a split, on the CPU; each is as likely as any other.
    ///
    /// # Errors
    ///
    /// [`DataError::SampleTooLong`] when no book of the split is long enough for one.
    pub fn sample(
        &self,
        split: Split,
        batch: usize,
        rng: &mut impl Rng,
    ) -> Result<Batch, DataError> {
        match self {
            Self::Text { text, length } => {
                let windows = text.sample(split, batch, length + 1, rng)?;
                Ok(Batch::of_tokens(&windows))
            }
            Self::Images(images) => Ok(images.sample(split, batch, rng)),
            Self::Vectors { images, .. } => Ok(images.sample(split, batch, rng).laid_flat()),
        }
    }
}

/// A size as libtorch counts it.
pub(crate) fn dimension(size: usize) -> i64 {
    i64::try_from(size).expect("what lies in memory is counted by an i64")
}

#[cfg(test)]
mod tests {
    use rand::{rngs::StdRng, SeedableRng};

    use super::*;
    use crate::images::tests::folder;

    #[test]
    fn the_target_of_a_text_is_the_token_after_and_the_last_is_kept_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        let counting: Vec<u8> = (0..8192u32).map(|byte| (byte % 250) as u8).collect();
        std::fs::write(&path, counting).unwrap();
        let data = DataSet::load(Modality::Text, &path, 6).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let batch = data.sample(Split::Training, 5, &mut rng).unwrap();
        assert_eq!(batch.inputs.size(), [5, 6]);
        assert_eq!((&batch.inputs + 1i64).fmod(250), batch.targets);
        assert_eq!(data.builtin(12).inputs().sequence_limit(), Some(6));
    }

    #[test]
    fn vectors_are_the_images_of_the_same_draw_laid_flat() {
        let place = folder(120, 24);
        let draw = |modality| {
            let data = DataSet::load(modality, place.path(), 0).unwrap();
            assert_eq!(data.modality(), modality);
            let mut rng = StdRng::seed_from_u64(4);
            data.sample(Split::Validation, 7, &mut rng).unwrap()
        };
        let (images, vectors) = (draw(Modality::Image), draw(Modality::Tensor));
        assert_eq!(images.inputs.size(), [7, 1, 4, 4]);
        assert_eq!(vectors.inputs, images.inputs.view([7, 1, 16]));
        assert_eq!(vectors.targets, images.targets);
    }

    #[test]
    fn the_builtin_network_takes_what_the_data_give() {
        let place = folder(120, 24);
        for modality in [Modality::Image, Modality::Tensor] {
            let data = DataSet::load(modality, place.path(), 3).unwrap();
            let config = data.builtin(6);
            let limit = (modality == Modality::Tensor).then_some(3);
            assert_eq!(config.inputs().sequence_limit(), limit);
            assert_eq!((config.modality(), config.classes()), (modality, 3));
            let store = tch::nn::VarStore::new(Device::Cpu);
            let network = crate::Network::new(&store.root(), &config).unwrap();
            let mut rng = StdRng::seed_from_u64(4);
            let batch = data.sample(Split::Evaluation, 5, &mut rng).unwrap();
            let answer = network.represent(&batch.inputs);
            let positions = config.positions(&batch.inputs.size());
            assert_eq!(answer.size(), [5, positions, 6]);
            assert!(network.loss(&answer, &batch.targets).double_value(&[]) > 0.0);
        }
    }
}
