//! A model in another process on this machine: any program that speaks the protocol without
//! signatures. The miner is its signed front. `examples/python` has one.
//!
//! What comes back is believed no more than what comes from a stranger: it may be late, of a wrong
//! shape, not finite, or not come at all. Each of these fails one call, in words, and the next call finds
//! the process again when it is back.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use noesis_model::{tch::Device, InputShape, Modality, Values, VOCABULARY};
use noesis_neuron::{
    check_answer, Caller, Data, Description, Failure, Hotkey, Model, Tensor, Treatment,
};
use noesis_proto::v1::{self, neuron_client::NeuronClient};
use tokio::{sync::Semaphore, time::timeout};
use tonic::{
    transport::{Channel, Endpoint},
    Code, Status,
};

use crate::{
    quota::Quota,
    settings::{CallSize, Settings},
};

/// Longest message either way: what the protocol allows between neurons.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Where a process serves, and for which market.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// Its address, on this machine.
    pub address: SocketAddr,
    /// What it takes. Of images and vectors it decides the sizes itself.
    pub inputs: InputShape,
    /// Length of the vectors that it answers.
    pub response_dim: u32,
    /// Time that it may take for a call.
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
    quota: Arc<Mutex<Quota>>,
    /// As many calls wait for the process as jobs would for a model thread.
    places: Arc<Semaphore>,
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
        let mut client = NeuronClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        let asked = timeout(config.patience, client.describe(v1::DescribeRequest {})).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => return Err(absent(failure(&status))),
            Err(_) => return Err(absent(Failure::Deadline)),
        };
        let modality = config.inputs.modality();
        if answer.modality != i32::from(on_wire(modality))
            || answer.response_dim != config.response_dim
        {
            let found = v1::Modality::try_from(answer.modality).unwrap_or_default();
            return Err(RemoteError::Unfit {
                address,
                found: format!(
                    "{} in {} dimensions",
                    found.as_str_name(),
                    answer.response_dim
                ),
                wanted: format!(
                    "{} in {} dimensions",
                    on_wire(modality).as_str_name(),
                    config.response_dim
                ),
            });
        }
        let description = Description {
            hotkey: settings.hotkey,
            modality,
            response_dim: config.response_dim,
            sequence_limit: answer.sequence_limit,
            model: format!("remote {}", answer.model),
            parameters: answer.parameters,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let remote = Self {
            client,
            config,
            description: Arc::new(description),
            call_size: settings.call_size(),
            quota: Arc::new(Mutex::new(Quota::new(&settings.feedback, Instant::now()))),
            places: Arc::new(Semaphore::new(settings.queue.max(1))),
        };
        let random = remote.random().map_err(absent)?;
        let tried = remote.answer(random).await;
        tried.map_err(|failure| RemoteError::Fails { address, failure })?;
        Ok(remote)
    }

    /// The same under the hotkey that serves.
    #[must_use]
    pub fn serving(mut self, hotkey: Hotkey) -> Self {
        Arc::make_mut(&mut self.description).hotkey = hotkey;
        self
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
        let inputs = match self.config.inputs {
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
        let positions: usize = match self.config.inputs.modality() {
            Modality::Image => inputs.shape.iter().take(1).product(),
            Modality::Text | Modality::Tensor => inputs.shape.iter().take(2).product(),
        };
        self.call_size.check(caller, positions)
    }

    /// Asks the process within its time, if it has a place free.
    async fn ask<T>(
        &self,
        call: impl std::future::Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Status> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Failure::Busy.into());
        };
        match timeout(self.config.patience, call).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Failure::Deadline.into()),
        }
    }

    async fn answer(&self, inputs: Tensor) -> Result<Tensor, Failure> {
        let modality = self.config.inputs.modality();
        let request = v1::ForwardRequest {
            modality: on_wire(modality).into(),
            inputs: Some(inputs.to_wire()?),
            formats: Some(v1::ResponseFormats {
                f32: true,
                ..v1::ResponseFormats::default()
            }),
        };
        let mut client = self.client.clone();
        let answer = self.ask(client.forward(request)).await;
        let answer = answer.map_err(|status| failure(&status))?;
        let believed = answer
            .response
            .ok_or_else(|| Failure::BadShape("there is no tensor".into()))
            .and_then(|tensor| Tensor::from_wire(&tensor))
            .and_then(|tensor| {
                check_answer(modality, &inputs, &tensor, Some(self.config.response_dim))?;
                Ok(tensor)
            });
        believed.map_err(|nonsense| {
            tracing::warn!(
                "the model at {} answered nonsense: {nonsense}",
                self.config.address
            );
            Failure::Internal(format!(
                "the model behind this neuron answered nonsense: {nonsense}"
            ))
        })
    }
}

impl Model for Remote {
    fn describe(&self) -> Description {
        (*self.description).clone()
    }

    async fn forward(&self, caller: Caller, inputs: Tensor) -> Result<Tensor, Failure> {
        self.check(&caller, &inputs)?;
        self.answer(inputs).await
    }

    async fn backward(
        &self,
        caller: Caller,
        inputs: Tensor,
        gradient: Tensor,
    ) -> Result<Treatment, Failure> {
        self.check(&caller, &inputs)?;
        let modality = self.config.inputs.modality();
        {
            let mut quota = self.quota.lock().unwrap_or_else(PoisonError::into_inner);
            if !quota.take(caller, Instant::now()) {
                return Ok(Treatment::Refused(format!(
                    "the quota of {} is used up",
                    quota.rule()
                )));
            }
        }
        let request = v1::BackwardRequest {
            modality: on_wire(modality).into(),
            inputs: Some(inputs.to_wire()?),
            gradient: Some(gradient.to_wire()?),
        };
        let mut client = self.client.clone();
        match self.ask(client.backward(request)).await {
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
}

fn on_wire(modality: Modality) -> v1::Modality {
    match modality {
        Modality::Text => v1::Modality::Text,
        Modality::Image => v1::Modality::Image,
        Modality::Tensor => v1::Modality::Tensor,
    }
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
