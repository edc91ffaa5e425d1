//! What a signed Forward costs over loopback, against raw tonic with the same bytes and the bare hashes
//! and signatures (and compression and decompression, where there is any) beside it.
//!
//! `cargo bench -p noesis-neuron --bench serving` prints, for answers of several shapes in every
//! encoding, the bytes of the answer on the wire, the median times, and the ratio: how much of the
//! reference's throughput is left. The reference is given the bytes; what it takes to make bytes of the numbers, and
//! numbers of the bytes, stands beside it, with the ratio to both together. What is compared is taken in turn, so that what
//! else the machine does disturbs all alike, and medians count. `-- --queries 100000` asks for the smallest instead, prints how
//! much memory is resident when as many requests are remembered as ever are at that rate, and how much in the course of so
//! many queries more, and fails where that is over 5 % more in the end.

#![allow(clippy::unwrap_used)] // a benchmark may

#[path = "../tests/common/raw.rs"]
mod raw;

use std::{
    collections::HashMap,
    hint::black_box,
    process::ExitCode,
    str::FromStr,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex,
    },
    time::{Duration, Instant},
};

use noesis_neuron::{
    serve, signature::now_milliseconds, Caller, Callers, Client, Description, Failure, Formats,
    Limits, Modality, Model, Peer, Tensor, Treatment,
};
use noesis_proto::{v1, Bytes};
use prost::Message;
use raw::Raw;
use subxt_signer::{
    sr25519::{verify, Keypair},
    SecretUri,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::sleep};

