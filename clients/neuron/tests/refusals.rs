//! Calls that a neuron refuses: each kind of bad input has its failure, and none reaches the model.

mod common;

use common::{
    envelope, hotkey, key, limits, message, start, start_on, tokens, unbounded, validator, Mood,
    Toy, GENESIS, SOON,
};
use noesis_neuron::{
    signature::{now_milliseconds, Envelope, Method, NONCE_KEY, SIGNATURE_KEY},
    Client, Failure, Limits, Modality, Tensor, FAILURE_KEY,
};
use noesis_proto::v1;
use prost::Message;
use tokio::net::TcpListener;
use tonic::{Code, Request};

/// Asserts that `$result` is that failure, that nothing reached the model, and that the neuron lives.
macro_rules! assert_refused {
    ($neuron:expr, $result:expr, $failure:pat) => {
        let result = $result;
        assert!(matches!(result, Err($failure)), "{result:?}");
        assert_eq!($neuron.reached(), 0, "it reached the model");
        $neuron.assert_answers().await;
    };
}

fn with_inputs(shape: &[u64], data: Vec<u8>) -> v1::ForwardRequest {
    let mut message = message();
    let inputs = message.inputs.as_mut().expect("there");
    inputs.shape = shape.to_vec();
    inputs.data = data.into();
    message
}

#[tokio::test]
async fn a_shape_that_does_not_fit_its_bytes() {
    for (shape, bytes) in [
        (&[1, 3][..], 23),           // short
        (&[1, 3], 25),               // long
        (&[1, 3], 0),                // none
        (&[], 24),                   // no dimensions
        (&[0, 3], 0),                // zero
        (&[3, 0], 24),               // zero
        (&[1, u64::MAX - 2], 24),    // negative, had it a sign
        (&[u64::MAX, u64::MAX], 24), // overflows in the first step
        (&[1 << 32, 1 << 32], 0),    // overflows to zero
        (&[1 << 61, 1], 0),          // overflows with the size of an element
        (&[1 << 40, 1], 24),         // a terabyte
        (&[3], 24),                  // one dimension
        (&[1, 3, 1], 24),            // three
        (&[1; 9], 8),                // nine
    ] {
        let neuron = start(Toy::default(), limits()).await;
        let sent = with_inputs(shape, vec![0; bytes]);
        assert_refused!(neuron, neuron.send(sent).await, Failure::BadShape(_));
    }
}

#[tokio::test]
async fn a_million_dimensions() {
    let neuron = start(Toy::default(), limits()).await;
    let sent = with_inputs(&vec![1; 1_000_000], vec![0; 8]);
    assert_refused!(neuron, neuron.send(sent).await, Failure::BadShape(_));
}

#[tokio::test]
async fn a_sequence_beyond_the_limit() {
    let neuron = start(Toy::default(), limits()).await;
    let sent = tokens([1, (1 << 20) + 1]);
    assert_refused!(neuron, neuron.forward(&sent).await, Failure::BadShape(_));
}

#[tokio::test]
async fn no_inputs() {
    let neuron = start(Toy::default(), limits()).await;
    let sent = v1::ForwardRequest {
        inputs: None,
        ..message()
    };
    assert_refused!(neuron, neuron.send(sent).await, Failure::BadShape(_));
}

#[tokio::test]
async fn reserved_and_unknown_dtypes_and_encodings() {
    for (dtype, encoding) in [
        (v1::Dtype::U8.into(), 0),
        (v1::Dtype::Unspecified.into(), 0),
        (99, 0),
        (-1, 0),
        (v1::Dtype::I64.into(), -1),
        (v1::Dtype::I64.into(), 99),
    ] {
        let neuron = start(Toy::default(), limits()).await;
        let mut sent = message();
        let inputs = sent.inputs.as_mut().expect("there");
        inputs.dtype = dtype;
        inputs.encoding = encoding;
        assert_refused!(neuron, neuron.send(sent).await, Failure::Unsupported(_));
    }
}

