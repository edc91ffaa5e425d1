//! Asking peers, and believing only what they signed.

use std::{fmt, sync::Arc, time::Duration};

use noesis_proto::{v1, Bytes};
use prost::Message;
use subxt_signer::sr25519::Keypair;
use tokio::time::timeout;
use tonic::{client::Grpc, codegen::http::uri::PathAndQuery, Request};

use crate::{
    channels::{is_loopback, Channels},
    contain::contain,
    description::modality_to_wire,
    failure::{chain, found_in},
    inputs::{check_answer, check_inputs, Form},
    packing::Head,
    raw::RawCodec,
    signature::{Envelope, Method},
    ClientLimits, Description, Failure, Fingerprint, Formats, Hotkey, Modality, Tensor, Treatment,
};

/// Time between two signs of life asked of a peer, and time it has to give one.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(20);

/// A neuron as the metagraph shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The key that must have signed its answers.
    pub hotkey: Hotkey,
    /// Where it serves, `host:port`.
    pub endpoint: String,
    /// Fingerprint of the only certificate that it is spoken to under; without one it is spoken to in the
    /// clear, see [`Client::in_the_clear`].
    pub certificate: Option<Fingerprint>,
}

/// Calls neurons in the name of one hotkey. Cheap to clone; clones share their channels. To be used
/// within a tokio runtime.
///
/// Every method gives up at its deadline, connecting included, and fails with what the peer said, or
/// with what is found here: [`Failure::Unreachable`], [`Failure::Deadline`],
/// [`Failure::Unauthenticated`] where the answer is not signed by the peer's hotkey or the certificate is
/// not the one that it published,
/// [`Failure::BadShape`] and [`Failure::NotFinite`] where it is no answer to the question,
/// [`Failure::TooLarge`].
#[derive(Clone)]
pub struct Client {
    identity: Keypair,
    genesis: [u8; 32],
    response_dim: Option<u32>,
    formats: Formats,
    in_the_clear: bool,
    limits: ClientLimits,
    channels: Arc<Channels>,
}

