use super::*;
use crate::{
    ledger::Standing,
    run::{run, Attention, Connections, End, RunError},
    student::Distillation,
};
use noesis_model::{Modality, TransformerConfig};

const PEER: Hotkey = [1; 32];

/// A small model's.
fn settings() -> Settings {
    let model = TransformerConfig {
        width: 8,
        heads: 2,
        layers: 1,
        context: 8,
        response_dim: 4,
        ..TransformerConfig::default()
    };
    Settings {
        learner: LearnerConfig {
            model: model.into(),
            ..LearnerConfig::default()
        },
        assess_every: 2,
        ..Settings::default()
    }
}

fn validator(settings: Settings) -> Result<Validator, StartError> {
    noesis_model::set_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "in the beginning was the word. ".repeat(2000)).unwrap();
    let data = DataSet::load(Modality::Text, &path, 8).unwrap();
    let key = noesis_chain::keypair("//Validator").unwrap();
    let client = Client::new(key, [0; 32]);
    Validator::new(settings, client, &data, Device::Cpu, Events::default())
}

/// Every peer would say no to every question, and nobody would be paid.
#[test]
fn a_batch_that_no_peer_would_take_is_refused() {
    let with = |batch, student: bool| {
        let mut settings = settings();
        settings.batch = batch;
        settings.learner.student = student.then(Distillation::default);
        validator(settings).map(drop)
    };
    assert!(with(2048, false).is_ok());
    assert!(matches!(with(2049, false), Err(StartError::Batch { .. })));
    let refused = with(2048, true).unwrap_err().to_string();
    assert!(
        refused.contains("24576") && refused.contains("--batch"),
        "{refused}"
    );
}

/// One that cannot learn any more says so, and its checkpoint can.
#[tokio::test]
async fn a_run_that_diverges_ends_and_leaves_the_checkpoint_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(saved::FILE);
    let mut settings = settings();
    let good = validator(settings.clone()).unwrap();
    good.save(&path).unwrap();
    settings.learner.rate = f64::INFINITY;
    let mut diverging = validator(settings.clone()).unwrap();
    let connections = Connections {
        view: tokio::sync::watch::channel(None).1,
        scores: tokio::sync::watch::channel(Vec::new()).0,
        votes: tokio::sync::mpsc::channel(1).1,
    };
    let attention = Attention {
        ourselves: [0; 32],
        places: 1,
        exploration: 0.0,
    };
    let never = std::future::pending();
    let end = End::default();
    let told = |_: &Step, _: &[Candidate]| ();
    let ended = run(
        &mut diverging,
        connections,
        attention,
        &path,
        end,
        never,
        told,
    )
    .await;
    assert!(matches!(ended, Err(RunError::NotFinite)), "{ended:?}");
    assert!(!diverging.learner().is_finite());
    let (kept, _) = saved::open(&path, Device::Cpu).unwrap();
    assert!(kept.is_finite());
}

#[tokio::test]
async fn who_is_left_out_is_tried_again_though_nobody_else_is_there() {
    let mut validator = validator(settings()).unwrap();

    let mut standing = serde_json::to_value(Standing::default()).unwrap();
    standing["absent_for"] = 3.into();
    let standing: Standing = serde_json::from_value(standing).unwrap();
    validator.ledger = Ledger::restore([(PEER, standing)]);
    let alone = Candidate {
        uid: 0,
        hotkey: PEER,
        endpoint: "127.0.0.1:1".into(),
        certificate: None,
        incentive: 0.0,
        registered_at: 0,
    };
    let may_train = |validator: &Validator| validator.ledger().may_train(&PEER);
    for _ in 0..5 {
        validator.step(std::slice::from_ref(&alone)).await.unwrap();
        assert!(!may_train(&validator));
    }
    // After three times the steps between two assessments.
    validator.step(std::slice::from_ref(&alone)).await.unwrap();
    assert!(may_train(&validator));
}
