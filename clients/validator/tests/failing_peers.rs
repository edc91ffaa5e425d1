//! Peers that are dead, silent or slow, over real gRPC on loopback: they hold up no step for long, are left alone for
//! ever longer, and come back by answering.

// The configuration lets tests unwrap, and does not take their helpers for tests.
#![allow(clippy::unwrap_used)]

use market_primitives::Modality;
use noesis_model::{tch::Device, DataSet, NetworkConfig, TransformerConfig};
use noesis_neuron::{
    serve, Caller, Callers, Client, Data, Description, Failure, Limits, Model, Tensor, Treatment,
};
use noesis_validator::{
    discover::Candidate,
    events::Events,
    validator::{Settings, Validator},
};
use std::{
    future::pending,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        Arc,
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

const GENESIS: [u8; 32] = [7; 32];
const DIM: usize = 64;

/// A model that answers numbers after a while; never where that is `u64::MAX` milliseconds.
#[derive(Clone)]
struct Delayed(Arc<AtomicU64>);

impl Model for Delayed {
    fn describe(&self) -> Description {
        Description {
            hotkey: [0; 32],
            modality: Modality::Text,
            response_dim: DIM as u32,
            sequence_limit: 64,
            model: "delayed".into(),
            parameters: 0,
            version: "0".into(),
        }
    }

    async fn forward(&self, _: Caller, inputs: Tensor) -> Result<Tensor, Failure> {
        match self.0.load(Relaxed) {
            u64::MAX => pending::<()>().await,
            milliseconds => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
        }
        let Data::I64(tokens) = inputs.data else {
            return Err(Failure::BadShape("tokens are i64".into()));
        };
        let values = (tokens.iter())
            .flat_map(|token| {
                (0..DIM as i64).map(move |place| ((token * 31 + place * 7) % 13) as f32)
            })
            .collect();
        Tensor::f32([inputs.shape.as_slice(), &[DIM]].concat(), values)
    }

    async fn backward(&self, _: Caller, _: Tensor, _: Tensor) -> Result<Treatment, Failure> {
        Ok(Treatment::Refused("not here".into()))
    }
}

/// Serves peers with these delays, none: nobody listens there.
async fn peers(delays: &[Option<Arc<AtomicU64>>]) -> (Client, Vec<Candidate>) {
    let validator = noesis_chain::keypair("//Validator").unwrap();
    let callers = Callers::from_iter([(validator.public_key().0, 1000)]);
    let callers = watch::channel(Arc::new(callers)).1;
    let mut candidates = Vec::new();
    for (uid, delay) in delays.iter().enumerate() {
        let identity = noesis_chain::keypair(&format!("//Peer//{uid}")).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        candidates.push(Candidate {
            uid: uid as u16,
            hotkey: identity.public_key().0,
            endpoint: listener.local_addr().unwrap().to_string(),
            certificate: None,
            incentive: 0.0,
            registered_at: 0,
        });
        let Some(delay) = delay else { continue };
        // One clock for all: nothing before the start can be replayed.
        let limits = Limits {
            clock_skew: Duration::ZERO,
            ..Limits::default()
        };
        let (model, callers) = (Delayed(Arc::clone(delay)), callers.clone());
        tokio::spawn(async move {
            let served = serve(
                listener,
                model,
                identity,
                GENESIS,
                callers,
                limits,
                pending(),
            );
            served.await.unwrap();
        });
    }
    (Client::new(validator, GENESIS), candidates)
}

fn delay(milliseconds: u64) -> Option<Arc<AtomicU64>> {
    Some(Arc::new(AtomicU64::new(milliseconds)))
}

/// A small validator on text of no meaning that assesses nobody.
fn validator(client: Client) -> Validator {
    validator_with(Settings::default(), 1_000_000, client)
}

/// The same that assesses so often, on few examples.
fn validator_with(settings: Settings, assess_every: u64, client: Client) -> Validator {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    std::fs::write(&file, "In the beginning was the word.\n".repeat(1000)).unwrap();
    let mut settings = Settings {
        batch: 2,
        own_data: 4096,
        assess_every,
        ..settings
    };
    settings.learner.model = NetworkConfig::Transformer(TransformerConfig {
        width: 16,
        layers: 1,
        ..TransformerConfig::default()
    });
    let data = DataSet::load(Modality::Text, &file, 64).unwrap();
    Validator::new(settings, client, &data, Device::Cpu, Events::default()).unwrap()
}

/// The time that 95 in a hundred of so many steps stay below.
async fn p95(delays: &[Option<Arc<AtomicU64>>], steps: usize) -> Duration {
    let (client, candidates) = peers(delays).await;
    let mut validator = validator(client);
    // Until it knows what a step takes.
    for _ in 0..25 {
        validator.step(&candidates).await.unwrap();
    }
    let mut times = Vec::new();
    for _ in 0..steps {
        let began = Instant::now();
        validator.step(&candidates).await.unwrap();
        times.push(began.elapsed());
    }
    times.sort();
    times[steps * 95 / 100]
}

/// How many times as long a step takes where six of twenty peers fail as where all are healthy, p95 against p95. Side by
/// side, so that whatever else the machine does, it does to both.
///
/// Of the six two are not there, two take calls and never answer, one answers long after the deadline, and one `slow`.
async fn lengthened(healthy: u64, slow: u64) -> f64 {
    let good: Vec<_> = (0..20).map(|_| delay(healthy)).collect();
    let mut mixed = good.clone();
    let bad = [
        None,
        None,
        delay(u64::MAX),
        delay(u64::MAX),
        delay(10_000),
        delay(slow),
    ];
    mixed.splice(..bad.len(), bad);
    let (good, mixed) = tokio::join!(p95(&good, 60), p95(&mixed, 60));
    let ratio = mixed.as_secs_f64() / good.as_secs_f64();
    println!(
        "p95 of a step: {good:?} with healthy peers, {mixed:?} with 6 of 20 failing: {ratio:.2}"
    );
    assert!(good >= Duration::from_millis(healthy));
    ratio
}

#[tokio::test(flavor = "multi_thread")]
async fn with_three_in_ten_dead_or_slow_a_step_takes_at_most_half_as_long_again() {
    noesis_model::set_threads(1);
    let ratio = lengthened(500, 1500).await;
    assert!(ratio < 1.5, "{ratio}");
    // Where the healthy are quick, who is slow beside them must not be waited for as if they were not.
    let ratio = lengthened(200, 400).await;
    assert!(ratio < 1.5, "{ratio}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_fails_is_asked_ever_more_seldom_and_comes_back_by_answering() {
    noesis_model::set_threads(1);
    let fails = delay(u64::MAX);
    let (client, candidates) = peers(&[delay(50), delay(50), delay(50), fails.clone()]).await;
    let mut validator = validator(client);
    let began = Instant::now();
    let mut asked = Vec::new();
    while began.elapsed() < Duration::from_secs(12) {
        let step = validator.step(&candidates).await.unwrap();
        if step.answers.iter().any(|answer| answer.uid == 3) {
            asked.push(began.elapsed());
        }
    }
    // After 0, 0.25, 0.75, 1.75, 3.75, 7.75 seconds at the earliest, and 15.75 is not reached.
    assert!((3..=6).contains(&asked.len()), "{asked:?}");
    for (pause, pair) in [250, 500, 1000, 2000, 4000]
        .into_iter()
        .zip(asked.windows(2))
    {
        let paused = pair[1] - pair[0];
        assert!(paused >= Duration::from_millis(pause), "{asked:?}");
    }

    fails.unwrap().store(50, Relaxed);
    let mut answered = 0;
    while answered < 5 {
        let step = validator.step(&candidates).await.unwrap();
        answered += usize::from(
            step.answers
                .iter()
                .any(|one| one.uid == 3 && one.outcome == "ok"),
        );
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it never came back"
        );
    }
}

/// What a question is granted in training, it is granted there too, of as many as there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_keeps_up_with_the_training_is_not_cut_off_in_an_assessment() {
    noesis_model::set_threads(1);
    let (client, candidates) = peers(&[delay(5), delay(5), delay(5), delay(110)]).await;
    let settings = Settings {
        examples: 64, // in 32 questions
        batches_before: 1,
        unhurried: Duration::from_millis(500),
        ..Settings::default()
    };
    let mut validator = validator_with(settings, 40, client);
    let (mut assessed, mut late) = (0, 0);
    while assessed < 2 {
        let step = validator.step(&candidates).await.unwrap();
        assessed += usize::from(step.assessed);
        if validator.learner().step_count() >= 40 {
            let answers = step.answers.iter();
            late += answers.filter(|one| one.outcome == "late").count();
        }
        // Its questions are under way meanwhile.
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    assert_eq!(late, 0, "it does not keep up");
    let standing = validator.ledger().get(&candidates[3].hotkey).unwrap();
    let standing = serde_json::to_value(standing).unwrap();
    assert_eq!(standing["missed"], 0, "{standing}");
    assert_ne!(standing["assessments"], 0, "{standing}");
}

/// What a peer is worth is known of how it answers where there is time, not of how the training's clock goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_late_for_the_training_is_still_assessed() {
    noesis_model::set_threads(1);
    let slow = delay(20);
    let (client, candidates) = peers(&[delay(20), delay(20), delay(20), slow.clone()]).await;
    let settings = Settings {
        examples: 8,
        batches_before: 1,
        ..Settings::default()
    };
    let mut validator = validator_with(settings, 4, client);
    // Until it knows what a step takes.
    for _ in 0..40 {
        validator.step(&candidates).await.unwrap();
    }
    slow.unwrap().store(400, Relaxed);
    let (mut assessed, mut late) = (0, 0);
    while assessed < 6 {
        let step = validator.step(&candidates).await.unwrap();
        let answers = step.answers.iter();
        late += answers.filter(|one| one.outcome == "late").count();
        assessed += usize::from(step.assessed);
    }
    assert!(late > 0, "it was waited for");
    let standing = validator.ledger().get(&candidates[3].hotkey).unwrap();
    let standing = serde_json::to_value(standing).unwrap();
    assert_eq!(standing["missed"], 0, "{standing}");
    assert_ne!(standing["assessments"], 0, "{standing}");
}
