//! A model in another process on this machine: any program that speaks the protocol without
//! signatures. The miner is its signed front. `examples/minilm` has one.
//!
//! The process is asked one call at a time, those of callers with more stake first.
//!
//! What comes back is believed no more than what comes from a stranger: it may be late, of a wrong
//! shape, not finite, or not come at all. Each of these fails one call, in words, and the next call finds
//! the process again when it is back.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use noesis_model::{tch::Device, InputShape, NetworkConfig, Values, VOCABULARY};
use noesis_neuron::{
    check_answer, modality_to_wire, Caller, Data, Description, Failure, Hotkey, Limits, Model,
    Tensor, Treatment,
};
use noesis_proto::v1::{self, neuron_client::NeuronClient};
use tokio::time::timeout;
use tonic::{
    transport::{Channel, Endpoint},
    Code, Response, Status,
};

use crate::{
    events::{Events, Outcome},
    quota::Feedback,
    seldom::Seldom,
    settings::{CallSize, Settings},
    turns::Turns,
};

/// Positions that the answer to one call may have for a caller without the stake for a gradient. A call that was begun
/// keeps all others waiting, whatever their stake, and a pretrained model is slower than the built-in ones: that of
/// `examples/minilm` takes 0.02 seconds of a core for so many, and 0.4 for what those answer such a caller.
const WITHOUT_STAKE: usize = 256;

/// Where a process serves, and for which market.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// Its address, on this machine.
    pub address: SocketAddr,
    /// The network in whose place it is: it takes and answers what that would. Of images and vectors it decides
    /// the sizes that it takes itself.
    pub network: NetworkConfig,
    /// Time that it may take for a call, from the beginning of its turn.
    pub patience: Duration,
}

/// Why a process cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Not an address, or not of this machine.
    #[error("--model remote {0}: say an address of this machine with its port, such as 127.0.0.1:9201; whoever is in between could answer in its place")]
    NotLoopback(String),
    /// Nobody is there, or does not answer.
    #[error("nobody answers at {address} ({failure}): start the process that serves the model, then the miner")]
    Absent {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        failure: Failure,
    },
    /// It is another model than the market's.
    #[error("the model at {address} answers {found}, and the market wants {wanted}: start it for that, or say another --market or --response-dim")]
    Unfit {
        /// Where.
        address: SocketAddr,
        /// What it is.
        found: String,
        /// What is wanted.
        wanted: String,
    },
    /// Its answer has other positions than callers take.
    #[error("the model at {address} answers {found} positions to an image, and the market's validators take {wanted}, one for each patch: see docs/models.md")]
    Positions {
        /// Where.
        address: SocketAddr,
        /// How many it answers.
        found: usize,
        /// How many it should.
        wanted: usize,
    },
    /// It fails when it is tried.
    #[error("the model at {address} fails on random inputs ({failure}): look at what it writes")]
    Fails {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        failure: Failure,
    },
}

/// Reads an address of this machine.
///
/// # Errors
///
/// [`RemoteError::NotLoopback`].
pub fn loopback(address: &str) -> Result<SocketAddr, RemoteError> {
    let numeric = match address.strip_prefix("localhost:") {
        Some(port) => format!("{}:{port}", IpAddr::from([127, 0, 0, 1])),
        None => address.to_owned(),
    };
    let parsed = numeric.parse::<SocketAddr>().ok();
    parsed
        .filter(|parsed| parsed.ip().is_loopback() && parsed.port() > 0)
        .ok_or_else(|| RemoteError::NotLoopback(address.to_owned()))
}

/// The way to a process that serves a model; a clone is another way to the same one.
#[derive(Clone, Debug)]
pub struct Remote {
    client: NeuronClient<Channel>,
    config: RemoteConfig,
    description: Arc<Description>,
    call_size: CallSize,
    feedback: Feedback,
    /// As many calls wait for the process as jobs would for a model thread.
    turns: Turns,
    /// Answers that are nonsense, in the log.
    nonsense: Arc<Seldom>,
    events: Events,
}

