//! The assessments: examples fetched beside the training, measured when all answers are there, and reported.

use super::{Fetching, Validator};
use crate::{
    ablation::Sign,
    backoff::LONGEST_PAUSE,
    copies::{agreements, positions, Order},
    discover::Candidate,
    events::{Event, Scored},
    fetch::{fetch, Answers},
    kept_answers::Kept,
    learner::{Assessed, Measured},
    ledger::Change,
    query::Missed,
    wire,
};
use market_primitives::Uid;
use noesis_model::{
    tch::{no_grad, Tensor},
    Batch,
};
use noesis_neuron::{Failure, Hotkey};
use std::collections::{BTreeSet, HashMap};
use tokio::time::Instant;

impl Validator {
    /// Starts fetching the answers to the next kept-apart examples from all who can be assessed.
    pub(super) fn begin_assessment(&mut self, candidates: &[Candidate]) {
        let now = Instant::now();
        let due = candidates.iter().filter(|candidate| {
            let peer = &candidate.hotkey;
            self.ledger.may_train(peer) && self.ledger.batches(peer) >= self.settings.batches_before
        });
        let expected: BTreeSet<Hotkey> = due.clone().map(|candidate| candidate.hotkey).collect();
        let ready: Vec<Candidate> = due
            .filter(|candidate| self.back_off.may_ask_unhurried(&candidate.hotkey, now))
            .cloned()
            .collect();
        if ready.is_empty() {
            // Nobody to assess, but time that those who are left out have to wait.
            self.take_measurements(&[], &expected, candidates);
            return;
        }
        let examples = self.kept_apart.next(self.learner.device());
        let rows = self.learner.question_rows();
        let batches = examples.inputs.split(rows.max(1), 0);
        let (mut questions, mut orders) = (Vec::new(), HashMap::new());
        for candidate in ready {
            let rows = batches.iter().map(|batch| batch.size()[0] as usize);
            let own: Vec<Order> = rows.map(|rows| Order::draw(rows, &mut self.rng)).collect();
            let sent = own.iter().zip(&batches);
            let sent = sent.map(|(order, batch)| wire::inputs(&order.sent(batch)));
            match sent.collect::<Result<Vec<_>, Failure>>() {
                Ok(sent) => {
                    orders.insert(candidate.hotkey, own);
                    questions.push((candidate, sent));
                }
                Err(failure) => tracing::error!("examples could not be sent: {failure}"),
            }
        }
        let model = self.settings.learner.model.clone();
        let answers = fetch(
            self.client.clone(),
            questions,
            model,
            self.settings.patience,
            self.pace.question(self.settings.patience),
            self.settings.unhurried,
        );
        self.fetching = Some(Fetching {
            examples,
            expected,
            orders,
            answers: tokio::spawn(answers),
        });
    }

    /// If the answers have come, measures and takes the measurements into the ledger.
    pub(super) async fn finish_assessment(&mut self, candidates: &[Candidate]) -> bool {
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
        let (mut answers, mut compared) = (Vec::new(), Vec::new());
        for (peer, result) in fetched {
            let orders = fetching.orders.get(&peer).map_or(&[][..], Vec::as_slice);
            match result.and_then(|one| self.in_order(&one, orders)) {
                Ok((judged, some)) => {
                    answers.push((peer, judged));
                    compared.push((peer, some));
                }
                Err(failure) => self.failed(peer, uid(&peer), &Missed::Failed(failure)),
            }
        }
        self.compare(&fetching.examples, &compared, &uid);
        let coalitions = self.settings.coalitions;
        let result = self
            .learner
            .assess(&fetching.examples, &answers, coalitions);
        self.take_measurements(&result.measured, &fetching.expected, candidates);
        self.report(&result, &uid);
        if self.learner.student().is_some() {
            self.kept_answers.add(Kept {
                examples: fetching.examples,
                answers,
            });
        }
        true
    }

