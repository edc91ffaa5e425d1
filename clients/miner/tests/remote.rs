//! A miner whose model is another process, as a small server without signatures plays it here: honest,
//! and with every way to fail.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use noesis_miner::{FeedbackRules, Remote, RemoteConfig, RemoteError, Settings};
use noesis_model::{InputShape, VOCABULARY};
use noesis_neuron::{Caller, Data, Failure, Model, Tensor, Treatment};
use noesis_proto::{v1, SERVICE};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::{
    body::Body,
    codegen::{http, BoxFuture, Service},
    server::{Grpc, NamedService, UnaryService},
    Request, Response, Status,
};
use tonic_prost::ProstCodec;

const DIM: usize = 3;

/// How the process behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// Answers each token as a float, `DIM` times.
    Honest,
    /// Says that it takes images.
    OtherModality,
    /// Answers one position less.
    Short,
    /// Answers NaN.
    Nan,
    /// Answers fewer bytes than the shape says.
    Cut,
    /// Answers no tensor.
    Nothing,
    /// Does not answer.
    Hang,
    /// Answers an error.
    Fail,
    /// Panics.
    Panic,
}

#[derive(Clone)]
struct Process(Arc<Mutex<Mode>>);

impl NamedService for Process {
    const NAME: &'static str = SERVICE;
}

impl Process {
    async fn describe(self, _: v1::DescribeRequest) -> Result<v1::DescribeResponse, Status> {
        let modality = match *self.0.lock().unwrap() {
            Mode::OtherModality => v1::Modality::Image,
            _ => v1::Modality::Text,
        };
        Ok(v1::DescribeResponse {
            modality: modality.into(),
            response_dim: DIM as u32,
            sequence_limit: 6,
            model: "stand-in".into(),
            ..v1::DescribeResponse::default()
        })
    }

    async fn forward(self, request: v1::ForwardRequest) -> Result<v1::ForwardResponse, Status> {
        let mode = *self.0.lock().unwrap();
        let inputs = Tensor::from_wire(&request.inputs.unwrap()).unwrap();
        let Data::I64(tokens) = &inputs.data else {
            return Err(Status::invalid_argument("no tokens"));
        };
        assert!(inputs.shape[1] <= 6, "more than it said it takes");
        let mut shape = vec![inputs.shape[0], inputs.shape[1], DIM];
        let mut values: Vec<f32> = (tokens.iter())
            .flat_map(|token| [*token as f32; DIM])
            .collect();
        match mode {
            Mode::Short => {
                shape = vec![1, tokens.len() - 1, DIM];
                values.truncate((tokens.len() - 1) * DIM);
            }
            Mode::Nan => values[0] = f32::NAN,
            Mode::Hang => std::future::pending().await,
            Mode::Fail => return Err(Status::unknown("out of memory")),
            Mode::Panic => panic!("the process breaks off in this call"),
            _ => {}
        }
        let mut response = Tensor::f32(shape, values).unwrap().to_wire().unwrap();
        if mode == Mode::Cut {
            response.data.truncate(5);
        }
        Ok(v1::ForwardResponse {
            response: (mode != Mode::Nothing).then_some(response),
        })
    }
}

/// One method, from its messages to its future.
struct Unary<F>(F);

impl<A, B, F, R> UnaryService<A> for Unary<F>
where
    F: FnOnce(A) -> R + Clone,
    R: std::future::Future<Output = Result<B, Status>> + Send + 'static,
{
    type Response = B;
    type Future = BoxFuture<Response<B>, Status>;

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let answer = (self.0.clone())(request.into_inner());
        Box::pin(async move { answer.await.map(Response::new) })
    }
}

impl Service<http::Request<Body>> for Process {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let process = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/noesis.v1.Neuron/Describe" => {
                    let method = Unary(|request| process.describe(request));
                    Grpc::new(ProstCodec::default())
                        .unary(method, request)
                        .await
                }
                "/noesis.v1.Neuron/Forward" => {
                    let method = Unary(|request| process.forward(request));
                    Grpc::new(ProstCodec::default())
                        .unary(method, request)
                        .await
                }
                // No gradients, as many models take none.
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// A running process.
struct Running {
    address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Running {
    async fn start(address: &str, mode: Mode) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = Arc::new(Mutex::new(mode));
        let (stop, stopped) = oneshot::channel();
        let serving = tonic::transport::Server::builder()
            .add_service(Process(Arc::clone(&mode)))
            .serve_with_incoming_shutdown(
                tokio_stream::wrappers::TcpListenerStream::new(listener),
                async { drop(stopped.await) },
            );
        Self {
            address,
            mode,
            stop,
            server: tokio::spawn(async move { serving.await.unwrap() }),
        }
    }

    fn turns(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    async fn ends(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap();
    }

    fn config(&self) -> RemoteConfig {
        RemoteConfig {
            address: self.address,
            inputs: InputShape::Text {
                vocabulary: VOCABULARY,
                context: 64,
            },
            response_dim: DIM as u32,
            patience: Duration::from_millis(500),
        }
    }

    async fn connect(&self) -> Result<Remote, RemoteError> {
        Remote::connect(self.config(), &settings()).await
    }
}

fn settings() -> Settings {
    Settings {
        queue: 2,
        positions_a_call: 20,
        feedback: FeedbackRules {
            quota: 2,
            ..FeedbackRules::default()
        },
        ..Settings::new([7; 32])
    }
}

fn caller() -> Caller {
    Caller {
        hotkey: [1; 32],
        stake: 0,
    }
}

fn tokens() -> Tensor {
    Tensor::i64(vec![1, 2], vec![4, 250]).unwrap()
}

#[tokio::test]
async fn its_answers_are_passed_on_under_the_miners_name() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap().serving([9; 32]);
    let answer = remote.forward(caller(), tokens()).await.unwrap();
    let expected = vec![4.0, 4.0, 4.0, 250.0, 250.0, 250.0];
    assert_eq!(answer, Tensor::f32(vec![1, 2, DIM], expected).unwrap());
    let description = remote.describe();
    assert_eq!(description.hotkey, [9; 32]);
    assert_eq!(description.sequence_limit, 6);
    assert!(description.model.contains("stand-in"));
}

