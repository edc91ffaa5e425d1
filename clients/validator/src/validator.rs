//! The loop's one turn: coalition, gate, query, join, backward, score; every so often an assessment.
//!
//! Knows nothing of the chain: candidates come in, scores go out.

use crate::{
    ablation,
    backoff::BackOff,
    backward::{Backward, Treated},
    coalition,
    discover::Candidate,
    events::{Answered, Event, Events, Scored},
    examples::{KeptApart, OwnText},
    fetch::{fetch, Fetched},
    learner::{Diverged, Learner, LearnerConfig},
    ledger::{Change, Ledger, Memory},
    query::{query, Missed, Patience},
    saved, wire,
};
use market_primitives::Modality;
use noesis_model::{
    tch::{Device, Tensor},
    CheckpointError, ConfigError, DataError, Text,
};
use noesis_neuron::{Client, Failure, Hotkey};
use rand::{rngs::StdRng, SeedableRng};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::Instant};

/// All that a validator is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Learning.
    pub learner: LearnerConfig,
    /// Sequences in a batch.
    pub batch: usize,
    /// Tokens of each that are sent; one more is kept back.
    pub sequence: usize,
    /// Bytes of text of its own to train on.
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
            sequence: 64,
            own_data: 256 * 1024,
            patience: Patience {
                deadline: Duration::from_secs(2),
                k_min: 2,
                grace: Duration::from_millis(500),
            },
            unhurried: Duration::from_secs(3),
            keep: 0.5,
            assess_every: 20,
            batches_before: 15,
            examples: 256,
            coalitions: 8,
            memory: Memory {
                fisher: 0.95,
                evidence: 0.8,
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
    /// The text.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The sequence does not fit the model.
    #[error("sequences of {sequence} tokens do not fit a model with a context of {context}: choose 1 to {context}")]
    Sequence {
        /// Asked for.
        sequence: usize,
        /// What the model can take.
        context: i64,
    },
}

/// What one step gave.
#[derive(Debug)]
pub struct Step {
    /// Steps so far.
    pub step: u64,
    /// The joined loss over all positions, in nats a token.
    pub loss: f64,
    /// The twin's loss alone on the same batch.
    pub alone: Option<f64>,
    /// Who was asked, and what came of it.
    pub answers: Vec<Answered>,
    /// Whether an assessment was finished in it, and the scores are new.
    pub assessed: bool,
}

/// Answers to kept-apart examples under way.
struct Fetching {
    examples: Tensor,
    answers: JoinHandle<Vec<Fetched>>,
}

