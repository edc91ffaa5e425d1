//! A neuron under load and among rude callers: bounded, and alive afterwards.

mod common;

use std::{sync::Arc, time::Duration};

use common::{
    echo, envelope, key, limits, message, rude::Rude, start, tokens, validator, Mood, Toy, SOON,
};
use noesis_neuron::{
    signature::{Envelope, Method},
    Client, Failure, Limits, Modality,
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
    time::{timeout, Instant},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A model that answers a call for each notice that it is given.
fn waiting() -> (Toy, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let mood = Mood::Waits(go.clone());
    let toy = Toy {
        mood,
        ..Toy::default()
    };
    (toy, go)
}

#[tokio::test]
async fn a_full_queue_is_busy_at_once() {
    let (toy, go) = waiting();
    let limits = Limits {
        calls: 2,
        ..limits()
    };
    let neuron = start(toy, limits).await;
    let mut calls = Vec::new();
    for _ in 0..2 {
        let peer = neuron.peer();
        calls.push(tokio::spawn(async move {
            validator()
                .forward(&peer, Modality::Text, &tokens([1, 3]), SOON)
                .await
        }));
    }
    while neuron.reached() < 2 {
        tokio::task::yield_now().await;
    }
    let asked = Instant::now();
    let third = neuron.forward(&tokens([1, 3])).await;
    assert_eq!(third, Err(Failure::Busy));
    assert!(asked.elapsed() < SOON / 2);
    assert_eq!(neuron.reached(), 2);
    for call in calls {
        go.notify_one();
        assert_eq!(call.await.expect("no panic"), Ok(echo(&tokens([1, 3]))));
    }
    // The places are free again.
    go.notify_one();
    neuron.assert_answers().await;
}

#[tokio::test]
async fn one_caller_cannot_take_every_place() {
    let (toy, go) = waiting();
    let limits = Limits {
        calls: 2,
        calls_per_caller: 1,
        ..limits()
    };
    let neuron = start(toy, limits).await;
    let peer = neuron.peer();
    let first = tokio::spawn(async move {
        validator()
            .forward(&peer, Modality::Text, &tokens([1, 3]), SOON)
            .await
    });
    while neuron.reached() < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(neuron.forward(&tokens([1, 3])).await, Err(Failure::Busy));
    let other = Client::new(key("//Other"), common::GENESIS);
    assert!(other.describe(&neuron.peer(), SOON).await.is_ok());
    go.notify_one();
    assert!(first.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_its_place() {
    let toy = Toy {
        mood: Mood::Silent,
        ..Toy::default()
    };
    let limits = Limits {
        calls: 1,
        ..limits()
    };
    let neuron = start(toy, limits).await;
    let inputs = tokens([1, 3]);
    for _ in 0..2 {
        let late = validator()
            .forward(
                &neuron.peer(),
                Modality::Text,
                &inputs,
                Duration::from_millis(200),
            )
            .await;
        assert_eq!(late, Err(Failure::Deadline));
    }
    let free = async {
        while validator().describe(&neuron.peer(), SOON).await == Err(Failure::Busy) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, free).await.expect("the place is free");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_ended_by_the_neuron() {
    let toy = Toy {
        mood: Mood::Silent,
        ..Toy::default()
    };
    let limits = Limits {
        call_time: Duration::from_millis(100),
        ..limits()
    };
    let neuron = start(toy, limits).await;
    let answer = neuron.forward(&tokens([1, 3])).await;
    assert_eq!(answer, Err(Failure::Deadline));
}

#[tokio::test]
async fn those_without_stake_fill_only_their_half_of_the_memory_of_requests() {
    let limits = Limits {
        replay_capacity: 4,
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let poor = Client::new(key("//Poor"), common::GENESIS);
    for _ in 0..2 {
        assert!(poor.describe(&neuron.peer(), SOON).await.is_ok());
    }
    let third = poor.describe(&neuron.peer(), SOON).await;
    assert_eq!(third, Err(Failure::Busy));
    neuron.assert_answers().await;
    neuron.assert_answers().await;
    let third = neuron.forward(&tokens([1, 3])).await;
    assert_eq!(third, Err(Failure::Busy), "full");
}

#[tokio::test]
async fn garbage_at_the_port() {
    let neuron = start(Toy::default(), limits()).await;
    let http1 = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let zeros = vec![0; 70_000];
    let half = PREFACE[..10].to_vec();
    // A good preface, then a frame of 16 MB that never comes, then one of an unknown type.
    let long = [PREFACE, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat();
    let unknown = [PREFACE, &[0, 0, 1, 0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 7]].concat();
    for garbage in [http1, zeros, half, long, unknown] {
        let mut stream = TcpStream::connect(neuron.address).await.expect("connects");
        let _ = stream.write_all(&garbage).await; // it may hang up before the end
        drop(stream);
        neuron.assert_answers().await;
    }
}

/// How long the neuron lets `stream` live.
async fn lifetime(stream: &mut TcpStream) -> Duration {
    let opened = Instant::now();
    let mut buffer = [0; 1024];
    let ended = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
    timeout(SOON, ended).await.expect("the neuron hangs up");
    opened.elapsed()
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let limits = Limits {
        handshake: Duration::from_millis(100),
        idle: Duration::from_millis(400),
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let mut mute = TcpStream::connect(neuron.address).await.expect("connects");
    assert!(lifetime(&mut mute).await >= Duration::from_millis(90));
    let mut lazy = TcpStream::connect(neuron.address).await.expect("connects");
    let settings = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    lazy.write_all(&settings).await.expect("written");
    assert!(lifetime(&mut lazy).await >= Duration::from_millis(390));
    neuron.assert_answers().await;
}

#[tokio::test]
async fn old_connections_are_closed_and_their_callers_come_again() {
    let limits = Limits {
        connection_age: Duration::from_millis(100),
        call_time: Duration::from_millis(200),
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let mut old = TcpStream::connect(neuron.address).await.expect("connects");
    let settings = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    old.write_all(&settings).await.expect("written");
    assert!(lifetime(&mut old).await >= Duration::from_millis(90));
    let client = validator();
    let inputs = tokens([1, 3]);
    let begun = Instant::now();
    let mut first = None;
    loop {
        let asked = Instant::now();
        // A call may meet the very end of a connection; the next one gets a new one.
        let answer = client
            .forward(&neuron.peer(), Modality::Text, &inputs, SOON)
            .await;
        if answer.is_ok() {
            let first = *first.get_or_insert_with(Instant::now);
            // 300 ms after the first answer its connection is closed.
            if asked >= first + Duration::from_millis(500) {
                break;
            }
        }
        assert!(begun.elapsed() < SOON, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Opens fifty connections, of which the neuron is to keep so many, the last among them, which it greets with its
/// settings; those that are open when no more are, or [`SOON`].
async fn flood(neuron: &common::Running, keeps: usize) -> Vec<TcpStream> {
    let mut flood = Vec::new();
    for _ in 0..50 {
        flood.push(TcpStream::connect(neuron.address).await.expect("connects"));
    }
    let mut buffer = [0; 1024];
    let last = flood.last_mut().expect("fifty");
    let greeted = timeout(SOON, last.read(&mut buffer)).await;
    assert!(matches!(greeted, Ok(Ok(1..))), "{greeted:?}");
    let begun = Instant::now();
    loop {
        let mut open = Vec::new();
        for mut stream in flood {
            let ends = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
            if timeout(Duration::from_millis(200), ends).await.is_err() {
                open.push(stream);
            }
        }
        if open.len() <= keeps || begun.elapsed() >= SOON {
            return open;
        }
        flood = open;
    }
}

#[tokio::test]
async fn one_address_does_not_take_the_room_of_all() {
    let limits = Limits {
        connections: 20,
        connections_per_address: 3,
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    assert_eq!(flood(&neuron, 3).await.len(), 3);
}

#[tokio::test]
async fn a_flood_of_connections_is_bounded_and_keeps_nobody_with_stake_out() {
    let limits = Limits {
        connections: 4,
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let early = validator();
    let inputs = tokens([1, 3]);
    let ask = |client: Client| {
        let (peer, inputs) = (neuron.peer(), inputs.clone());
        async move { client.forward(&peer, Modality::Text, &inputs, SOON).await }
    };
    assert!(ask(early.clone()).await.is_ok());
    let flood = flood(&neuron, 3).await;
    assert_eq!(flood.len(), 3, "and the validator's");
    // Who comes late gets the room of one that has proven nothing, as often as it likes.
    assert!(ask(validator()).await.is_ok());
    assert!(ask(early).await.is_ok());
}

#[tokio::test]
async fn streams_beyond_a_connections_bound_are_refused_and_others_are_answered() {
    let limits = Limits {
        streams_per_connection: 4,
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let mut rude = Rude::open(neuron.address.ip(), neuron.address)
        .await
        .expect("connects");
    rude.call(10).await.expect("written");
    neuron.assert_answers().await;
    let mut refused = 0;
    let all = async {
        while refused < 6 {
            refused += rude.refused().await.expect("it stays open");
        }
    };
    timeout(SOON, all).await.expect("refused");
    assert_eq!(refused, 6);
    neuron.assert_answers().await;
}

#[tokio::test]
async fn streams_beyond_a_connections_bound_wait_and_keep_nobody_else_waiting() {
    let (toy, go) = waiting();
    let limits = Limits {
        streams_per_connection: 2,
        ..limits()
    };
    let neuron = start(toy, limits).await;
    let poor = Client::new(key("//Poor"), common::GENESIS);
    // Now the client knows the bound.
    assert!(poor.describe(&neuron.peer(), SOON).await.is_ok());
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let (poor, peer) = (poor.clone(), neuron.peer());
        calls.spawn(async move {
            poor.forward(&peer, Modality::Text, &tokens([1, 3]), SOON)
                .await
        });
    }
    let reached = |calls| {
        let neuron = &neuron;
        async move {
            while neuron.reached() < calls {
                tokio::task::yield_now().await;
            }
        }
    };
    reached(2).await;
    for _ in 0..3 {
        assert!(validator().describe(&neuron.peer(), SOON).await.is_ok());
    }
    assert_eq!(neuron.reached(), 2);
    // Each that is answered lets one in.
    for calls in 3..=5 {
        go.notify_one();
        reached(calls).await;
    }
    go.notify_one();
    go.notify_one();
    let answers = calls.join_all().await;
    assert!(
        answers
            .iter()
            .all(|answer| *answer == Ok(echo(&tokens([1, 3])))),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_caller_that_sends_slowly_is_cut_off_and_delays_nobody() {
    let limits = Limits {
        call_time: Duration::from_millis(300),
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    // A body that is promised, signed, and never ends.
    let body = message().encode_to_vec();
    let mut request = tonic::Request::new(tokio_stream::pending::<Vec<u8>>());
    envelope(&body).write(&key("//Validator"), request.metadata_mut());
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", neuron.address))
        .expect("an address")
        .connect()
        .await
        .expect("connects");
    let slow = tokio::spawn(async move {
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.expect("ready");
        let path =
            tonic::codegen::http::uri::PathAndQuery::from_static("/noesis.v1.Neuron/Forward");
        let answer = grpc
            .client_streaming(request, path, common::bytes::BytesCodec)
            .await;
        answer.map_err(|status| Failure::from_status(&status))
    });
    neuron.assert_answers().await;
    let answer = timeout(SOON, slow)
        .await
        .expect("cut off")
        .expect("no panic");
    assert!(matches!(answer, Err(Failure::Deadline)), "{answer:?}");
}

#[tokio::test]
async fn a_caller_that_reads_slowly_holds_only_its_own_places() {
    let limits = Limits {
        calls_per_caller: 2,
        connection_age: Duration::from_millis(500),
        call_time: Duration::from_millis(500),
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    // Window of zero: the answer's bytes can never be sent.
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", neuron.address))
        .expect("an address")
        .initial_stream_window_size(0_u32)
        .connect()
        .await
        .expect("connects");
    let mut calls = Vec::new();
    for _ in 0..2 {
        let mut request = tonic::Request::new(message());
        envelope(&message().encode_to_vec()).write(&key("//Validator"), request.metadata_mut());
        let mut client = noesis_proto::v1::neuron_client::NeuronClient::new(channel.clone());
        calls.push(tokio::spawn(async move { client.forward(request).await }));
    }
    while neuron.reached() < 2 {
        tokio::task::yield_now().await;
    }
    let other = Client::new(key("//Other"), common::GENESIS);
    assert!(other.describe(&neuron.peer(), SOON).await.is_ok());
    // The connection's age ends it.
    for call in calls {
        assert!(timeout(SOON, call)
            .await
            .expect("ends")
            .expect("no panic")
            .is_err());
    }
    let free = async {
        while neuron.forward(&tokens([1, 3])).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, free).await.expect("the places are free");
}

/// Two calls of a caller that never reads their answers.
async fn slow_readers(neuron: &common::Running, uri: &str) -> JoinSet<bool> {
    // Window of zero: the answer's bytes can never be sent.
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", neuron.address))
        .expect("an address")
        .initial_stream_window_size(0_u32)
        .connect()
        .await
        .expect("connects");
    let mut calls = JoinSet::new();
    for _ in 0..2 {
        let body = message().encode_to_vec();
        let (sender, receiver) = (common::hotkey(uri), common::hotkey("//Miner"));
        let envelope = Envelope::new(common::GENESIS, Method::Forward, sender, receiver, &body);
        let mut request = tonic::Request::new(message());
        envelope.write(&key(uri), request.metadata_mut());
        let mut client = noesis_proto::v1::neuron_client::NeuronClient::new(channel.clone());
        calls.spawn(async move { client.forward(request).await.is_ok() });
    }
    while neuron.reached() < 2 {
        tokio::task::yield_now().await;
    }
    calls
}

#[tokio::test]
async fn a_caller_that_reads_slowly_gives_way_to_one_with_more_stake() {
    let limits = Limits {
        calls: 2,
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let slow = slow_readers(&neuron, "//Poor").await;
    timeout(SOON, neuron.assert_answers())
        .await
        .expect("at once");
    let answered = timeout(SOON, slow.join_all()).await.expect("cut off");
    assert_eq!(answered, [false, false]);
}

#[tokio::test]
async fn a_caller_that_never_reads_gives_way_to_anybody_in_the_end() {
    let limits = Limits {
        calls: 2,
        call_time: Duration::from_millis(300),
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let begun = Instant::now();
    let _slow = slow_readers(&neuron, "//Validator").await;
    let other = Client::new(key("//Other"), common::GENESIS);
    let mut answer = Err(Failure::Busy);
    while answer == Err(Failure::Busy) && begun.elapsed() < SOON {
        answer = other.describe(&neuron.peer(), SOON).await;
        tokio::task::yield_now().await;
    }
    assert!(answer.is_ok(), "{answer:?}");
    assert!(begun.elapsed() >= Duration::from_millis(300), "not at once");
}

#[tokio::test]
async fn a_request_seen_before_costs_nobody_a_place() {
    let (toy, go) = waiting();
    let limits = Limits {
        calls: 1,
        ..limits()
    };
    let neuron = start(toy, limits).await;
    go.notify_one();
    let envelope = envelope(&message().encode_to_vec());
    let rich = key("//Validator");
    let first = neuron.send_as(message(), &envelope, &rich).await;
    assert!(first.is_ok(), "{first:?}");
    let peer = neuron.peer();
    let poor = tokio::spawn(async move {
        let client = Client::new(key("//Poor"), common::GENESIS);
        client
            .forward(&peer, Modality::Text, &tokens([1, 3]), SOON)
            .await
    });
    while neuron.reached() < 2 {
        tokio::task::yield_now().await;
    }
    let again = neuron.send_as(message(), &envelope, &rich).await;
    assert_eq!(again, Err(Failure::Replayed));
    go.notify_one();
    assert!(poor.await.expect("no panic").is_ok());
}

/// The median time of a call of `//Validator`, all of which must be answered: of so many that several waves of abuse
/// fall among them.
async fn median_call(neuron: &common::Running, client: &Client) -> Duration {
    let inputs = tokens([1, 8]);
    let mut times = Vec::new();
    for _ in 0..1000 {
        let asked = Instant::now();
        let answer = client
            .forward(&neuron.peer(), Modality::Text, &inputs, SOON)
            .await;
        times.push(asked.elapsed());
        assert_eq!(answer, Ok(echo(&inputs)));
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
async fn those_with_stake_never_queue_behind_callers_without() {
    let limits = Limits {
        connections_per_address: 200,
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let client = validator();
    let calm = median_call(&neuron, &client).await;
    let mut abusers = common::abuse::abuse(neuron.address);
    abusers.goes_on().await;
    let abused = median_call(&neuron, &client).await;
    abusers.goes_on().await;
    drop(abusers);
    // The bench `abuse` has the figures; here, whatever else the machine does, no queue has formed.
    assert!(
        abused < calm * 5 + Duration::from_millis(20),
        "{calm:?} to {abused:?}"
    );
}

#[tokio::test]
async fn a_caller_with_more_stake_gets_the_place_of_one_with_less() {
    let toy = Toy {
        mood: Mood::Silent,
        ..Toy::default()
    };
    let limits = Limits {
        calls: 2,
        ..limits()
    };
    let neuron = start(toy, limits).await;
    let ask = |uri: &'static str| {
        let peer = neuron.peer();
        tokio::spawn(async move {
            let client = Client::new(key(uri), common::GENESIS);
            client
                .forward(&peer, Modality::Text, &tokens([1, 3]), SOON)
                .await
        })
    };
    let reached = |calls| {
        let neuron = &neuron;
        async move {
            while neuron.reached() < calls {
                tokio::task::yield_now().await;
            }
        }
    };
    let first = ask("//Poor");
    reached(1).await;
    let second = ask("//Poor");
    reached(2).await;
    // As poor as they: busy. Richer: the one that came last goes.
    assert_eq!(ask("//Poor").await.expect("no panic"), Err(Failure::Busy));
    let richer = ask("//Other");
    let gone = timeout(SOON, second)
        .await
        .expect("told")
        .expect("no panic");
    assert_eq!(gone, Err(Failure::Busy));
    let richest = ask("//Validator");
    let gone = timeout(SOON, first).await.expect("told").expect("no panic");
    assert_eq!(gone, Err(Failure::Busy));
    reached(4).await;
    assert!(!richer.is_finished() && !richest.is_finished());
}
