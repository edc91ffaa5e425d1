//! Peers that a client does not believe: each kind of bad answer has its failure.

mod common;

use std::{convert::Infallible, sync::Arc, time::Duration};

use common::{hotkey, key, limits, start, tokens, validator, Mood, Toy, GENESIS, SOON};
use noesis_neuron::{
    signature::{Envelope, Method, SIGNATURE_KEY},
    Client, ClientLimits, Failure, Modality, Peer, Tensor,
};
use noesis_proto::v1;
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    body::Body,
    codegen::{http, BoxFuture, Context, Poll, Service},
    metadata::MetadataMap,
    server::NamedService,
    transport::Server,
};

type Answer = Arc<dyn Fn(&Envelope) -> http::Response<Body> + Send + Sync>;

/// A server that answers every call as told.
#[derive(Clone)]
struct Rogue(Answer);

impl NamedService for Rogue {
    const NAME: &'static str = "noesis.v1.Neuron";
}

impl Service<http::Request<Body>> for Rogue {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Method::of_path(request.uri().path()).expect("a method");
        let (envelope, _) = Envelope::read(method, request.headers()).expect("an envelope");
        let answer = (self.0)(&envelope);
        Box::pin(async move { Ok(answer) })
    }
}

async fn rogue(answer: impl Fn(&Envelope) -> http::Response<Body> + Send + Sync + 'static) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = listener.local_addr().expect("bound").to_string();
    let serving = Server::builder()
        .add_service(Rogue(Arc::new(answer)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    Peer {
        hotkey: hotkey("//Miner"),
        endpoint,
        certificate: None,
    }
}

/// A gRPC answer of these bytes under these headers.
fn answer(metadata: MetadataMap, message: &[u8]) -> http::Response<Body> {
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let frame = [&[0], &length[..], message].concat();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let mut response = http::Response::new(Body::new(Framed {
        data: Some(frame.into()),
        trailers: Some(trailers),
    }));
    *response.headers_mut() = metadata.into_headers();
    let kind = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

struct Framed {
    data: Option<noesis_proto::Bytes>,
    trailers: Option<http::HeaderMap>,
}

impl http_body::Body for Framed {
    type Data = noesis_proto::Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(http_body::Frame::data(data))));
        }
        let trailers = self.trailers.take().map(http_body::Frame::trailers);
        Poll::Ready(trailers.map(Ok))
    }
}

fn signed(envelope: &Envelope, message: &[u8]) -> http::Response<Body> {
    let mut metadata = MetadataMap::new();
    envelope.sign_answer(message, &key("//Miner"), &mut metadata);
    answer(metadata, message)
}

fn response(shape: &[u64], values: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    v1::ForwardResponse {
        response: Some(v1::Tensor {
            dtype: v1::Dtype::F32.into(),
            shape: shape.to_vec(),
            data: data.into(),
            encoding: 0,
        }),
    }
    .encode_to_vec()
}

/// A good answer to the tokens of shape [1, 3].
fn good() -> Vec<u8> {
    response(&[1, 3, 4], &[0.5; 12])
}

async fn ask(peer: &Peer) -> Result<Tensor, Failure> {
    validator()
        .forward(peer, Modality::Text, &tokens([1, 3]), SOON)
        .await
}

#[tokio::test]
async fn a_rogue_that_behaves_is_believed() {
    let peer = rogue(|envelope| signed(envelope, &good())).await;
    assert!(ask(&peer).await.is_ok());
}

