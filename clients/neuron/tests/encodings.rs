//! Every encoding of an answer over the wire, and what a neuron does with frames that are bombs.

mod common;

use common::{echo, hotkey, limits, message, start, tokens, validator, Mood, Toy, DIM, SOON};
use noesis_neuron::{
    signature::{Envelope, Method},
    Failure, Formats, Limits, Modality, Tensor,
};
use noesis_proto::v1;
use prost::Message;

/// An answer to `[2, 3]` tokens whose values every encoding carries exactly.
fn exact() -> Tensor {
    let values = (0..2 * 3 * DIM as usize).map(|index| match index % 4 {
        0 => -127.0,
        other => other as f32,
    });
    Tensor::f32([2, 3, DIM as usize], values.collect()).expect("fits")
}

#[tokio::test]
async fn an_answer_comes_in_every_encoding() {
    let neuron = start(
        Toy {
            mood: Mood::Says(exact()),
            ..Toy::default()
        },
        limits(),
    )
    .await;
    for name in ["f32", "f16", "bf16", "int8"] {
        for zstd in [false, true] {
            let formats: Formats = name.parse().expect("a name");
            let client = validator().taking(Formats { zstd, ..formats });
            let peer = neuron.peer();
            let answer = client
                .forward(&peer, Modality::Text, &tokens([2, 3]), SOON)
                .await;
            assert_eq!(answer, Ok(exact()), "{name} {zstd}");
        }
    }
}

#[tokio::test]
async fn a_compressed_answer_takes_fewer_bytes() {
    let neuron = start(Toy::default(), limits()).await;
    let inputs = tokens([8, 256]);
    let mut bytes = Vec::new();
    for zstd in [false, true] {
        let asked = v1::ForwardRequest {
            inputs: Some(inputs.to_wire().expect("fits")),
            formats: Some(v1::ResponseFormats {
                zstd,
                ..v1::ResponseFormats::default()
            }),
            ..message()
        };
        let answer = neuron.send(asked).await.expect("answered");
        let response = answer.response.expect("a tensor");
        assert_eq!(Tensor::from_wire(&response), Ok(echo(&inputs)));
        bytes.push(response.data.len());
    }
    assert_eq!(bytes[0], 8 * 256 * DIM as usize * 2);
    assert!(bytes[1] < bytes[0] / 2, "{bytes:?}");
}

#[tokio::test]
async fn compressed_inputs_are_read() {
    let neuron = start(Toy::default(), limits()).await;
    let inputs = tokens([8, 256]);
    let formats: Formats = "zstd".parse().expect("a name");
    let asked = v1::ForwardRequest {
        inputs: Some(inputs.to_wire_in(formats).expect("fits")),
        ..message()
    };
    assert!(asked.encoded_len() < 8 * 256 * 8 / 2);
    let answer = neuron.send(asked).await.expect("answered");
    let response = answer.response.expect("a tensor");
    assert_eq!(Tensor::from_wire(&response), Ok(echo(&inputs)));
}

/// A message of zstd inputs of this shape.
fn compressed(shape: &[u64], frame: Vec<u8>) -> v1::ForwardRequest {
    let mut message = message();
    let inputs = message.inputs.as_mut().expect("there");
    inputs.encoding = v1::Encoding::Zstd.into();
    inputs.shape = shape.to_vec();
    inputs.data = frame.into();
    message
}

/// One frame of so many zeros.
fn zeros(count: usize) -> Vec<u8> {
    zstd::bulk::compress(&vec![0; count], 1).expect("compresses")
}

#[tokio::test]
async fn bombs_are_refused_before_they_burst() {
    let limits = Limits {
        message_bytes: 1 << 20,
        ..limits()
    };
    let streamed = zstd::encode_all(&[0_u8; 24][..], 1).expect("compresses"); // says no size
    let twice = [zeros(24), zeros(24)].concat();
    let skippable = [
        &[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4],
        &zeros(24)[..],
    ]
    .concat();
    // The header says 24 bytes, and the one block within is a byte that repeats 100 thousand times.
    let liar = [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 24][..], &run(100_000)].concat();
    for (shape, frame, large) in [
        (&[1, 3][..], zeros(256 << 20), false), // says 256 MiB for 24 bytes
        (&[1, 32 << 20], zeros(256 << 20), true), // and the shape says so too
        (&[1, 1 << 16], zeros(1 << 19), false), // a good one
        (&[1, (1 << 17) + 1], zeros((1 << 20) + 8), true),
        (&[1 << 40, 1 << 40], zeros(24), false),
        (&[1, 3], zeros(23), false),
        (&[1, 3], streamed, false),
        (&[1, 3], twice, false),
        (&[1, 3], skippable, false),
        (&[1, 3], liar, false),
        (&[1, 3], vec![0; 24], false),
        (&[1, 3], Vec::new(), false),
        (&[1, 3], zeros(24)[..12].to_vec(), false),
    ] {
        let neuron = start(Toy::default(), limits.clone()).await;
        let good = shape == [1, 1 << 16];
        let answer = neuron.send(compressed(shape, frame)).await;
        if good {
            assert!(answer.is_ok(), "{answer:?}");
            continue;
        }
        match answer {
            Err(Failure::TooLarge(_)) if large => {}
            Err(Failure::BadShape(_)) if !large => {}
            other => panic!("{shape:?}: {other:?}"),
        }
        assert_eq!(neuron.reached(), 0);
        neuron.assert_answers().await;
    }
}

