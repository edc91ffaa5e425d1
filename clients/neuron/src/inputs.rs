//! Which tensors a modality's inputs and answers are.

use crate::{Data, Failure, Modality, Tensor};

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
    let fits = match (modality, &inputs.data) {
        (Modality::Text, Data::I64(_)) => inputs.shape.len() == 2,
        (Modality::Image, Data::F32(_)) => inputs.shape.len() == 4,
        (Modality::Tensor, Data::F32(_)) => inputs.shape.len() == 3,
        _ => false,
    };
    if !fits {
        let wanted = match modality {
            Modality::Text => "i64 [batch, sequence]",
            Modality::Image => "f32 [batch, channels, height, width]",
            Modality::Tensor => "f32 [batch, sequence, dim]",
        };
        return Err(Failure::BadShape(format!(
            "inputs of {modality:?} are {wanted}, not {}",
            name(inputs)
        )));
    }
    let sequence = inputs.shape[1];
    if modality != Modality::Image && sequence_limit > 0 && sequence > sequence_limit as usize {
        return Err(Failure::BadShape(format!(
            "a sequence of {sequence} is above the limit of {sequence_limit}; send a shorter one"
        )));
    }
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
    let fits = match (inputs.shape.as_slice(), answer.shape.as_slice()) {
        ([batch, sequence, ..], [answer_batch, answer_sequence, dim]) => {
            matches!(answer.data, Data::F32(_))
                && batch == answer_batch
                && (modality == Modality::Image || sequence == answer_sequence)
                && response_dim.is_none_or(|expected| *dim == expected as usize)
        }
        _ => false,
    };
    if !fits {
        return Err(Failure::BadShape(format!(
            "the answer to {}, or its gradient, is f32 [batch, sequence, {}], not {}",
            name(inputs),
            response_dim.map_or("dim".into(), |dim| dim.to_string()),
            name(answer)
        )));
    }
    finite(answer)
}

fn finite(tensor: &Tensor) -> Result<(), Failure> {
    if tensor.is_finite() {
        Ok(())
    } else {
        Err(Failure::NotFinite)
    }
}

fn name(tensor: &Tensor) -> String {
    let dtype = match tensor.data {
        Data::F32(_) => "f32",
        Data::I64(_) => "i64",
    };
    format!("{dtype} {:?}", tensor.shape)
}