impl Remote {
    /// Asks the process who it is, and tries it out on random inputs.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when it is not there, is another model, or fails.
    pub async fn connect(config: RemoteConfig, settings: &Settings) -> Result<Self, RemoteError> {
        let address = config.address;
        let absent = |failure| RemoteError::Absent { address, failure };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| absent(Failure::Internal(error.to_string())))?
            .connect_timeout(config.patience);
        let channel = endpoint.connect_lazy();
        // Its answers may be as large as those that go on from here.
        let longest = Limits::default().message_bytes;
        let mut client = NeuronClient::new(channel).max_decoding_message_size(longest);
        let asked = timeout(config.patience, client.describe(v1::DescribeRequest {})).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => return Err(absent(failure(&status))),
            Err(_) => return Err(absent(Failure::Deadline)),
        };
        let modality = config.network.modality();
        let response_dim = u32::try_from(config.network.response_dim()).unwrap_or(u32::MAX);
        let in_words = |modality: v1::Modality, dim: u32| {
            format!("{} in {dim} dimensions", modality.as_str_name())
        };
        if answer.modality() != modality_to_wire(modality) || answer.response_dim != response_dim {
            return Err(RemoteError::Unfit {
                address,
                found: in_words(answer.modality(), answer.response_dim),
                wanted: in_words(modality_to_wire(modality), response_dim),
            });
        }
        let description = Description {
            hotkey: Hotkey::default(), // the server puts in its own
            modality,
            response_dim,
            sequence_limit: answer.sequence_limit,
            model: format!("remote {}", answer.model),
            parameters: answer.parameters,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let mut remote = Self {
            client,
            config,
            description: Arc::new(description),
            call_size: settings.call_size().without_stake(WITHOUT_STAKE),
            feedback: Feedback::new(&settings.feedback),
            turns: Turns::new(settings.queue),
            nonsense: Arc::default(),
            events: Events::default(), // that it is tried is no caller's call
        };
        let random = remote.random().map_err(absent)?;
        let wanted = remote.positions(&random.shape);
        let nobody = Caller {
            hotkey: [0; 32],
            stake: 0,
        };
        let tried = remote.answer(nobody, random).await;
        let tried = tried.map_err(|failure| RemoteError::Fails { address, failure })?;
        remote.events = settings.events.clone();
        match tried.shape.get(1) {
            Some(&found) if found != wanted => Err(RemoteError::Positions {
                address,
                found,
                wanted,
            }),
            _ => Ok(remote),
        }
    }

    /// Two random examples of what the market sends.
    fn random(&self) -> Result<Tensor, Failure> {
        let limit = i64::from(self.description.sequence_limit);
        let shorter = |context: i64| {
            if limit > 0 {
                context.min(limit)
            } else {
                context
            }
        };
        let inputs = match self.config.network.inputs() {
            InputShape::Text {
                vocabulary,
                context,
            } => InputShape::Text {
                vocabulary,
                context: shorter(context),
            },
            InputShape::Tensor { context, dim } => InputShape::Tensor {
                context: shorter(context),
                dim,
            },
            image @ InputShape::Image { .. } => image,
        };
        let random = inputs.random(2, Device::Cpu);
        let shape: Vec<usize> = random.size().iter().map(|size| *size as usize).collect();
        let flat = random.reshape([-1]);
        let unread = |error| Failure::Internal(format!("random inputs cannot be read: {error}"));
        match inputs {
            InputShape::Text { .. } => Tensor::i64(shape, Vec::try_from(flat).map_err(unread)?),
            _ => Tensor::f32(shape, Vec::try_from(flat).map_err(unread)?),
        }
    }

    /// Checks what the process is not to be troubled with.
    fn check(&self, caller: &Caller, inputs: &Tensor) -> Result<(), Failure> {
        let text = InputShape::Text {
            vocabulary: VOCABULARY,
            context: i64::MAX,
        };
        if let Data::I64(tokens) = &inputs.data {
            let checked = text.check(&inputs.shape, Values::I64(tokens));
            checked.map_err(|error| Failure::BadShape(error.to_string()))?;
        }
        let positions = batch(inputs).saturating_mul(self.positions(&inputs.shape));
        self.call_size.check(caller, positions)?;
        let most = WITHOUT_STAKE.saturating_mul(numbers_a_position(&self.config.network));
        self.call_size
            .check_numbers(caller, inputs.data.len(), most)
    }

    /// Positions of the answer to each of the batch, of inputs of this shape: those of an image were looked at when
    /// it was tried.
    fn positions(&self, shape: &[usize]) -> usize {
        // The sizes of what lies in memory.
        let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
        let positions = self.config.network.positions(&shape);
        usize::try_from(positions).unwrap_or(usize::MAX)
    }

    /// Asks the process when it is this caller's turn, within the time that it has, and reads what it said.
    ///
    /// A call that was begun is not broken off where its caller goes away: the process would be at it still, and the
    /// next one would wait there.
    async fn ask<T: Send + 'static, A: Outcome + Send + 'static>(
        &self,
        (method, caller, batch): (&'static str, Caller, usize),
        call: impl Future<Output = Result<Response<T>, Status>> + Send + 'static,
        read: impl FnOnce(Result<T, Status>) -> Result<A, Failure> + Send + 'static,
    ) -> Result<A, Failure> {
        let turn = self.turns.take(caller.stake).await?;
        let (patience, events) = (self.config.patience, self.events.clone());
        let asked = tokio::spawn(async move {
            let begin = Instant::now();
            let answer = timeout(patience, call).await;
            drop(turn);
            let answer = match answer {
                Ok(answer) => read(answer.map(Response::into_inner)),
                Err(_) => Err(Failure::Deadline),
            };
            events.served(method, &caller, batch, begin.elapsed(), &answer);
            answer
        });
        match asked.await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Internal("the call broke off; ask again".into())),
        }
    }

    async fn answer(&self, caller: Caller, inputs: Tensor) -> Result<Tensor, Failure> {
        let Description {
            modality,
            response_dim,
            ..
        } = *self.description;
        let request = v1::ForwardRequest {
            modality: modality_to_wire(modality).into(),
            inputs: Some(inputs.to_wire()?),
            formats: Some(v1::ResponseFormats {
                f32: true,
                ..v1::ResponseFormats::default()
            }),
        };
        let mut client = self.client.clone();
        let call = async move { client.forward(request).await };
        let (address, seldom) = (self.config.address, Arc::clone(&self.nonsense));
        let asked = ("forward", caller, batch(&inputs));
        let read = move |answer: Result<v1::ForwardResponse, Status>| {
            let answer = answer.map_err(|status| failure(&status))?;
            let believed = answer
                .response
                .ok_or_else(|| Failure::BadShape("there is no tensor".into()))
                .and_then(|tensor| Tensor::from_wire(&tensor))
                .and_then(|tensor| {
                    check_answer(modality, &inputs, &tensor, Some(response_dim))?;
                    Ok(tensor)
                });
            believed.map_err(|nonsense| {
                seldom.warn(&format!(
                    "the model at {address} answered nonsense: {nonsense}"
                ));
                Failure::Internal(format!(
                    "the model behind this neuron answered nonsense: {nonsense}"
                ))
            })
        };
        self.ask(asked, call, read).await
    }
}

