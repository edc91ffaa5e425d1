//! The validator's own data: a little to train on, and examples kept apart to score by.
//!
//! A newcomer has little data of its own, so what it trains on is cut down to `--own-data` bytes. Examples kept apart
//! are of another split. Of a text they are windows that never overlap and whose last token, the target, is never sent
//! to anybody: neither with its own window nor as part of another. Labels of images and vectors are never sent anyway.

use noesis_model::{
    tch::{Device, IndexOp, Kind, Tensor},
    Batch, DataError, DataSet, Images, Split, Text,
};
use rand::{seq::SliceRandom, Rng};

/// Bytes in one piece of the own text.
const PIECE: usize = 4096;

/// What is trained on.
#[derive(Debug)]
pub enum OwnData {
    /// Text: pieces from random places, `i64 [pieces, length]`, of which windows so long are read.
    Text {
        /// The pieces.
        pieces: Tensor,
        /// Tokens in a window, the last target included.
        window: usize,
    },
    /// Examples with their labels.
    Labelled(Batch),
}

impl OwnData {
    /// About `bytes` of the training split: text in pieces of 4096, or as many examples of a byte a number.
    ///
    /// # Errors
    ///
    /// [`DataError`] when a text's split is too short for one example.
    pub fn take(data: &DataSet, bytes: usize, rng: &mut impl Rng) -> Result<Self, DataError> {
        match data {
            DataSet::Text { text, length } => {
                let window = length + 1;
                let bytes = bytes.clamp(window, text.length(Split::Training).max(window));
                let piece = PIECE.max(window).min(bytes);
                let count = bytes.div_ceil(piece);
                let pieces = longest(piece, window, |length| {
                    text.sample(Split::Training, count, length, rng)
                })?;
                Ok(Self::Text { pieces, window })
            }
            DataSet::Images(images) | DataSet::Vectors(images) => {
                let count = bytes / (images.height() * images.width()).max(1);
                let chosen = some(images, Split::Training, count, rng);
                Ok(Self::Labelled(labelled(
                    data,
                    images,
                    Split::Training,
                    &chosen,
                )))
            }
        }
    }

    /// Bytes of it, a byte for a token or a pixel.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text { pieces, .. } => pieces.numel(),
            Self::Labelled(batch) => batch.inputs.numel(),
        }
    }

    /// A batch of random examples.
    pub fn sample(&self, batch: usize, device: Device, rng: &mut impl Rng) -> Batch {
        let batch = match self {
            Self::Text { pieces, window } => {
                let (count, length) = pieces.size2().unwrap_or((1, 1));
                let window = (*window as i64).min(length);
                let windows: Vec<Tensor> = (0..batch)
                    .map(|_| {
                        let piece = rng.random_range(0..count);
                        let begin = rng.random_range(0..=length - window);
                        pieces.i((piece, begin..begin + window))
                    })
                    .collect();
                next_tokens(&Tensor::stack(&windows, 0))
            }
            Self::Labelled(all) => {
                let count = all.inputs.size()[0];
                let rows: Vec<i64> = (0..batch).map(|_| rng.random_range(0..count)).collect();
                rows_of(all, &rows)
            }
        };
        batch.to_device(device)
    }
}

/// Examples kept apart, used in turn: no gradient is ever sent for them.
#[derive(Debug)]
pub struct KeptApart {
    examples: Batch,
    order: Vec<i64>,
    next: usize,
}

impl KeptApart {
    /// Up to `most` examples of the validation split in random order; of a text, windows of one stretch.
    ///
    /// # Errors
    ///
    /// [`DataError`] when a text's split is too short for a single window.
    pub fn take(data: &DataSet, most: usize, rng: &mut impl Rng) -> Result<Self, DataError> {
        let most = most.max(1);
        let examples = match data {
            DataSet::Text { text, length } => windows(text, most, length + 1, rng)?,
            DataSet::Images(images) | DataSet::Vectors(images) => {
                let chosen = some(images, Split::Validation, most, rng);
                labelled(data, images, Split::Validation, &chosen)
            }
        };
        let mut order: Vec<i64> = (0..examples.inputs.size()[0]).collect();
        order.shuffle(rng);
        Ok(Self {
            examples,
            order,
            next: 0,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// How many of them were used, to go on from with [`KeptApart::go_on_from`].
    pub fn position(&self) -> usize {
        self.next
    }

    /// Goes on where an earlier run stopped, so that none serves twice for one piece of evidence.
    pub fn go_on_from(&mut self, position: usize) {
        self.next = position % self.order.len();
    }

    /// The next `count` of them, or fewer if there are fewer. After the last comes the first again, by when the
    /// evidence it gave has been forgotten.
    pub fn next(&mut self, count: usize, device: Device) -> Batch {
        let count = count.clamp(1, self.order.len());
        let chosen: Vec<i64> = (0..count)
            .map(|offset| self.order[(self.next + offset) % self.order.len()])
            .collect();
        self.next = (self.next + count) % self.order.len();
        rows_of(&self.examples, &chosen).to_device(device)
    }
}

/// Tokens left out between two windows: side by side, a kept-back token would stand between what was sent before and
/// after it, and be filled in rather than predicted.
const GAP: usize = 32;

/// Windows of `window` tokens one after the other in one stretch of the validation split, with gaps.
fn windows(
    text: &Text,
    most: usize,
    window: usize,
    rng: &mut impl Rng,
) -> Result<Batch, DataError> {
    let apart = window + GAP;
    let bytes = (most * apart).min(text.length(Split::Validation).max(window));
    let stretch = longest(bytes, window, |length| {
        text.sample(Split::Validation, 1, length, rng)
    })?;
    let windows = stretch.view(-1).unfold(0, window as i64, apart as i64);
    Ok(next_tokens(&windows.to_kind(Kind::Int64)))
}

/// Windows `i64 [b, s + 1]` as inputs and the token after each.
fn next_tokens(windows: &Tensor) -> Batch {
    let length = windows.size()[1] - 1;
    Batch {
        inputs: windows.narrow(1, 0, length),
        targets: windows.narrow(1, 1, length),
    }
}

/// Numbers of at most so many images of a split, each once; at least one.
fn some(images: &Images, split: Split, most: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..images.count(split)).collect();
    let (chosen, _) = numbers.partial_shuffle(rng, most.max(1));
    chosen.to_vec()
}

/// These images of a split, laid flat where they are to be vectors.
fn labelled(data: &DataSet, images: &Images, split: Split, numbers: &[usize]) -> Batch {
    let batch = images.examples(split, numbers);
    match data {
        DataSet::Vectors(_) => Batch {
            inputs: batch.inputs.flatten(2, 3),
            targets: batch.targets,
        },
        _ => batch,
    }
}

/// Some rows of a batch.
fn rows_of(batch: &Batch, rows: &[i64]) -> Batch {
    let rows = Tensor::from_slice(rows);
    Batch {
        inputs: batch.inputs.index_select(0, &rows),
        targets: batch.targets.index_select(0, &rows),
    }
}

/// Samples `length` tokens in a row, or as many as the longest book has, if that is at least `window`.
fn longest(
    length: usize,
    window: usize,
    mut sample: impl FnMut(usize) -> Result<Tensor, DataError>,
) -> Result<Tensor, DataError> {
    match sample(length) {
        Err(DataError::SampleTooLong { longest, .. }) if longest >= window && longest < length => {
            sample(longest)
        }
        other => other,
    }
}
