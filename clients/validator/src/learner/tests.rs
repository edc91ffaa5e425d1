use super::*;
use noesis_model::network::cross_entropy;
use noesis_model::Batch;

const PEER: Hotkey = [1; 32];

/// A learner with a student, whose network is known to be the better one.
fn learner() -> Learner {
    noesis_model::set_threads(1);
    let model = TransformerConfig {
        width: 8,
        heads: 2,
        layers: 1,
        context: 8,
        response_dim: 4,
        ..TransformerConfig::default()
    };
    let config = LearnerConfig {
        model: model.into(),
        student: Some(Distillation::default()),
        ..LearnerConfig::default()
    };
    let mut learner = Learner::new(config, Device::Cpu).unwrap();
    learner.network_leads = true;
    learner
}

fn batch() -> Batch {
    let tokens = Tensor::from_slice(&[10i64, 20, 30, 40, 50, 60, 70, 80, 90]).view([1, 9]);
    Batch {
        inputs: tokens.narrow(1, 0, 8),
        targets: tokens.narrow(1, 1, 8),
    }
}

fn answer() -> (Hotkey, Tensor) {
    // Not drawn: other tests draw from the same generator meanwhile.
    let answer = (Tensor::arange(32, (Kind::Float, Device::Cpu)) * 1.7).sin();
    (PEER, answer.view([1, 8, 4]))
}

/// The same, of a batch and one lesson.
fn taught_answer() -> (Hotkey, Tensor) {
    let (peer, answer) = answer();
    (peer, Tensor::cat(&[&answer, &(&answer * 0.5)], 0))
}

/// Steps with the peer in the coalition, after which it has a part that says something.
fn settled() -> Learner {
    let mut learner = learner();
    for _ in 0..20 {
        let round = learner.begin(&batch(), &[PEER], &[]);
        learner.finish(round, vec![answer()]).unwrap();
    }
    learner
}

fn student(learner: &Learner) -> Tensor {
    let network = learner.student().unwrap().network(Parameters::Latest);
    no_grad(|| network.predict(&network.represent(&batch().inputs)))
}

#[test]
fn who_helps_teaches_the_student_though_the_coalition_is_without_it() {
    let (mut taught, mut untaught) = (settled(), settled());
    assert_eq!(student(&taught), student(&untaught));
    let before = taught.parts[&PEER].step_count();

    let round = taught.begin(&batch(), &[], &[PEER]);
    assert!(round.asks(&PEER));
    let finished = taught.finish(round, vec![taught_answer()]).unwrap();
    // It is joined with nobody: neither scored nor learned from.
    assert!(finished.gradients.is_empty() && finished.joined.is_empty());
    assert_eq!(taught.parts[&PEER].step_count(), before);

    let round = untaught.begin(&batch(), &[], &[]);
    assert!(!round.asks(&PEER));
    let other = untaught.finish(round, Vec::new()).unwrap();
    assert_eq!(finished.loss, other.loss);
    assert!(student(&taught) != student(&untaught));
}

#[test]
fn lessons_teach_the_student_alone() {
    let (mut taught, mut untaught) = (settled(), settled());
    let round = taught.begin(&batch(), &[PEER, [2; 32]], &[PEER]);
    // The batch comes first.
    let question = round.inputs();
    assert_eq!(question.size(), [2, 8]);
    assert_eq!(question.narrow(0, 0, 1), batch().inputs);
    let finished = taught.finish(round, vec![taught_answer()]).unwrap();
    assert_eq!(finished.gradients[0].1.size(), [1, 8, 4]);

    untaught.network_leads = false;
    let round = untaught.begin(&batch(), &[PEER, [2; 32]], &[PEER]);
    assert_eq!(round.inputs(), batch().inputs, "nobody teaches");
    untaught.finish(round, vec![answer()]).unwrap();
    let predicted = |learner: &Learner| {
        let network = learner.local.network(Parameters::Latest);
        no_grad(|| network.predict(&network.represent(&batch().inputs)))
    };
    assert_eq!(predicted(&taught), predicted(&untaught));
    assert!(student(&taught) != student(&untaught));
}

#[test]
fn nobody_is_asked_to_teach_what_the_student_knows_better() {
    let mut learner = settled();
    learner.network_leads = false;
    assert!(!learner.begin(&batch(), &[], &[PEER]).asks(&PEER));
    // Nor one that has nothing to read it with.
    learner.network_leads = true;
    assert!(!learner.begin(&batch(), &[], &[[9; 32]]).asks(&[9; 32]));
}

/// Examinations are cut to it, so that they look like the training of the same time.
#[test]
fn the_rows_of_a_question_are_told_with_a_lesson_and_without() {
    let mut learner = learner();
    // Though the network leads there is nobody yet who is known to help.
    for helping in [&[][..], &[PEER][..]] {
        let round = learner.begin(&batch(), &[PEER], helping);
        assert_eq!(learner.question_rows(), round.inputs().size()[0]);
        assert_eq!(learner.question_rows(), 1 + helping.len() as i64);
    }
}

#[test]
fn the_average_begins_as_the_parameters_and_then_lags_behind_them() {
    let mut learner = learner();
    let predictions = |learner: &Learner, which| {
        let network = learner.twin().network(which);
        no_grad(|| network.predict(&network.represent(&batch().inputs)))
    };
    let step = |learner: &mut Learner| {
        let round = learner.begin(&batch(), &[], &[]);
        learner.finish(round, Vec::new()).unwrap();
    };
    step(&mut learner);
    let (latest, average) = (Parameters::Latest, Parameters::Average);
    assert_eq!(
        predictions(&learner, latest),
        predictions(&learner, average)
    );
    for _ in 0..30 {
        step(&mut learner);
    }
    let loss = |which| {
        let logits = predictions(&learner, which);
        cross_entropy(&logits, &batch().targets).double_value(&[])
    };
    // One batch again and again: here the latest is the best, and the average on its way there.
    assert!(loss(latest) < loss(average));
    assert!(loss(average) < 5.0, "{}", loss(average));
}

/// One that joins an old learner begins as every student does.
#[test]
fn a_student_learns_at_the_rate_of_its_own_steps() {
    let (mut early, mut late) = (learner(), learner());
    late.resume_at(5000, false, &[]);
    for learner in [&mut early, &mut late] {
        let round = learner.begin(&batch(), &[], &[]);
        learner.finish(round, Vec::new()).unwrap();
    }
    assert_eq!(student(&early), student(&late));
}
