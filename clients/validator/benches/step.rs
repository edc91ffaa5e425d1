//! What a validator's step costs over the network, against the same model with the same peers in one process.
//!
//! `cargo bench --workspace --bench step` takes steps of both in turn: of the validator, whose eight peers answer over
//! signed gRPC on loopback, and of a learner of the same settings, for which the same networks compute one after the
//! other in its own thread. A step of the validator lasts until its peers have answered what it asks for the next one too,
//! which a validator does not wait for. Assessments are left out on both sides. Gradients are left out of a first run and sent in a
//! second, where a step lasts until all peers have followed theirs, on both sides; a validator does not wait for that, so
//! that its own steps are shorter. Peers of the network may compute on other cores, so it is the processor time of both that
//! is compared too. Last comes the same model trained by itself, without peers. `-- --device cuda` computes on a GPU.

#![allow(clippy::unwrap_used)] // a benchmark may

#[path = "support/peers.rs"]
mod peers;

use noesis_miner::{FeedbackRules, Miner, Settings as MinerSettings, Worker};
use noesis_model::{
    tch::{Cuda, Device},
    DataSet, DeviceChoice, Trainer, TrainingConfig,
};
use noesis_neuron::{
    serve, Caller, Callers, Client, Description, Failure, Hotkey, Limits, Model, Tensor, Treatment,
};
use noesis_validator::{
    backward::Treated,
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
use tokio::{sync::watch, time::timeout};

const GENESIS: [u8; 32] = [7; 32];
const PEERS: u8 = 8;
const WARM_UP: usize = 20;
const STEPS: usize = 200;
/// How long gradients may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() {
    noesis_model::set_threads(1);
    let arguments: Vec<String> = std::env::args().collect();
    let asked = arguments.iter().position(|one| one == "--device");
    let device = asked.map_or(DeviceChoice::Cpu, |at| arguments[at + 1].parse().unwrap());
    let device = device.resolve().unwrap();
    let data = peers::data();
    println!(
        "{STEPS} steps on {device:?} with {PEERS} peers, of which each coalition has about half, milliseconds a step:"
    );
    println!(
        "{:>16} {:>8} {:>10} {:>6}",
        "", "network", "in process", "ratio"
    );
    for (what, gradients) in [("without gradients", false), ("with gradients", true)] {
        let (ours, reference) = compare(&data, device, gradients).await;
        println!("{what}:");
        for (what, ours, reference) in [
            ("elapsed", ours.elapsed, reference.elapsed),
            ("processor time", ours.processor, reference.processor),
            (
                "steps a second",
                1e3 / ours.elapsed,
                1e3 / reference.elapsed,
            ),
        ] {
            println!(
                "{what:>16} {ours:>8.1} {reference:>10.1} {:>6.2}",
                ours / reference
            );
        }
    }
    println!("the same model trained directly, without peers:");
    println!("{:>16} {:>19.1}", "steps a second", directly(&data, device));
}

fn settings(gradients: bool) -> Settings {
    let mut settings = Settings {
        assess_every: u64::MAX,
        batches_before: if gradients { 0 } else { u64::MAX },
        ..Settings::default()
    };
    // Both sides are to have the same answers, those of somebody who is late by little too.
    settings.patience.shortest_grace = settings.patience.deadline;
    settings
}

fn rules(gradients: bool) -> FeedbackRules {
    FeedbackRules {
        quota: if gradients { u32::MAX } else { 0 },
        ..FeedbackRules::default()
    }
}