const GENESIS: [u8; 32] = [9; 32];
const ENCODINGS: [&str; 8] = [
    "f32",
    "f16",
    "bf16",
    "int8",
    "f32,zstd",
    "f16,zstd",
    "bf16,zstd",
    "int8,zstd",
];
/// Rounds of a row, each a call of each kind: at least so many, and at least this long.
const ROUNDS: usize = 60;
const ROW: Duration = Duration::from_secs(2);
/// Calls before any is counted.
const WARM: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);
/// Calls at once of `--queries`.
const AT_ONCE: u64 = 8;
/// How long a request is remembered, and a little: the memory grows until then.
const REMEMBERED: Duration = Duration::from_secs(33);
/// By how much more the memory may have grown after `--queries`.
const MOST_GROWTH: f64 = 0.05;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` asks every benchmark to list itself.
    if arguments
        .iter()
        .any(|one| one == "--test" || one == "--list")
    {
        return ExitCode::SUCCESS;
    }
    let asked = arguments.iter().position(|one| one == "--queries");
    let queries = asked.map(|at| arguments[at + 1].parse::<u64>().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        match queries {
            Some(queries) => soak(queries).await,
            None => {
                table().await;
                ExitCode::SUCCESS
            }
        }
    })
}

fn key(uri: &str) -> Keypair {
    Keypair::from_uri(&SecretUri::from_str(uri).unwrap()).unwrap()
}

/// Answers that were made beforehand, and taken one a call.
#[derive(Clone)]
struct Precomputed {
    answers: Arc<Mutex<Vec<Tensor>>>,
    answer: Arc<Tensor>,
}

impl Model for Precomputed {
    fn describe(&self) -> Description {
        Description {
            hotkey: [0; 32],
            modality: Modality::Text,
            response_dim: *self.answer.shape.last().unwrap() as u32,
            sequence_limit: 0,
            model: "precomputed".into(),
            parameters: 0,
            version: String::new(),
        }
    }

    async fn forward(&self, _: Caller, _: Tensor) -> Result<Tensor, Failure> {
        let ready = self.answers.lock().unwrap().pop();
        Ok(ready.unwrap_or_else(|| (*self.answer).clone()))
    }

    async fn backward(&self, _: Caller, _: Tensor, _: Tensor) -> Result<Treatment, Failure> {
        Ok(Treatment::Applied)
    }
}

/// A neuron that gives this answer.
async fn neuron(answer: Tensor) -> (Precomputed, Peer) {
    let model = Precomputed {
        answers: Arc::default(),
        answer: Arc::new(answer),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer {
        hotkey: key("//Miner").public_key().0,
        endpoint: listener.local_addr().unwrap().to_string(),
        certificate: None,
    };
    let known: HashMap<_, _> = [(key("//Validator").public_key().0, 1)].into();
    let (sender, callers) = watch::channel(Arc::new(Callers(known)));
    let limits = Limits {
        clock_skew: Duration::ZERO,
        replay_capacity: 1 << 20,
        replay_capacity_per_caller: 1 << 20,
        ..Limits::default()
    };
    let served = model.clone();
    tokio::spawn(async move {
        let _sender = sender;
        let identity = key("//Miner");
        serve(
            listener,
            served,
            identity,
            GENESIS,
            callers,
            limits,
            std::future::pending(),
        )
        .await
    });
    let begun = now_milliseconds();
    while now_milliseconds() < begun + 20 {
        sleep(Duration::from_millis(5)).await;
    }
    (model, peer)
}

/// Values as a model's are: spread around nothing.
fn answer(shape: [usize; 3]) -> Tensor {
    let mut state = 1_u64;
    let values = (0..shape.iter().product::<usize>()).map(|_| {
        let sum: f32 = (0..4)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 40) as f32 / (1 << 24) as f32 - 0.5
            })
            .sum();
        sum * 1.7
    });
    Tensor::f32(shape, values.collect()).unwrap()
}

fn tokens(shape: [usize; 3]) -> Tensor {
    let count = shape[0] * shape[1];
    let values = (0..count).map(|index| index as i64 * 31 % 256);
    Tensor::i64([shape[0], shape[1]], values.collect()).unwrap()
}

async fn table() {
    println!(
        "{:>13} {:>9} {:>10} {:>9} {:>9} {:>9} {:>10} {:>9} {:>6} {:>7}",
        "answer",
        "encoding",
        "bytes",
        "ours ms",
        "tonic ms",
        "bare ms",
        "numbers ms",
        "more ms",
        "ratio",
        "to all"
    );
    for shape in [[1, 64, 64], [8, 64, 256], [32, 64, 1024]] {
        for encoding in ENCODINGS {
            measure(shape, encoding).await;
        }
    }
}

async fn measure(shape: [usize; 3], encoding: &str) {
    let formats: Formats = encoding.parse().unwrap();
    let (answer, inputs) = (answer(shape), tokens(shape));
    let response = v1::ForwardResponse {
        response: Some(answer.to_wire_in(formats).unwrap()),
    };
    let response = Bytes::from(response.encode_to_vec());
    let exact = Formats {
        zstd: false,
        ..formats
    };
    let plain = answer.to_wire_in(exact).unwrap();
    let uncompressed = plain.data.clone();
    let compressed = zstd::bulk::compress(&uncompressed, 1).unwrap();
    let request = v1::ForwardRequest {
        modality: v1::Modality::Text.into(),
        inputs: Some(inputs.to_wire().unwrap()),
        formats: None,
    };
    let request = Bytes::from(request.encode_to_vec());
    let (model, peer) = neuron(answer).await;
    let client = Client::new(key("//Validator"), GENESIS).taking(formats);
    let raw = Raw::start(response.clone()).await;

    let mut times: [Vec<Duration>; 4] = Default::default();
    let begun = Instant::now();
    for round in 0.. {
        if round >= ROUNDS + WARM && begun.elapsed() >= ROW {
            break;
        }
        let fresh = (*model.answer).clone();
        model.answers.lock().unwrap().push(fresh);
        let start = Instant::now();
        let given = client
            .forward(&peer, Modality::Text, &inputs, PATIENCE)
            .await;
        let ours = start.elapsed();
        black_box(given.unwrap());

        let start = Instant::now();
        let echoed = raw.call(request.clone()).await;
        let tonic = start.elapsed();
        assert_eq!(echoed.len(), response.len());

        let start = Instant::now();
        bare(&request, &response);
        if formats.zstd {
            black_box(zstd::bulk::compress(&uncompressed, 1).unwrap());
            black_box(zstd::bulk::decompress(&compressed, uncompressed.len()).unwrap());
        }
        let bare = start.elapsed();

        let start = Instant::now();
        black_box(model.answer.to_wire_in(exact).unwrap());
        black_box(Tensor::from_wire(&plain).unwrap());
        let numbers = start.elapsed();
        if round >= WARM {
            for (times, time) in times.iter_mut().zip([ours, tonic, bare, numbers]) {
                times.push(time);
            }
        }
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    let [ours, tonic, bare, numbers] = times
        .each_ref()
        .map(|times| times[times.len() / 2].as_secs_f64() * 1e3);
    println!(
        "{:>13} {encoding:>9} {:>10} {ours:>9.3} {tonic:>9.3} {bare:>9.3} {numbers:>10.3} {:>9.3} {:>6.2} {:>7.2}",
        format!("{shape:?}").replace(' ', ""),
        response.len(),
        ours - tonic - bare,
        (tonic + bare) / ours,
        (tonic + bare + numbers) / ours,
    );
}

/// The hashes and signatures of one call, at both ends.
fn bare(request: &[u8], response: &[u8]) {
    for (body, uri) in [(request, "//Validator"), (response, "//Miner")] {
        let key = identity(uri);
        let signature = key.sign(blake3::hash(body).as_bytes());
        let hash = blake3::hash(body);
        assert!(verify(&signature, hash.as_bytes(), &key.public_key()));
    }
}

/// The key, derived once.
fn identity(uri: &'static str) -> Keypair {
    static KEYS: Mutex<Option<HashMap<&'static str, Keypair>>> = Mutex::new(None);
    let mut keys = KEYS.lock().unwrap();
    let keys = keys.get_or_insert_with(HashMap::new);
    keys.entry(uri).or_insert_with(|| key(uri)).clone()
}

/// Asks and asks, and looks at the memory: first when requests are forgotten as fast as others come, since until then it
/// grows by what is remembered. Nobody pauses for that: another rate before it would mean another number of them.
async fn soak(queries: u64) -> ExitCode {
    let shape = [1, 64, 64];
    let (_model, peer) = neuron(answer(shape)).await;
    let client = Client::new(key("//Validator"), GENESIS);
    let asked = Arc::new(AtomicU64::new(0));
    let mut callers: JoinSet<()> = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (client, peer, asked) = (client.clone(), peer.clone(), asked.clone());
        callers.spawn(async move {
            let inputs = tokens(shape);
            loop {
                client
                    .forward(&peer, Modality::Text, &inputs, PATIENCE)
                    .await
                    .unwrap();
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let begin = Instant::now();
    sleep(REMEMBERED).await;
    let (warm, before) = (asked.load(Ordering::Relaxed), resident_mib());
    println!(
        "{warm:>9} queries to warm up, {:>6.0} a second: {before:.1} MiB resident",
        warm as f64 / begin.elapsed().as_secs_f64()
    );
    let (begin, mut growth) = (Instant::now(), 0.0);
    for tenth in 1..=10 {
        let so_many = tenth * queries / 10;
        while asked.load(Ordering::Relaxed) < warm + so_many {
            if let Some(ended) = callers.try_join_next() {
                panic!("a caller has ended: {ended:?}");
            }
            sleep(Duration::from_millis(10)).await;
        }
        let now = resident_mib();
        growth = now / before - 1.0;
        println!(
            "{so_many:>9} queries after that, {:>6.0} a second: {now:.1} MiB resident, {:+.1} %",
            so_many as f64 / begin.elapsed().as_secs_f64(),
            growth * 100.0
        );
    }
    if growth > MOST_GROWTH {
        println!(
            "FAILED: the memory is to be at most {:.0} % above what it was after the warm-up",
            MOST_GROWTH * 100.0
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn resident_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0 / (1 << 20) as f64
}
