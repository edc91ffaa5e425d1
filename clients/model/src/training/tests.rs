use std::io::Write;

use market_primitives::Modality;

use super::*;
use crate::{CheckpointError, TransformerConfig};

/// A text that a small model learns quickly: sentences of a few words, in books.
fn text() -> DataSet {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for book in ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"] {
        for verse in 1..30 {
            let word = ["light", "water", "earth"][verse % 3];
            writeln!(file, "{book}1:{verse} and there was {word} upon the deep").unwrap();
        }
    }
    DataSet::load(Modality::Text, file.path(), 16).unwrap()
}

fn sizes() -> TransformerConfig {
    TransformerConfig {
        width: 32,
        layers: 1,
        heads: 2,
        context: 16,
        response_dim: 16,
        ..TransformerConfig::default()
    }
}

fn trainer() -> Trainer {
    crate::set_threads(1);
    let training = TrainingConfig {
        batch: 8,
        warmup_steps: 5,
        decay_steps: 60,
        seed: 7,
        ..TrainingConfig::default()
    };
    Trainer::new(&sizes().into(), training, Device::Cpu).unwrap()
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn the_loss_falls_on_text_that_was_not_trained_on() {
    let (text, mut trainer) = (text(), trainer());
    let evaluate = |trainer: &Trainer| trainer.evaluate(&text, Split::Evaluation, 4).unwrap();
    let before = evaluate(&trainer);
    let mut steps = Vec::new();
    let record = |progress: Progress| {
        steps.push(progress.step);
        ControlFlow::Continue(())
    };
    trainer.train(&text, 60, record).unwrap();
    let after = evaluate(&trainer);
    assert!(after.loss < 0.5 * before.loss, "{before:?} to {after:?}");
    assert!(after.accuracy > 0.5 && before.accuracy < 0.2, "{after:?}");
    assert_eq!(steps, (1..=60).collect::<Vec<_>>());
}

#[test]
fn a_training_that_was_interrupted_ends_as_one_that_was_not() {
    let text = text();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");

    let mut whole = trainer();
    whole.train(&text, 20, go_on).unwrap();

    let mut first = trainer();
    let stop = |progress: Progress| match progress.step {
        11 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    first.train(&text, 20, stop).unwrap();
    first.save(&path).unwrap();
    let (config, training) = (first.model().config().clone(), first.config().clone());
    drop(first);
    let mut second = Trainer::resume(&path, &config, training, Device::Cpu).unwrap();
    assert_eq!(second.step_count(), 11);
    second.train(&text, 20, go_on).unwrap();

    assert_eq!(second.state(), whole.state(), "bit for bit");
    assert_eq!(second.step_count(), whole.step_count());
}

#[test]
fn a_checkpoint_of_another_size_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut small = trainer();
    small.save(&path).unwrap();
    let large = TransformerConfig {
        width: 64,
        ..sizes()
    };
    let training = small.config().clone();
    assert!(matches!(
        Trainer::resume(&path, &large.into(), training, Device::Cpu),
        Err(TrainingError::Checkpoint(CheckpointError::Mismatch { .. }))
    ));
    // Nor does a file without the optimizer's state load half.
    let parameters = trainable(small.store());
    checkpoint::save(&path, 3, small.model().config(), &parameters).unwrap();
    let checkpoint = checkpoint::load(&path).unwrap().unwrap();
    assert!(small.restore(&checkpoint).is_err());
    assert_eq!(small.step_count(), 0);
}

#[test]
fn a_loss_that_is_no_number_stops_the_training_unchanged() {
    let (text, mut trainer) = (text(), trainer());
    let (_, mut table) = trainable(trainer.store()).swap_remove(0);
    let _ = no_grad(|| table.fill_(f64::NAN));
    let before = trainer.step_count();
    assert!(matches!(
        trainer.train(&text, 5, go_on),
        Err(TrainingError::Diverged { step: 0 })
    ));
    assert_eq!(trainer.step_count(), before);
    assert_eq!(trainer.optimizer.step_count(), 0);
}

#[test]
fn gradients_of_others_make_the_answer_better_for_them() {
    // A caller reads the representation through a linear map of its own, which it keeps.
    let mut trainer = trainer();
    let options = (tch::Kind::Float, Device::Cpu);
    let (reader, tokens, targets) = crate::seeded(3, || {
        let words = || Tensor::randint(50, [4, 16], (tch::Kind::Int64, Device::Cpu));
        (Tensor::randn([16, 50], options), words(), words())
    });
    let mut losses = Vec::new();
    for _ in 0..20 {
        let answer = no_grad(|| trainer.model().represent(&tokens)).set_requires_grad(true);
        let loss = cross_entropy(&answer.matmul(&reader), &targets);
        losses.push(loss.double_value(&[]));
        loss.backward();
        let norm = trainer.follow(&tokens, &answer.grad(), 3e-3, 1.0).unwrap();
        assert!(norm.is_some_and(f64::is_finite));
    }
    assert!(losses[19] < 0.8 * losses[0], "{losses:?}");
    assert_eq!(trainer.step_count(), 0, "the own training did not move");
    let nan = Tensor::full([4, 16, 16], f64::NAN, options);
    let before = trainer.model().represent(&tokens);
    assert_eq!(trainer.follow(&tokens, &nan, 3e-3, 1.0).unwrap(), None);
    assert_eq!(trainer.model().represent(&tokens), before);
}

#[test]
fn a_text_too_short_for_the_sequences_is_an_error() {
    let DataSet::Text { text, .. } = text() else {
        panic!("a text is one");
    };
    let length = 1 << 20;
    assert!(matches!(
        trainer().train_step(&DataSet::Text { text, length }),
        Err(TrainingError::Data(DataError::SampleTooLong { .. }))
    ));
}

#[test]
fn the_rate_rises_then_falls_and_stays() {
    let config = TrainingConfig {
        rate: 1.0,
        warmup_steps: 10,
        decay_steps: 100,
        ..TrainingConfig::default()
    };
    assert_eq!(config.rate_at(0), 0.1);
    assert_eq!(config.rate_at(9), 1.0);
    assert_eq!(config.rate_at(10), 1.0);
    assert!((config.rate_at(100) - 0.05).abs() < 1e-12);
    assert_eq!(config.rate_at(100), config.rate_at(1_000_000));
    let falls = (10..100).all(|step| config.rate_at(step) > config.rate_at(step + 1));
    assert!(falls);
}

/// Trains on the small images of the tests, and resumes in the middle.
#[test]
fn images_and_vectors_are_learned_and_resumed_as_text_is() {
    crate::set_threads(1);
    let place = crate::images::tests::folder(600, 60);
    for modality in [Modality::Image, Modality::Tensor] {
        let data = DataSet::load(modality, place.path(), 4).unwrap();
        let training = TrainingConfig {
            batch: 16,
            warmup_steps: 5,
            decay_steps: 60,
            ..TrainingConfig::default()
        };
        let path = place.path().join(format!("{modality:?}.safetensors"));
        let network = data.builtin(16);
        let resume = || Trainer::resume(&path, &network, training.clone(), Device::Cpu).unwrap();
        let mut whole = resume();
        let before = whole.evaluate(&data, Split::Evaluation, 4).unwrap();
        whole.train(&data, 40, go_on).unwrap();
        let after = whole.evaluate(&data, Split::Evaluation, 4).unwrap();
        assert!(after.loss < 0.3 * before.loss, "{before:?} to {after:?}");
        assert!(after.accuracy > 0.9, "{modality:?}: {after:?}");

        let mut half = resume();
        half.train(&data, 13, go_on).unwrap();
        half.save(&path).unwrap();
        let mut rest = resume();
        rest.train(&data, 40, go_on).unwrap();
        assert_eq!(rest.state(), whole.state(), "bit for bit");
        // Nor is the checkpoint of one modality taken for another's.
        let other = sizes().into();
        assert!(Trainer::resume(&path, &other, training.clone(), Device::Cpu).is_err());
    }
}
