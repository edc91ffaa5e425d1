//! The miner as the protocol sees it: checks a call, queues it for the model thread, waits for it.

use std::sync::Arc;

use noesis_model::{NetworkConfig, Trainer, Values};
use noesis_neuron::{
    queue::{Refused, Sender},
    Caller, Data, Description, Failure, Hotkey, Model, Tensor, Treatment,
};
use tokio::sync::oneshot;

use crate::{
    quota::Feedback,
    settings::{CallSize, Settings},
    worker::{Call, Inputs, Job},
};

/// The way to a model thread; a clone is another way to the same one.
#[derive(Clone, Debug)]
pub struct Miner {
    jobs: Sender<Job>,
    description: Arc<Description>,
    config: NetworkConfig,
    call_size: CallSize,
    feedback: Feedback,
}

impl Miner {
    pub(crate) fn new(jobs: Sender<Job>, trainer: &Trainer, settings: &Settings) -> Self {
        let config = trainer.model().config().clone();
        let size = |size: i64| u32::try_from(size).unwrap_or(u32::MAX);
        let parameters = trainer.parameter_count();
        let description = Description {
            hotkey: Hotkey::default(), // the server puts in its own
            modality: config.modality(),
            response_dim: size(config.response_dim()),
            sequence_limit: size(config.inputs().sequence_limit().unwrap_or(0)),
            model: config.name().into(),
            parameters,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        Self {
            jobs,
            description: Arc::new(description),
            config,
            call_size: settings.call_size(),
            feedback: Feedback::new(&settings.feedback),
        }
    }

    /// Checks that inputs, finite and of the modality's kind, are what may go to this model.
    pub(crate) fn check(&self, caller: &Caller, inputs: Tensor) -> Result<Inputs, Failure> {
        let values = match &inputs.data {
            Data::I64(values) => Values::I64(values),
            Data::F32(values) => Values::F32(values),
        };
        let checked = self.config.inputs().check(&inputs.shape, values);
        checked.map_err(|error| Failure::BadShape(error.to_string()))?;
        // Checked above: the values fill the shape, so that its sizes are those of what lies in memory.
        let shape: Vec<i64> = inputs.shape.iter().map(|size| *size as i64).collect();
        let positions = self.config.positions(&shape);
        let inputs = Inputs {
            shape,
            data: inputs.data,
            positions,
        };
        let all = usize::try_from(inputs.all_positions()).unwrap_or(usize::MAX);
        self.call_size.check(caller, all)?;
        Ok(inputs)
    }

    /// Queues a job and waits for its answer. A full queue answers at once: this caller, or one with less
    /// stake that loses its place.
    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, Failure>>) -> Job,
    ) -> Result<T, Failure> {
        let (sender, answer) = oneshot::channel();
        let over = || Failure::Internal("the miner is shutting down".into());
        let job = job(sender);
        match self.jobs.send(job.caller().stake, job) {
            Ok(None) => {}
            Ok(Some(displaced)) => displaced.refuse(Failure::Busy),
            Err(Refused::Full(_)) => return Err(Failure::Busy),
            Err(Refused::Closed(_)) => return Err(over()),
        }
        answer.await.map_err(|_| over())?
    }
}

impl Model for Miner {
    fn describe(&self) -> Description {
        (*self.description).clone()
    }

    async fn forward(&self, caller: Caller, inputs: Tensor) -> Result<Tensor, Failure> {
        let inputs = self.check(&caller, inputs)?;
        self.ask(|answer| {
            Job::Forward(Call {
                caller,
                inputs,
                answer,
            })
        })
        .await
    }

    async fn backward(
        &self,
        caller: Caller,
        inputs: Tensor,
        gradient: Tensor,
    ) -> Result<Treatment, Failure> {
        let inputs = self.check(&caller, inputs)?;
        if !self.config.trainable() {
            return Ok(Treatment::Refused(
                "the model's parameters are frozen".into(),
            ));
        }
        let gradient = values(gradient, &inputs, self.config.response_dim())?;
        if let Err(refused) = self.feedback.admit(caller) {
            return Ok(refused);
        }
        self.ask(|answer| Job::Backward {
            caller,
            inputs,
            gradient,
            answer,
        })
        .await
    }
}

/// The values of a gradient, which is of the answer's batch and dimension: as many as the answer has.
fn values(gradient: Tensor, inputs: &Inputs, response_dim: i64) -> Result<Vec<f32>, Failure> {
    let expected = inputs.all_positions().saturating_mul(response_dim);
    match gradient.data {
        Data::F32(values) if i64::try_from(values.len()) == Ok(expected) => Ok(values),
        _ => Err(Failure::BadShape(format!(
            "the gradient must be f32 {:?}, as the answer is, not {:?}",
            [inputs.batch(), inputs.positions, response_dim],
            gradient.shape
        ))),
    }
}

#[cfg(test)]
mod tests {
    use noesis_model::{tch::Device, TrainingConfig, TransformerConfig};
    use noesis_neuron::queue::queue;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_answers_busy_at_once() {
        // A queue of one, and nobody who takes from it.
        let (jobs, _waiting) = queue(1, Job::is_gone);
        let model = TransformerConfig::default().into();
        let trainer = Trainer::new(&model, TrainingConfig::default(), Device::Cpu).unwrap();
        let miner = Miner::new(jobs, &trainer, &Settings::default());
        let caller = |stake| Caller {
            hotkey: [1; 32],
            stake,
        };
        let tokens = || Tensor::i64(vec![1, 2], vec![1, 2]).unwrap();
        let first = miner.clone();
        let waits = tokio::spawn(async move { first.forward(caller(3), tokens()).await });
        tokio::task::yield_now().await;
        let equal = miner.forward(caller(3), tokens()).await;
        assert_eq!(equal, Err(Failure::Busy));
        // Who has more stake takes the place.
        let second = miner.clone();
        let richer = tokio::spawn(async move { second.forward(caller(4), tokens()).await });
        assert_eq!(waits.await.unwrap(), Err(Failure::Busy));
        richer.abort();
    }

    #[tokio::test]
    async fn a_thread_that_is_gone_is_told_and_not_waited_for() {
        let (jobs, waiting) = queue(1, Job::is_gone);
        drop(waiting);
        let model = TransformerConfig::default().into();
        let trainer = Trainer::new(&model, TrainingConfig::default(), Device::Cpu).unwrap();
        let miner = Miner::new(jobs, &trainer, &Settings::default());
        let caller = Caller {
            hotkey: [1; 32],
            stake: 0,
        };
        let tokens = Tensor::i64(vec![1, 2], vec![1, 2]).unwrap();
        let answer = miner.forward(caller, tokens).await;
        assert!(matches!(answer, Err(Failure::Internal(_))));
    }
}
