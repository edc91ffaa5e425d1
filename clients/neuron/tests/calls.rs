//! Calls that are answered: every method, every modality, health, reflection, shutdown.

mod common;

use std::time::Duration;

use common::{
    echo, envelope, hotkey, key, limits, message, start, tokens, validator, Mood, Toy, DIM,
    GENESIS, SOON,
};
use noesis_neuron::{Client, Description, Failure, Limits, Modality, Tensor, Treatment};
use noesis_proto::v1;
use prost::Message;
use tokio::time::{timeout, Instant};
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic_health::pb::{
    health_check_response::ServingStatus, health_client::HealthClient, HealthCheckRequest,
};
use tonic_reflection::pb::v1::{
    server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse, ServerReflectionRequest,
};

#[tokio::test]
async fn describe_tells_who_answers() {
    let neuron = start(Toy::default(), limits()).await;
    let described = validator().describe(&neuron.peer(), SOON).await;
    assert_eq!(
        described,
        Ok(Description {
            hotkey: hotkey("//Miner"), // whatever the model says
            modality: Modality::Text,
            response_dim: DIM,
            sequence_limit: 1 << 20,
            model: "toy".into(),
            parameters: 7,
            version: "1".into(),
        })
    );
}

#[tokio::test]
async fn forward_answers_text() {
    let neuron = start(Toy::default(), limits()).await;
    neuron.assert_answers().await;
}

#[tokio::test]
async fn forward_answers_images_and_tensors() {
    let image = Tensor::f32([2, 3, 8, 8], vec![0.5; 384]).expect("fits");
    let tensor = Tensor::f32([2, 3, 5], vec![0.5; 30]).expect("fits");
    for (modality, inputs) in [(Modality::Image, image), (Modality::Tensor, tensor)] {
        let toy = Toy {
            modality,
            ..Toy::default()
        };
        let neuron = start(toy, limits()).await;
        let answer = validator()
            .forward(&neuron.peer(), modality, &inputs, SOON)
            .await;
        assert_eq!(answer, Ok(echo(&inputs)));
    }
}

#[tokio::test]
async fn megabytes_go_both_ways() {
    let neuron = start(Toy::default(), limits()).await;
    let inputs = tokens([64, 4096]); // 2 MiB there, 2 MiB back as f16
    assert_eq!(neuron.forward(&inputs).await, Ok(echo(&inputs)));
}

#[tokio::test]
async fn values_beyond_half_precision_arrive_whole() {
    let large = Tensor::f32([1, 3, 4], vec![1e30; 12]).expect("fits");
    let toy = Toy {
        mood: Mood::Says(large.clone()),
        ..Toy::default()
    };
    let neuron = start(toy, limits()).await;
    assert_eq!(neuron.forward(&tokens([1, 3])).await, Ok(large));
}

#[tokio::test]
async fn half_precision_is_the_default_and_single_is_for_the_asking() {
    let neuron = start(Toy::default(), limits()).await;
    let dtype = |answer: v1::ForwardResponse| answer.response.expect("a tensor").dtype();
    let plain = neuron.send(message()).await.expect("answered");
    assert_eq!(dtype(plain), v1::Dtype::F16);
    let single = v1::ForwardRequest {
        formats: Some(v1::ResponseFormats {
            f32: true,
            ..v1::ResponseFormats::default()
        }),
        ..message()
    };
    let answer = neuron.send(single).await.expect("answered");
    assert_eq!(dtype(answer), v1::Dtype::F32);
}

#[tokio::test]
async fn backward_tells_what_became_of_the_gradient() {
    let neuron = start(Toy::default(), limits()).await;
    let inputs = tokens([1, 3]);
    let send = |client: Client, value: f32| {
        let gradient = Tensor::f32([1, 3, 4], vec![value; 12]).expect("fits");
        let (peer, inputs) = (neuron.peer(), inputs.clone());
        async move {
            client
                .backward(&peer, Modality::Text, &inputs, &gradient, SOON)
                .await
        }
    };
    // Far below what half precision can tell from nothing.
    assert_eq!(send(validator(), 1e-20).await, Ok(Treatment::Applied));
    assert_eq!(send(validator(), 0.0).await, Ok(Treatment::Queued));
    let refused = Treatment::Refused("downhill only".into());
    assert_eq!(send(validator(), -1.0).await, Ok(refused));
    let poor = Client::new(key("//Poor"), GENESIS);
    let refused = Treatment::Refused("no stake".into());
    assert_eq!(send(poor, 1.0).await, Ok(refused));
}

#[tokio::test]
async fn a_stock_client_that_signs_is_answered() {
    let neuron = start(Toy::default(), limits()).await;
    let answer = neuron.send(message()).await.expect("answered");
    assert_eq!(answer.response.expect("a tensor").shape, [1, 3, 4]);
}

#[tokio::test]
async fn one_client_serves_many_calls_at_once() {
    let neuron = start(Toy::default(), limits()).await;
    let client = validator();
    let calls: Vec<_> = (1..=12)
        .map(|sequence| {
            let (client, peer) = (client.clone(), neuron.peer());
            tokio::spawn(async move {
                let inputs = tokens([1, sequence]);
                let answer = client.forward(&peer, Modality::Text, &inputs, SOON).await;
                assert_eq!(answer, Ok(echo(&inputs)));
            })
        })
        .collect();
    for call in calls {
        call.await.expect("answered");
    }
    assert_eq!(neuron.reached(), 12);
}