#[tokio::test]
async fn another_modality() {
    let neuron = start(Toy::default(), limits()).await;
    for modality in [
        v1::Modality::Image.into(),
        v1::Modality::Unspecified.into(),
        99,
    ] {
        let sent = v1::ForwardRequest {
            modality,
            ..message()
        };
        let answer = neuron.send(sent).await;
        assert!(
            matches!(answer, Err(Failure::WrongModality(_))),
            "{answer:?}"
        );
    }
    let image = Tensor::f32([1, 1, 2, 2], vec![0.0; 4]).expect("fits");
    let answer = validator()
        .forward(&neuron.peer(), Modality::Image, &image, SOON)
        .await;
    assert_refused!(neuron, answer, Failure::WrongModality(_));
}

#[tokio::test]
async fn inputs_of_another_modality_under_the_right_name() {
    let neuron = start(Toy::default(), limits()).await;
    let mut sent = with_inputs(&[1, 3], vec![0; 12]);
    sent.inputs.as_mut().expect("there").dtype = v1::Dtype::F32.into();
    assert_refused!(neuron, neuron.send(sent).await, Failure::BadShape(_));
}

#[tokio::test]
async fn values_that_are_not_finite() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for half in [false, true] {
            let toy = Toy {
                modality: Modality::Tensor,
                ..Toy::default()
            };
            let neuron = start(toy, limits()).await;
            let mut sent = message();
            sent.modality = v1::Modality::Tensor.into();
            let inputs = sent.inputs.as_mut().expect("there");
            inputs.shape = vec![1, 1, 2];
            if half {
                let values = [1.0, value].map(half::f16::from_f32);
                inputs.dtype = v1::Dtype::F16.into();
                inputs.data = values.map(half::f16::to_le_bytes).concat().into();
            } else {
                inputs.dtype = v1::Dtype::F32.into();
                inputs.data = [1.0, value].map(f32::to_le_bytes).concat().into();
            }
            let answer = neuron.send(sent).await;
            assert_eq!(answer, Err(Failure::NotFinite));
            assert_eq!(neuron.reached(), 0);
        }
    }
}

#[tokio::test]
async fn gradients_that_do_not_fit_the_answer() {
    let neuron = start(Toy::default(), limits()).await;
    let inputs = tokens([2, 3]);
    let good = v1::BackwardRequest {
        modality: v1::Modality::Text.into(),
        inputs: Some(v1::Tensor {
            dtype: v1::Dtype::I64.into(),
            shape: vec![2, 3],
            data: vec![0; 48].into(),
            encoding: 0,
        }),
        gradient: None,
    };
    let gradient = |shape: &[u64], value: f32| {
        let count = shape.iter().product::<u64>() as usize;
        Some(v1::Tensor {
            dtype: v1::Dtype::F32.into(),
            shape: shape.to_vec(),
            data: value.to_le_bytes().repeat(count).into(),
            encoding: 0,
        })
    };
    let whole = good.inputs.clone();
    for (gradient, not_finite) in [
        (None, false),
        (whole, false),                     // whole numbers
        (gradient(&[2, 3, 5], 1.0), false), // another dimension
        (gradient(&[2, 2, 4], 1.0), false), // a shorter sequence
        (gradient(&[1, 3, 4], 1.0), false), // a smaller batch
        (gradient(&[2, 12], 1.0), false),   // flat
        (gradient(&[2, 3, 4], f32::NAN), true),
    ] {
        let sent = v1::BackwardRequest {
            gradient,
            ..good.clone()
        };
        let mut envelope = envelope(&sent.encode_to_vec());
        envelope.method = Method::Backward;
        let mut request = Request::new(sent);
        envelope.write(&key("//Validator"), request.metadata_mut());
        let status = neuron.stock().await.backward(request).await;
        let failure = Failure::from_status(&status.expect_err("refused"));
        if not_finite {
            assert_eq!(failure, Failure::NotFinite);
        } else {
            assert!(matches!(failure, Failure::BadShape(_)), "{failure:?}");
        }
    }
    // The client does not even send such.
    let flat = Tensor::f32([2, 12], vec![1.0; 24]).expect("fits");
    let answer = validator()
        .backward(&neuron.peer(), Modality::Text, &inputs, &flat, SOON)
        .await;
    assert_refused!(neuron, answer, Failure::BadShape(_));
}

