//! Callers without stake that do what they can to keep a neuron from the others.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::Duration,
};

use noesis_neuron::{
    signature::Envelope, signature::Method, Client, Failure, Limits, Modality, Peer,
};
use noesis_proto::v1::{self, neuron_client::NeuronClient};
use prost::Message;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{sleep, Instant},
};
use tonic::{
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
    Request,
};

use super::{bytes::BytesCodec, hotkey, key, message, rude::Rude, tokens, GENESIS, SOON};

/// Connections that send a byte now and then.
const SLOW: usize = 24;
/// Calls, or connections, at once of each flood.
const AT_ONCE: usize = 8;
/// Between two waves of a flood.
const PAUSE: Duration = Duration::from_millis(50);
/// Until a connection is opened again that was to be held.
const AGAIN: Duration = Duration::from_millis(250);
/// How many more than a bound lets in.
const MORE: usize = 8;
/// Who begins calls without an end: each has half of the places at most.
pub const UNENDING: [&str; 3] = ["//Poor//1", "//Poor//2", "//Poor//3"];

/// How often an attack has come so far.
type Count = Arc<AtomicUsize>;

/// The attacks, until this is dropped.
pub struct Abuse {
    abusers: JoinSet<()>,
    /// What is counted of each, and how often it has come.
    counts: Vec<(&'static str, Count)>,
}

/// All of it at once that stays within the bounds of a neuron.
pub fn abuse(address: SocketAddr) -> Abuse {
    let mut all = Abuse {
        abusers: JoinSet::new(),
        counts: Vec::new(),
    };
    let sent = all.counted("bytes sent slowly");
    for _ in 0..SLOW {
        all.abusers.spawn(slow_bytes(address, sent.clone()));
    }
    let opened = all.counted("connections opened");
    all.abusers.spawn(connections(address, opened));
    let refused = all.counted("calls without a signature refused");
    all.abusers.spawn(unsigned_streams(address, refused));
    let told = all.counted("calls without stake answered, or told that the neuron is busy");
    all.abusers.spawn(calls_without_stake(address, told));
    let refused = all.counted("calls in another's name refused");
    all.abusers.spawn(forged_calls(address, refused));
    let refused = all.counted("bombs refused, or told that the neuron is busy");
    all.abusers.spawn(bombs(address, refused));
    all
}

/// The same and, beside it, more streams on a connection, more calls, and more connections, of an address and in all, than
/// these bounds let in.
pub fn abuse_above(address: SocketAddr, limits: &Limits) -> Abuse {
    let mut all = abuse(address);
    let refused = all.counted("streams refused");
    let streams = limits.streams_per_connection as usize + MORE;
    all.abusers.spawn(many_streams(address, streams, refused));
    let busy = all.counted("calls without an end told that the neuron is busy");
    for uri in UNENDING {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect_lazy();
        for _ in 0..limits.calls_per_caller + MORE {
            all.abusers
                .spawn(unending_calls(channel.clone(), uri, busy.clone()));
        }
    }
    let ended = all.counted("held connections ended");
    let addresses = limits.connections.div_ceil(limits.connections_per_address);
    for number in 0..addresses {
        // 127.0.0.1 is everybody else's.
        let from = IpAddr::from(Ipv4Addr::new(127, 0, 1, number as u8 + 1));
        for _ in 0..limits.connections_per_address + MORE {
            all.abusers
                .spawn(held_connection(from, address, ended.clone()));
        }
    }
    all
}

impl Abuse {
    /// The count of one more attack.
    fn counted(&mut self, what: &'static str) -> Count {
        let count = Count::default();
        self.counts.push((what, count.clone()));
        count
    }

    /// Waits until each attack has come once more. It panics where one has not by [`SOON`], or has ended: whoever
    /// measures abuse that does not take place measures calm.
    pub async fn goes_on(&mut self) {
        let times = |count: &Count| count.load(Ordering::Relaxed);
        let before: Vec<usize> = self.counts.iter().map(|(_, count)| times(count)).collect();
        let begun = Instant::now();
        loop {
            if let Some(ended) = self.abusers.try_join_next() {
                panic!("an attack has ended: {ended:?}");
            }
            let mut attacks = self.counts.iter().zip(&before);
            let Some(((what, _), _)) =
                attacks.find(|((_, count), before)| times(count) <= **before)
            else {
                return;
            };
            assert!(begun.elapsed() < SOON, "no more {what}");
            sleep(PAUSE).await;
        }
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

/// Calls in the name of a neuron with stake, signed by another: what they are is known only when they are verified.
async fn forged_calls(address: SocketAddr, refused: Count) {
    let body = message().encode_to_vec();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let client = NeuronClient::new(endpoint.connect_lazy());
    let (sender, receiver) = (hotkey("//Validator"), hotkey("//Miner"));
    let forger = key("//Poor");
    loop {
        let mut calls = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (mut client, refused) = (client.clone(), refused.clone());
            let envelope = Envelope::new(GENESIS, Method::Forward, sender, receiver, &body);
            let mut request = Request::new(message());
            envelope.write(&forger, request.metadata_mut());
            calls.spawn(async move {
                let status = client.forward(request).await.expect_err("refused");
                let failure = Failure::from_status(&status);
                count(matches!(failure, Failure::Unauthenticated(_)), &refused);
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
        let told = matches!(failure, Failure::TooLarge(_) | Failure::Busy);
        count(told, &refused);
        sleep(PAUSE).await;
    }
}

/// Streams in waves on one connection, each of more than the neuron lets in.
async fn many_streams(address: SocketAddr, at_once: usize, refused: Count) {
    loop {
        if let Ok(mut line) = Rude::open(address.ip(), address).await {
            // Until the connection gives way to another.
            while line.call(at_once).await.is_ok() {
                sleep(PAUSE).await;
                let Ok(times) = line.refused().await else {
                    break;
                };
                refused.fetch_add(times, Ordering::Relaxed);
            }
        }
        sleep(PAUSE).await;
    }
}

/// Calls of a neuron that is registered and has no stake, whose bodies never end: each holds a place until another takes it.
async fn unending_calls(channel: Channel, uri: &'static str, busy: Count) {
    let (identity, receiver) = (key(uri), hotkey("//Miner"));
    let (sender, body) = (identity.public_key().0, message().encode_to_vec());
    let path = PathAndQuery::from_static("/noesis.v1.Neuron/Forward");
    loop {
        let envelope = Envelope::new(GENESIS, Method::Forward, sender, receiver, &body);
        let mut request = Request::new(tokio_stream::pending::<Vec<u8>>());
        envelope.write(&identity, request.metadata_mut());
        let mut grpc = Grpc::new(channel.clone());
        if grpc.ready().await.is_ok() {
            let answer = grpc
                .client_streaming(request, path.clone(), BytesCodec)
                .await;
            let status = answer.expect_err("a call without an end has no answer");
            count(Failure::from_status(&status) == Failure::Busy, &busy);
        }
        sleep(PAUSE).await;
    }
}

/// A connection over which nothing comes, opened again a while after the neuron has ended it.
async fn held_connection(from: IpAddr, address: SocketAddr, ended: Count) {
    loop {
        if let Ok(mut line) = Rude::open(from, address).await {
            while line.refused().await.is_ok() {}
            count(true, &ended);
        }
        sleep(AGAIN).await;
    }
}
