//! What is trained beside the network: its twin, which has no peers, and the student, which learns from what the
//! network predicts.

use super::{features, round::rising, Learner, Round};
use crate::{join, part::Parameters, student};
use noesis_model::{
    network::cross_entropy,
    tch::{no_grad, Tensor},
};
use noesis_neuron::Hotkey;

/// What the student learns from: inputs, those of the batch first, and the logits that the network predicts for them.
pub(super) struct Taught {
    inputs: Tensor,
    prediction: Tensor,
}

impl Learner {
    pub(super) fn train_twin(&mut self, round: &Round) {
        let rate = rising(self.config.rate, self.step);
        let network = self.twin.network(Parameters::Latest);
        let loss = network.loss(&network.represent(&round.inputs), &round.targets);
        self.twin.minimise(&loss, rate, self.config.clip);
    }

    /// What the teachers were sent, and what the network predicts for it as well as it can: with all of them who answered,
    /// and with averaged parameters. Nothing where the student has nothing to learn from it.
    pub(super) fn taught(&self, round: &Round, answers: &[(Hotkey, Tensor)]) -> Option<Taught> {
        let teachers = answers.iter().filter(|one| round.teachers.contains(&one.0));
        let teachers: Vec<(Hotkey, Tensor)> = teachers
            .map(|(peer, answer)| (*peer, answer.shallow_clone()))
            .collect();
        if teachers.is_empty() {
            return None;
        }
        let inputs = round.inputs();
        let prediction = no_grad(|| self.predict(&inputs, &teachers));
        Some(Taught { inputs, prediction })
    }

    /// The logits of the network joined of these answers `[b, s, d]`, as [`Network::predict`] gives them.
    pub(super) fn predict(&self, inputs: &Tensor, answers: &[(Hotkey, Tensor)]) -> Tensor {
        let network = self.local.network(Parameters::Average);
        let representation = network.represent(inputs);
        let (peers, answers) = self.known(answers);
        if peers.is_empty() {
            return network.predict(&representation);
        }
        let weights = self.weights(&features(&representation), &peers);
        let adapted = self.adapted(&answers, Parameters::Average);
        network.predict(&join::joined(&representation, &adapted, &weights))
    }

    /// The student learns what came next, and what the network predicted.
    pub(super) fn train_student(&mut self, round: &Round, taught: Option<&Taught>) {
        let (Some(student), Some(distillation)) = (&mut self.student, &self.config.student) else {
            return;
        };
        // By its own steps: it may have begun later than the rest.
        let rate = rising(self.config.rate, student.step_count());
        let network = student.network(Parameters::Latest);
        let inputs = taught.map_or(&round.inputs, |taught| &taught.inputs);
        let logits = network.predict(&network.represent(inputs));
        let ordinary = cross_entropy(&round.of_batch(&logits), &round.targets);
        let loss = match taught {
            Some(taught) => student::loss(ordinary, &logits, &taught.prediction, distillation),
            None => ordinary,
        };
        student.minimise(&loss, rate, self.config.clip);
    }
}
