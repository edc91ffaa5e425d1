//! A process that serves a model without signatures, as a small server plays it here: honest, and with every way
//! to fail.

#![allow(dead_code)] // each test program uses a part

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use noesis_miner::{FeedbackRules, Remote, RemoteConfig, RemoteError, Settings};
use noesis_model::{Modality, NetworkConfig};
use noesis_neuron::{Data, Tensor};
use noesis_proto::{v1, SERVICE};
use tokio::{
    net::TcpListener,
    sync::{oneshot, Semaphore},
    task::JoinHandle,
};
use tonic::{
    body::Body,
    codegen::{http, BoxFuture, Service},
    server::{Grpc, NamedService, UnaryService},
    Request, Response, Status,
};
use tonic_prost::ProstCodec;

pub const DIM: usize = 3;

/// How the process behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
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
    /// Answers an error.
    Fail,
    /// Panics.
    Panic,
    /// Answers as the honest one once it may, and says in which order it was asked.
    Waits,
    /// Takes images, and answers each at so many positions.
    Images(usize),
}

/// What the process and its test know of each other.
struct State {
    mode: Mutex<Mode>,
    /// First tokens of what it was asked while it waits.
    asked: Mutex<Vec<i64>>,
    /// Answers that it may give while it waits.
    may_answer: Semaphore,
}

#[derive(Clone)]
struct Process(Arc<State>);

impl NamedService for Process {
    const NAME: &'static str = SERVICE;
}

impl Process {
    async fn describe(self, _: v1::DescribeRequest) -> Result<v1::DescribeResponse, Status> {
        let modality = match *self.0.mode.lock().unwrap() {
            Mode::OtherModality | Mode::Images(_) => v1::Modality::Image,
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
        let mode = *self.0.mode.lock().unwrap();
        let inputs = Tensor::from_wire(&request.inputs.unwrap()).unwrap();
        if let Mode::Images(positions) = mode {
            let shape = vec![inputs.shape[0], positions, DIM];
            let values = vec![0.5; shape.iter().product()];
            let response = Tensor::f32(shape, values).unwrap().to_wire().unwrap();
            return Ok(v1::ForwardResponse {
                response: Some(response),
            });
        }
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
            Mode::Fail => return Err(Status::unknown("out of memory")),
            Mode::Panic => panic!("the process breaks off in this call"),
            Mode::Waits => {
                self.0.asked.lock().unwrap().push(tokens[0]);
                self.0.may_answer.acquire().await.unwrap().forget();
            }
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
pub struct Running {
    pub address: SocketAddr,
    state: Arc<State>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Running {
    pub async fn start(address: &str, mode: Mode) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            mode: Mutex::new(mode),
            asked: Mutex::default(),
            may_answer: Semaphore::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = tonic::transport::Server::builder()
            .add_service(Process(Arc::clone(&state)))
            .serve_with_incoming_shutdown(
                tokio_stream::wrappers::TcpListenerStream::new(listener),
                async { drop(stopped.await) },
            );
        Self {
            address,
            state,
            stop,
            server: tokio::spawn(async move { serving.await.unwrap() }),
        }
    }

    pub fn turns(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
    }

    /// Lets it answer so many calls for which it waits.
    pub fn may_answer(&self, calls: usize) {
        self.state.may_answer.add_permits(calls);
    }

    /// The first tokens of what it was asked while it waits, once these are so many.
    pub async fn asked(&self, calls: usize) -> Vec<i64> {
        loop {
            let asked = self.state.asked.lock().unwrap().clone();
            if asked.len() >= calls {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub async fn ends(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap();
    }

    pub fn config(&self) -> RemoteConfig {
        RemoteConfig {
            address: self.address,
            network: NetworkConfig::builtin(Modality::Text, 64, DIM as i64),
            patience: Duration::from_secs(10), // more than anything takes here
        }
    }

    pub async fn connect(&self) -> Result<Remote, RemoteError> {
        Remote::connect(self.config(), &settings()).await
    }
}

pub fn settings() -> Settings {
    Settings {
        queue: 2,
        positions_a_call: 20,
        feedback: FeedbackRules {
            quota: 2,
            ..FeedbackRules::default()
        },
        ..Settings::default()
    }
}
