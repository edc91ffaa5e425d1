//! What a network takes: the shape of its modality's inputs, checked before libtorch sees a number.

use market_primitives::Modality;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// The shape of the inputs, but for the size of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputShape {
    /// `i64 [batch, sequence]`.
    Text {
        /// Number of tokens: each is from 0 to one below.
        vocabulary: i64,
        /// Longest sequence.
        context: i64,
    },
    /// `f32 [batch, channels, height, width]`, brightness from 0 to 1.
    Image {
        /// Colours.
        channels: i64,
        /// Pixels from top to bottom.
        height: i64,
        /// Pixels from left to right.
        width: i64,
    },
    /// `f32 [batch, sequence, dim]`.
    Tensor {
        /// Longest sequence.
        context: i64,
        /// Length of the vectors.
        dim: i64,
    },
}

/// Numbers that came over a wire, in row-major order.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Whole numbers: tokens.
    I64(&'a [i64]),
    /// Everything else.
    F32(&'a [f32]),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }
}

/// Why numbers are no input of a network.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InputError {
    /// Not of the shape, or not as many as the shape says.
    #[error("inputs must be {wanted}, no size 0, and fill that shape: shape {shape:?} came with {count} {kind} values")]
    Shape {
        /// The shape that is taken.
        wanted: String,
        /// The shape that came.
        shape: Vec<usize>,
        /// How many numbers came.
        count: usize,
        /// Their type.
        kind: &'static str,
    },
    /// Longer than the context.
    #[error("a sequence of {sequence} is longer than the model's context of {context}")]
    TooLong {
        /// Length of the sequences.
        sequence: usize,
        /// Longest allowed.
        context: usize,
    },
    /// Not in the vocabulary.
    #[error("token {token} is not in the vocabulary of 0 to {last}")]
    Unknown {
        /// The token.
        token: i64,
        /// The last one that exists.
        last: i64,
    },
}

impl InputShape {
    /// The modality.
    pub fn modality(&self) -> Modality {
        match self {
            Self::Text { .. } => Modality::Text,
            Self::Image { .. } => Modality::Image,
            Self::Tensor { .. } => Modality::Tensor,
        }
    }

    /// The longest sequence; `None` for images, which have one size.
    pub fn sequence_limit(&self) -> Option<i64> {
        match *self {
            Self::Text { context, .. } | Self::Tensor { context, .. } => Some(context),
            Self::Image { .. } => None,
        }
    }

    /// Checks numbers that came over a wire. What passes cannot make [`crate::Network::represent`]
    /// panic. Whether they are finite is another's to check.
    ///
    /// # Errors
    ///
    /// [`InputError`] saying what is wrong with them.
    pub fn check(&self, shape: &[usize], values: Values<'_>) -> Result<(), InputError> {
        let is = |size: usize, wanted: i64| i64::try_from(size) == Ok(wanted);
        let fits = match (self, shape, values) {
            (Self::Text { .. }, [_, _], Values::I64(_)) => true,
            (Self::Tensor { dim, .. }, [_, _, d], Values::F32(_)) => is(*d, *dim),
            (
                Self::Image {
                    channels,
                    height,
                    width,
                },
                [_, c, h, w],
                Values::F32(_),
            ) => is(*c, *channels) && is(*h, *height) && is(*w, *width),
            _ => false,
        };
        let count = (shape.iter()).try_fold(1usize, |count, size| count.checked_mul(*size));
        if !fits || shape.contains(&0) || count != Some(values.len()) {
            return Err(InputError::Shape {
                wanted: self.to_string(),
                shape: shape.to_vec(),
                count: values.len(),
                kind: match values {
                    Values::I64(_) => "i64",
                    Values::F32(_) => "f32",
                },
            });
        }
        if let Some(context) = self.sequence_limit() {
            let (sequence, context) = (shape[1], usize::try_from(context).unwrap_or(0));
            if sequence > context {
                return Err(InputError::TooLong { sequence, context });
            }
        }
        if let (Self::Text { vocabulary, .. }, Values::I64(tokens)) = (self, values) {
            let known = 0..*vocabulary;
            if let Some(token) = tokens.iter().find(|token| !known.contains(*token)) {
                return Err(InputError::Unknown {
                    token: *token,
                    last: vocabulary - 1,
                });
            }
        }
        Ok(())
    }