#[tokio::test]
async fn a_message_too_large() {
    let limits = Limits {
        message_bytes: 1 << 20,
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let sent = tokens([8, 1 << 18]); // 16 MiB
    let answer = unbounded()
        .forward(&neuron.peer(), Modality::Text, &sent, SOON)
        .await;
    assert_refused!(neuron, answer, Failure::TooLarge(_));
    // By default our own client does not even send it.
    let sent = tokens([9, 1 << 18]);
    let answer = neuron.forward(&sent).await;
    assert!(matches!(answer, Err(Failure::TooLarge(_))), "{answer:?}");
}

#[tokio::test]
async fn no_signature() {
    let neuron = start(Toy::default(), limits()).await;
    let status = neuron.stock().await.forward(message()).await;
    let status = status.expect_err("refused");
    // What a client that is not ours sees.
    assert_eq!(status.code(), Code::Unauthenticated);
    let code = status.metadata().get(FAILURE_KEY).expect("a code");
    assert_eq!(code, "unauthenticated");
    let described = neuron.stock().await.describe(v1::DescribeRequest {}).await;
    let failure = Failure::from_status(&described.expect_err("refused"));
    assert!(matches!(failure, Failure::Unauthenticated(_)));
    // With everything but the signature, and with a part that is no hexadecimal.
    for (key, value) in [(SIGNATURE_KEY, None), (NONCE_KEY, Some("zz"))] {
        let mut request = Request::new(message());
        let body = message().encode_to_vec();
        envelope(&body).write(&common::key("//Validator"), request.metadata_mut());
        request.metadata_mut().remove(key);
        if let Some(value) = value {
            request
                .metadata_mut()
                .insert(key, value.parse().expect("ASCII"));
        }
        let status = neuron.stock().await.forward(request).await;
        let failure = Failure::from_status(&status.expect_err("refused"));
        assert_refused!(neuron, Err::<(), _>(failure), Failure::Unauthenticated(_));
        neuron.reached.store(0, std::sync::atomic::Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_large_unsigned_message_is_refused_unread() {
    let neuron = start(Toy::default(), limits()).await;
    let sent = with_inputs(&[8, 1 << 17], vec![0; 8 << 20]);
    let status = neuron.stock().await.forward(sent).await;
    let failure = Failure::from_status(&status.expect_err("refused"));
    assert_refused!(neuron, Err::<(), _>(failure), Failure::Unauthenticated(_));
}

#[tokio::test]
async fn anothers_signature() {
    let neuron = start(Toy::default(), limits()).await;
    let envelope = envelope(&message().encode_to_vec());
    let answer = neuron.send_as(message(), &envelope, &key("//Other")).await;
    assert_refused!(neuron, answer, Failure::Unauthenticated(_));
}

#[tokio::test]
async fn a_tampered_body() {
    let neuron = start(Toy::default(), limits()).await;
    let envelope = envelope(&message().encode_to_vec());
    let mut sent = message();
    sent.inputs.as_mut().expect("there").data = vec![1; 24].into();
    let answer = neuron.send_as(sent, &envelope, &key("//Validator")).await;
    assert_refused!(neuron, answer, Failure::Unauthenticated(_));
}

#[tokio::test]
async fn anything_signed_that_is_changed() {
    let changes: [fn(&mut Envelope); 7] = [
        |envelope| envelope.genesis = [1; 32],
        |envelope| envelope.sender = hotkey("//Other"),
        |envelope| envelope.receiver = hotkey("//Other"),
        |envelope| envelope.nonce[0] ^= 1,
        |envelope| envelope.expiry -= 1,
        |envelope| envelope.body[0] ^= 1,
        |envelope| envelope.method = Method::Backward,
    ];
    for change in changes {
        let neuron = start(Toy::default(), limits()).await;
        // Signed with the change, sent without it.
        let original = envelope(&message().encode_to_vec());
        let mut changed = original.clone();
        change(&mut changed);
        let mut metadata = tonic::metadata::MetadataMap::new();
        changed.write(&key("//Validator"), &mut metadata);
        let signature = metadata.get(SIGNATURE_KEY).expect("signed").clone();
        let mut request = Request::new(message());
        original.write(&key("//Validator"), request.metadata_mut());
        request.metadata_mut().insert(SIGNATURE_KEY, signature);
        let status = neuron.stock().await.forward(request).await;
        let failure = Failure::from_status(&status.expect_err("refused"));
        assert_refused!(neuron, Err::<(), _>(failure), Failure::Unauthenticated(_));
    }
}

#[tokio::test]
async fn signed_for_another_neuron_chain_or_method() {
    let neuron = start(Toy::default(), limits()).await;
    let body = message().encode_to_vec();
    let mut other = envelope(&body);
    other.receiver = hotkey("//Other");
    let mut fork = envelope(&body);
    fork.genesis = [8; 32];
    let mut method = envelope(&body);
    method.method = Method::Backward;
    for envelope in [other, fork, method] {
        let answer = neuron
            .send_as(message(), &envelope, &key("//Validator"))
            .await;
        assert!(
            matches!(answer, Err(Failure::Unauthenticated(_))),
            "{answer:?}"
        );
    }
    let fork = Client::new(key("//Validator"), [8; 32]);
    let answer = fork.describe(&neuron.peer(), SOON).await;
    let Err(Failure::Unauthenticated(words)) = &answer else {
        panic!("{answer:?}");
    };
    assert!(words.contains(&hex::encode(GENESIS)), "{words}");
    assert_refused!(neuron, answer, Failure::Unauthenticated(_));
}

#[tokio::test]
async fn expired_and_too_far_ahead() {
    let neuron = start(Toy::default(), limits()).await;
    let now = now_milliseconds();
    for expiry in [0, now - 1, now + 60_000, u64::MAX] {
        let mut envelope = envelope(&message().encode_to_vec());
        envelope.expiry = expiry;
        let answer = neuron
            .send_as(message(), &envelope, &key("//Validator"))
            .await;
        assert!(
            matches!(answer, Err(Failure::Unauthenticated(_))),
            "{answer:?}"
        );
    }
    assert_eq!(neuron.reached(), 0);
    neuron.assert_answers().await;
}

#[tokio::test]
async fn replayed() {
    let neuron = start(Toy::default(), limits()).await;
    let envelope = envelope(&message().encode_to_vec());
    let validator = key("//Validator");
    let first = neuron.send_as(message(), &envelope, &validator).await;
    assert!(first.is_ok());
    // sr25519 signatures are random, so this one differs from the first. The request does not.
    let again = neuron.send_as(message(), &envelope, &validator).await;
    assert_eq!(again, Err(Failure::Replayed));
    assert_eq!(neuron.reached(), 1);
}

#[tokio::test]
async fn replayed_after_a_restart() {
    let mut neuron = start(Toy::default(), limits()).await;
    let envelope = envelope(&message().encode_to_vec());
    let validator = key("//Validator");
    let first = neuron.send_as(message(), &envelope, &validator).await;
    assert!(first.is_ok());
    neuron.stop.take().expect("running").send(()).expect("runs");
    neuron.serving.await.expect("ends well");
    let listener = TcpListener::bind(neuron.address).await.expect("free again");
    let neuron = start_on(neuron.address, listener, Toy::default(), limits()).await;
    let again = neuron.send_as(message(), &envelope, &validator).await;
    assert_refused!(neuron, again, Failure::Replayed);
}

#[tokio::test]
async fn a_neuron_just_started_is_busy_not_accusing() {
    let limits = Limits {
        clock_skew: std::time::Duration::from_secs(60),
        ..Limits::default()
    };
    let neuron = start(Toy::default(), limits).await;
    let answer = neuron.forward(&tokens([1, 3])).await;
    assert_eq!(answer, Err(Failure::Busy));
}

#[tokio::test]
async fn callers_that_the_chain_does_not_know() {
    let neuron = start(Toy::default(), limits()).await;
    let stranger = Client::new(key("//Stranger"), GENESIS);
    let answer = stranger.describe(&neuron.peer(), SOON).await;
    assert_refused!(neuron, answer, Failure::NotAllowed(_));
}

#[tokio::test]
async fn callers_with_less_stake_than_is_asked_for() {
    let limits = Limits {
        caller_stake: 1000,
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let body = message().encode_to_vec();
    let (sender, receiver) = (hotkey("//Poor"), hotkey("//Miner"));
    let envelope = Envelope::new(GENESIS, Method::Forward, sender, receiver, &body);
    // Another signed it, which nobody looks at.
    let answer = neuron
        .send_as(message(), &envelope, &key("//Stranger"))
        .await;
    assert_refused!(neuron, answer, Failure::NotAllowed(_));
}

#[tokio::test]
async fn a_body_that_is_no_message() {
    let neuron = start(Toy::default(), limits()).await;
    for body in [&[0xff; 40][..], &[0x12, 0x7f], b"GET / HTTP/1.1"] {
        // The stock client can send other bytes only as another message; unknown fields are taken
        // for a newer version's, so these are raw.
        let answer = raw(&neuron, body).await;
        assert!(matches!(answer, Err(Failure::BadShape(_))), "{answer:?}");
    }
    assert_eq!(neuron.reached(), 0);
    neuron.assert_answers().await;
}

/// Sends any bytes as a signed Forward, over plain HTTP/2.
async fn raw(neuron: &common::Running, body: &[u8]) -> Result<(), Failure> {
    use tonic::{client::Grpc, codegen::http::uri::PathAndQuery, transport::Endpoint};
    let channel = Endpoint::from_shared(format!("http://{}", neuron.address))
        .expect("an address")
        .connect()
        .await
        .expect("connects");
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.expect("ready");
    let mut request = Request::new(body.to_vec());
    envelope(body).write(&key("//Validator"), request.metadata_mut());
    let path = PathAndQuery::from_static("/noesis.v1.Neuron/Forward");
    let answer = grpc.unary(request, path, common::bytes::BytesCodec).await;
    answer
        .map(|_| ())
        .map_err(|status| Failure::from_status(&status))
}

#[tokio::test]
async fn a_method_that_does_not_exist() {
    use tonic::{client::Grpc, codegen::http::uri::PathAndQuery, transport::Endpoint};
    let neuron = start(Toy::default(), limits()).await;
    let channel = Endpoint::from_shared(format!("http://{}", neuron.address))
        .expect("an address")
        .connect()
        .await
        .expect("connects");
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.expect("ready");
    let path = PathAndQuery::from_static("/noesis.v1.Neuron/Sideways");
    let answer = grpc
        .unary(Request::new(Vec::new()), path, common::bytes::BytesCodec)
        .await;
    let failure = Failure::from_status(&answer.expect_err("refused"));
    assert_refused!(neuron, Err::<(), _>(failure), Failure::Unsupported(_));
}

#[tokio::test]
async fn a_model_that_panics_harms_only_its_caller() {
    let toy = Toy {
        mood: Mood::Panics,
        ..Toy::default()
    };
    let neuron = start(toy, limits()).await;
    for _ in 0..3 {
        let answer = neuron.forward(&tokens([1, 3])).await;
        assert!(matches!(answer, Err(Failure::Internal(_))), "{answer:?}");
    }
    let described = validator().describe(&neuron.peer(), SOON).await;
    assert!(described.is_ok(), "{described:?}");
}

#[tokio::test]
async fn a_model_that_answers_nonsense_is_its_own_fault() {
    let nonsense = Tensor {
        shape: vec![usize::MAX, 2],
        data: noesis_neuron::Data::F32(vec![1.0]),
    };
    let toy = Toy {
        mood: Mood::Says(nonsense),
        ..Toy::default()
    };
    let neuron = start(toy, limits()).await;
    let answer = neuron.forward(&tokens([1, 3])).await;
    assert!(matches!(answer, Err(Failure::Internal(_))), "{answer:?}");
}
