//! Callers without stake that do what they can to keep a neuron from the others.

use std::{
    net::SocketAddr,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::Duration,
};

use noesis_neuron::{signature::Envelope, signature::Method, Client, Failure, Modality, Peer};
use noesis_proto::v1::{self, neuron_client::NeuronClient};
use prost::Message;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{sleep, Instant},
};
use tonic::{transport::Endpoint, Request};

use super::{hotkey, key, message, tokens, GENESIS, SOON};

/// Connections that send a byte now and then.
const SLOW: usize = 24;
/// Calls, or connections, at once of each flood.
const AT_ONCE: usize = 8;
/// Between two waves of a flood.
const PAUSE: Duration = Duration::from_millis(50);

/// What is counted of each attack.
const COUNTED: [&str; 5] = [
    "bytes sent slowly",
    "connections opened",
    "calls without a signature refused",
    "calls without stake answered, or told that the neuron is busy",
    "bombs refused",
];

/// How often an attack has come so far.
type Count = Arc<AtomicUsize>;

/// The attacks, until this is dropped.
pub struct Abuse {
    abusers: JoinSet<()>,
    counts: [Count; COUNTED.len()],
}

/// All of it at once.
pub fn abuse(address: SocketAddr) -> Abuse {
    let counts: [Count; COUNTED.len()] = Default::default();
    let [bytes, opened, unsigned, poor, bombed] = counts.clone();
    let mut abusers = JoinSet::new();
    for _ in 0..SLOW {
        abusers.spawn(slow_bytes(address, bytes.clone()));
    }
    abusers.spawn(connections(address, opened));
    abusers.spawn(unsigned_streams(address, unsigned));
    abusers.spawn(calls_without_stake(address, poor));
    abusers.spawn(bombs(address, bombed));
    Abuse { abusers, counts }
}

impl Abuse {
    /// Waits until each attack has come once more. It panics where one has not by [`SOON`], or has ended: whoever
    /// measures abuse that does not take place measures calm.
    pub async fn goes_on(&mut self) {
        let (before, begun) = (self.counted(), Instant::now());
        loop {
            if let Some(ended) = self.abusers.try_join_next() {
                panic!("an attack has ended: {ended:?}");
            }
            let mut counts = COUNTED.iter().zip(before).zip(self.counted());
            let Some(((what, _), _)) = counts.find(|((_, before), now)| now <= before) else {
                return;
            };
            assert!(begun.elapsed() < SOON, "no more {what}");
            sleep(PAUSE).await;
        }
    }

    fn counted(&self) -> [usize; COUNTED.len()] {
        self.counts
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }
}

/// Counts what came as it should.
fn count(came: bool, count: &Count) {
    count.fetch_add(usize::from(came), Ordering::Relaxed);
}

/// The preface, a byte at a time.
async fn slow_bytes(address: SocketAddr, sent: Count) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
                if stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
                count(true, &sent);
                sleep(PAUSE).await;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Opened and dropped.
async fn connections(address: SocketAddr, opened: Count) {
    loop {
        let mut open = Vec::new();
        for _ in 0..AT_ONCE {
            let connection = TcpStream::connect(address).await;
            count(connection.is_ok(), &opened);
            open.push(connection);
        }
        sleep(PAUSE).await;
    }
}

/// Streams without a signature, many on one connection.
async fn unsigned_streams(address: SocketAddr, refused: Count) {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let client = NeuronClient::new(endpoint.connect_lazy());
    loop {
        let mut calls = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (mut client, refused) = (client.clone(), refused.clone());
            calls.spawn(async move {
                let status = client.forward(message()).await.expect_err("refused");
                let failure = Failure::from_status(&status);
                count(matches!(failure, Failure::Unauthenticated(_)), &refused);
            });
        }
        calls.join_all().await;
        sleep(PAUSE).await;
    }
}

/// Good calls of a neuron that is registered and has no stake.
async fn calls_without_stake(address: SocketAddr, told: Count) {
    let client = Client::new(key("//Poor"), GENESIS);
    let peer = Peer {
        hotkey: hotkey("//Miner"),
        endpoint: address.to_string(),
        certificate: None,
    };
    loop {
        let mut calls = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (client, peer, told) = (client.clone(), peer.clone(), told.clone());
            calls.spawn(async move {
                // As many as the answer has that the benchmark's neuron gives to all.
                let inputs = tokens([1, 64]);
                let answer = client.forward(&peer, Modality::Text, &inputs, SOON).await;
                count(matches!(answer, Ok(_) | Err(Failure::Busy)), &told);
            });
        }
        calls.join_all().await;
        sleep(PAUSE).await;
    }
}

/// Small frames that promise gigabytes, signed as they should be.
async fn bombs(address: SocketAddr, refused: Count) {
    let mut bomb = message();
    if let Some(inputs) = &mut bomb.inputs {
        inputs.encoding = v1::Encoding::Zstd.into();
        inputs.shape = vec![1, 1 << 27];
        inputs.data = zstd::bulk::compress(&vec![0; 1 << 24], 1)
            .expect("compresses")
            .into();
    }
    let body = bomb.encode_to_vec();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut client = NeuronClient::new(endpoint.connect_lazy());
    loop {
        let (sender, receiver) = (hotkey("//Poor"), hotkey("//Miner"));
        let envelope = Envelope::new(GENESIS, Method::Forward, sender, receiver, &body);
        let mut request = Request::new(bomb.clone());
        envelope.write(&key("//Poor"), request.metadata_mut());
        let status = client.forward(request).await.expect_err("refused");
        let failure = Failure::from_status(&status);
        count(matches!(failure, Failure::TooLarge(_)), &refused);
        sleep(PAUSE).await;
    }
}
