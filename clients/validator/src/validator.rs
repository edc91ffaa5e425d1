//! The loop's one turn: coalition, gate, query, join, backward, score; every so often an assessment.
//!
//! Knows nothing of the chain: candidates come in, scores go out.

use crate::{
    backoff::BackOff,
    backward::{Backward, Treated},
    copies::{Copies, Order},
    discover::Candidate,
    events::{Answered, Event, Events},
    examples::{KeptApart, OwnData},
    fetch::Fetched,
    kept_answers::KeptAnswers,
    learner::{Diverged, Learner, LearnerConfig},
    ledger::{Ledger, Memory},
    query::{Missed, Pace, Patience},
    saved::{self, State},
    wire,
};
use market_primitives::Uid;
use noesis_model::{
    tch::{Device, Kind, Tensor},
    Batch, CheckpointError, ConfigError, DataError, DataSet, InputError, NetworkConfig, Values,
};
use noesis_neuron::{Client, Failure, Hotkey, POSITIONS_A_CALL};
use rand::{rngs::StdRng, SeedableRng};
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

mod asking;
mod assessing;
mod held_out;

use asking::Asking;

/// All that a validator is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Learning.
    pub learner: LearnerConfig,
    /// Sequences in a batch.
    pub batch: usize,
    /// Bytes of its own data to train on.
    pub own_data: usize,
    /// How long a step waits for whom.
    pub patience: Patience,
    /// How long a gradient, or an answer to a kept-apart example, may take.
    pub unhurried: Duration,
    /// Probability with which a peer is kept in a coalition.
    pub keep: f64,
    /// Steps between two assessments.
    pub assess_every: u64,
    /// Batches in which a peer must have taken part before it is assessed or sent gradients.
    pub batches_before: u64,
    /// Kept-apart examples in an assessment.
    pub examples: usize,
    /// Coalitions drawn for each of them.
    pub coalitions: usize,
    /// How fast averages forget.
    pub memory: Memory,
    /// Decides parameters, batches, coalitions and examples.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            learner: LearnerConfig::default(),
            batch: 16,
            own_data: 256 * 1024,
            patience: Patience {
                deadline: Duration::from_secs(2),
                k_min: 0.7,
                grace: 0.4,
                shortest_grace: Duration::from_millis(20),
            },
            unhurried: Duration::from_secs(3),
            keep: 0.5,
            assess_every: 20,
            batches_before: 15,
            examples: 256,
            coalitions: 8,
            memory: Memory {
                answer: 0.95,
                evidence: 0.8,
                fisher: 0.95,
            },
            seed: 0,
        }
    }
}

/// Why a validator cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model's sizes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The data do not fit the model.
    #[error("the data do not fit the model: {0}")]
    Inputs(#[from] InputError),
    /// Every peer would refuse every question.
    #[error("batches of {batch} make questions of {positions} positions, and peers take at most {POSITIONS_A_CALL} from a caller with stake: choose a smaller --batch")]
    Batch {
        /// Examples in a batch.
        batch: usize,
        /// Positions in a question, with what is asked for the student's sake.
        positions: i64,
    },
    /// Of one example nobody can tell what a peer is worth.
    #[error("the data have too few examples to score peers by: an assessment would be of {examples}, a twelfth of them, and takes at least {FEWEST_EXAMPLES}; name more with --data")]
    TooFewExamples {
        /// Examples in an assessment.
        examples: usize,
    },
}

/// Examples that a mean with an error takes.
const FEWEST_EXAMPLES: usize = 2;

/// What one step gave.
#[derive(Debug)]
pub struct Step {
    /// Steps so far.
    pub step: u64,
    /// The joined loss, in nats: a token over all positions, or a class; for half of the examples without the local model.
    pub loss: f64,
    /// Who was asked, and what came of it.
    pub answers: Vec<Answered>,
    /// What became known of gradients, by the peers' slots: of those sent before, and of those not sent.
    pub gradients: Vec<(Uid, Treated)>,
    /// Whether an assessment was finished in it.
    pub assessed: bool,
}

/// Answers to kept-apart examples under way.
struct Fetching {
    examples: Batch,
    /// Who is to be measured: those who were asked, and those who are left alone because they failed before.
    expected: BTreeSet<Hotkey>,
    /// In what order each peer was sent the batches.
    orders: HashMap<Hotkey, Vec<Order>>,
    answers: JoinHandle<Vec<Fetched>>,
}