/// Without the identity, whose own `Debug` shows the secret key.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("hotkey", &hex::encode(self.identity.public_key().0))
            .field("genesis", &hex::encode(self.genesis))
            .field("response_dim", &self.response_dim)
            .field("formats", &self.formats)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client that signs as `identity` for the chain of `genesis`, with default limits.
    pub fn new(identity: Keypair, genesis: [u8; 32]) -> Self {
        Self::with_limits(identity, genesis, ClientLimits::default())
    }

    /// The same with other limits.
    pub fn with_limits(identity: Keypair, genesis: [u8; 32], limits: ClientLimits) -> Self {
        Self {
            identity,
            genesis,
            response_dim: None,
            formats: Formats::default(),
            in_the_clear: false,
            channels: Arc::new(Channels::new(limits.clone())),
            limits,
        }
    }

    /// Refuses answers whose last dimension is not the market's `response_dim`. Without this it is
    /// for the caller to check.
    #[must_use]
    pub fn expecting(mut self, response_dim: u32) -> Self {
        self.response_dim = Some(response_dim);
        self
    }

    /// Takes answers in these forms and no other; without this, see [`Formats::default`].
    #[must_use]
    pub fn taking(mut self, formats: Formats) -> Self {
        self.formats = formats;
        self
    }

    /// Speaks to peers without a certificate in the clear, wherever they are. Without this, only to those
    /// on a loopback address, where nobody listens in.
    #[must_use]
    pub fn in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        self
    }

    /// Asks who answers at the peer's endpoint.
    ///
    /// # Errors
    /// See [`Client`].
    pub async fn describe(&self, peer: &Peer, deadline: Duration) -> Result<Description, Failure> {
        let request = v1::DescribeRequest {}.encode_to_vec();
        let answer = self.ask(peer, Method::Describe, request, deadline).await?;
        let description = Description::from_wire(&decode(answer)?)?;
        if description.hotkey != peer.hotkey {
            return Err(Failure::Unauthenticated(format!(
                "the peer describes {}; trust nothing from this endpoint",
                hex::encode(description.hotkey)
            )));
        }
        Ok(description)
    }

    /// Asks for the answer to `inputs`: finite, `f32 [batch, sequence, dim]`. It may have been rounded
    /// on its way, as [`Client::taking`] says.
    ///
    /// # Errors
    /// See [`Client`]; also what [`check_inputs`] finds.
    pub async fn forward(
        &self,
        peer: &Peer,
        modality: Modality,
        inputs: &Tensor,
        deadline: Duration,
    ) -> Result<Tensor, Failure> {
        check_inputs(modality, inputs, 0)?;
        let request = v1::ForwardRequest {
            modality: modality_to_wire(modality).into(),
            inputs: Some(inputs.to_wire()?),
            formats: Some(self.formats.to_wire()),
        };
        let request = request.encode_to_vec();
        let answer = self.ask(peer, Method::Forward, request, deadline).await?;
        let answer: v1::ForwardResponse = decode(answer)?;
        let Some(response) = answer.response else {
            return Err(Failure::BadShape(
                "the answer has no tensor; ask another peer".into(),
            ));
        };
        let head = Head::read(&response, self.limits.message_bytes)?;
        self.formats.check(&head)?;
        Form::from(&head).check_answer(modality, &Form::of(inputs), self.response_dim)?;
        head.tensor(&response.data)
    }

    /// Sends the gradient of the loss with respect to the peer's answer to `inputs`, in single
    /// precision, since half would round small ones to nothing.
    ///
    /// # Errors
    /// See [`Client`]; also what [`check_inputs`] and [`check_answer`] find.
    pub async fn backward(
        &self,
        peer: &Peer,
        modality: Modality,
        inputs: &Tensor,
        gradient: &Tensor,
        deadline: Duration,
    ) -> Result<Treatment, Failure> {
        check_inputs(modality, inputs, 0)?;
        check_answer(modality, inputs, gradient, self.response_dim)?;
        let request = v1::BackwardRequest {
            modality: modality_to_wire(modality).into(),
            inputs: Some(inputs.to_wire()?),
            gradient: Some(gradient.to_wire()?),
        };
        let request = request.encode_to_vec();
        let answer = self.ask(peer, Method::Backward, request, deadline).await?;
        let answer: v1::BackwardResponse = decode(answer)?;
        Treatment::from_wire(&answer)
    }

    /// Sends one signed request and gives back the bytes of the answer, once their signature is
    /// verified.
    async fn ask(
        &self,
        peer: &Peer,
        method: Method,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Result<Bytes, Failure> {
        if body.len() > self.limits.message_bytes {
            return Err(Failure::TooLarge(format!(
                "the request has {} bytes, the limit is {}; send a smaller batch",
                body.len(),
                self.limits.message_bytes
            )));
        }
        let sender = self.identity.public_key().0;
        let envelope = Envelope::new(self.genesis, method, sender, peer.hotkey, &body);
        let mut request = Request::new(Bytes::from(body));
        envelope.write(&self.identity, request.metadata_mut());

        if peer.certificate.is_none() && !self.in_the_clear && !is_loopback(&peer.endpoint) {
            return Err(Failure::Unreachable(
                "the neuron published no certificate, and it is not on this machine; wait until it has one, \
                 or allow to speak in the clear"
                    .into(),
            ));
        }
        let channel = self.channels.get(peer)?;
        let limit = self.limits.message_bytes;
        // Contained, because the transport panics at some malformed headers of an answer.
        let call = contain("the transport", async move {
            let mut grpc = Grpc::new(channel).max_decoding_message_size(limit);
            grpc.ready().await.map_err(|error| {
                let found = found_in(&error).cloned();
                found.unwrap_or_else(|| {
                    Failure::Unreachable(format!("{}; try again later", chain(&error)))
                })
            })?;
            let path = PathAndQuery::from_static(method.path());
            let answer = grpc.unary(request, path, RawCodec).await;
            answer.map_err(|status| Failure::from_status(&status))
        });
        let answer = timeout(deadline, call)
            .await
            .map_err(|_| Failure::Deadline)???;
        let (metadata, body, _) = answer.into_parts();
        envelope.verify_answer(&body, metadata.as_ref())?;
        Ok(body)
    }
}

fn decode<T: Message + Default>(answer: Bytes) -> Result<T, Failure> {
    T::decode(answer).map_err(|error| {
        Failure::BadShape(format!(
            "the answer is not the message of this method: {error}; ask another peer"
        ))
    })
}
