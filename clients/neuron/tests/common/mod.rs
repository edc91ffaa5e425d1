//! A neuron on loopback, and ways to call it that the client would not take.

#![allow(dead_code)] // each test program uses a part

pub mod abuse;
pub mod bytes;
pub mod rude;

use std::{
    collections::HashMap,
    net::SocketAddr,
    str::FromStr,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::Duration,
};

use noesis_neuron::{
    serve,
    signature::{now_milliseconds, Envelope, Method, SIGNATURE_KEY},
    Caller, Callers, Client, ClientLimits, Data, Description, Failure, Hotkey, Limits, Listener,
    Modality, Model, Peer, Tensor, Treatment,
};
use noesis_proto::v1::{self, neuron_client::NeuronClient};
use prost::Message;
use subxt_signer::{sr25519::Keypair, SecretUri};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch, Notify},
    task::JoinHandle,
};
use tonic::{transport::Channel, Request};

pub const GENESIS: [u8; 32] = [9; 32];
pub const DIM: u32 = 4;
pub const SOON: Duration = Duration::from_secs(10);

pub fn key(uri: &str) -> Keypair {
    Keypair::from_uri(&SecretUri::from_str(uri).expect("a good URI")).expect("a good key")
}

pub fn hotkey(uri: &str) -> Hotkey {
    key(uri).public_key().0
}

/// What [`Toy`] does with a call to `forward`.
#[derive(Clone, Default)]
pub enum Mood {
    /// Answers each token with itself, `dim` times over, plus a fraction.
    #[default]
    Good,
    /// Never answers.
    Silent,
    /// Panics.
    Panics,
    /// Answers this.
    Says(Tensor),
    /// Answers as if good once told to.
    Waits(Arc<Notify>),
}

/// A model that counts what reaches it.
#[derive(Clone)]
pub struct Toy {
    pub modality: Modality,
    pub mood: Mood,
    pub reached: Arc<AtomicUsize>,
}

impl Default for Toy {
    fn default() -> Self {
        Self {
            modality: Modality::Text,
            mood: Mood::Good,
            reached: Arc::default(),
        }
    }
}

impl Model for Toy {
    fn describe(&self) -> Description {
        Description {
            hotkey: [0; 32],
            modality: self.modality,
            response_dim: DIM,
            sequence_limit: 1 << 20,
            model: "toy".into(),
            parameters: 7,
            version: "1".into(),
        }
    }

    async fn forward(&self, _: Caller, inputs: Tensor) -> Result<Tensor, Failure> {
        self.reached.fetch_add(1, Ordering::SeqCst);
        match &self.mood {
            Mood::Good => {}
            Mood::Silent => std::future::pending().await,
            Mood::Panics => panic!("the model fell over, on purpose"),
            Mood::Says(tensor) => return Ok(tensor.clone()),
            Mood::Waits(go) => go.notified().await,
        }
        Ok(echo(&inputs))
    }

    async fn backward(
        &self,
        caller: Caller,
        _: Tensor,
        gradient: Tensor,
    ) -> Result<Treatment, Failure> {
        self.reached.fetch_add(1, Ordering::SeqCst);
        let Data::F32(values) = &gradient.data else {
            panic!("a gradient is f32");
        };
        match values[0] {
            0.0 => Ok(Treatment::Queued),
            sign if sign < 0.0 => Ok(Treatment::Refused("downhill\nonly".into())),
            _ if caller.stake == 0 => Ok(Treatment::Refused("no stake".into())),
            _ => Ok(Treatment::Applied),
        }
    }
}

/// The good answer of [`Toy`].
pub fn echo(inputs: &Tensor) -> Tensor {
    let (batch, sequence) = (inputs.shape[0], inputs.shape[1]);
    let values: Vec<f32> = match &inputs.data {
        Data::I64(tokens) => tokens
            .iter()
            .flat_map(|&token| [token as f32 + 0.5; DIM as usize])
            .collect(),
        Data::F32(_) => vec![0.25; batch * sequence * DIM as usize],
    };
    Tensor::f32([batch, sequence, DIM as usize], values).expect("fits")
}

/// A running neuron, whose identity is `//Miner`.
pub struct Running {
    pub address: SocketAddr,
    pub reached: Arc<AtomicUsize>,
    pub callers: watch::Sender<Arc<Callers>>,
    pub stop: Option<oneshot::Sender<()>>,
    pub serving: JoinHandle<()>,
}

/// Limits for tests: clocks agree, so that a neuron is ready at once.
pub fn limits() -> Limits {
    Limits {
        clock_skew: Duration::ZERO,
        ..Limits::default()
    }
}

