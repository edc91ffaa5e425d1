//! The measurement of the end: everything there is, on examples that nobody learned from or was scored by.

use super::Validator;
use crate::{discover::Candidate, events::Event, learner::Compared, query::Patience};
use noesis_model::{tch::Tensor, Batch};
use noesis_neuron::Hotkey;
use tokio::time::Instant;

/// Losses of one example after another, in nats.
#[derive(Default)]
struct Losses {
    network: Vec<f64>,
    alone: Vec<f64>,
    student: Vec<f64>,
}

impl Losses {
    fn take(&mut self, compared: Compared) {
        self.network.extend(compared.network);
        self.alone.extend(compared.alone);
        self.student.extend(compared.student.unwrap_or_default());
    }

    /// Their means; of what there is none of, none.
    fn event(&self, step: u64) -> Event {
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let some = |losses: &[f64]| Some(mean(losses)).filter(|loss| loss.is_finite());
        Event::HeldOut {
            step,
            examples: self.network.len(),
            joined: some(&self.network),
            alone: some(&self.alone),
            student: some(&self.student),
        }
    }
}

impl Validator {
    /// Asks those of the candidates that take part in the training for their answers to these examples, and writes
    /// the mean losses at the kept-back targets to the events. Nothing is learned.
    pub async fn hold_out(&mut self, candidates: &[Candidate], batches: &[Batch]) {
        // There is no hurry at the end, and who is cut off would be missing from the network.
        let patience = Patience {
            deadline: self.settings.unhurried,
            k_min: 1.0,
            ..self.settings.patience
        };
        let mut losses = Losses::default();
        // No more at once than training may ask: that was checked to be what peers take.
        let rows = self.learner.most_question_rows(self.settings.batch as i64);
        for batch in batches.iter().flat_map(|batch| parts(batch, rows)) {
            let batch = batch.to_device(self.learner.device());
            let now = Instant::now();
            let takes_part = |candidate: &&Candidate| {
                let peer = &candidate.hotkey;
                self.ledger.may_train(peer)
                    && self.back_off.may_ask_unhurried(peer, now)
                    && self.ledger.batches(peer) >= self.settings.batches_before
            };
            let asked: Vec<&Candidate> = candidates.iter().filter(takes_part).collect();
            let questions = self.ask(asked.into_iter(), &batch.inputs, patience);
            let answers = self.answers(questions, candidates).await.usable;
            let answers: Vec<(Hotkey, Tensor)> = answers
                .into_iter()
                .map(|(peer, answer)| (peer, self.learner.summarised(&answer)))
                .collect();
            losses.take(self.learner.compare(&batch, &answers));
        }
        self.events.write(&losses.event(self.learner.step_count()));
    }
}

/// A batch in parts of so many rows, the last of what is left.
fn parts(batch: &Batch, rows: i64) -> impl Iterator<Item = Batch> {
    let inputs = batch.inputs.split(rows, 0).into_iter();
    let parts = inputs.zip(batch.targets.split(rows, 0));
    parts.map(|(inputs, targets)| Batch { inputs, targets })
}
