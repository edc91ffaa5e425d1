//! The service `noesis.v1.Neuron` over raw bytes: admit, hash, check, decode, ask the model, sign.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use noesis_proto::{v1, Bytes, SERVICE};
use prost::Message;
use subxt_signer::sr25519::Keypair;
use tokio::time::{timeout, Instant};
use tonic::{
    body::Body,
    codegen::{http, BoxFuture, Service, StdError},
    server::{Grpc, NamedService},
    Request, Response, Status,
};

use crate::{
    admission::{Admission, Admitted},
    contain::contain,
    description::modality_from_wire,
    failure::FAILURE_KEY,
    inputs::Form,
    lines::Line,
    packing::Head,
    places::Place,
    raw::RawCodec,
    signature::{now_milliseconds, Method},
    Caller, Description, Failure, Formats, Limits, Model, Tensor,
};

/// Bytes that are compressed, or decompressed, in less time than it takes to have another thread do it.
const QUICK: usize = 16 * 1024;
/// Bytes of a number of single precision.
const SINGLE: usize = 4;

/// What all calls share.
pub(crate) struct Neuron<M> {
    pub(crate) model: Arc<M>,
    pub(crate) identity: Keypair,
    pub(crate) admission: Admission,
    pub(crate) limits: Limits,
}

/// The service, cheap to clone as tonic wants it.
pub(crate) struct NeuronService<M>(pub(crate) Arc<Neuron<M>>);

impl<M> Clone for NeuronService<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> NamedService for NeuronService<M> {
    const NAME: &'static str = SERVICE;
}

impl<M, B> Service<http::Request<B>> for NeuronService<M>
where
    M: Model,
    B: http_body::Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    B::Data: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let neuron = self.0.clone();
        Box::pin(async move { Ok(neuron.answer(request).await) })
    }
}

impl<M: Model> Neuron<M> {
    async fn answer<B>(self: Arc<Self>, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let Some(method) = Method::of_path(request.uri().path()) else {
            return refuse(Failure::Unsupported(
                "there is no such method; see the service's reflection".into(),
            ));
        };
        let headers = request.headers();
        let admitted = match self.admission.admit(method, headers, now_milliseconds()) {
            Ok(admitted) => admitted,
            Err(failure) => return refuse(failure),
        };
        // Only a call that came over no connection of ours has none.
        let line = request.extensions().get::<Line>().cloned();
        let line = line.unwrap_or_default();
        line.called(admitted.caller.stake);
        let call_time = self.limits.call_time;
        match timeout(call_time, self.converse(admitted, line, request)).await {
            Ok(response) => response,
            Err(_) => refuse(Failure::Deadline),
        }
    }