#[tokio::test]
async fn nonsense_is_a_failure_of_one_call() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    for mode in [
        Mode::Short,
        Mode::Nan,
        Mode::Cut,
        Mode::Nothing,
        Mode::Fail,
        Mode::Panic,
    ] {
        process.turns(mode);
        let answer = remote.forward(caller(), tokens()).await;
        assert!(
            matches!(answer, Err(Failure::Internal(_))),
            "{mode:?}: {answer:?}"
        );
        process.turns(Mode::Honest);
        let answer = remote.forward(caller(), tokens()).await;
        assert!(answer.is_ok(), "after {mode:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_process_that_hangs_costs_its_time_and_no_more_places_than_there_are() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    process.turns(Mode::Hang);
    let begin = Instant::now();
    let call = || {
        let remote = remote.clone();
        tokio::spawn(async move { remote.forward(caller(), tokens()).await })
    };
    let waiting = [call(), call()];
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(remote.forward(caller(), tokens()).await, Err(Failure::Busy));
    assert!(begin.elapsed() < Duration::from_millis(400), "at once");
    for call in waiting {
        assert_eq!(call.await.unwrap(), Err(Failure::Deadline));
    }
    process.turns(Mode::Honest);
    assert!(remote.forward(caller(), tokens()).await.is_ok());
}

#[tokio::test]
async fn a_process_that_died_is_told_and_found_again_when_it_is_back() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    let address = process.address.to_string();
    process.ends().await;
    for _ in 0..3 {
        let gone = remote.forward(caller(), tokens()).await;
        assert!(matches!(gone, Err(Failure::Internal(_))), "{gone:?}");
    }
    let _again = Running::start(&address, Mode::Honest).await;
    let mut answer = remote.forward(caller(), tokens()).await;
    // The connection is made anew by the first call that finds it broken.
    if answer.is_err() {
        answer = remote.forward(caller(), tokens()).await;
    }
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn inputs_that_are_no_tokens_or_too_many_never_reach_it() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    process.turns(Mode::Panic);
    let unknown = Tensor::i64(vec![1, 2], vec![0, 258]).unwrap();
    let refused = remote.forward(caller(), unknown).await;
    assert!(matches!(refused, Err(Failure::BadShape(_))), "{refused:?}");
    let many = Tensor::i64(vec![7, 3], vec![0; 21]).unwrap();
    let refused = remote.forward(caller(), many).await;
    assert!(matches!(refused, Err(Failure::TooLarge(_))), "{refused:?}");
}

#[tokio::test]
async fn gradients_that_it_does_not_take_are_refused_in_words() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    let gradient = || Tensor::f32(vec![1, 2, DIM], vec![0.5; 2 * DIM]).unwrap();
    for said in ["takes no gradients", "takes no gradients", "quota"] {
        let treated = remote.backward(caller(), tokens(), gradient()).await;
        let Ok(Treatment::Refused(words)) = treated else {
            panic!("{treated:?}");
        };
        assert!(words.contains(said), "{words}");
    }
}

#[tokio::test]
async fn its_certificate_is_kept_in_a_folder_that_is_made() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("made/on/the/way");
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", free.local_addr().unwrap());
    drop(free);
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_noesis-miner"));
    command
        .kill_on_drop(true)
        .args(["--model", "remote", &process.address.to_string()])
        .args(["--response-dim", &DIM.to_string(), "--sequence", "6"])
        .args(["--coldkey", "//Charlie", "--hotkey", "//Charlie//hotkey"])
        .args(["--listen", "127.0.0.1:0", "--tls", "on", "--chain", &url])
        .arg("--checkpoint")
        .arg(&folder);
    let ended = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let ended = ended.expect("it does not wait for a chain").unwrap();
    let words = String::from_utf8(ended.stderr).unwrap();
    assert!(words.contains(&url), "it got as far as the chain: {words}");
    assert!(folder.join("tls.pem").exists());
}

#[tokio::test]
async fn what_is_no_model_of_the_market_is_told_at_the_start() {
    let process = Running::start("127.0.0.1:0", Mode::OtherModality).await;
    let told = |error: RemoteError| error.to_string();
    let words = told(process.connect().await.unwrap_err());
    assert!(words.contains("MODALITY_IMAGE"), "{words}");
    process.turns(Mode::Fail);
    let words = told(process.connect().await.unwrap_err());
    assert!(words.contains("out of memory"), "{words}");
    process.turns(Mode::Honest);
    let wider = RemoteConfig {
        response_dim: 64,
        ..process.config()
    };
    let words = told(Remote::connect(wider, &settings()).await.unwrap_err());
    assert!(words.contains("--response-dim"), "{words}");
    let config = process.config();
    process.ends().await;
    let words = told(Remote::connect(config, &settings()).await.unwrap_err());
    assert!(words.contains("start the process"), "{words}");
}
