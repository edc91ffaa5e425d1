//! What is trained beside the network: its twin, which has no peers, and the student, which learns from what the
//! network predicts.

use super::{features, rising, Learner, Round};
use crate::{join, part::Parameters, student};
use noesis_model::{
    network::cross_entropy,
    tch::{no_grad, Tensor},
};
use noesis_neuron::Hotkey;

impl Learner {
    pub(super) fn train_twin(&mut self, round: &Round) -> Option<f64> {
        let rate = rising(self.config.rate, self.step);
        let twin = self.twin.as_mut()?;
        let network = twin.network(Parameters::Latest);
        let loss = network.loss(&network.represent(&round.inputs), &round.targets);
        twin.minimise(&loss, rate, self.config.clip);
        Some(loss.double_value(&[]))
    }

    /// What the network predicts for the batch, as well as it can: with everybody who helps and answered, and with
    /// averaged parameters. Nothing where the student has nothing to learn from it.
    pub(super) fn lesson(&self, round: &Round, answers: &[(Hotkey, Tensor)]) -> Option<Tensor> {
        let teachers = answers.iter().filter(|one| round.teachers.contains(&one.0));
        let teachers: Vec<(Hotkey, Tensor)> = teachers
            .map(|(peer, answer)| (*peer, answer.shallow_clone()))
            .collect();
        (!teachers.is_empty()).then(|| no_grad(|| self.predict(&round.inputs, &teachers)))
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
    pub(super) fn train_student(&mut self, round: &Round, lesson: Option<&Tensor>) -> Option<f64> {
        let rate = rising(self.config.rate, self.step);
        let (student, distillation) = (self.student.as_mut()?, self.config.student.as_ref()?);
        let network = student.network(Parameters::Latest);
        let logits = network.predict(&network.represent(&round.inputs));
        let ordinary = cross_entropy(&logits, &round.targets);
        let value = ordinary.double_value(&[]);
        let loss = match lesson {
            Some(lesson) => student::loss(ordinary, &logits, lesson, distillation),
            None => ordinary,
        };
        student.minimise(&loss, rate, self.config.clip);
        Some(value)
    }
}
