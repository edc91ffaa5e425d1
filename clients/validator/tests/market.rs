//! The market without its chain, in one process: a validator and miners over real gRPC on loopback, on the King
//! James text. Shows that the validator's loss falls because of its peers, and that what is no contribution gets no
//! weight.

// The configuration lets tests unwrap, and does not take their helpers for tests.
#![allow(clippy::unwrap_used)]

mod common;

use common::{data, held_out, model, refuses, settings, Market, ALONE, BEGUN, TRAINED};
use market_primitives::Share;
use noesis_miner::{Fault, FeedbackRules};
use noesis_model::{
    tch::{CModule, Device, Tensor},
    DataSet, Trainer, TrainingConfig,
};
use noesis_neuron::{Hotkey, Modality};
use noesis_validator::{
    ablation::Sign,
    discover::Candidate,
    events::Events,
    kept_answers::KeptAnswers,
    part::Parameters,
    run::{run, Attention, Connections, End},
    saved,
    student::{
        evaluate::compare,
        export::{export, Training},
        Distillation,
    },
    validator::{Settings, Step, Validator},
    weights,
};
use rand::{rngs::StdRng, Rng, SeedableRng};
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_falls_because_of_the_peers() {
    let _alone = ALONE.lock().await;
    let mut market = Market::new();
    let trained = market
        .add(model(TRAINED), None, FeedbackRules::default())
        .await;
    let begun = market
        .add(model(BEGUN), None, FeedbackRules::default())
        .await;
    let mut validator = market.validator(settings(1));
    for _ in 0..200 {
        validator.step(&market.candidates).await.unwrap();
    }
    let tokens = held_out();
    let answers = market.answers(&[trained, begun], &tokens).await;
    let (joined, alone) = validator.learner().evaluate(&tokens, &answers);
    println!("held-out loss after 200 steps: joined {joined:.3}, alone {alone:.3} nats a byte");
    assert!(joined < alone - 0.1, "joined {joined}, alone {alone}");
    let standing = validator.ledger().get(&trained).unwrap();
    assert_eq!(standing.evidence.sign(), Sign::Positive);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_contribution_gets_no_weight() {
    let _alone = ALONE.lock().await;
    let mut market = Market::new();
    let honest = FeedbackRules::default();
    let mut hotkeys = vec![
        market.add(model(TRAINED), None, honest).await,
        market.add(model(BEGUN), None, honest).await,
    ];
    for fault in [Fault::Noise, Fault::Silent, Fault::Nan, Fault::Leak] {
        let hotkey = market.add(model(BEGUN), Some(fault), refuses()).await;
        hotkeys.push(hotkey);
    }
    let mut validator = market.validator(settings(3));
    let mut assessments = 0;
    while assessments < 8 {
        let step = validator.step(&market.candidates).await.unwrap();
        assessments += u32::from(step.assessed);
        assert!(step.step < 600, "assessments are not finished");
    }
    let scores: Vec<(u16, f64)> = (validator.scores().into_iter())
        .filter_map(|(peer, score)| {
            let uid = hotkeys.iter().position(|hotkey| *hotkey == peer)?;
            Some((uid as u16, score))
        })
        .collect();
    let row = weights::row(&scores, 1, Share::ONE).unwrap();
    for (name, hotkey) in ["trained", "begun", "noise", "silent", "nan", "leak"]
        .iter()
        .zip(&hotkeys)
    {
        match validator.ledger().get(hotkey) {
            Some(standing) => println!(
                "{name}: fisher {:.4}, ablation {:+.3} ± {:.3}, score {:.4}",
                standing.fisher.value(),
                standing.evidence.mean(),
                standing.evidence.error(),
                standing.score()
            ),
            None => println!("{name}: never answered"),
        }
    }
    println!("weights {row:?}");
    let weight = |uid: u16| {
        row.iter()
            .find(|(one, _)| *one == uid)
            .map_or(0, |one| one.1)
    };
    assert_eq!(weight(0), u16::MAX, "the trained one gets most");
    assert!(weight(1) < weight(0), "more than the one that is not");
    for uid in 2..6 {
        assert_eq!(weight(uid), 0, "uid {uid} contributes nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_brings_everything_back_and_a_damaged_one_is_refused() {
    let _alone = ALONE.lock().await;
    let mut market = Market::new();
    let peer = market.add(model(BEGUN), None, refuses()).await;
    let quick = Settings {
        assess_every: 5,
        batches_before: 1,
        examples: 32,
        ..settings(4)
    };
    let mut validator = market.validator(quick.clone());
    for _ in 0..20 {
        validator.step(&market.candidates).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("validator.safetensors");
    validator.save(&path).unwrap();

    let mut resumed = market.validator(quick.clone());
    assert!(resumed.resume(&path).unwrap());
    let (kept, now) = (resumed.ledger(), validator.ledger());
    assert_eq!(kept.standings().count(), now.standings().count());
    for ((peer, kept), (same, now)) in kept.standings().zip(now.standings()) {
        assert_eq!((peer, kept.fisher.count), (same, now.fisher.count));
        // JSON may cost the last digit of a number.
        for (kept, now) in [
            (kept.fisher.value(), now.fisher.value()),
            (kept.took.value(), now.took.value()),
            (kept.evidence.mean(), now.evidence.mean()),
            (kept.evidence.error(), now.evidence.error()),
        ] {
            assert!((kept - now).abs() < 1e-9, "{kept} {now}");
        }
    }
    assert_eq!(kept.batches(&peer), now.batches(&peer));
    assert_eq!(resumed.learner().step_count(), 20);
    let tokens = held_out();
    let answers = market.answers(&[peer], &tokens).await;
    assert_eq!(
        resumed.learner().evaluate(&tokens, &answers),
        validator.learner().evaluate(&tokens, &answers)
    );
    resumed.step(&market.candidates).await.unwrap();

    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = market.validator(quick.clone()).resume(&path).unwrap_err();
    assert!(
        error.to_string().contains("validator.safetensors"),
        "{error}"
    );
    std::fs::write(&path, &bytes[..middle]).unwrap();
    assert!(market.validator(quick.clone()).resume(&path).is_err());
    std::fs::remove_file(&path).unwrap();
    assert!(!market.validator(quick).resume(&path).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_answers_it_goes_on_alone() {
    let _alone = ALONE.lock().await;
    let mut market = Market::new();
    market.add(model(BEGUN), None, refuses()).await;
    // Nobody listens there any more.
    market.candidates[0].endpoint = "127.0.0.1:1".into();
    let mut validator = market.validator(settings(5));
    for candidates in [&[][..], &market.candidates] {
        let first = validator.step(candidates).await.unwrap().loss;
        for _ in 0..30 {
            validator.step(candidates).await.unwrap();
        }
        assert!(validator.step(candidates).await.unwrap().loss < first);
    }
    assert!(validator
        .ledger()
        .scores()
        .iter()
        .all(|(_, score)| *score == 0.0));
}

/// Whoever has little text of its own learns from the network what its text alone does not teach; what is exported
/// answers as the student does, and the comparison needs no peer.
#[tokio::test(flavor = "multi_thread")]
async fn a_student_is_better_than_the_same_model_alone() {
    let _alone = ALONE.lock().await;
    let mut market = Market::new();
    market.add(model(TRAINED), None, refuses()).await;
    market.add(model(BEGUN), None, refuses()).await;
    // So little that whoever has nothing else soon knows it by heart.
    let mut settings = Settings {
        own_data: 12 * 1024,
        ..settings(6)
    };
    settings.learner.student = Some(Distillation::default());
    let mut validator = market.validator(settings.clone());
    for _ in 0..400 {
        validator.step(&market.candidates).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(saved::FILE);
    validator.save(&path).unwrap();
    validator.save_answers(&path).unwrap();
    drop((validator, market));

    let (learner, state) = saved::open(&path, Device::Cpu).unwrap();
    let kept = KeptAnswers::load(&KeptAnswers::beside(&path), &learner.config().model).unwrap();
    let comparison = compare(&learner, &kept, &data()).unwrap();
    println!("{comparison}");
    let over_all = |line: usize| comparison.lines[line].evaluation.unwrap();
    let (student, alone) = (over_all(2), over_all(3));
    // Over 65,536 tokens, and the more the longer it goes on: the one alone learns its text by heart.
    assert!(student < alone - 0.01, "student {student}, alone {alone}");
    assert!(comparison.examples >= 4 * 256);
    assert_eq!(comparison.student_steps, Some(400));

    let training = Training {
        data: "king-james.txt".into(),
        own_bytes: state.own_bytes,
        comparison,
    };
    let to = folder.path().join("student");
    export(learner.student().unwrap(), &training, &to).unwrap();
    let module = CModule::load(to.join("student.pt")).unwrap();
    let tokens = held_out().inputs.narrow(1, 0, 17);
    let student = learner.student().unwrap().network(Parameters::Average);
    let expected = student.predict(&student.represent(&tokens));
    let difference = (module.forward_ts(&[tokens]).unwrap() - expected)
        .abs()
        .max();
    assert!(difference.double_value(&[]) < 1e-5);
    let parameters = Tensor::read_safetensors(to.join("student.safetensors")).unwrap();
    let count: usize = parameters.iter().map(|(_, tensor)| tensor.numel()).sum();
    assert!(count > 100_000);
    let card = std::fs::read_to_string(to.join("README.md")).unwrap();
    assert!(
        card.contains("torch.jit.load") && card.contains("12288 bytes"),
        "{card}"
    );

    // One that learned without a student goes on with one, from a checkpoint of before.
    let without = folder.path().join("without.safetensors");
    settings.learner.student = None;
    let market = Market::new();
    market.validator(settings.clone()).save(&without).unwrap();
    settings.learner.student = Some(Distillation::default());
    assert!(market.validator(settings).resume(&without).unwrap());
}

/// Bright squares in one of four corners, as the files of Fashion-MNIST: a stripe of noise hides some.
fn pictures(folder: &std::path::Path) {
    let mut rng = StdRng::seed_from_u64(5);
    for (name, count) in [("train", 2000u32), ("t10k", 200)] {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        images.extend([0x0000_0803, count, 12, 12].map(u32::to_be_bytes).concat());
        labels.extend([0x0000_0801, count].map(u32::to_be_bytes).concat());
        for _ in 0..count {
            let label: u8 = rng.random_range(0..4);
            labels.push(label);
            let (top, left) = (usize::from(label / 2) * 6, usize::from(label % 2) * 6);
            for place in 0..144 {
                let (row, column) = (place / 12, place % 12);
                let inside = (top..top + 6).contains(&row) && (left..left + 6).contains(&column);
                let light = rng.random_range(0..200) + if inside { 40 } else { 0 };
                images.push(light.min(255) as u8);
            }
        }
        std::fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        std::fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

/// The same loop over pictures and over vectors: who knows them is paid, noise is not.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_vectors_are_traded_as_text_is() {
    let _alone = ALONE.lock().await;
    noesis_model::set_threads(1);
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    for modality in [Modality::Image, Modality::Tensor] {
        let data = DataSet::load(modality, folder.path(), 4).unwrap();
        let model = data.builtin(64);
        let trainer = |seed, steps| {
            let config = TrainingConfig {
                decay_steps: 200,
                seed,
                ..TrainingConfig::default()
            };
            let mut trainer = Trainer::new(&model, config, Device::Cpu).unwrap();
            while trainer.step_count() < steps {
                trainer.train_step(&data).unwrap();
            }
            trainer
        };
        let mut market = Market::new();
        let good = market.add(trainer(1, 200), None, refuses()).await;
        let noise = market
            .add(trainer(2, 0), Some(Fault::Noise), refuses())
            .await;
        let mut settings = Settings {
            own_data: 40 * 144,
            assess_every: 10,
            batches_before: 5,
            examples: 64,
            ..settings(8)
        };
        settings.learner.model = model.clone();
        settings.learner.student = Some(Distillation::default());
        let client = market.client.clone();
        let events = Events::default();
        let mut validator = Validator::new(settings, client, &data, Device::Cpu, events).unwrap();
        let mut assessments = 0;
        while assessments < 6 {
            let step = validator.step(&market.candidates).await.unwrap();
            assessments += u32::from(step.assessed);
            assert!(step.step < 400, "assessments are not finished");
        }
        let score = |peer| {
            let scores = validator.scores();
            scores
                .iter()
                .find(|(one, _)| *one == peer)
                .map_or(0.0, |one| one.1)
        };
        println!(
            "{modality:?}: {} for the trained, {} for noise",
            score(good),
            score(noise)
        );
        assert!(score(good) > 0.0, "{modality:?}");
        assert_eq!(score(noise), 0.0, "{modality:?}");

        let path = folder.path().join(saved::FILE);
        validator.save(&path).unwrap();
        validator.save_answers(&path).unwrap();
        let (learner, _) = saved::open(&path, Device::Cpu).unwrap();
        let kept = KeptAnswers::load(&KeptAnswers::beside(&path), &learner.config().model).unwrap();
        let training = Training {
            data: "pictures".into(),
            own_bytes: 0,
            comparison: compare(&learner, &kept, &data).unwrap(),
        };
        // The module is loaded again and compared there.
        let to = folder.path().join("student");
        export(learner.student().unwrap(), &training, &to).unwrap();
        std::fs::remove_dir_all(to).unwrap();
    }
}

/// What a kill at any moment would leave is looked at after each step.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_costs_few_steps_where_a_checkpoint_takes_longer_than_they() {
    let _alone = ALONE.lock().await;
    let market = Market::new();
    let mut validator = market.validator(settings(9));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(saved::FILE);
    let connections = Connections {
        view: watch::channel(None).1,
        scores: watch::channel(Vec::new()).0,
        votes: tokio::sync::mpsc::channel(1).1,
    };
    let attention = Attention {
        ourselves: [0; 32],
        places: 4,
        exploration: 0.25,
        every: std::time::Duration::ZERO,
    };
    let (sender, mut done) = watch::channel(0);
    let stop = async move { drop(done.wait_for(|steps| *steps >= 25).await) };
    let mut lost = Vec::new();
    let look = |step: &Step, _: &[Candidate]| {
        let kept = saved::open(&path, Device::Cpu).unwrap().0.step_count();
        lost.push(step.step - kept);
        sender.send_replace(step.step);
    };
    run(
        &mut validator,
        connections,
        attention,
        &path,
        End::default(),
        stop,
        look,
    )
    .await
    .unwrap();
    println!(
        "steps that a crash would have cost after each of {}: {lost:?}",
        lost.len()
    );
    assert!(
        lost.len() >= 25 && lost.iter().all(|lost| *lost <= 8),
        "{lost:?}"
    );
    assert_eq!(lost[0], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_dark_is_paid_no_more() {
    let _alone = ALONE.lock().await;
    let mut market = Market::new();
    let peers = [
        market.add(model(TRAINED), None, refuses()).await,
        market.add(model(BEGUN), None, refuses()).await,
    ];
    let mut validator = market.validator(Settings {
        assess_every: 10,
        batches_before: 4,
        examples: 64,
        ..settings(12)
    });
    let paid = |validator: &Validator, peer| {
        let mut scores = validator.scores().into_iter();
        scores.any(|(one, score)| one == peer && score > 0.0)
    };
    while !peers.iter().all(|peer| paid(&validator, *peer)) {
        let step = validator.step(&market.candidates).await.unwrap();
        assert!(step.step < 400, "not both were found to help");
    }
    // Nobody listens there.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    market.candidates[0].endpoint = closed.local_addr().unwrap().to_string();
    drop(closed);
    let mut assessments = 0;
    // One may have been under way.
    while assessments < 3 {
        let step = validator.step(&market.candidates).await.unwrap();
        assessments += u32::from(step.assessed);
        assert!(step.step < 800, "assessments are not finished");
    }
    assert_eq!(peers.map(|peer| paid(&validator, peer)), [false, true]);
}

/// Of two that answer with one model one is paid, and a restart does not forget it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_answer_with_one_model_the_sooner_is_paid() {
    let _alone = ALONE.lock().await;
    let mut market = Market::new();
    let first = market.add(model(TRAINED), None, refuses()).await;
    let other = market.add(model(BEGUN), None, refuses()).await;
    let copy = market.add(model(TRAINED), None, refuses()).await;
    let quick = Settings {
        assess_every: 10,
        batches_before: 4,
        examples: 64,
        ..settings(10)
    };
    let mut validator = market.validator(quick.clone());
    let mut assessments = 0;
    while assessments < 5 {
        let step = validator.step(&market.candidates).await.unwrap();
        assessments += u32::from(step.assessed);
        assert!(step.step < 400, "assessments are not finished");
    }
    let group = vec![first.min(copy), first.max(copy)];
    assert_eq!(
        validator.copies().groups(),
        [group],
        "and the other is none of them"
    );
    let of = |scores: Vec<(Hotkey, f64)>, peer| {
        let found = scores.into_iter().find(|(one, _)| *one == peer);
        found.map_or(0.0, |one| one.1)
    };
    let own = |peer| of(validator.ledger().scores(), peer);
    let paid = |peer| of(validator.scores(), peer);
    assert_eq!(paid(other), own(other));
    let (soonest, later) = match validator.ledger().takes(&first) < validator.ledger().takes(&copy)
    {
        true => (first, copy),
        false => (copy, first),
    };
    assert_eq!([paid(soonest), paid(later)], [own(soonest), 0.0]);
    assert!(own(soonest) > 0.0);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(saved::FILE);
    validator.save(&path).unwrap();
    let mut resumed = market.validator(quick);
    assert!(resumed.resume(&path).unwrap());
    assert_eq!(resumed.copies().groups(), validator.copies().groups());
    for (kept, now) in resumed.scores().iter().zip(validator.scores()) {
        // JSON may cost the last digit of a number.
        assert!(
            kept.0 == now.0 && (kept.1 - now.1).abs() < 1e-12,
            "{kept:?} {now:?}"
        );
    }
}
