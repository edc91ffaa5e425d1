//! The validator's own data: a little text to train on, and examples kept apart to score by.
//!
//! A newcomer has little data of its own, so the text to train on is cut down to `--own-data` bytes.
//! The examples kept apart are windows that never overlap and whose last token, the target, is never sent to
//! anybody: neither with its own window nor as part of another.

use noesis_model::{
    tch::{Device, IndexOp, Kind, Tensor},
    DataError, Split, Text,
};
use rand::{seq::SliceRandom, Rng};

/// Bytes in one piece of the own text.
const PIECE: usize = 4096;

/// The text to train on: pieces from random places, `i64 [pieces, length]`.
#[derive(Debug)]
pub struct OwnText {
    pieces: Tensor,
}

impl OwnText {
    /// About `bytes` of the training split, in pieces of 4096.
    ///
    /// # Errors
    ///
    /// [`DataError`] when the split is too short for a piece of `window` tokens.
    pub fn take(
        text: &Text,
        bytes: usize,
        window: usize,
        rng: &mut impl Rng,
    ) -> Result<Self, DataError> {
        let bytes = bytes.clamp(window, text.length(Split::Training).max(window));
        let piece = PIECE.max(window).min(bytes);
        let pieces = bytes.div_ceil(piece);
        let pieces = longest(piece, window, |length| {
            text.sample(Split::Training, pieces, length, rng)
        })?;
        Ok(Self { pieces })
    }

    /// Bytes of it.
    pub fn bytes(&self) -> usize {
        self.pieces.numel()
    }

    /// A batch of random windows, `i64 [batch, window]`. The window is no longer than what
    /// [`OwnText::take`] was told.
    pub fn sample(
        &self,
        batch: usize,
        window: usize,
        device: Device,
        rng: &mut impl Rng,
    ) -> Tensor {
        let (pieces, length) = self.pieces.size2().unwrap_or((1, 1));
        let window = (window as i64).min(length);
        let windows: Vec<Tensor> = (0..batch)
            .map(|_| {
                let piece = rng.random_range(0..pieces);
                let begin = rng.random_range(0..=length - window);
                self.pieces.i((piece, begin..begin + window))
            })
            .collect();
        Tensor::stack(&windows, 0).to_device(device)
    }
}

/// Examples kept apart, used in turn: no gradient is ever sent for them.
#[derive(Debug)]
pub struct KeptApart {
    windows: Tensor,
    order: Vec<i64>,
    next: usize,
}

impl KeptApart {
    /// Up to `most` windows of `window` tokens, side by side in one stretch of the validation split, in random
    /// order.
    ///
    /// # Errors
    ///
    /// [`DataError`] when the split is too short for a single window.
    pub fn take(
        text: &Text,
        most: usize,
        window: usize,
        rng: &mut impl Rng,
    ) -> Result<Self, DataError> {
        let bytes = (most.max(1) * window).min(text.length(Split::Validation).max(window));
        let stretch = longest(bytes, window, |length| {
            text.sample(Split::Validation, 1, length, rng)
        })?;
        let window = window as i64;
        let count = stretch.numel() as i64 / window;
        let windows = stretch.view(-1).narrow(0, 0, count * window);
        let mut order: Vec<i64> = (0..count).collect();
        order.shuffle(rng);
        Ok(Self {
            windows: windows.view([count, window]),
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

    /// The next `count` of them (fewer if there are fewer), `i64 [count, window]`. After the last comes the
    /// first again, by when the evidence it gave has been forgotten.
    pub fn next(&mut self, count: usize, device: Device) -> Tensor {
        let count = count.clamp(1, self.order.len());
        let chosen: Vec<i64> = (0..count)
            .map(|offset| self.order[(self.next + offset) % self.order.len()])
            .collect();
        self.next = (self.next + count) % self.order.len();
        self.windows
            .index_select(0, &Tensor::from_slice(&chosen))
            .to_kind(Kind::Int64)
            .to_device(device)
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