/// A validator without its chain.
pub struct Validator {
    settings: Settings,
    client: Client,
    own: OwnText,
    kept_apart: KeptApart,
    learner: Learner,
    ledger: Ledger,
    back_off: BackOff,
    backward: Backward,
    fetching: Option<Fetching>,
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
        text: &Text,
        device: Device,
        events: Events,
    ) -> Result<Self, StartError> {
        let context = settings.learner.model.context;
        let fits = i64::try_from(settings.sequence).is_ok_and(|s| (1..=context).contains(&s));
        if !fits {
            return Err(StartError::Sequence {
                sequence: settings.sequence,
                context,
            });
        }
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let window = settings.sequence + 1;
        let own = OwnText::take(text, settings.own_data, window, &mut rng)?;
        // Enough that evidence has faded before an example comes round again.
        let kept_apart = KeptApart::take(text, 16 * settings.examples, window, &mut rng)?;
        Ok(Self {
            learner: Learner::new(settings.learner.clone(), device)?,
            backward: Backward::new(client.clone(), settings.unhurried),
            ledger: Ledger::default(),
            back_off: BackOff::default(),
            fetching: None,
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

    /// How a peer treated the gradients it was sent.
    pub fn treated(&self, peer: &Hotkey) -> Treated {
        self.backward.treated(peer)
    }

    /// Bytes of text it trains on.
    pub fn own_bytes(&self) -> usize {
        self.own.bytes()
    }

    /// Where events go.
    pub fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    /// Forgets all peers but these, the members of the market.
    pub fn keep_only(&mut self, members: &[Hotkey]) {
        self.learner.keep_only(members);
        self.ledger.keep_only(members);
        self.back_off.keep_only(members);
        self.backward.keep_only(members);
    }

    /// One step over a random coalition of these candidates. With nobody there, or nobody answering, it
    /// trains the local model alone.
    ///
    /// # Errors
    ///
    /// [`Diverged`] when the loss was not finite; nothing was learned, and the next step may go well.
    pub async fn step(&mut self, candidates: &[Candidate]) -> Result<Step, Diverged> {
        let assessed = self.finish_assessment(candidates).await;
        let (now, device) = (Instant::now(), self.learner.device());
        let usable: Vec<Hotkey> = candidates
            .iter()
            .map(|candidate| candidate.hotkey)
            .filter(|peer| self.ledger.may_train(peer) && self.back_off.may_ask(peer, now))
            .collect();
        let coalition = coalition::draw(&usable, self.settings.keep, &mut self.rng);
        let window = self.settings.sequence + 1;
        let tokens = self
            .own
            .sample(self.settings.batch, window, device, &mut self.rng);
        let round = self.learner.begin(&tokens, &coalition);
        let asked: Vec<&Candidate> = candidates
            .iter()
            .filter(|candidate| round.chosen.contains(&candidate.hotkey))
            .collect();

        let inputs = wire::tokens(round.inputs()).map(Arc::new);
        let (answers, answered) = match &inputs {
            Ok(inputs) => self.ask(&asked, inputs).await,
            Err(failure) => {
                tracing::error!("a batch could not be sent: {failure}");
                (Vec::new(), Vec::new())
            }
        };
        let finished = self.learner.finish(round, answers)?;

        if let Ok(inputs) = inputs {
            // Through an adapter that has learned nothing yet, a gradient is noise to its peer.
            let settled = |peer: &Hotkey| self.ledger.batches(peer) >= self.settings.batches_before;
            let gradients = finished.gradients.iter();
            for (peer, gradient) in gradients.filter(|(peer, _)| settled(peer)) {
                let candidate = asked.iter().find(|candidate| candidate.hotkey == *peer);
                if let (Some(candidate), Ok(gradient)) = (candidate, wire::gradient(gradient)) {
                    self.backward
                        .send(candidate, Arc::clone(&inputs), gradient)
                        .await;
                }
            }
        }
        for (peer, fisher) in finished.fisher {
            self.ledger.took_part(peer, fisher, self.settings.memory);
        }
        let step = self.learner.step_count();
        if step.is_multiple_of(self.settings.assess_every) && self.fetching.is_none() {
            self.begin_assessment(candidates);
        }
        let step = Step {
            step,
            loss: finished.loss,
            alone: finished.alone,
            answers: answered,
            assessed,
        };
        self.events.write(&Event::Step {
            step: step.step,
            loss: step.loss,
            answers: step.answers.clone(),
        });
        Ok(step)
    }

    /// Asks them all; returns the usable answers, and what came of each for the record.
    async fn ask(
        &mut self,
        asked: &[&Candidate],
        inputs: &Arc<noesis_neuron::Tensor>,
    ) -> (Vec<(Hotkey, Tensor)>, Vec<Answered>) {
        let mut shape = inputs.shape.clone();
        shape.push(self.settings.learner.model.response_dim as usize);
        let (patience, device) = (self.settings.patience, self.learner.device());
        let peers: Vec<_> = asked.iter().map(|candidate| candidate.peer()).collect();
        let results = query(&peers, patience, |peer| {
            let (client, inputs, shape) = (self.client.clone(), Arc::clone(inputs), shape.clone());
            async move {
                let answer = client.forward(&peer, Modality::Text, &inputs, patience.deadline);
                wire::answer(answer.await?, &shape)
            }
        })
        .await;
        let (mut answers, mut answered) = (Vec::new(), Vec::new());
        for (candidate, result) in asked.iter().zip(results) {
            let outcome = result
                .outcome
                .and_then(|values| wire::torch(&values, &shape, device).map_err(Missed::Failed));
            let words = match outcome {
                Ok(answer) => {
                    self.back_off.answered(&candidate.hotkey);
                    answers.push((candidate.hotkey, answer));
                    "ok".to_owned()
                }
                Err(missed) => {
                    self.failed(candidate.hotkey, candidate.uid, &missed);
                    missed.to_string()
                }
            };
            answered.push(Answered {
                uid: candidate.uid,
                outcome: words,
                milliseconds: result.took.as_secs_f64() * 1e3,
            });
        }
        (answers, answered)
    }

    fn failed(&mut self, peer: Hotkey, uid: market_primitives::Uid, missed: &Missed) {
        let pause = match missed {
            Missed::Failed(Failure::Busy) => self.back_off.busy(peer, Instant::now()),
            _ => self.back_off.failed(peer, Instant::now()),
        };
        tracing::debug!(uid, "no usable answer ({missed}): left alone for {pause:?}");
    }

    /// Starts fetching the answers to the next kept-apart examples from all who can be assessed.
    fn begin_assessment(&mut self, candidates: &[Candidate]) {
        let now = Instant::now();
        let ready: Vec<Candidate> = candidates
            .iter()
            .filter(|candidate| {
                let peer = &candidate.hotkey;
                self.ledger.may_train(peer)
                    && self.back_off.may_ask(peer, now)
                    && self.ledger.batches(peer) >= self.settings.batches_before
            })
            .cloned()
            .collect();
        if ready.is_empty() {
            return;
        }
        let examples = self
            .kept_apart
            .next(self.settings.examples, self.learner.device());
        let inputs = examples.narrow(1, 0, examples.size()[1] - 1);
        let chunks = inputs.split(self.settings.batch.max(1) as i64, 0);
        let batches: Result<Vec<_>, Failure> = chunks.iter().map(wire::tokens).collect();
        match batches {
            Ok(batches) => {
                let dim = self.settings.learner.model.response_dim as usize;
                let deadline = self.settings.unhurried;
                let answers = fetch(self.client.clone(), ready, batches, dim, deadline);
                self.fetching = Some(Fetching {
                    examples,
                    answers: tokio::spawn(answers),
                });
            }
            Err(failure) => tracing::error!("examples could not be sent: {failure}"),
        }
    }

    /// If the answers have come, measures and takes the measurements into the ledger.
    async fn finish_assessment(&mut self, candidates: &[Candidate]) -> bool {
        let Some(fetching) = self
            .fetching
            .take_if(|fetching| fetching.answers.is_finished())
        else {
            return false;
        };
        let Ok(fetched) = fetching.answers.await else {
            return false;
        };
        let uid = |peer: &Hotkey| {
            let candidate = candidates.iter().find(|one| one.hotkey == *peer);
            candidate.map(|candidate| candidate.uid)
        };
        let dim = self.settings.learner.model.response_dim as usize;
        let examples = fetching.examples.size()[0] as usize;
        let mut answers = Vec::new();
        for (peer, result) in fetched {
            let tensor = result.and_then(|values| {
                let tensor = wire::torch(&values, &[examples, dim], self.learner.device());
                tensor.map_err(Missed::Failed)
            });
            match tensor {
                Ok(tensor) => answers.push((peer, tensor)),
                Err(missed) => self.failed(peer, uid(&peer).unwrap_or_default(), &missed),
            }
        }
        let coalitions = self.settings.coalitions;
        let result = self
            .learner
            .assess(&fetching.examples, &answers, coalitions);
        for change in self
            .ledger
            .assessed(&result.ablations, self.settings.memory)
        {
            match change {
                Change::LeftOut(peer, assessments) => tracing::info!(
                    uid = uid(&peer),
                    "peer harms by two standard errors: left out for {assessments} assessments"
                ),
                Change::TriedAgain(peer) => {
                    tracing::info!(uid = uid(&peer), "peer is tried again, from nothing");
                    self.learner.forget(&peer);
                }
            }
        }
        self.report(&result, &uid);
        true
    }

    fn report(&mut self, result: &crate::learner::Assessed, uid: &dyn Fn(&Hotkey) -> Option<u16>) {
        let standings = self.ledger.standings();
        let mut scores: Vec<Scored> = standings
            .filter_map(|(peer, standing)| {
                Some(Scored {
                    uid: uid(peer)?,
                    fisher: standing.fisher.value(),
                    ablation: standing.evidence.mean(),
                    error: Some(standing.evidence.error()).filter(|error| error.is_finite()),
                })
            })
            .collect();
        scores.sort_by_key(|scored| scored.uid);
        let step = self.learner.step_count();
        let correlation = self.ledger.rank_correlation();
        let alone = result.alone.map(|loss| format!(", alone {loss:.3}"));
        let correlation_in_words = correlation.map(|rho| format!(", rank correlation {rho:.2}"));
        tracing::info!(
            step,
            "assessed: joined {:.3}{}{}; {}",
            result.joined,
            alone.unwrap_or_default(),
            correlation_in_words.unwrap_or_default(),
            in_words(&scores)
        );
        self.events.write(&Event::Evaluation {
            step,
            joined: result.joined,
            alone: result.alone,
        });
        self.events.write(&Event::Scores {
            scores,
            rank_correlation: correlation,
        });
    }

    /// Goes on from the checkpoint at `path`, if there is one. Returns whether there was.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] when it is damaged or of another model; the validator is then to be thrown away.
    pub fn resume(&mut self, path: &Path) -> Result<bool, CheckpointError> {
        let Some((ledger, position)) = saved::load(path, &mut self.learner)? else {
            return Ok(false);
        };
        self.ledger = ledger;
        self.kept_apart.go_on_from(position);
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
        let position = self.kept_apart.position();
        saved::save(path, &self.learner, &self.ledger, position)
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        if let Some(fetching) = &self.fetching {
            fetching.answers.abort();
        }
    }
}

/// `uid 3: fisher 0.012, ablation +0.240 ± 0.050 (helps)`, and so on.
fn in_words(scores: &[Scored]) -> String {
    let words = scores.iter().map(|scored| {
        let (uid, fisher, ablation) = (scored.uid, scored.fisher, scored.ablation);
        match scored.error {
            Some(error) => {
                let margin = ablation::SIGNIFICANCE * error;
                let sign = match ablation {
                    mean if mean > margin => "helps",
                    mean if mean < -margin => "harms",
                    _ => "unclear",
                };
                format!(
                    "uid {uid}: fisher {fisher:.4}, ablation {ablation:+.3} ± {error:.3} ({sign})"
                )
            }
            None => format!("uid {uid}: fisher {fisher:.4}, not assessed yet"),
        }
    });
    words.collect::<Vec<_>>().join("; ")
}
