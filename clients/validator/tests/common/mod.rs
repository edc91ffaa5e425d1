//! A market on the King James text: what the tests of it have in common.

#![allow(dead_code)] // each test program uses a part

#[path = "../../../model/tests/common/cache.rs"]
mod cache;

use noesis_miner::{Fault, Faulty, FeedbackRules, Settings as MinerSettings, Worker};
use noesis_model::{
    tch::{Device, Tensor},
    Batch, DataSet, Split, Text, Trainer, TrainingConfig, TransformerConfig,
};
use noesis_neuron::{serve, Callers, Client, Hotkey, Limits, Modality};
use noesis_validator::{
    discover::Candidate,
    events::Events,
    learner::LearnerConfig,
    validator::{Settings, Validator},
    wire,
};
use rand::{rngs::StdRng, SeedableRng};
use std::{
    future::pending,
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};
use tokio::sync::{watch, Mutex};

const GENESIS: [u8; 32] = [7; 32];
/// Steps of the well-trained miner: about 20 seconds on one core.
pub const TRAINED: u64 = 500;
/// Steps of the one that is not yet.
pub const BEGUN: u64 = 200;

/// The tests measure, so they run one after the other.
pub static ALONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

fn text() -> &'static Text {
    static TEXT: OnceLock<Text> = OnceLock::new();
    TEXT.get_or_init(|| Text::load(cache::data("king-james.txt")).expect("run scripts/setup first"))
}

pub fn data() -> DataSet {
    DataSet::Text {
        text: text().clone(),
        length: 64,
    }
}

/// A miner's model after so many steps on its own text; every call gives the same.
pub fn model(steps: u64) -> Trainer {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    noesis_model::set_threads(1);
    let config = TrainingConfig {
        decay_steps: steps,
        seed: 11,
        ..TrainingConfig::default()
    };
    let path = FOLDER.path().join(format!("{steps}.safetensors"));
    let mut trainer = Trainer::resume(
        &path,
        &TransformerConfig::default().into(),
        config,
        Device::Cpu,
    )
    .unwrap();
    while trainer.step_count() < steps {
        trainer.train_step(&data()).unwrap();
    }
    trainer.save(&path).unwrap();
    trainer
}

/// One validator's peers, each on a port of its own.
pub struct Market {
    pub client: Client,
    callers: watch::Receiver<Arc<Callers>>,
    pub candidates: Vec<Candidate>,
    pub workers: Vec<Worker>,
}

impl Market {
    pub fn new() -> Self {
        let validator = noesis_chain::keypair("//Validator").unwrap();
        let callers = Callers::from_iter([(validator.public_key().0, 1000)]);
        Self {
            client: Client::new(validator, GENESIS),
            callers: watch::channel(Arc::new(callers)).1,
            candidates: Vec::new(),
            workers: Vec::new(),
        }
    }

    /// Adds a miner with this model; returns its hotkey.
    pub async fn add(
        &mut self,
        trainer: Trainer,
        fault: Option<Fault>,
        feedback: FeedbackRules,
    ) -> Hotkey {
        let settings = MinerSettings {
            feedback,
            ..MinerSettings::default()
        };
        self.add_with(trainer, fault, settings).await
    }

    /// The same with all of its settings.
    pub async fn add_with(
        &mut self,
        trainer: Trainer,
        fault: Option<Fault>,
        settings: MinerSettings,
    ) -> Hotkey {
        let uid = self.candidates.len() as u16;
        let identity = noesis_chain::keypair(&format!("//Miner//{uid}")).unwrap();
        let hotkey = identity.public_key().0;
        let (worker, miner) = Worker::spawn(trainer, settings).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.candidates.push(Candidate {
            uid,
            hotkey,
            endpoint: listener.local_addr().unwrap().to_string(),
            certificate: None,
            incentive: 0.0,
            registered_at: 0,
        });
        // One clock for all: nothing before the start can be replayed.
        let limits = Limits {
            clock_skew: Duration::ZERO,
            ..Limits::default()
        };
        let serving = serve(
            listener,
            Faulty::new(miner, fault),
            identity,
            GENESIS,
            self.callers.clone(),
            limits,
            pending(),
        );
        tokio::spawn(async move { serving.await.unwrap() });
        self.workers.push(worker);
        hotkey
    }

    pub fn validator(&self, settings: Settings) -> Validator {
        let client = self.client.clone();
        Validator::new(settings, client, &data(), Device::Cpu, Events::default()).unwrap()
    }

    /// Their answers.
    pub async fn answers(&self, peers: &[Hotkey], batch: &Batch) -> Vec<(Hotkey, Tensor)> {
        let inputs = wire::inputs(&batch.inputs).unwrap();
        let mut shape = inputs.shape.clone();
        shape.push(64);
        let mut answers = Vec::new();
        for candidate in &self.candidates {
            if peers.contains(&candidate.hotkey) {
                let deadline = Duration::from_secs(30);
                let peer = candidate.peer();
                let answer = self
                    .client
                    .forward(&peer, Modality::Text, &inputs, deadline);
                let values = wire::answer(answer.await.unwrap(), &shape).unwrap();
                let tensor = wire::torch(&values, &shape, Device::Cpu).unwrap();
                answers.push((candidate.hotkey, tensor));
            }
        }
        answers
    }
}

/// Text that neither validator nor miners ever learn from.
pub fn held_out() -> Batch {
    let mut rng = StdRng::seed_from_u64(99);
    data().sample(Split::Evaluation, 128, &mut rng).unwrap()
}

pub fn refuses() -> FeedbackRules {
    FeedbackRules {
        quota: 0,
        ..FeedbackRules::default()
    }
}

pub fn settings(seed: u64) -> Settings {
    let mut settings = Settings {
        learner: LearnerConfig {
            seed,
            ..LearnerConfig::default()
        },
        // As little as a newcomer has.
        own_data: 40 * 1024,
        seed,
        ..Settings::default()
    };
    // What is learned is the question here, and not who is late on a busy machine.
    settings.patience.shortest_grace = Duration::from_millis(200);
    settings
}