/// A validator without its chain.
pub struct Validator {
    settings: Settings,
    client: Client,
    own: OwnData,
    kept_apart: KeptApart,
    learner: Learner,
    ledger: Ledger,
    copies: Copies,
    back_off: BackOff,
    pace: Pace,
    backward: Backward,
    /// The next step's questions.
    asking: Option<Asking>,
    fetching: Option<Fetching>,
    /// When an assessment last said of somebody that it missed it.
    counted: Instant,
    kept_answers: KeptAnswers,
    events: Events,
    rng: StdRng,
}

impl Validator {
    /// A validator with an untrained model, that asks its peers with `client` and writes to `events`.
    ///
    /// # Errors
    ///
    /// [`StartError`] when settings, sizes and text do not fit together.
    pub fn new(
        settings: Settings,
        client: Client,
        data: &DataSet,
        device: Device,
        events: Events,
    ) -> Result<Self, StartError> {
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let own = OwnData::take(data, settings.own_data, &mut rng)?;
        let (model, batch) = (&settings.learner.model, settings.batch);
        let one = own.sample(1, Device::Cpu, &mut rng).inputs;
        check(model, &one)?;
        let learner = Learner::new(settings.learner.clone(), device)?;
        let rows = learner.most_question_rows(batch as i64);
        let positions = rows.saturating_mul(model.positions(&one.size()));
        if positions > POSITIONS_A_CALL as i64 {
            return Err(StartError::Batch { batch, positions });
        }
        let kept_apart = KeptApart::take(data, settings.examples, &mut rng)?;
        let examples = kept_apart.count();
        if examples < FEWEST_EXAMPLES {
            return Err(StartError::TooFewExamples { examples });
        }
        if examples < settings.examples {
            tracing::info!(
                "assessments are of {examples} examples instead of {}: there are too few for more",
                settings.examples
            );
        }
        Ok(Self {
            learner,
            backward: Backward::new(client.clone(), settings.unhurried),
            ledger: Ledger::default(),
            copies: Copies::default(),
            back_off: BackOff::default(),
            pace: Pace::default(),
            asking: None,
            fetching: None,
            counted: Instant::now(),
            kept_answers: KeptAnswers::default(),
            own,
            kept_apart,
            client,
            events,
            rng,
            settings,
        })
    }

    /// The model and the peers' parts.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// What is known of the peers.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Which peers are one.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    /// What each peer is to be paid for: its score, and of peers that are one the soonest its own.
    pub fn scores(&self) -> Vec<(Hotkey, f64)> {
        let takes = |peer: &Hotkey| self.ledger.takes(peer);
        self.copies.share(self.ledger.scores(), takes)
    }

    /// Bytes of data it trains on.
    pub fn own_bytes(&self) -> usize {
        self.own.bytes()
    }

    /// Where events go.
    pub fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    /// Forgets all peers but these, the members of the market.
    pub fn keep_only(&mut self, members: &BTreeSet<Hotkey>) {
        self.learner.keep_only(members);
        self.ledger.keep_only(members);
        self.copies.keep_only(members);
        self.back_off.keep_only(members);
        self.backward.keep_only(members);
    }

