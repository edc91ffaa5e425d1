//! Who is next at a process that answers one call at a time: who has more stake.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::Parser;
use common::{settings, Mode, Running, DIM};
use futures::future::{join_all, select_all};
use noesis_chain::{keypair, Keypair};
use noesis_miner::{config::Config, Remote, RemoteConfig, Settings};
use noesis_neuron::{Caller, Callers, Client, Failure, Limits, Modality, Model, Peer, Tensor};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

const GENESIS: [u8; 32] = [3; 32];
/// More time than anything here takes.
const LONG: Duration = Duration::from_secs(25);

/// The way to a process that waits before it answers, where so many calls may wait for it.
async fn waiting(process: &Running, queue: usize) -> Remote {
    let config = RemoteConfig {
        patience: LONG,
        ..process.config()
    };
    let settings = Settings {
        queue,
        ..settings()
    };
    let remote = Remote::connect(config, &settings).await.unwrap();
    process.turns(Mode::Waits);
    remote
}

fn token(token: i64) -> Tensor {
    Tensor::i64(vec![1, 1], vec![token]).unwrap()
}

/// A call that is on its way at once.
fn ask(remote: &Remote, stake: u64, number: i64) -> JoinHandle<Result<Tensor, Failure>> {
    let remote = remote.clone();
    let caller = Caller {
        hotkey: [1; 32],
        stake,
    };
    tokio::spawn(async move { remote.forward(caller, token(number)).await })
}

#[tokio::test]
async fn a_caller_with_stake_is_answered_before_all_who_wait_without() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = waiting(&process, 16).await;
    let answered = Arc::new(Mutex::new(Vec::new()));
    let ask = |stake, number| {
        let (call, answered) = (ask(&remote, stake, number), Arc::clone(&answered));
        tokio::spawn(async move {
            let answer = call.await.unwrap().unwrap();
            answered.lock().unwrap().push(number);
            answer
        })
    };
    // A flood: the first has been begun, and the others wait.
    let mut calls: Vec<_> = (1..=12).map(|number| ask(0, number)).collect();
    assert_eq!(process.asked(1).await, [1]);
    calls.push(ask(5, 100));
    tokio::task::yield_now().await;
    process.may_answer(calls.len());
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap().shape, [1, 1, DIM]);
    }
    let expected = [1, 100, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    assert_eq!(process.asked(expected.len()).await, expected);
    assert_eq!(*answered.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_call_that_lost_its_place_or_its_caller_never_reaches_the_process() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = waiting(&process, 2).await;
    let begun = ask(&remote, 0, 1);
    assert_eq!(process.asked(1).await, [1]);
    let (cancelled, waits) = (ask(&remote, 0, 2), ask(&remote, 0, 3));
    tokio::task::yield_now().await;
    let refused = ask(&remote, 0, 4).await.unwrap();
    assert_eq!(refused, Err(Failure::Busy));

    // Who went away leaves its place, and who has more stake gets that of who came last.
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());
    let displaced = ask(&remote, 0, 5);
    tokio::task::yield_now().await;
    let rich = ask(&remote, 5, 6);
    assert_eq!(displaced.await.unwrap(), Err(Failure::Busy));

    // What was begun goes on without its caller, and nothing beside it.
    begun.abort();
    assert!(begun.await.unwrap_err().is_cancelled());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(process.asked(1).await, [1]);
    process.may_answer(3);
    for answer in [rich, waits] {
        assert!(answer.await.unwrap().is_ok());
    }
    assert_eq!(process.asked(3).await, [1, 6, 3]);
}

/// Serves as the program does with these flags, to callers of this stake. Lasts as long as what is given back.
async fn serve(
    config: &Config,
    remote: Remote,
    callers: Callers,
) -> (Peer, watch::Sender<Arc<Callers>>) {
    let identity = keypair("//Miner").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer {
        hotkey: identity.public_key().0,
        endpoint: listener.local_addr().unwrap().to_string(),
        certificate: None,
    };
    let (known, watched) = watch::channel(Arc::new(callers));
    let limits = Limits {
        clock_skew: Duration::ZERO, // ready at once
        ..config.limits()
    };
    tokio::spawn(noesis_neuron::serve(
        listener,
        remote,
        identity,
        GENESIS,
        watched,
        limits,
        std::future::pending(),
    ));
    (peer, known)
}

#[tokio::test]
async fn with_the_flags_as_they_are_a_call_too_many_is_refused_or_takes_the_place_of_less_stake() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let flags = "noesis-miner --model remote localhost:1 --coldkey //A --hotkey //B";
    let config = Config::try_parse_from(flags.split(' ')).unwrap();
    let remote = waiting(&process, config.queue.into()).await;

    let rich = keypair("//Rich").unwrap();
    let poor = ["//One", "//Two", "//Three"].map(|uri| keypair(uri).unwrap());
    let stakes = poor.iter().map(|key| (key.public_key().0, 0));
    let stakes = stakes.chain([(rich.public_key().0, 5)]).collect();
    let (peer, _known) = serve(&config, remote, stakes).await;
    let client = |key: &Keypair| Client::new(key.clone(), GENESIS);
    let (rich, poor) = (client(&rich), poor.each_ref().map(client));
    while rich.describe(&peer, LONG).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    let ask = |client: &Client, number: i64| {
        let (client, peer) = (client.clone(), peer.clone());
        tokio::spawn(async move {
            let inputs = token(number);
            client.forward(&peer, Modality::Text, &inputs, LONG).await
        })
    };
    // One is asked, as many as may wait do, and one is too many.
    let calls = poor.iter().cycle().take(usize::from(config.queue) + 2);
    let calls: Vec<_> = calls.map(|client| ask(client, 0)).collect();
    let (refused, _, calls) = select_all(calls).await;
    assert_eq!(refused.unwrap(), Err(Failure::Busy));
    let richer = ask(&rich, 1);
    let (displaced, _, calls) = select_all(calls).await;
    assert_eq!(displaced.unwrap(), Err(Failure::Busy));

    process.may_answer(calls.len() + 1);
    assert!(richer.await.unwrap().is_ok());
    for answer in join_all(calls).await {
        assert!(answer.unwrap().is_ok());
    }
    let asked = process.asked(usize::from(config.queue) + 1).await;
    assert_eq!(asked[..3], [0, 1, 0], "{asked:?}");
}
