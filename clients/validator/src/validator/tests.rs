use super::*;
use crate::{
    backoff::LONGEST_PAUSE,
    ledger::Standing,
    market::View,
    run::{run, Attention, Connections, End, RunError},
    student::Distillation,
};
use market_primitives::Neuron;
use noesis_chain::Metagraph;
use noesis_miner::Worker;
use noesis_model::{Modality, Trainer, TrainingConfig, TransformerConfig};
use noesis_neuron::{serve, Callers, Limits};
use serde_json::json;
use tokio::sync::{mpsc, watch};

const PEER: Hotkey = [1; 32];
const ATTENTION: Attention = Attention {
    ourselves: [0; 32],
    places: 1,
    exploration: 0.0,
    every: Duration::ZERO,
};

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

/// A text of so many verses.
fn data(verses: usize) -> DataSet {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "in the beginning was the word. ".repeat(verses)).unwrap();
    DataSet::load(Modality::Text, &path, 8).unwrap()
}

fn validator(settings: Settings) -> Result<Validator, StartError> {
    validator_on(&data(2000), settings)
}

fn validator_on(data: &DataSet, settings: Settings) -> Result<Validator, StartError> {
    noesis_model::set_threads(1);
    let key = noesis_chain::keypair("//Validator").unwrap();
    let client = Client::new(key, [0; 32]);
    Validator::new(settings, client, data, Device::Cpu, Events::default())
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

/// Of one example nothing is ever measured.
#[test]
fn data_that_leave_an_assessment_one_example_are_refused() {
    let on = |verses| validator_on(&data(verses), settings()).map(drop);
    // A tenth of it to score by, of which 41 bytes make an example.
    let refused = on(150).unwrap_err().to_string();
    assert!(refused.contains("--data"), "{refused}");
    assert!(on(300).is_ok());
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
        view: watch::channel(None).1,
        scores: watch::channel(Vec::new()).0,
        votes: mpsc::channel(1).1,
    };
    let never = std::future::pending();
    let end = End::default();
    let told = |_: &Step, _: &[Candidate]| ();
    let ended = run(
        &mut diverging,
        connections,
        ATTENTION,
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

/// Nobody answers then, so that no assessment is ever finished.
#[tokio::test]
async fn where_all_go_dark_the_votes_are_told() {
    let mut validator = validator(settings()).unwrap();
    // It helped, and missed the last assessment.
    let standing: Standing = serde_json::from_value(json!({
        "fisher": { "sum": 1.0, "weight": 1.0, "count": 1 },
        "batches": 100,
        "evidence": { "weighted_mean": 1.0, "weighted_variance": 0.0, "weight": 1.0 },
        "assessments": 2,
        "missed": 1,
        "absences": 0,
        "absent_for": 0,
    }))
    .unwrap();
    validator.ledger = Ledger::restore([(PEER, standing)]);
    for _ in 0..9 {
        validator.back_off.failed(PEER, Instant::now());
    }
    validator.counted = Instant::now() - LONGEST_PAUSE;

    let folder = tempfile::tempdir().unwrap();
    let (seen, view) = watch::channel(None);
    seen.send_replace(Some(market_of(PEER, "127.0.0.1:1")));
    let (scores, told) = watch::channel(Vec::new());
    let connections = Connections {
        view,
        scores,
        votes: mpsc::channel(1).1,
    };
    let end = End {
        steps: Some(2),
        ..End::default()
    };
    let mut heard = Vec::new();
    run(
        &mut validator,
        connections,
        ATTENTION,
        &folder.path().join(saved::FILE),
        end,
        std::future::pending(),
        |_, peers| {
            assert_eq!(peers.len(), 1);
            heard.push(told.borrow().clone());
        },
    )
    .await
    .unwrap();
    assert_eq!(heard, [vec![(PEER, 1.0)], vec![(PEER, 0.0)]]);
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

/// A miner that serves on loopback, and takes no more in a call than a batch has.
async fn serving(settings: &Settings) -> (Worker, Candidate) {
    let (model, training) = (&settings.learner.model, TrainingConfig::default());
    let trainer = Trainer::new(model, training, Device::Cpu).unwrap();
    let identity = noesis_chain::keypair("//Miner").unwrap();
    let hotkey = identity.public_key().0;
    let limited = noesis_miner::Settings {
        positions_a_call: settings.batch * 8,
        ..noesis_miner::Settings::default()
    };
    let (worker, miner) = Worker::spawn(trainer, limited).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let candidate = Candidate {
        uid: 0,
        hotkey,
        endpoint: listener.local_addr().unwrap().to_string(),
        certificate: None,
        incentive: 0.0,
        registered_at: 0,
    };
    let caller = noesis_chain::keypair("//Validator").unwrap();
    let callers = Callers::from_iter([(caller.public_key().0, 1000)]);
    let callers = watch::channel(Arc::new(callers)).1;
    // One clock for all: nothing before the start can be replayed.
    let limits = Limits {
        clock_skew: Duration::ZERO,
        ..Limits::default()
    };
    let never = std::future::pending();
    let serving = serve(listener, miner, identity, [0; 32], callers, limits, never);
    tokio::spawn(async move { serving.await.unwrap() });
    (worker, candidate)
}

/// However soon the answers are there, a peer that takes as long keeps up.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_granted_the_time_in_which_nobody_waits_for_it() {
    const PAUSE: Duration = Duration::from_millis(40);
    let settings = settings();
    let (_worker, peer) = serving(&settings).await;
    let mut validator = validator(settings).unwrap();
    for _ in 0..80 {
        validator.step(std::slice::from_ref(&peer)).await.unwrap();
        tokio::time::sleep(PAUSE).await;
    }
    let granted = validator.pace.question(validator.settings.patience);
    assert!(granted > PAUSE, "{granted:?}");
}

/// A market of one neuron that serves there.
fn market_of(hotkey: Hotkey, endpoint: &str) -> Arc<View> {
    let metagraph = Metagraph {
        modality: Modality::Text,
        neurons: vec![Neuron {
            hotkey: hotkey.into(),
            coldkey: [99; 32].into(),
            endpoint: Some(endpoint.into()),
            ..Neuron::default()
        }],
        ..Metagraph::default()
    };
    Arc::new(View {
        block: 1,
        metagraph,
    })
}

/// Of a peer that takes no more in a call than that.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_asks_no_more_at_once_than_the_training() {
    let settings = Settings {
        batches_before: 0,
        ..settings()
    };
    let (_worker, peer) = serving(&settings).await;
    let mut validator = validator(settings).unwrap();
    let examples = noesis_model::held_out(&data(2000), 64).unwrap();
    let hotkey = peer.hotkey;
    validator.hold_out(&[peer], &examples).await;
    assert!(validator.ledger.takes(&hotkey).is_finite());
    let takes_them = validator.back_off.may_ask(&hotkey, Instant::now());
    assert!(takes_them, "it refused a question");
}

/// One that is started again when all its steps are done knows of no peer yet.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_measured_with_the_peers_though_no_step_is_left() {
    let settings = Settings {
        batches_before: 0,
        ..settings()
    };
    let (_worker, peer) = serving(&settings).await;
    let mut validator = validator(settings).unwrap();
    let (seen, view) = watch::channel(None);
    let market = market_of(peer.hotkey, &peer.endpoint);
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        seen.send_replace(Some(market));
        seen
    });
    let connections = Connections {
        view,
        scores: watch::channel(Vec::new()).0,
        votes: mpsc::channel(1).1,
    };
    let end = End {
        steps: Some(0),
        held_out: noesis_model::held_out(&data(2000), 16).unwrap(),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(saved::FILE);
    let never = std::future::pending();
    run(
        &mut validator,
        connections,
        ATTENTION,
        &path,
        end,
        never,
        |_, _| (),
    )
    .await
    .unwrap();
    drop(later.await.unwrap());
    assert!(
        validator.ledger.takes(&peer.hotkey).is_finite(),
        "not asked"
    );
}