    /// Reads the body, has it handled, and holds the call's place until the answer is sent.
    async fn converse<B>(
        self: Arc<Self>,
        admitted: Admitted,
        line: Line,
        request: http::Request<B>,
    ) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let Admitted {
            caller,
            envelope,
            mut place,
        } = admitted;
        let call_time = self.limits.call_time;
        let mut grpc = Grpc::new(RawCodec).max_decoding_message_size(self.limits.message_bytes);
        let handle = Handle(move |body: Bytes| async move {
            if *blake3::hash(&body).as_bytes() != envelope.body {
                return Err(Failure::Unauthenticated(
                    "the body is not the one that was signed; sign the bytes that are sent".into(),
                ));
            }
            let answer = self.handle(envelope.method, caller, body).await?;
            if answer.len() > self.limits.message_bytes {
                return Err(Failure::TooLarge(format!(
                    "the answer would have {} bytes, the limit is {}; send a smaller batch",
                    answer.len(),
                    self.limits.message_bytes
                )));
            }
            let mut response = Response::new(answer.clone());
            envelope.sign_answer(&answer, &self.identity, response.metadata_mut());
            Ok(response)
        });
        let response = tokio::select! {
            response = grpc.unary(handle, request) => name_failure(response),
            () = place.lost() => return refuse(Failure::Busy), // to a caller with more stake
        };
        if !place.answers(line, Instant::now() + call_time) {
            return refuse(Failure::Busy);
        }
        response.map(|body| {
            Body::new(Held {
                body,
                _place: place,
            })
        })
    }

    async fn handle(&self, method: Method, caller: Caller, body: Bytes) -> Result<Bytes, Failure> {
        let description = self.describe().await?;
        let answer = match method {
            Method::Describe => description.to_wire().encode_to_vec(),
            Method::Forward => self.forward(&description, caller, body).await?,
            Method::Backward => self.backward(&description, caller, body).await?,
        };
        Ok(Bytes::from(answer))
    }

    async fn describe(&self) -> Result<Description, Failure> {
        let model = self.model.clone();
        let mut description = contain("the model", async move { model.describe() }).await?;
        description.hotkey = self.identity.public_key().0;
        Ok(description)
    }

    async fn forward(
        &self,
        description: &Description,
        caller: Caller,
        body: Bytes,
    ) -> Result<Vec<u8>, Failure> {
        let request: v1::ForwardRequest = decode(body)?;
        let inputs = self.inputs(description, request.modality, request.inputs)?;
        let inputs = inputs.read().await?;
        let formats = Formats::from_wire(request.formats);
        let model = self.model.clone();
        let work = async move { model.forward(caller, inputs).await };
        let answer = contain("the model", work).await??;
        let compressed = if formats.zstd {
            SINGLE * answer.data.len()
        } else {
            0
        };
        let written = aside(compressed, move || answer.to_response(formats)).await?;
        written.map_err(|failure| match failure {
            Failure::BadShape(words) => {
                Failure::Internal(format!("the model's answer has a bad shape: {words}"))
            }
            other => other,
        })
    }

    async fn backward(
        &self,
        description: &Description,
        caller: Caller,
        body: Bytes,
    ) -> Result<Vec<u8>, Failure> {
        let request: v1::BackwardRequest = decode(body)?;
        let inputs = self.inputs(description, request.modality, request.inputs)?;
        // Both together are no larger than one message.
        let limit = self.limits.message_bytes.saturating_sub(inputs.head.bytes);
        let gradient = Unread::new("gradient", request.gradient, limit)?;
        Form::from(&gradient.head).check_answer(
            description.modality,
            &Form::from(&inputs.head),
            Some(description.response_dim),
        )?;
        let inputs = inputs.read().await?;
        let gradient = gradient.read().await?;
        let model = self.model.clone();
        let work = async move { model.backward(caller, inputs, gradient).await };
        let treatment = contain("the model", work).await??;
        Ok(treatment.to_wire().encode_to_vec())
    }

    /// Inputs whose shape is one that is answered here.
    fn inputs(
        &self,
        description: &Description,
        modality: i32,
        inputs: Option<v1::Tensor>,
    ) -> Result<Unread, Failure> {
        let modality = modality_from_wire(modality)?;
        if modality != description.modality {
            return Err(Failure::WrongModality(format!(
                "{modality:?} was sent, {:?} is answered here; ask a neuron of that market",
                description.modality
            )));
        }
        let inputs = Unread::new("inputs", inputs, self.limits.message_bytes)?;
        Form::from(&inputs.head).check_inputs(modality, description.sequence_limit)?;
        Ok(inputs)
    }
}

/// A tensor of a request whose shape can be checked before its numbers are read.
struct Unread {
    head: Head,
    data: Bytes,
}

impl Unread {
    fn new(name: &str, wire: Option<v1::Tensor>, limit: usize) -> Result<Self, Failure> {
        let wire =
            wire.ok_or_else(|| Failure::BadShape(format!("there is no {name}; send one")))?;
        let head = Head::read(&wire, limit)?;
        Ok(Self {
            head,
            data: wire.data,
        })
    }

    /// The tensor, finite.
    async fn read(self) -> Result<Tensor, Failure> {
        // A frame of nothing but empty blocks is large, and its content small.
        let compressed = match self.head.encoding {
            v1::Encoding::Zstd => self.head.bytes.max(self.data.len()),
            v1::Encoding::Raw => 0,
        };
        aside(compressed, move || self.head.tensor(&self.data)).await?
    }
}

/// Does work that compresses or decompresses so many bytes, on another thread where they are many enough to keep others
/// waiting.
async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    if bytes <= QUICK {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| {
        Failure::Internal("the tensor was not compressed; send and take it raw".into())
    })
}

fn decode<T: Message + Default>(body: Bytes) -> Result<T, Failure> {
    T::decode(body).map_err(|error| {
        Failure::BadShape(format!(
            "the body is not the message of this method: {error}; encode it by neuron.proto"
        ))
    })
}

/// An async function of the request's bytes, as tonic's unary service.
struct Handle<F>(F);

impl<F, R> Service<Request<Bytes>> for Handle<F>
where
    F: FnOnce(Bytes) -> R + Clone,
    R: std::future::Future<Output = Result<Response<Bytes>, Failure>> + Send + 'static,
{
    type Response = Response<Bytes>;
    type Error = Status;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let answer = (self.0.clone())(request.into_inner());
        Box::pin(async move { answer.await.map_err(told) })
    }
}

fn told(failure: Failure) -> Status {
    tracing::debug!(%failure, "call refused");
    failure.into()
}

fn refuse(failure: Failure) -> http::Response<Body> {
    told(failure).into_http()
}

/// Gives a failure that tonic found by itself, such as a message too large, its code in the metadata.
fn name_failure(response: http::Response<Body>) -> http::Response<Body> {
    let headers = response.headers();
    if headers.contains_key(FAILURE_KEY) {
        return response;
    }
    match Status::from_header_map(headers) {
        Some(status) if status.code() != tonic::Code::Ok => refuse(Failure::from_status(&status)),
        _ => response,
    }
}

/// A body that holds its call's place until it is sent or given up.
struct Held {
    body: Body,
    _place: Place,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
