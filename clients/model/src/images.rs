//! The image data set: a folder of four IDX files, the format of MNIST and of Fashion-MNIST.
//!
//! `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
//! `t10k-labels-idx1-ubyte`, each also with `.gz` behind it. The second two are the evaluation part.
//! Of the first two, each image whose number, counted from 0, leaves 11 when divided by 12 is
//! validation, and all others are training. Of Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017) this makes
//! 55,000 to train, 5,000 to validate and 10,000 to evaluate, of ten classes each.

mod idx;

use std::path::{Path, PathBuf};

use rand::Rng;
use tch::{Kind, Tensor};

use crate::data::{dimension, Batch, Split};
use idx::Idx;

/// Of so many training images in a row, the last is validation.
const PERIOD: usize = 12;

/// Why a folder is no data set of images.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// A file is missing.
    #[error(
        "{folder} has no {file}.gz: --data names a folder of images, with train-images-idx3-ubyte.gz, \
         train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz (scripts/setup \
         fetches Fashion-MNIST; elsewhere copy its four files there)"
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: &'static str,
    },
    /// A file is there but cannot be read.
    #[error("{path} cannot be read: {source}; check what --data names, and fetch the file again if it is damaged")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the decompressor said.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{path} is no IDX file of images or labels ({what}): fetch it again, or name another folder with --data")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The files do not belong together.
    #[error("the files in {folder} do not belong together ({what}): put the four files of one data set there")]
    Mixed {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        what: String,
    },
}

/// Images with their labels, in file order.
#[derive(Clone, Debug)]
struct Part {
    /// A byte a pixel, image after image, row by row.
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

/// Images in memory, all of one size.
#[derive(Clone, Debug)]
pub struct Images {
    height: usize,
    width: usize,
    classes: usize,
    training: Part,
    evaluation: Part,
}

impl Images {
    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// [`ImagesError`] naming the file that is missing, damaged or does not fit the others.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, ImagesError> {
        let folder = folder.as_ref();
        let [training_images, evaluation_images] =
            ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte"]
                .map(|file| idx::read::<3>(folder, file));
        let [training_labels, evaluation_labels] =
            ["train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"]
                .map(|file| idx::read::<1>(folder, file));
        let (training_images, evaluation_images) = (training_images?, evaluation_images?);
        let (training_labels, evaluation_labels) = (training_labels?, evaluation_labels?);

        let mixed = |what: String| ImagesError::Mixed {
            folder: folder.to_owned(),
            what,
        };
        let [count, height, width] = training_images.sizes;
        if evaluation_images.sizes[1..] != [height, width] {
            return Err(mixed("images of two sizes".into()));
        }
        if count < PERIOD {
            return Err(mixed(format!("{count} images to train on are too few")));
        }
        let labels = (training_labels.bytes.iter()).chain(&evaluation_labels.bytes);
        let classes = labels.max().map_or(0, |last| usize::from(*last) + 1);
        let part = |images: Idx<3>, labels: Idx<1>| {
            if images.sizes[0] != labels.sizes[0] {
                let (images, labels) = (images.sizes[0], labels.sizes[0]);
                return Err(mixed(format!("{images} images and {labels} labels")));
            }
            Ok(Part {
                pixels: images.bytes,
                labels: labels.bytes,
            })
        };
        Ok(Self {
            height,
            width,
            classes,
            training: part(training_images, training_labels)?,
            evaluation: part(evaluation_images, evaluation_labels)?,
        })
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels from left to right.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of classes: labels are below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Images in a split; at least one.
    pub fn count(&self, split: Split) -> usize {
        let (all, validation) = (
            self.training.labels.len(),
            self.training.labels.len() / PERIOD,
        );
        match split {
            Split::Training => all - validation,
            Split::Validation => validation,
            Split::Evaluation => self.evaluation.labels.len(),
        }
    }

    /// Where an image of a split lies: the part, and its number there.
    fn place(&self, split: Split, number: usize) -> (&Part, usize) {
        match split {
            Split::Training => (&self.training, number + number / (PERIOD - 1)),
            Split::Validation => (&self.training, number * PERIOD + PERIOD - 1),
            Split::Evaluation => (&self.evaluation, number),
        }
    }

    /// These images of a split, by number from 0 to one below [`Images::count`]: inputs `f32 [b, 1, height,
    /// width]`, targets `i64 [b]`, on the CPU. Numbers count on from the first after the last.
    pub fn examples(&self, split: Split, numbers: &[usize]) -> Batch {
        let size = self.height * self.width;
        let mut pixels = Vec::with_capacity(numbers.len() * size);
        let mut labels = Vec::with_capacity(numbers.len());
        for number in numbers {
            let (part, place) = self.place(split, number % self.count(split));
            pixels.extend_from_slice(&part.pixels[place * size..(place + 1) * size]);
            labels.push(i64::from(part.labels[place]));
        }
        let [batch, height, width] = [numbers.len(), self.height, self.width].map(dimension);
        let pixels = Tensor::from_slice(&pixels).view([batch, 1, height, width]);
        Batch {
            inputs: pixels.to_kind(Kind::Float) / 255.0,
            targets: Tensor::from_slice(&labels),
        }
    }

    /// Random images of a split.
    pub fn sample(&self, split: Split, batch: usize, rng: &mut impl Rng) -> Batch {
        let count = self.count(split);
        let numbers: Vec<usize> = (0..batch).map(|_| rng.random_range(0..count)).collect();
        self.examples(split, &numbers)
    }
}

#[cfg(test)]
pub(crate) mod tests;
