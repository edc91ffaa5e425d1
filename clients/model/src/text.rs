//! The text data set: the bytes of one file, split by book into training, validation, evaluation.
//!
//! The file holds a verse a line, `Ge1:1 In the beginning ...`: the book is the reference up to its
//! chapter (`Ge`, `1Sm`). References are no part of the text; verses are joined by line ends. Books
//! are numbered from 0 in order of appearance, and the last digit of the number decides: 4 is
//! validation, 9 is evaluation, all others are training. Of the King James text this makes
//!
//! * validation: Deu, Ezra, Lam, Hab, Rom, 2Tim, Jude (7 % of the bytes),
//! * evaluation: 2Sm, Prv, Amos, Mat, Phi, 1Pet (9 %).
//!
//! A file in which not every line has a reference, or with fewer than ten books, is cut at line ends
//! into ten parts of about the same length, and these take the place of books.
//!
//! No sample crosses the border of a book, so no byte of one split is ever seen with another.

use std::{ops::Range, path::Path};

use rand::Rng;
use tch::Tensor;

use crate::data::{dimension, DataError, Split};

/// Number of tokens: the bytes, and the specials.
pub const VOCABULARY: i64 = 258;
/// The token that fills up a short sequence.
pub const PAD: i64 = 256;
/// The token that begins a sequence.
pub const BOS: i64 = 257;

/// Books, or parts in their place, that a text has at least: one for each last digit.
const FEWEST_BOOKS: usize = 10;
/// Bytes that a file has at least. Anything shorter teaches nothing, and its splits would be empty.
pub const MINIMUM_BYTES: usize = 4096;

/// One book: its name and where its bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Book {
    name: String,
    bytes: Range<usize>,
}

/// A text in memory, and its books.
#[derive(Clone, Debug)]
pub struct Text {
    bytes: Vec<u8>,
    books: Vec<Book>,
}