impl Model for Remote {
    fn describe(&self) -> Description {
        (*self.description).clone()
    }

    async fn forward(&self, caller: Caller, inputs: Tensor) -> Result<Tensor, Failure> {
        self.check(&caller, &inputs)?;
        self.answer(caller, inputs).await
    }

    async fn backward(
        &self,
        caller: Caller,
        inputs: Tensor,
        gradient: Tensor,
    ) -> Result<Treatment, Failure> {
        self.check(&caller, &inputs)?;
        if let Err(refused) = self.feedback.admit(caller) {
            return Ok(refused);
        }
        let request = v1::BackwardRequest {
            modality: modality_to_wire(self.description.modality).into(),
            inputs: Some(inputs.to_wire()?),
            gradient: Some(gradient.to_wire()?),
        };
        let mut client = self.client.clone();
        let call = async move { client.backward(request).await };
        let asked = ("backward", caller, batch(&inputs));
        self.ask(asked, call, treatment).await
    }
}

/// What became of a gradient.
fn treatment(answer: Result<v1::BackwardResponse, Status>) -> Result<Treatment, Failure> {
    match answer {
        Ok(answer) => Ok(match answer.treatment() {
            v1::Treatment::Applied => Treatment::Applied,
            v1::Treatment::Queued => Treatment::Queued,
            v1::Treatment::Refused => Treatment::Refused(answer.reason),
            v1::Treatment::Unspecified => {
                Treatment::Refused("the model does not say what it did".into())
            }
        }),
        Err(status) if status.code() == Code::Unimplemented => {
            Ok(Treatment::Refused("the model takes no gradients".into()))
        }
        Err(status) => Err(failure(&status)),
    }
}

/// Examples in the inputs.
fn batch(inputs: &Tensor) -> usize {
    inputs.shape.first().copied().unwrap_or(0)
}

/// Numbers of the inputs for each position of the answer, where the inputs are as large as the market's network takes
/// them. A remote model may take larger images and vectors, and the time that it takes grows with them.
fn numbers_a_position(network: &NetworkConfig) -> usize {
    let numbers = match network.inputs() {
        InputShape::Text { .. } => 1,
        InputShape::Image {
            channels,
            height,
            width,
        } => channels * height * width / network.positions(&[]).max(1),
        InputShape::Tensor { dim, .. } => dim,
    };
    usize::try_from(numbers).unwrap_or(usize::MAX)
}

/// What the caller is told. That the process is gone is this neuron's own fault, and no failure of the
/// line between the caller and it.
fn failure(status: &Status) -> Failure {
    match Failure::from_status(status) {
        Failure::Unreachable(words) => {
            Failure::Internal(format!("the model behind this neuron is gone: {words}"))
        }
        known => known,
    }
}