    /// Takes what an assessment measured, of those who were `expected`, into the ledger, and does what follows from it.
    fn take_measurements(
        &mut self,
        measured: &[(Hotkey, Measured)],
        expected: &BTreeSet<Hotkey>,
        candidates: &[Candidate],
    ) {
        // Where nobody is measured, our own network may be down: nobody has missed it, unless that goes on for long.
        let counts = !measured.is_empty() || self.counted.elapsed() >= LONGEST_PAUSE;
        if counts {
            self.counted = Instant::now();
        }
        let missed = |peer: &Hotkey| counts && expected.contains(peer);
        let memory = self.settings.memory;
        for change in self.ledger.assessed(measured, missed, memory) {
            let uid = |peer: &Hotkey| {
                let candidate = candidates.iter().find(|one| one.hotkey == *peer);
                candidate.map(|candidate| candidate.uid)
            };
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
    }

    /// A peer's answers as they are judged, `[examples, dim]`, and at the positions that are compared, `[examples,
    /// positions, dim]`, in the order of the examples.
    fn in_order(&self, answers: &Answers, orders: &[Order]) -> Result<(Tensor, Tensor), Failure> {
        let dim = self.settings.learner.model.response_dim() as usize;
        let device = self.learner.device();
        let sizes: Vec<i64> = orders.iter().map(|order| order.rows() as i64).collect();
        let examples = sizes.iter().sum::<i64>() as usize;
        let ordered = |values: &[f32], shape: &[usize]| {
            let answer = wire::torch(values, shape, device)?;
            let batches = answer.split_with_sizes(&sizes, 0);
            let returned = orders
                .iter()
                .zip(&batches)
                .map(|(order, one)| order.returned(one));
            Ok(Tensor::cat(&returned.collect::<Vec<_>>(), 0))
        };
        let positions = answers.compared.len() / (examples * dim).max(1);
        Ok((
            ordered(&answers.judged, &[examples, dim])?,
            ordered(&answers.compared, &[examples, positions, dim])?,
        ))
    }

    /// Looks for peers that are one.
    fn compare(
        &mut self,
        examples: &Batch,
        answers: &[(Hotkey, Tensor)],
        uid: &dyn Fn(&Hotkey) -> Option<Uid>,
    ) {
        if answers.len() < 2 {
            return;
        }
        let model = &self.settings.learner.model;
        let compared = positions(model.positions(&examples.inputs.size()) as usize);
        let known = self.learner.knowledge(examples, &compared);
        let agreements = no_grad(|| agreements(answers, &known));
        for change in self.copies.measured(&agreements) {
            let uids = (uid(&change.peers.0), uid(&change.peers.1));
            let agreement = change.agreement;
            if change.one {
                tracing::info!(
                    ?uids,
                    "two peers answer as one (agreement {agreement:.3}): the soonest of them is paid"
                );
            } else {
                tracing::info!(?uids, "two peers are two again (agreement {agreement:.3})");
            }
        }
        let highest = agreements.iter().map(|(_, _, agreement)| *agreement);
        let groups = self.copies.groups();
        let in_uids = |group: &Vec<Hotkey>| group.iter().filter_map(uid).collect();
        self.events.write(&Event::Copies {
            groups: groups.iter().map(in_uids).collect(),
            highest_agreement: highest.fold(0.0, f64::max),
        });
    }

    fn report(&mut self, result: &Assessed, uid: &dyn Fn(&Hotkey) -> Option<Uid>) {
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
        // Of two that are one the second is no evidence.
        let paid = self.scores().into_iter().filter(|(_, score)| *score > 0.0);
        let correlation = self.ledger.rank_correlation(paid.map(|(peer, _)| peer));
        let student = result.student.map(|loss| format!(", student {loss:.3}"));
        let correlation_in_words = correlation.map(|rho| format!(", rank correlation {rho:.2}"));
        tracing::info!(
            step,
            "assessed: joined {:.3}, alone {:.3}{}{}; {}",
            result.joined,
            result.alone,
            student.unwrap_or_default(),
            correlation_in_words.unwrap_or_default(),
            in_words(&scores)
        );
        self.events.write(&Event::Evaluation {
            step,
            joined: result.joined,
            alone: result.alone,
            student: result.student,
        });
        self.events.write(&Event::Scores {
            scores,
            rank_correlation: correlation,
        });
    }
}

/// `uid 3: fisher 0.012, ablation +0.240 ± 0.050 (helps)`, and so on.
fn in_words(scores: &[Scored]) -> String {
    let words = scores.iter().map(|scored| {
        let (uid, fisher, ablation) = (scored.uid, scored.fisher, scored.ablation);
        match scored.error {
            Some(error) => {
                let sign = match Sign::of(ablation, error) {
                    Sign::Positive => "helps",
                    Sign::Negative => "harms",
                    Sign::Unclear => "unclear",
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