    /// One step over a random coalition of the candidates; before it learns from their answers it asks those of the next. With
    /// nobody there, or nobody answering, it trains the local model alone.
    ///
    /// # Errors
    ///
    /// [`Diverged`] when the loss was not finite; nothing was learned, and the next step may go well.
    pub async fn step(&mut self, candidates: &[Candidate]) -> Result<Step, Diverged> {
        let assessed = self.finish_assessment(candidates).await;
        let began = Instant::now();
        let under_way = self.asking.take();
        let asking = under_way.unwrap_or_else(|| self.begin_step(candidates));
        let answers = self.answers(asking.questions, candidates).await;
        self.asking = Some(self.begin_step(candidates));
        let finished = self.learner.finish(asking.round, answers.usable)?;

        // Through an adapter that has learned nothing yet, a gradient is noise to its peer.
        let settled = |peer: &Hotkey| self.ledger.batches(peer) >= self.settings.batches_before;
        let gradients = finished.gradients.iter();
        let mut treated = Vec::new();
        let modality = self.learner.modality();
        let inputs = wire::inputs(&asking.batch.inputs).map(Arc::new);
        for (peer, gradient) in gradients.filter(|(peer, _)| settled(peer)) {
            let candidate = candidates.iter().find(|one| one.hotkey == *peer);
            if let (Some(candidate), Ok(inputs), Ok(gradient)) =
                (candidate, &inputs, wire::gradient(gradient))
            {
                let inputs = Arc::clone(inputs);
                let sent = self.backward.send(candidate, modality, inputs, gradient);
                treated.extend(sent.await.map(|one| (candidate.uid, one)));
            }
        }
        for peer in finished.joined {
            self.ledger.took_part(peer);
        }
        self.pace.took(began.elapsed(), answers.rest, answers.ahead);
        let step = self.learner.step_count();
        if step.is_multiple_of(self.settings.assess_every) && self.fetching.is_none() {
            self.begin_assessment(candidates);
        }
        let step = Step {
            step,
            loss: finished.loss,
            answers: answers.answered,
            gradients: treated,
            assessed,
        };
        self.events.write(&Event::Step {
            step: step.step,
            loss: step.loss,
            answers: step.answers.clone(),
            gradients: step.gradients.clone(),
        });
        Ok(step)
    }

    /// Leaves it alone for a while; it has no slot any more where it is no candidate.
    fn failed(&mut self, peer: Hotkey, uid: Option<Uid>, missed: &Missed) {
        let pause = match missed {
            Missed::Failed(Failure::Busy) => self.back_off.busy(peer, Instant::now()),
            Missed::Late => self.back_off.late(peer, Instant::now()),
            Missed::Failed(_) => self.back_off.failed(peer, Instant::now()),
        };
        tracing::debug!(
            ?uid,
            "no usable answer ({missed}): left alone for {pause:?}"
        );
    }

    /// Goes on from the checkpoint at `path`, if there is one. Returns whether there was.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] when it is damaged or of another model; the validator is then to be thrown away.
    pub fn resume(&mut self, path: &Path) -> Result<bool, CheckpointError> {
        let Some(state) = saved::load(path, &mut self.learner)? else {
            return Ok(false);
        };
        self.ledger = state.ledger;
        self.copies = state.copies;
        self.kept_apart.go_on_from(state.position);
        let kept = KeptAnswers::load(&KeptAnswers::beside(path), &self.settings.learner.model);
        self.kept_answers = kept.unwrap_or_else(|error| {
            tracing::warn!("the student cannot be compared with answers of before: {error}");
            KeptAnswers::default()
        });
        // Other batches than those before.
        self.rng = StdRng::seed_from_u64(self.settings.seed ^ (self.learner.step_count() << 20));
        Ok(true)
    }

    /// Writes a checkpoint to `path`, atomically.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::File`] when the system refuses.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let state = State {
            ledger: self.ledger.clone(),
            copies: self.copies.clone(),
            position: self.kept_apart.position(),
            own_bytes: self.own.bytes(),
        };
        saved::save(path, &self.learner, &state)
    }

    /// Writes the last assessments' answers beside the checkpoint at `path`, for whoever compares the student.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::File`] when the system refuses.
    pub fn save_answers(&self, path: &Path) -> Result<(), CheckpointError> {
        if self.learner.student().is_none() {
            return Ok(());
        }
        let path = KeptAnswers::beside(path);
        let (model, step) = (&self.settings.learner.model, self.learner.step_count());
        self.kept_answers.save(&path, model, step)
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Checks that a model takes inputs of this shape; whether tokens are in its vocabulary too.
pub(crate) fn check(model: &NetworkConfig, inputs: &Tensor) -> Result<(), InputError> {
    let shape: Vec<usize> = inputs.size().iter().map(|size| *size as usize).collect();
    let flat = inputs.contiguous().view(-1);
    if inputs.kind() == Kind::Int64 {
        let values = Vec::<i64>::try_from(flat).unwrap_or_default();
        model.inputs().check(&shape, Values::I64(&values))
    } else {
        let values = Vec::<f32>::try_from(flat).unwrap_or_default();
        model.inputs().check(&shape, Values::F32(&values))
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        if let Some(fetching) = &self.fetching {
            fetching.answers.abort();
        }
    }
}

#[cfg(test)]
mod tests;
