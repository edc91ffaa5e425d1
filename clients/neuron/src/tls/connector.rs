//! Connecting to a peer: in the clear, or to exactly the certificate that it published.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::{
    rustls::{
        self,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{ring, verify_tls13_signature, WebPkiSupportedAlgorithms},
        pki_types::{CertificateDer, ServerName, UnixTime},
        version::TLS13,
        CertificateError, ClientConfig, DigitallySignedStruct, PeerIncompatible, SignatureScheme,
    },
    TlsConnector,
};
use tonic::codegen::{http::Uri, Service, StdError};

use super::{Fingerprint, NAME, PROTOCOL};
use crate::{connection::Bytestream, Failure};

/// Connects to peers that have this fingerprint, or, without one, in the clear.
#[derive(Clone)]
pub(crate) struct Connector(Option<(Fingerprint, TlsConnector)>);

impl Connector {
    /// # Errors
    /// [`Failure::Internal`] where the TLS library has not what TLS 1.3 needs; it always has.
    pub(crate) fn new(fingerprint: Option<Fingerprint>) -> Result<Self, Failure> {
        let connector = |fingerprint| {
            let provider = Arc::new(ring::default_provider());
            let verifier = Pinned {
                fingerprint,
                algorithms: provider.signature_verification_algorithms,
            };
            let config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&TLS13])
                .map_err(|error| Failure::Internal(format!("no TLS 1.3: {error}")))?;
            let mut config = config
                .dangerous() // the library's name for a verifier of one's own
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
            config.alpn_protocols = vec![PROTOCOL.to_vec()];
            Ok((fingerprint, TlsConnector::from(Arc::new(config))))
        };
        fingerprint.map(connector).transpose().map(Self)
    }

    async fn connect(self, to: Uri) -> Result<TokioIo<Bytestream>, StdError> {
        let host = to.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']'); // of an IPv6 address
        let stream = TcpStream::connect((host, to.port_u16().unwrap_or_default())).await?;
        stream.set_nodelay(true)?;
        let Some((fingerprint, tls)) = self.0 else {
            return Ok(TokioIo::new(Box::pin(stream)));
        };
        let name = ServerName::try_from(NAME)?;
        match tls.connect(name, stream).await {
            Ok(stream) => Ok(TokioIo::new(Box::pin(stream))),
            Err(error) => Err(refusal(&error, &fingerprint).into()),
        }
    }
}

/// A handshake that failed, as a failure of the call.
fn refusal(error: &io::Error, fingerprint: &Fingerprint) -> Failure {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => Failure::Unauthenticated(format!(
            "the certificate at this endpoint is not {}, which the chain knows; trust nothing from there, or \
             read the metagraph again",
            hex::encode(fingerprint)
        )),
        _ => Failure::Unreachable(format!(
            "no TLS at this endpoint, though a certificate is published: {error}; is it the neuron that listens \
             there?"
        )),
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Bytestream>;
    type Error = StdError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, StdError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

/// Accepts one certificate, whatever else it says, of whoever has its key.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *blake3::hash(certificate).as_bytes() == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into()) // never asked: TLS 1.3 alone is spoken
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