impl Text {
    /// Reads and splits a file.
    ///
    /// # Errors
    ///
    /// A [`DataError`] when the file is missing, unreadable, empty or too short to be split.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let named = || path.to_owned();
        let content = std::fs::read(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => DataError::Missing { path: named() },
            _ => DataError::Unreadable {
                path: named(),
                source,
            },
        })?;
        if content.iter().all(u8::is_ascii_whitespace) {
            return Err(DataError::Empty { path: named() });
        }
        let text = Self::from_bytes(&content);
        if text.bytes.len() < MINIMUM_BYTES {
            return Err(DataError::TooShort {
                path: named(),
                bytes: text.bytes.len(),
                minimum: MINIMUM_BYTES,
            });
        }
        Ok(text)
    }

    /// Splits what a file holds.
    fn from_bytes(content: &[u8]) -> Self {
        let by_reference = Self::by_reference(content);
        match by_reference {
            Some(text) if text.books.len() >= FEWEST_BOOKS => text,
            // Too few books: cut what they hold, without the references.
            Some(text) => Self::by_length(text.bytes),
            None => Self::by_length(content.to_vec()),
        }
    }

    /// The books of a file in which every line that is not blank begins with a reference.
    fn by_reference(content: &[u8]) -> Option<Self> {
        let mut bytes = Vec::with_capacity(content.len());
        let mut books: Vec<Book> = Vec::new();
        for line in content.split(|byte| *byte == b'\n') {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let (name, verse) = reference(line)?;
            let begin = bytes.len();
            bytes.extend_from_slice(verse);
            bytes.push(b'\n');
            match books.last_mut() {
                Some(book) if book.name == name => book.bytes.end = bytes.len(),
                _ => books.push(Book {
                    name: name.to_owned(),
                    bytes: begin..bytes.len(),
                }),
            }
        }
        Some(Self { bytes, books })
    }

    /// Ten parts of about the same length, cut after a line end where there is one nearby.
    fn by_length(bytes: Vec<u8>) -> Self {
        let mut books = Vec::with_capacity(FEWEST_BOOKS);
        let mut begin = 0;
        for part in 1..=FEWEST_BOOKS {
            let target = bytes.len() * part / FEWEST_BOOKS;
            // Not further than half a part: a text without line ends is cut where it must be.
            let reach = (target + bytes.len() / (2 * FEWEST_BOOKS)).min(bytes.len());
            let line_end = bytes[target..reach].iter().position(|byte| *byte == b'\n');
            let end = line_end.map_or(target, |offset| target + offset + 1);
            books.push(Book {
                name: format!("part {part}"),
                bytes: begin..end,
            });
            begin = end;
        }
        Self { bytes, books }
    }

    /// The names of a split's books, in order.
    #[cfg(test)]
    fn books(&self, split: Split) -> Vec<&str> {
        self.of(split).map(|book| book.name.as_str()).collect()
    }

    /// Bytes in a split.
    pub fn length(&self, split: Split) -> usize {
        self.of(split).map(|book| book.bytes.len()).sum()
    }

    fn of(&self, split: Split) -> impl Iterator<Item = &Book> {
        let books = self.books.iter().enumerate();
        books.filter_map(move |(number, book)| (split_of(number) == split).then_some(book))
    }

    /// Random pieces of a split, as tokens `i64 [batch, length]` on the CPU; `length` counts the
    /// targets too. Every place in the split is as likely as any other, and no piece crosses the
    /// border of a book.
    ///
    /// # Errors
    ///
    /// [`DataError::SampleTooLong`] when no book of the split is that long.
    pub fn sample(
        &self,
        split: Split,
        batch: usize,
        length: usize,
        rng: &mut impl Rng,
    ) -> Result<Tensor, DataError> {
        // The places at which a piece can begin, book after book.
        let places = |book: &Book| (book.bytes.len() + 1).saturating_sub(length.max(1));
        let all: usize = self.of(split).map(places).sum();
        if all == 0 {
            return Err(self.too_long(split, length));
        }
        let mut tokens = Vec::with_capacity(batch * length);
        for _ in 0..batch {
            let mut place = rng.random_range(0..all);
            for book in self.of(split) {
                if place < places(book) {
                    let begin = book.bytes.start + place;
                    let piece = &self.bytes[begin..begin + length];
                    tokens.extend(piece.iter().copied().map(i64::from));
                    break;
                }
                place -= places(book);
            }
        }
        Ok(Tensor::from_slice(&tokens).view([dimension(batch), dimension(length)]))
    }

    /// Where pieces of a split begin that never overlap, in order: book after book, each from a random place near its
    /// beginning on, with `gap` bytes left out between two pieces. [`Text::pieces`] reads those that are wanted.
    ///
    /// # Errors
    ///
    /// [`DataError::SampleTooLong`] when no book of the split is that long.
    pub fn apart(
        &self,
        split: Split,
        length: usize,
        gap: usize,
        rng: &mut impl Rng,
    ) -> Result<Vec<usize>, DataError> {
        let length = length.max(1);
        let mut places = Vec::new();
        for book in self.of(split) {
            let Some(spare) = book.bytes.len().checked_sub(length) else {
                continue;
            };
            let begin = rng.random_range(0..=spare.min(length + gap));
            let within = (begin..=spare).step_by(length + gap);
            places.extend(within.map(|place| book.bytes.start + place));
        }
        if places.is_empty() {
            return Err(self.too_long(split, length));
        }
        Ok(places)
    }

    /// The pieces that begin at these places of [`Text::apart`], as tokens `i64 [pieces, length]` on the CPU.
    pub fn pieces(&self, places: &[usize], length: usize) -> Tensor {
        let pieces = places
            .iter()
            .map(|begin| &self.bytes[*begin..begin + length]);
        let tokens: Vec<i64> = pieces.flatten().copied().map(i64::from).collect();
        Tensor::from_slice(&tokens).view([dimension(places.len()), dimension(length)])
    }

    fn too_long(&self, split: Split, length: usize) -> DataError {
        let lengths = self.of(split).map(|book| book.bytes.len());
        DataError::SampleTooLong {
            split,
            length,
            longest: lengths.max().unwrap_or(0),
        }
    }
}

/// What the book of this number is for.
fn split_of(number: usize) -> Split {
    match number % FEWEST_BOOKS {
        4 => Split::Validation,
        9 => Split::Evaluation,
        _ => Split::Training,
    }
}

/// `1Sm3:16 words` into `1Sm` and `words`; `None` where the line does not begin with a reference.
fn reference(line: &[u8]) -> Option<(&str, &[u8])> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let space = line.iter().position(|byte| *byte == b' ')?;
    let (place, verse) = (
        std::str::from_utf8(&line[..space]).ok()?,
        &line[space + 1..],
    );
    let (chapter, number) = place.split_once(':')?;
    let book = chapter.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let has_letter = book.contains(|letter: char| letter.is_alphabetic());
    let has_chapter = book.len() < chapter.len();
    let has_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (has_letter && has_chapter && has_number).then_some((book, verse))
}

#[cfg(test)]
mod tests;
