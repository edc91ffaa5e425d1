//! Which tensors a modality's inputs and answers are.

use std::fmt;

use crate::{packing::Head, Failure, Modality, Tensor};

/// Checks that `inputs` are what `modality` takes: TEXT `i64 [batch, sequence]`, IMAGE
/// `f32 [batch, channels, height, width]`, TENSOR `f32 [batch, sequence, dim]`; finite; and, TEXT and
/// TENSOR, of a sequence within `sequence_limit` (0: none).
///
/// # Errors
/// [`Failure::BadShape`] or [`Failure::NotFinite`].
pub fn check_inputs(
    modality: Modality,
    inputs: &Tensor,
    sequence_limit: u32,
) -> Result<(), Failure> {
    inputs.check()?;
    Form::of(inputs).check_inputs(modality, sequence_limit)?;
    finite(inputs)
}

/// Checks that `answer`, or the gradient of one, fits `inputs`: `f32 [batch, sequence, dim]`, finite,
/// of the same batch; of the same sequence but for IMAGE, whose sequence is patches; and of
/// `response_dim` where it is known.
///
/// # Errors
/// [`Failure::BadShape`] or [`Failure::NotFinite`].
pub fn check_answer(
    modality: Modality,
    inputs: &Tensor,
    answer: &Tensor,
    response_dim: Option<u32>,
) -> Result<(), Failure> {
    answer.check()?;
    Form::of(answer).check_answer(modality, &Form::of(inputs), response_dim)?;
    finite(answer)
}

/// Checks that no value is NaN or infinite.
fn finite(tensor: &Tensor) -> Result<(), Failure> {
    if tensor.is_finite() {
        Ok(())
    } else {
        Err(Failure::NotFinite)
    }
}

/// Kind and shape of a tensor, which can be told before its numbers are read.
#[derive(Clone, Copy)]
pub(crate) struct Form<'a> {
    whole: bool,
    shape: &'a [usize],
}

impl<'a> From<&'a Head> for Form<'a> {
    fn from(head: &'a Head) -> Self {
        Self {
            whole: head.is_whole(),
            shape: &head.shape,
        }
    }
}

impl<'a> Form<'a> {
    pub(crate) fn of(tensor: &'a Tensor) -> Self {
        Self {
            whole: tensor.data.is_whole(),
            shape: &tensor.shape,
        }
    }

    /// The part of [`check_inputs`] that needs no numbers.
    pub(crate) fn check_inputs(
        self,
        modality: Modality,
        sequence_limit: u32,
    ) -> Result<(), Failure> {
        let (whole, rank, wanted) = match modality {
            Modality::Text => (true, 2, "i64 [batch, sequence]"),
            Modality::Image => (false, 4, "f32 [batch, channels, height, width]"),
            Modality::Tensor => (false, 3, "f32 [batch, sequence, dim]"),
        };
        if self.whole != whole || self.shape.len() != rank {
            return Err(Failure::BadShape(format!(
                "inputs of {modality:?} are {wanted}, not {self}"
            )));
        }
        let sequence = self.shape[1];
        if modality != Modality::Image && sequence_limit > 0 && sequence > sequence_limit as usize {
            return Err(Failure::BadShape(format!(
                "a sequence of {sequence} is above the limit of {sequence_limit}; send a shorter one"
            )));
        }
        Ok(())
    }

    /// The part of [`check_answer`] that needs no numbers.
    pub(crate) fn check_answer(
        self,
        modality: Modality,
        inputs: &Form<'_>,
        response_dim: Option<u32>,
    ) -> Result<(), Failure> {
        let fits = match (inputs.shape, self.shape) {
            ([batch, sequence, ..], [answer_batch, answer_sequence, dim]) => {
                !self.whole
                    && batch == answer_batch
                    && (modality == Modality::Image || sequence == answer_sequence)
                    && response_dim.is_none_or(|expected| *dim == expected as usize)
            }
            _ => false,
        };
        if fits {
            return Ok(());
        }
        Err(Failure::BadShape(format!(
            "the answer to {inputs}, or its gradient, is f32 [batch, sequence, {}], not {self}",
            response_dim.map_or("dim".into(), |dim| dim.to_string()),
        )))
    }
}

impl fmt::Display for Form<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = if self.whole { "i64" } else { "f32" };
        write!(formatter, "{dtype} {:?}", self.shape)
    }
}
