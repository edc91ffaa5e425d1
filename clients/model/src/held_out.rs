//! The examples by which networks are compared: of the evaluation split, and the same for whoever asks for as
//! many, so that miners and validators can be held against each other.

use tch::{no_grad, Device, Kind, TchError, Tensor};

use crate::{
    data::{Batch, DataError, DataSet, Split},
    network::{summary, summary_targets, Network},
    training::batch_rng,
};

/// Examples in a batch.
const BATCH: usize = 64;

/// Sets these batches apart from all others that are drawn.
const SEED: u64 = u64::from_le_bytes(*b"held out");

/// So many examples, in batches.
///
/// # Errors
///
/// [`DataError`] when the evaluation split has no such example.
pub fn held_out(data: &DataSet, examples: usize) -> Result<Vec<Batch>, DataError> {
    (0..examples.div_ceil(BATCH))
        .map(|number| {
            let size = BATCH.min(examples - number * BATCH);
            data.sample(Split::Evaluation, size, &mut batch_rng(SEED, number as u64))
        })
        .collect()
}

/// A network's mean loss over these examples where scores are taken (see [`summary`]), in nats.
///
/// # Errors
///
/// What libtorch says where a TorchScript module fails.
pub fn held_out_loss(
    network: &Network,
    device: Device,
    batches: &[Batch],
) -> Result<f64, TchError> {
    let modality = network.config().modality();
    let losses: Result<Vec<Tensor>, TchError> = batches
        .iter()
        .map(|batch| {
            let Batch { inputs, targets } = batch.to_device(device);
            let representation = no_grad(|| network.f_represent(&inputs))?;
            let logits = no_grad(|| network.logits(&summary(modality, &representation)));
            Ok(losses(&logits, &summary_targets(modality, &targets)))
        })
        .collect();
    let losses = losses?;
    Ok(match losses.is_empty() {
        true => f64::NAN,
        false => Tensor::cat(&losses, 0).mean(Kind::Double).double_value(&[]),
    })
}

/// Each example's own cross entropy, in nats: logits `[b, classes]`, targets `i64 [b]`, giving `[b]`.
pub fn losses(logits: &Tensor, targets: &Tensor) -> Tensor {
    -logits
        .log_softmax(-1, Kind::Float)
        .gather(1, &targets.unsqueeze(1), false)
        .squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{images::tests::folder, Modality};

    #[test]
    fn everybody_gets_the_same_examples_and_as_many_as_were_asked_for() {
        let place = folder(120, 400);
        let data = DataSet::load(Modality::Image, place.path(), 0).unwrap();
        let (some, again) = (held_out(&data, 150).unwrap(), held_out(&data, 150).unwrap());
        let sizes: Vec<i64> = some.iter().map(|batch| batch.inputs.size()[0]).collect();
        assert_eq!(sizes, [64, 64, 22]);
        assert!(some.iter().zip(&again).all(|(a, b)| a.inputs == b.inputs));
        assert!(some[0].inputs != some[1].inputs);

        let store = tch::nn::VarStore::new(Device::Cpu);
        let network = Network::new(&store.root(), &data.builtin(8)).unwrap();
        let whole = held_out_loss(&network, Device::Cpu, &some).unwrap();
        let parts: f64 = some
            .iter()
            .zip(&sizes)
            .map(|(batch, &size)| {
                let (inputs, targets) = (&batch.inputs, &batch.targets);
                let loss = network.loss(&network.represent(inputs), targets);
                loss.double_value(&[]) * size as f64
            })
            .sum();
        assert!((whole - parts / 150.0).abs() < 1e-5, "{whole}");
        let of_none = held_out_loss(&network, Device::Cpu, &[]);
        assert!(of_none.unwrap().is_nan());
    }
}
