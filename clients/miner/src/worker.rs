//! The model thread: the one thread that owns the model, and the bounded queue that leads to it.
//!
//! A tensor cannot be shared between threads, so jobs go in and plain numbers come out. Calls for answers
//! that wait at the same time and are of one shape are computed together, up to a bound. Calls come
//! first: the model's own training goes on a step at a time, while no job waits, and only for
//! the share of the time that [`crate::OwnTraining::duty`] gives it. A step that is due and that eight jobs went
//! before has its turn, so that no flood of calls ends the training.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use noesis_model::{
    checkpoint::pause_after,
    tch::{no_grad, TchError, Tensor as Torch},
    telling_line, CheckpointError, Trainer,
};
use noesis_neuron::{
    queue::{queue, Next, Receiver, Sender},
    Caller, Data, Failure, Tensor, Treatment,
};
use tokio::sync::oneshot;

use crate::{
    batch::{join, split, together},
    events::{Event, Outcome},
    miner::Miner,
    seldom::Seldom,
    settings::{FeedbackRules, Settings, LEAST_DUTY},
};

/// What the model thread is asked to do. Tensors in it have been checked.
#[derive(Debug)]
pub(crate) enum Job {
    Forward(Call),
    Backward {
        caller: Caller,
        inputs: Inputs,
        gradient: Vec<f32>,
        answer: oneshot::Sender<Result<Treatment, Failure>>,
    },
}

/// One caller's inputs, and where their answer goes.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) inputs: Inputs,
    pub(crate) answer: oneshot::Sender<Result<Tensor, Failure>>,
}

impl Job {
    pub(crate) fn caller(&self) -> &Caller {
        match self {
            Self::Forward(Call { caller, .. }) | Self::Backward { caller, .. } => caller,
        }
    }

    /// Whether nobody waits any more: the deadline passed while it was queued.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Forward(call) => call.answer.is_closed(),
            Self::Backward { answer, .. } => answer.is_closed(),
        }
    }

    pub(crate) fn refuse(self, failure: Failure) {
        // Who went away need not be told.
        let _ = match self {
            Self::Forward(call) => call.answer.send(Err(failure)).map_err(drop),
            Self::Backward { answer, .. } => answer.send(Err(failure)).map_err(drop),
        };
    }
}

/// Inputs that fit their shape and the model.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    /// Of the inputs; the first size is the batch.
    pub(crate) shape: Vec<i64>,
    pub(crate) data: Data,
    /// Positions of the answer to each of the batch.
    pub(crate) positions: i64,
}

impl Inputs {
    pub(crate) fn batch(&self) -> i64 {
        self.shape.first().copied().unwrap_or(0)
    }

    pub(crate) fn batch_len(&self) -> usize {
        self.batch().unsigned_abs() as usize
    }

    /// Positions of the answer to all of the batch.
    pub(crate) fn all_positions(&self) -> i64 {
        self.batch().saturating_mul(self.positions)
    }

    /// Whether these can go to the model in one batch with the others.
    pub(crate) fn joins(&self, other: &Self) -> bool {
        let same_kind = matches!(
            (&self.data, &other.data),
            (Data::I64(_), Data::I64(_)) | (Data::F32(_), Data::F32(_))
        );
        same_kind && self.shape.get(1..) == other.shape.get(1..)
    }

    fn to_torch(&self, device: noesis_model::tch::Device) -> Torch {
        let flat = match &self.data {
            Data::I64(values) => Torch::from_slice(values),
            Data::F32(values) => Torch::from_slice(values),
        };
        flat.view(self.shape.as_slice()).to_device(device)
    }
}

/// Why a worker did not end well.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The last checkpoint was not written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The thread broke off.
    #[error("the model thread broke off: see its message above; start again to go on from the last checkpoint")]
    BrokeOff,
}

/// A running model thread.
#[derive(Debug)]
pub struct Worker {
    jobs: Sender<Job>,
    thread: JoinHandle<Result<u64, CheckpointError>>,
    ended: oneshot::Receiver<()>,
}

