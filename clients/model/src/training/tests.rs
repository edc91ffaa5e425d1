use std::io::Write;

use super::*;

/// A text that a small model learns quickly: sentences of a few words, in books.
fn text() -> Text {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for book in ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"] {
        for verse in 1..30 {
            let word = ["light", "water", "earth"][verse % 3];
            writeln!(file, "{book}1:{verse} and there was {word} upon the deep").unwrap();
        }
    }
    Text::load(file.path()).unwrap()
}

fn trainer() -> Trainer {
    crate::set_threads(1);
    let model = TransformerConfig {
        width: 32,
        layers: 1,
        heads: 2,
        context: 16,
        response_dim: 16,
        ..TransformerConfig::default()
    };
    let training = TrainingConfig {
        batch: 8,
        length: 16,
        warmup_steps: 5,
        decay_steps: 60,
        seed: 7,
        ..TrainingConfig::default()
    };
    Trainer::new(&model, training, Device::Cpu).unwrap()
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn the_loss_falls_on_text_that_was_not_trained_on() {
    let (text, mut trainer) = (text(), trainer());
    let before = trainer.evaluate(&text, Split::Evaluation, 4).unwrap();
    let mut steps = Vec::new();
    let record = |progress: Progress| {
        steps.push(progress.step);
        ControlFlow::Continue(())
    };
    trainer.train(&text, 60, record).unwrap();
    let after = trainer.evaluate(&text, Split::Evaluation, 4).unwrap();
    assert!(after < 0.5 * before, "{before} to {after}");
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
        ..small.model().config().clone()
    };
    let training = small.config().clone();
    assert!(matches!(
        Trainer::resume(&path, &large, training, Device::Cpu),
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
        let loss = next_token_loss(&answer.matmul(&reader), &targets);
        losses.push(loss.double_value(&[]));
        loss.backward();
        let norm = trainer.follow(&tokens, &answer.grad(), 3e-3, 1.0);
        assert!(norm.is_some_and(f64::is_finite));
    }
    assert!(losses[19] < 0.8 * losses[0], "{losses:?}");
    assert_eq!(trainer.step_count(), 0, "the own training did not move");
    let nan = Tensor::full([4, 16, 16], f64::NAN, options);
    let before = trainer.model().represent(&tokens);
    assert_eq!(trainer.follow(&tokens, &nan, 3e-3, 1.0), None);
    assert_eq!(trainer.model().represent(&tokens), before);
}

#[test]
fn a_text_too_short_for_the_sequences_is_an_error() {
    let text = text();
    let mut trainer = trainer();
    trainer.config.length = 1 << 20;
    assert!(matches!(
        trainer.train_step(&text),
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