pub async fn start(model: Toy, limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    start_on(address, listener, model, limits).await
}

pub async fn start_on(
    address: SocketAddr,
    listener: impl Into<Listener>,
    model: Toy,
    limits: Limits,
) -> Running {
    let listener = listener.into();
    let known: HashMap<_, _> = [
        (hotkey("//Validator"), 1000),
        (hotkey("//Other"), 10),
        (hotkey("//Poor"), 0),
    ]
    .into_iter()
    .chain(abuse::UNENDING.map(|uri| (hotkey(uri), 0)))
    .collect();
    let (callers, watched) = watch::channel(Arc::new(Callers(known)));
    let (stop, stopped) = oneshot::channel::<()>();
    let reached = model.reached.clone();
    let serving = tokio::spawn(async move {
        let shutdown = async {
            let _ = stopped.await;
        };
        serve(
            listener,
            model,
            key("//Miner"),
            GENESIS,
            watched,
            limits,
            shutdown,
        )
        .await
        .expect("serving ends well");
    });
    // Lets it begin; requests signed in the very millisecond in which it does are refused.
    tokio::task::yield_now().await;
    let begun = now_milliseconds();
    while now_milliseconds() <= begun {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Running {
        address,
        reached,
        callers,
        stop: Some(stop),
        serving,
    }
}

impl Running {
    pub fn peer(&self) -> Peer {
        Peer {
            hotkey: hotkey("//Miner"),
            endpoint: self.address.to_string(),
            certificate: None,
        }
    }

    pub fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    /// An ordinary client of the `.proto`, which signs nothing.
    pub async fn stock(&self) -> NeuronClient<Channel> {
        let client = NeuronClient::connect(format!("http://{}", self.address)).await;
        client
            .expect("connects")
            .max_decoding_message_size(usize::MAX)
    }

    pub async fn forward(&self, inputs: &Tensor) -> Result<Tensor, Failure> {
        validator()
            .forward(&self.peer(), Modality::Text, inputs, SOON)
            .await
    }

    /// Asserts that the neuron is alive and well.
    pub async fn assert_answers(&self) {
        let inputs = tokens([1, 3]);
        assert_eq!(self.forward(&inputs).await, Ok(echo(&inputs)));
    }

    /// Sends a message, signed as it should be, with an ordinary client.
    pub async fn send(&self, message: v1::ForwardRequest) -> Result<v1::ForwardResponse, Failure> {
        let envelope = envelope(&message.encode_to_vec());
        self.send_as(message, &envelope, &key("//Validator")).await
    }

    /// Sends a message under any envelope.
    pub async fn send_as(
        &self,
        message: v1::ForwardRequest,
        envelope: &Envelope,
        identity: &Keypair,
    ) -> Result<v1::ForwardResponse, Failure> {
        let mut request = Request::new(message);
        envelope.write(identity, request.metadata_mut());
        let answer = self.stock().await.forward(request).await;
        let answer = answer.map_err(|status| Failure::from_status(&status))?;
        assert!(answer.metadata().contains_key(SIGNATURE_KEY));
        Ok(answer.into_inner())
    }
}

pub fn validator() -> Client {
    Client::new(key("//Validator"), GENESIS).expecting(DIM)
}

/// A client that may send more than a neuron takes.
pub fn unbounded() -> Client {
    let limits = ClientLimits {
        message_bytes: usize::MAX,
        ..ClientLimits::default()
    };
    Client::with_limits(key("//Validator"), GENESIS, limits)
}

pub fn tokens(shape: [usize; 2]) -> Tensor {
    let values = (0..shape[0] * shape[1]).map(|index| index as i64 % 256);
    Tensor::i64(shape, values.collect()).expect("fits")
}

/// The envelope of a Forward from `//Validator` to `//Miner`, made now.
pub fn envelope(body: &[u8]) -> Envelope {
    let (sender, receiver) = (hotkey("//Validator"), hotkey("//Miner"));
    Envelope::new(GENESIS, Method::Forward, sender, receiver, body)
}

/// A good Forward of the tokens 1, 2, 3.
pub fn message() -> v1::ForwardRequest {
    let values = [1_i64, 2, 3];
    v1::ForwardRequest {
        modality: v1::Modality::Text.into(),
        inputs: Some(v1::Tensor {
            dtype: v1::Dtype::I64.into(),
            shape: vec![1, 3],
            data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<_>>()
                .into(),
            encoding: v1::Encoding::Raw.into(),
        }),
        formats: None,
    }
}