    /// Random inputs, of the longest sequence.
    pub fn random(&self, batch: i64, device: Device) -> Tensor {
        match *self {
            Self::Text {
                vocabulary,
                context,
            } => Tensor::randint(vocabulary, [batch, context], (Kind::Int64, device)),
            Self::Image {
                channels,
                height,
                width,
            } => Tensor::rand([batch, channels, height, width], (Kind::Float, device)),
            Self::Tensor { context, dim } => {
                Tensor::rand([batch, context, dim], (Kind::Float, device))
            }
        }
    }
}

/// The shape in words, as an error message names it.
impl std::fmt::Display for InputShape {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text { .. } => write!(to, "i64 [batch, sequence]"),
            Self::Image {
                channels,
                height,
                width,
            } => write!(to, "f32 [batch, {channels}, {height}, {width}]"),
            Self::Tensor { dim, .. } => write!(to, "f32 [batch, sequence, {dim}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: InputShape = InputShape::Text {
        vocabulary: 258,
        context: 8,
    };
    const IMAGE: InputShape = InputShape::Image {
        channels: 1,
        height: 4,
        width: 3,
    };
    const VECTORS: InputShape = InputShape::Tensor { context: 2, dim: 5 };

    #[test]
    fn tokens_that_are_no_input_are_refused() {
        let check = |shape: &[usize], tokens: &[i64]| TEXT.check(shape, Values::I64(tokens));
        assert_eq!(check(&[2, 3], &[0, 1, 2, 255, 256, 257]), Ok(()));
        for (shape, count) in [
            (vec![6], 6),
            (vec![2, 2], 6),
            (vec![0, 3], 0),
            (vec![usize::MAX, 2], 6),
            (vec![1, 2, 3], 6),
        ] {
            let refused = check(&shape, &vec![0; count]);
            assert!(matches!(refused, Err(InputError::Shape { .. })));
        }
        let too_long = InputError::TooLong {
            sequence: 9,
            context: 8,
        };
        assert_eq!(check(&[1, 9], &[0; 9]), Err(too_long));
        for token in [-1, 258, i64::MIN, i64::MAX] {
            let refused = check(&[1, 2], &[0, token]);
            assert!(matches!(refused, Err(InputError::Unknown { .. })));
        }
        let refused = TEXT.check(&[1, 2], Values::F32(&[0.0, 1.0]));
        assert!(matches!(refused, Err(InputError::Shape { .. })));
    }

    #[test]
    fn images_and_vectors_have_one_size() {
        assert_eq!(IMAGE.check(&[2, 1, 4, 3], Values::F32(&[0.5; 24])), Ok(()));
        assert_eq!(VECTORS.check(&[3, 2, 5], Values::F32(&[0.5; 30])), Ok(()));
        for shape in [
            &[2, 1, 3, 4][..],
            &[2, 3, 4, 1],
            &[1, 24],
            &[0, 1, 4, 3],
            &[2, 12],
            &[1 << 60, 1, 4, 3],
        ] {
            let refused = IMAGE.check(shape, Values::F32(&[0.5; 24]));
            let words = refused.unwrap_err().to_string();
            assert!(words.contains("[batch, 1, 4, 3]"), "{words}");
        }
        let too_long = VECTORS.check(&[1, 3, 5], Values::F32(&[0.5; 15]));
        assert!(matches!(too_long, Err(InputError::TooLong { .. })));
        assert!(VECTORS.check(&[1, 2, 4], Values::F32(&[0.5; 8])).is_err());
        assert!(VECTORS.check(&[1, 1, 5], Values::I64(&[1; 5])).is_err());
    }

    #[test]
    fn random_inputs_pass_the_check() {
        for shape in [TEXT, IMAGE, VECTORS] {
            let random = shape.random(3, Device::Cpu);
            let sizes: Vec<usize> = (random.size().iter().map(|size| *size as usize)).collect();
            let flat = random.reshape([-1]);
            let checked = match shape {
                InputShape::Text { .. } => {
                    shape.check(&sizes, Values::I64(&Vec::<i64>::try_from(flat).unwrap()))
                }
                _ => shape.check(&sizes, Values::F32(&Vec::<f32>::try_from(flat).unwrap())),
            };
            assert_eq!(checked, Ok(()));
        }
    }
}
