//! What a validator's step costs over the network, against the same model with the same peers in one process.
//!
//! `cargo bench --workspace --bench step` takes steps of both in turn: of the validator, whose eight peers answer over
//! signed gRPC on loopback, and of a learner of the same settings, for which the same networks compute one after the
//! other in its own thread. Assessments and gradients are left out on both sides. Peers of the network may compute on
//! other cores, so it is the processor time of both that is compared too.

#![allow(clippy::unwrap_used)] // a benchmark may

#[path = "support/peers.rs"]
mod peers;

use noesis_miner::{FeedbackRules, Settings as MinerSettings, Worker};
use noesis_model::{tch::Device, Trainer};
use noesis_neuron::{serve, Callers, Client, Hotkey, Limits};
use noesis_validator::{
    coalition,
    discover::Candidate,
    events::Events,
    examples::OwnData,
    learner::Learner,
    validator::{Settings, Validator},
};
use rand::{rngs::StdRng, SeedableRng};
use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

const GENESIS: [u8; 32] = [7; 32];
const PEERS: u8 = 8;
const WARM_UP: usize = 20;
const STEPS: usize = 200;

#[tokio::main]
async fn main() {
    noesis_model::set_threads(1);
    let data = peers::data();
    let settings = Settings {
        assess_every: u64::MAX,
        batches_before: u64::MAX, // no gradients
        ..Settings::default()
    };
    let (mut candidates, mut workers) = (Vec::new(), Vec::new());
    let key = noesis_chain::keypair("//Validator").unwrap();
    let callers = Callers::from_iter([(key.public_key().0, 1000)]);
    let callers = watch::channel(Arc::new(callers)).1;
    for seed in 0..PEERS {
        let trainer = peers::trained(&data, seed.into(), 0);
        let (candidate, worker) = miner(seed, trainer, callers.clone()).await;
        candidates.push(candidate);
        workers.push(worker);
    }
    let client = Client::new(key, GENESIS);
    let events = Events::default();
    let validator = Validator::new(settings.clone(), client, &data, Device::Cpu, events);
    let mut validator = validator.unwrap();

    let peers: Vec<(Hotkey, Trainer)> = (candidates.iter().zip(0..))
        .map(|(one, seed)| (one.hotkey, peers::trained(&data, seed, 0)))
        .collect();
    let keys: Vec<Hotkey> = peers.iter().map(|(hotkey, _)| *hotkey).collect();
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let own = OwnData::take(&data, settings.own_data, &mut rng).unwrap();
    let mut learner = Learner::new(settings.learner.clone(), Device::Cpu).unwrap();

    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for step in 0..WARM_UP + STEPS {
        let begun = (Instant::now(), processor_time());
        let taken = validator.step(&candidates).await.unwrap();
        let ended = (begun.0.elapsed(), processor_time() - begun.1);
        assert!(taken.answers.iter().all(|one| one.outcome == "ok"));

        let begun = (Instant::now(), processor_time());
        let batch = own.sample(settings.batch, Device::Cpu, &mut rng);
        let coalition = coalition::draw(&keys, settings.keep, &mut rng);
        let round = learner.begin(&batch, &coalition, &[]);
        let answers = peers::answers(&peers, |peer| round.asks(peer), &batch.inputs);
        learner.finish(round, answers).unwrap();
        if step >= WARM_UP {
            ours.push(ended);
            reference.push((begun.0.elapsed(), processor_time() - begun.1));
        }
    }
    let (ours, reference) = (Means::of(&ours), Means::of(&reference));
    println!("{STEPS} steps with {PEERS} peers, of which each coalition has about half, milliseconds a step:");
    println!(
        "{:>16} {:>8} {:>10} {:>6}",
        "", "network", "in process", "ratio"
    );
    for (what, ours, reference) in [
        ("elapsed", ours.elapsed, reference.elapsed),
        ("processor time", ours.processor, reference.processor),
    ] {
        println!(
            "{what:>16} {ours:>8.1} {reference:>10.1} {:>6.2}",
            ours / reference
        );
    }
}

/// Means in milliseconds.
struct Means {
    elapsed: f64,
    processor: f64,
}

impl Means {
    fn of(steps: &[(Duration, Duration)]) -> Self {
        let mean = |of: fn(&(Duration, Duration)) -> Duration| {
            let sum: Duration = steps.iter().map(of).sum();
            sum.as_secs_f64() * 1e3 / steps.len() as f64
        };
        Self {
            elapsed: mean(|step| step.0),
            processor: mean(|step| step.1),
        }
    }
}

/// A miner on loopback.
async fn miner(
    seed: u8,
    trainer: Trainer,
    callers: watch::Receiver<Arc<Callers>>,
) -> (Candidate, Worker) {
    let identity = noesis_chain::keypair(&format!("//Miner//{seed}")).unwrap();
    let hotkey = identity.public_key().0;
    let settings = MinerSettings {
        feedback: FeedbackRules {
            quota: 0,
            ..FeedbackRules::default()
        },
        ..MinerSettings::new(hotkey)
    };
    let (worker, model) = Worker::spawn(trainer, settings).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let candidate = Candidate {
        uid: seed.into(),
        hotkey,
        endpoint: listener.local_addr().unwrap().to_string(),
        certificate: None,
        incentive: 0.0,
        registered_at: 0,
    };
    // One clock for all: nothing before the start can be replayed.
    let limits = Limits {
        clock_skew: Duration::ZERO,
        ..Limits::default()
    };
    let serving = serve(
        listener,
        model,
        identity,
        GENESIS,
        callers,
        limits,
        pending(),
    );
    tokio::spawn(async move { serving.await.unwrap() });
    (candidate, worker)
}

/// What all threads of this process have computed: ticks of a hundredth of a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next().unwrap().parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks() + ticks()))
}