/// What a step takes over the network and in this process.
async fn compare(data: &DataSet, device: Device, gradients: bool) -> (Means, Means) {
    let (settings, rules) = (settings(gradients), rules(gradients));
    let (mut candidates, mut workers) = (Vec::new(), Vec::new());
    let key = noesis_chain::keypair("//Validator").unwrap();
    let callers = Callers::from_iter([(key.public_key().0, 1000)]);
    let callers = watch::channel(Arc::new(callers)).1;
    let (counts, mut peers_do) = watch::channel(Counts::default());
    let counts = Arc::new(counts);
    for seed in 0..PEERS {
        let trainer = peers::trained(data, seed.into(), 0, device);
        let counts = Arc::clone(&counts);
        let (candidate, worker) = miner(seed, trainer, rules, counts, callers.clone()).await;
        candidates.push(candidate);
        workers.push(worker);
    }
    let client = Client::new(key, GENESIS);
    let events = Events::default();
    let validator = Validator::new(settings.clone(), client, data, device, events);
    let mut validator = validator.unwrap();

    let mut peers: Vec<(Hotkey, Trainer)> = (candidates.iter().zip(0..))
        .map(|(one, seed)| (one.hotkey, peers::trained(data, seed, 0, device)))
        .collect();
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let own = OwnData::take(data, settings.own_data, &mut rng).unwrap();
    let mut learner = Learner::new(settings.learner.clone(), device).unwrap();

    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    let mut sent = 0;
    for step in 0..WARM_UP + STEPS {
        let begun = (Instant::now(), processor_time());
        let taken = validator.step(&candidates).await.unwrap();
        assert!(taken.answers.iter().all(|one| one.outcome == "ok"));
        if gradients {
            sent += taken.answers.len();
        }
        let all = peers_do.wait_for(|counts| counts.answering == 0 && counts.followed >= sent);
        drop(timeout(PATIENCE, all).await.unwrap().unwrap());
        finish(device);
        let ended = (begun.0.elapsed(), processor_time() - begun.1);
        assert!((taken.gradients.iter()).all(|(_, treated)| *treated == Treated::Applied));

        let begun = (Instant::now(), processor_time());
        let batch = own.sample(settings.batch, device, &mut rng);
        // The same as over the network: as many answers, and as many gradients.
        let coalition = (taken.answers.iter()).map(|one| peers[usize::from(one.uid)].0);
        let coalition: Vec<Hotkey> = coalition.collect();
        let round = learner.begin(&batch, &coalition, &[]);
        let answers = peers::answers(&peers, |peer| round.asks(peer), &batch.inputs);
        let finished = learner.finish(round, answers).unwrap();
        if gradients {
            for (hotkey, gradient) in &finished.gradients {
                let (_, peer) = peers.iter_mut().find(|(one, _)| one == hotkey).unwrap();
                let norm = peer.follow(&batch.inputs, gradient, rules.rate, rules.clip);
                assert!(norm.unwrap().is_some());
            }
        }
        finish(device);
        if step >= WARM_UP {
            ours.push(ended);
            reference.push((begun.0.elapsed(), processor_time() - begun.1));
        }
    }
    (Means::of(&ours), Means::of(&reference))
}

/// Steps a second of the validator's model, trained as a miner trains its own.
fn directly(data: &DataSet, device: Device) -> f64 {
    let settings = settings(false);
    let config = TrainingConfig {
        batch: settings.batch,
        ..TrainingConfig::default()
    };
    let mut trainer = Trainer::new(&settings.learner.model, config, device).unwrap();
    let mut begun = Instant::now();
    for step in 0..WARM_UP + STEPS {
        if step == WARM_UP {
            finish(device);
            begun = Instant::now();
        }
        trainer.train_step(data).unwrap();
    }
    finish(device);
    STEPS as f64 / begun.elapsed().as_secs_f64()
}

/// Waits for what a GPU was told to do: it does so later, and the next measurement would have it.
fn finish(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
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

/// What all miners do.
#[derive(Default)]
struct Counts {
    /// Questions that are being answered.
    answering: usize,
    /// Gradients that they are through with.
    followed: usize,
}

/// A miner of theirs.
struct Counted {
    miner: Miner,
    counts: Arc<watch::Sender<Counts>>,
}

impl Model for Counted {
    fn describe(&self) -> Description {
        self.miner.describe()
    }

    async fn forward(&self, caller: Caller, inputs: Tensor) -> Result<Tensor, Failure> {
        self.counts.send_modify(|counts| counts.answering += 1);
        let answer = self.miner.forward(caller, inputs).await;
        self.counts.send_modify(|counts| counts.answering -= 1);
        answer
    }

    async fn backward(
        &self,
        caller: Caller,
        inputs: Tensor,
        gradient: Tensor,
    ) -> Result<Treatment, Failure> {
        let treated = self.miner.backward(caller, inputs, gradient).await;
        self.counts.send_modify(|counts| counts.followed += 1);
        treated
    }
}

/// A miner on loopback.
async fn miner(
    seed: u8,
    trainer: Trainer,
    feedback: FeedbackRules,
    counts: Arc<watch::Sender<Counts>>,
    callers: watch::Receiver<Arc<Callers>>,
) -> (Candidate, Worker) {
    let identity = noesis_chain::keypair(&format!("//Miner//{seed}")).unwrap();
    let hotkey = identity.public_key().0;
    let settings = MinerSettings {
        feedback,
        ..MinerSettings::default()
    };
    let (worker, miner) = Worker::spawn(trainer, settings).unwrap();
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
        Counted { miner, counts },
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
