//! Callers without stake that do what they can to keep a neuron from the others.

use std::{net::SocketAddr, time::Duration};

use noesis_neuron::{signature::Envelope, signature::Method, Client, Modality, Peer};
use noesis_proto::v1::{self, neuron_client::NeuronClient};
use prost::Message;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::sleep};
use tonic::{transport::Endpoint, Request};

use super::{hotkey, key, message, tokens, GENESIS, SOON};

/// Connections that send a byte now and then.
const SLOW: usize = 24;
/// Calls, or connections, at once of each flood.
const AT_ONCE: usize = 8;
/// Between two waves of a flood.
const PAUSE: Duration = Duration::from_millis(50);

/// All of it at once, until the set is dropped.
pub fn abuse(address: SocketAddr) -> JoinSet<()> {
    let mut abusers = JoinSet::new();
    for _ in 0..SLOW {
        abusers.spawn(slow_bytes(address));
    }
    abusers.spawn(connections(address));
    abusers.spawn(unsigned_streams(address));
    abusers.spawn(calls_without_stake(address));
    abusers.spawn(bombs(address));
    abusers
}

/// The preface, a byte at a time.
async fn slow_bytes(address: SocketAddr) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
                if stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Opened and dropped.
async fn connections(address: SocketAddr) {
    loop {
        let mut open = Vec::new();
        for _ in 0..AT_ONCE {
            open.push(TcpStream::connect(address).await);
        }
        sleep(PAUSE).await;
    }
}

/// Streams without a signature, many on one connection.
async fn unsigned_streams(address: SocketAddr) {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let client = NeuronClient::new(endpoint.connect_lazy());
    loop {
        let mut calls = JoinSet::new();
        for _ in 0..AT_ONCE {
            let mut client = client.clone();
            calls.spawn(async move { client.forward(message()).await.map(drop) });
        }
        calls.join_all().await;
        sleep(PAUSE).await;
    }
}

/// Good calls of a neuron that is registered and has no stake.
async fn calls_without_stake(address: SocketAddr) {
    let client = Client::new(key("//Poor"), GENESIS);
    let peer = Peer {
        hotkey: hotkey("//Miner"),
        endpoint: address.to_string(),
        certificate: None,
    };
    loop {
        let mut calls = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (client, peer) = (client.clone(), peer.clone());
            calls.spawn(async move {
                let inputs = tokens([1, 8]);
                client
                    .forward(&peer, Modality::Text, &inputs, SOON)
                    .await
                    .map(drop)
            });
        }
        calls.join_all().await;
        sleep(PAUSE).await;
    }
}

/// Small frames that promise gigabytes, signed as they should be.
async fn bombs(address: SocketAddr) {
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
        assert!(client.forward(request).await.is_err());
        sleep(PAUSE).await;
    }
}
