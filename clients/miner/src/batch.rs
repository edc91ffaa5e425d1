//! Micro-batches: calls that wait at the same time, computed as one.

use noesis_neuron::{queue::Receiver, Data, Failure, Tensor};

use crate::worker::{Call, Inputs, Job};

/// `first` and those that wait and are of its shape but for the batch, up to so many positions in all.
/// Nobody is waited for.
pub(crate) fn together(first: Call, waiting: &Receiver<Job>, positions: usize) -> Vec<Call> {
    let mut left = i64::try_from(positions).unwrap_or(i64::MAX) - first.inputs.all_positions();
    let joins = |job: &Job| match job {
        Job::Forward(call) if call.inputs.joins(&first.inputs) && !job.is_gone() => {
            let room = call.inputs.all_positions() <= left;
            left -= if room { call.inputs.all_positions() } else { 0 };
            room
        }
        _ => false,
    };
    let others = waiting.take_where(joins);
    let others = others.into_iter().filter_map(|job| match job {
        Job::Forward(call) => Some(call),
        Job::Backward { .. } => None, // never chosen
    });
    let others: Vec<Call> = others.collect();
    std::iter::once(first).chain(others).collect()
}

/// One batch of all these, one after the other.
///
/// # Errors
/// [`Failure::Internal`] where there are none or they are not of one kind, which `together` sees to.
pub(crate) fn join<'a>(
    mut inputs: impl Iterator<Item = &'a Inputs> + Clone,
) -> Result<Inputs, Failure> {
    let batch = inputs.clone().map(Inputs::batch).sum();
    let mismatch = || Failure::Internal("calls that do not fit together were joined".into());
    let mut joined = inputs.next().ok_or_else(mismatch)?.clone();
    for more in inputs {
        match (&mut joined.data, &more.data) {
            (Data::I64(all), Data::I64(values)) => all.extend_from_slice(values),
            (Data::F32(all), Data::F32(values)) => all.extend_from_slice(values),
            _ => return Err(mismatch()),
        }
    }
    if let Some(size) = joined.shape.first_mut() {
        *size = batch;
    }
    Ok(joined)
}

/// The parts of an answer that belong to batches of these sizes.
///
/// # Errors
/// [`Failure::Internal`] where the answer is not one to all of them together.
pub(crate) fn split(answer: Tensor, batches: &[usize]) -> Result<Vec<Tensor>, Failure> {
    if let [_] = batches {
        return Ok(vec![answer]);
    }
    let all: usize = batches.iter().sum();
    let Tensor {
        shape,
        data: Data::F32(values),
    } = answer
    else {
        return Err(Failure::Internal("the answer is not of f32".into()));
    };
    if shape.first() != Some(&all) || all == 0 {
        return Err(Failure::Internal(format!(
            "the answer to a batch of {all} has shape {shape:?}"
        )));
    }
    let one = values.len() / all;
    let mut rest = values.as_slice();
    let parts = batches.iter().map(|batch| {
        let (part, others) = rest.split_at_checked(batch * one).unwrap_or((rest, &[]));
        rest = others;
        let mut shape = shape.clone();
        shape[0] = *batch;
        Tensor::f32(shape, part.to_vec())
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use noesis_neuron::{queue::queue, Caller};
    use tokio::sync::oneshot;

    use super::*;

    fn call(first: i64, shape: [i64; 2], stake: u64) -> Call {
        let (answer, receiver) = oneshot::channel();
        std::mem::forget(receiver); // it waits as long as the test does
        Call {
            caller: Caller {
                hotkey: [1; 32],
                stake,
            },
            inputs: inputs(first, shape),
            answer,
        }
    }

    fn inputs(first: i64, shape: [i64; 2]) -> Inputs {
        Inputs {
            shape: shape.to_vec(),
            data: Data::I64((first..first + shape[0] * shape[1]).collect()),
            positions: shape[1],
        }
    }

    #[test]
    fn those_of_one_shape_go_together_up_to_the_bound_and_the_rest_stay() {
        let (sender, waiting) = queue(9, Job::is_gone);
        for (first, shape, stake) in [
            (10, [1, 2], 5),
            (20, [1, 3], 9), // another shape
            (30, [2, 2], 7),
            (40, [2, 2], 1), // no room: five and two are above six
            (50, [1, 2], 0),
        ] {
            let job = Job::Forward(call(first, shape, stake));
            assert!(sender.send(stake, job).is_ok());
        }
        let calls = together(call(0, [1, 2], 6), &waiting, 10);
        let firsts: Vec<_> = calls.iter().map(|call| call.inputs.data.clone()).collect();
        assert_eq!(
            firsts,
            [
                Data::I64(vec![0, 1]),
                Data::I64(vec![30, 31, 32, 33]),
                Data::I64(vec![10, 11]),
                Data::I64(vec![50, 51]),
            ]
        );
        assert_eq!(waiting.take_where(|_| true).len(), 2);
    }

    #[test]
    fn what_is_joined_comes_apart_as_it_was() {
        let parts = [inputs(0, [1, 2]), inputs(10, [2, 2])];
        let joined = join(parts.iter()).unwrap();
        assert_eq!(joined.shape, [3, 2]);
        assert_eq!(joined.data, Data::I64(vec![0, 1, 10, 11, 12, 13]));
        let answer = Tensor::f32([3, 2, 1], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let answers = split(answer.clone(), &[1, 2]).unwrap();
        assert_eq!(answers[0], Tensor::f32([1, 2, 1], vec![0.0, 1.0]).unwrap());
        assert_eq!(
            answers[1],
            Tensor::f32([2, 2, 1], vec![2.0, 3.0, 4.0, 5.0]).unwrap()
        );
        assert!(matches!(split(answer, &[1, 1]), Err(Failure::Internal(_))));
    }
}
