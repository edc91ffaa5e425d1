//! The validator's own data: a little to train on, and examples kept apart to score by.
//!
//! A newcomer has little data of its own, so what it trains on is cut down to `--own-data` bytes. Examples kept apart
//! are of another split. Of a text they are windows that never overlap and whose last token, the target, is never sent
//! to anybody: neither with its own window nor as part of another. Labels of images and vectors are never sent anyway.

use noesis_model::{
    tch::{Device, IndexOp, Tensor},
    Batch, DataError, DataSet, Images, Split,
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
            DataSet::Images(images) | DataSet::Vectors { images, .. } => {
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
                Batch::of_tokens(&Tensor::stack(&windows, 0))
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

/// Assessments after which an example serves again at the earliest: evidence keeps four fifths of itself an assessment
/// (`ledger::Memory`), so that of what it showed before less than a tenth is left. What comes again sooner would be counted as
/// another example, and errors thought smaller than they are.
const ROUND: usize = 12;

/// Examples kept apart, used in turn: no gradient is ever sent for them.
#[derive(Debug)]
pub struct KeptApart {
    examples: Batch,
    order: Vec<i64>,
    next: usize,
    /// Of an assessment.
    count: usize,
}

impl KeptApart {
    /// Examples of the validation split for assessments of `count` of them each, or of fewer where the split has too few to
    /// keep serving new ones for a dozen assessments.
    ///
    /// # Errors
    ///
    /// [`DataError`] when a text's split is too short for a single window.
    pub fn take(data: &DataSet, count: usize, rng: &mut impl Rng) -> Result<Self, DataError> {
        let count = count.max(1);
        let most = ROUND * count;
        let examples = match data {
            DataSet::Text { text, length } => {
                let mut places = text.apart(Split::Validation, length + 1, GAP, rng)?;
                let (chosen, _) = places.partial_shuffle(rng, most);
                Batch::of_tokens(&text.pieces(chosen, length + 1))
            }
            DataSet::Images(images) | DataSet::Vectors { images, .. } => {
                let chosen = some(images, Split::Validation, most, rng);
                labelled(data, images, Split::Validation, &chosen)
            }
        };
        let mut order: Vec<i64> = (0..examples.inputs.size()[0]).collect();
        order.shuffle(rng);
        Ok(Self {
            examples,
            next: 0,
            count: count.min(order.len().div_ceil(ROUND)),
            order,
        })
    }

    /// How many there are in an assessment.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many of them were used, to go on from with [`KeptApart::go_on_from`].
    pub fn position(&self) -> usize {
        self.next
    }

    /// Goes on where an earlier run stopped, so that none serves twice for one piece of evidence.
    pub fn go_on_from(&mut self, position: usize) {
        self.next = position % self.order.len();
    }

    /// Those of the next assessment. After the last of all comes the first again, by when the evidence it gave has faded.
    pub fn next(&mut self, device: Device) -> Batch {
        let chosen: Vec<i64> = (0..self.count)
            .map(|offset| self.order[(self.next + offset) % self.order.len()])
            .collect();
        self.next = (self.next + self.count) % self.order.len();
        rows_of(&self.examples, &chosen).to_device(device)
    }
}

/// Tokens left out between two windows: side by side, a kept-back token would stand between what was sent before and
/// after it, and be filled in rather than predicted.
const GAP: usize = 32;

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
        DataSet::Vectors { .. } => batch.laid_flat(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{rngs::StdRng, SeedableRng};
    use std::collections::BTreeMap;

    const LENGTH: usize = 64;

    /// The examples of a text of thirty books, of which each line is another.
    fn kept_apart(count: usize, seed: u64) -> KeptApart {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text");
        let verse = |number: u32| {
            let word = number.wrapping_mul(2_654_435_761);
            format!("{}Book1:1 {number} {word:08x}\n", number / 400)
        };
        let verses: String = (0..12_000).map(verse).collect();
        std::fs::write(&file, verses).unwrap();
        let data = DataSet::load(noesis_model::Modality::Text, &file, LENGTH).unwrap();
        KeptApart::take(&data, count, &mut StdRng::seed_from_u64(seed)).unwrap()
    }

    /// Windows of the next twelve assessments, with their targets.
    fn round(kept: &mut KeptApart) -> Vec<Vec<i64>> {
        let mut windows = Vec::new();
        for _ in 0..ROUND {
            let Batch { inputs, targets } = kept.next(Device::Cpu);
            let last = targets.narrow(1, LENGTH as i64 - 1, 1);
            for window in Tensor::cat(&[inputs, last], 1).split(1, 0) {
                windows.push(Vec::try_from(window.view(-1)).unwrap());
            }
        }
        windows
    }

    /// What showed something comes again when that is nearly forgotten, however many are asked for.
    #[test]
    fn an_example_serves_once_in_a_dozen_assessments() {
        for count in [4, 64, 5000] {
            let mut kept = kept_apart(count, 1);
            assert!(kept.count() <= count);
            let mut times: BTreeMap<Vec<i64>, u32> = BTreeMap::new();
            for window in round(&mut kept) {
                *times.entry(window).or_default() += 1;
            }
            // Where they do not come out even, the first few begin the next round.
            let again = times.values().filter(|&&times| times > 1).count();
            assert!(again < ROUND && times.values().all(|&times| times <= 2));
            assert!(times.len() + again == ROUND * kept.count());
        }
    }

    /// All books of the split serve: one is far too short for as many.
    #[test]
    fn the_examples_are_of_all_books_and_other_validators_have_others() {
        let (mut first, mut second) = (kept_apart(5000, 1), kept_apart(5000, 2));
        let (first, second) = (round(&mut first), round(&mut second));
        let bytes = 3 * 400 * 15; // books 4, 14 and 24
        assert!(
            first.len() > bytes / (LENGTH + 1 + GAP) * 3 / 4,
            "{}",
            first.len()
        );
        let same = first
            .iter()
            .filter(|window| second.contains(window))
            .count();
        assert!(same < first.len() / 2, "{same} of {}", first.len());
    }
}
