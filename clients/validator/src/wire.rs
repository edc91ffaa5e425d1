//! Between tensors of libtorch and tensors of the wire.

use noesis_model::{
    tch::{Device, Kind, Tensor as Torch},
    NetworkConfig,
};
use noesis_neuron::{Data, Failure, Tensor};

/// Inputs as they are sent: tokens as `i64`, anything else as `f32`.
///
/// # Errors
///
/// [`Failure::Internal`] for a tensor that is not of that kind, which only a mistake of ours could make.
pub fn inputs(inputs: &Torch) -> Result<Tensor, Failure> {
    if inputs.kind() != Kind::Int64 {
        return gradient(inputs);
    }
    let values = Vec::<i64>::try_from(inputs.contiguous().view(-1)).map_err(internal)?;
    Tensor::i64(shape(inputs)?, values)
}

/// The shape of the answer to inputs of this shape: `[batch, positions, dim]`.
pub fn answer_shape(model: &NetworkConfig, inputs: &[usize]) -> Vec<usize> {
    let sizes: Vec<i64> = inputs.iter().map(|size| *size as i64).collect();
    let batch = inputs.first().copied().unwrap_or(0);
    let size = |size: i64| usize::try_from(size).unwrap_or(0);
    vec![
        batch,
        size(model.positions(&sizes)),
        size(model.response_dim()),
    ]
}

/// A gradient `f32 [b, s, dim]` as it is sent.
///
/// # Errors
///
/// [`Failure::Internal`] as for [`inputs`].
pub fn gradient(gradient: &Torch) -> Result<Tensor, Failure> {
    Tensor::f32(shape(gradient)?, numbers(gradient)?)
}

/// The numbers of a tensor, in single precision.
///
/// # Errors
///
/// [`Failure::Internal`] as for [`inputs`].
pub fn numbers(tensor: &Torch) -> Result<Vec<f32>, Failure> {
    let flat = tensor.to_kind(Kind::Float).contiguous().view(-1);
    Vec::<f32>::try_from(flat).map_err(internal)
}

/// The numbers of an answer that must be of exactly this shape: positions are the model's to say, not the protocol's.
/// That they fill their shape and are finite, [`Client::forward`](noesis_neuron::Client::forward) has seen to.
///
/// # Errors
///
/// [`Failure::BadShape`].
pub fn answer(answer: Tensor, expected: &[usize]) -> Result<Vec<f32>, Failure> {
    if answer.shape != expected {
        return Err(Failure::BadShape(format!(
            "the answer has shape {:?} instead of {expected:?}",
            answer.shape
        )));
    }
    match answer.data {
        Data::F32(values) => Ok(values),
        Data::I64(_) => Err(Failure::BadShape(
            "the answer does not consist of floating-point numbers".into(),
        )),
    }
}

/// Numbers of this shape as a tensor of libtorch, shape and count checked.
///
/// # Errors
///
/// [`Failure::BadShape`] when they do not fit.
pub fn torch(values: &[f32], shape: &[usize], device: Device) -> Result<Torch, Failure> {
    let misfit = || Failure::BadShape(format!("{} numbers do not fill {shape:?}", values.len()));
    let sizes: Result<Vec<i64>, _> = shape.iter().map(|size| i64::try_from(*size)).collect();
    let flat = Torch::from_slice(values);
    let shaped = flat.f_view(sizes.map_err(|_| misfit())?.as_slice());
    shaped
        .and_then(|tensor| tensor.f_to_device(device))
        .map_err(|_| misfit())
}

fn shape(tensor: &Torch) -> Result<Vec<usize>, Failure> {
    let sizes = tensor.size().into_iter().map(usize::try_from);
    sizes.collect::<Result<_, _>>().map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_gradients_keep_shape_and_order() {
        let sent = inputs(&Torch::from_slice(&[1i64, 2, 3, 4, 5, 6]).view([2, 3]).tr()).unwrap();
        assert_eq!(sent.shape, [3, 2]);
        assert_eq!(sent.data, Data::I64(vec![1, 4, 2, 5, 3, 6]));
        let sent = gradient(&Torch::from_slice(&[0.5f32, -1.0]).view([1, 1, 2])).unwrap();
        assert_eq!(sent.data, Data::F32(vec![0.5, -1.0]));
        let back = torch(&[0.5, -1.0], &[1, 1, 2], Device::Cpu).unwrap();
        assert_eq!(
            (back.size(), back.double_value(&[0, 0, 1])),
            (vec![1, 1, 2], -1.0)
        );
        assert!(matches!(
            torch(&[0.5], &[2], Device::Cpu),
            Err(Failure::BadShape(_))
        ));
    }

    #[test]
    fn answers_of_another_shape_are_refused() {
        let of = |shape: &[usize], data| Tensor {
            shape: shape.to_vec(),
            data,
        };
        let good = of(&[1, 2], Data::F32(vec![1.0, 2.0]));
        assert_eq!(answer(good.clone(), &[1, 2]).unwrap(), [1.0, 2.0]);
        for (answered, expected) in [
            (good, vec![2, 1]),
            (of(&[1, 2], Data::I64(vec![1, 2])), vec![1, 2]),
        ] {
            assert!(matches!(
                answer(answered, &expected),
                Err(Failure::BadShape(_))
            ));
        }
    }
}