impl Worker {
    /// Starts the thread; the model moves into it. The [`Miner`] is the way to it.
    ///
    /// # Errors
    ///
    /// What the system says when it gives no thread.
    pub fn spawn(trainer: Trainer, settings: Settings) -> std::io::Result<(Self, Miner)> {
        let (jobs, waiting) = queue(settings.queue, Job::is_gone);
        let (ends, ended) = oneshot::channel();
        let miner = Miner::new(jobs.clone(), &trainer, &settings);
        let thread = thread::Builder::new().name("model".into()).spawn(move || {
            let _tells_when_dropped: oneshot::Sender<()> = ends;
            noesis_model::set_threads(settings.threads);
            ModelThread::new(trainer, settings).run(&waiting)
        })?;
        let worker = Self {
            jobs,
            thread,
            ended,
        };
        Ok((worker, miner))
    }

    /// Waits until the thread has ended, which without [`Worker::stop`] it does only when it broke off.
    pub async fn ended(&mut self) {
        let _ = (&mut self.ended).await;
    }

    /// Answers what waits, writes the last checkpoint, and ends. Returns the steps of training taken.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the checkpoint could not be written or the thread had broken off.
    pub fn stop(self) -> Result<u64, WorkerError> {
        self.jobs.close();
        let step = self.thread.join().map_err(|_| WorkerError::BrokeOff)?;
        Ok(step?)
    }
}

/// Time until a checkpoint is tried again that could not be written.
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// Jobs that go before a step of training that is due.
const JOBS_BEFORE_A_STEP: u32 = 8;

/// What the thread knows.
struct ModelThread {
    trainer: Trainer,
    settings: Settings,
    next_step: Instant,
    /// Jobs that went before a step that was due.
    went_before: u32,
    next_checkpoint: Instant,
    /// Whether anything was learned since the last checkpoint.
    changed: bool,
    /// Failures of the model, in the log.
    failures: Seldom,
}

impl ModelThread {
    fn new(trainer: Trainer, settings: Settings) -> Self {
        let now = Instant::now();
        let every = settings.keeping.as_ref().map(|keeping| keeping.every);
        Self {
            trainer,
            settings,
            next_step: now,
            went_before: 0,
            next_checkpoint: now + every.unwrap_or_default(),
            changed: false,
            failures: Seldom::default(),
        }
    }

    fn run(mut self, waiting: &Receiver<Job>) -> Result<u64, CheckpointError> {
        loop {
            match self.next_job(waiting) {
                Next::Closed => break,
                Next::Job(job) => self.answer(job, waiting),
                Next::Nothing if self.trains() => self.train_a_step(),
                Next::Nothing => {} // a checkpoint is due
            }
            if self.changed && Instant::now() >= self.next_checkpoint {
                // Training goes on without: the next one may succeed, and the last one must.
                if let Err(error) = self.keep() {
                    tracing::error!("{error}");
                }
            }
        }
        self.keep()?;
        Ok(self.trainer.step_count())
    }

    /// The next job, or nothing when a step of training is due and none waits or enough went before it.
    fn next_job(&mut self, waiting: &Receiver<Job>) -> Next<Job> {
        if !self.trains() {
            let keeps = self.changed && self.settings.keeping.is_some();
            let until = self.next_checkpoint;
            return waiting.next(keeps.then(|| until.saturating_duration_since(Instant::now())));
        }
        if self.went_before >= JOBS_BEFORE_A_STEP {
            return Next::Nothing;
        }
        let until_step = self.next_step.saturating_duration_since(Instant::now());
        if until_step.is_zero() {
            self.went_before += 1;
        }
        waiting.next(Some(until_step))
    }

    fn trains(&self) -> bool {
        let training = self.settings.training.as_ref();
        training.is_some_and(|training| self.trainer.step_count() < training.until_step)
    }

    fn train_a_step(&mut self) {
        let Some(training) = self.settings.training.clone() else {
            return;
        };
        let begin = Instant::now();
        self.went_before = 0;
        match self.trainer.train_step(&training.data) {
            Ok(progress) => {
                self.changed = true;
                let (step, loss) = (progress.step, progress.loss);
                self.settings.events.record(&Event::Train { step, loss });
                if step % 100 == 0 {
                    tracing::info!("trained {step} steps, loss {loss:.3}");
                }
                let rest = (1.0 / training.duty.clamp(LEAST_DUTY, 1.0) - 1.0).max(0.0);
                self.next_step = Instant::now() + begin.elapsed().mul_f64(rest);
            }
            Err(error) => {
                tracing::error!("training stops, serving goes on: {error}");
                self.settings.training = None;
            }
        }
    }

