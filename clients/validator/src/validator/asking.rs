//! The questions of a step, which are under way while the step before is learned from: an answer may take as long as that
//! does, within the deadline, before anybody waits for it.

use super::{milliseconds, Validator};
use crate::{
    coalition,
    copies::Order,
    discover::Candidate,
    events::Answered,
    learner::Round,
    query::{query, Asked, Missed, Patience},
    wire,
};
use noesis_model::{tch::Tensor, Batch};
use noesis_neuron::{Failure, Hotkey, Peer};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

/// A batch whose questions are under way.
pub(super) struct Asking {
    pub(super) batch: Batch,
    pub(super) round: Round,
    pub(super) questions: Questions,
}

/// Questions under way; dropped, they are given up.
pub(super) struct Questions {
    asked: Vec<(Candidate, Question)>,
    /// One task.
    results: JoinSet<Asked<Vec<f32>>>,
    wanted: oneshot::Sender<()>,
    since: Instant,
}

/// What one peer was sent.
#[derive(Clone)]
struct Question {
    order: Order,
    inputs: Arc<noesis_neuron::Tensor>,
    /// Of the answer.
    shape: Vec<usize>,
}

/// What came of them.
pub(super) struct Answers {
    /// The usable ones, in the order of the batch.
    pub(super) usable: Vec<(Hotkey, Tensor)>,
    /// What came of each, for the record.
    pub(super) answered: Vec<Answered>,
    /// How long the rest were waited for, see [`Asked`].
    pub(super) rest: Option<Duration>,
    /// How long they were under way before anybody waited for them.
    pub(super) ahead: Duration,
}

impl Validator {
    /// Draws a batch and a random coalition of the candidates for it, and asks those whom the gate chooses.
    pub(super) fn begin_step(&mut self, candidates: &[Candidate]) -> Asking {
        let (now, device) = (Instant::now(), self.learner.device());
        let usable: Vec<Hotkey> = candidates
            .iter()
            .map(|candidate| candidate.hotkey)
            .filter(|peer| self.ledger.may_train(peer) && self.back_off.may_ask(peer, now))
            .collect();
        let coalition = coalition::draw(&usable, self.settings.keep, &mut self.rng);
        let batch = self.own.sample(self.settings.batch, device, &mut self.rng);
        let helping: Vec<Hotkey> = usable
            .into_iter()
            .filter(|peer| self.ledger.helps(peer))
            .collect();
        let round = self.learner.begin(&batch, &coalition, &helping);
        let asked = candidates.iter().filter(|one| round.asks(&one.hotkey));
        let patience = self.pace.patience(self.settings.patience);
        let questions = self.ask(asked, &round.inputs(), patience);
        Asking {
            batch,
            round,
            questions,
        }
    }

    /// Asks them all, each in an order of its own: who returns what another was asked answers the wrong rows.
    pub(super) fn ask<'a>(
        &mut self,
        candidates: impl Iterator<Item = &'a Candidate>,
        inputs: &Tensor,
        patience: Patience,
    ) -> Questions {
        let rows = inputs.size().first().copied().unwrap_or(0) as usize;
        let (modality, model) = (self.learner.modality(), &self.settings.learner.model);
        let mut asked = Vec::new();
        for candidate in candidates {
            let order = Order::draw(rows, &mut self.rng);
            match wire::inputs(&order.sent(inputs)) {
                Ok(inputs) => {
                    let question = Question {
                        order,
                        shape: wire::answer_shape(model, &inputs.shape),
                        inputs: Arc::new(inputs),
                    };
                    asked.push((candidate.clone(), question));
                }
                Err(failure) => tracing::error!("a batch could not be sent: {failure}"),
            }
        }
        let peers: Vec<_> = asked.iter().map(|(one, _)| one.peer()).collect();
        let questions = asked
            .iter()
            .map(|(one, question)| (one.hotkey, question.clone()));
        let questions: HashMap<Hotkey, Question> = questions.collect();
        let client = self.client.clone();
        let (wanted, waiting) = oneshot::channel();
        let mut results = JoinSet::new();
        results.spawn(async move {
            let waiting = async { drop(waiting.await) };
            query(&peers, patience, waiting, |peer| {
                let client = client.clone();
                let question = questions.get(&peer.hotkey).cloned();
                async move {
                    let missing = || Failure::Internal("a peer without a question".into());
                    let Question { inputs, shape, .. } = question.ok_or_else(missing)?;
                    let answer = client.forward(&peer, modality, &inputs, patience.deadline);
                    wire::answer(answer.await?, &shape)
                }
            })
            .await
        });
        Questions {
            asked,
            results,
            wanted,
            since: Instant::now(),
        }
    }

    /// Waits for the answers, and takes down what came of each. Who is no candidate any more, has moved, or was set apart
    /// since it was asked leaves no trace.
    pub(super) async fn answers(
        &mut self,
        questions: Questions,
        candidates: &[Candidate],
    ) -> Answers {
        let Questions {
            asked,
            mut results,
            wanted,
            since,
        } = questions;
        let ahead = since.elapsed();
        // Refused only by a query that is over.
        wanted.send(()).ok();
        let mut answers = Answers {
            usable: Vec::new(),
            answered: Vec::new(),
            rest: None,
            ahead,
        };
        let Some(Ok(results)) = results.join_next().await else {
            return answers; // it panicked
        };
        answers.rest = results.rest;
        let device = self.learner.device();
        let (deadline, memory) = (self.settings.patience.deadline, self.settings.memory);
        let there: HashSet<Peer> = candidates.iter().map(Candidate::peer).collect();
        for ((candidate, question), result) in asked.into_iter().zip(results.answers) {
            if !there.contains(&candidate.peer()) || !self.ledger.may_train(&candidate.hotkey) {
                continue;
            }
            let outcome = result.outcome.and_then(|values| {
                let answer = wire::torch(&values, &question.shape, device);
                let answer = answer.map_err(Missed::Failed)?;
                Ok(question.order.returned(&answer))
            });
            // Who is cut off took at least so long, and who says no as long as could be: left out of the average, the slow
            // would look quick, and a relay could answer only when its original was.
            let waited = match outcome {
                Err(Missed::Failed(_)) => deadline,
                _ => result.took,
            };
            (self.ledger).waited_for(candidate.hotkey, milliseconds(waited), memory);
            let words = match outcome {
                Ok(answer) => {
                    self.back_off.answered(&candidate.hotkey, Instant::now());
                    answers.usable.push((candidate.hotkey, answer));
                    "ok".to_owned()
                }
                Err(missed) => {
                    // Whoever's clock said so first.
                    let missed = match missed {
                        Missed::Failed(Failure::Deadline) => Missed::Late,
                        other => other,
                    };
                    self.failed(candidate.hotkey, Some(candidate.uid), &missed);
                    missed.to_string()
                }
            };
            answers.answered.push(Answered {
                uid: candidate.uid,
                outcome: words,
                milliseconds: milliseconds(result.took),
            });
        }
        answers
    }
}