async fn channel(neuron: &common::Running) -> Channel {
    Channel::from_shared(format!("http://{}", neuron.address))
        .expect("an address")
        .connect()
        .await
        .expect("connects")
}

#[tokio::test]
async fn health_says_serving() {
    let neuron = start(Toy::default(), limits()).await;
    let mut health = HealthClient::new(channel(&neuron).await);
    for service in ["", "noesis.v1.Neuron"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = health.check(request).await.expect("answered");
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    }
}

#[tokio::test]
async fn reflection_lists_the_services_and_their_messages() {
    let neuron = start(Toy::default(), limits()).await;
    let mut reflection = ServerReflectionClient::new(channel(&neuron).await);
    let mut ask = async |what| {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(what),
        };
        let answers = reflection
            .server_reflection_info(tokio_stream::once(request))
            .await
            .expect("answered");
        let answer = answers.into_inner().next().await.expect("one answer");
        answer.expect("no error").message_response.expect("content")
    };
    let MessageResponse::ListServicesResponse(list) =
        ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list");
    };
    let names: Vec<_> = list.service.iter().map(|service| &service.name).collect();
    assert!(names.iter().any(|name| *name == "noesis.v1.Neuron"));
    assert!(names.iter().any(|name| *name == "grpc.health.v1.Health"));
    let symbol = MessageRequest::FileContainingSymbol("noesis.v1.Tensor".into());
    assert!(matches!(
        ask(symbol).await,
        MessageResponse::FileDescriptorResponse(_)
    ));
}

#[tokio::test]
async fn shutdown_lets_calls_end() {
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let toy = Toy {
        mood: Mood::Waits(go.clone()),
        ..Toy::default()
    };
    let mut neuron = start(toy, limits()).await;
    let (peer, inputs) = (neuron.peer(), tokens([1, 3]));
    let expected = echo(&inputs);
    let call = tokio::spawn(async move {
        validator()
            .forward(&peer, Modality::Text, &inputs, SOON)
            .await
    });
    while neuron.reached() == 0 {
        tokio::task::yield_now().await;
    }
    neuron.stop.take().expect("running").send(()).expect("runs");
    go.notify_one();
    assert_eq!(call.await.expect("no panic"), Ok(expected));
    timeout(SOON, neuron.serving)
        .await
        .expect("ends in time")
        .expect("ends well");
}

#[tokio::test]
async fn shutdown_waits_no_longer_than_it_must() {
    let toy = Toy {
        mood: Mood::Silent,
        ..Toy::default()
    };
    let limits = Limits {
        drain: Duration::from_millis(100),
        ..limits()
    };
    let mut neuron = start(toy, limits).await;
    // A stream that never ends by itself, and a call that is never answered.
    let mut health = HealthClient::new(channel(&neuron).await);
    let mut watching = health
        .watch(HealthCheckRequest::default())
        .await
        .expect("answered")
        .into_inner();
    let first = watching.next().await.expect("a status").expect("good");
    assert_eq!(first.status(), ServingStatus::Serving);
    let (peer, inputs) = (neuron.peer(), tokens([1, 3]));
    let call = tokio::spawn(async move {
        validator()
            .forward(&peer, Modality::Text, &inputs, SOON)
            .await
    });
    while neuron.reached() == 0 {
        tokio::task::yield_now().await;
    }
    let asked = Instant::now();
    neuron.stop.take().expect("running").send(()).expect("runs");
    let last = watching.next().await.expect("a status").expect("good");
    assert_eq!(last.status(), ServingStatus::NotServing);
    timeout(SOON, neuron.serving)
        .await
        .expect("ends in time")
        .expect("ends well");
    assert!(asked.elapsed() >= Duration::from_millis(100));
    assert!(call.await.expect("no panic").is_err());
}

#[tokio::test]
async fn the_callers_of_now_count() {
    let neuron = start(Toy::default(), limits()).await;
    neuron.assert_answers().await;
    neuron.callers.send_replace(Default::default());
    let refused = neuron.forward(&tokens([1, 3])).await;
    assert!(
        matches!(refused, Err(Failure::NotAllowed(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn answers_are_bounded_too() {
    let neuron = start(
        Toy::default(),
        Limits {
            message_bytes: 1000,
            ..limits()
        },
    )
    .await;
    // 100 tokens of 8 bytes fit, 100 answers of 4 halves fit; in single precision they do not.
    let inputs = tokens([1, 100]);
    let answered = neuron.forward(&inputs).await;
    assert_eq!(answered, Ok(echo(&inputs)));
    let mut single = message();
    single.formats = Some(v1::ResponseFormats {
        f32: true,
        ..v1::ResponseFormats::default()
    });
    let wire = single.inputs.as_mut().expect("there");
    wire.shape = vec![1, 100];
    wire.data = vec![0; 800].into();
    let envelope = envelope(&single.encode_to_vec());
    let refused = neuron.send_as(single, &envelope, &key("//Validator")).await;
    assert!(matches!(refused, Err(Failure::TooLarge(_))), "{refused:?}");
}