    /// Writes a checkpoint, if one is wanted and there is anything new.
    fn keep(&mut self) -> Result<(), CheckpointError> {
        let Some(keeping) = &self.settings.keeping else {
            return Ok(());
        };
        // One that failed is not tried again at once.
        let begin = Instant::now();
        self.next_checkpoint = begin + keeping.every.max(AFTER_FAILURE);
        if self.changed {
            self.trainer.save(&keeping.path)?;
            self.changed = false;
            let pause = keeping.every.max(pause_after(begin.elapsed()));
            self.next_checkpoint = Instant::now() + pause;
            let step = self.trainer.step_count();
            self.settings.events.record(&Event::Checkpoint { step });
        }
        Ok(())
    }

    fn answer(&mut self, job: Job, waiting: &Receiver<Job>) {
        if job.is_gone() {
            return;
        }
        match job {
            Job::Forward(first) => {
                let calls = together(first, waiting, self.settings.positions_a_batch);
                self.answer_together(calls);
            }
            Job::Backward {
                caller,
                inputs,
                gradient,
                answer,
            } => {
                let begin = Instant::now();
                let result = self.backward(&inputs, &gradient);
                self.served("backward", &caller, &inputs, begin.elapsed(), &result);
                let _ = answer.send(result);
            }
        }
    }

    /// Computes all these answers at once; where that fails, each by itself, so that none fails for another.
    fn answer_together(&self, calls: Vec<Call>) {
        let begin = Instant::now();
        let inputs = calls.iter().map(|call| &call.inputs);
        let batches: Vec<usize> = inputs.clone().map(Inputs::batch_len).collect();
        let joined = join(inputs)
            .and_then(|inputs| self.forward(&inputs))
            .and_then(|answer| split(answer, &batches));
        let answers: Vec<Result<Tensor, Failure>> = match joined {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(failure) if calls.len() == 1 => vec![Err(failure)],
            Err(_) => calls
                .iter()
                .map(|call| self.forward(&call.inputs))
                .collect(),
        };
        // Each its share, so that all together are the time that the model took.
        let took = begin.elapsed() / calls.len().max(1) as u32;
        for (call, answer) in calls.into_iter().zip(answers) {
            self.served("forward", &call.caller, &call.inputs, took, &answer);
            let _ = call.answer.send(answer);
        }
    }

    fn forward(&self, inputs: &Inputs) -> Result<Tensor, Failure> {
        let inputs = inputs.to_torch(self.trainer.store().device());
        let answer = no_grad(|| self.trainer.model().f_represent(&inputs));
        let answer = answer.map_err(|error| self.failed(&error))?;
        let shape = answer
            .size()
            .into_iter()
            .map(|size| size.unsigned_abs() as usize);
        let flat = answer
            .to_device(noesis_model::tch::Device::Cpu)
            .reshape([-1]);
        let values = Vec::<f32>::try_from(&flat)
            .map_err(|error| Failure::Internal(format!("the answer cannot be read: {error}")))?;
        Tensor::f32(shape.collect::<Vec<usize>>(), values)
    }

    fn backward(&mut self, inputs: &Inputs, gradient: &[f32]) -> Result<Treatment, Failure> {
        let device = self.trainer.store().device();
        let dim = self.trainer.model().config().response_dim();
        let gradient = Torch::from_slice(gradient)
            .f_view([inputs.batch(), inputs.positions, dim])
            .map_err(|error| Failure::BadShape(error.to_string()))?
            .to_device(device);
        let FeedbackRules { rate, clip, .. } = self.settings.feedback;
        let inputs = inputs.to_torch(device);
        let norm = self.trainer.follow(&inputs, &gradient, rate, clip);
        let norm = norm.map_err(|error| self.failed(&error))?;
        Ok(match norm {
            Some(_norm) => {
                self.changed = true;
                Treatment::Applied
            }
            None => Treatment::Refused("the gradient of the parameters is not finite".into()),
        })
    }

    fn served(
        &self,
        method: &str,
        caller: &Caller,
        inputs: &Inputs,
        took: Duration,
        answer: &Result<impl Outcome, Failure>,
    ) {
        let batch = inputs.batch_len();
        self.settings
            .events
            .served(method, caller, batch, took, answer);
    }

    /// A model of the user's own may fail on some inputs: that call is told, and the next one is served.
    fn failed(&self, error: &TchError) -> Failure {
        let words = format!("the model failed: {}", telling_line(error));
        self.failures.warn(&words);
        Failure::Internal(words)
    }
}