#[tokio::test]
async fn an_answer_without_a_signature() {
    let peer = rogue(|_| answer(MetadataMap::new(), &good())).await;
    let answer = ask(&peer).await;
    assert!(
        matches!(answer, Err(Failure::Unauthenticated(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn an_answer_with_anothers_signature() {
    let peer = rogue(|envelope| {
        let mut metadata = MetadataMap::new();
        envelope.sign_answer(&good(), &key("//Other"), &mut metadata);
        answer(metadata, &good())
    })
    .await;
    let answer = ask(&peer).await;
    assert!(
        matches!(answer, Err(Failure::Unauthenticated(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_good_neuron_at_anothers_endpoint() {
    let neuron = start(Toy::default(), limits()).await;
    let peer = Peer {
        hotkey: hotkey("//Other"),
        ..neuron.peer()
    };
    let answer = ask(&peer).await;
    assert!(
        matches!(answer, Err(Failure::Unauthenticated(_))),
        "{answer:?}"
    );
    assert_eq!(neuron.reached(), 0);
}

#[tokio::test]
async fn an_answer_changed_on_its_way() {
    let peer = rogue(|envelope| {
        let mut metadata = MetadataMap::new();
        envelope.sign_answer(&good(), &key("//Miner"), &mut metadata);
        answer(metadata, &response(&[1, 3, 4], &[0.25; 12]))
    })
    .await;
    let answer = ask(&peer).await;
    assert!(
        matches!(answer, Err(Failure::Unauthenticated(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn an_answer_to_another_request() {
    let peer = rogue(|envelope| {
        let mut other = envelope.clone();
        other.nonce = [0; 16];
        signed(&other, &good())
    })
    .await;
    let answer = ask(&peer).await;
    assert!(
        matches!(answer, Err(Failure::Unauthenticated(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn answers_of_another_shape() {
    for message in [
        response(&[1, 3, 5], &[0.5; 15]), // another dimension than the market's
        response(&[1, 2, 4], &[0.5; 8]),  // a shorter sequence
        response(&[2, 3, 4], &[0.5; 24]), // a larger batch
        response(&[12], &[0.5; 12]),      // flat
        response(&[1, 3, 4], &[0.5; 11]), // too few bytes
        response(&[1 << 40, 3, 4], &[0.5; 12]),
        v1::ForwardResponse { response: None }.encode_to_vec(),
        vec![0xff; 30],
    ] {
        let peer = rogue(move |envelope| signed(envelope, &message)).await;
        let answer = ask(&peer).await;
        assert!(matches!(answer, Err(Failure::BadShape(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn answers_in_a_form_that_was_not_asked_for() {
    let exact = Tensor::f32([1, 3, 4], vec![0.5; 12]).expect("fits");
    for (form, asked, taken) in [
        ("f32", "f32", true),
        ("f32", "f16", false),
        ("f32", "zstd", false), // which is f16, compressed or not
        ("f16", "zstd", true),
        ("f16", "f32,int8", false),
        ("bf16", "f16,f32", false),
        ("int8", "f16,f32", false),
        ("int8", "int8", true),
    ] {
        let tensor = exact.to_wire_in(form.parse().expect("a name"));
        let response = Some(tensor.expect("fits"));
        let message = v1::ForwardResponse { response }.encode_to_vec();
        let peer = rogue(move |envelope| signed(envelope, &message)).await;
        let client = validator().taking(asked.parse().expect("names"));
        let answer = client
            .forward(&peer, Modality::Text, &tokens([1, 3]), SOON)
            .await;
        let refused = matches!(answer, Err(Failure::BadShape(_)));
        assert_eq!(refused, !taken, "{form} for {asked}: {answer:?}");
        assert_eq!(answer.is_ok(), taken);
    }
    // Nor compressed, where it is small enough to be sent and too large to be wanted.
    let zeros = Tensor::f32([1, 3, 1 << 16], vec![0.0; 3 << 16]).expect("fits");
    let message = v1::ForwardResponse {
        response: zeros.to_wire_in("f16,zstd".parse().expect("names")).ok(),
    };
    let message = message.encode_to_vec();
    let peer = rogue(move |envelope| signed(envelope, &message)).await;
    let client = Client::new(key("//Validator"), GENESIS); // expects no dimension
    let answer = client
        .forward(&peer, Modality::Text, &tokens([1, 3]), SOON)
        .await;
    let Err(Failure::BadShape(words)) = answer else {
        panic!("it was taken");
    };
    assert!(
        words.contains("ZSTD") && words.contains("f32,f16"),
        "{words}"
    );
}

#[tokio::test]
async fn answers_that_are_not_finite() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let peer = rogue(move |envelope| {
            let mut values = [0.5; 12];
            values[7] = value;
            signed(envelope, &response(&[1, 3, 4], &values))
        })
        .await;
        assert_eq!(ask(&peer).await, Err(Failure::NotFinite));
        // The same from our own server, whose model says so.
        let tensor = Tensor::f32([1, 3, 4], vec![value; 12]).expect("fits");
        let toy = Toy {
            mood: Mood::Says(tensor),
            ..Toy::default()
        };
        let neuron = start(toy, limits()).await;
        assert_eq!(ask(&neuron.peer()).await, Err(Failure::NotFinite));
    }
}

#[tokio::test]
async fn an_answer_too_large() {
    let message = response(&[1, 3, 4000], &[0.5; 12_000]);
    let peer = rogue(move |envelope| signed(envelope, &message)).await;
    let limits = ClientLimits {
        message_bytes: 10_000,
        ..ClientLimits::default()
    };
    let client = Client::with_limits(key("//Validator"), GENESIS, limits);
    let answer = client
        .forward(&peer, Modality::Text, &tokens([1, 3]), SOON)
        .await;
    assert!(matches!(answer, Err(Failure::TooLarge(_))), "{answer:?}");
}

#[tokio::test]
async fn a_description_of_someone_else() {
    let message = v1::DescribeResponse {
        hotkey: hotkey("//Other").to_vec().into(),
        modality: v1::Modality::Text.into(),
        ..v1::DescribeResponse::default()
    }
    .encode_to_vec();
    let peer = rogue(move |envelope| signed(envelope, &message)).await;
    let answer = validator().describe(&peer, SOON).await;
    assert!(
        matches!(answer, Err(Failure::Unauthenticated(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_gradient_of_whose_treatment_nothing_is_said() {
    let message = v1::BackwardResponse::default().encode_to_vec();
    let peer = rogue(move |envelope| signed(envelope, &message)).await;
    let gradient = Tensor::f32([1, 3, 4], vec![1.0; 12]).expect("fits");
    let answer = validator()
        .backward(&peer, Modality::Text, &tokens([1, 3]), &gradient, SOON)
        .await;
    assert!(matches!(answer, Err(Failure::BadShape(_))), "{answer:?}");
}

#[tokio::test]
async fn a_late_answer() {
    let toy = Toy {
        mood: Mood::Silent,
        ..Toy::default()
    };
    let neuron = start(toy, limits()).await;
    let deadline = Duration::from_millis(100);
    let asked = tokio::time::Instant::now();
    let answer = validator()
        .forward(&neuron.peer(), Modality::Text, &tokens([1, 3]), deadline)
        .await;
    assert_eq!(answer, Err(Failure::Deadline));
    assert!(asked.elapsed() < SOON / 2);
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = listener.local_addr().expect("bound").to_string();
    drop(listener);
    for endpoint in [endpoint.as_str(), "nonsense", "http://127.0.0.1:1/", ""] {
        let peer = Peer {
            hotkey: hotkey("//Miner"),
            endpoint: endpoint.into(),
            certificate: None,
        };
        let answer = ask(&peer).await;
        assert!(matches!(answer, Err(Failure::Unreachable(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_neuron_that_goes_away_and_comes_back() {
    let mut neuron = start(Toy::default(), limits()).await;
    let client = validator();
    let inputs = tokens([1, 3]);
    let peer = neuron.peer();
    let ask = || {
        let (client, peer, inputs) = (client.clone(), peer.clone(), inputs.clone());
        async move { client.forward(&peer, Modality::Text, &inputs, SOON).await }
    };
    assert!(ask().await.is_ok());
    neuron.stop.take().expect("running").send(()).expect("runs");
    (&mut neuron.serving).await.expect("ends well");
    let gone = ask().await;
    assert!(matches!(gone, Err(Failure::Unreachable(_))), "{gone:?}");
    let listener = TcpListener::bind(neuron.address).await.expect("free again");
    let _back = common::start_on(neuron.address, listener, Toy::default(), limits()).await;
    assert!(ask().await.is_ok());
}

#[tokio::test]
async fn a_port_that_speaks_something_else() {
    use tokio::io::AsyncWriteExt;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let peer = Peer {
        hotkey: hotkey("//Miner"),
        endpoint,
        certificate: None,
    };
    let answer = ask(&peer).await;
    assert!(matches!(answer, Err(Failure::Unreachable(_))), "{answer:?}");
}

#[tokio::test]
async fn malformed_headers_of_an_answer() {
    for (name, value, status) in [
        ("grpc-status-details-bin", "!", "3"), // makes the transport panic
        ("grpc-message", "%zz%", "3"),
        ("noesis-failure", "no-such-code", "3"),
        (SIGNATURE_KEY, "zz", "0"),
        ("grpc-status", "zz", "zz"),
    ] {
        let peer = rogue(move |_| {
            let mut response = http::Response::new(Body::empty());
            for (name, value) in [("grpc-status", status), (name, value)] {
                let value = http::HeaderValue::from_static(value);
                response.headers_mut().insert(name, value);
            }
            response
        })
        .await;
        let answer = ask(&peer).await;
        assert!(answer.is_err(), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn words_of_a_peer_are_tamed() {
    let peer = rogue(|_| {
        let words = format!("\u{1b}[2J\n{}", "x".repeat(10_000));
        tonic::Status::internal(words).into_http()
    })
    .await;
    match ask(&peer).await {
        Err(Failure::Internal(words)) => {
            assert!(words.len() <= 512);
            assert!(!words.contains(char::is_control));
        }
        // Headers that long may also be refused by the transport.
        other => assert!(matches!(other, Err(Failure::Unreachable(_))), "{other:?}"),
    }
}

#[tokio::test]
async fn a_peer_cannot_call_itself_unreachable() {
    let peer = rogue(|_| tonic::Status::from(Failure::Unreachable("ha".into())).into_http()).await;
    let answer = ask(&peer).await;
    assert!(matches!(answer, Err(Failure::Internal(_))), "{answer:?}");
}

#[test]
fn every_failure_survives_the_wire() {
    let words = || "what to do".to_string();
    for failure in [
        Failure::BadShape(words()),
        Failure::WrongModality(words()),
        Failure::NotFinite,
        Failure::TooLarge(words()),
        Failure::Unauthenticated(words()),
        Failure::Replayed,
        Failure::NotAllowed(words()),
        Failure::Busy,
        Failure::Deadline,
        Failure::Unsupported(words()),
        Failure::Internal(words()),
    ] {
        let status = tonic::Status::from(failure.clone());
        assert_eq!(Failure::from_status(&status), failure);
        // Another gRPC client reads at least the kind from the status.
        let bare = tonic::Status::new(status.code(), status.message());
        if failure != Failure::NotFinite {
            assert_eq!(Failure::from_status(&bare), failure);
        }
    }
}