#[tokio::test]
async fn a_shape_that_is_not_answered_is_refused_before_anything_is_decompressed() {
    let neuron = start(Toy::default(), limits()).await;
    let mut message = compressed(&[1, 1 << 20], vec![0; 24]); // no frame at all
    if let Some(inputs) = &mut message.inputs {
        inputs.dtype = v1::Dtype::Int8Scaled.into();
    }
    let answer = neuron.send(message).await;
    let Err(Failure::BadShape(words)) = answer else {
        panic!("{answer:?}");
    };
    assert!(words.contains("inputs of Text"), "{words}");
}

#[tokio::test]
async fn the_tensors_of_a_request_are_one_message_at_most_once_decompressed() {
    let limits = Limits {
        message_bytes: 1 << 20,
        ..limits()
    };
    let neuron = start(Toy::default(), limits).await;
    let send = |sequence: usize, encodings: [v1::Encoding; 2]| {
        let tensor = |dtype: v1::Dtype, shape: &[usize], bytes: usize, encoding| v1::Tensor {
            dtype: dtype.into(),
            shape: shape.iter().map(|length| *length as u64).collect(),
            data: match encoding {
                v1::Encoding::Zstd => zeros(bytes).into(),
                _ => vec![0; bytes].into(),
            },
            encoding: encoding.into(),
        };
        let (inputs, gradient) = ([1, sequence], [1, sequence, DIM as usize]);
        let message = v1::BackwardRequest {
            modality: v1::Modality::Text.into(),
            inputs: Some(tensor(v1::Dtype::I64, &inputs, 8 * sequence, encodings[0])),
            gradient: Some(tensor(
                v1::Dtype::F32,
                &gradient,
                16 * sequence,
                encodings[1],
            )),
        };
        let (sender, receiver) = (hotkey("//Validator"), hotkey("//Miner"));
        let body = message.encode_to_vec();
        let envelope = Envelope::new(common::GENESIS, Method::Backward, sender, receiver, &body);
        let mut request = tonic::Request::new(message);
        envelope.write(&common::key("//Validator"), request.metadata_mut());
        let stock = neuron.stock();
        async move {
            let answer = stock.await.backward(request).await;
            answer.map_err(|status| Failure::from_status(&status))
        }
    };
    let all = (1 << 20) / 24;
    let (raw, zstd) = (v1::Encoding::Raw, v1::Encoding::Zstd);
    for encodings in [[zstd, zstd], [zstd, raw], [raw, zstd]] {
        let answer = send(all, encodings).await;
        assert!(answer.is_ok(), "{answer:?}");
        let answer = send(all + 1, encodings).await;
        assert!(matches!(answer, Err(Failure::TooLarge(_))), "{answer:?}");
    }
}

/// The last block of a frame: one byte, so many times.
fn run(count: u32) -> Vec<u8> {
    let header = (count << 3) | (1 << 1) | 1;
    [&header.to_le_bytes()[..3], &[7]].concat()
}

#[tokio::test]
async fn an_answer_that_is_a_bomb_is_refused_by_the_caller() {
    use noesis_neuron::{Client, ClientLimits};
    let large = Tensor::f32([1, 3, 1 << 16], vec![0.0; 3 << 16]).expect("fits");
    let toy = Toy {
        mood: Mood::Says(large),
        ..Toy::default()
    };
    let neuron = start(toy, limits()).await;
    let small = ClientLimits {
        message_bytes: 100_000,
        ..ClientLimits::default()
    };
    let client = Client::with_limits(common::key("//Validator"), common::GENESIS, small)
        .taking("f16,zstd".parse().expect("names"));
    let answer = client
        .forward(&neuron.peer(), Modality::Text, &tokens([1, 3]), SOON)
        .await;
    assert!(matches!(answer, Err(Failure::TooLarge(_))), "{answer:?}");
}

#[tokio::test]
async fn nesting_without_end_is_refused() {
    let neuron = start(Toy::default(), limits()).await;
    // Groups of a field that no message has, each within the one before: begun, never ended, and ended.
    let begun = vec![0x7b; 1 << 20];
    let whole = [vec![0x7b; 1 << 19], vec![0x7c; 1 << 19]].concat();
    // Inputs within inputs a million times over are but an unknown field of the first.
    let mut inner = Vec::new();
    for _ in 0..200 {
        let mut outer = vec![0x12];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        inner = outer;
    }
    for body in [begun, whole, inner] {
        let (sender, receiver) = (hotkey("//Validator"), hotkey("//Miner"));
        let envelope = Envelope::new(common::GENESIS, Method::Forward, sender, receiver, &body);
        let mut request = tonic::Request::new(body);
        envelope.write(&common::key("//Validator"), request.metadata_mut());
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", neuron.address))
            .expect("an address")
            .connect()
            .await
            .expect("connects");
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.expect("ready");
        let path =
            tonic::codegen::http::uri::PathAndQuery::from_static("/noesis.v1.Neuron/Forward");
        let answer = grpc.unary(request, path, common::bytes::BytesCodec).await;
        let failure = Failure::from_status(&answer.expect_err("refused"));
        let refused = matches!(failure, Failure::BadShape(_) | Failure::WrongModality(_));
        assert!(refused, "{failure:?}");
        assert_eq!(neuron.reached(), 0);
    }
    neuron.assert_answers().await;
}
